"""Networks ready to call, from a run, from one of its checkpoints, or from an exported folder."""

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from checkpoints import CheckpointError, Store, steps_in
from checkpoints.manifest import NAME as MANIFEST
from checkpoints.manifest import Manifest
from checkpoints.store import STATE
from gan import batches, evaluation, exported, stored, variants
from gan import config as configs
from gan.config import RunConfig
from gan.data import DataInfo
from gan.exported import Weights
from gan.generation import Request
from gan.stored import RunError
from gan.variants import Variant

_CLASSES_NAMED = 12  # in a message
_MISFITS_NAMED = 3


@dataclass(frozen=True)
class Model:
    """The networks of a run as one checkpoint has them, in eval mode and without gradients.

    Images are float32 in [-1, 1], (N, channels, S, S), as the networks take and give them.
    """

    config: RunConfig
    info: DataInfo  # of the images that it was trained on
    variant: Variant = field(repr=False)
    step: int  # training steps behind it
    checksum: str  # SHA-256 of the checkpoint's file, of an exported model too
    settings: dict[str, Any] = field(repr=False)  # all of config.json

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All networks by name."""
        return self.variant.networks

    @property
    def generator(self) -> nn.Module | None:
        """Makes images of noise (N, latent): the averaged network where there is one."""
        return self.variant.sampler

    @property
    def critic(self) -> nn.Module | None:
        """The network that judges images: scores (N,) and class logits, either may be None."""
        return self.networks.get("discriminator")

    @property
    def encoder(self) -> nn.Module | None:
        """The network that turns images into features (N, F), of a system that has one."""
        parts = (getattr(network, "encoder", None) for network in self.networks.values())
        return next((part for part in parts if isinstance(part, nn.Module)), None)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that images can be asked for; none if the generator knows none."""
        return self.info.classes if self.variant.conditions else ()

    def class_number(self, label: int | str) -> int:
        """The number of a class that is given by name or by number. Raises RunError."""
        if not self.classes:
            raise RunError(
                f"class is {str(label)!r}, but this generator was trained without classes; "
                "allowed: no class"
            )
        name = str(label)
        if name in self.classes and not isinstance(label, int):
            return self.classes.index(name)
        count = len(self.classes)
        if name.isascii() and name.isdecimal() and int(name) < count:
            return int(name)
        shown = ", ".join(self.classes[:_CLASSES_NAMED])
        shown += ", ..." if count > _CLASSES_NAMED else ""
        raise RunError(f"class is {name!r}; allowed: {shown}, or 0 to {count - 1}")

    def request(self, count: int, label: int | str | None = None, seed: int = 0) -> Request:
        """Images to be made. Raises RunError for what cannot be asked of this model."""
        if self.generator is None:
            raise RunError(f"{self.config.variant} has no generator; it makes no images")
        if count < 1:
            raise RunError(f"count is {count}; allowed: 1 or more")
        return Request(count, seed, None if label is None else self.class_number(label))

    def sample(self, count: int, label: int | str | None = None, seed: int = 0) -> Tensor:
        """The first `count` generated images of a seed, (count, C, S, S) float32 in [-1, 1].

        Of the class `label`, or of every class in turn. Raises RunError.
        """
        return torch.cat(list(self.request(count, label, seed).images(self.variant)))

    def pictures(
        self, count: int, label: int | str | None = None, seed: int = 0
    ) -> NDArray[np.uint8]:
        """The same images as uint8 (count, S, S, C), as picture libraries want them."""
        return self.request(count, label, seed).pictures(self.variant)

    def classify(self, images: Tensor | NDArray[Any]) -> Tensor:
        """Class logits (N, K) of images (N, C, S, S): floats in [-1, 1], or uint8.

        Raises RunError if the model names no classes, or for images of another shape.
        """
        if not self.variant.classifies:
            raise RunError(f"this {self.config.variant} was trained without classes")
        tensor, size = torch.as_tensor(images), self.config.data.image_size
        expected = self.info.channels, size, size
        if tensor.ndim != 4 or tensor.shape[1:] != expected or not len(tensor):
            given = tuple(tensor.shape)
            raise RunError(f"images are {given}; allowed: (N, {', '.join(map(str, expected))})")
        with evaluation.eval_mode(*self.networks.values()):
            return torch.cat([self._logits(part) for part in tensor.split(evaluation.BATCH)])

    def _logits(self, images: Tensor) -> Tensor:
        images = images.to(self.variant.device)
        scaled = batches.to_unit(images) if images.dtype == torch.uint8 else images.float()
        return self.variant.classify(scaled).float()


def load(
    path: str | Path,
    step: int | None = None,
    device: str | torch.device = "cpu",
    warn: Callable[[str], None] = warnings.warn,
) -> Model:
    """The networks in a run's folder, a checkpoint's, or an exported one.

    Of a run, finished or not, the latest good checkpoint is taken, or the one of `step`; `warn` is
    told of damaged ones that are passed over. The images that it was trained on are not needed, and
    torch's random numbers are left as they were. Raises RunError, CheckpointError.
    """
    folder = Path(path)
    if (folder / MANIFEST).is_file():
        folder, step = _run_of(folder, step)
    settings = stored.read(folder)
    if members := settings.get("members"):
        names = ", ".join(str(folder / name) for name in members)
        raise RunError(f"{folder} holds several runs; allowed: one of them, as {names}")
    config, info = stored.config(settings, folder), stored.data_info(settings, folder)
    if settings.get("kind") == stored.EXPORTED:
        weights = _exported(folder, settings, step)
    else:
        weights = _saved(folder, config, step, warn)
    with _own_randomness():
        variant = variants.build(config, info, torch.device(device))
    _put(variant, weights)
    return Model(config, info, variant, weights.step, weights.checksum, settings)


def _run_of(folder: Path, step: int | None) -> tuple[Path, int]:
    """The run to which a checkpoint's folder belongs, and the checkpoint's step."""
    own = Manifest.read(folder).step
    if step not in (None, own):
        raise RunError(f"step is {step}; {folder} is of step {own}")
    return folder.resolve().parent.parent, own


def _exported(folder: Path, settings: dict[str, Any], step: int | None) -> Weights:
    weights = exported.read(folder, settings)
    if step not in (None, weights.step):
        raise RunError(f"step is {step}; {folder} was exported at step {weights.step}")
    return weights


def _saved(
    folder: Path, config: RunConfig, step: int | None, warn: Callable[[str], None]
) -> Weights:
    """The latest good checkpoint of a run, or that of `step`."""
    place = folder / "checkpoints"
    store, known = Store(place, configs.identity(config)), steps_in(place)
    if step is not None and step not in known:
        raise RunError(f"step is {step}; allowed: {', '.join(map(str, known)) or 'none yet'}")
    checkpoint = store.latest(warn) if step is None else store.open(step)
    if checkpoint is None:
        raise RunError(f"{folder} has no checkpoint yet; an epoch's end is always saved")
    state, checksum = checkpoint.load(), checkpoint.manifest.files[STATE].sha256
    try:
        networks = state["variant"]["networks"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{checkpoint.folder} holds no networks: {error}") from error
    return Weights(networks, checkpoint.step, checksum, checkpoint.folder)


def _own_randomness() -> AbstractContextManager[None]:
    """Building a network draws its first weights from torch's generators, which are the user's."""
    cuda = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    return torch.random.fork_rng(devices=list(cuda))


def _put(variant: Variant, weights: Weights) -> None:
    """Raises CheckpointError for weights of another network."""
    try:
        for name, network in variant.networks.items():
            if misfits := _misfits(network.state_dict(), weights.networks[name]):
                shown, more = misfits[:_MISFITS_NAMED], len(misfits) - _MISFITS_NAMED
                shown += [f"and {more} more"] if more > 0 else []
                reason = f"in its {name}, {'; '.join(shown)}"
                raise CheckpointError(f"{weights.place} is of another network: {reason}")
            network.load_state_dict(weights.networks[name])
            network.eval().requires_grad_(False)
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{weights.place} is of another network: {reason}") from error


def _misfits(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """The tensors in which a network's weights differ in kind from those that were saved."""
    return [
        f"{name} is {_shape(given.get(name))} where the config makes it {_shape(own.get(name))}"
        for name in dict.fromkeys([*own, *given])
        if _shape(own.get(name)) != _shape(given.get(name))
    ]


def _shape(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else str(tuple(tensor.shape))
