"""Every write of a run fails once, and once for good: what becomes of the run?

    python -m benchmarks.faults [--every 1]

strace makes one system call of a real process fail: the n-th write, fsync, rename, link, mkdir or
unlink of each of its threads, with an error that disks, quotas and file servers give. Asked of each
place: did the run end with a cause in its record or with the error in a line; is every checkpoint
that got its name still there and good; does the run, gone on with, end in the bits of one that was
left in peace? Prints the counts; exit status 1 if an answer is no.
"""

import argparse
import contextlib
import ctypes
import errno
import functools
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.crashes.__main__ import scratch
from benchmarks.kills.judge import differences
from checkpoints import CheckpointError
from gan import numerics
from jobs import cli, pipeline, records
from jobs.run import Run

NAME = "run"
CALLS = ("write", "fsync", "rename", "link", "mkdir", "unlink")
ERRORS = ("EIO", "ENOSPC", "EDQUOT")
_FLAGS = (
    "gan-digits", "--data.image-size", "8", "--model.latent", "8",
    "--model.generator-hidden", "8", "--model.critic-hidden", "8",
    "--train.epochs", "2", "--train.passes-per-epoch", "1", "--train.batch-size", "256",
    "--train.log-every", "2", "--train.keep-checkpoints", "1", "--train.checkpoint-minutes", "1e-9",
    "--train.grid-rows", "1", "--train.final-samples", "8",
    "--threads", "1", "--here", "--name", NAME,
)  # fmt: skip
_LIMIT_S = 120.0
UNREACHED = "the run was over before"  # a few calls more or less are made, as time goes by
_PR_SET_PTRACER, _ANY = 0x59616D61, ctypes.c_ulong(-1)
_COMMITTED = re.compile(r'rename\(.*checkpoints/step-(\d+)"\) += 0')


@dataclass(frozen=True)
class Fault:
    """Which call fails, and how: the n-th of each thread, or all from the n-th on."""

    call: str
    error: str
    number: int
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.call} {self.number}{'+' * self.lasting} {self.error}"

    @property
    def injection(self) -> str:
        when = f"{self.number}{'+' * self.lasting}"
        return f"--inject={self.call}:error={self.error}:when={when}"


@dataclass(frozen=True)
class End:
    """How a process ended, what it said, and what strace saw."""

    status: int
    said: str
    seen: str


def available() -> bool:
    return shutil.which("strace") is not None


def prepare(runs: Path) -> Run:
    """A run that has not begun."""
    with contextlib.redirect_stdout(io.StringIO()):
        cli.prepare([*_FLAGS, "--runs", str(runs)])
    return Run(runs / NAME)


def work(run: Run) -> None:
    """All stages but the report, as far as they go in this process."""
    graph = pipeline.stages(run)
    pipeline.withdraw_damaged(graph, print)
    for stage in graph:
        if stage.name != "report":
            stage.job()


def reference_run(folder: Path) -> Run:
    """The run that all others must end like; made in this process, whose children then have all
    modules.
    """
    numerics.configure(1)
    run = prepare(folder)
    with contextlib.redirect_stdout(io.StringIO()):
        work(run)
    return run


def in_a_child(job: Callable[[], None], log: Path, strace: tuple[str, ...] = ()) -> End:
    """Do it in a process of its own, under strace with these options if there are any."""
    said = log.with_suffix(".said")
    pid = os.fork()
    if pid == 0:
        _be_a_child(job, said, traced=bool(strace))
    try:
        with _watched(pid, log, strace) if strace else contextlib.nullcontext():
            status = _wait(pid)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    seen = log.read_text() if strace else ""
    return End(os.waitstatus_to_exitcode(status), said.read_text(), seen)


def _be_a_child(job: Callable[[], None], said: Path, traced: bool) -> None:
    status = 1
    try:
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1), os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
        if traced:
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
        job()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        with contextlib.suppress(OSError):
            traceback.print_exc()
    finally:
        os._exit(status)


@contextlib.contextmanager
def _watched(pid: int, log: Path, options: tuple[str, ...]) -> Iterator[None]:
    """strace has the process, which goes on from its stop."""
    os.waitpid(pid, os.WUNTRACED)
    command = ["strace", "--follow-forks", f"--output={log}", *options, f"--attach={pid}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        line = strace.stderr.readline()
        if "attached" not in line:
            raise RuntimeError(f"strace cannot watch a process here: {line.strip()}")
        os.kill(pid, signal.SIGCONT)
        yield
        strace.stderr.read()


def _wait(pid: int) -> int:
    end = time.monotonic() + _LIMIT_S
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.005)
    raise TimeoutError(f"not at its end after {_LIMIT_S:.0f} s")


def places(run: Run, log: Path) -> tuple[dict[str, int], End]:
    """How often each call is made, by the thread that makes it most; the run is finished then."""
    end = in_a_child(functools.partial(work, run), log, (f"--trace={','.join(CALLS)}",))
    counts: dict[str, Counter[str]] = {call: Counter() for call in CALLS}
    for line in end.seen.splitlines():
        thread, _, rest = line.partition(" ")
        call = rest.strip().partition("(")[0]
        if call in counts:
            counts[call][thread] += 1
    return {call: max(found.values(), default=0) for call, found in counts.items()}, end


def problem(fault: Fault, folder: Path, reference: Run) -> str:
    """What is wrong after a fault in a run in `folder`, which is used up; "" if nothing is.

    UNREACHED if the fault did not come about.
    """
    run = prepare(folder / "runs")
    job, log = functools.partial(work, run), folder / "log"
    end = in_a_child(job, log, (f"--trace={fault.call},rename", fault.injection))
    if "(INJECTED)" not in end.seen:
        return UNREACHED
    return _untold(run, fault, end) or _lost(run, end.seen) or _goes_on(run, log, reference)


def _untold(run: Run, fault: Fault, end: End) -> str:
    if end.status == 0 and all(records.completion(run, s) for s in ("train", "sample")):
        return ""
    if end.status == 0:
        return "it ended with status 0, unfinished"
    causes = [(records.latest(run, stage) or {}).get("cause") for stage in ("train", "sample")]
    words = os.strerror(getattr(errno, fault.error))
    told = any(cause not in (None, "finished") for cause in causes) or words in end.said
    log_is_gone = fault.call == "write" and fault.lasting  # what it would say it in, too
    return "" if told or log_is_gone else f"status {end.status}, and nothing says why: {end.said}"


def _lost(run: Run, seen: str) -> str:
    committed = max((int(step) for step in _COMMITTED.findall(seen)), default=0)
    try:
        checkpoint = run.store().latest()
    except CheckpointError as error:
        return str(error)
    found = checkpoint.step if checkpoint else 0
    return "" if found >= committed else f"checkpoint {committed} is lost; the latest is {found}"


def _goes_on(run: Run, log: Path, reference: Run) -> str:
    end = in_a_child(functools.partial(work, run), log)
    if end.status != 0:
        return f"it cannot be gone on with: {end.said}"
    found = differences(run, reference)
    return f"ends in other bits: {found[:3]}" if found else ""


def all_faults(counts: dict[str, int], every: int = 1) -> Iterator[Fault]:
    """Each call once with each error; and, lasting, as a full disk and a read-only one."""
    for call, count in counts.items():
        for number in range(1, count + 1, every):
            for error in ERRORS:
                yield Fault(call, error, number)
            yield Fault(call, "ENOSPC" if call in ("write", "fsync") else "EROFS", number, True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="of the places, take every n-th")
    options = parser.parse_args()
    failures, tried, began = 0, Counter[str](), time.monotonic()
    with scratch() as place:
        reference = reference_run(place / "reference")
        counts, end = places(prepare(place / "counted"), place / "log")
        if end.status:
            raise SystemExit(end.said)
        print(", ".join(f"{call} {count}" for call, count in counts.items()), flush=True)
        for fault in all_faults(counts, options.every):
            with tempfile.TemporaryDirectory(dir=place) as folder:
                wrong = problem(fault, Path(folder), reference)
            tried[fault.call] += wrong != UNREACHED
            if wrong not in ("", UNREACHED):
                failures += 1
                print(f"{fault}: {wrong}", flush=True)
    told = ", ".join(f"{call} {count}" for call, count in tried.items())
    print(
        f"{tried.total()} faults ({told}) in {time.monotonic() - began:.0f} s: "
        f"{failures or 'no'} failures"
    )
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
