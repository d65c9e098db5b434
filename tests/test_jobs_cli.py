"""Bad input: a clear message, exit status 2, nothing written."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gan import data
from gan.config import ACGANConfig
from jobs.cli import main
from jobs.run import Run


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Calls the command line, which must refuse; returns what it said."""

    def call(*arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        try:
            status = main(arguments)
        except SystemExit as exit:
            status = exit.code
        said = capfd.readouterr()
        assert status == 2, said
        assert sorted(tmp_path.rglob("*")) == before
        return " ".join((said.out + said.err).replace("│", " ").split())

    return call


def test_unknown_recipe(refused: Callable[..., str]) -> None:
    assert "'nonsense'; allowed: classifier, acgan, acgan-original" in refused("run", "nonsense")


def test_no_recipe(refused: Callable[..., str]) -> None:
    assert "run needs a recipe or pipeline first" in refused("run")
    assert "run needs a recipe or pipeline first" in refused("run", "--name", "x")


def test_unknown_field(refused: Callable[..., str]) -> None:
    said = refused("run", "acgan-digits", "--model.widht", "3")
    assert "Unrecognized options: --model.widht" in said
    assert "--model.width INT" in said


def test_ill_typed_field(refused: Callable[..., str]) -> None:
    said = refused("run", "acgan-digits", "--model.width", "wide")
    assert "--model.width: invalid literal for int() with base 10: 'wide'" in said


def test_width_of_zero(refused: Callable[..., str]) -> None:
    said = refused("run", "acgan-digits", "--model.width", "0")
    assert "model.width is 0; allowed: 1 or more" in said


def test_batch_larger_than_the_data(refused: Callable[..., str]) -> None:
    said = refused("run", "acgan-digits", "--train.batch-size", "1439")
    assert "train.batch_size is 1439; allowed: 2 to 1438" in said
    said = refused("run", "acgan-digits", "--train.batch-size", "1")
    assert "train.batch_size is 1; allowed: 2 to 1438" in said


def test_unknown_data(refused: Callable[..., str]) -> None:
    said = refused("run", "acgan-digits", "--data.name", "mnits")
    assert "data.name is 'mnits'; allowed: digits, cifar10, mnist" in said


def test_data_folders_that_cannot_be_used(refused: Callable[..., str], tmp_path: Path) -> None:
    flags = ("run", "acgan-digits", "--data.name", "folder", "--data.root")
    assert "no such folder" in refused(*flags, "nowhere")
    (tmp_path / "pictures").mkdir()
    assert "0 training and 0 test pictures" in refused(*flags, "pictures")
    for i in range(8):
        Image.effect_noise((32, 32), 50).save(tmp_path / "pictures" / f"{i}.png")
    victim = tmp_path / "pictures" / "5.png"
    victim.write_bytes(victim.read_bytes()[:-200])
    assert "pictures/5.png is no readable picture" in refused(*flags, "pictures")


def test_absent_cifar10(refused: Callable[..., str]) -> None:
    assert "CIFAR10 is not in data/cifar-10-batches-py" in refused("run", "acgan")


def test_bad_names_and_places(refused: Callable[..., str]) -> None:
    assert "run name '../x'; allowed" in refused("run", "acgan-digits", "--name", "../x")
    assert "no run 'nothing'; the runs in runs are: none" in refused("status", "nothing")
    for verb in ("resume", "cancel", "verify", "report", "logs"):
        assert "no run 'nothing'" in refused(verb, "nothing")
    assert "no verb 'trian'" in refused("trian")
    assert "usage: ganymede VERB" in refused()


def test_impossible_limits(refused: Callable[..., str]) -> None:
    for minutes in ("0.0", "nan", "inf"):
        said = refused("run", "acgan-digits", "--minutes", minutes)
        assert f"minutes is {minutes}; allowed: above 0" in said
    assert "lines is 0; allowed: 1 or more" in refused("logs", "x", "--lines", "0")
    said = refused("run", "acgan-digits", "--optim.beta2", "0.9999999")
    assert "optim.beta2 is 0.9999999; allowed: a little less" in said
    said = refused("run", "acgan-digits", "--data.test-fraction", "0.0001")
    assert "data.test_fraction is 0.0001; allowed: enough for at least one" in said
    assert "threads is -1; allowed" in refused("run", "acgan-digits", "--threads", "-1")


def test_runs_that_is_a_file(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refused("run", "acgan-digits", "--runs", "file")
    assert "runs is 'file'; allowed: a folder" in said


def test_help_of_run_lists_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    assert "acgan-digits" in capsys.readouterr().out


def test_one_unreadable_run_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_acgan: ACGANConfig
) -> None:
    for name in ("good", "bad"):
        run = Run(tmp_path / "runs" / name)
        run.write("acgan-digits", tiny_acgan, data.inspect(tiny_acgan.data), 1)
    (run.path / "attempts").mkdir()
    run.attempt_file("train", 1).write_text("garbage")
    assert main(["status"]) == 2
    said = capsys.readouterr()
    assert "good" in said.out
    assert "train-0001.json cannot be read" in said.err
    assert main(["verify", "bad"]) == 1
    assert "train-0001.json cannot be read" in capsys.readouterr().out


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for name in ("classifier", "acgan", "classifier-digits", "acgan-digits", "demo"):
        assert f"\n  {name} " in said


def test_status_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0
    assert capsys.readouterr().out.strip() == "[]"
