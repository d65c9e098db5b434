"""Faults for jobs on the test cluster: Python loads this before anything else if it is on its path.

GANYMEDE_FAULT is `crash@STEP` or `memory@STEP` (its address space is full from then on), both with
`/RANK` for that rank alone, or `slow@SECONDS` for every step. GANYMEDE_TRACE is a folder for the
numbers of the images that each step used.
"""

import importlib.abc
import importlib.machinery
import os
import resource
import sys
import time


def spoil_variant(module):
    kind, _, where = os.environ["GANYMEDE_FAULT"].partition("@")
    value, _, rank = where.partition("/")
    if rank and rank != os.environ.get("SLURM_PROCID"):
        return
    update = module.Adversarial.update

    def faulty(self, images, labels, draws):
        if kind == "none":
            pass
        elif kind == "slow":
            time.sleep(float(value))
        elif draws.step >= int(value):
            if kind == "crash":
                raise ValueError("a fault in the variant")
            fill_memory()
            images = images.repeat(1 << 16, 1, 1, 1)  # half a GiB
        return update(self, images, labels, draws)

    module.Adversarial.update = faulty


def fill_memory():
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used, used))


def trace_batches(module):
    at = module.Batches.at

    def traced(self, step, draws):
        found = self.indices(step)
        parts = ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_PROCID")
        name = "-".join(os.environ.get(part, "0") for part in parts)
        with open(os.path.join(os.environ["GANYMEDE_TRACE"], name), "a") as file:
            file.write(f"{step} {','.join(map(str, found.tolist()))}\n")
        return at(self, step, draws)

    module.Batches.at = traced


CHANGES = {}
if "GANYMEDE_FAULT" in os.environ:
    CHANGES["gan.variants.adversarial"] = spoil_variant
if "GANYMEDE_TRACE" in os.environ:
    CHANGES["gan.batches"] = trace_batches


class Finder(importlib.abc.MetaPathFinder):
    """Lets a module be loaded as ever, then changes it."""

    def find_spec(self, name, path, target=None):
        if name not in CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def load_and_change(module):
            load(module)
            CHANGES[name](module)

        spec.loader.exec_module = load_and_change
        return spec


if CHANGES:
    sys.meta_path.insert(0, Finder())
