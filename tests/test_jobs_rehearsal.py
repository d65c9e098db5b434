import sys
from pathlib import Path

import pytest
from captured_slurm import CapturedSlurm

from jobs import rehearsal
from slurm.findings import Finding, Verdict
from slurm.resources import Profile, Resources

# A cluster that plays one job by its records: it begins when submitted, saves when signalled, is
# queued again and goes on at once, and ends when cancelled. What goes wrong is told by `fault`.
_PLAY = """
import json, pathlib, sys
home = pathlib.Path(sys.argv[1])
command, arguments = sys.argv[2], sys.argv[3:]
fault = (home / "fault").read_text()
note, run = home / "run", None
if note.exists():
    run = pathlib.Path(note.read_text())

def attempt(number, **facts):
    record = {"stage": "train", "number": number, "started": 1.0, "host": "n1", "job_id": "7",
              "restarts": number - 1, "scheduler": "slurm", "nodes": "n1", **facts}
    (run / "attempts").mkdir(exist_ok=True)
    (run / "attempts" / f"train-{number:04d}.json").write_text(json.dumps(record))

def progress(step):
    (run / "attempts" / "train.progress.json").write_text(json.dumps({"step": step}))

def state(name, restarts=0, reason="None"):
    (home / "job").write_text(f"JobId=7 JobState={name} Reason={reason} Restarts={restarts}")

with (home / "calls").open("a") as calls:
    print(command, *arguments, file=calls)
if command == "sbatch" and "--test-only" not in arguments:
    if run:
        print("8")
        sys.exit()
    run = pathlib.Path(arguments[-1]).parent.parent
    note.write_text(str(run))
    print("7")
    if fault == "waits":
        state("PENDING", reason="Resources")
    elif fault == "crashes":
        state("FAILED", reason="NonZeroExitCode")
        attempt(1, cause="crashed", error="no module named torch")
    elif fault == "vanishes":
        (home / "job").unlink(missing_ok=True)
    else:
        state("RUNNING")
        attempt(1)
        progress(5)
elif command == "scancel" and "--signal=TERM" in arguments:
    (run / "checkpoints" / "step-00000007").mkdir(parents=True)
    log = run / "logs" / "7_0_log.out"
    log.write_text("12:00:00 the scheduler could not be asked why: x\\n" * fault.startswith("mute"))
    attempt(1, cause="disk full" if fault == "full" else "terminated", error="told")
    if fault == "mute":
        state("FAILED", reason="NonZeroExitCode")
    else:
        state("RUNNING", restarts=1)
        attempt(2, from_step=3 if fault == "loses" else 7)
        progress(9)
elif command == "scancel":
    state("CANCELLED", restarts=1)
    if (run / "attempts" / "train-0002.json").exists():
        attempt(2, from_step=7, cause="cancelled")
elif command == "scontrol" and not (home / "job").exists():
    sys.exit("slurm_load_jobs error: Invalid job id specified")
elif command == "scontrol":
    print((home / "job").read_text())
elif command == "squeue" and any(word.startswith("--jobs") for word in arguments):
    print((home / "job").read_text().split("JobState=")[1].split()[0])
"""


class Cluster:
    """The stand-ins, and what was said and found."""

    def __init__(self, slurm: CapturedSlurm, runs: Path) -> None:
        self.slurm, self.runs = slurm, runs
        self.said: list[str] = []
        (slurm.folder / "play.py").write_text(_PLAY)
        config = slurm.folder / "answers" / "config.txt"
        play = f"{sys.executable} -IS {slurm.folder}/play.py {slurm.folder}"
        for name in ("sbatch", "scancel", "squeue"):
            slurm.command(name, f'exec {play} {name} "$@"')
        slurm.command(
            "scontrol",
            f'[ "$*" = "show config" ] && exec cat {config}\nexec {play} scontrol "$@"',
        )

    def play(self, fault: str = "") -> dict[str, Finding]:
        (self.slurm.folder / "fault").write_text(fault)
        found = rehearsal.rehearse(
            self.runs, Profile(), Resources(partition="low"), self.said.append
        )
        return {row.name: row for row in found}

    @property
    def calls(self) -> list[str]:
        return (self.slurm.folder / "calls").read_text().splitlines()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(rehearsal, "_LOOK_S", 0.01)
    monkeypatch.setattr(rehearsal, "_ASK_S", 0.01)
    slurm = CapturedSlurm(tmp_path / "slurm", monkeypatch, accounting=False)
    return Cluster(slurm, tmp_path / "runs")


def test_a_job_that_saves_and_goes_on(cluster: Cluster) -> None:
    found = cluster.play()
    assert {row.verdict for row in found.values()} == {Verdict.HOLDS}
    assert found["saves when told to stop"].value.startswith("step 7, ")
    assert found["scontrol on a node"].value == "answers"
    assert found["goes on"].value.startswith("from step 7, ")
    assert found["can be cancelled"].value == "saved, and ended as cancelled"
    assert "scancel --signal=TERM 7" in cluster.calls
    assert any("hold it back for 121 s" in line for line in cluster.said)
    assert list(cluster.runs.iterdir()) == []


def test_the_job_books_little(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal.shutil, "rmtree", lambda *_, **__: None)
    cluster.play()
    (run,) = cluster.runs.iterdir()
    script = next(path for path in run.glob("logs/*.sh") if ".train" in path.read_text())
    assert '#SBATCH --time="10:00"' in script.read_text()
    assert "#SBATCH --partition=low" in script.read_text()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("crashes", "it ended too early: crashed: no module named torch; read "),
        ("vanishes", "it has not started, and now job 7: unknown; read "),
        ("full", "it was to save and stop, but: disk full: told"),
        ("loses", "job 7 saved step 7, but job 7 went on from step 3"),
    ],
)
def test_a_job_that_does_not(cluster: Cluster, fault: str, told: str) -> None:
    row = cluster.play(fault)["rehearsal"]
    assert row.verdict == Verdict.FAILS
    assert row.meaning.startswith(told)
    (run,) = cluster.runs.iterdir()  # kept, for its log
    assert cluster.said[-1].startswith(f"{run} is kept; the job's log is ")
    assert (run / "cancelled.json").is_file()


def test_a_job_that_waits_too_long_is_taken_out_of_the_queue(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "_START_S", 0.2)
    row = cluster.play("waits")["rehearsal"]
    assert row.meaning.startswith("it has not started within 0 s; read ")
    assert "job 7: PENDING (Resources)" in cluster.said
    assert any(call.startswith("scancel --quiet") and " 7" in call for call in cluster.calls)


def test_a_node_from_which_scontrol_cannot_be_reached(cluster: Cluster) -> None:
    found = cluster.play("mute")
    assert found["scontrol on a node"].verdict == Verdict.FAILS
    assert found["rehearsal"].meaning.startswith("it was not queued again, and now job 7: FAILED")


def test_a_container_from_which_scontrol_cannot_be_reached(cluster: Cluster) -> None:
    row = cluster.play("mute inside")["scontrol on a node"]
    assert (row.value, row.verdict) == ("answers the batch script only", Verdict.MIND)


def test_a_cluster_that_takes_no_more_jobs(cluster: Cluster) -> None:
    cluster.slurm.refuses("sbatch", "sbatch: error: AssocMaxSubmitJobLimit")
    found = cluster.play()
    assert found["rehearsal"].meaning.startswith("the cluster takes no more jobs for now")


def test_an_interrupted_rehearsal_leaves_nothing_in_the_queue(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(played: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rehearsal.Rehearsal, "stop", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cluster.play()
    assert any(call.startswith("scancel --quiet") and " 7" in call for call in cluster.calls)
