"""The job that compares what became of one pre-trained encoder."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan import stored
from gan.config import SimCLRConfig
from jobs import records, trained
from jobs.run import Run
from jobs.sampling import near
from jobs.selfsupervised import CLASSIFIERS, FROZEN, PRETRAIN
from jobs.stage import Context, Result, StageJob, Stopped
from jobs.trained import Trained

if TYPE_CHECKING:
    from gan.data import ImageSet


@dataclass(frozen=True)
class Compare(StageJob):
    """Accuracies of all classifiers of a self-supervised pipeline, and proof of what was frozen."""

    stage = "compare"

    def work(self, context: Context) -> Result:
        from gan import evaluation

        members = context.run.members()
        pretrained = trained.load(members[PRETRAIN])
        try:
            pictures, figures = _of_pretraining(pretrained, context)
            for name in CLASSIFIERS:
                model = trained.load(members[name], _held_out(members[name], pretrained))
                if name in FROZEN:
                    _require_unchanged(model)
                measured = model.variant.measure(model.data, context.stop.reason)
                figures["accuracy"][name] = measured["test/accuracy"]
                figures["data"][name] = members[name].settings()["data"]
        except evaluation.Interrupted:
            raise Stopped(context.stop.reason()) from None
        told = ", ".join(f"{name} {value:.4f}" for name, value in figures["accuracy"].items())
        context.say(f"test accuracy: {told}")
        return Result(pictures, figures)


def _of_pretraining(model: Trained, context: Context) -> tuple[list[Path], dict[str, Any]]:
    """What neighbours say of trained and of untrained representations, with pictures of some; the
    loss, and a collapse's.
    """
    from gan import scalars, variants
    from gan.variants.simclr import SimCLR

    config, data = model.run.config(), model.data
    assert isinstance(config, SimCLRConfig)
    untrained = variants.build(config, data.info, model.device)
    pictures, votes, alike = [], {}, {}
    for end, variant in (("", model.variant), ("untrained", untrained)):
        assert isinstance(variant, SimCLR)
        represented = variant.represent(data, context.stop.reason)
        key = f"_{end}" if end else ""
        votes[f"knn_accuracy{key}"] = variant.vote(data, represented).get("test/knn_accuracy")
        title = f"neighbours-{end}" if end else "neighbours"
        picture, alike[f"alike{key}"] = near.draw(model, represented, title, context)
        pictures.append(picture)
    losses = scalars.read(model.run.scalars)["train/contrastive_loss"][1]
    return pictures, {
        "accuracy": {},
        "data": {},
        **votes,
        "contrastive_loss": float(losses[-1]),
        "collapsed_loss": math.log(2 * config.train.batch_size - 1),
        "pretrain_data": model.run.settings()["data"],
        "pretrain_sha256": model.checksum,
        PRETRAIN: alike,
    }


def _held_out(run: Run, other: Trained) -> "ImageSet | None":
    """The images of `other`, if those held out of `run` are the same; its training images, which
    may be a share, are not asked for here.
    """
    ours, theirs = (stored.data_info(r.settings(), r.path) for r in (run, other.run))
    same = replace(ours, train_count=theirs.train_count) == theirs
    sizes = {r.config().data.image_size for r in (run, other.run)}
    return replace(other.data, info=ours) if same and len(sizes) == 1 else None


def _require_unchanged(model: Trained) -> None:
    """Raise ValueError unless the encoder is, to the bit, the one that the run began with."""
    from gan import pretrained

    networks = {name: network.state_dict() for name, network in model.variant.networks.items()}
    found = pretrained.checksum(pretrained.encoder_part(networks))
    began = records.require(model.run, "train")["result"]["encoder_sha256"]
    if found != began:
        raise ValueError(f"{model.run.path}: its frozen encoder was {began}, now is {found}")
