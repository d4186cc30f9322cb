"""Find saved images: an archive, or an OCI layout in a folder, and the image meant in it.

A path names either one. If it contains several images, a name after the path chooses one, as in
Skopeo: `two.tar:busybox:1.36`. Links are followed inside a folder, but never out of it.
"""

import json
import os
import posixpath
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from ..buildkit import opening
from ..errors import ArchiveError, ImageNotFound, ImageUnclear, UsageError
from .archive import MAX_ALL_JSON, MAX_FILES, MAX_JSON, Known, read_image
from .layouts import Manifest, choose, manifests, names_given, same_family
from .model import Image
from .tarstream import (
    BLOCK,
    END,
    Limits,
    Stream,
    clean_path,
    looks_like_tar,
    member,
    members,
    packing,
    unpacked,
)

_HINT = "save the image again"


@dataclass(frozen=True)
class Saved:
    """A file or folder at `path`, and the name that chooses an image; None for the only one."""

    path: str
    name: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is a layout in a folder, not an archive."""
        return os.path.isdir(self.path)


def find_saved(what: str | os.PathLike) -> Saved | None:
    """Return what is saved at a path, with or without a name after it; None if nothing is.

    A path as a whole takes precedence over a path with a name. The part before the name has to look
    like an archive, so `app:1` is an image even if there is a program called `app` here.
    """
    text = os.fspath(what)
    if os.path.isfile(text) or _is_layout(text):
        return Saved(text)
    for at in (at for at, char in enumerate(text) if char == ":"):
        path, name = text[:at], text[at + 1 :]
        if name and (_is_archive(path) or _is_layout(path)):
            return Saved(path, name)
    return None


def find_saved_for(what: str | os.PathLike, platform: str | None) -> Saved | None:
    """Return what `find_saved` does. Raises UsageError where a platform is to be chosen of nothing.

    An image on an engine is measured and scanned as it is there.
    """
    saved = find_saved(what)
    if saved is None and platform:
        raise UsageError(
            "an engine's image is taken for the platform that is there.",
            hint="a platform can be chosen of a saved image, and of one in a registry",
        )
    return saved


def not_saved(path: str | os.PathLike) -> ImageNotFound:
    """Return the error for a path where nothing is saved."""
    if os.path.isdir(path):
        return ImageNotFound(
            f"{os.fspath(path)} is a folder, but not an OCI layout, which has a file `oci-layout`.",
            hint="name the folder or the archive that an image was saved to",
        )
    return ImageNotFound(f"there is no archive at {os.fspath(path)}.", hint="check the path")


def _is_layout(path: str) -> bool:
    """Whether a folder is an OCI layout, or a saved archive that somebody unpacked."""
    if not os.path.isdir(path):
        return False
    held = set(os.listdir(path)) if os.access(path, os.R_OK) else set()
    return "oci-layout" in held or {"index.json", "blobs"} <= held or _lists_images(path)


def _lists_images(folder: str) -> bool:
    try:
        return opening.read(folder, "manifest.json", MAX_JSON).lstrip()[:1] == b"["
    except OSError:
        return False


def _is_archive(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    try:
        with open(opening.opened("/", os.path.realpath(path)), "rb") as file:
            head = file.read(512) or b""
    except OSError:
        return False
    return bool(packing(head)) or (looks_like_tar(head) and any(head))


def read_saved(
    saved: Saved,
    *,
    platform: str | None = None,
    known: Known | None = None,
    progress: Callable[[int], None] | None = None,
) -> Image:
    """Read the chosen image, for `platform` if that is given. Raises ArchiveError."""
    how = {"name": saved.name, "platform": platform, "known": known, "progress": progress}
    if saved.is_folder:
        with files_of(saved.path) as files:
            image = read_image(_as_archive(files, meant(files, saved.name, platform)), **how)
    else:
        with open(_opened(saved.path), "rb") as file:
            image = read_image(file, **how)
    _must_fit(image.platform, platform)
    return image


def meant(files: "Files", name: str | None, platform: str | None) -> Manifest:
    """Return the chosen image. Raises ImageUnclear, or ArchiveError if there is none."""
    found = manifests(files)
    if not found:
        raise ArchiveError("no manifest.json or index.json names an image here.", hint=_HINT)
    chosen = choose(found, name=name, platform=platform)
    _must_fit(chosen.platform, platform)
    return chosen


def _must_fit(platform: str, wanted: str | None) -> None:
    if wanted and not same_family(platform, wanted):
        there = platform or "an unknown platform"
        raise ImageUnclear(
            f"the archive contains an image for {there}, and none for {wanted}.",
            platforms=(platform,) if platform else (),
        )


def _as_archive(files: "Files", chosen: Manifest) -> Iterator[bytes]:
    """Yield one image of a folder as an archive, with every document read to choose it."""
    files.json(chosen.config, "the configuration")
    for path, data in files.kept.items():
        yield from member(path, [data], len(data))
    for path in dict.fromkeys(chosen.layers):
        if files.get(path):
            yield from member(path, files.blocks(path), files.size(path))
    yield END


@contextmanager
def files_of(path: str | os.PathLike) -> Iterator["Files"]:
    """Open a folder or an uncompressed archive, to read single files from it.

    Raises ArchiveError.
    """
    if os.path.isdir(path):
        yield _Folder(path)
        return
    try:
        with open(_opened(path), "rb") as file:
            yield _tar_in(file)
    except (tarfile.TarError, EOFError) as error:
        raise ArchiveError(f"{path} is not a whole tar archive: {error}.", hint=_HINT) from error


def _tar_in(file: BinaryIO) -> "_Tar":
    """Read the headers of an untrusted archive: tarfile raises many errors over bad ones."""
    try:
        return _Tar(tarfile.open(fileobj=file, mode="r:"))
    except (ValueError, LookupError, OverflowError) as error:
        raise tarfile.ReadError(str(error)) from error


def plain_blocks(path: str | os.PathLike) -> Iterator[bytes]:
    """Yield a compressed archive, decompressed; nothing if it is not. Raises ArchiveError."""
    limits = Limits()
    with open(_opened(path), "rb") as file:

        def chunks() -> Iterator[bytes]:
            while chunk := file.read(BLOCK):
                limits.read += len(chunk)
                yield chunk

        stream = Stream(chunks(), "the archive")
        if kind := packing(stream.peek(512)):
            yield from limits.counted(unpacked(stream, kind))


def _opened(path: str | os.PathLike) -> int:
    try:
        return opening.opened("/", os.path.realpath(path))  # what is named may be a link
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read ({error.strerror}).") from error


class Files:
    """The files of an archive or a layout by their paths, in the form that `layouts` reads.

    `kept` has the documents that were read.
    """

    def __init__(self):
        self.kept: dict[str, bytes] = {}
        self._left = MAX_ALL_JSON

    def get(self, path: str) -> str | None:
        """Return the path of a regular file, following links; None if there is none."""
        raise NotImplementedError

    def size(self, path: str) -> int:
        """Return the bytes of a file."""
        raise NotImplementedError

    def blocks(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file, as many as `size` has. Raises ArchiveError."""
        raise NotImplementedError

    def json(self, path: str, what: str) -> dict | list:
        """Return the JSON document at a path. Raises ArchiveError."""
        if path not in self.kept:
            if self.get(path) is None:
                raise ArchiveError(f"{what} is missing: {path}.", hint=_HINT)
            size = self.size(path)
            self._left -= size
            if size > MAX_JSON or self._left < 0:
                raise ArchiveError(f"{what} has {size:,} bytes: {path}.", hint=_HINT)
            self.kept[path] = b"".join(self.blocks(path))
        try:
            return json.loads(self.kept[path])
        except (ValueError, RecursionError) as error:
            raise ArchiveError(f"{what} is not valid JSON: {path}.", hint=_HINT) from error


class _Folder(Files):
    def __init__(self, root: str | os.PathLike):
        super().__init__()
        self._root = root

    def get(self, path: str) -> str | None:
        path = clean_path(path, "the folder")
        return path if os.path.lexists(os.path.join(self._root, path)) else None

    def size(self, path: str) -> int:
        with self._open(path) as file:
            return os.fstat(file.fileno()).st_size

    def blocks(self, path: str) -> Iterator[bytes]:
        with self._open(path) as file:
            yield from _exactly(file, os.fstat(file.fileno()).st_size, path)

    def _open(self, path: str):
        try:
            return open(opening.followed(self._root, clean_path(path, "the folder")), "rb")
        except OSError as error:
            why = error.strerror
            raise ArchiveError(f"{path} in {self._root} cannot be read: {why}.") from error


class _Tar(Files):
    def __init__(self, tar: tarfile.TarFile):
        super().__init__()
        self._tar, self._members = tar, {}
        for number, found in enumerate(tar):
            if number == MAX_FILES:
                raise ArchiveError(f"this is not an image archive: over {MAX_FILES:,} files.")
            self._members[clean_path(found.name, "the archive")] = found

    def get(self, path: str) -> str | None:
        for _ in range(16):
            path = clean_path(path, "the archive")
            found = self._members.get(path)
            if found is None or not (found.issym() or found.islnk()):
                # No engine writes a sparse file: it would fill a disk with the zeros it claims.
                return path if found and found.isreg() and not found.issparse() else None
            folder = posixpath.dirname(path) if found.issym() else ""
            path = posixpath.join(folder, found.linkname)
        raise ArchiveError(f"{path} is a link to itself.", hint=_HINT)

    def size(self, path: str) -> int:
        return self._members[self.get(path)].size

    def blocks(self, path: str) -> Iterator[bytes]:
        found = self._members[self.get(path)]
        with self._tar.extractfile(found) as file:
            yield from _exactly(file, found.size, path)


def _exactly(file, size: int, path: str) -> Iterator[bytes]:
    """Yield this many bytes of a file, which may be shorter by now."""
    while size:
        block = file.read(min(BLOCK, size))
        if not block:
            raise ArchiveError(f"{path} ends too early.", hint=_HINT)
        size -= len(block)
        yield block


def names_loaded(path: str | os.PathLike) -> set[str]:
    """Return every name that an engine would give to an image that it loads from a packed archive.

    Raises ArchiveError for what is not such an archive, or is unclear about its names.
    """
    stream, found = Stream(plain_blocks(path), "the archive"), set()
    for header in members(stream, Limits()):
        name = posixpath.basename(clean_path(header.name, "the archive"))
        if name in ("manifest.json", "index.json", "repositories"):
            if header.kind != "file" or header.size != header.stored or header.size > MAX_JSON:
                raise ArchiveError(f"{name} is not an ordinary file.", hint=_HINT)
            try:
                document = json.loads(stream.exactly(header.size), object_pairs_hook=_as_in_go)
            except (ValueError, RecursionError) as error:
                raise ArchiveError(f"{name} is not JSON.", hint=_HINT) from error
            found.update(names_given(name, document))
    stream.drain()
    if not found:
        raise ArchiveError("no manifest.json or index.json names an image here.", hint=_HINT)
    return found


def _as_in_go(pairs: list[tuple[str, object]]) -> dict:
    """An object as engines read it, where a field may be of any case. Raises ValueError for two."""
    fields = {name.casefold(): name for name in ("RepoTags", "manifests", "annotations")}
    found = {fields.get(key.casefold(), key): value for key, value in pairs}
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found
