"""What the bits of a result depend on besides the config: set by us, and written down."""

import platform
from typing import Any

import numpy
import torch


def configure(threads: int) -> torch.device:
    """Fix the thread count and the kernels' choice; returns the device to train on.

    With the same fingerprint, the same steps then give the same bits.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fingerprint(device: torch.device) -> dict[str, Any]:
    """The numerics of this process, as recorded with every attempt."""
    if device.type == "cuda":
        model = torch.cuda.get_device_name(device)
    else:
        model = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {
        "device": f"{device.type}: {model}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }
