"""What `auto` came to is chosen by a run's first attempt, and holds wherever it goes on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gan import arithmetic, data
from gan.config import ClassifierConfig
from jobs import records, verify
from jobs.run import Run
from jobs.train import Train


def made(folder: Path, config: ClassifierConfig, **train: str) -> Run:
    config = replace(config, train=replace(config.train, **train))
    run = Run(folder)
    run.write("classifier-digits", config, data.inspect(config.data), 1)
    return run


def test_the_first_attempts_choice_holds_on_another_machine(
    tiny_classifier: ClassifierConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = made(tmp_path / "run", tiny_classifier, precision="auto", compile="auto")
    monkeypatch.setattr(arithmetic, "fast_bfloat16", lambda device: True)
    Train(run.path)()
    choice = {"precision": "bfloat16", "compile": "off"}
    assert json.loads(run.chosen_file.read_text()) == choice
    assert "auto: train.precision bfloat16, train.compile off" in capsys.readouterr().out
    assert (verify.problems(run), verify.notes(run)) == ([], [])
    records.withdraw(run, "train")
    monkeypatch.setattr(arithmetic, "fast_bfloat16", lambda device: False)
    Train(run.path)()
    said = capsys.readouterr().out
    assert "auto:" not in said
    assert "not as in attempt" not in said
    assert json.loads(run.chosen_file.read_text()) == choice
    for number in (1, 2):
        noted = records.read(run.attempt_file("train", number))["numerics"]
        assert {name: noted[name] for name in choice} == choice


def test_a_run_that_leaves_nothing_open_has_no_record(
    tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    run = made(tmp_path / "run", tiny_classifier)
    Train(run.path)()
    assert not run.chosen_file.exists()
    assert "precision" not in records.latest(run, "train")["numerics"]


def test_a_node_that_cannot_compile_goes_on_without_and_says_so(
    tiny_classifier: ClassifierConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(arithmetic, "cannot_compile", lambda device: "no compiler in sight")
    run = made(tmp_path / "run", tiny_classifier, compile="on")
    Train(run.path)()
    assert "cannot compile: no compiler in sight; going on without" in capsys.readouterr().out
    assert records.latest(run, "train")["numerics"]["compile"] == "off"
    assert records.require(run, "train")["result"] == {"steps": 44}


@pytest.mark.parametrize("text", ["{", '{"precision": "half"}', "[]"])
def test_a_choice_that_cannot_be_read_is_refused(
    text: str, tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    run = made(tmp_path / "run", tiny_classifier, precision="auto")
    run.chosen_file.write_text(text)
    with pytest.raises(SystemExit) as left:
        Train(run.path)()
    assert left.value.code == 2
    assert "chosen.json cannot be used" in records.latest(run, "train")["error"]
