"""What somebody does who knows submitit and nothing else, on the cluster that is named.

Prints a line for each thing it tried: `python submitit_script.py CLUSTER`. With the word `start`
after it, it submits a job that takes some seconds, and prints its id; with a folder and a job's id,
it waits for that job, and prints what became of it.
"""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import submitit
from submitit.core import core, plugins
from submitit.helpers import DelayedSubmission

CLUSTER = sys.argv[1]
IS_LOCAL = CLUSTER == "local"
HOSTILE = 'it\'s "so" $(touch owned) `touch owned` \\ *\nsecond line'
core.Job._results_timeout_s = 2  # for so long a result is looked for that is not there


def executor(folder: str = "logs", max_num_timeout: int = 3, **parameters: Any) -> Any:
    """A parameter that only clusters have begins with an underscore here."""
    chosen = {CLUSTER * (name[0] == "_") + name: value for name, value in parameters.items()}
    limit = {} if IS_LOCAL else {f"{CLUSTER}_max_num_timeout": max_num_timeout}
    made = submitit.AutoExecutor(folder=folder, cluster=CLUSTER, **limit)
    made.update_parameters(**{"timeout_min": 5, "name": "a user's script"} | chosen)
    return made


def add(a: int, b: int) -> int:
    return a + b


def divide(a: int, b: int) -> float:
    print("dividing", flush=True)
    return a / b


def rest(seconds: float) -> str:
    print("at rest", flush=True)
    time.sleep(seconds)
    return "rested"


def look_around() -> tuple[str | None, str]:
    return os.environ.get("HOSTILE"), os.getcwd()


def speak() -> None:
    print("aloud", flush=True)
    print("aside", file=sys.stderr, flush=True)


def rank() -> tuple[int, int, int, str]:
    here = submitit.JobEnvironment()
    print(f"this is rank {here.global_rank}")
    return here.global_rank, here.local_rank, here.num_tasks, here.job_id


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Count:
    """Goes on where it was when it was told to stop."""

    def __init__(self, end: int) -> None:
        self.end, self.reached = end, 0
        self.starts: list[tuple[int, str]] = []

    def __call__(self) -> list[tuple[int, str]]:
        self.starts.append((self.reached, submitit.JobEnvironment().job_id))
        while self.reached < self.end:
            print(f"at {self.reached}", flush=True)
            self.reached += 1
            time.sleep(0.05)
        return self.starts

    def checkpoint(self) -> DelayedSubmission:
        return DelayedSubmission(self)


class Patient:
    """Ends once it has been told to stop so often."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self) -> str:
        while self.times > 0:
            time.sleep(0.1)
        return "told often enough"

    def checkpoint(self) -> DelayedSubmission:
        self.times -= 1
        return DelayedSubmission(self)


def tell(what: str, *values: Any) -> None:
    print(f"{what}:", *values, flush=True)


def wait_for(holds: Callable[[], Any], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.1)


def has_printed(job: Any, text: str) -> bool:
    return text in (job.stdout() or "")


def present_state(job: Any) -> str:
    job.get_info(mode="force")
    return str(job.state)


def last_state(job: Any) -> str:
    """Its result is there a moment before the job has ended."""
    wait_for(lambda: job.watcher.is_done(job.job_id, mode="force"))
    return str(job.state)


def single_jobs() -> None:
    os.environ["HOSTILE"] = HOSTILE
    sum_of, around = executor().submit(add, 1, b=2), executor().submit(look_around)
    tell("result", sum_of.result(), sum_of.done(), sum_of.exception())
    value, folder = around.result()
    tell("environment carried", value == HOSTILE, not Path("owned").exists())
    tell("working folder", folder == os.getcwd())
    tell("result by asyncio", asyncio.run(sum_of.awaitable().result()))
    tell("result of an unpickled job", pickle.loads(pickle.dumps(sum_of)).result())
    command = [sys.executable, __file__, CLUSTER, "logs", sum_of.job_id]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    tell("result in another process", told.stdout.strip())


def arrays() -> None:
    jobs = executor().map_array(add, [1, 2, 3], [10, 20, 30])
    (alone,) = executor().map_array(add, [5], [6])
    with (batching := executor()).batch():
        batch = [batching.submit(add, k, k) for k in (1, 2)]
    tell("array", [job.result() for job in jobs], len({job.job_id for job in jobs}))
    tell("array of one", alone.result())
    tell("batch", [job.result() for job in batch])
    if not IS_LOCAL:
        tell("states of jobs that finished", last_state(alone), last_state(jobs[1]))


def failures() -> None:
    job, killed = executor().submit(divide, 1, 0), executor().submit(die)
    error = job.exception()
    tell("exception", type(error).__name__, "ZeroDivisionError" in str(error))
    # Not the source of the line, which newer versions of cloudpickle do not lead to.
    failed_at = divide.__code__.co_firstlineno + 2
    tell("traceback", "in divide" in str(error), f"line {failed_at}, in divide" in str(error))
    try:
        job.result()
    except submitit.core.utils.FailedJobError as raised:
        tell("result raises", "ZeroDivisionError" in str(raised))
    tell("its logs", "dividing" in job.stdout(), "ZeroDivisionError" in job.stderr())
    tell("killed", type(killed.exception()).__name__)
    if not IS_LOCAL:
        tell("states of jobs that failed", last_state(job), last_state(killed))


def cancelled() -> None:
    running, waiting = executor(_array_parallelism=1).map_array(rest, [100, 100])
    wait_for(partial(has_printed, running, "at rest"))
    tell("states", present_state(running), present_state(waiting))
    waiting.cancel()
    tell("cancelled in the queue", last_state(waiting), type(waiting.exception()).__name__)
    running.cancel()
    tell("cancelled at work", last_state(running), type(running.exception()).__name__)


def interrupted() -> None:
    job, (_, task) = executor().submit(Count(80)), executor().submit_array([Count(1), Count(80)])
    for step in (10, 40):
        for each in (job, task):
            wait_for(partial(has_printed, each, f"at {step}\n"))
            each._interrupt(timeout=False)
    for what, each in (("a job", job), ("a task", task)):
        starts = each.result()
        reached = [at >= least for (at, _), least in zip(starts, (0, 11, 41), strict=True)]
        ids = {job_id for _, job_id in starts}
        tell(f"{what} goes on where it was, under its id", reached, ids == {each.job_id})
        tell("in one log", [each.stdout().count(f"at {k}\n") for k in (0, 79)], last_state(each))


def several_ranks() -> None:
    job = executor(tasks_per_node=2).submit(rank)
    tell("ranks", [found[:3] for found in job.results()])
    tell("id of all ranks", {found[3] for found in job.results()} == {job.job_id})
    tell("log of a rank", "this is rank 1" in job.task(1).stdout())


def folders() -> None:
    job = executor("each/%j", stderr_to_stdout=True).submit(speak)
    tell("nothing returned", job.result())
    tell("one log for both", [w in job.stdout() for w in ("aloud", "aside")], job.stderr())
    tell("folder of the job", job.paths.folder == Path.cwd() / "each" / job.job_id)
    tell("in it", sorted(p.name.replace(job.job_id, "ID") for p in job.paths.folder.glob("*.pkl")))


class Limited:
    """A job that is told, some time before its limit. A real Slurm now and then tells it too early,
    when it has only just begun, or not at all: what then ran into its limit is tried again."""

    def __init__(self, max_num_timeout: int, work: Callable[..., Any], *arguments: Any) -> None:
        self._call = (work, *arguments)
        # Slurm signals up to a minute early.
        delay_s = 45 if CLUSTER == "slurm" else 112
        self._executor = executor(
            max_num_timeout=max_num_timeout, timeout_min=2, _signal_delay_s=delay_s
        )
        self._job = self._executor.submit(*self._call)

    def ended(self) -> tuple[Any, str]:
        """The job and its last state."""
        for _ in range(3 if CLUSTER == "slurm" else 0):
            if last_state(self._job) != "TIMEOUT":
                break
            self._job = self._executor.submit(*self._call)
        return self._job, last_state(self._job)


def time_limits() -> Callable[[], None]:
    """Starts jobs with a limit; what to tell of them, later."""
    twice = Limited(2, Patient(2))
    others = {
        "timed-out too many times": Limited(1, Patient(9)),
        "timed-out and not checkpointable": Limited(3, rest, 600),
    }

    def tell_of_them() -> None:
        job, state = twice.ended()
        tell("time limit reached twice", job.result(), state)
        for why, limited in others.items():
            job, state = limited.ended()
            error = job.exception()
            tell(why, type(error).__name__, why in str(error), state)

    return tell_of_them


def main() -> None:
    tell_of_limits = (lambda: None) if IS_LOCAL else time_limits()
    for part in (single_jobs, arrays, failures, several_ranks, folders):
        part()
    if not IS_LOCAL:  # submitit's local jobs know neither queue nor cancellation
        interrupted()
        cancelled()
    tell_of_limits()


def start() -> None:
    print(executor().submit(Count(100)).job_id)


def read(folder: str, job_id: str) -> None:
    job = plugins.get_executors()[CLUSTER].job_class(folder=folder, job_id=job_id)
    print(job.result(), job.done())


if __name__ == "__main__":
    {2: main, 3: lambda word: start(), 4: read}[len(sys.argv)](*sys.argv[2:])
