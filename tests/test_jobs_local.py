"""Whole runs on this machine, as a user starts, kills, stops, resumes and cancels them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import TINY_FLAGS
from states import assert_same_state

from gan import samples, scalars
from jobs import processes, records
from jobs.run import Run

Ganymede = Callable[..., subprocess.CompletedProcess[str]]
TINY = ("run", "acgan-digits", *TINY_FLAGS)
LONGER = (*TINY, "--train.epochs", "12")  # long enough to be hit in the middle


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jobs.cli", *arguments]
    with (folder / "out.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, start_new_session=True, stdout=log, stderr=subprocess.STDOUT
        )


def wait_for_step(run: Run, step: int, timeout_s: float = 90) -> dict[str, object]:
    """Until the live attempt has passed a step; returns its record."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            progress = json.loads(run.progress_file("train").read_text())
            record = records.latest(run, "train")
            if progress["step"] >= step and processes.is_alive(record):
                return record
        except (OSError, ValueError, TypeError):
            pass
        time.sleep(0.02)
    raise TimeoutError(
        f"step {step} not reached: {(run.path.parent.parent / 'out.log').read_text()}"
    )


def wait_for_text(log: Path, text: str, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def kill_everything(process: subprocess.Popen[bytes]) -> None:
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that the others must equal."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start(folder, *LONGER, "--name", "run")
    assert process.wait(timeout=200) == 0, (folder / "out.log").read_text()
    return Run(folder / "runs" / "run")


def assert_equal_runs(run: Run, other: Run) -> None:
    final = [r.store().latest() for r in (run, other)]
    assert final[0].step == final[1].step == run.settings()["total_steps"]
    assert_same_state(final[0].load(), final[1].load())
    for name in ("samples.h5", "generated.h5"):
        first, second = (samples.read(r.path / name) for r in (run, other))
        assert (first.images == second.images).all()
    for tag, (steps, values) in scalars.read(other.scalars).items():
        assert steps.tolist() == scalars.read(run.scalars)[tag][0].tolist()
        assert (values == scalars.read(run.scalars)[tag][1]).all()


def test_a_run_leaves_all_that_it_promises(undisturbed: Run, ganymede: Ganymede) -> None:
    path = undisturbed.path
    found = {p.name for p in path.iterdir()}
    assert found >= {"config.json", "checkpoints", "samples.h5", "figures", "logs", "report.html"}
    for folder in (path / "checkpoints").iterdir():
        assert re.fullmatch(r"step-\d+", folder.name)
        assert {p.name for p in folder.iterdir()} == {"state.pt", "manifest.json"}
    done = ganymede("status", "run", "--json", "--runs", str(path.parent))
    rows = json.loads(done.stdout)
    assert [row["stage"] for row in rows] == ["train", "sample", "report"]
    needed = {"run", "path", "recipe", "stage", "state", "step", "total_steps", "cause"}
    needed |= {"attempts", "job_id"}
    for row in rows:
        assert row.keys() >= needed
        assert (row["run"], row["state"], row["attempts"]) == ("run", "finished", 1)
    assert rows[0]["step"] == rows[0]["total_steps"] == 12 * 22


def test_the_same_command_again_finds_it_done(undisturbed: Run, ganymede: Ganymede) -> None:
    again = ganymede(*LONGER, "--name", "run", "--runs", str(undisturbed.path.parent))
    assert again.returncode == 0, again.stderr
    assert records.numbers(undisturbed, "train") == [1]


def test_killed_and_stopped_ends_in_the_same_bits(
    undisturbed: Run, tmp_path: Path, ganymede: Ganymede
) -> None:
    run = Run(tmp_path / "runs" / "run")
    for step in (30, 100):
        process = start(tmp_path, *LONGER, "--name", "run")
        wait_for_step(run, step)
        kill_everything(process)
        row = json.loads(ganymede("status", "run", "--json").stdout)[0]
        assert (row["state"], row["cause"]) == ("stopped", "killed")
    process = start(tmp_path, *LONGER, "--name", "run")
    wait_for_step(run, 150)
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    row = json.loads(ganymede("status", "run", "--json").stdout)[0]
    assert (row["state"], row["cause"], row["attempts"]) == ("stopped", "terminated", 3)
    assert row["step"] == run.store().latest().step  # it saved where it stopped
    done = ganymede("resume", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_equal_runs(run, undisturbed)


def test_launcher_killed_alone_leaves_the_job_and_is_found_again(
    undisturbed: Run, tmp_path: Path, ganymede: Ganymede
) -> None:
    run = Run(tmp_path / "runs" / "run")
    process = start(tmp_path, *LONGER, "--name", "run")
    record = wait_for_step(run, 10)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = ganymede(*LONGER, "--name", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"already running, job {record['job_id']} on " in done.stdout
    assert records.numbers(run, "train") == [1]
    assert_equal_runs(run, undisturbed)


def test_time_limit_saves_and_the_same_command_goes_on(
    undisturbed: Run, tmp_path: Path, ganymede: Ganymede
) -> None:
    limited = ganymede(*LONGER, "--name", "run", "--minutes", "0.001")
    assert limited.returncode == 1
    assert "stopped: time limit at step 0/264" in limited.stdout
    done = ganymede(*LONGER, "--name", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_equal_runs(Run(tmp_path / "runs" / "run"), undisturbed)


def test_a_run_that_seems_alive_elsewhere_can_be_taken_over(
    undisturbed: Run, tmp_path: Path, ganymede: Ganymede
) -> None:
    run = Run(tmp_path / "runs" / "run")
    assert ganymede(*LONGER, "--name", "run", "--minutes", "0.001").returncode == 1
    path = run.attempt_file("train", 1)
    record = json.loads(path.read_text()) | {"host": "elsewhere", "boot_id": "another"}
    del record["cause"]
    path.write_text(json.dumps(record))
    assert json.loads(ganymede("status", "run", "--json").stdout)[0]["state"] == "running"
    bystander = subprocess.Popen(["sleep", "60"])
    path.write_text(json.dumps(record | {"pid": bystander.pid}))
    assert "nothing ran here" in ganymede("cancel", "run").stdout
    waiting = start(tmp_path, *LONGER, "--name", "run")
    wait_for_text(tmp_path / "out.log", "already running")
    waiting.terminate()
    assert waiting.wait(timeout=20) == 128 + signal.SIGTERM  # it does not wait for the other one
    assert bystander.poll() is None  # nor signal what has the same number here
    bystander.kill()
    bystander.wait()
    done = ganymede("resume", "run", "--take-over")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_equal_runs(run, undisturbed)


def test_cancelled_stays_cancelled_until_asked(tmp_path: Path, ganymede: Ganymede) -> None:
    run = Run(tmp_path / "runs" / "run")
    process = start(tmp_path, *TINY, "--train.epochs", "500", "--name", "run")
    wait_for_step(run, 10)
    cancelled = ganymede("cancel", "run")
    assert "run cancelled; asked to save and stop: train" in cancelled.stdout
    assert process.wait(timeout=60) == 1
    states = [row["state"] for row in json.loads(ganymede("status", "--json").stdout)]
    assert states == ["cancelled"] * 3
    assert run.store().latest().step > 0
    table = ganymede("status").stdout
    assert "cancelled" in table


def test_crash_is_told_with_its_traceback(tmp_path: Path, ganymede: Ganymede) -> None:
    assert ganymede(*TINY, "--name", "run", "--minutes", "0.001").returncode == 1
    (tmp_path / "runs" / "run" / "figures").write_text("a file where a folder should be")
    crashed = ganymede("resume", "run")
    assert crashed.returncode == 1
    assert "run train: failed: crashed" in crashed.stdout
    assert "sample: waiting" in crashed.stdout
    assert "FileExistsError" in ganymede("logs", "run").stdout
    record = records.latest(Run(tmp_path / "runs" / "run"), "train")
    assert "FileExistsError" in record["traceback"]


def test_damage_is_found_and_survived(tmp_path: Path, ganymede: Ganymede) -> None:
    assert ganymede(*TINY, "--name", "run").returncode == 0
    assert ganymede("verify", "run").returncode == 0
    run = Run(tmp_path / "runs" / "run")
    state = run.store().path(22) / "state.pt"
    data = bytearray(state.read_bytes())
    data[99] ^= 1
    state.write_bytes(data)
    found = ganymede("verify", "run")
    assert found.returncode == 1
    assert "step-00000022/state.pt: SHA-256 differs" in found.stdout


def test_damaged_end_of_a_finished_run_is_made_again(
    undisturbed: Run, tmp_path: Path, ganymede: Ganymede
) -> None:
    run = Run(tmp_path / "runs" / "run")
    shutil.copytree(undisturbed.path, run.path)
    state = run.store().path(264) / "state.pt"
    content = state.read_bytes()
    state.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    healed = ganymede(*LONGER, "--name", "run")
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert "state.pt is not what stage train wrote; it is done again" in healed.stdout
    assert "checkpoint skipped" in healed.stdout
    assert "going on from step 242" in healed.stdout
    assert_equal_runs(run, undisturbed)
    assert ganymede("verify", "run").returncode == 0


def test_report_of_an_unfinished_run_does_not_stand_for_the_final_one(
    tmp_path: Path, ganymede: Ganymede
) -> None:
    assert ganymede(*TINY, "--name", "run", "--minutes", "0.001").returncode == 1
    assert ganymede("report", "run").returncode == 0
    run = Run(tmp_path / "runs" / "run")
    assert "What is missing" in run.report_file.read_text()
    assert ganymede("resume", "run").returncode == 0
    assert "What is missing" not in run.report_file.read_text()


def test_a_failed_save_is_not_called_saved(tmp_path: Path, ganymede: Ganymede) -> None:
    run = Run(tmp_path / "runs" / "run")
    process = start(tmp_path, *TINY, "--train.epochs", "500", "--name", "run")
    wait_for_step(run, 30)
    shutil.rmtree(run.path / "checkpoints", ignore_errors=True)
    (run.path / "checkpoints").write_text("a file where the folder was")
    process.terminate()
    assert process.wait(timeout=60) == 1


def test_refused_checkpoints_give_status_2(tmp_path: Path, ganymede: Ganymede) -> None:
    assert ganymede(*TINY, "--name", "run").returncode == 0
    run = Run(tmp_path / "runs" / "run")
    for step in run.store().steps():
        (run.store().path(step) / "state.pt").write_bytes(b"nothing")
    run.stage_file("train").unlink()
    refused = ganymede("resume", "run")
    assert refused.returncode == 2
    assert "none of the 2 checkpoints" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr


def test_full_disk_stops_with_its_cause(
    tmp_path: Path, small_disk: Path, ganymede: Ganymede
) -> None:
    run = Run(small_disk / "runs" / "run")
    place = ("--name", "run", "--runs", str(small_disk / "runs"))
    process = start(tmp_path, *LONGER, *place)
    wait_for_step(run, 50)
    with pytest.raises(OSError, match="No space"), (small_disk / "filler").open("wb", 0) as file:
        while True:
            file.write(bytes(512))
    assert process.wait(timeout=60) == 1
    said = (tmp_path / "out.log").read_text()
    assert "train: failed: disk full" in said
    assert "Traceback" not in said
    assert run.store().problems() == []
    saved = run.store().latest().step
    assert saved >= 22
    (small_disk / "filler").unlink()
    # Room for what follows training, too: its pictures and films take more than the checkpoints.
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    done = ganymede(*LONGER, *place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"going on from step {saved}" in done.stdout
