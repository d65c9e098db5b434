"""What the training loop asks of a system, and what the systems share."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gan import optim, rng
from gan.blocks import Critic
from gan.config import AdamConfig, RunConfig
from gan.data import DataInfo
from gan.distributed import World


class Variant(ABC):
    """A system: named networks with their optimisers, and one update of all players."""

    terms: ClassVar[tuple[str, ...]]  # names of what `update` returns
    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]  # keys are names of networks
    critic: Critic
    world = World()  # the processes that train it, just this one unless told otherwise
    weight = 1.0  # this process's share of the global batch

    def descend(self, player: str, loss: Tensor, terms: Tensor) -> Tensor:
        """One step of a player's optimiser down the gradient of `loss`, a mean over the batch.

        The gradients are averaged over all ranks, each weighted by its share of the global batch,
        and so are the running statistics of all networks that train, which any forward pass may
        have changed. Returns the means of `terms` (T,), without a graph.
        """
        optimizer, parameters = self.optimizers[player], self._parameters(player)
        optimizer.zero_grad()
        loss.backward(inputs=parameters)
        gradients = [p.grad for p in parameters if p.grad is not None]
        buffers = self._buffers() if self.world.size > 1 else []
        terms = self.world.average([*gradients, *buffers], terms.detach(), self.weight)
        optimizer.step()
        return terms

    def _parameters(self, player: str) -> list[nn.Parameter]:
        return [p for group in self.optimizers[player].param_groups for p in group["params"]]

    def _buffers(self) -> list[Tensor]:
        trained = (self.networks[name] for name in self.optimizers)
        return [b for network in trained for b in network.buffers() if b.is_floating_point()]

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
