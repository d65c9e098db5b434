"""The Inception network on which published figures stand: FID and IS.

Its weights come from a file that the user has; nothing is fetched. They are those of TensorFlow's
network of 2015-12-05, converted for torch (weights-inception-2015-12-05-6726825d.pth, as
torch-fidelity and pytorch-fid publish it). Torchvision's own Inception v3 was trained anew, has
1,000 classes instead of 1,008, and gives other figures: it is refused.

The network is torchvision's with TensorFlow's poolings, so that nothing else has to be installed.
torchmetrics would want torch-fidelity for it, resizes in another way, and cannot be given a file
for its Inception score; torch-fidelity opens the file in a way that may run code in it.
"""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.inception import (
    BasicConv2d,
    Inception3,
    InceptionA,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
)

from gan.config import ConfigError

CLASSES = 1008
FEATURES = 2048
TOGETHER = 32  # images; they take about 200 MB, and some seconds on two cores
_SIDE = 299
_COUNTER = "num_batches_tracked"
_PUBLISHED = "6726825d"  # how the SHA-256 of the published file begins
# What torch raises for damaged files, and for those that hold more than tensors.
_UNREADABLE = (RuntimeError, ValueError, EOFError, LookupError, pickle.UnpicklingError)
_SHOWN = 3  # wrong tensors in a message
_ALLOWED = "the 1,008-class Inception v3 of 2015-12-05, as a state dict in .pth or .safetensors"


class _MeanPooled:
    """A block whose pooled branch leaves the zeros beyond the edge out of its means."""

    branch_pool: nn.Module

    def pooled(self, maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)

    def _forward(self, maps: Tensor) -> list[Tensor]:
        *others, _ = super()._forward(maps)  # type: ignore[misc]
        return [*others, self.branch_pool(self.pooled(maps))]


class _BlockA(_MeanPooled, InceptionA):
    pass


class _BlockC(_MeanPooled, InceptionC):
    pass


class _BlockE(_MeanPooled, InceptionE):
    pass


class _LastBlock(_MeanPooled, InceptionE):
    """The last one takes the largest values instead; a slip of 2015 that all figures rest on."""

    def pooled(self, maps: Tensor) -> Tensor:
        return F.max_pool2d(maps, 3, stride=1, padding=1)


class _Network(Inception3):
    def __init__(self) -> None:
        blocks = [BasicConv2d, _BlockA, InceptionB, _BlockC, InceptionD, _BlockE, nn.Identity]
        super().__init__(
            CLASSES, aux_logits=False, inception_blocks=blocks, init_weights=False, dropout=0.0
        )
        self.Mixed_7c = _LastBlock(FEATURES)


@dataclass(frozen=True)
class InceptionFile:
    """A file of weights that has been looked at."""

    path: Path
    sha256: str  # of the file, hexadecimal

    @property
    def published(self) -> bool:
        """Whether it is the very file that others use; the same weights may be in another."""
        return self.sha256.startswith(_PUBLISHED)


def check(path: Path) -> InceptionFile:
    """Make sure that a file holds the network's weights, before anything depends on it.

    Raises ConfigError if it is missing, unreadable, or of another network.
    """
    _weights(path)
    with path.open("rb") as file:
        return InceptionFile(path, hashlib.file_digest(file, "sha256").hexdigest())


def _weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, all of its tensors as the network has them."""
    state = _read(path)
    with torch.device("meta"):
        expected = _Network().state_dict()
    counters = {name: torch.tensor(0) for name in expected if name.endswith(_COUNTER)}
    state |= counters  # which some files leave out, and evaluation does not use
    found = {name: tuple(getattr(tensor, "shape", ())) for name, tensor in state.items()}
    wrong = [
        f"{name} is {found.get(name, 'missing')}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if found.get(name) != tuple(tensor.shape)
    ]
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise _refused(path, f"{'; '.join(wrong[:_SHOWN])}{more}")
    return {name: state[name].to(tensor.dtype) for name, tensor in expected.items()}


def _read(path: Path) -> dict[str, Any]:
    import safetensors
    import safetensors.torch

    if not path.is_file():
        raise _refused(path, "there is no such file")
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)  # runs no code in it
    except OSError as error:
        raise _refused(path, f"it cannot be read ({error.strerror or error})") from None
    except _UNREADABLE as error:
        raise _refused(path, f"it cannot be read as tensors alone ({_first_line(error)})") from None
    except safetensors.SafetensorError as error:
        raise _refused(path, f"it cannot be read ({_first_line(error)})") from None
    if not isinstance(state, dict):
        raise _refused(path, f"it holds a {type(state).__name__}")
    return state


def _first_line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0]
    return line if " " in line else type(error).__name__  # a number alone tells nobody anything


def _refused(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"inception-weights is {path}: {reason}; allowed: {_ALLOWED}")


def enlarge(images: Tensor) -> Tensor:
    """Images (B, C, S, S) float32 at 299 x 299, as TensorFlow 1 does it.

    Bilinear, but output pixel i lies at i S / 299 and not in the middle of its share: figures of
    other resizings are not FID (Parmar et al., "On aliased resizing", 2022).
    """
    side = images.shape[-1]
    places = torch.arange(_SIDE, device=images.device) * torch.tensor(side / _SIDE)
    low = places.long()
    high, share = (low + 1).clamp_max(side - 1), places - low  # (299,)
    rows = torch.lerp(images[:, :, low], images[:, :, high], share[:, None])
    return torch.lerp(rows[..., low], rows[..., high], share)


class Inception:
    """The network as a judge of images; a `Look` (`gan.metrics.judging`), to be given TOGETHER.

    Logits are without their bias, as in the code that came with the Inception score.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        """Raises ConfigError like `check`."""
        with torch.device("meta"):
            network = _Network()
        network.load_state_dict(_weights(path), assign=True)
        self.network = network.to(device).eval().requires_grad_(False)
        self.last = self.network.fc.weight  # (1008, 2048)
        self.network.fc = nn.Identity()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, 2048) and logits (B, 1008) of images (B, 1 or 3, S, S) uint8.

        Raises ValueError for images of other channels.
        """
        if images.shape[1] not in (1, 3):
            raise ValueError(f"images have {images.shape[1]} channels; allowed: 1 or 3")
        colours = images.expand(-1, 3, -1, -1)
        features = torch.cat(
            [self.network((enlarge(some.float()) - 128) / 128) for some in colours.split(TOGETHER)]
        )
        return features, features @ self.last.T
