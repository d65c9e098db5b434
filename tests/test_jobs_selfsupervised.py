"""The pipeline around one pre-trained encoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_slurm import FakeSlurm, install
from PIL import Image
from torch.nn import functional as F

from gan import config as configs
from gan.config import (
    ConfigError,
    EncoderClassifierConfig,
    EncoderClassifierModel,
    Pretrained,
    SimCLRConfig,
)
from jobs import cluster, queued, records, submissions, trained, worth
from jobs.pipeline import plan, prepare, stages
from jobs.reporting import figures
from jobs.run import Run, RunError
from jobs.selfsupervised import SelfSupervised
from jobs.worth import Compare
from slurm import queue

FROZEN = EncoderClassifierModel(encoder="small", width=4, frozen=True)
NEW = ["finetune", "pretrain", "probe", "probe-untrained", "scratch"]


@pytest.fixture
def chosen(tiny_simclr: SimCLRConfig, tiny_encoder: EncoderClassifierConfig) -> SelfSupervised:
    few = replace(tiny_encoder.data, train_share=0.1)
    return SelfSupervised(
        tiny_simclr, replace(tiny_encoder, model=FROZEN), replace(tiny_encoder, data=few)
    )


def graph(run: Run) -> dict[str, list[str]]:
    return {
        f"{s.run.path.name} {s.name}": [f"{a.run.path.name} {a.name}" for a in s.after]
        for s in stages(run)
    }


def test_what_begins_with_the_encoder_waits_for_it(chosen: SelfSupervised, tmp_path: Path) -> None:
    run = prepare("simclr-digits", chosen, tmp_path / "all", 4)
    training = [
        "pretrain train", "probe train", "probe-untrained train", "finetune train", "scratch train"
    ]  # fmt: skip
    assert graph(run) == {
        "pretrain train": [],
        "probe train": ["pretrain train"],
        "probe-untrained train": [],
        "finetune train": ["pretrain train"],
        "scratch train": [],
        "all compare": training,
        "all report": [*training, "all compare"],
    }
    found = {f"{s.run.path.name} {s.name}": s.job.needs for s in stages(run)}
    assert found["probe train"] == ((tmp_path / "all" / "pretrain", "train"),)
    assert found["scratch train"] == ()
    threads = {name: member.threads for name, member in run.members().items()}
    assert threads == {"pretrain": 2} | dict.fromkeys(NEW[0:1] + NEW[2:], 1)


def test_the_scheduler_is_told_the_same(
    chosen: SelfSupervised, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (queue, queued):
        monkeypatch.setattr(module, "_LOOK_AGAIN_S", 0.01)
    slurm: FakeSlurm = install(tmp_path, monkeypatch)
    run = prepare("simclr-digits", chosen, tmp_path / "runs" / "all", 1, shared=False)
    launcher = cluster.ClusterLauncher(run, tmp_path / "runs", cluster.Options(), lambda line: None)
    assert launcher.submit() == 0
    jobs = [submissions.latest(stage.run, stage.name)["job_id"] for stage in stages(run)]
    assert jobs == ["100", "101", "102", "103", "104", "105", "106"]
    assert [slurm.options(job).get("dependency") for job in jobs] == [
        None, "afterok:100", None, "afterok:100", None,
        "afterok:100:101:102:103:104", "afterok:100:101:102:103:104:105",
    ]  # fmt: skip


def test_a_member_by_itself_needs_the_encoder_too(chosen: SelfSupervised, tmp_path: Path) -> None:
    run = prepare("simclr-digits", chosen, tmp_path / "all", 1)
    train = stages(run.members()["probe"])[0]
    assert train.job == next(s for s in stages(run) if s.run.path.name == "probe").job
    with pytest.raises(SystemExit):
        train.job()
    assert "pretrain" in records.latest(train.run, "train")["error"]
    assert list(graph(train.run)) == ["probe train", "probe report"]


def test_members_differ_in_their_beginning_only(chosen: SelfSupervised) -> None:
    members = replace(chosen, seed=7, root="elsewhere").members()
    assert {config.seed for config in members.values()} == {7}
    assert {config.data.root for config in members.values()} == {"elsewhere"}
    for ours, theirs in (("probe", "probe-untrained"), ("finetune", "scratch")):
        told = configs.differences(members[ours], members[theirs])
        identity = configs.identity(members["pretrain"])
        assert told == [f"pretrained.identity: the run has '', given was {identity!r}"]
    assert members["finetune"].data.train_share == 0.1


def test_other_pretraining_in_the_same_folder_is_refused(
    chosen: SelfSupervised, tmp_path: Path
) -> None:
    prepare("simclr-digits", chosen, tmp_path / "all", 2)
    other = replace(chosen, pretrain=replace(chosen.pretrain, seed=3))
    with pytest.raises(RunError) as caught:
        prepare("simclr-digits", other, tmp_path / "all", 2)
    assert "pretrain.seed: the run has 0, given was 3" in str(caught.value)
    assert "probe.pretrained.identity: the run has" in str(caught.value)


def test_whole_pipeline_and_its_table(chosen: SelfSupervised, tmp_path: Path) -> None:
    run = prepare("simclr-digits", chosen, tmp_path / "all", 1)
    moved = Run(tmp_path / "moved")
    run.path.rename(moved.path)  # the encoder is found all the same
    for stage in stages(moved):
        assert stage.job() == "finished"
    found = records.require(moved, Compare.stage)["result"]
    assert found["accuracy"].keys() == {"probe", "probe-untrained", "finetune", "scratch"}
    for name, value in found["accuracy"].items():
        logged = figures.rows(moved.members()[name])[-1]
        assert logged.value == f"{100 * value:.1f} %"
    assert found["data"]["scratch"]["train_count"] == 144
    assert found["collapsed_loss"] == pytest.approx(4.8442, abs=1e-4)  # ln 127
    assert found["contrastive_loss"] < found["collapsed_loss"]
    assert 0.1 < found["knn_accuracy_untrained"] <= 1
    rows = {row.name: row for row in figures.rows(moved)}
    assert list(rows) == [
        "Test accuracy: probe", "Test accuracy: probe-untrained", "Test accuracy: finetune",
        "Test accuracy: scratch", "Nearest neighbours: pre-trained encoder",
        "Nearest neighbours: untrained", "Contrastive loss",
    ]  # fmt: skip
    assert "144 labelled images of digits" in rows["Test accuracy: scratch"].how
    assert "no bit of the encoder changed" in rows["Test accuracy: probe"].how
    assert "ln(2N - 1) = 4.844" in rows["Contrastive loss"].how
    text = moved.report_file.read_text()
    assert all(name in text for name in rows)
    began = {
        name: records.require(member, "train")["result"].get("encoder_sha256")
        for name, member in moved.members().items()
    }
    assert began["probe"] == began["finetune"] != began["probe-untrained"] == began["scratch"]
    assert all(stage.job() == "finished" for stage in stages(moved))  # nothing is done again
    assert_neighbours_drawn(moved)
    probe = trained.load(moved.members()["probe"])
    worth._require_unchanged(probe)
    probe.variant.model.encoder[1].running_mean[0] += 1e-6
    with pytest.raises(ValueError, match=r"probe: its frozen encoder was \w{64}, now is"):
        worth._require_unchanged(probe)


def assert_neighbours_drawn(run: Run) -> None:
    """Held-out images, each before the training images whose features have the largest cosine."""
    record = records.require(run, Compare.stage)
    titles = ("neighbours", "neighbours-untrained")
    assert {*record["outputs"]} == {f"figures/pretrain-{title}.png" for title in titles}
    model = trained.load(run.members()["pretrain"])
    data, encoder = model.data, model.variant.model.encoder.eval()
    with torch.no_grad():
        bank, queries = (
            F.normalize(encoder(torch.from_numpy(images).float() / 127.5 - 1)).double()
            for images in (data.train_images, data.test_images)
        )
    places = (queries @ bank.T).topk(5).indices.numpy()
    alike = (data.train_labels[places] == data.test_labels[:, None]).mean()
    told = record["result"]["pretrain"]
    assert told["alike"] == f"{100 * alike:.1f} %"
    assert told["alike_untrained"] != told["alike"]
    with Image.open(run.figures / "pretrain-neighbours.png") as picture:
        assert picture.size == ((6 * 10 + 2) * 8, (8 * 10 + 2) * 8)  # images of 8 x 8, enlarged
        shown = np.asarray(picture)[::8, ::8]
        assert picture.text["Description"] == "real images of a data set"
    first, last = shown[2:10, 2:10], shown[-10:-2, -10:-2]
    assert np.array_equal(first, data.test_images[0, 0])
    assert np.array_equal(last, data.train_images[places[-1, -1], 0])
    text = run.report_file.read_text()
    assert f"{told['alike']} of all neighbours show its class" in text
    assert f"{told['alike_untrained']} of all neighbours show the class" in text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"frozen": False}, r"probe\.model\.frozen is False; allowed: True"),
        ({"width": 5}, r"probe\.model\.width is 5; allowed: 4, as in pretrain, whose encoder"),
        ({"encoder": "resnet18", "width": 64}, r"probe\.model\.encoder is 'resnet18'; allowed: 's"),
    ],
)
def test_another_network_than_the_pretrained_is_refused(
    chosen: SelfSupervised, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        other = replace(chosen, probe=replace(chosen.probe, model=replace(FROZEN, **change)))
        prepare("simclr-digits", other, tmp_path / "all", 1)
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image_size": 16}, r"finetune\.data\.image_size is 16; allowed: 8, as in pretrain"),
        ({"channels": "rgb"}, r"finetune\.data\.channels come to is 3; allowed: 1, as in pretrain"),
    ],
)
def test_images_that_the_encoder_does_not_take_are_refused(
    chosen: SelfSupervised, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    other = replace(
        chosen, finetune=replace(chosen.finetune, data=replace(chosen.finetune.data, **change))
    )
    with pytest.raises(ConfigError, match=told):
        prepare("simclr-digits", other, tmp_path / "all", 1)


def test_the_pipeline_has_no_place_for_another_encoder(chosen: SelfSupervised) -> None:
    with pytest.raises(ConfigError, match=r"probe\.pretrained\.run is 'mine'; allowed: none"):
        replace(chosen, probe=replace(chosen.probe, pretrained=Pretrained("mine")))


def test_recipes_of_the_pipelines_fit_together() -> None:
    for name in ("simclr", "simclr-quick", "simclr-digits"):
        chosen = plan(name)
        assert isinstance(chosen, SelfSupervised)
        assert chosen.members().keys() == set(NEW)
