"""What the bits of a result depend on besides the config: set by us, and written down."""

import ctypes
import platform
from pathlib import Path
from typing import Any

import numpy
import torch

# glibc's malloc.h, and what it comes to by itself: blocks above 32 MiB are mapped one by one
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_MOST_KEPT, _LARGEST_OWN, _MAPPINGS = (1 << 31) - 1, 1 << 25, 1 << 16


def configure(threads: int, local_rank: int = 0) -> torch.device:
    """Fix the thread count and the kernels' choice; returns the device to train on.

    With the same fingerprint, the same steps then give the same bits. `local_rank` counts the ranks
    on this node, each of which takes a GPU of its own.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if not torch.cuda.is_available():
        keep_memory()
        return torch.device("cpu")
    device = torch.device("cuda", local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def keep_memory(keep: bool = True) -> bool:
    """Let the C library keep the memory that tensors give back, for the tensors of the next step.

    By itself it returns large blocks to the system, which then has to clear the same pages in every
    step: a tenth of a step's time in S0's game at batch 64. `keep` False is what it comes to by
    itself with blocks of some megabytes. Returns whether it did so: not every C library can.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mappings, trim = (0, _MOST_KEPT) if keep else (_MAPPINGS, 2 * _LARGEST_OWN)
    wanted = {_M_MMAP_MAX: mappings, _M_TRIM_THRESHOLD: trim, _M_MMAP_THRESHOLD: _LARGEST_OWN}
    done = [set_option(option, value) == 1 for option, value in wanted.items()]
    return all(done)


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
