"""Faults for jobs on the test cluster: Python loads this before anything else if it is on its path.

GANYMEDE_FAULT is `crash@STEP`, `memory@STEP` (its address space is full from then on), both with
`/RANK`; GANYMEDE_TRACE is a folder for the numbers of the images that each step used.
"""

import importlib.abc
import importlib.machinery
import os
import resource
import sys
from types import ModuleType


def _spoil_variant(module: ModuleType) -> None:
    kind, _, where = os.environ["GANYMEDE_FAULT"].partition("@")
    step, _, rank = where.partition("/")
    if rank and rank != os.environ.get("SLURM_PROCID"):
        return
    update = module.ACGAN.update

    def faulty(self, images, labels, draws):
        if draws.step >= int(step):
            if kind == "crash":
                raise ValueError("a fault in the variant")
            with open("/proc/self/statm") as statm:
                used = int(statm.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used, used))
            images = images.expand(1 << 16, *images.shape).contiguous()
        return update(self, images, labels, draws)

    module.ACGAN.update = faulty


def _trace_batches(module: ModuleType) -> None:
    indices = module.Batches.indices

    def traced(self, step):
        found = indices(self, step)
        name = "-".join(
            os.environ[k]
            for k in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_PROCID")
            if k in os.environ
        )
        with open(os.path.join(os.environ["GANYMEDE_TRACE"], name), "a") as file:
            file.write(f"{step} {','.join(map(str, found.tolist()))}\n")
        return found

    module.Batches.indices = traced


_CHANGES = {}
if "GANYMEDE_FAULT" in os.environ:
    _CHANGES["gan.variants.acgan"] = _spoil_variant
if "GANYMEDE_TRACE" in os.environ:
    _CHANGES["gan.batches"] = _trace_batches


class _Finder(importlib.abc.MetaPathFinder):
    """Lets a module be loaded as ever, then changes it."""

    def find_spec(self, name, path, target=None):
        if name not in _CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def load_and_change(module):
            load(module)
            _CHANGES[name](module)

        spec.loader.exec_module = load_and_change
        return spec


if _CHANGES:
    sys.meta_path.insert(0, _Finder())
