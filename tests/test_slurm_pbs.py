"""What the submitit plugin for PBS does beyond what every submitit user sees."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import fake_pbs
import pytest
import submitit
from fake_pbs import FakePBS
from submitit.core.utils import DelayedSubmission, UncompletedJobError

from slurm import commands, qsub
from slurm.errors import SchedulerError, Unreachable
from slurm.pbs import PBSExecutor, PBSJob, PBSJobEnvironment
from slurm.pbs_jobs import PBSInfoWatcher

_STARTING = 41  # substate of a job on which a qdel would be lost
GPUS = """#!/bin/sh
case $1 in --query-gpu=*) printf 'GPU-a\\nGPU-b\\nGPU-c\\n' ;; *) echo GPU-a ;; esac
"""


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePBS]:
    """Functions of this file travel whole: jobs do not import it."""
    for module in (qsub, commands):
        monkeypatch.setattr(module, "_LOOK_AGAIN_S", 0.01)
    monkeypatch.setattr(PBSJob, "watcher", PBSInfoWatcher(delay_s=1))
    monkeypatch.setattr(PBSJob, "_results_timeout_s", 1)
    monkeypatch.chdir(tmp_path)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    found = fake_pbs.install(tmp_path, monkeypatch)
    yield found
    found.stop()
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def executor(folder: str = "logs", **parameters: Any) -> PBSExecutor:
    made = PBSExecutor(folder)
    made.update_parameters(**parameters)
    return made


def wait_for(holds: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def has_printed(job: PBSJob[Any], text: str) -> bool:
    return text in (job.stdout() or "")


def state(job: PBSJob[Any]) -> str:
    job.get_info(mode="force")
    return job.state


def environment(*names: str) -> list[str | None]:
    return [os.environ.get(name) for name in names]


class Count:
    """Counts to `end`; goes on where it was told to stop. Its checkpoint takes `save_s` seconds."""

    def __init__(self, end: int, save_s: float = 0.0) -> None:
        self.end, self.save_s, self.reached = end, save_s, 0
        self.starts: list[tuple[int, str]] = []

    def __call__(self) -> list[tuple[int, str]]:
        self.starts.append((self.reached, os.environ["PBS_JOBID"]))
        while self.reached < self.end:
            print(f"at {self.reached}", flush=True)
            self.reached += 1
            time.sleep(0.05)
        return self.starts

    def checkpoint(self) -> DelayedSubmission:
        print("saving", flush=True)
        time.sleep(self.save_s)
        return DelayedSubmission(self)


class Stubborn:
    """Without a checkpoint. It takes only the first start for one to stay in."""

    def __call__(self) -> str:
        if not Path("started").exists():
            Path("started").touch()
            print("first", flush=True)
            time.sleep(60)
        return "in the end"


# What becomes of a job


def test_a_job_that_pbs_queues_again_goes_on_under_its_id(pbs: FakePBS) -> None:
    job = executor().submit(Count(40))
    wait_for(lambda: has_printed(job, "at 10\n"))
    pbs.requeue(job.job_id)
    (first, _), (second, _) = starts = job.result()
    assert first == 0
    assert second > 10
    assert {job_id for _, job_id in starts} == {job.job_id}
    assert [job.stdout().count(text) for text in ("at 0\n", "saving", "at 39\n")] == [1, 1, 1]
    assert len(pbs.jobs()) == 1
    assert pbs.wait(job.job_id)["run_count"] == 2


def test_a_function_without_a_checkpoint_starts_anew(pbs: FakePBS) -> None:
    pbs.change(kill_delay=0.2)
    job = executor().submit(Stubborn())
    wait_for(lambda: has_printed(job, "first"))
    pbs.requeue(job.job_id)
    assert job.result() == "in the end"
    assert pbs.job(job.job_id)["run_count"] == 2


def test_a_job_that_makes_room_goes_on_as_another_one(pbs: FakePBS) -> None:
    """A preemption by deletion: its only trace is who terminated the job."""
    job = executor().submit(Count(40))
    wait_for(lambda: has_printed(job, "at 10\n"))
    pbs.drop(job.job_id)
    starts = job.result()
    assert [job_id for _, job_id in starts] == [job.job_id, job.present_id]
    assert starts[1][0] > 10
    assert job.present_id != job.job_id


def test_a_cancelled_job_saves_and_does_not_go_on(pbs: FakePBS) -> None:
    job = executor().submit(Count(1000))
    wait_for(lambda: has_printed(job, "at 3\n"))
    job.cancel()
    assert isinstance(job.exception(), UncompletedJobError)
    assert job.state == "CANCELLED"
    assert has_printed(job, "saving")
    assert len(pbs.jobs()) == 1


@pytest.mark.parametrize("waits", [True, False])
def test_cancelling_reaches_the_job_that_it_has_become(pbs: FakePBS, waits: bool) -> None:
    job = executor().submit(Count(1000))
    wait_for(lambda: has_printed(job, "at 3\n"))
    pbs.change(exiting_s=2.0 if waits else 0.0)
    job._interrupt()
    wait_for(lambda: job.present_id != job.job_id)
    pbs.wait(job.present_id, "H" if waits else "R")
    wait_for(lambda: waits or job.stdout().count("Starting with") == 2)
    pbs.wait(job.present_id, "HR", lambda found: found["substate"] != _STARTING)
    job.cancel()
    job.wait()
    assert state(job) == "CANCELLED", (pbs.job(job.present_id), job.stdout())
    pbs.wait(job.present_id)
    assert len(pbs.jobs()) == 2


def test_what_depends_on_a_job_waits_for_the_one_that_it_has_become(pbs: FakePBS) -> None:
    job = executor().submit(Count(40))
    follower = executor(extra=f"W=depend=afterok:{job.job_id}").submit(Count(20))
    wait_for(lambda: has_printed(job, "at 10\n"))
    job._interrupt()
    assert len(job.result()) == 2
    wait_for(lambda: has_printed(follower, "at 3\n"))
    assert pbs.job(job.present_id)["job_state"] == "F"
    follower._interrupt()  # which goes on though nobody knows any more what it waited for
    pbs.purge(job.job_id, job.present_id)
    assert len(follower.result()) == 2


def test_the_state_is_that_of_the_job_that_goes_on(pbs: FakePBS) -> None:
    job = executor().submit(Count(60))
    wait_for(lambda: has_printed(job, "at 3\n"))
    assert state(job) == "RUNNING"
    pbs.change(exiting_s=1.0)
    job._interrupt()
    pbs.wait(job.job_id, "E")
    assert state(job) == "PENDING"
    pbs.wait(job.job_id)
    pbs.purge(job.job_id)
    pbs.wait(job.present_id, "R")
    assert state(job) == "RUNNING"
    job.wait()
    pbs.wait(job.present_id)
    assert state(job) == "COMPLETED"


def sleep_deeply() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    time.sleep(600)


def test_a_job_that_pbs_ends_at_its_time_limit(pbs: FakePBS) -> None:
    pbs.change(kill_delay=0.2)
    job = executor(minutes=0.05, signal_delay_s=0).submit(sleep_deeply)
    with pytest.raises(UncompletedJobError, match=r"produced any output \(state: TIMEOUT\)"):
        job.result()
    assert pbs.job(job.job_id)["Exit_status"] == -29


def test_a_suspended_job_is_not_done(pbs: FakePBS) -> None:
    job = executor().submit(Count(30))
    wait_for(lambda: has_printed(job, "at 3\n"))
    pbs.suspend(job.job_id)
    assert not job.done(force_check=True)
    assert job.state == "SUSPENDED"
    pbs.resume(job.job_id)
    assert len(job.result()) == 1


def test_a_second_signal_does_not_disturb_the_checkpoint(pbs: FakePBS) -> None:
    job = executor().submit(Count(40, save_s=0.7))
    wait_for(lambda: has_printed(job, "at 10\n"))
    job._interrupt()
    wait_for(lambda: has_printed(job, "saving"))
    subprocess.run(["qsig", "-s", "SIGTERM", job.job_id], check=True)
    job._interrupt()
    assert [job_id for _, job_id in job.result()] == [job.job_id, job.present_id]
    assert job.stdout().count("saving") == 1


def test_a_job_that_is_queued_again_while_it_saves_is_not_doubled(pbs: FakePBS) -> None:
    job = executor().submit(Count(40, save_s=0.7))
    wait_for(lambda: has_printed(job, "at 10\n"))
    job._interrupt()
    wait_for(lambda: has_printed(job, "saving"))
    pbs.requeue(job.job_id)
    assert [job_id for _, job_id in job.result()] == [job.job_id] * 2
    assert len(pbs.jobs()) == 1


def test_a_job_that_is_queued_again_after_it_has_handed_over_ends_at_once(pbs: FakePBS) -> None:
    pbs.change(exiting_s=0.5)
    job = executor().submit(Count(40))
    wait_for(lambda: has_printed(job, "at 10\n"))
    job._interrupt()
    wait_for(lambda: job.present_id != job.job_id)
    pbs.requeue(job.job_id)
    assert [job_id for _, job_id in job.result()] == [job.job_id, job.present_id]
    assert pbs.job(job.job_id)["run_count"] == 2


def test_where_jobs_may_not_submit_the_result_says_so(pbs: FakePBS) -> None:
    pbs.change(qsub_in_jobs=False)
    job = executor().submit(Count(1000))
    wait_for(lambda: has_printed(job, "at 3\n"))
    job._interrupt()
    assert "SchedulerError: qsub: Bad UID for job execution (exit status 175)" in str(
        job.exception()
    )
    assert has_printed(job, "saving")
    assert pbs.wait(job.job_id)["Exit_status"] == 1


def test_a_result_outlives_what_pbs_remembers(pbs: FakePBS) -> None:
    job, lost = executor().submit(len, "abc"), executor(extra="h").submit(len, "abc")
    pbs.wait(job.job_id)
    pbs.purge(job.job_id, lost.job_id)
    assert job.result() == 3
    with pytest.raises(UncompletedJobError, match=r"has not produced any output .state: GONE."):
        lost.result()
    assert state(job) == state(lost) == "GONE"


def test_what_was_half_written_when_a_job_was_killed_does_not_stop_it(pbs: FakePBS) -> None:
    job = executor(extra="h").submit(len, "abc")
    for path in (job.paths.submitted_pickle, job.paths.result_pickle):
        path.with_name(f"{path.name}.save_tmp").write_bytes(b"half")
    subprocess.run(["qrls", job.job_id], check=True)
    assert job.result() == 3


def test_a_checkpoint_that_was_written_but_not_yet_renamed_counts(pbs: FakePBS) -> None:
    job = executor(extra="h").submit(len, "abc")
    job.paths.submitted_pickle.unlink()
    saved = job.paths.submitted_pickle.with_name(f"{job.paths.submitted_pickle.name}.save_tmp")
    DelayedSubmission(len, "abcdef").dump(saved)
    subprocess.run(["qrls", job.job_id], check=True)
    assert job.result() == 6


def test_another_signal_may_be_chosen_as_submitit_has_it(
    pbs: FakePBS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBMITIT_PREEMPT_SIGNAL", "USR1")
    monkeypatch.setattr(PBSJobEnvironment, "USR_SIG", "USR1")
    made = PBSExecutor("logs", max_num_timeout=50)
    made.update_parameters(minutes=1, signal_delay_s=57)  # told after three seconds
    soon, told = made.submit(Count(80)), executor().submit(Count(30))
    wait_for(lambda: has_printed(told, "at 10\n"))
    told._interrupt()
    assert [job_id for _, job_id in told.result()] == [told.job_id, told.present_id]
    assert soon.result()[-1][1] == soon.present_id != soon.job_id


# What it is given


def rank() -> tuple[int, int, int, list[str], str]:
    here = submitit.JobEnvironment()
    return here.global_rank, here.local_rank, here.node, here.hostnames, os.environ["MASTER_ADDR"]


def test_several_nodes(pbs: FakePBS) -> None:
    pbs.change(nodes={"fakepbs": {"ncpus": 8}, "second": {"ncpus": 8}})
    job = executor(nodes=2, tasks_per_node=2, cpus_per_task=2).submit(rank)
    hosts = ["fakepbs", "second"]
    assert job.results() == [(k, k % 2, k // 2, hosts, "fakepbs") for k in range(4)]
    assert pbs.wait(job.job_id)["Exit_status"] == 0
    (call,) = pbs.calls("qsub")
    assert "select=2:ncpus=4:mpiprocs=2:ompthreads=2" in call
    assert "place=scatter" in call


def leave_alone() -> None:
    """Rank 0 loses its launcher; the others do not outlive it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if submitit.JobEnvironment().global_rank == 0:
        os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def test_a_first_node_that_lost_its_launcher_ends_the_others(pbs: FakePBS) -> None:
    pbs.change(nodes={"fakepbs": {"ncpus": 8}, "second": {"ncpus": 8}})
    job = executor(nodes=2).submit(leave_alone)
    assert pbs.wait(job.job_id)["Exit_status"] == 137
    assert state(job) == "FAILED"


def test_one_task_sees_all_gpus_of_its_job(pbs: FakePBS) -> None:
    (pbs.folder / "bin" / "nvidia-smi").write_text(GPUS)
    (pbs.folder / "bin" / "nvidia-smi").chmod(0o755)
    job = executor(gpus_per_node=2).submit(environment, "CUDA_VISIBLE_DEVICES", "WORLD_SIZE")
    assert job.num_tasks == 1
    assert job.result() == ["GPU-b,GPU-c", "1"]  # somebody is at GPU-a
    (call,) = pbs.calls("qsub")
    assert "select=1:ncpus=1:mpiprocs=1:ompthreads=1:ngpus=2" in call


def test_threads_are_the_cores_of_a_rank(pbs: FakePBS) -> None:
    jobs = [
        executor(tasks_per_node=2).submit(environment, "OMP_NUM_THREADS"),
        executor(tasks_per_node=2, cpus_per_task=3).submit(environment, "OMP_NUM_THREADS"),
    ]
    assert [job.results() for job in jobs] == [[["1"]] * 2, [["3"]] * 2]


def test_set_up_lines_come_first(pbs: FakePBS) -> None:
    lines = ["export COLOUR=blue", "cd logs"]
    job = executor(setup=lines).submit(lambda: (os.environ["COLOUR"], Path.cwd().name))
    assert job.result() == ("blue", "logs")


def test_a_set_up_line_that_fails_is_named(pbs: FakePBS) -> None:
    job = executor(setup="module load nothing").submit(len, "abc")
    error = str(job.exception())
    assert "set-up line failed with status 127: module load nothing" in error
    assert pbs.job(job.job_id)["Exit_status"] == 2


def test_a_folder_that_went_away_is_named(pbs: FakePBS, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    os.chdir("work")
    job = executor(str(tmp_path / "logs"), extra="h").submit(len, "abc")
    os.chdir("..")
    (tmp_path / "work").rmdir()
    subprocess.run(["qrls", job.job_id], check=True)
    assert f"set-up line failed with status 1: cd {tmp_path}/work" in str(job.exception())


def test_the_environment_comes_along_but_for_what_is_the_machines(
    pbs: FakePBS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLOUR", "bl\udcffue\n'\"$x")  # a byte that is no UTF-8
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("TMPDIR", "/nowhere")
    names = ("COLOUR", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
    job = executor().submit(environment, *names, "TMPDIR")
    *found, temporary = job.result()
    assert found == ["bl\udcffue\n'\"$x", None, "1"]
    assert temporary.endswith(f"pbs.{job.job_id}")
    (wrapper,) = Path("logs").glob("*.sh")
    assert wrapper.stat().st_mode & 0o777 == 0o600


def test_the_environment_may_stay_behind(
    pbs: FakePBS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLOUR", "blue")
    path = f"export PYTHONPATH={os.environ.get('PYTHONPATH', '')}"
    job = executor(export_env=False, setup=[path]).submit(environment, "COLOUR")
    assert job.result() == [None]


# What is refused


def test_an_unknown_parameter_is_told_with_those_there_are(pbs: FakePBS) -> None:
    with pytest.raises(ValueError, match=r"'colour'.*\n.*\n.*account \(default: None\)"):
        executor(colour="blue")


def test_what_pbs_does_not_have_is_refused_and_not_kept(pbs: FakePBS) -> None:
    made = executor(cpus_per_task=2)
    with pytest.raises(SchedulerError, match="qos is 'long'; PBS has none"):
        made.update_parameters(qos="long")
    with pytest.raises(SchedulerError, match="minutes is -1; allowed"):
        made.update_parameters(minutes=-1)
    assert made.parameters == {"cpus_per_task": 2}
    assert made.submit(len, "abc").result() == 3


@pytest.mark.parametrize("folder", ["a\nb", "a\x1bb", "a\udcffb", "%A/x", "%t", "%%j", "50%"])
def test_folders_that_jobs_would_not_find(pbs: FakePBS, folder: str) -> None:
    with pytest.raises(SchedulerError, match="folder is "):
        PBSExecutor(folder)
    assert not Path(folder).exists()


def test_a_refused_submission_leaves_nothing(pbs: FakePBS) -> None:
    with pytest.raises(SchedulerError, match=r"^qsub: Unknown queue \(exit status 170\)$"):
        executor(partition="nosuch").submit(len, "abc")
    assert list(Path("logs").iterdir()) == []


def test_files_stay_while_it_is_unknown_whether_there_is_a_job(
    pbs: FakePBS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qsub, "_PATIENCE_S", 0.0)
    made = executor()
    pbs.stop()
    with pytest.raises(Unreachable):
        made.submit(len, "abc")
    assert sorted(path.suffix for path in Path("logs").iterdir()) == [".pkl", ".qsub", ".sh"]


def test_a_lost_answer_makes_no_second_job(pbs: FakePBS) -> None:
    told = "Connection refused\nqsub: cannot connect to server fakepbs (errno=15010)\n"
    pbs.fail("qsub", told, acts=True)
    jobs = executor().map_array(len, ["a", "ab"])
    assert [job.job_id for job in jobs] == ["1[0].fakepbs", "1[1].fakepbs"]
    assert [job.result() for job in jobs] == [1, 2]


def test_pickles_that_are_too_big(pbs: FakePBS) -> None:
    made = PBSExecutor("logs", max_pickle_size_gb=1e-5)
    with pytest.raises(RuntimeError, match=r"2 pickles of together .* GB; allowed: 1e-05"):
        made.map_array(len, ["small", bytes(20000)])
    assert list(Path("logs").iterdir()) == []
    assert pbs.calls("qsub") == []


def test_a_machine_without_pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert PBSExecutor.affinity() == -1
    with pytest.raises(RuntimeError, match="no PBS here: qstat --version does not answer"):
        PBSExecutor(tmp_path)


# How it asks


def test_all_jobs_are_asked_about_at_once(pbs: FakePBS) -> None:
    jobs = [executor(extra="h").submit(len, "abc") for _ in range(3)]
    assert {state(job) for job in jobs[:1]} == {"PENDING"}
    assert {job.watcher.get_state(job.job_id, "cache") for job in jobs} == {"PENDING"}
    (call,) = [call for call in pbs.calls("qstat") if call != ["--version"]]
    assert set(call) >= {job.job_id for job in jobs}


def test_while_nobody_answers_states_are_the_last_ones(pbs: FakePBS) -> None:
    job = executor(extra="h").submit(len, "abc")
    assert state(job) == "PENDING"
    pbs.stop()
    assert state(job) == "PENDING"
    assert not job.done()


def test_the_watcher_may_be_asked_about_any_id(pbs: FakePBS) -> None:
    assert PBSJob.watcher.get_state("99.fakepbs") == "GONE"
