"""What the training loop asks of a system, and what the systems share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from gan import arithmetic, evaluation, optim, rng
from gan.blocks import Critic, MapNorm
from gan.config import AdamConfig, RunConfig
from gan.data import ImageSet
from gan.distributed import World


class Variant(ABC):
    """A system: named networks with their optimisers, and one update of all players."""

    terms: tuple[str, ...]  # names of what `update` returns
    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]  # keys are names of networks
    resting: tuple[str, ...] = ()  # players that do not move in every step
    critic: Critic  # of the systems that have one
    conditions = 0  # how many classes the generator can be asked for
    precision = "float32"
    called: dict[str, Callable[..., Any]]  # the networks as training calls them
    world = World()  # the processes that train it, just this one unless told otherwise
    weight = 1.0  # this process's share of the global batch

    def place(self, config: RunConfig, device: torch.device) -> None:
        """Put the networks where they train, in the arithmetic and layout that `config` asks."""
        train = arithmetic.settled(config.train, device)
        self.precision = train.precision
        layout = torch.channels_last if config.train.channels_last else torch.preserve_format
        for network in self.networks.values():
            network.to(device, memory_format=layout)  # type: ignore[call-overload]
            if config.train.channels_last:
                for norm in (m for m in network.modules() if isinstance(m, MapNorm)):
                    norm.innermost()
        compiled = train.compile == "on"
        self.called = {
            name: arithmetic.compiled(network) if compiled else network
            for name, network in self.networks.items()
        }

    @property
    def device(self) -> torch.device:
        return next(next(iter(self.networks.values())).parameters()).device

    def mixed(self) -> AbstractContextManager[object]:
        """Around a forward pass in training: bfloat16 where that was asked for."""
        enabled = self.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

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

    @torch.no_grad()
    def gradient_norms(self, players: Iterable[str]) -> dict[str, Tensor]:
        """Length of the gradient of each player's latest step, a scalar on the device.

        A gradient stays where it is until the player's next step, so that whoever asks costs the
        steps in between nothing. Players that have not moved since the process began are left out.
        """
        norms = {}
        for player in players:
            gradients = [p.grad for p in self._parameters(player) if p.grad is not None]
            if gradients:
                lengths = torch._foreach_norm(gradients)
                norms[player] = torch.linalg.vector_norm(torch.stack(lengths).float())
        return norms

    def forget_gradients(self) -> None:
        """Be as a process that has taken no step yet."""
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)

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

    def asked(self, count: int) -> Tensor:
        """Labels (count,) int64 to generate images of: every class in turn; -1 without classes."""
        numbers = torch.arange(count, device=self.device)
        return numbers % self.conditions if self.conditions else torch.full_like(numbers, -1)

    def noise(self, labels: Tensor, stream: rng.Stream, draws: rng.Draws) -> Tensor:
        """Noise (B, latent) from which `sampler` makes images of the classes `labels` (B,)."""
        raise NotImplementedError(f"{type(self).__name__} generates no images")

    @property
    def classifies(self) -> bool:
        """Whether it names the class of an image."""
        return self.critic.fc10 is not None

    def classify(self, images: Tensor) -> Tensor:
        """Class logits (B, classes) of images in [-1, 1]. Only where it `classifies`."""
        logits: Tensor = self.critic(images)[1]
        return logits

    def features(self, images: Tensor) -> Tensor:
        """What the layer that names classes sees of images: (B, F). Only where it `classifies`."""
        return self.critic.features(images)

    def see(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """In evaluation, what `features` and `classify` give, for the price of one of them."""
        assert self.critic.fc10 is not None, "only where it classifies"
        features = self.features(images)
        return features, self.critic.fc10(features)

    def measure(self, data: ImageSet, stop: Callable[[], object]) -> dict[str, float]:
        """Figures on the held-out images, taken after every epoch. Raises Interrupted."""
        if not self.classifies:
            return {}
        with evaluation.eval_mode(*self.networks.values()):
            logits = evaluation.predict(self.classify, data.test_images, self.device, stop)
        return {"test/accuracy": evaluation.accuracy(logits, data.test_labels)}

    def begin(self, anew: bool) -> None:  # noqa: B027
        """Called once before training; `anew` if there is no checkpoint to go on from.

        Raises CheckpointError if what the system is to begin with cannot be used.
        """

    def facts(self) -> dict[str, str]:
        """What the record of the finished training says of it, besides its steps."""
        return {}

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


def make_adam(settings: AdamConfig, network: nn.Module) -> optim.Adam:
    """Adam for one network. Fused: one kernel for all tensors, the fastest on CPUs and GPUs."""
    return optim.Adam(
        network.parameters(),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        step_fix=settings.step_fix,
        fused=True,
    )
