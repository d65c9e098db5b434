"""What the training loop asks of a system, and what the systems share."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gan import optim, rng
from gan.blocks import Critic
from gan.config import AdamConfig, RunConfig
from gan.data import DataInfo


class Variant(ABC):
    """A system: named networks with their optimisers, and one update of all players."""

    terms: ClassVar[tuple[str, ...]]  # names of what `update` returns
    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]  # keys are names of networks
    critic: Critic

    @abstractmethod
    def update(self, images: Tensor, labels: Tensor, draws: rng.Draws) -> Tensor:
        """One training step on a batch.

        `images` (B, C, S, S) float32 in [-1, 1], `labels` (B,) int64. Returns the step's `terms`,
        float32 (len(terms),), on the device and without a graph.
        """

    @property
    def sampler(self) -> nn.Module | None:
        """The network that makes images (B, C, S, S) from noise; None for a classifier."""
        return None

    def noise(self, labels: Tensor, stream: rng.Stream, draws: rng.Draws) -> Tensor:
        """Noise (B, latent) from which `sampler` makes images of the classes `labels` (B,)."""
        raise NotImplementedError(f"{type(self).__name__} generates no images")

    def classify(self, images: Tensor) -> Tensor:
        """Class logits (B, classes) of images in [-1, 1]."""
        logits: Tensor = self.critic(images)[1]
        return logits

    def set_learning_rate(self, learning_rate: float) -> None:
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = learning_rate

    def state(self) -> dict[str, Any]:
        """Every tensor that training changes, by name; live, not copied."""
        return {
            "networks": {name: dict(net.state_dict()) for name, net in self.networks.items()},
            "optimizers": {
                name: optim.state_tensors(optimizer, self.networks[name])
                for name, optimizer in self.optimizers.items()
            },
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave. Raises KeyError or RuntimeError for another network."""
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, optimizer in self.optimizers.items():
            optim.load_state_tensors(optimizer, self.networks[name], state["optimizers"][name])


def make_critic(config: RunConfig, info: DataInfo, width: int) -> Critic:
    return Critic(config.data.image_size, info.channels, width, len(info.classes))


def make_adam(settings: AdamConfig, network: nn.Module) -> optim.Adam:
    """Adam for one network. Fused: one kernel for all tensors, the fastest on CPUs and GPUs."""
    return optim.Adam(
        network.parameters(),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        step_fix=settings.step_fix,
        fused=True,
    )
