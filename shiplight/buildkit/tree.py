"""List files for BuildKit, entry by entry: a folder on disk, or files in memory.

The entries, their order and their fields are those of https://github.com/tonistiigi/fsutil, which
`docker build` uses: equal folders give equal cache keys, whichever client sends them.
"""

import errno
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from . import opening
from .errors import BuildKitError, SourceChanged
from .patterns import Rule, apply_rules, compiled, has_wildcards, may_hold_kept, name_matcher

CHUNK = 256 << 10
_APPLE = "com.apple."  # extended attributes that mean something on a Mac only

# Go's os.FileMode, which is what is sent.
_TYPES = {
    stat.S_IFREG: 0,
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 0,  # fsutil sends a socket as an empty file
}
MODE_TYPE = 1 << 31 | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21
MODE_DIR, MODE_SYMLINK = 1 << 31, 1 << 27


def go_mode(mode: int) -> int:
    """Return the mode of a file as Go counts it.

    >>> oct(go_mode(0o100644)), hex(go_mode(0o041777))
    ('0o644', '0x801001ff')
    """
    special = (
        (mode & stat.S_ISUID) << 12 | (mode & stat.S_ISGID) << 12 | (mode & stat.S_ISVTX) << 11
    )
    if os.name == "nt":  # Windows has no executable bit
        mode = mode & ~0o777 | (mode | 0o111) & 0o755
    return _TYPES[stat.S_IFMT(mode)] | mode & 0o777 | special


class Entry(NamedTuple):
    """One file, folder or link: `path` has slashes; `link` is the target of a link or hard link."""

    path: str
    mode: int
    size: int
    mtime_ns: int
    link: str = ""
    device: int = 0
    xattrs: Mapping[str, bytes] | None = None

    @property
    def has_content(self) -> bool:
        """Whether BuildKit may request its bytes."""
        return not self.mode & MODE_TYPE and not self.link


@dataclass(frozen=True)
class Wanted:
    """The requested entries. No includes means all; links in `follow` are followed."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Files:
    """A folder in memory. Set a new `mtime_ns` if a content may have changed.

    BuildKit keeps what it received, and compares size and time, not bytes.
    """

    contents: Mapping[str, bytes] = field(repr=False)
    mtime_ns: int = 0

    def entries(self, wanted: Wanted) -> Iterator[Entry]:
        """Yield the requested files, sorted by name."""
        include = compiled((*wanted.include, *wanted.follow))
        for name in sorted(self.contents, key=os.fsencode):
            if not include or apply_rules(include, name)[0]:
                yield Entry(name, 0o644, len(self.contents[name]), self.mtime_ns)

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield the content of a file."""
        content = self.contents[entry.path]
        yield from (content[at : at + CHUNK] for at in range(0, len(content), CHUNK))


@dataclass(frozen=True)
class Folder:
    """A folder on disk. Every file is sent as owned by root, as with `docker build`."""

    path: str

    def entries(self, wanted: Wanted) -> Iterator[Entry]:
        """Yield the requested entries, each folder before its contents. Raises BuildKitError."""
        links: dict[tuple[int, int], str] = {}
        for path, item, found in _walk(self.path, _Choice.of(self.path, wanted)):
            yield _entry(path, item.path, found, links)

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield the content of a file. Raises SourceChanged if it changed since it was listed."""
        left = entry.size
        try:
            with open(opening.opened(self.path, entry.path), "rb", buffering=0) as file:
                while left and (piece := file.read(min(CHUNK, left))):
                    left -= len(piece)
                    yield piece
                now = os.fstat(file.fileno())
        except OSError as problem:
            if problem.errno == errno.ENXIO and not entry.size:  # a socket
                return
            raise _gone(entry.path, problem) from problem
        if left or (now.st_size, now.st_mtime_ns) != (entry.size, entry.mtime_ns):
            how = "shrank" if now.st_size < entry.size else "changed"
            raise SourceChanged(
                f"{entry.path} {how} while it was being sent.",
                hint="build again when nothing else writes to it, or add it to .dockerignore",
            )


def _gone(path: str, problem: OSError) -> SourceChanged:
    if isinstance(problem, PermissionError):
        hint = "make it readable, or add it to .dockerignore"
    else:
        hint = "build again when nothing else writes to the folder"
    return SourceChanged(f"{path} cannot be read ({problem.strerror}).", hint=hint)


def _entry(path: str, place: str, found: os.stat_result, links: dict) -> Entry:
    """Describe what is at `place`; `links` has the first path of every file so far."""
    mode, size, link, device = found.st_mode, found.st_size, "", 0
    if stat.S_ISDIR(mode):
        size = 0
    else:
        if stat.S_ISLNK(mode):
            link = os.readlink(place)
        elif found.st_nlink > 1:
            first = links.setdefault((found.st_dev, found.st_ino), path)
            if first != path:
                link, size = first, 0
        if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
            device = found.st_rdev
    return Entry(path, go_mode(mode), size, found.st_mtime_ns, link, device, _xattrs(place))


def _xattrs(place: str) -> dict[str, bytes] | None:
    """Return the extended attributes, for a link its own; None if there are none."""
    try:
        names = os.listxattr(place, follow_symlinks=False)
    except (OSError, AttributeError):  # a file system, or a platform, without them
        return None
    found = {}
    for name in names:
        if name.startswith(_APPLE):
            continue
        try:
            found[name] = os.getxattr(place, name, follow_symlinks=False)
        except OSError:  # not for this user
            continue
    return found or None


# --- choosing ------------------------------------------------------------------------------------

Hits = tuple[bool, ...]


@dataclass(frozen=True)
class _Choice:
    """The rules of one request. `include` is None if everything is included."""

    include: tuple[Rule, ...] | None
    exclude: tuple[Rule, ...]

    @classmethod
    def of(cls, root: str, wanted: Wanted) -> "_Choice":
        include = list(wanted.include)
        if wanted.follow:
            followed = follow_links(root, wanted.follow)
            include = _without_nested([*include, *followed]) if followed is not None else include
        return cls(compiled(include or ()) or None, compiled(wanted.exclude))

    def verdict(self, path: str, above: "tuple[Hits | None, Hits]"):
        """Return (whether it is sent, whether something below may be, the state for below)."""
        included, below, in_hits = True, True, None
        if self.include is not None and above[0] is not None:
            included, in_hits = apply_rules(self.include, path, above[0])
            if included:
                in_hits = None  # and so is all that is in it
            else:
                below = any(rule.reaches_into(path) for rule in self.include)
        excluded, out_hits = False, ()
        if self.exclude:
            excluded, out_hits = apply_rules(self.exclude, path, above[1])
            below = below and not (excluded and not may_hold_kept(self.exclude, path, out_hits))
        return included and not excluded, below, (in_hits, out_hits)


_Found = tuple[str, os.DirEntry, os.stat_result]


def _walk(root: str, choice: _Choice) -> Iterator[_Found]:
    """Yield what is chosen; also the folders around it, each just before its first entry."""
    held: dict[str, _Found] = {}
    waiting = [("", item, ((), ())) for item in _names(root, "")]
    while waiting:
        above, item, hits = waiting.pop()
        path = f"{above}/{item.name}" if above else item.name
        sent, below, known = choice.verdict(path, hits)
        if not sent and not below:
            continue
        try:
            found = item.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        is_folder = stat.S_ISDIR(found.st_mode)
        if sent:
            if held:
                yield from _released(held, path)
            yield path, item, found
        elif is_folder:
            held[path] = path, item, found
        if is_folder and below:
            waiting += [(path, each, known) for each in _names(root, path, quietly=not sent)]


def _names(root: str, path: str, *, quietly: bool = False) -> list[os.DirEntry]:
    """Return the names in a folder, the last one first."""
    try:
        with os.scandir(os.path.join(root, path)) as found:
            return sorted(found, key=lambda item: os.fsencode(item.name), reverse=True)
    except FileNotFoundError:
        return []
    except OSError as problem:
        if quietly and isinstance(problem, PermissionError):
            return []
        raise _gone(f"{path or root}/", problem) from problem


def _released(held: dict[str, _Found], path: str) -> Iterator[_Found]:
    """Yield the folders around `path`, outermost first, and remove them from `held`."""
    at = path.find("/")
    while at >= 0:
        if (found := held.pop(path[:at], None)) is not None:
            yield found
        at = path.find("/", at + 1)


# --- following links -----------------------------------------------------------------------------


def follow_links(root: str, paths: tuple[str, ...]) -> list[str] | None:
    """Return the paths and every link target that they need; None for everything.

    A path may be a pattern. Links are read as if `root` were `/`: none leads out of it.
    """
    found: set[str] = set()
    for path in paths:
        _follow(root, path, found)
    return _without_nested(sorted(found))


def _follow(root: str, path: str, found: set[str]) -> None:
    current, rest = "", posixpath.normpath(f"/{path.lstrip('/')}").lstrip("/") or "."
    while True:
        name, _, rest = rest.partition("/")
        current = posixpath.normpath(posixpath.join(current, name))
        targets = _targets(root, current)
        if not rest or targets:
            if current in found:
                return
            found.add(current)
        for target in targets:
            _follow(root, posixpath.join(target, rest), found)
        if targets or not rest:
            return


def _targets(root: str, path: str) -> list[str]:
    """Return the targets of the links with this name or pattern."""
    above, name = posixpath.split(path)
    if has_wildcards(name):
        matcher = name_matcher(name)
        try:
            names = os.listdir(os.path.join(root, above)) if matcher else []
        except OSError:
            return []
        paths = [posixpath.join(above, each) for each in sorted(names) if matcher.matches(each)]
        return [target for each in paths for target in _link_target(root, each)]
    return _link_target(root, path)


def _link_target(root: str, path: str) -> list[str]:
    try:
        link = os.readlink(os.path.join(root, path))
    except OSError:  # no link, or nothing at all
        return []
    return [posixpath.normpath(posixpath.join("/", posixpath.dirname(path), link))]


def _without_nested(paths: list[str]) -> list[str] | None:
    """Return the paths without those inside others; None if one is the root."""
    kept: list[str] = []
    for path in paths:
        if path == ".":
            return None
        if not kept or not path.startswith(kept[-1] + "/"):
            kept.append(path)
    return kept


__all__ = ["BuildKitError", "Entry", "Files", "Folder", "Wanted", "follow_links", "go_mode"]
