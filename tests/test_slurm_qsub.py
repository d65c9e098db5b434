"""Talking with PBS, whatever it answers.

`pbs_answers/jobs-*.json` are answers of an OpenPBS 23.06.06, shortened; elsewhere the stand-in for
PBS is asked.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import fake_pbs
import pytest
from fake_pbs import FakePBS

from slurm import commands, pbs_states, qsub
from slurm.errors import SchedulerError, SubmitLimit, Unreachable
from slurm.qsub import Request
from slurm.scheduler import JobState, Phase

ANSWERS = Path(__file__).parent / "pbs_answers"
SILENT = "Connection refused\nqsub: cannot connect to server fakepbs (errno=15010)\n"
RAN = "Job run at Sun Nov 22 at 15:43 on (pbshost:ncpus=1)"


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePBS]:
    for module in (qsub, commands):
        monkeypatch.setattr(module, "_LOOK_AGAIN_S", 0.01)
    monkeypatch.chdir(tmp_path)  # where the outputs of jobs go
    found = fake_pbs.install(tmp_path, monkeypatch)
    yield found
    found.stop()


def answered(name: str) -> dict[str, pbs_states.Details]:
    return json.loads((ANSWERS / f"jobs-{name}.json").read_text())["Jobs"]


def told(name: str) -> dict[str, JobState]:
    """By the name of each job, which its token has too."""
    states = pbs_states.states(answered(name)).items()
    return {str(answered(name)[job_id]["Job_Name"]) + task(job_id): s for job_id, s in states}


def task(job_id: str) -> str:
    found = job_id.partition(".")[0].partition("[")
    return "".join(found[1:])


# What a real PBS answered


@pytest.mark.parametrize(
    ("job", "phase", "state", "reason"),
    [
        ("huge", Phase.WAITING, "Q", "Can Never Run: Insufficient amount of resource: ncpus "),
        ("held_user", Phase.WAITING, "H", "held by its user"),
        ("held_operator", Phase.WAITING, "H", "Job held by root on "),
        ("follower_two", Phase.OVER, "deleted before it ran, since what it waited for failed", ""),
        ("later", Phase.WAITING, "W", "no reason told"),
        ("orphan", Phase.WAITING, "H", pbs_states.ORPHANED),
        ("orphan_any", Phase.WAITING, "H", pbs_states.ORPHANED),
        ("after_orphan", Phase.WAITING, "H", pbs_states.ORPHANED),
        ("limit", Phase.RUNNING, "R", RAN),
        ("suspended", Phase.RUNNING, "S", "Job run at "),
        ("array[]", Phase.RUNNING, "B", "Job Array Began at "),
        ("array[2]", Phase.RUNNING, "R", "Job run at "),
        ("array[0]", Phase.OVER, "over, exit status 0", "Job run at "),
        ("array[1]", Phase.OVER, "over, exit status 5", "Job run at "),
        ("array_deleted[]", Phase.OVER, "deleted before it ran", "no reason told"),
        ("array_deleted[1]", Phase.OVER, "deleted before it ran", "Subjob finished"),
        ("deleted_queued", Phase.OVER, "deleted before it ran", "no reason told"),
        ("requeued_deleted", Phase.OVER, "deleted before it ran again", "Job held by me on "),
    ],
)  # fmt: skip
def test_jobs_that_wait_run_or_were_deleted(
    job: str, phase: Phase, state: str, reason: str
) -> None:
    found = told("live")[job]
    assert (found.phase, found.state) == (phase, state)
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(
    ("job", "state"),
    [
        ("succeeded", "over, exit status 0"),
        ("failed", "over, exit status 3"),
        ("killed", "over, exit status 265"),
        ("limit", "ended by PBS at its time limit"),
        ("deleted_running", "deleted while it ran"),
        ("trapper", "deleted while it ran"),  # and ended with status 0
        ("after_failed", "deleted before it ran, since what it waited for failed"),
        ("after_after_failed", "deleted before it ran, since what it waited for failed"),
        ("unknown_parent", "deleted before it ran, since what it waited for failed"),
        ("orphan", "deleted before it ran"),
        ("huge", "deleted before it ran"),
        ("array[]", "over, exit status 0"),  # though a task of it failed
    ],
)
def test_how_jobs_ended(job: str, state: str) -> None:
    found = told("over")[job]
    assert (found.phase, found.state) == (Phase.OVER, state)


def test_only_what_ran_and_ended_well_has_succeeded() -> None:
    jobs = answered("over")
    well = {
        str(found["Job_Name"]) + task(i) for i, found in jobs.items() if pbs_states.succeeded(found)
    }
    assert well == {"succeeded", "suspended", "array[0]", "array[2]", "array[3]"}
    assert not any(map(pbs_states.succeeded, answered("ending").values()))


def test_jobs_that_are_being_ended() -> None:
    found = told("ending")
    assert found["deleting"].phase == found["rerunning"].phase == Phase.ENDING
    assert found["deleting"].reason.endswith("and terminated by me@pbshost")
    assert all(state.is_live for state in found.values())


def test_tokens_are_read_back() -> None:
    found = told("live")
    assert found["array[1]"].token == found["array[]"].token == "tarray"
    assert found["held_user"].token == "theld_user"


def test_dependencies_of_both_sides() -> None:
    jobs = {found["Job_Name"]: found for found in answered("live").values()}
    assert pbs_states.waits_for(jobs["follower_two"]) == ["2036.pbshost", "2046.pbshost"]
    assert pbs_states.waiting(jobs["follower_two"]) == ["2058.pbshost"]
    assert pbs_states.depends(jobs["never"]) == [
        ("beforeok", ["2051.pbshost"]), ("beforeany", ["2052.pbshost"])
    ]  # fmt: skip
    assert pbs_states.depends(jobs["huge"]) == []


def test_a_held_job_whose_need_is_not_known_any_more_is_an_orphan() -> None:
    jobs = answered("live")
    waits = jobs["2046.pbshost"] | {"depend": "afterok:2038.pbshost@pbshost"}
    assert not pbs_states.is_orphan(waits, jobs, is_all=True)
    assert pbs_states.is_orphan(waits, {}, is_all=True)
    assert not pbs_states.is_orphan(waits, {}, is_all=False)  # it was not asked about
    assert not pbs_states.is_orphan(
        jobs["2046.pbshost"], {}, is_all=True
    )  # held by its user, waits for none


# Submitting


def request(*executable: str, token: str = "tabc", dependency: str = "") -> Request:
    return Request(["-o", "/dev/null", "-j", "oe"], executable or ["/bin/true"], token, dependency)


def test_a_submission_is_one_call_with_its_token(pbs: FakePBS) -> None:
    asked = Request(["-N", "x"], ["/bin/true", "a b"], "tabc", "", {"GANYMEDE_LINE": "7[1].host"})
    job_id = qsub.submit(asked)
    (call,) = pbs.calls("qsub")
    variables = f"GANYMEDE_TOKEN=tabc,GANYMEDE_CALL={asked.call},GANYMEDE_LINE=7[1].host"
    assert call == ["-N", "x", "-v", variables, "--", "/bin/true", "a b"]
    assert pbs.job(job_id)["Variable_List"]["GANYMEDE_LINE"] == "7[1].host"
    assert qsub.jobs()[job_id].token == "tabc"


@pytest.mark.parametrize("value", ["a,b", 'a"b', "it's", "a\\b", "a\nb", "a\0b", "a\udcffb"])
def test_variables_that_qsub_would_change_are_refused(value: str) -> None:
    with pytest.raises(SchedulerError, match=r"GANYMEDE_X is .*; allowed for a job's variables"):
        Request([], ["/bin/true"], "tabc", "", {"GANYMEDE_X": value})


def test_qsub_runs_without_the_traces_of_a_surrounding_job(
    pbs: FakePBS, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ("PBS_JOBID", "GANYMEDE_LINE", "SUBMITIT_EXECUTOR", "CUDA_VISIBLE_DEVICES")
    for name in gone:
        monkeypatch.setenv(name, "of somebody else")
    monkeypatch.setenv("KEPT", "yes")
    job_id = qsub.submit(Request(["-h", "-V"], ["/bin/true"], "tabc"))
    carried = pbs.job(job_id)["Variable_List"]
    assert carried["KEPT"] == "yes"
    assert not set(gone) & carried.keys()


@pytest.mark.parametrize("answer", ["7.host\n", "Welcome!\n7.host\n", "7.host", "  7.host\n"])
def test_the_id_is_found_in_what_qsub_says(pbs: FakePBS, answer: str) -> None:
    pbs.fail("qsub", "", status=0, output=answer)
    assert qsub.submit(request()) == "7.host"


def test_a_refusal_comes_in_qsubs_own_words(pbs: FakePBS) -> None:
    with pytest.raises(SchedulerError) as refused:
        qsub.submit(Request(["-q", "nosuch"], ["/bin/true"], "tabc"))
    assert str(refused.value) == "qsub: Unknown queue (exit status 170)"
    assert not isinstance(refused.value, Unreachable | SubmitLimit)


@pytest.mark.parametrize("setting", ["max_queued", "queued_jobs_threshold"])
def test_a_limit_of_jobs_is_told_apart(pbs: FakePBS, setting: str) -> None:
    pbs.change(**{setting: 0})
    with pytest.raises(SubmitLimit, match="would exceed complex's per-user limit"):
        qsub.submit(request())


@pytest.mark.parametrize("fault", [{"error": SILENT}, {"error": "", "status": 0}])
def test_a_job_whose_answer_was_lost_is_found(pbs: FakePBS, fault: dict[str, str]) -> None:
    other = qsub.submit(request())  # of the same token, as a run that goes on has
    said: list[str] = []
    pbs.fail("qsub", acts=True, **fault)
    found = qsub.submit(request(), said.append)
    assert sorted(pbs.jobs()) == sorted([other, found])
    assert [line.partition(":")[0] for line in said] == [
        "no answer to a submission", "it had arrived"
    ]  # fmt: skip


def test_an_array_whose_answer_was_lost_is_found_as_a_whole(pbs: FakePBS) -> None:
    pbs.fail("qsub", SILENT, acts=True)
    array = Request(["-J", "0-2", "-o", "/dev/null"], ["/bin/true"], "tabc")
    assert qsub.submit(array, lambda line: None) == "1[].fakepbs"


def test_a_job_that_did_not_arrive_is_submitted_again(pbs: FakePBS) -> None:
    said: list[str] = []
    pbs.fail("qsub", SILENT)
    job_id = qsub.submit(request(), said.append)
    assert list(pbs.jobs()) == [job_id]
    assert len(pbs.calls("qsub")) == 2
    assert said[-1] == "it had not arrived; submitting again"


def test_no_answer_at_all(pbs: FakePBS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qsub, "_PATIENCE_S", 0.0)
    pbs.stop()
    with pytest.raises(Unreachable):
        qsub.submit(request(), lambda line: None)


# Asking


def test_all_jobs_come_in_two_calls(pbs: FakePBS) -> None:
    ids = [qsub.submit(request()) for _ in range(3)]
    array = qsub.submit(Request(["-J", "0-1", "-o", "/dev/null"], ["/bin/true"], "tabc"))
    found = qsub.jobs()
    tasks = [pbs_states.task_id(array, index) for index in (0, 1)]
    assert set(found) == {*ids, array, *tasks}
    assert len(pbs.calls("qselect")) == len(pbs.calls("qstat")) == 1
    assert {pbs_states.array_of(job_id) for job_id in tasks} == {array}
    assert [pbs_states.array_of(job_id) for job_id in ids] == ids
    assert pbs_states.number(array) == pbs_states.number(tasks[1]) == 4


def test_nobodys_jobs(pbs: FakePBS) -> None:
    assert qsub.jobs() == qsub.details([]) == {}
    assert qsub.details(["1.fakepbs", "2.fakepbs"]) == {}


def test_without_history_those_that_go_on_are_still_told(pbs: FakePBS) -> None:
    pbs.change(history=False)
    over, held = qsub.submit(request()), qsub.submit(Request(["-h"], ["/bin/true"], "tabc"))
    pbs.wait(held, "H")
    while over in pbs.jobs():
        pass
    assert list(qsub.details([over, held])) == list(qsub.jobs()) == [held]
    assert qsub.details([over]) == {}


def test_a_server_that_is_down_is_no_empty_queue(pbs: FakePBS) -> None:
    pbs.stop()
    for ask in (qsub.jobs, lambda: qsub.details(["1.fakepbs"])):
        with pytest.raises(Unreachable):
            ask()
    assert qsub.is_here()  # its commands are


def test_an_answer_that_is_no_json(pbs: FakePBS) -> None:
    pbs.fail("qstat", "", status=0, output='{"Jobs": {"1.fakepbs"')
    with pytest.raises(SchedulerError, match="qstat's answer cannot be read"):
        qsub.details(["1.fakepbs"])


def test_another_error_of_qstat_is_passed_on(pbs: FakePBS) -> None:
    pbs.fail("qstat", "qstat: End of File\n", status=170)
    with pytest.raises(SchedulerError, match=r"^qstat: End of File$"):
        qsub.details(["1.fakepbs"])


def test_the_qstat_of_another_scheduler_is_no_pbs(pbs: FakePBS) -> None:
    assert qsub.is_here()
    (pbs.folder / "bin" / "qstat").write_text("#!/bin/sh\necho 'Version: 6.1.3'\n")
    assert not qsub.is_here()
    (pbs.folder / "bin" / "qstat").unlink()
    assert not qsub.is_here()


# Cancelling


def test_jobs_are_removed_one_by_one_and_gone_is_no_error(pbs: FakePBS) -> None:
    held = [qsub.submit(Request(["-h"], ["/bin/true"], "tabc")) for _ in range(2)]
    over = qsub.submit(request())
    pbs.wait(over)
    qsub.cancel([over, "99.fakepbs", *held, held[0]])
    assert pbs.calls("qdel") == [[over], ["99.fakepbs"], [held[0]], [held[1]]]
    assert [pbs.job(job_id)["substate"] for job_id in held] == [91, 91]


def test_a_job_that_may_not_be_removed(pbs: FakePBS) -> None:
    pbs.fail("qdel", "qdel: Unauthorized Request  1.fakepbs\n", status=159)
    with pytest.raises(SchedulerError, match=r"^qdel: Unauthorized Request 1.fakepbs$"):
        qsub.cancel(["1.fakepbs"])


# Pointing what waits at another job


def held(dependency: str = "") -> str:
    return qsub.submit(Request(["-h"], ["/bin/true"], "tabc", dependency))


def depend_of(pbs: FakePBS, job_id: str) -> set[str]:
    """What a job waits for."""
    found = pbs_states.depends(pbs.job(job_id))
    return {":".join([kind, *ids]) for kind, ids in found if kind.startswith("after")}


def test_all_that_wait_are_pointed_at_the_successor(pbs: FakePBS) -> None:
    job, other = held(), held()
    followers = {
        held(f"afterok:{job}"): {"afterok:{new}"},
        held(f"afterany:{job}"): {"afterany:{new}"},
        held(f"afternotok:{job}"): {"afternotok:{new}"},
        held(f"afterok:{other}:{job}"): {f"afterok:{other}:{{new}}"},
        held(f"afterany:{other},afterok:{job}"): {f"afterany:{other}", "afterok:{new}"},
    }
    bystander = held(f"afterok:{other}")
    successor = held(f"afterany:{job}")
    assert sorted(qsub.point_at(successor, job)) == sorted(followers)
    for follower, wanted in followers.items():
        assert depend_of(pbs, follower) == {text.format(new=successor) for text in wanted}
    assert depend_of(pbs, bystander) == {f"afterok:{other}"}
    assert depend_of(pbs, successor) == {f"afterany:{job}"}


def test_what_waits_for_a_follower_goes_on_waiting_for_it(pbs: FakePBS) -> None:
    job = held()
    follower = held(f"afterok:{job}")
    last = held(f"afterok:{follower}")
    qsub.point_at(held(f"afterany:{job}"), job)
    assert depend_of(pbs, last) == {f"afterok:{follower}"}
    assert pbs_states.waiting(pbs.job(follower)) == [last]


def test_followers_stay_if_the_job_then_ends_well(pbs: FakePBS) -> None:
    job = qsub.submit(request("/bin/bash", "-c", "while [ ! -e done ]; do sleep 0.02; done"))
    follower = qsub.submit(request(dependency=f"afterok:{job}"))
    successor = qsub.submit(request("/bin/sleep", "0.2", dependency=f"afterany:{job}"))
    assert qsub.point_at(successor, job) == [follower]
    (pbs.folder / "home" / "done").touch()
    pbs.wait(job)
    assert pbs.job(follower)["job_state"] == "H"
    pbs.wait(successor)
    assert pbs.wait(follower)["run_count"] == 1


def test_no_followers_no_call(pbs: FakePBS) -> None:
    job = held()
    assert qsub.point_at(held(f"afterany:{job}"), job) == []
    assert qsub.point_at("8.fakepbs", "9.fakepbs") == []
    assert pbs.calls("qalter") == []


def test_one_that_was_deleted_does_not_keep_the_others_from_being_moved(pbs: FakePBS) -> None:
    job = held()
    deleted, follower = held(f"afterok:{job}"), held(f"afterok:{job}")
    qsub.cancel([deleted])
    successor = held(f"afterany:{job}")
    assert qsub.point_at(successor, job) == [follower]
    assert depend_of(pbs, follower) == {f"afterok:{successor}"}


def test_one_that_was_moved_already_is_left_alone(pbs: FakePBS) -> None:
    job = held()
    follower, first = held(f"afterok:{job}"), held(f"afterany:{job}")
    qsub.point_at(first, job)
    assert qsub.point_at(held(), job) == [first]
    assert depend_of(pbs, follower) == {f"afterok:{first}"}


def test_the_others_are_moved_though_one_cannot_be(pbs: FakePBS) -> None:
    job = held()
    stuck, follower = held(f"afterok:{job}"), held(f"afterok:{job}")
    successor = held(f"afterany:{job}")
    pbs.fail("qalter", f"qalter: Unauthorized Request  {stuck}\n", status=159)
    with pytest.raises(SchedulerError, match=rf"^job {stuck}: qalter: Unauthorized Request"):
        qsub.point_at(successor, job)
    assert depend_of(pbs, stuck) == {f"afterok:{job}"}
    assert depend_of(pbs, follower) == {f"afterok:{successor}"}


# Why a job was told to stop


@pytest.mark.parametrize(("end_s", "meant"), [(None, None), (3600, None), (30, "time limit")])
def test_a_signal_by_itself(pbs: FakePBS, end_s: float | None, meant: str | None) -> None:
    job = qsub.submit(request("/bin/sleep", "60"))
    pbs.wait(job, "R")
    end = None if end_s is None else qsub.time.time() + end_s
    assert qsub.why_stopped(job, end) == meant
    assert not qsub.is_being_rerun(job)
