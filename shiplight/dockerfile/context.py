"""The context: the files sent to the engine, chosen by `.dockerignore` and streamed as a tar.

The engine applies no `.dockerignore` to a posted context, so it is applied here, by the rules of
moby/patternmatcher, as `docker build` does. The archive is in GNU format with the Dockerfile first,
because BuildKit looks at 1024 bytes only to tell an archive from a Dockerfile. Equal trees give
equal bytes.
"""

import os
import re
import stat
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

from ..buildkit import BadPattern, Rule, apply_rules, may_hold_kept, opening, patterns
from ..errors import ContextError
from ..units import format_bytes, in_one_line

CHUNK = 1024 * 1024
OUTSIDE_NAME = ".shiplight.Dockerfile"
_LONGEST_NAME = 100  # a longer one would put a GNU long-name header first


# --- .dockerignore ------------------------------------------------------------------------------


def ignore_rules(text: str, *, name: str = ".dockerignore") -> tuple[Rule, ...]:
    """Return the rules of a .dockerignore, in order. Raises ContextError for a bad pattern."""
    try:
        return patterns.ignore_rules(text.removeprefix("\ufeff").split("\n"))
    except BadPattern as bad:
        raise ContextError(
            f"{name}, line {bad.number}: bad pattern {bad.pattern.strip()!r} ({bad.problem}).",
            hint="correct the line, or put a \\ before a character that is meant literally",
        ) from None


# --- reading ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One member of the archive: a file, a folder or a symlink. `text` stands in for a file."""

    name: str
    source: Path
    type: bytes
    mode: int
    mtime: int
    unpacked_bytes: int = 0
    link: str = ""
    text: bytes | None = field(default=None, repr=False)

    def header(self) -> bytes:
        """Return the tar header in GNU format: nobody's in particular (uid 0, no names)."""
        info = tarfile.TarInfo(self.name)
        info.type, info.mode, info.mtime = self.type, self.mode, self.mtime
        info.size, info.linkname = self.unpacked_bytes, self.link
        return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


@dataclass(frozen=True, repr=False)
class Context:
    """What will be sent. `files` counts files and symlinks; `excluded` counts a folder as one."""

    folder: Path
    dockerfile: str
    files: int
    unpacked_bytes: int
    excluded: int
    skipped: tuple[str, ...]
    entries: tuple[Entry, ...]

    @in_one_line
    def __repr__(self) -> str:
        bytes_ = format_bytes(self.unpacked_bytes)
        return f"<Context {self.folder}: {self.files} files, {bytes_}, {self.excluded} excluded>"

    def tar(self) -> Iterator[bytes]:
        """Yield the archive in chunks of at most 1 MiB. Raises ContextError if a file changes."""
        buffer = bytearray()
        for piece in _pieces(self):
            if len(buffer) + len(piece) > CHUNK:
                yield bytes(buffer)
                buffer.clear()
            buffer += piece
        yield bytes(buffer)

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Yield the bytes of a file, as many as its header says; else raise ContextError."""
        if entry.text is not None:
            yield from (entry.text[at : at + CHUNK] for at in range(0, len(entry.text), CHUNK))
        elif entry.type == tarfile.REGTYPE:
            yield from _content(self.folder, entry)

    def copy_to(self, target: Path) -> None:
        """Write what is sent into a new folder, but for the Dockerfile, with modes and times.

        Raises ContextError if a file changes meanwhile.
        """
        target.mkdir(parents=True)
        for entry in self.entries[1:]:  # the first is the Dockerfile
            path = target / entry.name
            if entry.type == tarfile.SYMTYPE:
                path.symlink_to(entry.link)
                continue
            if entry.type == tarfile.DIRTYPE:
                path.mkdir(exist_ok=True)
            else:
                with open(path, "xb") as file:
                    file.writelines(self.content(entry))
            path.chmod(entry.mode | stat.S_IRWXU if path.is_dir() else entry.mode)
            os.utime(path, (entry.mtime, entry.mtime))

    def digests(self) -> dict[str, str]:
        """Return a digest of each entry but the Dockerfile, by its path; times do not count.

        Of a file that changes meanwhile, it is of the bytes that were read.
        """
        found = {}
        for entry in self.entries[1:]:  # the first is the Dockerfile
            head = f"{entry.type!r} {entry.mode} {entry.link}"
            digest = xxhash.xxh3_128(head.encode(errors="surrogateescape"))
            with suppress(ContextError):
                for piece in self.content(entry):
                    digest.update(piece)
            found[entry.name] = digest.hexdigest()
        return found


def _pieces(context: Context) -> Iterator[bytes]:
    """Headers, contents and padding in order, each piece at most one chunk."""
    written = 0
    for entry in context.entries:
        yield (header := entry.header())
        padding = -entry.unpacked_bytes % tarfile.BLOCKSIZE
        yield from context.content(entry)
        yield bytes(padding)
        written += len(header) + entry.unpacked_bytes + padding
    written += 2 * tarfile.BLOCKSIZE
    yield bytes(2 * tarfile.BLOCKSIZE + -written % tarfile.RECORDSIZE)


def _content(folder: Path, entry: Entry) -> Iterator[bytes]:
    try:
        with open(opening.opened(folder, entry.name), "rb", buffering=0) as file:
            left = entry.unpacked_bytes
            while left and (piece := file.read(min(CHUNK, left))):
                left -= len(piece)
                yield piece
            changed = "shrank" if left else "grew" if file.read(1) else ""
    except OSError as problem:
        raise ContextError(
            f"{entry.name} can no longer be read ({problem.strerror}).",
            hint="build again when nothing else writes to the folder",
        ) from problem
    if changed:
        raise ContextError(
            f"{entry.name} {changed} while it was being sent"
            f" (it had {format_bytes(entry.unpacked_bytes)}).",
            hint="build again when nothing else writes to it, or add it to .dockerignore",
        )


def _entry(name: str, source: Path, found: os.stat_result) -> Entry | None:
    """The entry for what is at `source`; None for a socket, a pipe or a device."""
    mode, mtime = stat.S_IMODE(found.st_mode), found.st_mtime_ns // 10**9
    if os.name == "nt":
        mode = mode & 0o755 | 0o111  # Windows knows no executable bit; docker does this as well
    if stat.S_ISDIR(found.st_mode):
        return Entry(name, source, tarfile.DIRTYPE, mode, mtime)
    if stat.S_ISLNK(found.st_mode):
        return Entry(name, source, tarfile.SYMTYPE, mode, mtime, link=os.readlink(source))
    if stat.S_ISREG(found.st_mode):
        return Entry(name, source, tarfile.REGTYPE, mode, mtime, found.st_size)
    return None


class _Walk:
    """One walk through a folder: what to send, and what was left out and why."""

    def __init__(self, folder: Path, rules: tuple[Rule, ...], dockerfile: str):
        self.folder, self.rules, self.dockerfile = folder, rules, dockerfile
        self.entries: list[Entry] = []
        self.excluded: list[str] = []
        self.held: dict[str, Entry] = {}  # excluded folders that hold nothing kept, so far
        self.skipped: list[str] = []
        self.unreadable: list[str] = []
        self.waiting: list[tuple[str, tuple[bool, ...]]] = []

    def run(self) -> None:
        """Goes through the folder in the order of names, each folder before what is in it."""
        self.open_folder("", ())
        while self.waiting:
            name, folder_hits = self.waiting.pop()
            if name != self.dockerfile:
                self.visit(name, folder_hits)

    def visit(self, name: str, folder_hits: tuple[bool, ...]) -> None:
        excluded, hits = apply_rules(self.rules, name, folder_hits)
        if excluded:
            self.excluded.append(name)
            if not may_hold_kept(self.rules, name, hits):
                return
        try:
            entry = _entry(name, self.folder / name, os.lstat(self.folder / name))
        except FileNotFoundError:
            return
        except PermissionError:
            self.unreadable += [] if excluded else [name]
            return
        is_folder = entry is not None and entry.type == tarfile.DIRTYPE
        if not excluded:
            self.keep(name, entry)
        elif is_folder:
            self.held[name] = entry
        if is_folder:
            self.open_folder(name, hits)

    def keep(self, name: str, entry: Entry | None) -> None:
        for parent in _parents(name):
            if parent in self.held:
                self.entries.append(self.held.pop(parent))
        if entry is None:
            self.skipped.append(name)
            return
        self.entries.append(entry)
        if entry.type == tarfile.REGTYPE:
            try:
                os.close(opening.opened(self.folder, name))
            except PermissionError:
                self.unreadable.append(name)
            except OSError:
                pass  # it is another one by now, as sending it will say

    def open_folder(self, name: str, hits: tuple[bool, ...]) -> None:
        try:
            with os.scandir(self.folder / name) as found:
                names = sorted((each.name for each in found), key=os.fsencode, reverse=True)
        except PermissionError:
            if name not in self.held:
                self.unreadable.append(f"{name}/")
            return
        self.waiting += [(f"{name}/{each}" if name else each, hits) for each in names]

    def excluded_count(self) -> int:
        """Excluded paths, without those inside a folder that is excluded altogether."""
        emerged = {parent for entry in self.entries for parent in _parents(entry.name)}
        gone = set(self.excluded) - emerged
        return sum(not gone.intersection(_parents(name)) for name in gone)


def _parents(name: str) -> list[str]:
    """The folders that a path is in, outermost first."""
    parts = name.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _place(folder: Path, dockerfile: str) -> tuple[Path, str]:
    """Where the Dockerfile is on disk, and its name in the archive."""
    path = Path(os.path.normpath(folder / dockerfile))
    name = os.path.relpath(path, folder).replace(os.sep, "/")
    straight = os.path.realpath(path.parent) == os.path.join(
        os.path.realpath(folder), *_parents(name)[-1:]
    )
    inside = not name.startswith("../") and os.path.normpath(folder) != str(path)
    short = len(os.fsencode(name)) <= _LONGEST_NAME
    return path, name if inside and short and straight else OUTSIDE_NAME


def _dockerfile_entry(
    folder: Path, dockerfile: str, path: Path, name: str, text: bytes | str | None
) -> Entry:
    """The Dockerfile with its content: always an ordinary file, whatever it is on disk."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogateescape")
    try:
        text = _read_beside(folder, path, opening.MOST_DOCKERFILE) if text is None else text
        found = os.stat(path)
        mode, mtime = stat.S_IMODE(found.st_mode), found.st_mtime_ns // 10**9
    except OSError as problem:
        if text is None:
            raise _no_dockerfile(folder, dockerfile, problem) from problem
        mode, mtime = 0o644, 0
    return Entry(name, path, tarfile.REGTYPE, mode, mtime, len(text), text=text)


def _read_beside(folder: Path, path: Path, most: int) -> bytes:
    """The bytes of a file that belongs to the context, inside of it or in the folder named for it.

    Raises OSError; also for a link that leads out of either.
    """
    above = os.path.realpath(path.parent)
    inside = Path(above).is_relative_to(os.path.realpath(folder))
    return opening.read(folder if inside else above, os.path.join(above, path.name), most)


def _no_dockerfile(folder: Path, dockerfile: str, problem: OSError) -> ContextError:
    message = f"the Dockerfile {dockerfile} in {folder} cannot be read ({problem.strerror})."
    if isinstance(problem, PermissionError):
        return ContextError(message, hint="make it readable")
    there = [
        name
        for name in sorted(os.listdir(folder))
        if re.search("(?i)dockerfile|containerfile", name) and not name.endswith(".dockerignore")
    ]
    hint = f"dockerfile={there[0]!r}; there are: {', '.join(there)}" if there else ""
    return ContextError(message, hint=hint or "no Dockerfile is there, by any usual name")


def read_rules(folder: Path, dockerfile: Path) -> tuple[Rule, ...] | None:
    """Return the rules of `<Dockerfile>.dockerignore` if it exists, else of `.dockerignore`.

    None where there is neither. Raises ContextError.
    """
    for path in (_own_rules(dockerfile), folder / ".dockerignore"):
        data = _rules_at(folder, path)
        if data is not None:
            return ignore_rules(data.decode("utf-8", "surrogateescape"), name=path.name)
    return None


def _own_rules(dockerfile: Path) -> Path:
    return dockerfile.with_name(f"{dockerfile.name}.dockerignore")


def _rules_at(folder: Path, path: Path) -> bytes | None:
    """The bytes of a .dockerignore; None where there is none. Raises ContextError."""
    try:
        return _read_beside(folder, path, opening.MOST_RULES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise ContextError(
            f"{path} cannot be read ({problem.strerror}).",
            hint="it has to be an ordinary file of the context",
        ) from problem


def _refuse_no_folder(folder: Path) -> None:
    if not folder.is_dir():
        found = "is not a folder" if folder.exists() else "does not exist"
        raise ContextError(f"the context {folder} {found}.", hint="name the app's folder")


def read_context(
    folder: str | os.PathLike,
    *,
    dockerfile: str | os.PathLike = "Dockerfile",
    dockerfile_text: bytes | str | None = None,
) -> Context:
    """Read the files of `folder` that a build is sent, and the Dockerfile, ignored or not.

    `dockerfile` is relative to the folder; one from outside is sent as `.shiplight.Dockerfile`.
    `dockerfile_text` is sent in place of its content, and then it need not exist. ContextError
    where the folder, the Dockerfile or a file that is not ignored cannot be read.
    """
    folder, dockerfile = Path(folder), os.fspath(dockerfile)
    _refuse_no_folder(folder)
    path, name = _place(folder, dockerfile)
    first = _dockerfile_entry(folder, dockerfile, path, name, dockerfile_text)
    walk = _Walk(folder, read_rules(folder, path) or (), name)
    walk.run()
    if walk.unreadable:
        some = ", ".join(walk.unreadable[:5]) + (", …" if len(walk.unreadable) > 5 else "")
        raise ContextError(
            f"{len(walk.unreadable)} paths of the context {folder} are not readable: {some}.",
            hint="make them readable, or add them to .dockerignore",
        )
    entries = (first, *walk.entries)
    return Context(
        folder=folder,
        dockerfile=name,
        files=sum(entry.type != tarfile.DIRTYPE for entry in entries),
        unpacked_bytes=sum(entry.unpacked_bytes for entry in entries),
        excluded=walk.excluded_count(),
        skipped=tuple(walk.skipped),
        entries=entries,
    )


@dataclass(frozen=True)
class Sources:
    """What a build needs of the disk: a folder, and a Dockerfile as bytes with its own ignore file.

    A session reads the folder as the engine asks for it; `context()` lists it for a tar.
    """

    folder: Path
    dockerfile: str
    text: bytes = field(repr=False)
    ignore: bytes | None = field(repr=False, default=None)

    @property
    def name(self) -> str:
        """What the Dockerfile is called, without its folders."""
        return self.dockerfile.replace(os.sep, "/").rpartition("/")[2]

    def definition(self) -> dict[str, bytes]:
        """Return the files beside the context: the Dockerfile, and `<Dockerfile>.dockerignore`."""
        beside = {} if self.ignore is None else {f"{self.name}.dockerignore": self.ignore}
        return {self.name: self.text, **beside}

    def context(self) -> Context:
        """Return the context as a tar has it. Raises ContextError."""
        return read_context(self.folder, dockerfile=self.dockerfile, dockerfile_text=self.text)


def read_sources(
    folder: str | os.PathLike,
    *,
    dockerfile: str | os.PathLike = "Dockerfile",
    dockerfile_text: bytes | str | None = None,
) -> Sources:
    """Return what a build of this folder needs. Raises ContextError, as `read_context` does.

    The files themselves are not looked at yet.
    """
    folder, dockerfile = Path(folder), os.fspath(dockerfile)
    _refuse_no_folder(folder)
    path, name = _place(folder, dockerfile)
    text = _dockerfile_entry(folder, dockerfile, path, name, dockerfile_text).text
    read_rules(folder, path)  # a bad pattern is named, with its line, before anything is done
    return Sources(folder, dockerfile, text, _rules_at(folder, _own_rules(path)))
