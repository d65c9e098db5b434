"""A file of the Inception network for the tests, on weights made up here: the real ones are 96 MB
from elsewhere."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan.metrics import inception

Weights = dict[str, Tensor]


def made_up() -> Weights:
    """Some that keep the numbers of all layers at about one size."""
    random = np.random.Generator(np.random.Philox(key=352))
    with torch.device("meta"):
        names = inception._Network().state_dict()
    made = {}
    for name, tensor in names.items():
        shape = tuple(tensor.shape)
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith(("bn.weight", "running_var")):
            values = 0.75 + 0.5 * random.random(shape)
        else:
            fan = np.prod(shape[1:]) if len(shape) > 1 else 200
            values = random.standard_normal(shape) * np.sqrt(2 / fan)
        made[name] = torch.from_numpy(values.astype(np.float32))
    return made


def write(path: Path) -> Path:
    torch.save(made_up(), path)
    return path
