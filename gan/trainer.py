"""The one training loop: epochs, checkpoints, sampling, logging, stopping."""

import contextlib
import math
import time
from collections.abc import Callable, Collection
from typing import Any

import torch

from checkpoints import CheckpointError
from checkpoints.saver import BackgroundSaver
from gan import evaluation, rng
from gan.batches import Batches
from gan.config import ConfigError, RunConfig
from gan.data import ImageSet
from gan.divergence import NonFiniteLoss, Rollbacks, first_non_finite
from gan.scalars import ScalarLog
from gan.surroundings import Hooks, Outputs, Progress
from gan.variants import Variant
from gan.visual import grids, origin

__all__ = ["Hooks", "NonFiniteLoss", "Outputs", "Progress", "Trainer"]

_REPORT_S = 0.5  # seconds between two progress reports
_GRID_SEED = 352  # S0's, the same in every run
_MOST_RANKS = 1 << 16
_GRID_COLUMNS = 10  # where there are no classes


class Trainer:
    """Trains one variant from its latest checkpoint (or from nothing) to the last epoch.

    Everything that a step does is a function of the state and the step's number, so the end is the
    same bits wherever and however often training was interrupted. A checkpoint at an epoch's end
    is saved before the epoch's evaluation; going on from it evaluates again, which writes the same
    bytes to the same places.

    Of several ranks (the variant's `world`) each trains on its share of every batch; rank 0 alone
    evaluates, samples and writes, and all of them stop after the same step. All of them find a loss
    that is not finite after the same step too: at a mark of the log, or at an epoch's end.
    """

    def __init__(
        self, config: RunConfig, data: ImageSet, variant: Variant, outputs: Outputs, hooks: Hooks
    ) -> None:
        self.config, self.data, self.variant = config, data, variant
        self.outputs, self.hooks = outputs, hooks
        self.world = variant.world
        if config.whole_batch and self.world.size > 1:
            raise ConfigError(
                f"{config.whole_batch} needs the whole batch in one process; given were "
                f"{self.world.size} ranks, allowed: 1"
            )
        self.share = self.world.share(config.train.batch_size)
        variant.weight = self.share.weight
        self.device = variant.device
        self.batches = Batches(data, config, self.device, self.share)
        self.saver = BackgroundSaver(outputs.checkpoints)
        self.rollbacks = Rollbacks(outputs.checkpoints)
        if self._may_roll_back:
            outputs.checkpoints.landmark = self.batches.steps_per_epoch
        self.total_steps = config.train.epochs * self.batches.steps_per_epoch
        self.step, self.seed, self.rolled_back = 0, config.seed, 0
        self.term_sums = torch.zeros(len(variant.terms), dtype=torch.float64, device=self.device)
        self.term_count = 0
        self._earlier_norms: dict[str, torch.Tensor] = {}  # of gradients, as a checkpoint has them
        self._saved_step: int | None = None  # the newest that was saved, or refused by the test
        self._scalars: ScalarLog
        self._started, self._steps_done = time.monotonic(), 0
        self.first_step_at: float | None = None  # UTC seconds, of this attempt
        self.last_step_at: float | None = None
        self._next_report = self._last_save = 0.0

    @property
    def epoch(self) -> int:
        """The epoch, from 0, that the next step belongs to."""
        return self.step // self.batches.steps_per_epoch

    def train(self) -> str | None:
        """Train to the end, or until told to stop; everything is saved when this returns.

        Returns None at the end, or the reason for stopping. Raises CheckpointError for checkpoints
        that cannot be gone on from, OSError if the disk is full, NonFiniteLoss.
        """
        with contextlib.ExitStack() as closing:
            closing.enter_context(contextlib.closing(self.batches))
            closing.enter_context(contextlib.closing(self.saver))
            while True:
                self.restore()
                try:
                    reason = self._run_logged()
                except NonFiniteLoss as error:
                    self._roll_back(error)
                    continue
                self.saver.wait()
                return reason

    def went_back(self) -> dict[str, Any]:
        """For the record of the finished training: how often it was rolled back, and why."""
        return {"rollbacks": self.rollbacks.list()} if self.rolled_back else {}

    def _run_logged(self) -> str | None:
        with contextlib.ExitStack() as closing:
            if self.world.leads:
                log = ScalarLog(self.outputs.scalars, purge_step=self._first_unlogged_step())
                self._scalars = closing.enter_context(contextlib.closing(log))
            if self.step == 0 and self._may_roll_back:
                self.save()  # to have somewhere to go back to
            reason = self._run_epochs()
            if reason:
                self.require_finite()
                self.save()
            return reason

    @property
    def _may_roll_back(self) -> bool:
        return self.config.train.on_nan == "roll-back"

    def _roll_back(self, error: NonFiniteLoss) -> None:
        """Go back to the last epoch's end, or raise the error again, with what can be done."""
        if self.world.leads:
            self.saver.wait()
        if not self._may_roll_back:
            last = max(self.outputs.checkpoints.steps(), default=0)
            raise NonFiniteLoss(
                f"{error}; the last checkpoint, of step {last}, is good, and a resume comes "
                "to the same place: give a smaller --optim.learning-rate under another --name, or "
                "--train.on-nan roll-back"
            ) from error
        if self.rolled_back >= self.config.train.most_rollbacks:
            raise NonFiniteLoss(
                f"{error}, after {self.rolled_back} rollbacks: as many as "
                "--train.most-rollbacks allows; a resume comes to the same place"
            ) from error
        if self.world.leads:
            self.rollbacks.go_back(self.step, str(error), self.batches.steps_per_epoch)
        self.variant.forget_gradients()
        self.hooks.say(f"{error}: rolling back, to go on with other random numbers")

    def _run_epochs(self) -> str | None:
        if self._at_epoch_end and (reason := self.finish_epoch()):
            return reason
        while self.step < self.total_steps:
            if reason := self.train_epoch() or self.finish_epoch():
                return reason
        return None

    @property
    def _at_epoch_end(self) -> bool:
        return self.step > 0 and self.step % self.batches.steps_per_epoch == 0

    def _first_unlogged_step(self) -> int:
        """An epoch's last step is logged by `finish_epoch`, which will be done again."""
        done_again = self.step == 0 or self._at_epoch_end
        return self.step if done_again else self.step + 1

    def train_epoch(self) -> str | None:
        """Train up to the end of the present epoch; returns the reason if stopped before."""
        first, size = self.step, self.batches.steps_per_epoch
        if first % size == 0:
            self.term_sums.zero_()
            self.term_count = 0
        drops = sum(epoch <= self.epoch for epoch in self.config.optim.drop_epochs)
        self.variant.set_learning_rate(self.config.optim.learning_rate / 10**drops)
        end = (first // size + 1) * size
        while self.step < end:
            reason = self.hooks.stop(self.saver.longest_save_s)
            if reason and self.world.size == 1:
                return reason
            self.world.wants_stop = reason is not None
            self.train_step()
            stops = self.world.end_step()
            if self.step < end:
                self._log_step()  # stopping, too: going on from here does not log it again
            if stops:
                return self.world.agree(reason)
            self._between_steps()
        return None

    def train_step(self) -> None:
        share = (self.share.start, self.share.stop, self.share.total)
        draws = rng.Draws(self.seed, self.step, self.device, share)
        # For dropout, which draws on the device from torch's own generator: a mask a rank and step.
        rng.seed_torch(self.seed, rng.Stream.DROPOUT, self.step * _MOST_RANKS + self.world.rank)
        images, labels = self.batches.at(self.step, draws)
        self.term_sums += self.variant.update(images, labels, draws)
        self.term_count += 1
        self.step += 1
        self._steps_done += 1
        self.last_step_at = time.time()
        if self.first_step_at is None:
            self.first_step_at = self.last_step_at
            if self.world.leads:
                self._report("training")
                self.saver.prepare(self.state())  # now that the optimisers have all they keep

    def _log_step(self) -> None:
        if self.step % self.config.train.log_every == 0:
            means = self.running_means()
            if self.world.leads:
                self._scalars.add(self.step, means | self.gradient_norms())

    def _between_steps(self) -> None:
        if not self.world.leads:
            return
        self.saver.check()
        now = time.monotonic()
        if now > self._next_report:
            self._report("training")
        due = now - self._last_save > 60 * self.config.train.checkpoint_minutes
        if due and not self.saver.busy:  # a slow disk makes checkpoints rarer, not training slower
            self.save(tested=False)

    def running_means(self) -> dict[str, float]:
        """Means of the loss terms since the epoch began. Raises NonFiniteLoss."""
        means = (self.term_sums / self.term_count).tolist()
        named = {f"train/{t}": m for t, m in zip(self.variant.terms, means, strict=True)}
        for name, mean in named.items():
            if not math.isfinite(mean):
                raise NonFiniteLoss(f"{name} is {mean} at step {self.step}")
        return named

    def require_finite(self) -> None:
        """Raise NonFiniteLoss unless the state may be saved: means, weights, what Adam keeps."""
        if self.term_count:
            self.running_means()
        if name := first_non_finite(self.variant.state()):
            raise NonFiniteLoss(f"{name} is not finite at step {self.step}")

    def gradient_norms(self) -> dict[str, float]:
        """Length of each player's gradient, of its latest step: no mean, unlike the terms."""
        return {f"train/gradient_norm_{p}": float(norm) for p, norm in self._norms().items()}

    def _norms(self, players: Collection[str] | None = None) -> dict[str, torch.Tensor]:
        """A player that has not moved since the checkpoint has the gradient it had then."""
        players = self.variant.optimizers if players is None else players
        earlier = {p: norm for p, norm in self._earlier_norms.items() if p in players}
        return earlier | self.variant.gradient_norms(players)

    def _norms_to_keep(self) -> dict[str, torch.Tensor]:
        """What the log may want of whoever goes on from here: an epoch's end is logged by another
        process if need be, and a player that rests may rest until the next mark.
        """
        return self._norms(None if self._at_epoch_end else self.variant.resting)

    def finish_epoch(self) -> str | None:
        """Save, evaluate, sample and log; returns the reason if stopped before all was done."""
        self.require_finite()
        return self.world.agree(self._finish_epoch() if self.world.leads else None)

    def _finish_epoch(self) -> str | None:
        values = self.running_means()
        self.save()
        reason: list[str] = []

        def stop() -> bool:
            reason.extend(filter(None, [self.hooks.stop(self.saver.longest_save_s)]))
            return bool(reason)

        try:
            self._report("evaluating")
            values |= self.variant.measure(self.data, stop)
            self._report("sampling")
            self._sample_grid(stop)
        except evaluation.Interrupted:
            return reason[0]
        self._scalars.add(self.step, values | self.gradient_norms())
        self._scalars.flush()
        self._say_epoch(values)
        return None

    def _sample_grid(self, stop: Callable[[], bool]) -> None:
        """The same noise after every epoch (S0): with classes each column of the picture is one."""
        if self.variant.sampler is None:
            return
        columns = self.variant.conditions or _GRID_COLUMNS
        labels = self.variant.asked(columns * self.config.train.grid_rows)
        draws = rng.Draws(_GRID_SEED, 0, self.device)
        noise = self.variant.noise(labels, rng.Stream.GRID, draws)
        images = evaluation.generate(self.variant.sampler, noise, stop)
        self.outputs.samples.add(self.step, images, labels.cpu().numpy())
        number = self.step // self.batches.steps_per_epoch
        notes = origin.GENERATED.notes(self.outputs.samples.attributes) | {"step": self.step}
        grids.save(self.outputs.figures / f"epoch-{number:04d}.png", images, columns, notes)
        self._scalars.add_picture(self.step, "samples", grids.grid(images, columns))

    def save(self, tested: bool = True) -> None:
        """Start saving the present state, unless that is done or under way.

        The log's entries up to here become durable first, in the background too: going on from the
        checkpoint does not write them again. A state that is not `tested` is tested there, on the
        copy, so that training stands still for the copy alone; one that is not finite is not saved,
        and the ranks find the fault a little later, all of them.
        """
        if self.step == self._saved_step or not self.world.leads:
            return
        self._scalars.flush()
        self.saver.save(self.step, self.state(), self._approve if tested else self._test)
        self._saved_step, self._last_save = self.step, time.monotonic()

    def _approve(self, state: dict[str, Any]) -> bool:
        self._scalars.sync()
        return True

    def _test(self, state: dict[str, Any]) -> bool:
        name = first_non_finite({"sums": state["term_sums"], "state": state["variant"]})
        if name:
            self.hooks.say(f"not saved: {name} is not finite at step {state['step']}")
        return not name and self._approve(state)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on: tensors, the step, the running means, what is logged."""
        return {
            "step": self.step,
            "variant": self.variant.state(),
            "term_sums": self.term_sums,
            "term_count": self.term_count,
            "gradient_norms": self._norms_to_keep(),
            "rollbacks": self.rolled_back,
        }

    def restore(self) -> None:
        """Go on from the latest good checkpoint, if there is any. Raises CheckpointError."""
        self._last_save = self._started = time.monotonic()
        self._steps_done, rolled_back, checkpoint = 0, 0, None
        if self.world.leads:
            rolled_back = self.rollbacks.settle()
            checkpoint = self.rollbacks.latest(self.hooks.say)
        step, rolled_back = self.world.broadcast(
            (checkpoint.step if checkpoint else None, rolled_back)
        )
        if step is None:
            self._reseed(rolled_back)
            self.variant.begin(anew=True)
            self.world.align(self._state_tensors())
            return
        checkpoint = checkpoint or self.outputs.checkpoints.await_open(step)
        state = checkpoint.load()
        try:
            self.variant.load_state(state["variant"])
            self.term_sums.copy_(state["term_sums"])
            self.term_count, self.step = int(state["term_count"]), int(state["step"])
        except (KeyError, RuntimeError, TypeError) as error:
            raise CheckpointError(f"{checkpoint.folder} is of another network: {error}") from error
        self._earlier_norms = state.get("gradient_norms", {})  # not in those of earlier versions
        # More than are listed, if the list was lost.
        self._reseed(max(rolled_back, state.get("rollbacks", 0)))
        self.variant.begin(anew=False)
        self._saved_step = self.step
        self.hooks.say(f"going on from step {self.step} ({checkpoint.folder.name})")

    def _reseed(self, rolled_back: int) -> None:
        self.rolled_back = rolled_back
        self.seed = rng.seed_after(self.config.seed, rolled_back)
        self.batches.reseed(self.seed)

    def _state_tensors(self) -> list[torch.Tensor]:
        networks = self.variant.networks.values()
        return [tensor.detach() for net in networks for tensor in net.state_dict().values()]

    def progress(self, phase: str) -> Progress:
        seconds = time.monotonic() - self._started
        return Progress(
            step=self.step,
            total_steps=self.total_steps,
            epoch=max(self.step - 1, 0) // self.batches.steps_per_epoch + 1,
            epochs=self.config.train.epochs,
            steps_per_second=self._steps_done / seconds if self._steps_done else 0.0,
            phase=phase,
        )

    def _report(self, phase: str) -> None:
        self._next_report = time.monotonic() + _REPORT_S
        self.hooks.report(self.progress(phase))

    def _say_epoch(self, values: dict[str, float]) -> None:
        progress = self.progress("training")
        figures = "  ".join(f"{n.removeprefix('train/')} {v:.3f}" for n, v in values.items())
        self.hooks.say(
            f"epoch {progress.epoch}/{progress.epochs}  step {self.step}/{self.total_steps}  "
            f"{progress.steps_per_second:.1f} steps/s  {figures}"
        )
