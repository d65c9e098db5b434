"""A run read to the last number: what `verify --deep` does beyond comparing files and records."""

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import CheckpointError, Store
from checkpoints.files import make_folder
from gan.config import ConfigError
from gan.data import DataError
from jobs import chosen, pretrained, records
from jobs.run import Run, RunError
from jobs.same import differences, leaves

if TYPE_CHECKING:
    from gan.variants import Variant

_BLOCK = 1 << 24  # bytes of a data set that are read at once
_VIEW = "samples.h5"  # may be a virtual data set; whose sources it names was looked at before
_ENDINGS = (".h5", ".hdf5")


@dataclass
class Deep:
    """Looks into one training run.

    `stop` is asked often, and says why to stop; `seconds` is how long training again may take.
    """

    run: Run
    say: Callable[[str], None]
    stop: Callable[[], str | None] = lambda: None
    seconds: float = 300.0
    problems: list[str] = field(default_factory=list)

    def look(self) -> list[str]:
        """What is wrong, a line each."""
        for path in sorted(self.run.path.rglob("*")):
            if path.suffix in _ENDINGS and path.is_file():
                self.problems += read_whole(path)
        try:
            states = self._load_all()
            if states and not self.problems and not self.stop():
                self._train_again(*states)
        except (RunError, CheckpointError, ConfigError, DataError) as error:
            self.problems.append(str(error))
        return self.problems

    def _load_all(self) -> tuple[int, int] | None:
        """Load and check every good checkpoint; the steps of the last two, if there are two."""
        from gan import numerics, stored, variants

        device = numerics.configure(self.run.threads)
        info = stored.data_info(self.run.settings(), self.run.path)
        variant = variants.build(pretrained.placed(self.run.config(), self.run), info, device)
        store, good = self.run.store(), []
        for step in store.steps():
            if self.stop():
                return None
            try:
                found = state_problems(store.open(step).load(), step, variant)
            except CheckpointError as error:
                found = [str(error)]
            self.problems += [f"{store.path(step)}: {line}" for line in found]
            good += [] if found else [step]
        self.say(f"{self.run.path.name}: {len(good)} checkpoints hold finite tensors that fit")
        return (good[-2], good[-1]) if len(good) > 1 else None

    def _train_again(self, first: int, last: int) -> None:
        """From the checkpoint before the last to the last, in a scratch folder; the same bits?"""
        name, steps = self.run.path.name, last - first
        if reason := self._other_numerics():
            self.say(f"{name}: not trained again: {reason}")
            return
        self.say(f"{name}: trains again from step {first} to {last} ({steps} steps)")
        with tempfile.TemporaryDirectory() as folder:
            scratch = Store(Path(folder) / "checkpoints", self.run.store().identity)
            make_folder(scratch.folder)
            shutil.copytree(self.run.store().path(first), scratch.path(first))
            reached = train_to(self.run, scratch, last, self._limited())
            if reached < last:
                self.say(
                    f"{name}: not compared: {reached - first} of {steps} steps done when "
                    f"{self.stop() or 'the time for it'} ended it"
                )
                return
            wrong = differences(
                leaves(scratch.open(last).load()), leaves(self.run.store().open(last).load())
            )
        if wrong:
            self.problems.append(
                f"{self.run.store().path(last)} is not what training from step {first} ends in: "
                f"{', '.join(wrong[:3])}{', ...' if len(wrong) > 3 else ''}"
            )
        else:
            self.say(f"{name}: step {last} is the same to the last bit")

    def _limited(self) -> Callable[[], str | None]:
        end = time.monotonic() + self.seconds
        return lambda: self.stop() or ("time" if time.monotonic() > end else None)

    def _other_numerics(self) -> str:
        """Why other bits would tell nothing; "" if they would."""
        from gan import numerics

        noted = (records.latest(self.run, "train") or {}).get("numerics", {})
        present = numerics.fingerprint(numerics.configure(self.run.threads)) | {"ranks": 1}
        other = [f"{k} was {noted[k]}, is {v}" for k, v in present.items() if noted.get(k, v) != v]
        return "; ".join(other)


def train_to(run: Run, checkpoints: Store, last: int, stop: Callable[[], str | None]) -> int:
    """Train on from the latest of `checkpoints`, in its parent folder; returns the step reached."""
    from gan import data, numerics, trainer, variants
    from gan.samples import SampleStore

    device = numerics.configure(run.threads)
    config = chosen.of_run(pretrained.placed(run.config(), run), run)
    images = data.load(config.data)
    run.check_data(images.info)
    folder = checkpoints.folder.parent
    outputs = trainer.Outputs(
        checkpoints, SampleStore(folder, {}), folder / "tensorboard", folder / "figures"
    )
    loop = trainer.Trainer(config, images, variants.build(config, images.info, device), outputs,
                           trainer.Hooks(say=lambda message: None))  # fmt: skip
    loop.hooks = trainer.Hooks(
        stop=lambda save_s: "there" if loop.step >= last else stop(), say=lambda message: None
    )
    loop.train()
    return loop.step


def state_problems(state: dict[str, Any], step: int, variant: "Variant") -> list[str]:
    """What does not fit in a checkpoint's tree: its step, its tensors' shapes, their numbers."""
    import torch

    own, found = leaves(state), []
    if state.get("step") != step:
        found.append(f"its state is of step {state.get('step')}")
    for name, tensor in own.items():
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
            wrong = int((~torch.isfinite(tensor)).sum())
            if wrong:
                found.append(f"{name} has {wrong} numbers that are not finite")
    wanted = leaves(variant.state()["networks"], "/variant/networks")
    there = {name for name in own if name.startswith("/variant/networks/")}
    found += [f"{name} is missing" for name in sorted(wanted.keys() - there)]
    found += [f"{name} is unknown" for name in sorted(there - wanted.keys())]
    for name in sorted(wanted.keys() & there):
        given, fits = tuple(own[name].shape), tuple(wanted[name].shape)
        if given != fits:
            found.append(f"{name} has shape {given}; the config makes it {fits}")
    return found + ([] if found else _refused(state, variant))


def _refused(state: dict[str, Any], variant: "Variant") -> list[str]:
    try:
        variant.load_state(state["variant"])
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        return [f"cannot be gone on from: {' '.join(str(error).split())}"]
    return []


def read_whole(path: Path) -> list[str]:
    """Read every data set of an HDF5 file, in portions; returns what cannot be read."""
    import h5py

    from gan import hdf5

    found: list[str] = []

    def read(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.size:
            row = max(1, item.nbytes // max(1, len(item))) if item.shape else 1
            rows = max(1, _BLOCK // row)
            try:
                hdf5.dataset(item.file, name, hdf5.DEFLATE, virtual=path.name == _VIEW)
                for first in range(0, len(item) if item.shape else 1, rows):
                    item[first : first + rows] if item.shape else item[()]
            except (OSError, RuntimeError, ValueError) as error:
                found.append(f"{path}: {name} cannot be read: {error}")

    try:
        with h5py.File(path, "r", locking=False) as file:
            file.visititems(read)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        found.append(f"{path} cannot be read: {error}")
    return found
