"""A folder of checkpoints: committed by manifest, verified before use, pruned with care."""

import contextlib
import io
import pickle
import re
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import files
from checkpoints.errors import CheckpointError
from checkpoints.manifest import NAME, FileEntry, Manifest

STATE = "state.pt"
_ZIP = b"PK\x03\x04"
_FOLDER = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder whose every file was found to be what its manifest says."""

    folder: Path
    manifest: Manifest

    @property
    def step(self) -> int:
        return self.manifest.step

    def load(self) -> dict[str, Any]:
        """The saved tree of tensors, on the CPU.

        Raises CheckpointError for a damaged file, and for one that holds anything but tensors and
        plain values: loading never runs code.
        """
        import torch  # kept out of the module: asking for a run's state must not load torch

        data = self.manifest.read_file(self.folder, STATE)
        try:
            if not data.startswith(_ZIP):
                raise pickle.UnpicklingError("not torch's zip format")
            tree = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            found = next((line.strip() for line in lines if "GLOBAL" in line), lines[0])
            raise CheckpointError(
                f"{self.folder / STATE}: refused, only tensors and plain values are allowed in it; "
                f"nothing of it was executed ({found})"
            ) from None
        if not isinstance(tree, dict):
            raise CheckpointError(f"{self.folder / STATE}: holds {type(tree).__name__}, not a dict")
        return tree


def steps_in(folder: Path) -> list[int]:
    """Steps of all checkpoints in a folder, in ascending order, verified or not."""
    if not folder.is_dir():
        return []
    names = (_FOLDER.fullmatch(entry.name) for entry in folder.iterdir())
    return sorted(int(match[1]) for match in names if match)


class Store:
    """The checkpoints of one run.

    `identity` is the hash of the run's config: a checkpoint of another config is not used. `keep`
    is how many good checkpoints stay. `guard` is called right before each commit and raises if this
    process may no longer write (another attempt has taken the run over). Of the checkpoints whose
    step is a multiple of `landmark` the newest good one stays beside those; 0: none does.
    """

    landmark = 0

    def __init__(
        self,
        folder: Path,
        identity: str,
        keep: int = 3,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep is {keep}; at least 1 checkpoint must be kept")
        self.folder, self.identity, self.keep, self.guard = folder, identity, keep, guard

    def steps(self) -> list[int]:
        """Steps of all checkpoint folders, in ascending order, verified or not."""
        return steps_in(self.folder)

    def path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def open(self, step: int) -> Checkpoint:
        """The checkpoint of one step, all of it verified. Raises CheckpointError."""
        folder = self.path(step)
        manifest = Manifest.read(folder)
        if manifest.identity != self.identity:
            raise CheckpointError(f"{folder} belongs to another config ({manifest.identity[:12]})")
        if manifest.step != step:
            raise CheckpointError(f"{folder}: its manifest is of step {manifest.step}")
        for name in manifest.files:
            manifest.read_file(folder, name)
        return Checkpoint(folder, manifest)

    def await_open(self, step: int, patience_s: float = 60.0) -> Checkpoint:
        """As `open`, for what a process on another machine has found to be good.

        A file server's clients may see a new name, or what is in it, a while later than others.
        """
        end = time.monotonic() + patience_s
        while True:
            try:
                return self.open(step)
            except CheckpointError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.1)
            self.steps()  # opening the folder makes the client ask again

    def latest(self, warn: Callable[[str], None] = lambda message: None) -> Checkpoint | None:
        """The newest good checkpoint; `warn` is told of each damaged one that is passed over.

        None if there are no checkpoints at all. Raises CheckpointError if there are some and none
        is good: starting anew by itself would lose what the user may still want to rescue.
        """
        steps, problems = self.steps(), []
        for step in reversed(steps):
            try:
                return self.open(step)
            except CheckpointError as error:
                problems.append(str(error))
                warn(f"checkpoint skipped: {error}")
        if problems:
            raise CheckpointError(
                f"none of the {len(steps)} checkpoints in {self.folder} is good ({problems[0]}); "
                "move the folder away to start anew"
            )
        return None

    def problems(self) -> list[str]:
        """What is wrong with the checkpoints, a line each; empty if all are good."""
        found = []
        for step in self.steps():
            try:
                self.open(step)
            except CheckpointError as error:
                found.append(str(error))
        return found

    def has(self, step: int) -> bool:
        """Whether a good checkpoint of this step is there."""
        with contextlib.suppress(CheckpointError):
            return bool(self.open(step))
        return False

    def commit(self, step: int, state: bytes | memoryview) -> None:
        """Make the serialised `state` the checkpoint of `step`, then prune.

        All or nothing: raises OSError (a full disk) or whatever `guard` raises, and then the
        checkpoints are what they were before. A damaged folder of the same step is replaced.
        """
        self.guard()  # here already: one that was taken over writes nothing
        files.make_folder(self.folder)
        aside = self.folder / f"{files.ASIDE}{uuid.uuid4().hex}"
        aside.mkdir()
        try:
            files.write_new(aside / STATE, state)
            manifest = Manifest(step, self.identity, {STATE: FileEntry.of(state)})
            files.write_new(aside / NAME, manifest.to_json())
            files.sync_folder(aside)
            self.guard()
            self._replace(aside, self.path(step))
        except BaseException as error:
            shutil.rmtree(aside, ignore_errors=True)
            if isinstance(error, FileNotFoundError):
                self.guard()  # whoever has taken over clears away what others had begun
            raise
        files.sync_folder(self.folder)
        self._prune(step)

    def drop_after(self, step: int) -> None:
        """Remove all checkpoints of later steps, the latest first."""
        for later in reversed(self.steps()):
            if later > step:
                files.remove_folder(self.path(later))

    def _replace(self, aside: Path, target: Path) -> None:
        if target.exists():
            if self.has(Manifest.read(aside).step):
                shutil.rmtree(aside)  # the same step of the same run: the same bits
                return
            shutil.rmtree(target)
        aside.rename(target)

    def _prune(self, committed: int) -> None:
        """Remove all but the newest `keep` checkpoints, and what crashes left aside.

        The one just committed always stays. Later ones are not counted: the run went back to
        before them because they are damaged. Nor are earlier ones with files missing or cut short,
        so that they never push out a good one. All of these are left for `verify` to name.
        """
        whole = [step for step in self.steps() if step <= committed and self._is_whole(step)]
        marks = [step for step in whole if self.landmark and step % self.landmark == 0]
        for step in whole[: -self.keep]:
            if step not in marks[-1:]:
                files.remove_folder(self.path(step))
        for leftover in self.folder.glob(f"{files.ASIDE}*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _is_whole(self, step: int) -> bool:
        folder = self.path(step)
        try:
            entries = Manifest.read(folder).files
            return all((folder / name).stat().st_size == e.size for name, e in entries.items())
        except (CheckpointError, OSError):
            return False
