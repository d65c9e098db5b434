"""Where a step's time goes, and how near it comes to what the machine can do.

    python -m benchmarks.roofline [--recipe acgan,...] [--width 64] [--batch-size 64]
        [--precision float32,bfloat16] [--channels-last] [--cpu-time]
        [--repeats 7] [--threads 2] [--json]

The ceilings are measured: products of square matrices, and copies of a block that no cache holds,
in the same arithmetic and threads, in turn with the step. The step's work is what torch counts of
its convolutions and products (torch.utils.flop_counter); its share is of the matrix rate. An epoch
is the update alone on CIFAR-10's 50,000 training images, a short last batch dropped. Times by kind
are of one profiled step, of operations by themselves, without those that they call.
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks import measuring, train_step
from gan import numerics

_SIDE, _BLOCK = 2048, 1 << 26  # of the matrices; float32 numbers of the block that is copied
_LARGER = 4  # times the side on a GPU, which smaller matrices leave idle
_EPOCH_IMAGES = 50_000
_KINDS = {  # the first that one of whose words is in an operation's name
    "convolutions": ("convolution", "conv2d", "mkldnn"),
    "layer norm, batch norm": ("norm",),
    "linear layers": ("mm", "linear"),
    "activations, pooling": ("relu", "threshold", "tanh", "sigmoid", "pool", "softplus", "softmax"),
    "Adam": ("adam", "clamp_max"),
    "copies and casts": ("copy", "cat", "fill", "zero"),
    "other arithmetic": ("mul", "add", "sub", "div", "sum", "mean", "vecdot", "lerp"),
}
_REST = "the rest (Python, autograd, small operations)"


class Counter(TorchDispatchMode):
    """Counts floating point operations of convolutions and products.

    By torch's formulas; its own counter follows modules too, and fails where a gradient is derived
    again.
    """

    flop = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function._overloadpacket)
        if formula:
            self.flop += formula(*args, **(kwargs or {}), out_val=made)
        return made


def ceilings(precision: str, device: torch.device) -> dict[str, Callable[[], object]]:
    """What measures the matrix rate and the memory rate, by name."""
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    side = _side(device)
    left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    block = torch.zeros(_BLOCK, device=device)
    target = torch.empty_like(block)
    return {"matrix": lambda: left @ right, "copy": lambda: target.copy_(block)}


def _side(device: torch.device) -> int:
    return _SIDE * (_LARGER if device.type == "cuda" else 1)


def kinds(step: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Share of the operations' time by kind, of one step."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiled:
        step()
    taken: dict[str, float] = defaultdict(float)
    for event in profiled.key_averages():
        own = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        taken[_kind(event.key)] += own
    whole = sum(taken.values())
    return {name: taken[name] / whole for name in [*_KINDS, _REST]}


def _kind(operation: str) -> str:
    name = operation.lower()
    if "autograd::" in name or "backward0" in name:
        return _REST
    return next((kind for kind, words in _KINDS.items() if any(w in name for w in words)), _REST)


def measure(settings: train_step.Settings, recipe: str, precision: str) -> dict[str, Any]:
    """Rates, shares and times of one recipe's update in one arithmetic."""
    device = numerics.configure(settings.threads)
    config = train_step.configured(recipe, settings)
    config = replace(config, train=replace(config.train, precision=precision))
    suite = train_step.Suite(config, train_step.random_images(config), device)
    with Counter() as counter:
        suite.update()
    work = counter.flop
    tasks = {"step": suite.update, **ceilings(precision, device)}
    settle = measuring.settle_on(device)
    times = measuring.in_turn(tasks, settings.repeats, 2, settle, settings.clock)
    pairs = zip(times.seconds["step"], times.seconds["matrix"], strict=True)
    product = 2 * _side(device) ** 3
    steps = _EPOCH_IMAGES // config.train.batch_size
    return {
        "recipe": recipe,
        "precision": precision,
        "step_seconds": times.median("step"),
        "epoch_seconds": steps * times.median("step"),
        "step_gflop": work / 1e9,
        "step_gflop_per_s": work / times.median("step") / 1e9,
        "matrix_gflop_per_s": product / times.median("matrix") / 1e9,
        "copy_gb_per_s": 2 * 4 * _BLOCK / times.median("copy") / 1e9,
        "share_of_matrix_rate": statistics.median(
            (work / step) / (product / matrix) for step, matrix in pairs
        ),
        "time_by_kind": kinds(suite.update, device),
    }


def table(found: list[dict[str, Any]]) -> str:
    heads = ["", *(f"{f['recipe']}, {f['precision']}" for f in found)]
    told = {
        "seconds a step": [f"{f['step_seconds']:.3f}" for f in found],
        "seconds an epoch": [f"{f['epoch_seconds']:.1f}" for f in found],
        "work of a step, GFLOP": [f"{f['step_gflop']:.1f}" for f in found],
        "rate of a step, GFLOP/s": [f"{f['step_gflop_per_s']:.0f}" for f in found],
        "matrix product, GFLOP/s": [f"{f['matrix_gflop_per_s']:.0f}" for f in found],
        "share of it that a step reaches": [f"{f['share_of_matrix_rate']:.0%}" for f in found],
        "memory copy (read and written), GB/s": [f"{f['copy_gb_per_s']:.1f}" for f in found],
    }
    for kind in [*_KINDS, _REST]:
        told[f"time: {kind}"] = [f"{f['time_by_kind'][kind]:.0%}" for f in found]
    return measuring.table(heads, [[name, *values] for name, values in told.items()])


def parsed() -> argparse.Namespace:
    parser = measuring.arguments(__doc__)
    parser.add_argument("--recipe", default="acgan", help="names with commas between")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", default="float32,bfloat16")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--cpu-time", action="store_true", help="time this process had, not passed")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    settings = train_step.Settings(
        options.width,
        options.batch_size,
        repeats=options.repeats,
        threads=options.threads,
        cpu_time=options.cpu_time,
        channels_last=options.channels_last,
    )
    wanted = [(r, p) for r in options.recipe.split(",") for p in options.precision.split(",")]
    found = [measure(settings, recipe, precision) for recipe, precision in wanted]
    measuring.tell({"rows": found}, options.json, lambda: table(found))


if __name__ == "__main__":
    main()
