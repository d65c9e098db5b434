"""Taking the encoder out of a finished run, or of an exported one."""

import hashlib
from pathlib import Path

from torch import Tensor

from checkpoints import CheckpointError, Store
from gan import exported, stored

_PREFIX = "encoder."
Weights = dict[str, Tensor]  # by the names that the encoder gives them


def read(folder: Path, identity: str) -> Weights:
    """The encoder's weights and statistics, of the run with this identity: in its last checkpoint,
    or in what was exported of it.

    Raises CheckpointError if there is none, if it is damaged, or if it holds no encoder.
    """
    source = _exported if stored.is_export(folder) else _saved
    networks = source(folder, identity)
    weights = encoder_part(networks)
    if not weights:
        raise CheckpointError(f"{folder} has no encoder; its networks are {', '.join(networks)}")
    return weights


def _saved(run: Path, identity: str) -> dict[str, Weights]:
    store = Store(run / "checkpoints", identity)
    steps = store.steps()
    if not steps:
        raise CheckpointError(
            f"{run} has no checkpoints to take an encoder from; give a finished run as "
            "--pretrained.run"
        )
    networks: dict[str, Weights] = store.open(steps[-1]).load()["variant"]["networks"]
    return networks


def _exported(folder: Path, identity: str) -> dict[str, Weights]:
    settings = stored.read(folder)
    if settings["identity"] != identity:
        raise CheckpointError(
            f"{folder} was exported from another config ({settings['identity'][:12]})"
        )
    return exported.read(folder, settings).networks


def encoder_part(networks: dict[str, Weights]) -> Weights:
    """Of networks by name, what belongs to the encoder of the one that has it."""
    return {
        name.removeprefix(_PREFIX): tensor
        for network in networks.values()
        for name, tensor in network.items()
        if name.startswith(_PREFIX)
    }


def checksum(weights: Weights) -> str:
    """SHA-256 (hexadecimal) of names, types, shapes and values, whatever file they came in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
