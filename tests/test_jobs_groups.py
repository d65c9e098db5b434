"""Which stages go into one submission."""

from dataclasses import replace
from pathlib import Path

import pytest
from other_scheduler import Other

from gan.config import ClassifierConfig
from jobs import groups
from jobs.pipeline import Stage, prepare, stages
from jobs.sweep import sweep
from slurm.of_slurm import Slurm


class Arrays(Slurm):
    """Slurm with arrays of two tasks at most."""

    def largest_array(self) -> int:
        return 2


@pytest.fixture
def graph(tmp_path: Path, tiny_classifier: ClassifierConfig) -> list[Stage]:
    """Three runs, each of training and a report."""
    chosen = sweep(tiny_classifier, ["seed=0..2"])
    return stages(prepare("classifier-digits", chosen, tmp_path / "s", threads=1))


def test_a_sweeps_waves_keep_the_order_of_the_graph(graph: list[Stage]) -> None:
    assert groups.waves(graph, graph) == [graph[0::2], graph[1::2]]
    assert groups.waves(graph, [graph[1], graph[2], graph[3]]) == [[graph[2]], [graph[1], graph[3]]]
    assert groups.waves(graph, []) == []


def test_arrays_of_what_waits_for_nothing(graph: list[Stage]) -> None:
    found = groups.arrays(graph[0::2], lambda stage: [], Arrays())
    assert [(group.stages, group.indices, group.dependency) for group in found] == [
        ((graph[0], graph[2]), (0, 1), ""),
        ((graph[4],), (0,), ""),
    ]


def test_tasks_keep_the_index_of_what_they_wait_for(graph: list[Stage]) -> None:
    wave = graph[1::2]
    needs = {id(wave[0]): ["7_1"], id(wave[1]): ["7_4"], id(wave[2]): ["8"]}
    found = groups.arrays(wave, lambda stage: needs[id(stage)], Arrays())
    assert [(group.stages, group.indices, group.dependency) for group in found] == [
        ((wave[0], wave[1]), (1, 4), "aftercorr:7"),
        ((wave[2],), (), "afterok:8"),
    ]


def test_without_arrays_each_stage_is_a_job_in_its_order(graph: list[Stage]) -> None:
    found = groups.arrays(graph[0::2], lambda stage: ["1.there"], Other())
    assert [(group.stages, group.indices, group.dependency) for group in found] == [
        ((stage,), (), "1.there") for stage in graph[0::2]
    ]


def test_halves_share_the_tasks(graph: list[Stage]) -> None:
    whole = groups.Group(tuple(graph[:3]), (2, 5, 7), "aftercorr:1")
    left, right = whole.halves()
    assert left == replace(whole, stages=(graph[0],), indices=(2,))
    assert right == replace(whole, stages=(graph[1], graph[2]), indices=(5, 7))
