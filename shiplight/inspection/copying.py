"""Files of an image, as `docker cp` copies them: nothing in the image runs."""

import posixpath
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from .. import engine
from ..engine import journal
from ..errors import EngineFailed
from ..image import Image
from .probing import of_its_platform

# An engine mounts an image for every path that it copies, which takes longer than copying this.
_SPARE_BYTES, _SPARE_FILES = 1_000_000, 50


def file_in(client, image: str, path: str) -> bytes:
    """Return what a file of an image contains. Raises EngineFailed.

    `path` is one without symlinks in it.
    """
    with copied(client, image, path) as archive:
        return _content(archive, archive.next())


def files_in(client, image: Image, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of files of an image, not in the given order. Raises EngineFailed.

    Files that lie close together are copied with their folder, where little else is in it. A name
    that is no UTF-8 cannot be asked for: such a file is left out, but where its folder is copied.
    """
    with _to_copy_from(client, image.name) as container:
        for place, wanted in together(image, paths).items():
            left = dict.fromkeys(wanted)
            if place not in left:
                with _copy(container, image.name, place) as archive:
                    for member in archive or ():  # nor can a folder of such a name
                        path = posixpath.join(posixpath.dirname(place), member.name)
                        if path in left:
                            del left[path]
                            yield path, _content(archive, member)
            for path in left:
                with _copy(container, image.name, path) as archive:
                    if archive is not None:
                        yield path, _content(archive, archive.next())


def together(image: Image, paths: Iterable[str]) -> dict[str, list[str]]:
    """Return the paths by what to copy for them: each by itself, or a folder that has several."""
    asked = {path: _above(path) for path in paths}
    count = Counter(folder for folders in asked.values() for folder in folders)
    spare_bytes = {folder: _SPARE_BYTES * (there - 1) for folder, there in count.items()}
    spare_files = {folder: _SPARE_FILES * (there - 1) for folder, there in count.items()}
    for path, (entry, _) in image.tree().items():
        for folder in _above(path) if path not in asked else ():
            if folder in count:
                spare_bytes[folder] -= entry.size
                spare_files[folder] -= 1
    found: dict[str, list[str]] = {}
    for path, folders in asked.items():
        fit = (
            folder
            for folder in folders
            if count[folder] > 1 and min(spare_bytes[folder], spare_files[folder]) >= 0
        )
        found.setdefault(next(fit, path), []).append(path)
    return found


def _above(path: str) -> list[str]:
    """The folders that a path is in, the outermost first, without the root.

    >>> _above("usr/lib/x.so")
    ['usr', 'usr/lib']
    """
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


@contextmanager
def copied(client, image: str, path: str) -> Iterator[tarfile.TarFile]:
    """Yield a file or folder of an image, as an archive. Raises EngineFailed.

    `path` is one without symlinks in it.
    """
    with _to_copy_from(client, image) as container, _copy(container, image, path) as archive:
        if archive is None:
            raise EngineFailed(f"{image} has no /{path}.", hint="name a path that is in the image")
        yield archive


@contextmanager
def _to_copy_from(client, image: str):
    """Yield a container of an image, never started, for as long as the block lasts."""
    with engine.translated(f"reading files of {image}"):
        how = of_its_platform(client, image)
        container = client.containers.create(image, ["-"], labels=journal.made(), **how)
    try:
        yield container
    finally:
        with engine.translated(f"removing the container of {image}"):
            container.remove(force=True, v=True)


@contextmanager
def _copy(container, image: str, path: str) -> Iterator[tarfile.TarFile | None]:
    """Yield what is there as an archive, its names as `Image` has them; None where nothing is."""
    with tempfile.TemporaryFile() as file:
        with engine.translated(f"reading /{path} of {image}"):
            found = engine.or_none(container.get_archive, f"/{path}")
            if found is None:
                yield None
                return
            file.writelines(found[0])
        file.seek(0)
        with tarfile.open(fileobj=file, encoding="utf-8", errors="backslashreplace") as archive:
            yield archive


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""
