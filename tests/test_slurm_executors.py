"""The batch script, to the letter, and that nothing in it is ever executed but what should be.

GANYMEDE_GOLDEN=write python -m pytest tests/test_slurm_executors.py writes tests/golden/ anew.
"""

import operator
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import fake_slurm_command
import pytest
from fake_slurm import FakeSlurm, install, recorded, recorder
from submitit.core.utils import DelayedSubmission

from slurm.errors import SchedulerError, SubmitLimit
from slurm.executors import Executor, part, script
from slurm.orders import Order
from slurm.resources import Profile, Resources

WRITE = os.environ.get("GANYMEDE_GOLDEN") == "write"
GOLDEN = Path(__file__).parent / "golden"
FOLDER = Path("/home/me/runs/demo/logs")
PYTHON = Profile(python="/opt/python")
PLAIN = Order("demo.train", "0123abcd", Resources(cpus_per_task=2), PYTHON)
GPUS = Resources(
    partition="gpu", account="lab", qos="long", reservation="monday", constraint="nvlink&a100",
    minutes=90.5, nodes=2, gpus_per_node=4, gpu_type="a100", cpus_per_task=8, mem_gb=1.5,
    exclusive=True, extra=("nice=10", "hold", "exclude=n[1-2],n9"),
)  # fmt: skip
SITE = Profile(
    name="site",
    setup=("module load cuda/12.4", "source ~/.venv/bin/activate"),
    prefix=("apptainer", "exec", "--nv", "my image.sif"),
    python="python3",
    interface="ib0",
    mail="me@example.org",
)
ORDERS = {
    "plain": PLAIN,
    "gpus": replace(PLAIN, resources=GPUS, environment={"GANYMEDE_GPUS_BOOKED": "4"}),
    "gres": replace(PLAIN, resources=GPUS, profile=replace(PYTHON, gpu_form="gres")),
    "untyped": replace(PLAIN, resources=Resources(gpus_per_node=1, tasks_per_node=2, minutes=10)),
    "array": replace(PLAIN, indices=(0, 1, 2, 5, 7, 8), max_running=4, dependency="aftercorr:41"),
    "site": replace(PLAIN, profile=SITE),
    "last": replace(PLAIN, profile=SITE, dependency="afterok:41:42", last=True),
}
HOSTILE = [
    "a b  c",
    'it\'s "quoted"',
    "$(touch owned)",
    "`touch owned`",
    "${HOME} $PATH",
    "x; touch owned #",
    "x\\ny \\$(touch owned)",
    "käse 香港 🙂",
    "* ? [a-z] {1,2} ~",
    "-rf --help",
    "!! !touch",
]


@pytest.mark.parametrize("name", ORDERS)
def test_batch_scripts_are_as_they_were_approved(name: str) -> None:
    shown = script(ORDERS[name], FOLDER)
    for piece in ("setup.sh", "attempt.sh"):
        assert shown.count(part(piece)) == 1
        shown = shown.replace(part(piece), f"... slurm/scripts/{piece} ...\n")
    golden = GOLDEN / f"{name}.sh"
    if WRITE:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(shown, "utf-8")
    assert shown == golden.read_text("utf-8")


def test_there_is_a_golden_script_for_every_order_and_no_other() -> None:
    found = {path.stem for path in GOLDEN.glob("*") if not path.stem.startswith("pbs-")}
    assert found == ORDERS.keys()


@pytest.mark.parametrize(
    ("minutes", "written"), [(0.001, "0:01"), (1, "1:00"), (1.999, "2:00"), (1440, "1440:00")]
)
def test_time_limits_are_minutes_and_seconds(minutes: float, written: str) -> None:
    order = replace(PLAIN, resources=Resources(minutes=minutes))
    assert f'\n#SBATCH --time="{written}"\n' in script(order, FOLDER)


def test_this_python_is_the_jobs_python_unless_told() -> None:
    text = script(replace(PLAIN, profile=Profile()), FOLDER)
    assert f"\nganymede_python=({shlex.quote(sys.executable)} -P)\n" in text


# What a user types is carried exactly, or refused, and never executed


def run(path: Path, folder: Path, **variables: str) -> None:
    """Run a batch script as a job would, with stand-ins for what it calls."""
    for name in ("srun", "scontrol", "sleep"):
        if not (folder / "bin" / name).exists():
            recorder(folder / "bin" / name)
    environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "SLURM_JOB_ID": "7", "LANG": "C"}
    done = subprocess.run(
        ["bash", str(path)], env=environment | variables, cwd=folder, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    return tmp_path


@pytest.mark.parametrize("value", HOSTILE)
def test_what_goes_to_the_shell_arrives_exactly(place: Path, value: str) -> None:
    python = place / "bin" / "python"
    recorder(python, "echo finished")
    unescaped = value.replace("\\", "")
    folder = place / unescaped
    profile = Profile(
        prefix=(str(recorder(place / "bin" / "wrapper", 'shift; exec "$@"')), value),
        python=str(python),
        setup=(f"printf '%s' {shlex.quote(value)} > said",),
    )
    order = replace(PLAIN, profile=profile, environment={"GANYMEDE_X": value})
    path = place / "script"
    path.write_text(script(order, folder), "utf-8")
    subprocess.run(["bash", "-n", str(path)], check=True)
    folder.mkdir()
    recorder(place / "bin" / "srun", 'printf %s "$GANYMEDE_X" > carried')
    run(path, place)
    assert not (place / "owned").exists()
    assert (place / "said").read_text("utf-8") == value
    assert (place / "carried").read_text("utf-8") == value
    (call,) = recorded(place / "bin" / "srun")
    assert f"--output={folder}/7_%t_log.out" in call
    command = call[call.index(str(place / "bin" / "wrapper")) :]
    assert command == [
        *profile.prefix, str(python), "-P", "-u", "-m", "slurm.start", str(folder)
    ]  # fmt: skip
    assert recorded(python)[0][:4] == ["-P", "-m", "jobs.closing", f"{folder}/0123abcd_0.pkl"]
    link = folder / "7_submitted.pkl"
    assert os.readlink(link) == f"{folder}/0123abcd_0.pkl"


@pytest.mark.parametrize("value", HOSTILE)
def test_what_goes_to_sbatch_arrives_exactly(place: Path, value: str) -> None:
    folder = place / value.replace("\\", "")
    resources = Resources(
        partition=value, account=value, qos=value, reservation=value, constraint=value,
        extra=(f"comment-of-site={value}",),
    )  # fmt: skip
    path = place / "script"
    order = replace(PLAIN, name=value, resources=resources, profile=replace(PYTHON, mail=value))
    path.write_text(script(order, folder), "utf-8")
    subprocess.run(["bash", "-n", str(path)], check=True)
    options = fake_slurm_command.options_of(path)
    for name in ("partition", "account", "qos", "reservation", "constraint", "mail-user"):
        assert options[name] == value
    assert options["comment-of-site"] == options["job-name"] == value
    assert options["output"] == f"{folder}/%j_0_log.out"


@pytest.mark.parametrize(
    "part", ["a\nb", "a\rb", "a\x00b", "a\x1bb", "a\x7fb", "a\\b", "a%jb", "a\udcffb"]
)
def test_folders_that_slurm_could_not_hold_are_refused(
    slurm: FakeSlurm, tmp_path: Path, part: str
) -> None:
    folder = tmp_path / part / "logs"
    with pytest.raises(SchedulerError, match=r"folder is .*; allowed for Slurm: no con"):
        Executor(folder, PLAIN).submit_all([int])
    assert slurm.calls("sbatch") == []
    assert sorted(tmp_path.iterdir()) == [tmp_path / "slurm"]


def test_no_option_breaks_out_of_its_line() -> None:
    with pytest.raises(SchedulerError, match=r"option is 'x\\n#SBATCH --uid=0'; allowed"):
        script(replace(PLAIN, name="x\n#SBATCH --uid=0"), FOLDER)


# Submitting


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return install(tmp_path, monkeypatch)


def test_one_job_is_one_pickle_and_one_call(slurm: FakeSlurm, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "logs"
    assert Executor(folder, PLAIN).submit_all([partial(operator.add, 1, 2)]) == "100"
    assert sorted(path.name for path in folder.iterdir()) == ["0123abcd.sh", "0123abcd_0.pkl"]
    assert DelayedSubmission.load(folder / "0123abcd_0.pkl").result() == 3
    assert (folder / "0123abcd.sh").read_text("utf-8") == script(PLAIN, folder)
    assert slurm.calls("sbatch") == [["--parsable", str(folder / "0123abcd.sh")]]


def test_an_array_is_one_call_too(slurm: FakeSlurm, tmp_path: Path) -> None:
    order = replace(PLAIN, indices=(3, 4, 9))
    functions = [partial(operator.mul, 10, k) for k in (3, 4, 9)]
    assert Executor(tmp_path / "logs", order).submit_all(functions) == "100"
    assert len(slurm.calls("sbatch")) == 1
    assert slurm.state["jobs"].keys() == {"100_3", "100_4", "100_9"}
    for k in order.indices:
        assert DelayedSubmission.load(tmp_path / "logs" / f"0123abcd_{k}.pkl").result() == 10 * k


def test_a_task_of_an_array_finds_its_own_pickle(place: Path) -> None:
    python = recorder(place / "bin" / "python", "echo finished")
    order = replace(PLAIN, indices=(3, 4), profile=Profile(python=str(python)))
    path, folder = place / "script", place / "logs"
    folder.mkdir()
    path.write_text(script(order, folder))
    run(path, place, SLURM_JOB_ID="9", SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID="4")
    assert os.readlink(folder / "7_4_submitted.pkl") == str(folder / "0123abcd_4.pkl")
    (call,) = recorded(place / "bin" / "srun")
    assert f"--output={folder}/7_4_%t_log.out" in call
    assert recorded(python)[0][3] == str(folder / "0123abcd_4.pkl")


@pytest.mark.parametrize("indices", [(), (0, 1), (0, 1, 2, 3)])
def test_as_many_functions_as_tasks(
    slurm: FakeSlurm, tmp_path: Path, indices: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="functions are 3; allowed: "):
        Executor(tmp_path / "logs", replace(PLAIN, indices=indices)).submit_all([int] * 3)
    assert not (tmp_path / "logs").exists()
    assert slurm.calls("sbatch") == []


def test_a_refusal_passes_through(slurm: FakeSlurm, tmp_path: Path) -> None:
    slurm.change(limit=0)
    with pytest.raises(SubmitLimit, match="QOSMaxSubmitJobPerUserLimit"):
        Executor(tmp_path / "logs", PLAIN).submit_all([int])


def test_a_machine_without_srun_may_submit(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (slurm.folder / "bin" / "srun").unlink()
    monkeypatch.setenv("PATH", str(slurm.folder / "bin"))
    assert Executor(tmp_path / "logs", PLAIN).submit_all([int]) == "100"
