"""Taking the encoder out of a finished run."""

import hashlib
from pathlib import Path

from torch import Tensor

from checkpoints import CheckpointError, Store

_PREFIX = "encoder."
Weights = dict[str, Tensor]  # by the names that the encoder gives them


def read(run: Path, identity: str) -> Weights:
    """The encoder's weights and statistics in the last checkpoint of the run with this identity.

    Raises CheckpointError if there is none, if it is damaged, or if it holds no encoder.
    """
    store = Store(run / "checkpoints", identity)
    steps = store.steps()
    if not steps:
        raise CheckpointError(
            f"{run} has no checkpoints to take an encoder from; give a finished run as "
            "--pretrained.run"
        )
    networks: dict[str, Weights] = store.open(steps[-1]).load()["variant"]["networks"]
    weights = encoder_part(networks)
    if not weights:
        raise CheckpointError(f"{run} has no encoder; its networks are {', '.join(networks)}")
    return weights


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
