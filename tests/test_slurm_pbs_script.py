"""What is booked on PBS, the wrapper to the letter, and that it runs nothing but what it should.

GANYMEDE_GOLDEN=write python -m pytest tests/test_slurm_pbs_script.py writes tests/golden/ anew.
"""

import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_slurm import recorded, recorder

from slurm import pbs_script
from slurm.errors import SchedulerError
from slurm.executors import part
from slurm.orders import TOKEN, Order
from slurm.pbs_script import Wrapping
from slurm.resources import Profile, Resources

WRITE = os.environ.get("GANYMEDE_GOLDEN") == "write"
GOLDEN = Path(__file__).parent / "golden"
FOLDER = Path("/home/me/runs/demo/logs")
PYTHON = Profile(python="/opt/python")
PLAIN = Order("demo.train", "t0123abcd", Resources(cpus_per_task=2), PYTHON)
GPUS = Resources(
    partition="gpu", account="lab", project="thesis", constraint="gpu_model=a100:tier=2",
    minutes=90.5, nodes=2, gpus_per_node=4, cpus_per_task=8, mem_gb=1.5,
    extra=("p=10", "h", "W=group_list=students"),
)  # fmt: skip
SITE = Profile(
    name="site",
    setup=("module load cuda/12.4", "source ~/.venv/bin/activate"),
    prefix=("apptainer", "exec", "--nv", "my image.sif"),
    python="python3",
    interface="ib0",
    mail="me@example.org",
)
CLOSING = Wrapping(closing=("-m", "jobs.succession"))
SUBMITIT = Wrapping(
    warn_s=90.0, stderr_apart=True, python="/opt/python", environment={"COLOUR": "it's blue"}
)
WRAPPED = {
    "plain": (PLAIN, CLOSING),
    "nodes": (replace(PLAIN, resources=GPUS, environment={"GANYMEDE_GPUS_BOOKED": "4"}), CLOSING),
    "exclusive": (
        replace(PLAIN, resources=Resources(gpus_per_node=2, exclusive=True, minutes=10)), CLOSING
    ),
    "site": (replace(PLAIN, profile=SITE, environment={TOKEN: "t0123abcd"}), CLOSING),
    "last": (replace(PLAIN, profile=SITE, last=True), CLOSING),
    "array": (replace(PLAIN, indices=(0, 1, 2), max_running=2), SUBMITIT),
    "submitit": (replace(PLAIN, resources=Resources(minutes=5, tasks_per_node=3)), SUBMITIT),
}  # fmt: skip
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
    "a,b:c=d&e|f<g>",
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a user stands, with a qsub on PATH."""
    (tmp_path / "bin").mkdir()
    recorder(tmp_path / "bin" / "qsub")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o022)
    yield tmp_path
    os.umask(before)


# What is booked


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"partition": "gpu"}, ["-q", "gpu"]),
        ({"reservation": "R12"}, ["-q", "R12"]),
        ({"account": "a lab"}, ["-A", "a lab"]),
        ({"project": "thesis"}, ["-P", "thesis"]),
        ({"minutes": 90.5}, ["-l", "walltime=01:30:30"]),
        ({"minutes": 0.001}, ["-l", "walltime=00:00:01"]),
        ({"minutes": 6000}, ["-l", "walltime=100:00:00"]),
        ({"nodes": 3}, ["-l", "select=3:ncpus=1:mpiprocs=1:ompthreads=1", "-l", "place=scatter"]),
        ({"nodes": 1}, ["-l", "select=1:ncpus=1:mpiprocs=1:ompthreads=1"]),
        ({"tasks_per_node": 4}, ["-l", "select=1:ncpus=4:mpiprocs=4:ompthreads=1"]),
        (
            {"cpus_per_task": 3, "tasks_per_node": 4},
            ["-l", "select=1:ncpus=12:mpiprocs=4:ompthreads=3"],
        ),
        ({"gpus_per_node": 2}, ["-l", "select=1:ncpus=2:mpiprocs=2:ompthreads=1:ngpus=2"]),
        (
            {"gpus_per_node": 2, "tasks_per_node": 1},
            ["-l", "select=1:ncpus=1:mpiprocs=1:ompthreads=1:ngpus=2"],
        ),
        ({"gpus_per_node": 0}, ["-l", "select=1:ncpus=1:mpiprocs=1:ompthreads=1"]),
        ({"mem_gb": 1.5}, ["-l", "select=1:ncpus=1:mpiprocs=1:ompthreads=1:mem=1536mb"]),
        (
            {"constraint": "host=n1:tier=2"},
            ["-l", "select=1:ncpus=1:mpiprocs=1:ompthreads=1:host=n1:tier=2"],
        ),
        ({"exclusive": True}, ["-l", "place=excl"]),
        (
            {"exclusive": True, "nodes": 2},
            ["-l", "select=2:ncpus=1:mpiprocs=1:ompthreads=1", "-l", "place=scatter:excl"],
        ),
        ({"extra": ("p=10", "h", "W=block=true")}, ["-p", "10", "-h", "-W", "block=true"]),
    ],
)
def test_options_of_each_resource(place: Path, wanted: dict[str, Any], words: list[str]) -> None:
    options = pbs_script.options(Order("x", "t1", Resources(**wanted)), FOLDER)
    pairs = [options[k : k + len(words)] for k in range(len(options))]
    assert words in pairs
    plain = pbs_script.options(Order("x", "t1", Resources()), FOLDER)
    added = [word for word in options if word not in plain]
    assert set(added) <= set(words)  # and nothing else


def test_options_of_every_job(place: Path) -> None:
    assert pbs_script.options(Order("x", "t1", Resources()), FOLDER) == [
        "-N", "x", "-j", "oe", "-k", "doe", "-o", f"{FOLDER}/", "-W", "umask=022", "-r", "y",
        "-l", "select=1:ncpus=1:mpiprocs=1:ompthreads=1", "-m", "n",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("indices", "most", "words"),
    [
        ((), None, []),
        ((5,), 3, []),  # PBS takes no array of one
        ((0, 1), None, ["-J", "0-1"]),
        ((0, 1, 2, 5, 7, 8), 4, ["-J", "0-5%4"]),
        ((0, 1, 2), 256, ["-J", "0-2"]),  # older PBS know no such limit
    ],
)
def test_options_of_an_array(
    place: Path, indices: tuple[int, ...], most: int | None, words: list[str]
) -> None:
    options = pbs_script.options(replace(PLAIN, indices=indices, max_running=most), FOLDER)
    assert options[options.index("-J") if "-J" in options else len(options) :][:2] == words


@pytest.mark.parametrize(("last", "points"), [(True, "ae"), (False, "a")])
def test_options_of_mail(place: Path, last: bool, points: str) -> None:
    options = pbs_script.options(replace(PLAIN, profile=SITE, last=last), FOLDER)
    assert options[-4:] == ["-M", "me@example.org", "-m", points]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("demo.train-1_x", "demo.train-1_x"),
        ("a b/c:d,e[0]", "a_b_c_d_e_0_"),
        ("käse $(x) 'y'", "k_se___x___y_"),
        ("n" * 300, "n" * 200),
    ],
)
def test_names_are_what_qsub_takes(place: Path, name: str, written: str) -> None:
    assert pbs_script.options(replace(PLAIN, name=name), FOLDER)[:2] == ["-N", written]


def test_a_folder_that_qsub_would_refuse_for_its_letters(place: Path) -> None:
    options = pbs_script.options(PLAIN, Path("/home/josé/logs"))
    assert options[options.index("-o") + 1] == "/dev/null"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"qos": "long"}, "qos is 'long'; PBS has none: choose a queue by partition"),
        ({"gpu_type": "a100"}, "gpu_type is 'a100'; .* give constraint, as gpu_model=a100"),
        ({"partition": "a", "reservation": "b"}, "partition and reservation are both given"),
        ({"constraint": "nvlink&a100"}, "constraint is 'nvlink&a100'; allowed for PBS: resource=v"),
        ({"constraint": "host=n1+1:ncpus=4"}, r"constraint is 'host=n1\+1:ncpus=4'; allowed"),
        ({"constraint": "host=n1,walltime=9"}, "constraint is 'host=n1,walltime=9'; allowed"),
        ({"constraint": "host=a b"}, "constraint is 'host=a b'; allowed"),
        ({"extra": ("nice=10",)}, "extra is 'nice=10'; allowed for PBS: a, c, h, l, p, q, P, S, u"),
        ({"extra": ("v=A=1",)}, "extra is 'v=A=1'; allowed for PBS"),
        ({"extra": ("N=other",)}, "extra is 'N=other'; allowed for PBS"),
        ({"extra": ("o=x",)}, "extra is 'o=x'; allowed for PBS"),
        ({"extra": ("J=0-3",)}, "extra is 'J=0-3'; allowed for PBS"),
    ],
)
def test_what_pbs_does_not_have_is_refused(wanted: dict[str, Any], told: str) -> None:
    with pytest.raises(SchedulerError, match=told):
        pbs_script.options(Order("x", "t1", Resources(**wanted)), FOLDER)


@pytest.mark.parametrize("part", ["a\nb", "a\rb", "a\x00b", "a\x1bb", "a\x7fb", "a%jb", "a\udcffb"])
def test_folders_that_pbs_could_not_hold_are_refused(tmp_path: Path, part: str) -> None:
    with pytest.raises(SchedulerError, match=r"folder is .*; allowed for PBS: no control char"):
        pbs_script.check_folder(tmp_path / part)
    assert pbs_script.check_folder(tmp_path / "a b") == tmp_path / "a b"


# The wrapper


@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers_are_as_they_were_approved(place: Path, name: str) -> None:
    order, wrapping = WRAPPED[name]
    shown = pbs_script.script(order, FOLDER, wrapping, FOLDER)
    for piece in ("setup.sh", "pbs.sh"):
        assert shown.count(part(piece)) == 1
        shown = shown.replace(part(piece), f"... slurm/scripts/{piece} ...\n")
    shown = f"# qsub {shlex.join(pbs_script.options(order, FOLDER))}\n{shown}"
    shown = shown.replace(str(place), "/home/me")
    golden = GOLDEN / f"pbs-{name}.sh"
    if WRITE:
        golden.write_text(shown, "utf-8")
    assert shown == golden.read_text("utf-8")


def test_there_is_a_golden_wrapper_for_each_and_no_other() -> None:
    assert {path.stem for path in GOLDEN.glob("pbs-*")} == {f"pbs-{name}" for name in WRAPPED}


def run(path: Path, **variables: str) -> str:
    """Run a wrapper as PBS does; returns its log."""
    hosts = path.parent / "hosts"
    hosts.write_text("first\n")
    environment = {"PATH": "/usr/bin:/bin", "PBS_JOBID": "7.host", "PBS_NODEFILE": str(hosts)}
    environment |= {TOKEN: "t0123abcd", "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["/bin/bash", str(path)], env=environment | variables, cwd=path.parent.parent,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
    (log,) = path.parent.rglob("7.host_0_log.out")
    return log.read_text("utf-8", errors="surrogateescape")


@pytest.mark.parametrize("value", HOSTILE)
def test_what_goes_to_the_shell_arrives_exactly(place: Path, value: str) -> None:
    python = recorder(place / "bin" / "python", 'printf %s "$GANYMEDE_X" > carried; pwd > here')
    folder, stand = place / value / "logs", place / value / "stand"
    stand.mkdir(parents=True)
    os.chdir(stand)
    profile = Profile(
        prefix=(str(recorder(place / "bin" / "prefix", 'shift; exec "$@"')), value),
        python=str(python),
        setup=(f"printf '%s' {shlex.quote(value)} > said",),
    )
    order = replace(PLAIN, profile=profile, environment={"GANYMEDE_X": value})
    path = place / "wrapper.sh"
    pbs_script.write(path, pbs_script.script(order, folder, CLOSING, folder))
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert run(path) == ""
    assert not list(place.rglob("owned"))
    for name in ("said", "carried"):
        assert (stand / name).read_text("utf-8") == value
    assert (stand / "here").read_text("utf-8") == f"{stand}\n"
    launched, closed = recorded(python)
    assert launched[:3] == ["-P", "-m", "slurm.launch"]
    assert ["--logs", str(folder), "--id", "7.host", "--", *profile.prefix, str(python)] == (
        launched[launched.index("--logs") :][:8]
    )
    assert launched[-1] == str(folder)
    assert closed[:4] == ["-P", "-m", "jobs.succession", f"{folder}/t0123abcd_0.pkl"]
    assert os.readlink(folder / "7.host_submitted.pkl") == f"{folder}/t0123abcd_0.pkl"


@pytest.mark.parametrize("value", [*HOSTILE, "two\nlines\n", "\x1b[31m", "\udcff\udc80", ""])
def test_an_environment_arrives_exactly(place: Path, value: str) -> None:
    python = recorder(place / "python", 'printf %s "$COLOUR" > carried')
    wrapping = Wrapping(python=str(python), environment={"COLOUR": value})
    path = place / "wrapper.sh"
    pbs_script.write(path, pbs_script.script(PLAIN, place, wrapping, place / "%j"))
    assert path.stat().st_mode & 0o777 == 0o600
    run(path)
    assert os.fsdecode((place / "carried").read_bytes()) == value
    assert not (place / "owned").exists()
    assert (place / "7.host" / "7.host_0_log.out").exists()


def test_the_environment_here_without_what_is_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"COLOUR": "blue", "PATH": "/bin", "PBS_SERVER": "other", "LC_ALL": "C", "HOMER": "x"}
    gone = (
        "HOME", "TMPDIR", "PWD", "HOSTNAME", "DISPLAY", "SSH_CLIENT", "XDG_RUNTIME_DIR",
        "SHELLOPTS", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "NCPUS", "BASH_FUNC_module%%",
        "not-a-name", "PBS_JOBID", "SLURM_JOB_ID", "SUBMITIT_EXECUTOR", "GANYMEDE_TOKEN",
    )  # fmt: skip
    for name in [*os.environ]:
        monkeypatch.delenv(name)
    for name, value in [*kept.items(), *((name, "x") for name in gone)]:
        monkeypatch.setenv(name, value)
    assert pbs_script.environment_here() == kept


def test_a_task_of_an_array_finds_its_own_pickle(place: Path) -> None:
    python = recorder(place / "python")
    order = replace(PLAIN, profile=Profile(python=str(python)), indices=(3, 4))
    path = place / "wrapper.sh"
    pbs_script.write(path, pbs_script.script(order, place, CLOSING, place))
    run(path, PBS_ARRAY_INDEX="1", PBS_JOBID="7.host")
    assert os.readlink(place / "7.host_submitted.pkl") == f"{place}/t0123abcd_1.pkl"


def test_the_time_limit_is_carried_into_the_job(place: Path) -> None:
    python = recorder(place / "python", "echo $GANYMEDE_BEGIN $GANYMEDE_END > limit")
    profile = Profile(python=str(python))
    order = replace(PLAIN, profile=profile, resources=Resources(minutes=1.5))
    path = place / "wrapper.sh"
    pbs_script.write(path, pbs_script.script(order, place, CLOSING, place))
    run(path)
    begin, end = map(float, (place / "limit").read_text().split())
    assert end - begin == pytest.approx(90, abs=0.01)


@pytest.mark.parametrize(
    ("walltime", "seconds"), [("01:00:08", 3608), ("100:00:00", 360000), ("90", 90), ("", None)]
)
def test_a_limit_of_the_queue_is_asked_for(place: Path, walltime: str, seconds: int | None) -> None:
    line = f"printf '    Resource_List.walltime = {walltime}\\n'" if walltime else ":"
    recorder(place / "bin" / "qstat", line)
    python = recorder(place / "python", "echo $GANYMEDE_BEGIN $GANYMEDE_END > limit")
    order = replace(PLAIN, profile=Profile(python=str(python)))
    path = place / "wrapper.sh"
    pbs_script.write(path, pbs_script.script(order, place, CLOSING, place))
    run(path)
    begin, *end = map(float, (place / "limit").read_text().split())
    assert recorded(place / "bin" / "qstat") == [["-f", "7.host"]]
    assert end == ([] if seconds is None else [pytest.approx(begin + seconds, abs=0.01)])


# Its first lines


@pytest.fixture
def two_schedulers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the qsub that submits; the profile puts another scheduler's one first."""
    for name in ("pbs bin", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "qsub").write_text(f"#!/bin/sh\necho {name}\n")
        (tmp_path / name / "qsub").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'pbs bin'}:/bin")
    return tmp_path


def bash(lines: list[str]) -> str:
    done = subprocess.run(
        ["/bin/bash", "-c", "\n".join(lines)],
        env={"PATH": "/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_a_job_calls_the_qsub_that_it_was_submitted_with(two_schedulers: Path) -> None:
    lines = pbs_script.opening()
    assert lines[1] == "[ ! -r /etc/profile ] || . /etc/profile"
    lines[1] = f"PATH='{two_schedulers}/other':/bin"  # in place of this machine's own
    assert bash([*lines, "qsub"]) == "pbs bin\n"


def test_path_stays_as_the_profile_has_it_where_that_qsub_is_found(two_schedulers: Path) -> None:
    lines = pbs_script.opening()
    lines[1] = f"PATH='{two_schedulers}/other/none':'{two_schedulers}/pbs bin':/bin"
    told = bash([*lines, 'echo "$PATH"'])
    assert told == f"{two_schedulers}/other/none:{two_schedulers}/pbs bin:/bin\n"


def test_a_job_gets_the_mask_of_the_shell_that_submits(two_schedulers: Path) -> None:
    assert bash(["umask 077", *pbs_script.opening(), "umask"]) == bash(["umask"])
