"""Encoders that come from other runs."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gan import config as configs
from gan.config import (
    ClassifierConfig,
    ConfigError,
    EncoderClassifierConfig,
    EncoderClassifierModel,
    Pretrained,
    RunConfig,
    SimCLRConfig,
)
from jobs import pretrained as encoders
from jobs import records, report
from jobs.export import export
from jobs.pipeline import prepare
from jobs.run import Run, RunError
from jobs.train import Train

FROZEN = EncoderClassifierModel(encoder="small", width=4, frozen=True)


@pytest.fixture
def pretrained(tiny_simclr: SimCLRConfig, tmp_path: Path) -> Run:
    """A finished run of SimCLR."""
    run = prepare("simclr-pretrain-digits", tiny_simclr, tmp_path / "runs" / "simclr", 1)
    assert Train(run.path)() == "finished"
    return run


@pytest.fixture
def probe(tiny_encoder: EncoderClassifierConfig, pretrained: Run) -> EncoderClassifierConfig:
    return replace(tiny_encoder, model=FROZEN, pretrained=Pretrained("simclr"))


def test_a_single_run_reports_its_neighbours(pretrained: Run) -> None:
    report.write(pretrained)
    assert "Accuracy of nearest neighbours of simclr" in pretrained.report_file.read_text()


def test_where_the_encoder_is_from_is_filled_in(
    probe: EncoderClassifierConfig, pretrained: Run, tmp_path: Path
) -> None:
    run = prepare("simclr-probe", probe, tmp_path / "runs" / "probe", 1)
    settled = run.config().pretrained
    assert settled == Pretrained(str(pretrained.path), configs.identity(pretrained.config()))
    assert Train(run.path)() == "finished"
    by_path = replace(probe, pretrained=Pretrained(str(pretrained.path)))
    assert prepare("simclr-probe", by_path, tmp_path / "runs" / "probe", 1).path == run.path


def test_features_are_tried_on_other_images(
    probe: EncoderClassifierConfig, pretrained: Run, tmp_path: Path
) -> None:
    other = replace(probe, data=replace(probe.data, test_fraction=0.5))
    run = prepare("simclr-probe", other, tmp_path / "runs" / "other", 1)
    assert Train(run.path)() == "finished"
    with pytest.raises(ConfigError, match="image_size is 16; allowed: 8, as in simclr"):
        larger = replace(probe, data=replace(probe.data, image_size=16))
        prepare("simclr-probe", larger, tmp_path / "runs" / "larger", 1)


def test_an_exported_encoder_is_the_runs(
    probe: EncoderClassifierConfig, pretrained: Run, tmp_path: Path
) -> None:
    export(pretrained, tmp_path / "given")
    for place in (tmp_path / "given", pretrained.path):
        chosen = replace(probe, pretrained=Pretrained(str(place)))
        run = prepare("simclr-probe", chosen, tmp_path / "runs" / f"of-{place.name}", 1)
        assert run.config().pretrained.run == str(place)
        assert Train(run.path)() == "finished"
    ends = [Run(tmp_path / "runs" / name).store().latest() for name in ("of-given", "of-simclr")]
    assert ends[0].manifest.files == ends[1].manifest.files
    assert ends[0].manifest.identity == ends[1].manifest.identity


def test_an_export_that_is_not_the_encoders_is_refused(
    probe: EncoderClassifierConfig, pretrained: Run, tmp_path: Path
) -> None:
    records.withdraw(pretrained, "train")
    first = min(pretrained.store().steps())
    export(pretrained, tmp_path / "early", first)
    early = replace(probe, pretrained=Pretrained(str(tmp_path / "early")))
    with pytest.raises(RunError, match=f"was exported after step {first} of 44; allowed: a finis"):
        prepare("simclr-probe", early, tmp_path / "runs" / "probe", 1)
    export(pretrained, tmp_path / "given")
    given = replace(probe, pretrained=Pretrained(str(tmp_path / "given")))
    run = prepare("simclr-probe", given, tmp_path / "runs" / "probe", 1)
    text = (tmp_path / "given" / "config.json").read_text()
    (tmp_path / "given" / "config.json").write_text(
        text.replace(configs.identity(pretrained.config()), "0" * 64)
    )
    with pytest.raises(SystemExit):
        Train(run.path)()
    assert (
        "was exported from another config (000000000000)" in records.latest(run, "train")["error"]
    )


def test_another_encoder_in_the_same_run_is_refused(
    probe: EncoderClassifierConfig, tiny_simclr: SimCLRConfig, tmp_path: Path
) -> None:
    prepare("simclr-probe", probe, tmp_path / "runs" / "probe", 1)
    other = prepare(
        "simclr-pretrain-digits", replace(tiny_simclr, seed=1), tmp_path / "runs" / "2", 1
    )
    assert Train(other.path)() == "finished"
    with pytest.raises(RunError, match=r"pretrained\.identity: the run has '\w{64}', given was"):
        prepare(
            "simclr-probe",
            replace(probe, pretrained=Pretrained("2")),
            tmp_path / "runs" / "probe",
            1,
        )


def test_the_same_command_goes_on_when_the_pretrained_run_is_gone(
    probe: EncoderClassifierConfig, pretrained: Run, tmp_path: Path
) -> None:
    run = prepare("simclr-probe", probe, tmp_path / "runs" / "probe", 1)
    assert Train(run.path)() == "finished"
    result = records.require(run, "train")["result"]
    shutil.rmtree(pretrained.path)
    assert prepare("simclr-probe", probe, tmp_path / "runs" / "probe", 1).path == run.path
    records.withdraw(run, "train")
    assert Train(run.path)() == "finished"
    assert records.require(run, "train")["result"] == result
    with pytest.raises(RunError, match=r"pretrained\.run: no run 'simclr'; .* untrained encoder"):
        prepare("simclr-probe", probe, tmp_path / "runs" / "new", 1)
    assert not (tmp_path / "runs" / "new").exists()


def test_an_unfinished_run_has_no_encoder_to_give(
    probe: EncoderClassifierConfig, pretrained: Run, tmp_path: Path
) -> None:
    records.withdraw(pretrained, "train")
    with pytest.raises(records.Unfinished):
        prepare("simclr-probe", probe, tmp_path / "runs" / "probe", 1)
    assert not (tmp_path / "runs" / "probe").exists()


def test_nor_one_that_is_trained_anew_before_the_job_begins(
    probe: EncoderClassifierConfig, pretrained: Run, tmp_path: Path
) -> None:
    run = prepare("simclr-probe", probe, tmp_path / "runs" / "probe", 1)
    records.withdraw(pretrained, "train")
    with pytest.raises(SystemExit):
        Train(run.path)()
    assert "simclr" in records.latest(run, "train")["error"]
    assert not run.checkpoints.exists()
    assert Train(pretrained.path)() == Train(run.path)() == "finished"


def test_a_run_without_encoder_is_refused(
    probe: EncoderClassifierConfig, tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    prepare("classifier-digits", tiny_classifier, tmp_path / "runs" / "plain", 1)
    with pytest.raises(ConfigError, match="plain, which is a run of classifier and has no encoder"):
        prepare(
            "simclr-probe",
            replace(probe, pretrained=Pretrained("plain")),
            tmp_path / "runs" / "p",
            1,
        )


@pytest.mark.parametrize("place", ["simclr", ""])
def test_an_identity_that_is_not_the_runs_is_refused(
    probe: EncoderClassifierConfig, tmp_path: Path, place: str
) -> None:
    wrong = replace(probe, pretrained=Pretrained(place, "0" * 64))
    with pytest.raises(ConfigError, match=r"pretrained\.identity is '0{64}'"):
        prepare("simclr-probe", wrong, tmp_path / "runs" / "probe", 1)


def test_other_systems_are_left_as_they_are(tiny_simclr: RunConfig, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    assert encoders.placed(tiny_simclr, run) is tiny_simclr
    assert encoders.source_of(tiny_simclr) is None
