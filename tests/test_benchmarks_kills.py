"""Killed whenever it may be, a run goes on to the same end; and another end would be found out."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
import whole_run

from benchmarks.kills import __main__ as kills
from benchmarks.kills import judge, tree
from benchmarks.kills.campaign import Toll
from benchmarks.kills.judge import Committed, Lost
from benchmarks.kills.moments import PHASES
from benchmarks.kills.scenarios import KINDS
from checkpoints.manifest import NAME
from gan import samples
from jobs import pipeline, records
from jobs.run import Run

NEEDS_PROC = pytest.mark.skipif(not tree.available(), reason="there is no /proc here")


@NEEDS_PROC
def test_killed_again_and_again_it_ends_in_the_same_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds, toll = (KINDS["short"],), Toll()
    kills.campaign(tmp_path, kills.Options(kills=3, processes=1, seed=1), kinds, toll)
    assert toll.failures == []
    assert toll.kills == 3
    assert toll.runs >= 1
    assert toll.attempts >= 3
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in said if line.startswith("kill")] == [
        ["kill", str(number), "short"] for number in (1, 2, 3)
    ]
    assert "all equal" in said[-1]
    assert kills.table(toll, kinds)[-1].split() == ["all", "3", "3"]
    assert [row.split("  ")[0] for row in kills.table(toll, kinds)] == ["phase", *PHASES, "all"]
    assert list(tmp_path.iterdir()) == [tmp_path / "short undisturbed"]
    assert "3 kills" in kills.summary(toll)
    assert tree.marked(tmp_path.name) == []


def test_as_json_the_figures_stand_alone(capsys: pytest.CaptureFixture[str]) -> None:
    kinds, toll = (KINDS["short"], KINDS["pipeline"]), Toll(log=sys.stderr)
    toll.phases["short", PHASES[0]] += 2
    toll.victims["all"] += 2
    toll.failures.append("lost")
    toll.tell("a line")
    kills.tell(toll, kinds, as_json=True)
    printed, lines = capsys.readouterr()
    assert lines == "a line\n"
    found = json.loads(printed)
    assert found == kills.figures(toll, kinds)
    assert found["phases"]["short"][PHASES[0]] == found["kills"] == found["victims"]["all"] == 2
    assert sum(found["phases"]["pipeline"].values()) == found["stops"] == 0
    assert found["failures"] == ["lost"]
    kills.tell(toll, kinds, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "lost"


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Run, Run]:
    """Two finished runs that are the same."""
    for name in ("mine", "theirs"):
        (tmp_path / name).mkdir()
    return whole_run.copy(tmp_path / "mine"), whole_run.copy(tmp_path / "theirs")


def test_equal_ends_are_equal(runs: tuple[Run, Run]) -> None:
    mine, theirs = runs
    assert judge.all_differences(mine, theirs) == []
    names = judge.everything(mine).keys()
    assert "samples.h5/images" in names
    assert "train/gradient_penalty/values" in names or "train/generator_loss/values" in names
    assert any(name.startswith("/variant/") for name in names)
    assert any(name.startswith("./sample/result/") for name in names)
    assert any(name.startswith("./sample/figures/") for name in names)
    assert any(name.startswith("report/figures/") for name in names)
    assert not any("seconds" in name for name in names)


def test_one_bit_of_one_tensor_is_found_out(runs: tuple[Run, Run]) -> None:
    mine, theirs = runs
    step = judge.total(mine)
    state = mine.store().open(step).load()
    name, weight = next(
        (k, v)
        for k, v in judge.leaves(state).items()
        if torch.is_tensor(v) and v.is_floating_point()
    )
    flat = weight.view(-1).view(torch.int32 if weight.dtype == torch.float32 else torch.int64)
    flat[0] ^= 1
    stream = io.BytesIO()
    torch.save(state, stream)
    shutil.rmtree(mine.store().path(step))
    mine.store().commit(step, stream.getbuffer())
    assert judge.differences(mine, theirs) == [name]


def test_one_pixel_and_one_missing_snapshot_are_found_out(runs: tuple[Run, Run]) -> None:
    mine, theirs = runs
    path = mine.path / "samples.h5"
    known = samples.read(path)
    images = known.images.copy()
    images.flat[0] ^= 1
    path.write_bytes(samples.pack_bytes(images, known.labels, known.steps, {}))
    assert judge.differences(mine, theirs) == ["samples.h5/images"]
    path.write_bytes(samples.pack_bytes(known.images[1:], known.labels, known.steps[1:], {}))
    assert sorted(judge.differences(mine, theirs)) == ["samples.h5/images", "samples.h5/steps"]


def test_one_figure_and_one_picture_are_found_out(runs: tuple[Run, Run]) -> None:
    mine, theirs = runs

    def change(record: dict[str, object]) -> None:
        result = record["result"]
        assert isinstance(result, dict)
        result["generated"] = 9

    whole_run.edit(mine.stage_file("sample"), change)
    assert judge.all_differences(mine, theirs) == ["./sample/result/generated"]
    shutil.copy(theirs.stage_file("sample"), mine.stage_file("sample"))
    table = mine.report_file.with_suffix(".json")

    def worse(content: dict[str, object]) -> None:
        figures = content["figures"]
        assert isinstance(figures, list)
        figures[0]["value"] += 1

    whole_run.edit(table, worse)
    record = records.completion(mine, "report")
    assert record
    records.complete(mine, "report", [mine.path / name for name in record["outputs"]], {})
    assert judge.all_differences(mine, theirs) == ["report/figures/0/value"]


def test_a_committed_checkpoint_that_is_lost_is_found_out(runs: tuple[Run, Run]) -> None:
    run, other = runs
    committed = Committed()
    committed.look(pipeline.stages(run))
    assert committed.require(run) == {"": 15}
    shutil.rmtree(run.store().path(15))
    with pytest.raises(Lost, match="newest good checkpoint is of step 10, committed was 15"):
        committed.require(run)
    committed = Committed()
    committed.look(pipeline.stages(other))
    (other.store().path(15) / NAME).unlink()
    with pytest.raises(Lost, match="of step 10, committed was 15"):
        committed.require(other)


def test_a_finished_stage_that_is_lost_is_found_out(runs: tuple[Run, Run]) -> None:
    run, other = runs
    committed = Committed()
    committed.look(pipeline.stages(run))
    records.withdraw(run, "sample")
    with pytest.raises(Lost, match="sample was finished"):
        committed.require(run)
    committed.look(pipeline.stages(other))
    other.config_file.unlink()
    with pytest.raises(Lost, match="is no run any more"):
        committed.require(other)
