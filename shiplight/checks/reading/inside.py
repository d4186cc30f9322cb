"""What a few files of a built image tell: symbols, unpacked archives, keys, and who is root.

`wanted` chooses them by path and size, the caller fetches them from an engine, and `understood`
reads them. Of a key only its path is kept.
"""

import bz2
import io
import lzma
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

from ...image import Image, Program, archived, read_program
from .secretshapes import has_private_key

MOST_BYTES, MOST_FILES = 400_000_000, 150  # of all files that are read
_LARGEST = 200_000_000  # of one of them, which is in memory twice
_LEAST_PROGRAM, _LEAST_ARCHIVE = 100_000, 100_000
_KEY_SIZES = range(100, 20_000)
_MOST_MEMBERS, _MOST_UNPACKED = 100_000, 4_000_000_000
_BLOCK = 1 << 19
_UNPACKERS = {
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": partial(lzma.LZMADecompressor, memlimit=1 << 27),
}
_UNPACKED = 0.9  # of an archive's bytes, to say that its contents are there

PASSWD = "etc/passwd"
READABLE = r"tar(?:\.\w+)?|t[gbx]z|tbz2|zip|whl"  # the endings of archives that are read here
_ARCHIVE = re.compile(rf"\.(?:{READABLE})$")
_LIBRARY = re.compile(r"\.so(?:\.[\d.]+)?$|\.node$")
# Packages come with keys of their own tests, and what has such an ending is no key.
_NO_KEYS = re.compile(
    r"(?:^|/)(?:node_modules|site-packages|dist-packages|gems|usr/(?:share|include|lib)|\.git)/|"
    r"\.(?:py|pyc|js|mjs|cjs|ts|map|go|c|h|rs|rb|java|class|jar|php|pl|sh|so|md|html?|css|svg|png|"
    r"jpe?g|gif|woff2?|gz|xz|zip|dll|node|lock|sum|mo)$"
)
_LIKELY_KEY = re.compile(r"key|\.pem$|id_|rsa|secret|private|\.p8$", re.IGNORECASE)


@dataclass(frozen=True)
class Inside:
    """What was read. `programs` are of machine code, `unpacked` the archives whose contents are
    live in the image too, `keys` the files that contain a private key, `roots` the users with
    number 0 that are not called root.
    """

    programs: tuple[Program, ...] = ()
    unpacked: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()


NOTHING_READ = Inside()


def wanted(image: Image, layers: Container[int]) -> list[str]:
    """Return the files of these layers to read, those first whose names say most; and the users."""
    found: dict[str, list[str]] = {"programs": [], "archives": [], "keys": []}
    for path, (entry, layer) in image.tree().items():
        if entry.kind != "file" or layer not in layers:
            continue
        if _ARCHIVE.search(path):
            if entry.size >= _LEAST_ARCHIVE:
                found["archives"].append(path)
        elif entry.size >= _LEAST_PROGRAM and (entry.mode & 0o111 or _LIBRARY.search(path)):
            found["programs"].append(path)
        elif entry.size in _KEY_SIZES and not _NO_KEYS.search(path):
            found["keys"].append(path)
    keys = sorted(found["keys"], key=_likely_first)
    large = sorted(
        [*found["archives"], *found["programs"]], key=lambda path: _largest_first(image, path)
    )
    users = [PASSWD] if PASSWD in image.tree() else []
    chosen, left = [], MOST_BYTES
    for path in [*users, *keys[: MOST_FILES // 2], *large]:
        size = image.tree()[path][0].size
        if size <= min(left, _LARGEST) and len(chosen) < MOST_FILES:
            chosen.append(path)
            left -= size
    return chosen


def understood(image: Image, files: Iterable[tuple[str, bytes]]) -> Inside:
    """Return what these files tell, in any order; their contents are not kept."""
    programs, unpacked, keys, roots = [], [], [], ()
    for path, data in files:
        if path == PASSWD:
            roots = _roots(data)
        elif _ARCHIVE.search(path):
            unpacked += [path] if _is_unpacked(image, path, data) else []
        elif program := read_program(path, data):
            programs.append(program)
        elif has_private_key(data.decode("latin-1")):
            keys.append(path)
    programs.sort(key=lambda program: _largest_first(image, program.path))
    unpacked.sort(key=lambda path: _largest_first(image, path))
    return Inside(tuple(programs), tuple(unpacked), tuple(sorted(keys, key=_likely_first)), roots)


def _largest_first(image: Image, path: str) -> tuple[int, str]:
    return -image.tree()[path][0].size, path


def _likely_first(path: str) -> tuple[bool, str]:
    return not _LIKELY_KEY.search(path), path


def _roots(data: bytes) -> tuple[str, ...]:
    rows = (line.split(":") for line in data.decode("utf-8", "replace").splitlines())
    return tuple(
        row[0] for row in rows if len(row) > 2 and re.fullmatch("0+", row[2]) and row[0] != "root"
    )


def _is_unpacked(image: Image, path: str, data: bytes) -> bool:
    """Whether nearly all that an archive contains is live in the image, by names and sizes.

    What was unpacked may lie in any folder, and without the archive's outermost one.
    """
    there = Counter(
        (posixpath.basename(each), entry.size)
        for each, (entry, _) in image.tree().items()
        if entry.kind in ("file", "hardlink") and entry.size and each != path
    )
    members = _members(path, data)
    found = sum(size for name, size in members if there[posixpath.basename(name), size])
    total = sum(size for _, size in members)
    return total > 0 and found >= _UNPACKED * total


def _members(path: str, data: bytes) -> list[tuple[str, int]]:
    """The files in a tar or a zip with their bytes; none where it cannot be read."""
    try:
        if path.endswith((".zip", ".whl")):
            found = _zipped(data)
        else:
            found = archived(_blocks(data), most=_MOST_UNPACKED)
        found = list(islice(found, _MOST_MEMBERS + 1))
    except Exception:  # a stranger's archive: whatever its reader raises, it cannot be read
        return []
    return [(name, size) for name, size in found if size] if len(found) <= _MOST_MEMBERS else []


def _zipped(data: bytes) -> list[tuple[str, int]]:
    if data.count(b"PK\1\2") > _MOST_MEMBERS:  # each takes memory, before the first is seen
        return []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(each.filename, each.file_size) for each in archive.infolist()]


def _blocks(data: bytes) -> Iterator[bytes]:
    """The bytes of an archive, of xz and bzip2 unpacked; the reader of tars unpacks the others."""
    make = next((make for head, make in _UNPACKERS.items() if data.startswith(head)), None)
    if make is None:
        yield data
    while make and data:  # several streams may follow each other
        reader = make()
        while not reader.eof:
            block = reader.decompress(data, _BLOCK)
            if not block and reader.needs_input:
                raise EOFError("it ends too early")
            data = b""
            yield block
        data = reader.unused_data
