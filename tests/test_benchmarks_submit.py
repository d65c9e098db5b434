"""Submissions against stand-ins for Slurm's commands, as `benchmarks.submit` times them."""

from pathlib import Path

import pytest

from benchmarks import submit
from benchmarks.submit import Bench
from checkpoints import files
from jobs import submissions
from jobs.pipeline import stages
from jobs.run import list_runs


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path, members=3)
    made.make()
    return made


def test_a_sweep_calls_sbatch_once_a_stage_for_all_members(bench: Bench) -> None:
    (run,) = list_runs(bench.submit_sweep())
    jobs: dict[str, list[str]] = {}
    for stage in stages(run):
        record = submissions.latest(stage.run, stage.name) or {}
        jobs.setdefault(stage.name, []).append(record["job_id"])
    numbers = {
        name: [f"{place}_{index}" for index in range(3)] for place, name in enumerate(jobs, 1)
    }
    assert jobs == numbers
    assert bench.calls() == len(jobs) == 3


def test_every_stage_of_a_pipeline_is_a_job(bench: Bench) -> None:
    (run,) = list_runs(bench.submit(submit._PIPELINE))
    assert bench.calls() == len(stages(run)) == len(list(run.path.rglob("submissions/*.json")))


def test_submitit_alone_makes_as_many_jobs(bench: Bench) -> None:
    alone = {path.name for path in bench.bare(jobs=2).glob("*_submitted.pkl")}
    assert (alone, bench.calls()) == ({"1_submitted.pkl", "2_submitted.pkl"}, 2)
    tasks = {path.name for path in bench.bare(jobs=1, tasks=3).glob("*_submitted.pkl")}
    assert (tasks, bench.calls()) == ({f"3_{index}_submitted.pkl" for index in range(3)}, 3)


def test_bare_files_hold_what_was_given(bench: Bench) -> None:
    written = bench.write([files.to_json({"a": 1}), b"b"])
    assert {path.read_bytes() for path in written.iterdir()} == {files.to_json({"a": 1}), b"b"}


def test_time_of_what_is_called_counts(bench: Bench) -> None:
    before = submit.cpu_time()
    bench.ganymede("list")
    assert submit.cpu_time() > before


def test_figures_of_one_round_belong_together() -> None:
    result = submit.measure(members=2, repeats=1)
    assert result["sweep_records"] == 1 + 2 + 2 * 3  # configs, and a submission of each stage
    assert [result[f"{name}_sbatch_calls"] for name in ("run", "pipeline", "sweep")] == [3, 6, 3]
    for name in ("run", "pipeline", "sweep"):
        ours, bare, start_up = result[f"{name}_s"], result[f"{name}_bare_s"], result["start_up_s"]
        assert result[f"{name}_over_bare"] == pytest.approx(ours / bare)
        assert result[f"{name}_start_up_share"] == pytest.approx(start_up / ours)
