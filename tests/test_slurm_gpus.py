"""Which GPUs a job takes where its scheduler names none: never somebody else's, never by guess."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from slurm import gpus
from slurm.errors import SchedulerError
from slurm.gpus import VISIBLE, Claim, claim

Node = Callable[..., None]
OTHER = """
import sys
from slurm import gpus
claimed = gpus.claim(1, whole_node=False)
print(claimed.visible, flush=True)
sys.stdin.read()
"""
PROBLEM = "and which are free is not to be found out: "


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """Puts an nvidia-smi on PATH, alone there, that knows these GPUs, and those in use.

    The names are of this test alone: the locks are this machine's.
    """
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    def has(names: str, busy: str = "", body: str = "") -> None:
        lines = ["#!/bin/sh", body, 'case "$*" in']
        for what, found in {"gpu=uuid": names, "compute-apps=gpu_uuid": busy}.items():
            lines.append(f"'--query-{what} --format=csv,noheader')")
            lines += [f"echo {tmp_path}-{name}" for name in found.split()] + [";;"]
        (tmp_path / "nvidia-smi").write_text("\n".join([*lines, "*) exit 9 ;;", "esac\n"]))
        (tmp_path / "nvidia-smi").chmod(0o755)

    return has


@pytest.fixture
def claims(tmp_path: Path) -> Iterator[Callable[..., str | None]]:
    """Claims GPUs until the test is over; returns their names, short again."""
    with ExitStack() as stack:

        def take(count: int, whole_node: bool = False) -> str | None:
            found = claim(count, whole_node)
            for lock in found.locks:
                stack.enter_context(closing(lock))
            return found.visible and found.visible.replace(f"{tmp_path}-", "")

        yield take


def test_nothing_is_asked_where_no_gpus_are_booked(node: Node) -> None:
    assert claim(0, whole_node=False) == Claim()  # there is no nvidia-smi


def test_those_that_the_site_names_stay(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "3,5")
    assert claim(2, whole_node=False) == Claim()


def test_a_whole_node_brings_all_of_them(node: Node) -> None:
    assert claim(4, whole_node=True) == Claim()


def test_free_ones_are_taken_in_their_order(node: Node, claims: Any) -> None:
    node("a b c d")
    assert claims(2) == "a,b"


def test_an_empty_name_of_the_site_names_none(
    node: Node, claims: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, "")
    node("a b")
    assert claims(1) == "a"


def test_those_at_work_for_somebody_else_are_left_alone(node: Node, claims: Any) -> None:
    node("a b c d", busy="a c c")
    assert claims(2) == "b,d"


def test_two_jobs_at_once_get_different_ones(node: Node, claims: Any) -> None:
    node("a b c d")
    assert [claims(1), claims(2), claims(1)] == ["a", "b,c", "d"]
    with pytest.raises(SchedulerError, match=r"1 GPUs were booked on .* free there: 0 of 4\."):
        claims(1)


def test_another_process_holds_its_own_as_long_as_it_lives(
    node: Node, claims: Any, tmp_path: Path
) -> None:
    node("a b")
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout.readline() == f"{tmp_path}-a\n"
        assert claims(1) == "b"
        other.kill()
    assert claims(1) == "a"


def test_a_claim_that_fails_holds_nothing(node: Node, claims: Any) -> None:
    node("a b")
    with pytest.raises(SchedulerError):
        claims(3)
    assert claims(2) == "a,b"


def test_too_few_are_refused_in_words(node: Node, claims: Any) -> None:
    node("a b c d", busy="a b c")
    with pytest.raises(SchedulerError) as refused:
        claims(2)
    words = str(refused.value)
    assert words.startswith("2 GPUs were booked on ")
    assert words.endswith(
        "whose scheduler names none of them; free there: 1 of 4. Book whole nodes (--exclusive), "
        f"or ask the site to set {VISIBLE}"
    )


def test_without_nvidia_smi_nothing_is_taken_by_guess(node: Node) -> None:
    with pytest.raises(SchedulerError, match=rf"{PROBLEM}nvidia-smi cannot be asked \(.*No such "):
        claim(1, whole_node=False)


def test_nor_where_it_fails(node: Node) -> None:
    node("a b", body="echo 'No devices were found'; exit 6")
    with pytest.raises(SchedulerError, match=f"{PROBLEM}No devices were found$"):
        claim(1, whole_node=False)


def test_nor_where_it_does_not_answer(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_ASK_S", 0.2)
    node("a b", body="exec /bin/sleep 60")
    with pytest.raises(SchedulerError, match=f"{PROBLEM}nvidia-smi cannot be asked .*timed out"):
        claim(1, whole_node=False)
