"""`ganymede visualize`: a finished run drawn at once, and what is refused with nothing written."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import small_networks
import untrained

from gan.config import DataConfig, RunConfig
from jobs import pipeline, records
from jobs.cli import main
from jobs.drawing import maximising
from jobs.drawing.subject import Drawn, Subject
from jobs.report import Report
from jobs.run import Run
from jobs.sweep import sweep

IMAGES = DataConfig(image_size=8, test_fraction=0.02)
LAYERS = "conv1, conv3, conv5, conv6, conv7, conv8"
Ganymede = Callable[..., CompletedProcess[str]]


def tiny(name: str = "classifier", **model: int) -> RunConfig:
    return small_networks.tiny_config(name, IMAGES, **model)


@pytest.fixture
def alone(tmp_path: Path) -> Run:
    return untrained.finish(untrained.made(tmp_path / "runs" / "alone", tiny()))


@pytest.fixture
def both(tmp_path: Path) -> Run:
    """A pipeline of two networks."""
    chosen = pipeline.demo()
    chosen = replace(chosen, classifier=_small(chosen.classifier), gan=_small(chosen.gan))
    run = pipeline.prepare("demo", chosen, tmp_path / "runs" / "both", 1)
    for member in run.members().values():
        untrained.finish(member)
    return run


def _small(config: RunConfig) -> RunConfig:
    return replace(
        config, data=IMAGES, model=replace(config.model, width=4),
        train=replace(config.train, final_samples=36),
    )  # fmt: skip


def state(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_a_classifier_alone_is_drawn_and_its_report_follows(
    alone: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(alone.path.parent.parent)
    assert Report(alone.path)() == "finished"
    assert "max-conv" not in (alone.path / "report.json").read_text()
    assert main(["visualize", "alone"]) == 0
    first = records.require(alone, "visualize")["outputs"]
    assert {"figures/max-conv8.png", "figures/refined-class.png", "figures/line.svg"} < set(first)
    assert "figures/max-conv6.png" in first
    assert '"max-conv8"' in (alone.path / "report.json").read_text()
    assert main(["visualize", "alone", "--layers", "conv1", "conv8", "--before-activation"]) == 0
    record = records.require(alone, "visualize")
    assert record["result"][""]["layers"] == ["conv1", "conv8"]
    assert record["result"][""]["taken"] == "before"
    names = {path.name for path in alone.figures.iterdir() if path.name != "curves.svg"}
    assert names == {Path(output).name for output in record["outputs"]}
    assert "max-conv6.png" not in names  # drawn before, and not now
    assert record["outputs"]["figures/real.png"] == first["figures/real.png"]
    assert record["outputs"]["figures/max-conv8.png"] != first["figures/max-conv8.png"]
    assert "before its activation" in alone.report_file.read_text()
    records.require(alone, "report")  # its record follows the new page


def test_both_networks_of_a_pipeline_are_drawn_as_it_was_started(both: Run) -> None:
    views = {"layers": ["conv3"], "before_activation": True, "inception_weights": None}
    both.write_pipeline("demo", list(both.members()), "comparison", {"views": views})
    assert main(["visualize", "both", "--runs", str(both.path.parent)]) == 0
    record = records.require(both, "visualize")
    for name in ("classifier", "gan"):
        assert record["result"][name]["layers"] == ["conv3"]
        assert record["result"][name]["taken"] == "before"
        assert f"figures/{name}-max-conv3.png" in record["outputs"]
    assert not both.report_file.exists()


def test_pictures_for_a_folder_change_nothing_in_the_run(both: Run, tmp_path: Path) -> None:
    gan = both.members()["gan"]
    before, out = state(both.path), tmp_path / "there" / "pictures"
    assert main(["visualize", str(gan.path), "--layers", "conv5", "--out", str(out)]) == 0
    assert state(both.path) == before
    names = {path.name for path in out.iterdir()}
    assert {"max-conv5.png", "refined-conv5.png", "receptive.svg", "altered.png"} < names
    assert not any(name.startswith("max-conv8") for name in names)


def refused(arguments: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture) -> None:
    before = state(folder)
    assert main(["visualize", *arguments, "--runs", str(folder / "runs")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("ganymede: ")
    assert told.count("\n") == 1
    assert words in told
    assert state(folder) == before


def test_what_cannot_be_drawn_is_refused(
    alone: Run, both: Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    untrained.made(tmp_path / "runs" / "young", tiny())
    odd = untrained.made(tmp_path / "runs" / "odd", tiny())
    untrained.finish(odd, networks=tiny(width=6))
    flat = untrained.made(tmp_path / "runs" / "flat", tiny("mlp_gan"))
    untrained.finish(flat)
    study = sweep(tiny(), ("seed=0,1",))
    pipeline.prepare("classifier", study, tmp_path / "runs" / "study", 1)
    for arguments, words in (
        (["nobody"], "no run 'nobody'; the runs in "),
        (["young"], "stage train of "),
        (["young"], "is not finished"),
        (["alone", "--layers", "conv8", "conv2"], f"no layer 'conv2'; allowed: {LAYERS}\n"),
        (["both", "--layers", "x"], "allowed: of classifier and gan conv1, "),
        (["flat", "--layers", "x"], "no layer 'x'; allowed: no --layers, since there are no conv"),
        (["odd"], "of another network: in its discriminator, stages.conv1.0.weight is (6, 1, 3"),
        (["study"], "study is a sweep; allowed: one of its runs, as "),
        (["both/gan"], "is drawn together with the other network of both; allowed: "),
    ):
        refused(arguments, words, tmp_path, capsys)


def test_folders_that_cannot_be_filled_are_refused_before_the_work(
    alone: Run, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr(maximising, "draw", late)
    file, full = tmp_path / "file", tmp_path / "full"
    file.write_bytes(b"x")
    full.mkdir()
    (full / "mine.txt").write_bytes(b"y")
    for out, words in (
        (file, f"{file} cannot be written: {file} is a file; allowed: a folder"),
        (file / "below", f"{file / 'below'} cannot be written: {file} is a file"),
        (full, f"out is {full}, which holds files; allowed: a folder to be made, or empty"),
    ):
        refused(["alone", "--out", str(out)], words, tmp_path, capsys)
    alone.figures.write_bytes(b"in its place")
    refused(["alone"], f"{alone.figures} is a file", tmp_path, capsys)


def test_told_to_stop_it_writes_nothing(
    alone: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def told_to_stop(subject: Subject, drawn: Drawn) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        go_on(subject, drawn)

    go_on = maximising.draw
    monkeypatch.setattr(maximising, "draw", told_to_stop)
    before = state(alone.path)
    assert main(["visualize", str(alone.path)]) == 128 + signal.SIGTERM
    assert "terminated; nothing was written" in capsys.readouterr().out
    assert state(alone.path) == before


def test_at_the_command_line(alone: Run, ganymede: Ganymede) -> None:
    done = ganymede("visualize", "alone", "--layers", "conv9")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"ganymede: no layer 'conv9'; allowed: {LAYERS}\n"
    done = ganymede("visualize", "alone", "--layers", "conv1", "--out", "pictures")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("pictures: 11 pictures")
    assert not alone.figures.exists()
