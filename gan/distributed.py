"""Several processes training one network: each takes its share of every global batch.

Gradients are averaged by one flat all-reduce after each player's backward pass, without the
DistributedDataParallel wrapper: a gradient penalty leaves some parameters unused, which the wrapper
either refuses or, told that the graph is static, gets wrong without a word. The same reduce carries
BatchNorm's running statistics, which would drift apart otherwise, the figures of the step, and one
number that says whether a rank was asked to stop.
"""

import datetime
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from gan.config import ConfigError

Result = TypeVar("Result")
_LONGEST = datetime.timedelta(minutes=30)  # others wait this long while rank 0 evaluates or samples


class PeerLost(RuntimeError):
    """Another rank does not answer any more: killed, crashed, or its node is gone.

    Told by gloo at the next collective. nccl works asynchronously: there its own watchdog, or srun,
    ends this process first, and the batch script records it.
    """


@dataclass(frozen=True)
class Share:
    """One rank's part of a global batch: the rows from `start` up to `stop` of `total`."""

    start: int
    stop: int
    total: int

    @property
    def count(self) -> int:
        return self.stop - self.start

    @property
    def weight(self) -> float:
        """Its part of a mean over the global batch."""
        return self.count / self.total


def share_of(total: int, rank: int, size: int) -> Share:
    """Rows of `total` for one rank of `size`; the first ranks take what does not divide evenly."""
    each, surplus = divmod(total, size)
    start = rank * each + min(rank, surplus)
    return Share(start, start + each + (rank < surplus), total)


class World:
    """The processes of one attempt, as one of them sees them. Alone, nothing is communicated."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.wants_stop = False  # set before a step; rides along in its all-reduce
        self._flag: Tensor | None = None  # of the latest reduce: how many ranks want to stop
        self._earlier: _HostCopy | None = None  # the flag of the step before

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which alone writes."""
        return self.rank == 0

    def share(self, total: int) -> Share:
        """This rank's rows of a batch. Raises ConfigError if a rank would get too few of them."""
        least = 2  # a generator's BatchNorm needs two images
        if self.size > 1 and total < least * self.size:
            raise ConfigError(
                f"train.batch_size is {total} for {self.size} ranks; allowed: {least * self.size} "
                f"or more, {least} images for each"
            )
        return share_of(total, self.rank, self.size)

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor], terms: Tensor, weight: float) -> Tensor:
        """Replace each float32 tensor by its weighted mean over all ranks, in place.

        `weight` is this rank's share of the global batch; `terms` (T,) are figures of the step,
        whose means are returned. Raises PeerLost.
        """
        if self.size == 1:
            return terms
        parts = [tensor.reshape(-1) for tensor in tensors]
        flag = torch.full((1,), float(self.wants_stop) / weight, device=terms.device)
        flat = torch.cat([*parts, terms.float(), flag]).mul_(weight)
        _or_peer_lost(lambda: dist.all_reduce(flat))
        pieces = flat.split([part.numel() for part in parts] + [len(terms), 1])
        views = [piece.view_as(t) for piece, t in zip(pieces, tensors, strict=False)]
        torch._foreach_copy_(list(tensors), views)
        kept = flat[-1 - len(terms) :].clone()  # a view would keep all of `flat` in memory
        self._flag = kept[-1:]
        return kept[:-1]

    def end_step(self) -> bool:
        """Called after every step: whether by the step before some rank wanted to stop.

        One step late, so that reading the flag never waits for the device; all ranks read the same
        number after the same step.
        """
        if self._flag is None:
            return False
        earlier, self._earlier = self._earlier, _HostCopy(self._flag)
        return earlier is not None and earlier.value() > 0

    def agree(self, reason: str | None) -> str | None:
        """One answer for all ranks: the first rank's that has one. Raises PeerLost."""
        if self.size == 1:
            return reason
        reasons: list[str | None] = [None] * self.size
        _or_peer_lost(lambda: dist.all_gather_object(reasons, reason))
        return next((given for given in reasons if given), None)

    def broadcast(self, value: Result) -> Result:
        """Rank 0's value, for all. Raises PeerLost."""
        if self.size == 1:
            return value
        holder = [value]
        _or_peer_lost(lambda: dist.broadcast_object_list(holder, src=0))
        return holder[0]

    def align(self, tensors: Sequence[Tensor]) -> None:
        """Give every rank the bits of rank 0. Raises PeerLost."""
        if self.size > 1:
            for tensor in tensors:
                _or_peer_lost(functools.partial(dist.broadcast, tensor, src=0))


class _HostCopy:
    """A number on its way from the device; asking for it later does not stop the device."""

    def __init__(self, number: Tensor) -> None:
        self._host = torch.empty(1, dtype=number.dtype, pin_memory=number.is_cuda)
        self._host.copy_(number, non_blocking=True)
        self._event = torch.cuda.Event() if number.is_cuda else None
        if self._event:
            self._event.record()

    def value(self) -> float:
        if self._event:
            self._event.synchronize()
        return float(self._host)


def _or_peer_lost(collective: Callable[[], Result]) -> Result:
    try:
        return collective()
    except (torch.OutOfMemoryError, torch.AcceleratorError):  # this rank's own trouble
        raise
    except RuntimeError as error:  # gloo and nccl know no error of their own for it
        told = re.sub(r"^\[\S+\] ", "", str(error).partition("\n")[0]).partition(". ")[0]
        raise PeerLost(f"another rank does not answer: {told}") from error


def connect(rank: int, size: int, store: TCPStore, device: torch.device) -> World:
    """Join the ranks that meet at `store`: gloo between CPUs, nccl between GPUs.

    Raises PeerLost if they do not all come within the store's timeout, and ConfigError if two of
    them would use the same GPU.
    """
    gpu = str(torch.cuda.get_device_properties(device).uuid) if device.type == "cuda" else ""
    refuse_shared_gpus(_or_peer_lost(lambda: _exchange(store, rank, size, gpu)))
    _or_peer_lost(
        lambda: dist.init_process_group(
            "nccl" if gpu else "gloo", store=store, rank=rank, world_size=size, timeout=_LONGEST
        )
    )
    return World(rank, size)


def _exchange(store: TCPStore, rank: int, size: int, value: str) -> list[str]:
    """Every rank's value; waits for each as long as the store does."""
    store.set(f"rank-{rank}", value)
    return [store.get(f"rank-{other}").decode() for other in range(size)]


def refuse_shared_gpus(gpus: Sequence[str]) -> None:
    """Raise ConfigError if two ranks have the same GPU, which nccl cannot serve.

    `gpus` are the devices' unique names by rank, empty on a CPU.
    """
    shared = [gpu for gpu in gpus if gpu and gpus.count(gpu) > 1]
    if shared:
        raise ConfigError(
            f"{gpus.count(shared[0])} ranks share GPU {shared[0]}; allowed: a GPU for each rank "
            "(--tasks-per-node up to --gpus-per-node)"
        )


def disconnect() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
