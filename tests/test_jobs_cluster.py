"""Everything a run needs is in the queue, once, whatever happens in between."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from conftest import TINY_FLAGS
from fake_slurm import FakeSlurm, install
from submitit.core.utils import DelayedSubmission

from gan.config import ACGANConfig, ClassifierConfig
from jobs import pipeline, queued, records, submissions
from jobs.cluster import ClusterLauncher, Options
from jobs.pipeline import Stage, prepare, stages
from jobs.records import Attempt, Cause
from jobs.run import Run, RunError
from jobs.sweep import sweep
from slurm import queue
from slurm.errors import SchedulerError, Unreachable
from slurm.resources import Profile, Resources
from slurm.scheduler import JobState

TIMED_OUT = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
SILENT = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


@pytest.fixture(autouse=True)
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    for module in (queue, queued):
        monkeypatch.setattr(module, "_LOOK_AGAIN_S", 0.01)
    return install(tmp_path, monkeypatch)


@pytest.fixture
def run(tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    """Three stages: train, sample, report."""
    return prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "gan", threads=1)


@pytest.fixture
def make_sweep(tmp_path: Path, tiny_classifier: ClassifierConfig) -> Callable[[int], Run]:
    """Runs of two stages each: train, report."""

    def make(count: int) -> Run:
        chosen = sweep(tiny_classifier, [f"seed=0..{count - 1}"])
        return prepare("classifier-digits", chosen, tmp_path / "runs" / "sweep", threads=1)

    return make


@dataclass
class Client:
    """What `ganymede run ... --on slurm` does with a run that is there."""

    run: Run
    options: Options = field(default_factory=Options)
    said: list[str] = field(default_factory=list)

    def submit(self) -> int:
        self.said.clear()
        runs = self.run.path.parent
        return ClusterLauncher(self.run, runs, self.options, self.said.append).submit()


def job_ids(run: Run) -> dict[str, str]:
    """Job by run and stage, as on record."""
    return {
        f"{stage.run.path.name} {stage.name}": submissions.latest(stage.run, stage.name)["job_id"]
        for stage in stages(run)
    }


def finish(run: Run, *names: str) -> None:
    for name in names:
        records.complete(run, name, [], {"steps": 1})


def kill_client(stage: Stage) -> dict[str, object]:
    """As if the client had died before it wrote the answer of the newest submission down."""
    record = submissions.latest(stage.run, stage.name)
    process = subprocess.Popen(["true"])
    process.wait()
    record = {k: v for k, v in record.items() if k not in ("job_id", "submitted")}
    record["pid"] = process.pid
    stage.run.submission_file(stage.name, record["number"]).write_text(json.dumps(record))
    return record


# The whole chain at once


def test_all_stages_are_submitted_each_after_what_it_needs(slurm: FakeSlurm, run: Run) -> None:
    client = Client(run)
    assert client.submit() == 0
    assert job_ids(run) == {"gan train": "100", "gan sample": "101", "gan report": "102"}
    train, sample, report = (slurm.options(job_id) for job_id in ("100", "101", "102"))
    assert "dependency" not in train
    assert "kill-on-invalid-dep" not in train
    assert sample["dependency"] == "afterok:100"
    assert report["dependency"] == "afterok:100:101"
    assert sample["kill-on-invalid-dep"] == report["kill-on-invalid-dep"] == "yes"
    assert [options["job-name"] for options in (train, sample, report)] == [
        "gan.train", "gan.sample", "gan.report"
    ]  # fmt: skip
    assert all("requeue" in options for options in (train, sample, report))
    assert client.said[-1] == "gan: jobs 100, 101, 102; 0 of 3 stages finished"
    assert "gan sample: job 101, after 100" in client.said


def test_a_pipelines_joint_stages_wait_for_all_their_runs(slurm: FakeSlurm, tmp_path: Path) -> None:
    run = prepare("demo", pipeline.demo(), tmp_path / "runs" / "demo", threads=1)
    assert Client(run).submit() == 0
    assert job_ids(run) == {
        "classifier train": "100", "gan train": "101", "gan sample": "102",
        "demo evaluate": "103", "demo visualize": "104", "demo report": "105",
    }  # fmt: skip
    found = {name: slurm.options(job).get("dependency") for name, job in job_ids(run).items()}
    assert found == {
        "classifier train": None,
        "gan train": None,
        "gan sample": "afterok:101",
        "demo evaluate": "afterok:100:101:102",
        "demo visualize": "afterok:100:101",
        "demo report": "afterok:100:101:102:103:104",
    }


def test_each_job_is_the_object_that_runs_anywhere(run: Run) -> None:
    Client(run).submit()
    for stage in stages(run):
        token = submissions.latest(run, stage.name)["token"]
        loaded = DelayedSubmission.load(run.logs / f"{token}_0.pkl")
        assert loaded.function == stage.job
        text = (run.logs / f"{token}.sh").read_text()
        assert f"\nexport GANYMEDE_TOKEN={token}\n" in text
        assert f'#SBATCH --comment="ganymede:{token}"' in text


def test_flags_and_profile_reach_the_jobs_stage_by_stage(slurm: FakeSlurm, run: Run) -> None:
    profile = Profile(
        name="site", resources=Resources(partition="p", gpus_per_node=4),
        stages={"report": Resources(partition="cpu")}, mail="me@example.org", retries=5,
    )  # fmt: skip
    client = Client(run, Options(profile, Resources(nodes=2, minutes=30)))
    client.submit()
    train, sample, report = (slurm.options(job_id) for job_id in ("100", "101", "102"))
    keys = ("partition", "nodes", "ntasks-per-node", "gpus-per-node", "time", "mail-type")
    assert [train.get(key) for key in keys] == ["p", "2", "4", "4", "30:00", "FAIL"]
    assert [sample.get(key) for key in keys] == ["p", "1", "1", "1", "30:00", "FAIL"]
    assert [report.get(key) for key in keys] == ["cpu", "1", "1", None, "30:00", "END,FAIL"]
    scripts = {
        name: (run.logs / f"{submissions.latest(run, name)['token']}.sh").read_text()
        for name in ("train", "report")
    }
    assert "\nexport GANYMEDE_GPUS_BOOKED=4\n" in scripts["train"]
    assert "GANYMEDE_GPUS_BOOKED" not in scripts["report"]
    assert "\nexport GANYMEDE_RETRIES=5\n" in scripts["train"]
    stored = submissions.latest(run, "train")["profile"]
    assert stored == {"name": "site", "hash": profile.hash}


def test_cores_are_the_runs_threads_unless_told(
    slurm: FakeSlurm, tmp_path: Path, tiny_acgan: ACGANConfig
) -> None:
    run = prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "gan", threads=3)
    Client(run).submit()
    assert slurm.options("100")["cpus-per-task"] == "3"
    slurm.forget()
    Client(run, Options(flags=Resources(cpus_per_task=8))).submit()
    assert slurm.options("103")["cpus-per-task"] == "8"


def test_odd_folders_are_carried_and_impossible_ones_refused(
    slurm: FakeSlurm, tmp_path: Path, tiny_classifier: ClassifierConfig
) -> None:
    odd = tmp_path / "a b'$(touch owned)`x` käse"
    run = prepare("classifier-digits", tiny_classifier, odd / "run", threads=1)
    assert Client(run).submit() == 0
    assert slurm.options("100")["output"] == f"{run.logs}/%j_0_log.out"
    run = prepare("classifier-digits", tiny_classifier, tmp_path / "a\nb" / "run", threads=1)
    with pytest.raises(SchedulerError, match=r"folder is .*; allowed for Slurm"):
        Client(run).submit()
    assert len(slurm.calls("sbatch")) == 2
    assert not (run.path / "logs").exists()


# The same command again


def test_nothing_is_submitted_twice(slurm: FakeSlurm, run: Run) -> None:
    client = Client(run)
    client.submit()
    before = job_ids(run)
    slurm.set_job("100", "RUNNING")
    assert client.submit() == 0
    assert job_ids(run) == before
    assert len(slurm.calls("sbatch")) == 3
    assert client.said == ["gan: jobs 100, 101, 102; 0 of 3 stages finished"]


def test_a_finished_run_needs_no_jobs(slurm: FakeSlurm, run: Run) -> None:
    finish(run, "train", "sample", "report")
    client = Client(run)
    assert client.submit() == 0
    assert client.said == ["gan: nothing to submit; 3 of 3 stages finished"]
    assert slurm.calls("sbatch") == []


def test_only_what_is_missing_is_submitted(slurm: FakeSlurm, run: Run) -> None:
    finish(run, "train")
    assert Client(run).submit() == 0
    assert len(slurm.calls("sbatch")) == 2
    assert "dependency" not in slurm.options("100")  # what it needs is there
    assert slurm.options("101")["dependency"] == "afterok:100"


def test_a_job_that_left_the_queue_unfinished_is_submitted_again(
    slurm: FakeSlurm, run: Run
) -> None:
    Client(run).submit()
    slurm.forget()
    assert Client(run).submit() == 0
    assert job_ids(run) == {"gan train": "103", "gan sample": "104", "gan report": "105"}


def test_followers_that_wait_for_a_failed_job_are_replaced(slurm: FakeSlurm, run: Run) -> None:
    """Slurm removes them too, but only later: they must not be taken for the ones needed."""
    Client(run).submit()
    slurm.set_job("100", "FAILED")
    assert Client(run).submit() == 0
    assert slurm.calls("scancel") == [["--quiet", "102", "101"]]
    assert job_ids(run) == {"gan train": "103", "gan sample": "104", "gan report": "105"}
    assert slurm.options("105")["dependency"] == "afterok:103:104"


def test_a_requeued_job_is_still_the_stages_job(slurm: FakeSlurm, run: Run) -> None:
    """Whoever submitted it: it may be a batch script of the user's own."""
    attempt = Attempt.begin(run, "train", job_id="7", scheduler="slurm", restarts=0, step_id="0")
    attempt.end(Cause.PREEMPTED)
    slurm.set_job("7", "PENDING")
    assert Client(run).submit() == 0
    assert len(slurm.calls("sbatch")) == 2
    assert slurm.options("100")["dependency"] == "afterok:7"


def test_a_cancelled_run_may_be_asked_for_again(run: Run) -> None:
    run.cancel_file.write_text("{}")
    assert Client(run).submit() == 0
    assert not run.cancel_file.exists()


def test_a_stage_whose_files_are_damaged_is_done_again(slurm: FakeSlurm, run: Run) -> None:
    (run.path / "out").write_text("good")
    records.complete(run, "train", [run.path / "out"], {"steps": 1})
    finish(run, "sample", "report")
    (run.path / "out").write_text("bad")
    client = Client(run)
    assert client.submit() == 0
    assert len(slurm.calls("sbatch")) == 3
    assert "gan train: " in client.said[0]


def test_what_runs_outside_is_not_done_twice(slurm: FakeSlurm, run: Run) -> None:
    Attempt.begin(run, "train")
    with pytest.raises(RunError, match=r"train of .* is running outside of Slurm"):
        Client(run).submit()
    assert slurm.calls("sbatch") == []
    assert Client(run, Options(take_over=True)).submit() == 0
    token = submissions.latest(run, "train")["token"]
    assert "\nexport GANYMEDE_TAKE_OVER=1\n" in (run.logs / f"{token}.sh").read_text()


# What the cluster refuses


def test_a_refusal_is_told_recorded_and_leaves_nothing(slurm: FakeSlurm, run: Run) -> None:
    error = "sbatch: error: Batch job submission failed: Invalid partition name specified"
    slurm.fail("sbatch", error)
    with pytest.raises(SchedulerError, match="Invalid partition name specified"):
        Client(run).submit()
    assert "Invalid partition" in submissions.latest(run, "train")["refused"]
    assert list(run.logs.iterdir()) == []
    assert Client(run).submit() == 0
    assert submissions.latest(run, "train")["number"] == 2


def test_a_limit_keeps_what_was_accepted_and_the_same_command_goes_on(
    slurm: FakeSlurm, run: Run
) -> None:
    slurm.change(limit=2)
    client = Client(run)
    assert client.submit() == 1
    assert list(slurm.state["jobs"]) == ["100", "101"]
    assert "takes no more jobs for now" in client.said[-2]
    assert "QOSMaxSubmitJobPerUserLimit" in client.said[-2]
    assert client.said[-1] == (
        "accepted: 2 of 3; remaining: gan report; the same command goes on later"
    )
    assert client.submit() == 1  # still no room, and nothing doubled
    assert list(slurm.state["jobs"]) == ["100", "101"]
    slurm.change(limit=None)
    assert client.submit() == 0
    assert list(slurm.state["jobs"]) == ["100", "101", "102"]
    assert slurm.options("102")["dependency"] == "afterok:100:101"


# Answers that were lost, clients that died


def test_a_lost_answer_is_looked_up(slurm: FakeSlurm, run: Run) -> None:
    slurm.fail("sbatch", TIMED_OUT, acts=True)
    assert Client(run).submit() == 0
    assert list(slurm.state["jobs"]) == ["100", "101", "102"]
    assert job_ids(run)["gan train"] == "100"


def test_a_silent_controller_is_told_and_the_job_found_later(
    slurm: FakeSlurm, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_PATIENCE_S", 0.1)

    def submit_into_silence(script: Path, token: str, say: object) -> str:
        slurm.fail("sbatch", TIMED_OUT, acts=True)
        slurm.fail("squeue", SILENT, times=1000)
        return original(script, token, say)

    original = queue.submit
    monkeypatch.setattr(queue, "submit", submit_into_silence)
    with pytest.raises(Unreachable, match="does not answer"):
        Client(run).submit()
    monkeypatch.setattr(queue, "submit", original)
    slurm.change(faults={"squeue": []})
    client = Client(run)
    assert client.submit() == 0
    assert "train: found job 100, submitted before" in client.said
    assert list(slurm.state["jobs"]) == ["100", "101", "102"]
    assert slurm.options("101")["dependency"] == "afterok:100"


def test_the_job_of_a_client_that_died_is_adopted(slurm: FakeSlurm, run: Run) -> None:
    Client(run).submit()
    kill_client(stages(run)[0])
    client = Client(run)
    assert client.submit() == 0
    assert "train: found job 100, submitted before" in client.said
    assert submissions.latest(run, "train")["job_id"] == "100"
    assert len(slurm.calls("sbatch")) == 3


def test_a_client_killed_between_two_stages_leaves_no_double(slurm: FakeSlurm, run: Run) -> None:
    Client(run).submit()
    kill_client(stages(run)[1])
    run.submission_file("report", 1).unlink()
    slurm.forget("102")
    assert Client(run).submit() == 0
    assert job_ids(run) == {"gan train": "100", "gan sample": "101", "gan report": "103"}
    assert slurm.options("103")["dependency"] == "afterok:100:101"


def test_what_never_arrived_is_submitted_again(
    slurm: FakeSlurm, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queued, "_LOST_S", 0.1)
    Client(run).submit()
    kill_client(stages(run)[0])
    slurm.forget()
    client = Client(run)
    assert client.submit() == 0
    assert json.loads(run.submission_file("train", 1).read_text())["refused"] == "never arrived"
    assert job_ids(run)["gan train"] == "103"


def test_a_young_lost_submission_is_waited_for(
    slurm: FakeSlurm, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Client(run).submit()
    comment = slurm.options("100")["comment"]
    kill_client(stages(run)[0])
    slurm.forget("100")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        if seconds != 0.125:
            return  # somebody else's
        waits.append(seconds)
        if len(waits) == 2:
            slurm.set_job("100", "PENDING", comment)

    monkeypatch.setattr(queued, "_LOOK_AGAIN_S", 0.125)
    monkeypatch.setattr(queued.time, "sleep", sleep)
    client = Client(run)
    assert client.submit() == 0
    assert len(waits) == 2
    assert job_ids(run)["gan train"] == "100"
    assert len(slurm.calls("sbatch")) == 3
    assert "train: an earlier submission got no answer; looking for its job" in client.said


def test_a_client_at_work_is_not_disturbed(slurm: FakeSlurm, run: Run) -> None:
    submissions.intend(run, "train", 0, "abc", None)  # by this process, which lives
    with pytest.raises(RunError, match=r"train of .* is being submitted by process \d+ on"):
        Client(run).submit()
    assert slurm.calls("sbatch") == []


def test_of_two_clients_at_the_same_time_one_submits(
    slurm: FakeSlurm, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = queue.jobs

    def jobs(**options: object) -> dict[str, JobState]:
        monkeypatch.setattr(queue, "jobs", original)
        states = original(**options)
        assert Client(run).submit() == 0  # another client, right after the question of this one
        return states

    monkeypatch.setattr(queue, "jobs", jobs)
    with pytest.raises(RunError, match=r"train of .* has just been submitted by somebody else"):
        Client(run).submit()
    assert list(slurm.state["jobs"]) == ["100", "101", "102"]


CLIENT = (
    "import sys; from jobs.cli import main; status = main(sys.argv[1:]);"
    "assert 'torch' not in sys.modules; sys.exit(status)"
)
COMMAND = ("run", "acgan-digits", *TINY_FLAGS, "--on", "slurm", "--name", "gan")


def call(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command line as a process of its own, which must do without torch."""
    command = [sys.executable, "-c", CLIENT, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("acts", [True, False])
def test_a_client_killed_while_sbatch_runs(
    slurm: FakeSlurm, tmp_path: Path, acts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.fail("sbatch", "", acts=acts, kills=True)
    assert call(tmp_path, *COMMAND).returncode == -signal.SIGKILL
    assert len(slurm.state["jobs"]) == acts
    monkeypatch.setattr(queued, "_LOST_S", 0.1)
    run = Run(tmp_path / "runs" / "gan")
    assert Client(run).submit() == 0
    assert len(slurm.state["jobs"]) == 3
    assert len(slurm.calls("sbatch")) == (3 if acts else 4)


def test_the_command_line_submits_and_returns(slurm: FakeSlurm, tmp_path: Path) -> None:
    done = call(tmp_path, *COMMAND)
    assert done.returncode == 0, done.stderr
    assert "gan: jobs 100, 101, 102; 0 of 3 stages finished" in done.stdout
    slurm.change(limit=0)
    slurm.forget()
    done = call(tmp_path, "resume", "gan", "--on", "slurm", "--partition", "low")
    assert done.returncode == 1, done.stderr
    assert "accepted: 0 of 3; remaining: gan train, gan sample, gan report" in done.stdout


# Sweeps


def test_a_sweep_is_one_array_a_stage_and_chunk(
    slurm: FakeSlurm, make_sweep: Callable[[int], Run]
) -> None:
    slurm.change(config={"MaxArraySize": "3"})
    run = make_sweep(7)
    client = Client(run, Options(max_running=2))
    assert client.submit() == 0
    assert len(slurm.calls("sbatch")) == 3 + 3
    arrays = {job.partition("_")[0]: slurm.options(job) for job in slurm.state["jobs"]}
    assert [options["array"] for options in arrays.values()] == ["0-2%2", "0-2%2", "0%2"] * 2
    dependencies = [options.get("dependency") for options in arrays.values()]
    assert dependencies == [None] * 3 + ["aftercorr:100", "aftercorr:101", "aftercorr:102"]
    assert arrays["103"]["kill-on-invalid-dep"] == "yes"
    assert job_ids(run)["seed-4 train"] == "101_1"
    assert job_ids(run)["seed-4 report"] == "104_1"
    assert "sweep train: job 100 (3 tasks)" in client.said
    assert client.submit() == 0
    assert len(slurm.calls("sbatch")) == 6


def test_each_task_of_an_array_is_its_own_runs_job(make_sweep: Callable[[int], Run]) -> None:
    run = make_sweep(3)
    Client(run).submit()
    for stage in stages(run):
        record = submissions.latest(stage.run, stage.name)
        path = run.logs / f"{record['token']}_{record['index']}.pkl"
        assert DelayedSubmission.load(path).function == stage.job


def test_of_a_sweep_only_the_rest_is_submitted(
    slurm: FakeSlurm, make_sweep: Callable[[int], Run]
) -> None:
    run = make_sweep(6)
    members = list(run.members().values())
    finish(members[0], "train", "report")
    finish(members[1], "train")
    finish(members[4], "train")
    assert Client(run).submit() == 0
    found = job_ids_of(slurm)
    assert found == {
        "100": ("sweep.train", "0-2", None),  # seeds 2, 3 and 5
        "101": ("sweep.report", "0-1", None),  # seeds 1 and 4, whose training is there
        "102": ("sweep.report", "0-2", "aftercorr:100"),
    }
    by_stage = {
        f"{stage.run.path.name} {stage.name}": submissions.latest(stage.run, stage.name)
        for stage in stages(run)
    }
    assert by_stage["seed-0 report"] is None
    for seed, index in ((2, 0), (3, 1), (5, 2)):
        assert by_stage[f"seed-{seed} train"]["job_id"] == f"100_{index}"
        assert by_stage[f"seed-{seed} report"]["job_id"] == f"102_{index}"
    assert by_stage["seed-4 report"]["job_id"] == "101_1"


def job_ids_of(slurm: FakeSlurm) -> dict[str, tuple[str, str, str | None]]:
    """Name, indices and dependency of every array."""
    found = {}
    for job_id in slurm.state["jobs"]:
        options = slurm.options(job_id)
        found[job_id.partition("_")[0]] = (
            options["job-name"], options["array"], options.get("dependency")
        )  # fmt: skip
    return found


def test_tasks_that_failed_are_submitted_again_with_their_followers(
    slurm: FakeSlurm, make_sweep: Callable[[int], Run]
) -> None:
    run = make_sweep(5)
    Client(run).submit()
    for k in range(5):
        slurm.set_job(f"100_{k}", "FAILED" if k in (1, 3) else "RUNNING")
    assert Client(run).submit() == 0
    assert slurm.calls("scancel") == [["--quiet", "101_3", "101_1"]]
    assert job_ids_of(slurm)["102"] == ("sweep.train", "0-1", None)
    assert job_ids_of(slurm)["103"] == ("sweep.report", "0-1", "aftercorr:102")
    found = job_ids(run)
    assert (found["seed-1 train"], found["seed-3 train"]) == ("102_0", "102_1")
    assert (found["seed-1 report"], found["seed-3 report"]) == ("103_0", "103_1")
    assert (found["seed-2 train"], found["seed-2 report"]) == ("100_2", "101_2")


def test_as_much_of_an_array_as_fits_is_submitted(
    slurm: FakeSlurm, make_sweep: Callable[[int], Run]
) -> None:
    """A limit counts tasks: an array larger than it would never be accepted as a whole."""
    slurm.change(limit=5)
    run = make_sweep(8)
    client = Client(run)
    assert client.submit() == 1
    queued = [submissions.latest(m, "train") for m in run.members().values()]
    assert [bool(r and r.get("job_id")) for r in queued] == [True] * 5 + [False] * 3
    assert len(slurm.state["jobs"]) == 5
    assert client.said[-1].startswith("accepted: 5 of 16; remaining: seed-0 report, seed-1 report")
    for member in list(run.members().values())[:5]:
        finish(member, "train")
    slurm.forget()
    slurm.change(limit=None)
    assert client.submit() == 0
    assert all(job_ids(run)[f"seed-{k} train"] for k in (5, 6, 7))
    assert all(job_ids(run)[f"seed-{k} report"] for k in range(8))


def test_refused_parts_of_an_array_leave_no_files(
    slurm: FakeSlurm, make_sweep: Callable[[int], Run]
) -> None:
    slurm.change(limit=2)
    run = make_sweep(4)
    Client(run).submit()
    pickles = sorted(re.sub("^t[0-9a-f]+", "x", path.name) for path in run.logs.iterdir())
    assert pickles == ["x.sh", "x_0.pkl", "x_1.pkl"]


def test_a_cluster_without_arrays_gets_single_jobs(
    slurm: FakeSlurm, make_sweep: Callable[[int], Run]
) -> None:
    slurm.change(config={"MaxArraySize": "0"})
    run = make_sweep(2)
    assert Client(run).submit() == 0
    assert list(slurm.state["jobs"]) == ["100", "101", "102", "103"]
    assert slurm.options("102")["dependency"] == "afterok:100"
    assert slurm.options("103")["dependency"] == "afterok:101"


def test_a_dead_clients_array_is_adopted_task_by_task(
    slurm: FakeSlurm, make_sweep: Callable[[int], Run]
) -> None:
    run = make_sweep(3)
    Client(run).submit()
    for stage in stages(run):
        if stage.name == "train":
            kill_client(stage)
    assert Client(run).submit() == 0
    assert len(slurm.calls("sbatch")) == 2
    expected = {f"seed-{k} train": f"100_{k}" for k in range(3)}
    assert job_ids(run) == expected | {f"seed-{k} report": f"101_{k}" for k in range(3)}


def test_mail_speaks_of_the_end_of_the_chain_alone(
    slurm: FakeSlurm, make_sweep: Callable[[int], Run]
) -> None:
    slurm.change(config={"MaxArraySize": "2"})
    Client(make_sweep(4), replace(Options(), profile=Profile(mail="me@example.org"))).submit()
    kinds = [slurm.options(f"{number}_0")["mail-type"] for number in (100, 101, 102, 103)]
    assert kinds == ["FAIL", "FAIL", "FAIL", "END,FAIL"]


def test_array_of_which_another_client_takes_a_part_is_withdrawn(
    slurm: FakeSlurm, make_sweep: Callable[[int], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records are written many at a time; not one of them is left open, and no job is made."""
    run, original = make_sweep(40), queue.jobs
    members = list(run.members().values())

    def jobs(**options: object) -> dict[str, JobState]:
        states = original(**options)
        submissions.intend(members[7], "train", 0, "other", None)
        return states

    monkeypatch.setattr(queue, "jobs", jobs)
    with pytest.raises(RunError, match=r"train of .*seed-7 has just been submitted by somebody"):
        Client(run).submit()
    assert slurm.calls("sbatch") == []
    found = [submissions.latest(member, "train") for member in members]
    assert [n for n, record in enumerate(found) if submissions.is_open(record)] == [7]
    assert found[0]
    assert "seed-7 has just been submitted" in found[0]["refused"]
