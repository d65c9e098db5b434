"""Stores that are wrong on purpose: an explorer that does not find them out is worth nothing."""

import shutil
import uuid

from checkpoints import files
from checkpoints.manifest import NAME, FileEntry, Manifest
from checkpoints.store import STATE, Store


class RenamesFirst(Store):
    """Gives a checkpoint its name before its contents are on the disk."""

    def commit(self, step: int, state: bytes | memoryview) -> None:
        files.make_folder(self.folder)
        aside = self.folder / f"{files.ASIDE}{uuid.uuid4().hex}"
        aside.mkdir()
        files.write_new(aside / STATE, state, sync=False)
        manifest = Manifest(step, self.identity, {STATE: FileEntry.of(state)})
        files.write_new(aside / NAME, manifest.to_json(), sync=False)
        aside.rename(self.path(step))
        files.sync_folder(self.folder)
        self._prune(step)


class ManifestFirst(Store):
    """Writes in place: first what the checkpoint will consist of, then that."""

    def commit(self, step: int, state: bytes | memoryview) -> None:
        folder = self.path(step)
        shutil.rmtree(folder, ignore_errors=True)
        files.make_folder(folder)
        manifest = Manifest(step, self.identity, {STATE: FileEntry.of(state)})
        files.write_new(folder / NAME, manifest.to_json())
        files.write_new(folder / STATE, state)
        files.sync_folder(folder)
        files.sync_folder(self.folder)
        self._prune(step)


class PrunesInPlace(Store):
    """Removes old checkpoints file by file under their names."""

    def _prune(self, committed: int) -> None:
        for step in self.steps()[: -self.keep]:
            shutil.rmtree(self.path(step))


class PrunesEarly(Store):
    """Makes room for a checkpoint before it is committed."""

    def commit(self, step: int, state: bytes | memoryview) -> None:
        for old in self.steps():
            files.remove_folder(self.path(old))
        super().commit(step, state)


STORES = {"good": Store} | {
    kind.__name__: kind for kind in (RenamesFirst, ManifestFirst, PrunesInPlace, PrunesEarly)
}
