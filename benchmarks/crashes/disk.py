"""A folder in memory as operations leave it, and as a machine that dies may leave it.

A killed process loses nothing that it wrote. A machine that loses its power may lose what was not
synced: of a file, all that was written since the last fsync of the file; of a folder, every name
made, moved or removed in it since the last fsync of the folder. Nothing more is promised by POSIX;
file systems mostly keep more. Each may be lost with or without the others.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.crashes.operations import Operation, Unseen


@dataclass(eq=False)
class File:
    data: bytearray = field(default_factory=bytearray)
    synced: bytes = b""  # what is certainly on the disk


@dataclass(eq=False)
class Folder:
    names: dict[str, "Node"] = field(default_factory=dict)
    synced: dict[str, "Node"] = field(default_factory=dict)


Node = File | Folder
Tree = dict[str, bytes | None]  # contents by path, None for folders, sorted


class Disk:
    """The folder. Every operation is applied in its turn; `trees` are what may be found then."""

    def __init__(self) -> None:
        self.root = Folder()

    def copy(self) -> "Disk":
        """Another one, whose files and folders are its own."""
        return copy.deepcopy(self)

    def apply(self, operation: Operation) -> None:
        """Raises Unseen for what cannot have succeeded: then something was not recorded."""
        getattr(self, f"_{operation.kind}")(operation)

    def _find(self, path: str) -> Node | None:
        node: Node | None = self.root
        for name in [] if path == "." else path.split("/"):
            node = node.names.get(name) if isinstance(node, Folder) else None
        return node

    def _parent(self, path: str) -> tuple[Folder, str]:
        folder, _, name = path.rpartition("/")
        parent = self._find(folder or ".")
        if not isinstance(parent, Folder):
            raise Unseen(f"nothing was seen of the folder of {path}")
        return parent, name

    def _file(self, path: str) -> File:
        node = self._find(path)
        if not isinstance(node, File):
            raise Unseen(f"nothing was seen of the file {path}")
        return node

    def _mark(self, operation: Operation) -> None:
        pass

    def _open(self, operation: Operation) -> None:
        node = self._find(operation.path)
        if node is None and "O_CREAT" in operation.other:
            parent, name = self._parent(operation.path)
            parent.names[name] = File()
        elif isinstance(node, File) and "O_TRUNC" in operation.other:
            node.data = bytearray()

    def _write(self, operation: Operation) -> None:
        data = self._file(operation.path).data
        start = len(data) if operation.offset is None else operation.offset
        data.extend(bytes(max(0, start - len(data))))
        data[start : start + len(operation.data)] = operation.data

    def _truncate(self, operation: Operation) -> None:
        file, size = self._file(operation.path), operation.offset or 0
        file.data = bytearray(bytes(file.data[:size]).ljust(size, b"\0"))

    def _mkdir(self, operation: Operation) -> None:
        parent, name = self._parent(operation.path)
        parent.names[name] = Folder()

    def _rename(self, operation: Operation) -> None:
        parent, name = self._parent(operation.path)
        target, new = self._parent(operation.other)
        target.names[new] = parent.names.pop(name)

    def _link(self, operation: Operation) -> None:
        target, new = self._parent(operation.other)
        target.names[new] = self._file(operation.path)

    def _unlink(self, operation: Operation) -> None:
        parent, name = self._parent(operation.path)
        del parent.names[name]

    _rmdir = _unlink

    def _sync(self, operation: Operation) -> None:
        node = self._find(operation.path)
        if isinstance(node, File):
            node.synced = bytes(node.data)
        elif isinstance(node, Folder):
            node.synced = dict(node.names)

    def whole(self) -> Tree:
        """All that was done: what other processes see, and what is left when one is killed."""
        return _tree(self.root, frozenset(), frozenset())

    def after_power_loss(self) -> Iterator[tuple[str, Tree]]:
        """What may be found, each with what was lost: everything unsynced, all contents, all names,
        and each file's and folder's alone. A file's lost contents may be found as zeros, too.
        """
        files, folders = map(frozenset, self._unsynced())
        none: frozenset[Node] = frozenset()
        if files or folders:
            yield "all that was not synced", _tree(self.root, files, folders)
        if files:
            yield "unsynced contents", _tree(self.root, files, none)
            yield "unsynced contents, which are zeros", _tree(self.root, files, none, zeros=True)
        if folders:
            yield "unsynced names", _tree(self.root, none, folders)
        for node in files if len(files) > 1 else ():
            yield "the contents of one file", _tree(self.root, frozenset([node]), none)
        for node in folders if len(folders) > 1 else ():
            yield "the names of one folder", _tree(self.root, none, frozenset([node]))

    def _unsynced(self) -> tuple[list[Node], list[Node]]:
        """Files and folders of which something is not certain, in the order of their paths."""
        files: dict[Node, None] = {}
        folders: dict[Node, None] = {}
        for node in _nodes(self.root):
            if isinstance(node, Folder) and node.names != node.synced:
                folders[node] = None
            if isinstance(node, File) and node.data != node.synced:
                files[node] = None
        return list(files), list(folders)


def _nodes(folder: Folder) -> Iterator[Node]:
    yield folder
    for name in sorted({*folder.names, *folder.synced}):
        for known in dict.fromkeys(n[name] for n in (folder.names, folder.synced) if name in n):
            if isinstance(known, Folder):
                yield from _nodes(known)
            else:
                yield known


def _tree(
    root: Folder, files: frozenset[Node], folders: frozenset[Node], zeros: bool = False
) -> Tree:
    """The paths and contents if these files and folders are as they were last synced."""
    found: Tree = {}

    def look(folder: Folder, prefix: str) -> None:
        names = folder.synced if folder in folders else folder.names
        for name, node in sorted(names.items()):
            if isinstance(node, Folder):
                found[prefix + name] = None
                look(node, f"{prefix}{name}/")
            elif node in files:
                lost = bytes(len(node.data)) if zeros else b""
                found[prefix + name] = node.synced + lost[len(node.synced) :]
            else:
                found[prefix + name] = bytes(node.data)

    look(root, "")
    return found


def write(tree: Tree, folder: Path) -> None:
    """Make it a real folder, which must not be there."""
    folder.mkdir(parents=True)
    for path, data in tree.items():
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)


def read(folder: Path) -> Tree:
    """A real folder's tree."""
    found: Tree = {}
    for path in folder.rglob("*"):
        found[str(path.relative_to(folder))] = None if path.is_dir() else path.read_bytes()
    return dict(sorted(found.items()))
