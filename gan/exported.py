"""An exported folder: weights as safetensors, their config, and a note for whoever finds it.

safetensors is a plain table of tensors that no reader can be tricked into executing, and that other
programs read; a pickle is neither.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import CheckpointError, files
from checkpoints.manifest import FileEntry
from gan import stored

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Weights:
    """What networks consist of, and where it was found."""

    networks: dict[str, dict[str, "Tensor"]]  # by network, then by name; on the CPU
    step: int  # training steps behind it
    checksum: str  # SHA-256 of the checkpoint's file
    place: Path


_NOTE = """# {recipe}, step {step} of {total_steps}

Networks trained with Ganymede: {networks}.{unfinished}

    import gan

    model = gan.load({folder!r})
    {example}

Any other program gets the tensors by `safetensors.torch.load_file({weights!r})`,
under names such as `{name}`.

`config.json` tells what they were trained on and how, and the SHA-256 of the weights and of the
checkpoint that they were taken from.
{caution}"""
_EXAMPLES = {  # by what the networks are mainly for
    "sample": "images = model.sample(16)  # (16, {channels}, {size}, {size}), from -1 to 1",
    "classify": "logits = model.classify(images)  # (N, {channels}, {size}, {size}), from -1 to 1",
    "encode": "features = model.encoder(images)  # (N, {channels}, {size}, {size}), from -1 to 1",
}
_CAUTION = """
Images made with them are generated, not photographs: say so wherever they are shown.
"""


def write(
    folder: Path, settings: dict[str, Any], networks: "dict[str, nn.Module]", use: str, name: str
) -> None:
    """Fill an empty folder. `settings` are config.json's but for the weights; `use` is what the
    networks are mainly for (sample, classify or encode), `name` how the folder will be called.
    """
    import safetensors.torch

    tensors = {
        f"{network}.{key}": tensor.detach().cpu().contiguous()
        for network, module in networks.items()
        for key, tensor in module.state_dict().items()
    }
    data = safetensors.torch.save(tensors, {"format": "pt"})
    weights = {"size": len(data), "sha256": FileEntry.of(data).sha256}
    everything = settings | {"kind": stored.EXPORTED, "weights": weights}
    words = {"networks": ", ".join(networks), "name": next(iter(tensors)), "folder": name}
    files.write_new(folder / stored.WEIGHTS, data)
    files.write_new(folder / stored.CONFIG, files.to_json(everything))
    files.write_new(folder / "README.md", _note(everything, use, words).encode())


def _note(settings: dict[str, Any], use: str, words: dict[str, str]) -> str:
    example = _EXAMPLES[use].format(
        channels=settings["data"]["channels"], size=settings["config"]["data"]["image_size"]
    )
    finished = settings["step"] >= settings["total_steps"]
    return _NOTE.format(
        recipe=settings["recipe"],
        step=settings["step"],
        total_steps=settings["total_steps"],
        unfinished="" if finished else " Their training was not finished.",
        example=example,
        weights=stored.WEIGHTS,
        caution=_CAUTION if use == "sample" else "",
        **words,
    )


def read(folder: Path, settings: dict[str, Any]) -> Weights:
    """The weights of an exported folder, found to be what config.json says of them.

    Raises CheckpointError.
    """
    import safetensors
    import safetensors.torch

    path = folder / stored.WEIGHTS
    try:
        expected = FileEntry(**settings["weights"])
        step, checksum = int(settings["step"]), str(settings["checkpoint_sha256"])
        data = path.read_bytes()
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / stored.CONFIG} cannot be used: {error}") from None
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    if FileEntry.of(data) != expected:
        raise CheckpointError(f"{path} is not what {stored.CONFIG} says: its SHA-256 differs")
    try:
        tensors = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    networks: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        network, _, key = name.partition(".")
        networks.setdefault(network, {})[key] = tensor
    return Weights(networks, step, checksum, path)
