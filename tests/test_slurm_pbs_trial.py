"""A tiny job tries what runs do on a node: on the stand-in for PBS, and on a real one if there."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_pbs
import pytest
import real_pbs
from fake_pbs import FakePBS

from slurm import commands, pbs_script, pbs_trial, qsub
from slurm.findings import Finding, Verdict
from slurm.resources import Profile, Resources

WORKS = ("trial job", "run folder on a node", "qstat on a node", "qsub on a node",
         "qalter on a node", "pbsdsh on a node")  # fmt: skip


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePBS]:
    for name in ("_LOOK_S", "_ASK_S"):
        monkeypatch.setattr(pbs_trial, name, 0.05)
    monkeypatch.setattr(pbs_trial, "_END_S", 5.0)
    monkeypatch.chdir(tmp_path)  # where the outputs of jobs go
    found = fake_pbs.install(tmp_path, monkeypatch)
    yield found
    found.stop()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    path = tmp_path / "my runs"
    path.mkdir()
    return path


def try_out(runs: Path, wanted: Resources | None = None) -> dict[str, Finding]:
    """The findings by name; no trace of the trial is left."""
    wanted = wanted or Resources()
    found = pbs_trial.try_out(runs, Profile(mail="me@site"), wanted, lambda message: None)
    assert not list(runs.iterdir())
    assert not [job for job in qsub.jobs().values() if job.is_live]
    return {finding.name: finding for finding in found}


def test_all_works(pbs: FakePBS, runs: Path) -> None:
    said: list[str] = []
    found = pbs_trial.try_out(runs, Profile(), Resources(), said.append)
    assert tuple(row.name for row in found) == WORKS
    assert {row.verdict for row in found} == {Verdict.HOLDS}
    trial, held = pbs.jobs().values()
    assert said[0] == "waiting for job 1.fakepbs to start, 30 min at most"
    assert (trial["job_state"], trial["Exit_status"]) == ("F", 0)
    assert trial["Resource_List"]["walltime"] == "00:02:00"
    assert trial["Resource_List"]["select"] == "1:ncpus=1:mpiprocs=1:ompthreads=1"
    assert held["Job_Name"] == "ganymede-trial-held"
    assert held["job_state"] == "F"
    assert "run_count" not in held
    assert pbs.calls("qdel") == [["2.fakepbs"]]  # by the trial itself, from its job
    assert not list(runs.iterdir())


def test_the_job_goes_where_runs_would_go(pbs: FakePBS, runs: Path) -> None:
    wanted = Resources(partition="express", account="lab", project="p", nodes=3, minutes=600,
                       cpus_per_task=64, mem_gb=500, exclusive=True)  # fmt: skip
    assert try_out(runs, wanted).keys() == set(WORKS)
    trial, held = pbs.jobs().values()
    for job in (trial, held):
        assert (job["queue"], job["Account_Name"], job["project"]) == ("express", "lab", "p")
        assert job["Resource_List"]["select"] == "1:ncpus=1:mpiprocs=1:ompthreads=1"
    assert not [words for words in pbs.calls("qsub") if "-M" in words]


def test_a_site_where_jobs_may_not_submit(pbs: FakePBS, runs: Path) -> None:
    pbs.change(qsub_in_jobs=False)
    found = try_out(runs)
    assert found.keys() == set(WORKS) - {"qalter on a node"}
    row = found["qsub on a node"]
    assert row.verdict == Verdict.MIND
    assert row.value.startswith("fails: qsub: ")
    assert row.meaning == "a run cannot go on by itself: give --chain N, or resume it"
    assert {r.verdict for name, r in found.items() if name != row.name} == {Verdict.HOLDS}


def test_a_server_that_keeps_no_history(pbs: FakePBS, runs: Path) -> None:
    pbs.change(history=False)
    assert {row.verdict for row in try_out(runs).values()} == {Verdict.HOLDS}


def test_what_a_job_leaves_is_deleted_from_outside(pbs: FakePBS, runs: Path) -> None:
    pbs.fail("qdel", "qdel: Unauthorized Request", status=159)
    row = try_out(runs)["qdel on a node"]
    assert (row.value, row.verdict) == ("fails: qdel: Unauthorized Request", Verdict.MIND)
    assert pbs.calls("qdel") == [["2.fakepbs"]] * 2


def test_a_job_that_is_refused(pbs: FakePBS, runs: Path) -> None:
    (row,) = try_out(runs, Resources(partition="nosuch")).values()
    assert (row.name, row.verdict) == ("trial job", Verdict.FAILS)
    assert row.value == "qsub: Unknown queue (exit status 170)"


def test_a_job_that_can_never_run(pbs: FakePBS, runs: Path) -> None:
    (row,) = try_out(runs, Resources(constraint="ncpus=500")).values()
    assert row.verdict == Verdict.FAILS
    assert row.value.startswith("it never starts: Q (Can Never Run: Insufficient amount of")


def test_a_job_that_waits_too_long(
    pbs: FakePBS, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pbs_trial, "_START_S", 0.6)
    commands.call("qsub", "-l", "select=8:ncpus=1", "--", "/bin/sleep", "60")
    found = pbs_trial.try_out(runs, Profile(), Resources(), lambda message: None)
    assert found[0].verdict == Verdict.FAILS
    assert found[0].value.startswith("it has not started within 0 min (Q (Not Running: ")
    assert [job.job_id for job in qsub.jobs().values() if job.is_live] == ["1.fakepbs"]
    assert not list(runs.iterdir())


def test_a_job_that_leaves_no_word(
    pbs: FakePBS, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pbs_trial, "_SEEN_S", 0.3)
    monkeypatch.setattr(pbs_script, "opening", lambda: ["echo no such module; exit 3"])
    (row,) = try_out(runs).values()
    assert row.verdict == Verdict.FAILS
    assert row.value == (
        f"over, exit status 3 ({ended(pbs)}), and left nothing in {runs}: does its node have the "
        "same folder there?; its last words: no such module"
    )


def ended(pbs: FakePBS) -> str:
    return str(pbs.job("1.fakepbs")["comment"])


def test_a_folder_that_pbs_would_misread(pbs: FakePBS, tmp_path: Path) -> None:
    runs = tmp_path / "50%"
    runs.mkdir()
    (row,) = try_out(runs).values()
    assert "no percent sign" in row.value
    assert not pbs.calls("qsub")


def test_a_folder_in_which_nothing_can_be_written(pbs: FakePBS) -> None:
    found = pbs_trial.try_out(Path("/proc"), Profile(), Resources(), lambda message: None)
    assert [row.verdict for row in found] == [Verdict.FAILS]
    assert not pbs.calls("qsub")


@pytest.mark.parametrize(
    ("variable", "listed", "status", "value", "verdict"),
    [
        ("0,3", 8, 0, "CUDA_VISIBLE_DEVICES=0,3; 8 to be seen", Verdict.HOLDS),
        ("", 1, 0, "no CUDA_VISIBLE_DEVICES; 1 to be seen", Verdict.HOLDS),
        ("", 4, 0, "no CUDA_VISIBLE_DEVICES; 4 to be seen", Verdict.MIND),
        ("", 0, 9, "no CUDA_VISIBLE_DEVICES; no driver", Verdict.FAILS),
        ("2", 0, 9, "CUDA_VISIBLE_DEVICES=2; no driver", Verdict.HOLDS),
    ],
)
def test_which_gpus_a_job_sees(
    pbs: FakePBS,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    listed: int,
    status: int,
    value: str,
    verdict: Verdict,
) -> None:
    lines = [*(f"echo GPU-{number}" for number in range(listed))]
    lines += ["echo no driver"] if status else []
    program = pbs.folder / "bin" / "nvidia-smi"
    program.write_text("\n".join(["#!/bin/sh", *lines, f"exit {status}\n"]))
    program.chmod(0o755)
    if variable:  # as a hook of the site would set it
        opening = [*pbs_script.opening(), f"export CUDA_VISIBLE_DEVICES={variable}"]
        monkeypatch.setattr(pbs_script, "opening", lambda: opening)
    row = try_out(runs, Resources(gpus_per_node=4))["GPUs of a job"]
    assert row.value.startswith(value)
    assert row.verdict == verdict
    assert pbs.job("1.fakepbs")["Resource_List"]["ngpus"] == 1


def test_a_run_on_several_nodes_needs_pbsdsh() -> None:
    answers = {"mark": "0 t1", "qstat": "0 {", "qsub": "0 2.x", "qalter": "0 ", "qdel": "0 ",
               "pbsdsh": "127 "}  # fmt: skip
    rows = {row.name: row for row in pbs_trial.found_by(answers, Resources(nodes=1))}
    row = rows["pbsdsh on a node"]
    assert (row.value, row.verdict) == ("fails: no such command", Verdict.MIND)
    rows = {row.name: row for row in pbs_trial.found_by(answers, Resources(nodes=2))}
    assert rows["pbsdsh on a node"].verdict == Verdict.FAILS


def test_what_else_may_not_work_there() -> None:
    answers = {"mark": "1 cat: mark: No such file", "qstat": "124 ", "qsub": "0 2.x",
               "qalter": "159 qalter: Unauthorized Request", "qdel": "0 "}  # fmt: skip
    rows = {row.name: row for row in pbs_trial.found_by(answers, Resources())}
    assert rows["run folder on a node"].verdict == Verdict.FAILS
    assert rows["run folder on a node"].value == "cat: mark: No such file"
    assert rows["qstat on a node"].value == "fails: no answer"
    assert rows["qalter on a node"].value == "fails: qalter: Unauthorized Request"
    assert rows["pbsdsh on a node"].value == "fails: exit status 1"  # it was not tried
    assert {rows[f"{name} on a node"].verdict for name in ("qstat", "qalter", "pbsdsh")} == {
        Verdict.MIND
    }


@pytest.fixture(scope="module")
def there() -> Iterator[Path]:
    """A folder on a real PBS."""
    if reason := real_pbs.why_not():
        pytest.skip(reason)
    with real_pbs.folder() as path:
        yield path


PROGRAM = """
import sys
from pathlib import Path
from slurm import pbs_trial
from slurm.resources import Profile, Resources
for row in pbs_trial.try_out(Path("."), Profile(), Resources(**eval(sys.argv[1])), print):
    print("found", row.verdict, row.name, row.value, sep="|")
"""


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("{}", [f"found|holds|{name}|" for name in WORKS]),
        (
            "dict(partition='nosuch')",
            ["found|fails|trial job|qsub: Unknown queue (exit status 170)"],
        ),
        (
            "dict(constraint='mem=900tb')",
            ["found|fails|trial job|it never starts: Q (Can Never Run"],
        ),
    ],
)
def test_on_a_real_pbs(there: Path, wanted: str, expected: list[str]) -> None:
    done = real_pbs.run([sys.executable, "-P", "-c", PROGRAM, wanted], there)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("found|")]
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)
    assert not list(there.iterdir())
    for job_id in re.findall(r"job (\d[^\s:]*)", done.stdout):
        assert "job_state = F" in real_pbs.run(["qstat", "-x", "-f", job_id], there).stdout
