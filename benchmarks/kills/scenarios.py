"""What is killed: tiny runs of every kind, and the commands that start and resume them."""

import contextlib
import io
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from submitit.core.utils import DelayedSubmission

from jobs import cli, pipeline, records
from jobs.run import Run
from jobs.train import Train
from slurm import pickles

_GAN = (
    "gan-digits", "--data.image-size", "8", "--data.test-fraction", "0.8",
    "--model.latent", "8", "--model.generator-hidden", "16", "--model.critic-hidden", "16",
    "--train.passes-per-epoch", "2", "--train.batch-size", "32", "--train.log-every", "10",
    "--train.checkpoint-minutes", "0.001",
    "--train.grid-rows", "1", "--train.final-samples", "32", "--threads", "1",
)  # fmt: skip
_PIPELINE = (
    "demo", "--image-size", "8", "--threads", "2", "--layers", "conv8",
    *(flag for member in ("classifier", "gan") for flag in (
        f"--{member}.data.test-fraction", "0.1", f"--{member}.model.width", "4",
        f"--{member}.train.passes-per-epoch", "1", f"--{member}.train.batch-size", "512",
        f"--{member}.train.log-every", "2",
    )),
    "--gan.model.latent", "10", "--gan.train.final-samples", "64", "--gan.train.grid-rows", "1",
)  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A process to start: its words, and what it finds in its environment besides ours."""

    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """One kind of run. `weight` is its share of all kills; `follow_ups` is how many kills each
    stage after training gets in one run, before it is let through.
    """

    title: str
    flags: Sequence[str]
    weight: float
    follow_ups: int
    ranks: int = 1

    def command(self, run: Run, number: int) -> Command:
        """What a user would give, or a batch script start, for the `number`-th time."""
        runs = str(run.path.parent)
        if self.ranks > 1:
            if not run.exists:
                with contextlib.redirect_stdout(io.StringIO()):
                    cli.prepare([*self.flags, "--here", "--runs", runs, "--name", run.path.name])
            if not records.completion(run, Train.stage):
                return self._ranks(run)
        verb = [sys.executable, "-m", "jobs.cli"]
        if run.exists and number % 2 == 0:
            return Command([*verb, "resume", run.path.name, "--here", "--runs", runs])
        place = ["--here", "--runs", runs, "--name", run.path.name]
        return Command([*verb, "run", *self.flags, *place])

    def _ranks(self, run: Run) -> Command:
        """Both ranks as a node of a PBS job starts them, each start another job."""
        job_id = uuid.uuid4().hex
        folder = pickles.make_folder(run.logs.resolve())
        (train, *_) = pipeline.stages(run)
        pickles.dump(DelayedSubmission(train.job), folder / f"{job_id}_submitted.pkl")
        words = [
            sys.executable, "-m", "slurm.launch", "--node", "0", "--nodes", "1",
            "--per-node", str(self.ranks), "--mark", str(folder / f"{job_id}.ended"),
            "--logs", str(folder), "--id", job_id,
            "--", sys.executable, "-u", "-m", "slurm.start", str(folder),
        ]  # fmt: skip
        place = {
            "SUBMITIT_EXECUTOR": "pbs", "SUBMITIT_PBS_JOB_ID": job_id, "GANYMEDE_JOB": job_id,
            "GANYMEDE_INTERFACE": "lo",
        }  # fmt: skip
        return Command(words, place)


def _epochs(flags: Sequence[str], count: int, *prefixes: str) -> tuple[str, ...]:
    given = [word for p in prefixes for word in (f"--{p}train.epochs", str(count))]
    return (*flags, *given)


ONE_RANK = Scenario("one rank", _epochs(_GAN, 8, ""), weight=0.5, follow_ups=6)
TWO_RANKS = Scenario("two ranks", _epochs(_GAN, 6, ""), weight=0.3, follow_ups=0, ranks=2)
PIPELINE = Scenario(
    "pipeline", _epochs(_PIPELINE, 3, "classifier.", "gan."), weight=0.2, follow_ups=12
)
SHORT = Scenario("short", _epochs(_GAN, 3, ""), weight=1, follow_ups=1)
KINDS = {kind.title: kind for kind in (PIPELINE, TWO_RANKS, ONE_RANK, SHORT)}
LONG = (ONE_RANK, TWO_RANKS, PIPELINE)
