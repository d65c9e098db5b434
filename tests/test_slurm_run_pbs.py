"""The scheduler's own way: `qsub slurm/scripts/run.pbs`, without the launcher."""

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fake_pbs
import pytest
from fake_pbs import FakePBS
from fake_slurm import recorded, recorder
from states import assert_same_state

from jobs import records
from jobs.run import Run

ROOT = Path(__file__).parent.parent
TINY = (
    "acgan-digits", "--data.image-size", "8", "--model.width", "4", "--train.epochs", "2",
    "--train.passes-per-epoch", "8", "--train.log-every", "20", "--train.final-samples", "20",
    "--train.grid-rows", "2",
)  # fmt: skip
PYTHON = {"GANYMEDE_PYTHON": sys.executable}
FAULTS = ROOT / "tests" / "cluster" / "faults"
SCRIPT = ROOT / "slurm" / "scripts" / "run.pbs"


def limit(seconds: int) -> tuple[str, str]:
    return "-l", f"walltime={seconds}"


def wait_for(holds: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def attempts(run: Run, stage: str = "train") -> list[dict[str, Any]]:
    return [records.read(run.attempt_file(stage, n)) for n in records.numbers(run, stage)]


@dataclass(frozen=True)
class Person:
    """Who submits it from a folder of theirs."""

    pbs: FakePBS
    folder: Path

    def qsub(
        self, *arguments: str, run: str = "", options: tuple[str, ...] = (), **variables: str
    ) -> str:
        """In the first form if `run` is given, else in the second one."""
        values = {"GANYMEDE_HOME": str(ROOT), "PYTHONPATH": str(ROOT)} | variables
        values |= {"GANYMEDE_RUN": run} if run else {}
        given = ",".join(f"{name}={value}" for name, value in values.items())
        form = (str(SCRIPT),) if run else ("--", "/bin/bash", str(SCRIPT))
        options = ("-l", "select=1:ncpus=1", "-v", given, *options)
        done = subprocess.run(
            ["qsub", *options, *form, *arguments],
            cwd=self.folder, env=self.pbs.environment(), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def said(self, job_id: str) -> str:
        """The job's own output."""
        number = job_id.partition(".")[0]
        (path,) = self.folder.glob(f"*.o{number}")
        return path.read_text()


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    found = fake_pbs.install(tmp_path)
    found.change(kill_delay=10.0)
    folder = tmp_path / "a person's runs"
    folder.mkdir()
    yield Person(found, folder)
    found.stop()


# The script itself, with a stand-in for Python that lays out what a test says


@dataclass(frozen=True)
class Layout:
    """What jobs.work finds to do: wrappers, in their order."""

    person: Person

    @property
    def python(self) -> Path:
        return self.person.folder.parent / "python"

    def write(self, *wrappers: str, then: str = "") -> None:
        lines = [
            f"cd {shlex.quote(str(self.person.folder))}; mkdir -p logs; env >env; pwd -P >place",
            "command -v qsub >which",
            *(
                f"echo {shlex.quote(text)} >logs/$PBS_JOBID.{number:04d}-x.sh"
                for number, text in enumerate(wrappers)
            ),
            then or "echo $PWD/logs",
        ]
        recorder(self.python, "\n".join(lines))

    def submit(self, *arguments: str, **options: Any) -> str:
        return self.person.qsub(*arguments, GANYMEDE_PYTHON=str(self.python), **options)

    def done(self) -> list[str]:
        path = self.person.folder / "done"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def layout(person: Person) -> Layout:
    return Layout(person)


def in_folder(layout: Layout, line: str) -> str:
    return f"cd {shlex.quote(str(layout.person.folder))}; {line}"


def test_the_first_form_takes_its_words_from_a_variable(layout: Layout) -> None:
    layout.write()
    job_id = layout.submit(run="gan --name x  --seed 3")
    assert layout.person.pbs.wait(job_id)["Exit_status"] == 0
    assert recorded(layout.python) == [
        ["-P", "-m", "jobs.work", "gan", "--name", "x", "--seed", "3"]
    ]
    assert layout.person.pbs.job(job_id)["Job_Name"] == "ganymede"  # of its #PBS lines
    assert f"logs: {layout.person.folder}/logs/{job_id}_*_log.out" in layout.person.said(job_id)


def test_the_second_form_takes_arguments_as_they_are(layout: Layout) -> None:
    layout.write()
    job_id = layout.submit("gan", "--root", "a b", "it's $(x)")
    assert layout.person.pbs.wait(job_id)["Exit_status"] == 0
    assert recorded(layout.python) == [
        ["-P", "-m", "jobs.work", "gan", "--root", "a b", "it's $(x)"]
    ]


def test_it_works_where_it_was_submitted_with_the_commands_of_that_place(layout: Layout) -> None:
    layout.write()
    layout.person.pbs.wait(layout.submit("gan"))
    folder = layout.person.folder
    assert (folder / "which").read_text() == f"{layout.person.pbs.folder}/bin/qsub\n"
    found = dict(line.partition("=")[::2] for line in (folder / "env").read_text().splitlines())
    assert found["GANYMEDE_HOME"] == str(ROOT)
    assert found["PWD"] == str(folder)
    assert abs(float(found["GANYMEDE_STARTED"]) - time.time()) < 60


def test_a_jobs_token_is_its_own_unless_it_goes_on_from_another(layout: Layout) -> None:
    tokens = []
    for given in ({}, {}, {"GANYMEDE_TOKEN": "t1"}):
        layout.write()
        layout.person.pbs.wait(layout.submit("gan", **given))
        lines = (layout.person.folder / "env").read_text().splitlines()
        tokens += [line for line in lines if line.startswith("GANYMEDE_TOKEN=")]
    assert tokens[2] == "GANYMEDE_TOKEN=t1"
    assert len(set(tokens)) == 3
    assert all(len(token) == len("GANYMEDE_TOKEN=t") + 16 for token in tokens[:2])


@pytest.mark.parametrize("form", ["gan", ""])
def test_all_wrappers_are_run_in_their_order(layout: Layout, form: str) -> None:
    lines = [in_folder(layout, f"echo {k} >>done") for k in range(3)]
    layout.write(*lines)
    job_id = layout.submit(run=form) if form else layout.submit("gan")
    assert layout.person.pbs.wait(job_id)["Exit_status"] == 0
    assert layout.done() == ["0", "1", "2"]


def test_a_run_that_is_finished_has_nothing_to_do(layout: Layout) -> None:
    layout.write()
    assert layout.person.pbs.wait(layout.submit("gan"))["Exit_status"] == 0
    assert layout.done() == []


def test_the_first_stage_that_fails_ends_the_job(layout: Layout) -> None:
    lines = [in_folder(layout, f"echo {k} >>done; exit {7 * k}") for k in range(3)]
    layout.write(*lines)
    assert layout.person.pbs.wait(layout.submit("gan"))["Exit_status"] == 7
    assert layout.done() == ["0", "1"]


def test_a_stage_that_goes_on_in_another_job_ends_this_one_well(layout: Layout) -> None:
    lines = [in_folder(layout, f"echo {k} >>done") for k in range(2)]
    lines[0] += "; echo 9.fakepbs >logs/$PBS_JOBID.successor"
    layout.write(*lines)
    assert layout.person.pbs.wait(layout.submit("gan"))["Exit_status"] == 0
    assert layout.done() == ["0"]


def test_what_is_refused_is_told_in_the_jobs_output(layout: Layout) -> None:
    layout.write("exit 0", then="echo 'ganymede: no recipe' >&2; exit 2")
    job_id = layout.submit("nosuch")
    assert layout.person.pbs.wait(job_id)["Exit_status"] == 2
    assert layout.person.said(job_id) == ""  # in this form no line of the script joins the two
    (errors,) = layout.person.folder.glob("STDIN.e*")
    assert errors.read_text() == "ganymede: no recipe\n"


def test_a_signal_ends_what_runs_and_not_the_script(layout: Layout) -> None:
    line = "trap : USR1; touch begun-{0}; sleep 60; echo {0} >>done"
    layout.write(*(in_folder(layout, line.format(k)) for k in range(2)))
    job_id, pbs = layout.submit("gan"), layout.person.pbs
    for k in range(2):
        wait_for((layout.person.folder / f"begun-{k}").exists)
        subprocess.run(["qsig", "-s", "USR1", job_id], env=pbs.environment(), check=True)
    assert pbs.wait(job_id)["Exit_status"] == 0
    assert layout.done() == ["0", "1"]


def test_what_comes_after_sigterm_is_told_of_it(layout: Layout) -> None:
    """A stage that is through just then is not followed by one that would only be killed."""
    first = in_folder(layout, "trap : TERM; touch begun; sleep 60; exit 0")
    second = in_folder(layout, "echo told=$GANYMEDE_TOLD >>done; exit 3")
    layout.write(first, second)
    job_id = layout.submit("gan")
    wait_for((layout.person.folder / "begun").exists)
    layout.person.pbs.change(blind_s=0.0)
    subprocess.run(["qdel", job_id], env=layout.person.pbs.environment(), check=True)
    assert layout.person.pbs.wait(job_id)["Exit_status"] == 3
    assert layout.done() == ["told=1"]


# Runs


@pytest.mark.slow
def test_a_run_over_its_time_limit_ends_in_the_same_bits(person: Person) -> None:
    """The first form to its end in one job, the second one in several."""
    whole = person.qsub(run=f"{' '.join(TINY)} --name whole", options=limit(600), **PYTHON)
    wait_for(lambda: person.pbs.job(whole)["job_state"] == "F", 240)
    assert person.pbs.job(whole)["Exit_status"] == 0, person.said(whole)
    expected = Run(person.folder / "runs" / "whole")
    assert expected.report_file.exists()
    assert [a["job_id"] for a in attempts(expected) + attempts(expected, "report")] == [whole] * 2

    slowly = {"GANYMEDE_FAULT": "slow@0.5", "PYTHONPATH": f"{FAULTS}:{ROOT}"}
    first = person.qsub(*TINY, "--name", "parts", options=limit(35), **PYTHON, **slowly)
    run = Run(person.folder / "runs" / "parts")
    wait_for(lambda: records.completion(run, "report"), 400)
    tried = attempts(run)
    assert [a["cause"] for a in tried] == ["time limit"] * (len(tried) - 1) + ["finished"]
    assert len(tried) > 1
    assert tried[0]["job_id"] == first
    assert len({a["job_id"] for a in tried}) == len(tried)
    assert {a["line"] for a in tried} == {first}
    assert len({a["token"] for a in tried}) == 1
    assert person.pbs.job(first)["Exit_status"] == 0
    states = [
        found.store().open(records.require(found, "train")["result"]["steps"]).load()
        for found in (run, expected)
    ]
    assert_same_state(*states)


def test_what_jobs_work_refuses_is_told(person: Person) -> None:
    options = ("-l", "select=1:ncpus=1+1:ncpus=2", "-j", "oe")
    jobs = [
        person.qsub("nosuch", options=("-j", "oe"), **PYTHON),
        person.qsub(*TINY, options=options, **PYTHON),
    ]
    wait_for(lambda: all(person.pbs.job(job_id)["job_state"] == "F" for job_id in jobs))
    assert [person.pbs.job(job_id)["Exit_status"] for job_id in jobs] == [2, 2]
    assert "no recipe or pipeline 'nosuch'; allowed: " in person.said(jobs[0])
    assert "ganymede: select is '1:ncpus=1+1:ncpus=2'; allowed: equal nodes, as" in person.said(
        jobs[1]
    )
    assert not (person.folder / "runs").exists()
