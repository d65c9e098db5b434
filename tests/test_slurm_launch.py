"""The ranks of a node: real processes of a real launcher."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slurm import launch

# Its own main, with less patience.
PROGRAM = "import sys; from slurm import launch; launch._KILL_S = {}; sys.exit(launch.main())"
PLACE = "import json, os; print(json.dumps(dict(os.environ)))"
SLEEP = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); {SLEEP}"
# Rank 1 fails once the others are ready; they do what comes after.
FAILS = """
import os, pathlib, sys, time
while os.environ["RANK"] == "1":
    if all("ready" in path.read_text() for path in pathlib.Path("logs").glob("7_[!1]_log.out")):
        sys.exit(3)
    time.sleep(0.02)
"""
Launch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launch]:
    """Starts a launcher of `python -c CODE`; options are by name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    monkeypatch.setenv("SUBMITIT_PBS_HOSTS", "first,second")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    started = []

    def launched(
        code: str, *flags: str, command: tuple[str, ...] = (), kill_s: float = 60.0, **options: Any
    ) -> subprocess.Popen[str]:
        values = {"node": 0, "nodes": 1, "per-node": 1, "mark": "mark", "logs": "logs", "id": "7"}
        values |= {name.replace("_", "-"): value for name, value in options.items()}
        words = [f"--{name}={value}" for name, value in values.items()]
        command = command or (sys.executable, "-c", code)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(kill_s), *words, *flags, "--", *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield launched
    for process in started:
        with process:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit status and what it said."""
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


def log(rank: int, end: str = "out") -> Path:
    return Path("logs", f"7_{rank}_log.{end}")


def wait_for(path: Path, text: str = "ready") -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Where they are


def test_ranks_know_their_place(start: Launch) -> None:
    assert ended(start(PLACE, node=1, nodes=3, per_node=2)) == (0, "")
    for local, rank in enumerate((2, 3)):
        found = json.loads(log(rank).read_text())
        wanted = {
            "RANK": rank, "LOCAL_RANK": local, "WORLD_SIZE": 6, "LOCAL_WORLD_SIZE": 2,
            "MASTER_ADDR": "first", "SUBMITIT_PBS_NUM_TASKS": 6, "SUBMITIT_PBS_NUM_NODES": 3,
            "SUBMITIT_PBS_NODE": 1, "SUBMITIT_PBS_GLOBAL_RANK": rank,
            "SUBMITIT_PBS_LOCAL_RANK": local,
        }  # fmt: skip
        assert {name: found[name] for name in wanted} == {k: str(v) for k, v in wanted.items()}
        assert 20000 <= int(found["MASTER_PORT"]) < 30000
        assert "CUDA_VISIBLE_DEVICES" not in found
    assert sorted(path.name for path in Path("logs").iterdir()) == ["7_2_log.out", "7_3_log.out"]


def test_all_ranks_of_a_job_agree_on_a_port_and_jobs_do_not() -> None:
    def port(job_id: str, rank: int) -> str:
        of = launch.Node([], rank, 2, 1, Path("mark"), Path("logs"), job_id)
        return launch.rank_environment(of, rank, 0)["MASTER_PORT"]

    assert port("7.host", 0) == port("7.host", 1)
    assert len({port(f"{number}.host", 0) for number in range(20)}) == 20


def test_logs_are_added_to(start: Launch) -> None:
    speak = "import sys; print('aloud'); print('aside', file=sys.stderr)"
    assert ended(start(speak)) == (0, "")
    assert sorted(log(0).read_text().split()) == ["aloud", "aside"]
    assert ended(start(speak, "--stderr-apart")) == (0, "")
    assert sorted(log(0).read_text().split()) == ["aloud", "aloud", "aside"]
    assert log(0, "err").read_text() == "aside\n"


# How they end


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(0)", 0),
        ("raise SystemExit(85)", 85),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("import os, signal; os.kill(os.getpid(), signal.SIGUSR2)", 140),
    ],
)
def test_the_status_of_a_rank(start: Launch, code: str, status: int) -> None:
    assert ended(start(code)) == (status, "")
    assert Path("mark.0").read_text() == f"{status} \n"
    assert not list(Path().glob("*aside*"))


def test_one_that_fails_ends_the_others(start: Launch) -> None:
    process = start(f"print('ready', flush=True)\n{FAILS}\n{SLEEP}", per_node=3)
    assert ended(process) == (3, "")  # not 143, as those that it ended


def test_one_that_does_not_listen_is_killed(start: Launch) -> None:
    code = f"{FAILS}\n{STUBBORN}"
    assert ended(start(code, per_node=2, kill_s=0.3)) == (3, "")


def test_others_may_use_the_time_that_they_have(start: Launch) -> None:
    saves = (
        "import signal, time\n"
        "def save(*_): time.sleep(0.5); print('saved', flush=True); raise SystemExit(0)\n"
        "signal.signal(15, save); print('ready', flush=True); time.sleep(600)"
    )
    assert ended(start(f"{FAILS}\n{saves}", per_node=2)) == (3, "")
    assert log(0).read_text() == "ready\nsaved\n"


def test_what_ends_the_whole_session_is_the_ranks_to_answer(start: Launch) -> None:
    """As PBS has it: the signal goes to all processes; the launcher stays to see how they end."""
    saves = "import signal; signal.signal(15, lambda *_: exit(85)); print('ready', flush=True)"
    process = start(f"{saves}; {SLEEP}", per_node=2)
    for rank in (0, 1):
        wait_for(log(rank))
    os.killpg(process.pid, signal.SIGTERM)
    assert ended(process) == (85, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_no_signal_ends_the_launcher_alone(start: Launch, number: signal.Signals) -> None:
    process = start("print('ready', flush=True); input_ = open('go').read()")
    os.mkfifo("go")
    wait_for(log(0))
    process.send_signal(number)
    Path("go").write_text("")
    assert ended(process) == (0, "")


def test_a_command_that_is_not_there(start: Launch) -> None:
    status, said = ended(start("", command=("/no/such/python",)))
    assert status == 1
    assert said.splitlines()[-1].startswith("FileNotFoundError")
    assert Path("mark.0").read_text() == "1 the ranks could not be started\n"


# Other nodes


def test_a_node_that_failed_ends_this_one(start: Launch) -> None:
    process = start(f"print('ready', flush=True); {SLEEP}", node=1, nodes=3)
    wait_for(log(1))
    Path("mark.0").write_text("0 \n")
    Path("mark.2").write_text("")  # not yet written
    assert process.poll() is None
    Path("mark.2").write_text("5 out of luck\n")
    assert ended(process) == (5, "")
    assert Path("mark.1").read_text() == "5 \n"


def test_the_first_node_waits_for_all_and_tells_the_worst(start: Launch) -> None:
    process = start("", nodes=3)
    wait_for(Path("mark.0"), "0 \n")
    Path("mark.1").write_text("4 \n")
    assert process.poll() is None
    Path("mark.2").write_text("3 \n")
    assert ended(process) == (4, "")


def test_other_nodes_wait_for_nobody(start: Launch) -> None:
    assert ended(start("", node=1, nodes=3)) == (0, "")


# Being warned


NOTES = """
import signal, time
noted = []
signal.signal(signal.{}, lambda number, frame: noted.append(number))
print('ready', flush=True)
while not noted:
    time.sleep(0.02)
time.sleep(0.5)
print(len(noted))
"""


def test_ranks_are_warned_once_at_their_time(start: Launch) -> None:
    at = time.time() + 2
    assert ended(start(NOTES.format("SIGUSR2"), per_node=2, warn_at=at)) == (0, "")
    assert time.time() > at
    for rank in (0, 1):
        assert log(rank).read_text() == "ready\n1\n"


def test_one_that_is_still_loading_is_warned_when_it_listens(start: Launch) -> None:
    code = f"import time; time.sleep(0.7); {NOTES.format('SIGUSR2')}"
    assert ended(start(code, warn_at=time.time() - 60)) == (0, "")
    assert log(0).read_text() == "ready\n1\n"


def test_one_that_never_listens_does_not_die_of_it(start: Launch) -> None:
    assert ended(start("import time; time.sleep(0.7)", warn_at=time.time() - 60)) == (0, "")


def test_submitits_own_choice_of_a_signal(start: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBMITIT_PREEMPT_SIGNAL", "USR1")
    assert ended(start(NOTES.format("SIGUSR1"), warn_at=time.time())) == (0, "")
    assert log(0).read_text() == "ready\n1\n"


# GPUs


def nvidia_smi(folder: Path, busy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names are of this test alone: claims are this machine's."""
    listed = f"echo {folder}-a; echo {folder}-b"
    body = f"case $1 in *gpu=uuid) {listed} ;; *) echo {busy} ;; esac"
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_all_ranks_of_a_node_see_what_it_has_claimed(
    start: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path, f"{tmp_path}-a", monkeypatch)
    show = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    assert ended(start(show, gpus=1, per_node=2)) == (0, "")
    assert [log(rank).read_text() for rank in (0, 1)] == [f"{tmp_path}-b\n"] * 2


def test_a_whole_node_has_them_all(start: Launch) -> None:
    assert ended(start(PLACE, "--all-gpus", gpus=8)) == (0, "")
    assert "CUDA_VISIBLE_DEVICES" not in json.loads(log(0).read_text())


def test_too_few_gpus_are_told_and_nothing_starts(
    start: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path, f"{tmp_path}-a", monkeypatch)
    status, said = ended(start(PLACE, gpus=2, nodes=2, node=1))
    assert status == 2
    assert said.startswith("2 GPUs were booked on ")
    assert Path("mark.1").read_text() == f"2 {said}"
    assert list(Path("logs").iterdir()) == []
