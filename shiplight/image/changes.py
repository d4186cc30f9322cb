"""Stack layers: which files are live in the end, and which bytes are buried.

A layer is a list of entries, one per tar header. `overlay` applies the layers base first, by the
rules of the OCI image specification (layer.md): whiteouts and opaque whiteouts act on the layers
below their own, a directory over a directory merges, anything else replaces what was there.

Content is counted once, however many hard links name it, and is buried when its last name goes.
So for every image: unpacked bytes = live bytes + reclaimable bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import ArchiveError

REMOVED = "removed"
DIRECTORY_REMOVED = "directory removed"
OPAQUE_DIRECTORY = "opaque directory"
REPLACED = "replaced"
METADATA_ONLY = "metadata only"

FOLDER_BYTES = 300  # that one directory takes beside its path
MAX_FOLDERS = 500_000_000

MARKS = ("whiteout", "opaque")  # kinds that say what is gone, and are no files themselves


class Entry(NamedTuple):
    """One entry of a layer.

    `path` is relative and clean (`usr/bin/env`); of a whiteout, the path that it hides.
    `kind` is file, hardlink, symlink, dir, device, fifo, whiteout or opaque; `size` is the bytes
    of a regular file, 0 for all others; `link` is the target of a symlink or hard link.
    `content` is a fast fingerprint (XXH3, 128 bits, hex) of a regular file, "" where it is empty.
    """

    path: str
    kind: str
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    link: str = ""
    content: str = ""


class Buried(NamedTuple):
    """Content that ships but is hidden: its path, its bytes, and the two layers responsible.

    `how` is removed, directory removed, opaque directory, replaced or metadata only (the same
    content was added again with another owner, mode or time).
    """

    path: str
    bytes: int
    added_by: int
    buried_by: int
    how: str


@dataclass(frozen=True)
class Overlay:
    """`live` is what a container sees, {path: (entry, layer index)}; `buried` is what it cannot."""

    live: dict[str, tuple[Entry, int]]
    buried: tuple[Buried, ...]


def unpacked_bytes(entries: Iterable[Entry]) -> int:
    """Bytes of the regular files in one layer; further names of a file add nothing."""
    return sum(entry.size for entry in entries if entry.kind == "file")


def count_files(entries: Iterable[Entry]) -> int:
    """Count the names of regular files in one layer, as `find -type f` does."""
    return sum(entry.kind in ("file", "hardlink") for entry in entries)


def overlay(layers: Iterable[Sequence[Entry]]) -> Overlay:
    """Stack the layers, base first.

    >>> base = [Entry("app", "file", 1000, content="aa")]
    >>> overlay([base, [Entry("app", "whiteout")]]).buried
    (Buried(path='app', bytes=1000, added_by=0, buried_by=1, how='removed'),)
    """
    stack = _stacked(layers)
    return Overlay(stack.live(), tuple(stack.buried))


def buried(layers: Iterable[Sequence[Entry]]) -> tuple[Buried, ...]:
    """Return what `overlay` reports as buried, using two thirds of its memory."""
    return tuple(_stacked(layers).buried)


def _stacked(layers: Iterable[Sequence[Entry]]) -> "_Stack":
    stack = _Stack()
    for entries in layers:
        stack.apply(entries)
    return stack


class _Content:
    """The bytes behind one or more names: an inode."""

    __slots__ = ("entry", "layer", "names")

    def __init__(self, entry: Entry, layer: int):
        self.entry, self.layer, self.names = entry, layer, 0

    def same_bytes(self, other: "_Content") -> bool:
        mine, theirs = self.entry, other.entry
        return (mine.size, mine.content) == (theirs.size, theirs.content)


class _Name(NamedTuple):
    """A live path: its entry, its layer, and for regular files the content behind it."""

    entry: Entry
    layer: int
    content: _Content | None


class _Stack:
    """The layers applied so far. `inside` lists what is directly under each directory."""

    def __init__(self):
        self.names: dict[str, _Name] = {}
        self.inside: dict[str, set[str]] = {}
        self.buried: list[Buried] = []
        self.layer, self.folders = -1, 0

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply one more layer: first all that it hides, then what it adds."""
        self.layer += 1
        for entry in entries:
            if entry.kind == "whiteout":
                self._remove(entry.path, REMOVED, DIRECTORY_REMOVED)
            elif entry.kind == "opaque":
                self._clear(entry.path)
        for entry in entries:
            if entry.kind not in MARKS:
                self._add(entry)

    def live(self) -> dict[str, tuple[Entry, int]]:
        """Return every live path; if a file's own name is gone, its next name is the file."""
        live = {}
        firsts = {id(name.content) for name in self.names.values() if name.entry.kind == "file"}
        for path, (entry, layer, content) in self.names.items():
            if entry.kind == "hardlink" and content and id(content) not in firsts:
                firsts.add(id(content))
                entry = content.entry._replace(path=path)
                layer = content.layer
            live[path] = (entry, layer)
        return live

    def _add(self, entry: Entry) -> None:
        content = self._content_of(entry)
        if content:
            content.names += 1  # before the old one goes, so that a link to itself survives
        self._make_room(entry, content)
        self._enter(entry.path)
        self.names[entry.path] = _Name(entry, self.layer, content)

    def _content_of(self, entry: Entry) -> _Content | None:
        if entry.kind == "file":
            return _Content(entry, self.layer)
        target = self.names.get(entry.link) if entry.kind == "hardlink" else None
        return target.content if target else None

    def _make_room(self, entry: Entry, content: _Content | None) -> None:
        """Remove what the new entry replaces; a directory merges with a directory."""
        old = self.names.get(entry.path)
        if entry.kind == "dir" and (old is None or old.entry.kind == "dir"):
            return
        again = old and old.content and content and content.same_bytes(old.content)
        self._remove(entry.path, METADATA_ONLY if again else REPLACED, REPLACED)

    def _enter(self, path: str) -> None:
        """Add the path to its directories; replace a parent that is not a directory."""
        for parent, child in _steps_up(path):
            known = self._folder(parent)
            if child in known:
                return
            name = self.names.get(parent)
            if name and name.entry.kind != "dir":
                self._remove(parent, REPLACED, REPLACED)
                known = self._folder(parent)
            known.add(child)

    def _folder(self, path: str) -> set[str]:
        """What is directly under a directory. Counts new ones, since one path may have 2,048."""
        known = self.inside.get(path)
        if known is None:
            known = self.inside[path] = set()
            self.folders += len(path) + FOLDER_BYTES
            if self.folders > MAX_FOLDERS:
                most = f"more directories than {MAX_FOLDERS:,} bytes of memory hold"
                raise ArchiveError(f"the layers have {most}.", hint="do not use this image")
        return known

    def _clear(self, folder: str) -> None:
        """Remove everything in a directory, and its set, which would stay large once emptied."""
        if names := self.inside.get(folder):
            self.inside[folder] = set()
            for path in sorted(names):
                self._remove(path, OPAQUE_DIRECTORY, OPAQUE_DIRECTORY)

    def _remove(self, path: str, how: str, how_inside: str) -> None:
        """Remove a path and everything under it."""
        self.inside.get(_parent(path), set()).discard(path)
        todo = [path]
        while todo:
            gone = todo.pop()
            todo += sorted(self.inside.pop(gone, ()), reverse=True)
            name = self.names.pop(gone, None)
            if name and name.content:
                self._drop(name.content, how if gone == path else how_inside)

    def _drop(self, content: _Content, how: str) -> None:
        """Drop one name; when the last one goes, the content is buried."""
        content.names -= 1
        entry = content.entry
        if content.names == 0 and entry.size:
            self.buried.append(Buried(entry.path, entry.size, content.layer, self.layer, how))


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _steps_up(path: str) -> Iterator[tuple[str, str]]:
    """(directory, child) pairs from the path up to the root, which is ""."""
    while path:
        parent = _parent(path)
        yield parent, path
        path = parent
