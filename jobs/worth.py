"""The job that compares what became of one pre-trained encoder."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gan.config import SimCLRConfig
from jobs import trained
from jobs.run import Run
from jobs.selfsupervised import CLASSIFIERS, FROZEN, PRETRAIN
from jobs.stage import Context, Result, StageJob, Stopped
from jobs.trained import Trained

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Compare(StageJob):
    """Accuracies of all classifiers of a self-supervised pipeline, and proof of what was frozen."""

    stage = "compare"

    def work(self, context: Context) -> Result:
        from gan import evaluation

        members = context.run.members()
        pretrained = trained.load(members[PRETRAIN])
        try:
            figures = _of_pretraining(pretrained, context)
            for name in CLASSIFIERS:
                known = pretrained.data if _same_images(members[name], members[PRETRAIN]) else None
                model = trained.load(members[name], known)
                if name in FROZEN:
                    _require_unchanged(model, pretrained if name == "probe" else None)
                measured = model.variant.measure(model.data, context.stop.reason)
                figures["accuracy"][name] = measured["test/accuracy"]
                figures["data"][name] = members[name].settings()["data"]
        except evaluation.Interrupted:
            raise Stopped(context.stop.reason()) from None
        told = ", ".join(f"{name} {value:.4f}" for name, value in figures["accuracy"].items())
        context.say(f"test accuracy: {told}")
        return Result(figures=figures)


def _of_pretraining(model: Trained, context: Context) -> dict[str, Any]:
    """Neighbours' votes on trained and untrained representations; the loss, and a collapse's."""
    from gan import scalars, variants

    config = model.run.config()
    assert isinstance(config, SimCLRConfig)
    untrained = variants.build(config, model.data.info, model.device)
    voted, before = (
        variant.measure(model.data, context.stop.reason).get("test/knn_accuracy")
        for variant in (model.variant, untrained)
    )
    losses = scalars.read(model.run.scalars)["train/contrastive_loss"][1]
    return {
        "accuracy": {},
        "data": {},
        "knn_accuracy": voted,
        "knn_accuracy_untrained": before,
        "contrastive_loss": float(losses[-1]),
        "collapsed_loss": math.log(2 * config.train.batch_size - 1),
        "pretrain_data": model.run.settings()["data"],
        "pretrain_sha256": model.checksum,
    }


def _same_images(run: Run, other: Run) -> bool:
    """Whether the held-out images of both are the same, whatever share they train on."""
    ours, theirs = (r.settings()["data"] | {"train_count": 0} for r in (run, other))
    sizes = (r.config().data.image_size for r in (run, other))
    return ours == theirs and len(set(sizes)) == 1


def _require_unchanged(model: Trained, source: Trained | None) -> None:
    """Raise ValueError unless the encoder is, to the bit, the `source`'s, or what it began as."""
    from gan import variants

    if source is None:
        began = variants.build(model.run.config(), model.data.info, model.device)
    else:
        began = source.variant
    before, after = _encoder(began), _encoder(model.variant)
    changed = [name for name in before if not before[name].equal(after[name].to(before[name]))]
    if changed or before.keys() != after.keys():
        raise ValueError(f"{model.run.path}: {len(changed)} tensors of the frozen encoder changed")


def _encoder(variant: Any) -> "dict[str, Tensor]":
    from gan import pretrained

    networks = {name: network.state_dict() for name, network in variant.networks.items()}
    return pretrained.encoder_part(networks)
