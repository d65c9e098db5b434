import os
import signal
import threading
import time

import pytest

from slurm.preemption import MINUTES, StopRequest, deadline_from_environment


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGTERM, "terminated"),
        (signal.SIGINT, "interrupted"),
        (signal.SIGUSR2, "preempted"),
        (signal.SIGHUP, "terminated"),
    ],
)
def test_signal_only_sets_the_flag(number: signal.Signals, reason: str) -> None:
    original = signal.signal(number, signal.SIG_DFL)  # whatever this process was started with
    try:
        with StopRequest().listening() as stop:
            assert stop.reason() is None
            os.kill(os.getpid(), number)
            assert stop.reason() == reason
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.reason() == reason  # the first one counts
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, original)


def test_second_interrupt_hurries_but_a_doubled_one_does_not() -> None:
    with StopRequest().listening() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # one Ctrl-C may arrive twice
        stop._received -= 2
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest().listening() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.reason() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_suspension_is_no_part_of_the_time_limit() -> None:
    before = time.monotonic() + 20
    stop = StopRequest(before)
    stop._looked -= 100  # it has not asked for so long, since it stood still
    with stop.listening():
        os.kill(os.getpid(), signal.SIGCONT)
        assert stop.deadline == pytest.approx(before + 100, abs=1)
        assert stop.reason() is None
        os.kill(os.getpid(), signal.SIGCONT)  # which nothing went before
        assert stop.deadline == pytest.approx(before + 100, abs=1)


def test_work_that_asks_rarely_was_not_suspended() -> None:
    before = time.monotonic() + 200
    stop = StopRequest(before)
    stop._looked -= 60
    assert stop.reason() is None
    stop._looked -= 50
    stop.handle_continued(signal.SIGCONT, None)
    assert stop.deadline == before


def test_deadline_is_kept_by_a_margin_from_save_times() -> None:
    stop = StopRequest(deadline=time.monotonic() + 20)
    assert stop.reason() is None
    assert stop.reason(save_s=4) is None
    assert stop.reason(save_s=15) == "time limit"
    assert StopRequest(deadline=time.monotonic() + 4).reason() == "time limit"


def test_outside_the_main_thread_only_the_deadline_counts() -> None:
    reasons = []

    def work() -> None:
        with StopRequest(deadline=time.monotonic()).listening() as stop:
            reasons.append(stop.reason())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert reasons == ["time limit"]


def test_launcher_hands_the_limit_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MINUTES, raising=False)
    assert deadline_from_environment() is None
    monkeypatch.setenv(MINUTES, "2")
    assert deadline_from_environment() == pytest.approx(time.monotonic() + 120, abs=1)
