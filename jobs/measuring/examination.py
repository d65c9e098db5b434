"""Measuring finished GANs afterwards, one or all of a sweep.

The judge is a classifier of the same images; the modes of a ring of Gaussians are counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan.config import FEWEST_COMPARED
from jobs import records, report, trained
from jobs.evaluate import Evaluate
from jobs.measuring import measure, ranking
from jobs.measuring.ranking import Measured
from jobs.run import Run, RunError, list_runs
from jobs.stage import Stopped, say
from slurm.preemption import StopRequest

if TYPE_CHECKING:
    from jobs.measuring.measure import Judge, Stop

_SAME = ("name", "train_count", "test_count", "channels", "classes", "fingerprint")
_COUNTED = "ring"  # the data set that needs no judge


@dataclass(frozen=True)
class Examination:
    """What is to be measured, and how; made by `plan`, which has checked all of it."""

    run: Run
    judge: Run | None  # none where modes are counted
    count: int | None = None

    def __call__(self) -> int:
        """Measure and tell; returns the exit status: 0, 1 if a run of the sweep is not finished,
        128 + signal if told to stop, after which the same command goes on.
        """
        measured: list[Measured] = []
        with StopRequest().listening() as request:
            try:
                for found in self.carry_out(request.reason):
                    measured.append(found)
                    self._tell(found)
            except Stopped as stopped:
                done = f"{len(measured)} of {len(self.run.members())} runs"
                say(f"{stopped}; the same command goes on, {done} are done")
                return 128 + request.signal if request.signal else 1
        if self.run.is_sweep and any(found.figures for found in measured):
            print("\n".join(ranking.write(self.run, measured, self._how(measured))))
        return 1 if any(found.missing for found in measured) else 0

    def carry_out(self, stop: "Stop") -> Iterator[Measured]:
        """Measure one run after the other; each is recorded when it is whole. Raises Stopped.

        Figures that are on record of the same networks and the same count are not made again.
        """
        judge = self._load_judge(stop)
        for name, run in self.run.members().items():
            try:
                for stage in ("train", "sample"):
                    records.require(run, stage)
            except records.Unfinished as error:
                if not self.run.is_sweep:
                    raise
                yield Measured(name, run, {}, str(error))
            else:
                yield Measured(name, run, self._figures(run, judge, stop))

    def _figures(self, run: Run, judge: "Judge | None", stop: "Stop") -> dict[str, Any]:
        """From the run's record; measured and recorded first, if they are not there."""
        asked: dict[str, Any] = {"count": self.count, "generator_sha256": trained.checksum(run)}
        if judge:
            asked["judge_sha256"] = judge.model.checksum
        record = records.completion(run, Evaluate.stage)
        if record and asked.items() <= record["result"].items():
            return dict(record["result"])
        if judge:
            figures = measure.measure(trained.load(run, judge.model.data), judge, self.count)
            figures["judge"] = str(judge.model.run.path)
        else:
            figures = measure.count_modes(trained.load(run), self.count, stop)
        records.complete(run, Evaluate.stage, [], figures | asked)
        if run.report_file.exists():
            report.rewrite(run)
        return figures | asked

    def _load_judge(self, stop: "Stop") -> "Judge | None":
        if self.judge is None:
            return None
        judge = measure.Judge(trained.load(self.judge), stop)
        if not judge.model.variant.classifies:
            raise RunError(
                f"judge is {self.judge.path}, which names no classes; allowed: a classifier"
            )
        return judge

    def _tell(self, found: Measured) -> None:
        name = "/".join(filter(None, [self.run.path.name, found.name]))
        say(f"{name}: {found.missing or measure.summary(found.figures)}")

    def _how(self, measured: Sequence[Measured]) -> str:
        """How the figures of a ranking were obtained."""
        f = next(found.figures for found in measured if found.figures)
        if self.judge is None:
            return (
                f"Modes of the ring found by {f['generated_images']} generated points, and the "
                "share of points within three standard deviations of a mode, beside that of "
                f"{f['test_images']} held-out real ones."
            )
        real, fakes = (f["generated_distance"][f"{k}_count"] for k in ("first", "second"))
        return (
            f"On the features of classifier {self.judge.path} (weights {f['judge_sha256'][:12]}, "
            f"test accuracy {f['classifier_test_accuracy']:.1%}): {fakes} generated images, and "
            f"beside them as many held-out real ones, against {real} training images. Not FID: "
            "figures on other features, or of other numbers of images, cannot be compared with "
            "these."
        )


def plan(run: Run, judge: Run | None, count: int | None, runs: Path) -> Examination:
    """What there is to measure. Raises RunError for what cannot be measured so, and has then
    written nothing. `runs` holds the classifiers that are named when no judge is given.
    """
    settings = run.settings()
    members = run.members(settings)
    if "" not in members and not run.is_sweep:
        raise RunError(
            f"{run.path} is a pipeline, which measures by itself; allowed: a run or a sweep, as "
            + ", ".join(str(m.path) for m in members.values() if m.config().generates)
        )
    for member in members.values():
        if not member.config().generates:
            raise RunError(f"{member.path} makes no images; allowed: a run with a generator")
    finished = [member for member in members.values() if records.completion(member, "sample")]
    if not finished:
        raise RunError(f"{run.path} is not finished; allowed: runs whose samples are made")
    _check_count(count, finished[0])
    if all(member.config().data.name == _COUNTED for member in members.values()):
        if judge:
            raise RunError(f"{run.path} has points, whose modes are counted; allowed: no --judge")
        return Examination(run, None, count)
    if judge is None:
        raise RunError(
            f"{run.path} needs a judge: give --judge, a finished classifier of the same images; "
            f"there are: {_candidates(finished[0], list_runs(runs))}"
        )
    _check_judge(judge, members)
    return Examination(run, judge, count)


def _check_count(count: int | None, run: Run) -> None:
    info = run.settings()["data"]
    if count is not None and not FEWEST_COMPARED <= count <= info["test_count"]:
        raise RunError(
            f"count is {count}; allowed: {FEWEST_COMPARED} to {info['test_count']}, the number of "
            f"held-out images in {info['name']}, which are measured beside as many generated ones"
        )


def _check_judge(judge: Run, members: dict[str, Run]) -> None:
    """Raise RunError unless the judge is finished and has seen the images of all these runs."""
    if "" not in judge.members():
        names = ", ".join(str(member.path) for member in judge.members().values())
        raise RunError(f"judge is {judge.path}; allowed: one run, as {names}")
    records.require(judge, "train")
    for member in members.values():
        if found := _differences(judge, member):
            raise RunError(
                f"judge {judge.path} has seen other images than {member.path}: {found}; allowed: "
                "a classifier of the same images"
            )


def _differences(judge: Run, run: Run) -> str:
    """In what the images of two runs differ; '' if in nothing."""
    sets = []
    for each in (judge, run):
        settings = each.settings()
        known = {name: settings["data"][name] for name in _SAME}
        sets.append(known | {"image_size": settings["config"]["data"]["image_size"]})
    ours, theirs = sets
    return ", ".join(
        f"{name} {ours[name]!r} and {theirs[name]!r}" for name in ours if ours[name] != theirs[name]
    )


def _candidates(run: Run, known: list[Run]) -> str:
    """Finished runs that make no images and have seen the same ones."""
    found = [
        str(member.path)
        for other in known
        for member in other.members().values()
        if not member.config().generates
        and records.completion(member, "train")
        and not _differences(member, run)
    ]
    return ", ".join(found) or "none"
