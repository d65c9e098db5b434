"""What the bits of a result depend on besides the config: set by us, and written down."""

import contextlib
import ctypes
import platform
from pathlib import Path
from typing import Any

import numpy
import torch

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # names of glibc's settings, from its malloc.h
_KEPT_PIECE_BYTES, _KEPT_BYTES = 32 << 20, 1 << 30  # the most that glibc allows for a piece


def configure(threads: int, local_rank: int = 0) -> torch.device:
    """Fix the thread count and the kernels' choice; returns the device to train on.

    With the same fingerprint, the same steps then give the same bits. `local_rank` counts the ranks
    on this node, each of which takes a GPU of its own.
    """
    _keep_memory()
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def _keep_memory() -> None:
    """Have the C library keep what is freed, for the tensors of the next operation.

    By itself it gives large pieces back to the kernel at once, which hands them out again page by
    page, each cleared anew: on a CPU that takes longer than the arithmetic. The most that is in use
    at any time stays the same. Only glibc knows of this.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _KEPT_PIECE_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def unusable_gpus() -> str | None:
    """Why this torch build cannot use the GPUs of this machine, and what would help; None: it can.

    Names the driver, the build and the remedy.
    """
    if torch.cuda.is_available():
        return None
    driver = Path("/proc/driver/nvidia/version")
    lines = driver.read_text().splitlines() if driver.is_file() else []
    found = lines[0].strip() if lines else "no NVIDIA driver on this node"
    build = torch.version.cuda or torch.version.hip
    if not build:
        remedy = "install a build of torch for GPUs"
    elif lines:
        remedy = f"install a build of torch for an older CUDA than {build}, or have a newer driver"
    else:
        remedy = "ask for a node with GPUs (partition, gpu-type), or book none (--gpus-per-node 0)"
    return f"driver: {found}; torch {torch.__version__} built for {build or 'CPUs only'}; {remedy}"


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
