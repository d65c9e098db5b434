from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from gan import recipes
from gan.config import ACGANConfig, ConfigError, DCClassifierConfig, DCGANLabConfig
from gan.data import DataError
from jobs import cli, pipeline
from jobs.options import New
from jobs.pipeline import Comparison, plan, prepare, stages
from jobs.run import Run, RunError


def names(run: Run) -> list[tuple[str, str, list[str]]]:
    return [
        (s.run.path.name, s.name, [f"{a.run.path.name}/{a.name}" for a in s.after])
        for s in stages(run)
    ]


def test_demo_is_two_trainings_side_by_side_then_the_rest(tmp_path: Path) -> None:
    run = prepare("demo", pipeline.demo(), tmp_path / "demo", threads=2)
    everything = ["classifier/train", "gan/train", "gan/sample"]
    assert names(run) == [
        ("classifier", "train", []),
        ("gan", "train", []),
        ("gan", "sample", ["gan/train"]),
        ("demo", "evaluate", everything),
        ("demo", "visualize", ["classifier/train", "gan/train"]),
        ("demo", "report", [*everything, "demo/evaluate", "demo/visualize"]),
    ]


def test_single_runs_have_the_stages_that_make_sense(
    tmp_path: Path, tiny_acgan: ACGANConfig
) -> None:
    gan = prepare("acgan-digits", tiny_acgan, tmp_path / "g", threads=1)
    assert [name for _, name, _ in names(gan)] == ["train", "sample", "report"]
    classifier = prepare("classifier-digits", recipes.classifier_digits(), tmp_path / "c", 1)
    assert [name for _, name, _ in names(classifier)] == ["train", "report"]


def test_threads_are_shared_by_what_trains_side_by_side(tmp_path: Path) -> None:
    for total, expected in ((1, (1, 1)), (2, (1, 2)), (16, (4, 12))):
        run = prepare("demo", pipeline.demo(), tmp_path / str(total), total)
        threads = tuple(member.settings()["threads"] for member in run.members().values())
        assert threads == expected


def test_a_run_keeps_its_threads_unless_told(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    for given, kept in ((3, 3), (0, 3), (5, 5)):
        run = prepare("acgan-digits", tiny_acgan, tmp_path / "run", given)
        assert run.settings()["threads"] == kept


def test_data_is_found_from_anywhere(
    tmp_path: Path, tiny_acgan: ACGANConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    run = prepare("acgan-digits", tiny_acgan, Path("runs/run"), 1)
    assert run.config().data.root == str(tmp_path / "data")
    assert all(stage.job.path.is_absolute() for stage in stages(run))


def test_pipeline_seed_reaches_both(tmp_path: Path) -> None:
    chosen = Comparison(recipes.classifier_digits(), recipes.acgan_digits(), seed=9)
    run = prepare("demo", chosen, tmp_path / "demo", 2)
    assert [member.config().seed for member in run.members().values()] == [9, 9]


def test_pipeline_root_reaches_both(tmp_path: Path) -> None:
    chosen = Comparison(recipes.classifier(), recipes.acgan(), root="somewhere")
    with pytest.raises(DataError, match="somewhere"):
        prepare("ie534", chosen, tmp_path / "ie534", 2)
    assert [config.data.root for config in chosen.members().values()] == ["somewhere"] * 2


def test_the_small_s0_takes_other_images(tmp_path: Path) -> None:
    flags = ["--data", "folder", "--root", str(tmp_path), "--image-size", "32"]
    chosen, _ = cli._parse("run ie534-quick", New(), pipeline.ie534_quick(), flags)
    of_data = [config.data for config in chosen.members().values()]
    assert [(d.name, d.root, d.image_size) for d in of_data] == [("folder", str(tmp_path), 32)] * 2
    assert chosen.members()["classifier"].data.crop_scale_min == 0.7  # the rest is the recipe's
    assert pipeline.ie534_quick().members() == pipeline.demo().members()


def test_any_pair_has_its_own_settings_as_flags(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--classifier.model.width", "3", "--gan.game.loss", "least-squares"]
    flags += ["--gan.model.noise", "normal", "--seed", "4"]
    chosen, _ = cli._parse("run dcgan-lab-judged", New(), pipeline.dcgan_lab_judged(), flags)
    assert isinstance(chosen.classifier, DCClassifierConfig)
    assert isinstance(chosen.gan, DCGANLabConfig)
    assert chosen.classifier.model.width == 3
    assert (chosen.gan.game.loss, chosen.gan.model.noise) == ("least-squares", "normal")
    assert [config.seed for config in chosen.members().values()] == [4, 4]
    with pytest.raises(SystemExit):  # S0's networks have other settings
        cli._parse("run ie534", New(), pipeline.ie534(), ["--gan.model.depth", "3"])
    assert "--gan.model.depth" in capsys.readouterr().err


def test_unknown_name_lists_all(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"'acgna'; allowed: classifier, acgan, .* demo"):
        plan("acgna")


def test_total_steps_are_known_before_anything_runs(
    tmp_path: Path, tiny_acgan: ACGANConfig
) -> None:
    run = prepare("acgan-digits", tiny_acgan, tmp_path / "run", 1)
    assert run.settings()["total_steps"] == 2 * 22


def test_another_config_lists_the_differing_fields(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    prepare("acgan-digits", tiny_acgan, tmp_path / "run", 1)
    before = (tmp_path / "run" / "config.json").read_bytes()
    other = replace(tiny_acgan, seed=5, model=replace(tiny_acgan.model, width=7))
    with pytest.raises(RunError) as caught:
        prepare("acgan-digits", other, tmp_path / "run", 1)
    assert "seed: the run has 0, given was 5" in str(caught.value)
    assert "model.width: the run has 4, given was 7" in str(caught.value)
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    with pytest.raises(RunError, match="variant: the run has 'acgan', given was 'classifier'"):
        prepare("classifier-digits", recipes.classifier_digits(), tmp_path / "run", 1)
    with pytest.raises(RunError, match="was made by 'acgan-digits', given was 'demo'"):
        prepare("demo", pipeline.demo(), tmp_path / "run", 2)


def test_settings_that_change_no_result_may_change(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    run = prepare("acgan-digits", tiny_acgan, tmp_path / "run", 1)
    quieter = replace(tiny_acgan, train=replace(tiny_acgan.train, log_every=500))
    prepare("acgan-digits", quieter, tmp_path / "run", 1)
    assert run.config().train.log_every == 500


def test_other_images_are_refused(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    def paint(folder: str, count: int) -> ACGANConfig:
        (tmp_path / folder).mkdir(exist_ok=True)
        for i in range(count):
            Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / folder / f"{i}.png")
        place = {"name": "folder", "root": str(tmp_path / folder)}
        return replace(
            tiny_acgan,
            data=replace(tiny_acgan.data, **place),
            train=replace(tiny_acgan.train, batch_size=4),
            game=replace(tiny_acgan.game, auxiliary=False),
        )

    prepare("acgan-digits", paint("a", 20), tmp_path / "run", 1)
    prepare("acgan-digits", paint("same", 20), tmp_path / "run", 1)
    with pytest.raises(RunError, match="made with other images: train_count was 16, now is 20"):
        prepare("acgan-digits", paint("more", 25), tmp_path / "run", 1)
    repainted = paint("b", 20)
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "b" / "7.png")
    with pytest.raises(RunError, match="made with other images: fingerprint was"):
        prepare("acgan-digits", repainted, tmp_path / "run", 1)


def test_pipeline_does_not_take_over_anothers_run(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    mine = prepare("acgan-digits", tiny_acgan, tmp_path / "p" / "gan", 1)
    before = mine.config_file.read_bytes()
    with pytest.raises(RunError, match="p/gan was made by 'acgan-digits'"):
        prepare("demo", pipeline.demo(), tmp_path / "p", 2)
    assert mine.config_file.read_bytes() == before


def test_classifier_must_be_able_to_judge(tmp_path: Path) -> None:
    demo = pipeline.demo()
    small = replace(demo, gan=replace(demo.gan, data=replace(demo.gan.data, image_size=8)))
    with pytest.raises(
        ConfigError, match=r"at 16 pixels, gan\.data is digits at 8; allowed: the s"
    ):
        prepare("demo", small, tmp_path / "demo", 2)
    few = replace(demo, gan=replace(demo.gan, train=replace(demo.gan.train, final_samples=3)))
    with pytest.raises(ConfigError, match="final_samples is 3, test images are 359; allowed: 4"):
        prepare("demo", few, tmp_path / "demo", 2)
    assert not (tmp_path / "demo").exists()


def test_a_strangers_folder_is_left_alone(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for name in ("mine", "file"):
        with pytest.raises(RunError, match="is not a run's folder"):
            prepare("acgan-digits", tiny_acgan, tmp_path / name, 1)
    assert len(list((tmp_path / "mine").iterdir())) == 1


def test_a_start_that_was_cut_off_is_gone_on_with(tmp_path: Path) -> None:
    prepare("demo", pipeline.demo(), tmp_path / "demo", 2)
    (tmp_path / "demo" / "config.json").unlink()  # killed between the members and the whole
    assert prepare("demo", pipeline.demo(), tmp_path / "demo", 2).exists


def test_batch_and_latent_must_fit_the_data(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    large = replace(tiny_acgan, train=replace(tiny_acgan.train, batch_size=5000))
    with pytest.raises(ConfigError, match="batch_size is 5000; allowed: 2 to 1438"):
        prepare("acgan-digits", large, tmp_path / "run", 1)
    short = replace(tiny_acgan, model=replace(tiny_acgan.model, latent=9))
    with pytest.raises(ConfigError, match="latent is 9; allowed: 10 or more"):
        prepare("acgan-digits", short, tmp_path / "run", 1)
    assert not (tmp_path / "run").exists()
