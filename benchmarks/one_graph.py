"""The critic's step of AC-WGAN-GP as one compiled graph against the suite's own.

    python -m benchmarks.one_graph [--width 64] [--batch-size 64] [--precision float32,bfloat16]
        [--channels-last] [--repeats 7] [--threads 2] [--json]

torch's compiler does not take a gradient of a gradient from autograd. It takes the same loss with
the penalty's slope by `torch.func.grad` of the critic as a function of its weights: forward passes,
slope, losses and the gradients of all weights then are one graph. Fakes, draws and Adam are the
suite's in both. How far the graph's gradients are from the suite's is told too.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, grad_and_value  # type: ignore[attr-defined]
from torch.nn import functional as F

from benchmarks import measuring, train_step
from gan import arithmetic, numerics, rng
from gan.rng import Stream
from gan.variants.adversarial import Adversarial

Weights = dict[str, Tensor]


class OneGraph:
    """S0's critic step, as `Adversarial.update_critic` has it, in one function of the weights."""

    def __init__(
        self, variant: Adversarial, wrap: Callable[..., Any] = arithmetic.compiled
    ) -> None:
        self.variant, self.critic = variant, variant.critic
        self.weights = dict(variant.critic.named_parameters())
        self.slopes = wrap(grad_and_value(self.loss))

    def judge(self, weights: Weights, images: Tensor) -> tuple[Tensor, Tensor]:
        with self.variant.mixed():
            scores, logits = functional_call(self.critic, weights, (images,))
        return scores.float(), logits.float()

    def loss(
        self, weights: Weights, images: tuple[Tensor, Tensor], labels: tuple[Tensor, Tensor],
        alpha: Tensor,
    ) -> Tensor:  # fmt: skip
        """Of real and fake images (B, C, S, S), their labels (B,) and the penalty's mixing."""
        scores, logits = self.judge(weights, torch.cat(images))
        real, fake = scores.chunk(2)
        mixed = alpha * images[0] + (1 - alpha) * images[1]
        slope = grad(lambda seen: self.judge(weights, seen)[0].sum())(mixed)
        norms = torch.linalg.vector_norm(slope.flatten(1).float(), dim=1)
        penalty = self.variant.game.penalty_weight * (norms - 1).square().mean()
        of_classes = [F.cross_entropy(*pair) for pair in zip(logits.chunk(2), labels, strict=True)]
        return self.variant.loss.critic(real, fake) + penalty + of_classes[0] + of_classes[1]

    def update(self, images: Tensor, labels: Tensor, draws: rng.Draws) -> None:
        variant = self.variant
        asked = draws.labels(Stream.CRITIC_LABELS, len(images), variant.conditions)
        with torch.no_grad():
            fake = variant.fakes(asked, Stream.CRITIC_NOISE, draws)
        alpha = draws.uniform(Stream.PENALTY, len(images), 1, 1, 1)
        weights = {name: weight.detach() for name, weight in self.weights.items()}
        found, _ = self.slopes(weights, (images, fake), (labels, asked), alpha)
        for name, weight in self.weights.items():
            weight.grad = found[name]
        variant.optimizers["discriminator"].step()


def made(settings: train_step.Settings, precision: str) -> train_step.Suite:
    """A suite of its own: both update their weights, from the same on."""
    config = train_step.configured("acgan", settings)
    config = replace(config, train=replace(config.train, precision=precision))
    device = numerics.configure(settings.threads)
    suite = train_step.Suite(config, train_step.random_images(config), device)
    suite.variant.critic.train()
    return suite


def apart(ours: Adversarial, theirs: Adversarial) -> float:
    """Length of the difference of the critics' gradients, as a share of the first one's."""
    pairs = zip(ours.critic.parameters(), theirs.critic.parameters(), strict=True)
    found = [(a.grad, b.grad) for a, b in pairs if a.grad is not None and b.grad is not None]
    first = torch.cat([a.flatten() for a, _ in found]).double()
    second = torch.cat([b.flatten() for _, b in found]).double()
    return float(torch.linalg.vector_norm(first - second) / torch.linalg.vector_norm(first))


def measure(
    settings: train_step.Settings, precision: str, wrap: Callable[..., Any] = arithmetic.compiled
) -> dict[str, Any]:
    """Seconds of both steps, how many times as fast the graph is, how far its gradients are."""
    own, other = made(settings, precision), made(settings, precision)
    for suite in (own, other):
        assert isinstance(suite.variant, Adversarial)
    graph = OneGraph(other.variant, wrap)  # type: ignore[arg-type]
    images, labels = own.same

    def ours() -> None:
        own.variant.update_critic(images, labels, own.draws())  # type: ignore[attr-defined]

    def one_graph() -> None:
        graph.update(images, labels, other.draws())

    ours()
    one_graph()
    difference = apart(own.variant, other.variant)  # type: ignore[arg-type]
    tasks = {"suite": ours, "one graph": one_graph}
    settle = measuring.settle_on(own.device)
    times = measuring.in_turn(tasks, settings.repeats, 1, settle, lead_in=3)
    return {
        "precision": precision,
        "seconds": {name: times.median(name) for name in tasks},
        "times_as_fast": times.speedups("suite")["one graph"],
        "gradients_apart": difference,
    }


def table(found: list[dict[str, Any]]) -> str:
    heads = ["precision", "suite, s", "one graph, s", "times as fast (least, most)", "apart"]
    rows: list[list[object]] = []
    for row in found:
        ratio = "{median:.2f} ({least:.2f}, {most:.2f})".format(**row["times_as_fast"])
        rows.append([row["precision"], *row["seconds"].values(), ratio, row["gradients_apart"]])
    return measuring.table(heads, rows)


def main() -> None:
    parser = measuring.arguments(__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", default="float32,bfloat16")
    parser.add_argument("--channels-last", action="store_true")
    options = parser.parse_args()
    settings = train_step.Settings(
        options.width,
        options.batch_size,
        repeats=options.repeats,
        threads=options.threads,
        channels_last=options.channels_last,
    )
    found = [measure(settings, precision) for precision in options.precision.split(",")]
    measuring.tell({"rows": found}, options.json, lambda: table(found))


if __name__ == "__main__":
    main()
