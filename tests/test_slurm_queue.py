"""Talking with Slurm, whatever it answers; its commands are small programs first on PATH."""

import os
import time
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm, install

from slurm import commands, queue
from slurm.errors import SchedulerError, SubmitLimit, Unreachable
from slurm.scheduler import JobState, Phase

TIMED_OUT = "Batch job submission failed: Socket timed out on send/recv operation"
SILENT = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
NO_JOB = "slurm_load_jobs error: Invalid job id specified"
VIOLATES = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit "
    "limit, user's size and/or time limits)"
)


@pytest.fixture(autouse=True)
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    for module in (queue, commands):
        monkeypatch.setattr(module, "_LOOK_AGAIN_S", 0.01)
    return install(tmp_path, monkeypatch)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "job.sh"
    path.write_text("#!/bin/bash\n#SBATCH --comment=ganymede:abc\n#SBATCH --time=5:00\n")
    return path


@pytest.fixture
def said() -> list[str]:
    return []


# What is in the queue


def test_jobs_tasks_and_tokens_are_told_apart(slurm: FakeSlurm) -> None:
    slurm.set_job("7", "PENDING", "ganymede:abc")
    slurm.set_job("8_0", "RUNNING", "ganymede:def")
    slurm.set_job("8_11", "COMPLETED", "ganymede:def")
    slurm.set_job("9", "FAILED", "a | b")
    assert queue.jobs() == {
        "7": JobState("7", "PENDING", "None", "abc", Phase.WAITING),
        "8_0": JobState("8_0", "RUNNING", "None", "def", Phase.RUNNING),
        "8_11": JobState("8_11", "COMPLETED", "None", "def", Phase.OVER),
        "9": JobState("9", "FAILED", "None", None, Phase.OVER),
    }
    assert len(slurm.calls("squeue")) == 1
    asked = slurm.calls("squeue")[0]
    assert {"--noheader", "--array", "--states=all", f"--user={os.getuid()}"} <= set(asked)


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("PENDING", Phase.WAITING),
        ("REQUEUED", Phase.WAITING),
        ("REQUEUE_HOLD", Phase.WAITING),
        ("CONFIGURING", Phase.RUNNING),
        ("RUNNING", Phase.RUNNING),
        ("SUSPENDED", Phase.RUNNING),
        ("COMPLETING", Phase.ENDING),
        ("COMPLETED", Phase.OVER),
        ("CANCELLED", Phase.OVER),
        ("FAILED", Phase.OVER),
        ("TIMEOUT", Phase.OVER),
        ("NODE_FAIL", Phase.OVER),
        ("OUT_OF_MEMORY", Phase.OVER),
    ],
)
def test_states_as_phases(slurm: FakeSlurm, state: str, phase: Phase) -> None:
    slurm.set_job("7", state)
    job = queue.jobs()["7"]
    assert (job.state, job.phase) == (state, phase)
    assert queue.is_live("7") == job.is_live


def test_one_job_is_asked_about_by_its_number(slurm: FakeSlurm) -> None:
    slurm.set_job("7", "PENDING")
    slurm.set_job("8", "COMPLETED")
    assert queue.is_live("7")
    assert not queue.is_live("8")
    assert not queue.is_live("9")  # forgotten
    slurm.fail("squeue", SILENT)
    with pytest.raises(Unreachable):
        queue.is_live("7")


def test_a_machine_without_slurm_does_not_take_jobs_for_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SchedulerError, match="squeue is not on this machine's PATH: no Slurm"):
        queue.is_live("7")


# Submitting once


def test_a_submission_returns_the_jobs_number(slurm: FakeSlurm, script: Path) -> None:
    assert queue.submit(script, "abc") == "100"
    assert slurm.calls("sbatch") == [["--parsable", str(script)]]
    assert slurm.calls("squeue") == []


@pytest.mark.parametrize("answer", ["7\n", "7;cluster\n", "Welcome to the cluster\n7;c\n", "  7\n"])
def test_the_number_is_found_in_what_sbatch_says(
    slurm: FakeSlurm, script: Path, answer: str
) -> None:
    slurm.fail("sbatch", "", status=0, output=answer)
    assert queue.submit(script, "abc") == "7"


def test_an_answer_without_a_number_is_looked_up(slurm: FakeSlurm, script: Path) -> None:
    slurm.fail("sbatch", "", status=0, output="Have a nice day\n", acts=True)
    assert queue.submit(script, "abc") == "100"
    assert len(slurm.calls("sbatch")) == 1


def test_a_lost_answer_to_a_submission_that_arrived(
    slurm: FakeSlurm, script: Path, said: list[str]
) -> None:
    slurm.fail("sbatch", TIMED_OUT, acts=True)
    assert queue.submit(script, "abc", said.append) == "100"
    assert len(slurm.calls("sbatch")) == 1
    assert "Socket timed out" in said[0]
    assert said[1:] == ["it had arrived: job 100"]


def test_a_lost_array_is_found_too(slurm: FakeSlurm, script: Path) -> None:
    script.write_text(script.read_text() + "#SBATCH --array=3,5\n")
    slurm.fail("sbatch", TIMED_OUT, acts=True)
    assert queue.submit(script, "abc") == "100"
    assert len(slurm.calls("sbatch")) == 1


def test_a_submission_that_did_not_arrive_is_made_once_more(
    slurm: FakeSlurm, script: Path, said: list[str]
) -> None:
    slurm.set_job("50", "PENDING", "ganymede:somebody-elses")
    slurm.fail("sbatch", TIMED_OUT)
    assert queue.submit(script, "abc", said.append) == "100"
    assert len(slurm.calls("sbatch")) == 2
    assert len(slurm.calls("squeue")) == 2  # looked for twice: it may have been on its way
    assert said[-1] == "it had not arrived; submitting again"


def test_a_job_that_arrives_late_is_found_at_the_second_look(
    slurm: FakeSlurm, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.fail("sbatch", TIMED_OUT)
    looks = []

    def jobs(**options: object) -> dict[str, JobState]:
        looks.append(1)
        return {"7": JobState("7", "PENDING", "", "abc", Phase.WAITING)} if len(looks) == 2 else {}

    monkeypatch.setattr(queue, "jobs", jobs)
    assert queue.submit(script, "abc") == "7"
    assert len(slurm.calls("sbatch")) == 1


def test_a_controller_that_comes_back_is_waited_for(
    slurm: FakeSlurm, script: Path, said: list[str]
) -> None:
    slurm.fail("sbatch", "sbatch: error: Unable to contact slurm controller (connect failure)")
    slurm.fail("squeue", SILENT, times=3)
    assert queue.submit(script, "abc", said.append) == "100"
    assert len(slurm.calls("sbatch")) == 2
    assert any("asking again for" in line for line in said)


def test_a_controller_that_stays_silent_is_given_up(
    slurm: FakeSlurm, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_PATIENCE_S", 0.2)
    slurm.fail("sbatch", TIMED_OUT)
    slurm.fail("squeue", SILENT, times=1000)
    with pytest.raises(Unreachable, match=r"does not answer .*Unable to contact slurm controller"):
        queue.submit(script, "abc", lambda message: None)
    assert len(slurm.calls("sbatch")) == 1  # not again while nobody knows


def test_submissions_that_are_never_answered_are_given_up(
    slurm: FakeSlurm, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_PATIENCE_S", 0.1)
    slurm.fail("sbatch", TIMED_OUT, times=1000)
    with pytest.raises(Unreachable, match="Socket timed out"):
        queue.submit(script, "abc", lambda message: None)


def test_a_command_that_hangs_is_no_answer(
    slurm: FakeSlurm, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_CALL_S", 1.0)
    slurm.fail("sbatch", "", hangs=20, acts=True)
    assert queue.submit(script, "abc", lambda message: None) == "100"
    assert len(slurm.calls("sbatch")) == 1


def test_a_queue_so_full_that_sbatch_goes_on_trying_is_a_limit(
    slurm: FakeSlurm, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_CALL_S", 1.0)
    full = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying."
    slurm.fail("sbatch", full, hangs=20)
    with pytest.raises(SubmitLimit, match="temporarily unable to accept job"):
        queue.submit(script, "abc", lambda message: None)


@pytest.mark.parametrize(
    "error",
    [
        f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{VIOLATES}",
        f"sbatch: error: AssocMaxSubmitJobLimit\n{VIOLATES}",
        f"sbatch: error: AssocGrpSubmitJobsLimit\n{VIOLATES}",
        f"sbatch: error: QOSMaxJobsPerUserLimit\n{VIOLATES}",
        f"sbatch: error: MaxSubmitJobsPerAccount\n{VIOLATES}",
        VIOLATES,
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
    ],
)
def test_too_many_jobs_for_now(slurm: FakeSlurm, script: Path, error: str) -> None:
    slurm.fail("sbatch", error)
    with pytest.raises(SubmitLimit):
        queue.submit(script, "abc")
    assert len(slurm.calls("sbatch")) == 1


@pytest.mark.parametrize(
    "error",
    [
        "sbatch: error: Batch job submission failed: Invalid partition name specified",
        # Waiting helps none of these, although sbatch closes with the same sentence.
        f"sbatch: error: QOSMaxWallDurationPerJobLimit\n{VIOLATES}",
        f"sbatch: error: QOSMaxCpuPerJobLimit\n{VIOLATES}",
        f"sbatch: error: AssocMaxWallDurationPerJobLimit\n{VIOLATES}",
        f"sbatch: error: QOSMinGRES\n{VIOLATES}",
    ],
)
def test_other_refusals_are_told_in_sbatchs_words(
    slurm: FakeSlurm, script: Path, error: str
) -> None:
    slurm.fail("sbatch", error)
    with pytest.raises(SchedulerError) as refused:
        queue.submit(script, "abc")
    assert not isinstance(refused.value, SubmitLimit | Unreachable)
    assert str(refused.value) == " ".join(error.split())
    assert len(slurm.calls("sbatch")) == 1


def test_a_failure_without_words_tells_its_status(slurm: FakeSlurm, script: Path) -> None:
    slurm.fail("sbatch", "", status=3)
    with pytest.raises(SchedulerError, match="sbatch: exit status 3"):
        queue.submit(script, "abc")


# What the commands get from this process's surroundings


def test_a_job_inherits_nothing_from_the_job_that_submits_it(
    slurm: FakeSlurm, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inherited = (
        "SLURM_JOB_ID", "SLURM_MEM_PER_CPU", "SLURM_PROCID", "SLURM_LOCALID", "SLURMD_NODENAME",
        "SRUN_CPUS_PER_TASK", "PMIX_RANK", "GANYMEDE_TOKEN", "GANYMEDE_END", "SUBMITIT_EXECUTOR",
    )  # fmt: skip
    for name in inherited:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SLURM_CLUSTERS", "here")
    monkeypatch.setenv("MY_DATA", "kept")
    queue.submit(script, "abc")
    queue.jobs()
    for command in ("sbatch", "squeue"):
        environment = slurm.environment(command)
        assert not environment.keys() & set(inherited)
        assert environment["SLURM_CONF"] == os.environ["SLURM_CONF"]
        assert environment["SLURM_CLUSTERS"] == "here"
        assert environment["MY_DATA"] == "kept"
    assert slurm.environment("squeue")["SLURM_TIME_FORMAT"] == "%s"
    assert "SLURM_TIME_FORMAT" not in slurm.environment("sbatch")  # the job would get it


def test_sbatchs_variables_do_not_overrule_the_script(
    slurm: FakeSlurm, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overruling = ("NO_REQUEUE", "WAIT", "ARRAY_INX", "TIMELIMIT", "COMMENT", "GRES", "GPUS")
    overruling += ("MEM_PER_NODE", "MEM_PER_CPU", "JOB_NAME", "PARTITION")
    for name in (*overruling, "ACCOUNT"):
        monkeypatch.setenv(f"SBATCH_{name}", "x")
    lines = ("mem=1M", "gpus-per-node=1", "job-name=x", "partition=p")
    with script.open("a") as file:
        file.writelines(f"#SBATCH --{line}\n" for line in lines)
    queue.submit(script, "abc")
    environment = slurm.environment("sbatch")
    assert not {f"SBATCH_{name}" for name in overruling} & environment.keys()
    assert environment["SBATCH_ACCOUNT"] == "x"  # nothing was said of it


# Removing


def test_jobs_are_removed_in_the_order_given_and_once(slurm: FakeSlurm) -> None:
    slurm.set_job("9", "RUNNING")
    slurm.set_job("10", "PENDING")
    queue.cancel(["10", "9", "10"])
    assert slurm.calls("scancel") == [["--quiet", "10", "9"]]
    assert {job["state"] for job in slurm.state["jobs"].values()} == {"CANCELLED"}
    queue.cancel([])
    assert len(slurm.calls("scancel")) == 1


# What a signal meant


@pytest.mark.parametrize(
    ("state", "shown", "restarts", "meaning"),
    [
        ("RUNNING", {"PreemptTime": 1700000000}, 0, "preempted"),
        ("RUNNING", {"PreemptTime": "None"}, 0, None),
        ("RUNNING", {}, 0, None),
        ("COMPLETING", {"Restarts": 1}, 0, "preempted"),  # queued again already: GraceTime 0
        ("PENDING", {"Restarts": 3}, 2, "preempted"),
        ("COMPLETING", {"Restarts": 2}, 2, "cancelled"),
        ("COMPLETING", {"Reason": "TimeLimit"}, 0, "time limit"),
        ("TIMEOUT", {}, 0, "time limit"),
        ("COMPLETING", {"Reason": "None"}, 0, "cancelled"),
        ("CANCELLED", {}, 0, "cancelled"),
        ("NODE_FAIL", {}, 0, "node lost"),
    ],
)
def test_what_sigterm_means(
    slurm: FakeSlurm, state: str, shown: dict[str, object], restarts: int, meaning: str | None
) -> None:
    slurm.set_job("7", state, **shown)
    assert queue.why_stopped("7", restarts) == meaning
    assert slurm.calls("scontrol") == [["--oneliner", "show", "job", "7"]]


def test_the_limit_is_meant_if_the_end_is_near(slurm: FakeSlurm) -> None:
    slurm.set_job("7", "RUNNING", EndTime=round(time.time()) + 100)
    assert queue.why_stopped("7", 0) == "time limit"
    assert queue.why_stopped("7", 0, signalled=False) is None  # then something else ended it
    slurm.set_job("7", "RUNNING", EndTime=round(time.time()) + 1000)
    assert queue.why_stopped("7", 0) is None
    slurm.set_job("7", "RUNNING", EndTime="Unknown")
    assert queue.why_stopped("7", 0) is None


@pytest.mark.parametrize("node", ["down", "down*", "idle*", "allocated*"])
@pytest.mark.parametrize(("state", "restarts"), [("COMPLETING", 0), ("COMPLETING", 1)])
def test_a_node_that_is_down_explains_the_end(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, node: str, state: str, restarts: int
) -> None:
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[1-2]")
    slurm.set_job("7", state, Restarts=restarts)
    slurm.change(nodes={"n1": {"state": "allocated"}, "n2": {"state": node}})
    assert queue.why_stopped("7", 0) == "node lost"
    asked = slurm.calls("sinfo")[0]
    assert {"--noheader", "--Node", "--nodes=n[1-2]"} <= set(asked)
    slurm.change(nodes={"n2": {"state": "mixed"}})
    assert queue.why_stopped("7", 0) == ("preempted" if restarts else "cancelled")


def test_an_unknown_job_is_told(slurm: FakeSlurm) -> None:
    with pytest.raises(SchedulerError, match="scontrol: slurm_load_jobs error: Invalid job id"):
        queue.why_stopped("7", 0)


def test_nodes_that_have_started_since(slurm: FakeSlurm) -> None:
    slurm.change(nodes={"n1": {"state": "IDLE", "boot": 1000}, "n2": {"state": "D", "boot": 2000}})
    assert queue.booted_since("n[1-2]", 1999.0)
    assert not queue.booted_since("n[1-2]", 2000.5)


def test_settings_are_a_table(slurm: FakeSlurm) -> None:
    assert queue.settings() == {"MaxArraySize": "1001", "MinJobAge": "300 sec"}


# Where there is no Slurm


def test_a_machine_submits_if_sbatch_and_a_configuration_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert queue.is_here()
    monkeypatch.setattr(queue, "_CONFIGURATIONS", (tmp_path / "slurm.conf",))
    monkeypatch.delenv("SLURM_CONF")
    assert not queue.is_here()
    (tmp_path / "slurm.conf").touch()
    assert queue.is_here()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not queue.is_here()


def test_a_missing_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SchedulerError, match="squeue is not on this machine's PATH"):
        queue.jobs()


def test_asking_again_has_an_end_and_is_told_once(slurm: FakeSlurm, said: list[str]) -> None:
    slurm.fail("squeue", SILENT, times=1000)
    with pytest.raises(Unreachable):
        queue.jobs(patience_s=0.2, say=said.append)
    assert len(said) == 1
    assert len(slurm.calls("squeue")) > 1
    with pytest.raises(Unreachable):
        queue.jobs()
