"""Read tar streams once, front to back, in constant memory: each header and its data.

This is our own code because it takes a quarter of the time of `tarfile` (0.7 s for 29,000 files),
and because every limit is visible: nothing is written to disk, and every count in a header is
checked against a limit.
Formats: ustar, GNU (long names, large numbers, sparse files) and PAX.
"""

import tarfile
from collections.abc import Iterable, Iterator
from gzip import BadGzipFile
from typing import NamedTuple

import zstandard

from ..errors import ArchiveError
from ..units import format_bytes

try:  # the same, 2.5 times as fast
    from isal.igzip import IGzipFile as GzipFile
    from isal.igzip_lib import IsalError as DeflateError
except ImportError:
    from gzip import GzipFile
    from zlib import error as DeflateError

BLOCK = 1 << 19

MAX_PATH = 4096  # characters of one path, as in Linux
MAX_EXTENSION = 1 << 20  # bytes of one PAX header
MAX_ENTRIES = 2_000_000  # in one archive, all layers together
MAX_NAMES = 256_000_000  # bytes of all paths and links together
MAX_UNPACKED = 200_000_000_000  # bytes of one archive, unpacked
MAX_RATIO, RATIO_FROM = 1000, 1 << 30  # unpacked to read, all together, looked at from 1 GiB on

_HINT = "save the image again; do not use an archive from an unknown source"


class Limits:
    """How much of its limits an archive has used so far."""

    def __init__(self, most_unpacked: int | None = None):
        self.most_unpacked = most_unpacked or MAX_UNPACKED
        self.entries = self.names = self.unpacked = self.read = 0

    def count_entry(self, *names: str) -> None:
        self.entries += 1
        self.names += sum(len(name) if name.isascii() else 4 * len(name) for name in names)
        if self.entries > MAX_ENTRIES or self.names > MAX_NAMES:
            raise ArchiveError(f"the archive contains more than {MAX_ENTRIES:,} files.", hint=_HINT)

    def count_bytes(self, count: int) -> None:
        self.unpacked += count
        if self.unpacked > self.most_unpacked:
            most = format_bytes(self.most_unpacked)
            raise ArchiveError(f"the archive unpacks to more than {most}.", hint=_HINT)
        if self.unpacked > RATIO_FROM and self.unpacked > MAX_RATIO * self.read:
            times = f"over {MAX_RATIO:,} times its own bytes"
            raise ArchiveError(f"the archive unpacks to {times}.", hint=_HINT)

    def counted(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the same decompressed blocks. Raise once there are too many."""
        for block in blocks:
            self.count_bytes(len(block))
            yield block


class Stream:
    """Read bytes by count from chunks. `cut`: whether they ended or failed too early."""

    def __init__(self, chunks: Iterable[bytes | memoryview], what: str):
        self._chunks, self.what = iter(chunks), what
        self._buffer, self._start = memoryview(b""), 0
        self.position, self.cut = 0, False

    def peek(self, count: int) -> bytes:
        """Return the next bytes without consuming them, fewer only at the end."""
        while len(self._buffer) - self._start < count:
            left, start = self._buffer, self._start
            if not self._refill():
                self._buffer, self._start = left, start
                break
            if start < len(left):
                self._buffer = memoryview(b"".join((left[start:], self._buffer)))
        return bytes(self._buffer[self._start : self._start + count])

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer only at the end."""
        end = self._start + count
        if end > len(self._buffer):
            return b"".join(self._up_to(count))
        data = bytes(self._buffer[self._start : end])
        self._start = end
        self.position += count
        return data

    def readinto(self, buffer: memoryview) -> int:
        """Read into a buffer, as gzip readers need it; return the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def pieces(self, count: int) -> Iterator[memoryview]:
        """Yield exactly this many bytes, as slices of the chunks. Raise if they end early."""
        for piece in self._up_to(count):
            count -= len(piece)
            yield piece
        if count > 0:
            self.cut = True
            raise ArchiveError(
                f"{self.what} ends too early, after {self.position:,} bytes.",
                hint="it was copied or saved only partly: save the image again",
            )

    def exactly(self, count: int) -> bytes:
        return b"".join(self.pieces(count))

    def skip(self, count: int) -> None:
        for _ in self.pieces(count):
            pass

    def drain(self) -> None:
        """Read to the end and discard it."""
        while self._refill():
            pass

    def _up_to(self, count: int) -> Iterator[memoryview]:
        """The next bytes as a slice of a chunk, fewer only at the end."""
        while count > 0 and (self._start < len(self._buffer) or self._refill()):
            piece = self._buffer[self._start : self._start + count]
            self._start += len(piece)
            self.position += len(piece)
            count -= len(piece)
            yield piece

    def _refill(self) -> bool:
        """Take the next chunk; return whether there is one."""
        try:
            for chunk in self._chunks:
                if chunk:
                    self._buffer, self._start = memoryview(chunk), 0
                    return True
        except ArchiveError:
            self.cut = True
            raise
        return False


def packing(head: bytes) -> str:
    """Return the compression of data that begins like this: gzip, zstd, or ""."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    is_zstd = head.startswith(b"\x28\xb5\x2f\xfd") or head[1:4] == b"\x2a\x4d\x18"
    return "zstd" if is_zstd and not looks_like_tar(head) else ""


def looks_like_tar(head: bytes) -> bool:
    """Return whether a tar may begin like this; an empty one has no bytes, or zeros."""
    return len(head) >= 512 and (_checksum_holds(head[:512]) or not any(head[:512]))


def unpacked(packed: Stream, kind: str) -> Iterator[bytes]:
    """Yield the bytes of a gzip or zstd stream of any number of members, in blocks."""
    if kind == "gzip":
        reader = GzipFile(fileobj=packed, mode="rb")
    else:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            packed, read_size=1 << 17, read_across_frames=True
        )
    while piece := _read_or_fail(reader, packed, kind):
        yield piece


def _read_or_fail(reader, packed: Stream, kind: str) -> bytes:
    try:
        return reader.read(BLOCK)
    except EOFError as error:
        packed.cut = True
        hint = "it was copied or saved only partly: save the image again"
        raise ArchiveError(f"{packed.what} ends too early.", hint=hint) from error
    except (DeflateError, BadGzipFile, zstandard.ZstdError) as error:
        raise ArchiveError(f"{packed.what} is not valid {kind}: {error}.", hint=_HINT) from error


class Header(NamedTuple):
    """One member: `size` is the file's bytes, `stored` how many follow (fewer where sparse)."""

    name: str
    kind: str
    size: int
    stored: int
    mode: int
    uid: int
    gid: int
    link: str


_KINDS = {
    b"0": "file", b"\0": "file", b"7": "file", b"S": "file", b"1": "hardlink", b"2": "symlink",
    b"3": "device", b"4": "device", b"5": "dir", b"6": "fifo",
}  # fmt: skip


def members(stream: Stream, limits: Limits) -> Iterator[Header]:
    """Yield the members of a tar; data that the caller does not read is skipped."""
    extra: dict[str, str] = {}
    while (block := stream.read(512)) and any(block):
        if len(block) < 512:
            stream.skip(512 - len(block))
        if not _checksum_holds(block):
            where = f"{stream.what}, byte {stream.position - 512:,}"
            raise ArchiveError(f"{where}: this is not a tar header.", hint=_HINT)
        kind, size = block[156:157], _number(block[124:136], stream)
        if kind in b"xgLKX":
            extra |= _extension(stream, kind, size)
            continue
        header = _header(block, kind, size, extra, stream)
        limits.count_entry(header.name, header.link)
        extra = {}
        end = stream.position + header.stored
        yield header
        stream.skip(end - stream.position + -end % 512)


_PAX_KEYS = {
    b"path", b"linkpath", b"size", b"uid", b"gid",
    b"GNU.sparse.name", b"GNU.sparse.size", b"GNU.sparse.realsize",
}  # fmt: skip


_MODES = tuple(range(0o10000))  # each number once, not once a file


def _checksum_holds(block: bytes) -> bool:
    try:
        noted = int(block[148:156].strip(b"\0 ") or b"0", 8)
    except ValueError:
        return False
    return noted == sum(block) - sum(block[148:156]) + 256


def _number(field: bytes, stream: Stream) -> int:
    """An octal number, or GNU's large ones in base 256."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ") or b"0"
    try:
        if not digits.isdigit():  # int() would take a sign
            raise ValueError
        return int(digits, 8)
    except ValueError:
        raise ArchiveError(f"{stream.what}: {field!r} is not a number.", hint=_HINT) from None


def _text(raw: bytes) -> str:
    """A name; bytes that are not UTF-8 are shown as \\xff."""
    return raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def _extension(stream: Stream, kind: bytes, size: int) -> dict[str, str]:
    """The fields that a PAX or GNU extension header sets for the member after it."""
    if size > MAX_EXTENSION:
        raise ArchiveError(f"{stream.what}: {size:,} bytes of extension header.", hint=_HINT)
    data = stream.exactly(size)
    stream.skip(-size % 512)
    if kind in b"LK":
        return {"path" if kind == b"L" else "linkpath": _text(data)}
    return _pax(data, stream) if kind in b"xX" else {}


def _pax(data: bytes, stream: Stream) -> dict[str, str]:
    """The records of a PAX header: `30 path=…\\n`, each with its own length in front."""
    records, start = {}, 0
    while start < len(data):
        space = data.find(b" ", start, start + 9)
        length = data[start : max(space, start)]
        end = start + int(length) if length.isdigit() else start
        key, equals, value = data[space + 1 : end].partition(b"=")
        if not equals or not value.endswith(b"\n") or end > len(data):
            raise ArchiveError(f"{stream.what} contains a damaged PAX header.", hint=_HINT)
        if key in _PAX_KEYS:
            records[_text(key)] = _text(value[:-1])
        start = end
    return records


def _header(block: bytes, kind: bytes, size: int, extra: dict, stream: Stream) -> Header:
    name, link = _text(block[:100]), _text(block[157:257])
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_text(block[345:500])}/{name}"
    stored = _whole(extra.get("size"), size, stream)
    size = stored
    if kind == b"S":
        size = _number(block[483:495], stream)
        more = block[482]
        while more:
            more = stream.exactly(512)[504]
    elif any(key.startswith("GNU.sparse.") for key in extra):
        size = _whole(extra.get("GNU.sparse.realsize", extra.get("GNU.sparse.size")), size, stream)
    name = extra.get("GNU.sparse.name", extra.get("path", name))
    link = extra.get("linkpath", link)
    if kind not in _KINDS:
        raise ArchiveError(f"{stream.what}: {name} is of unknown type {kind!r}.", hint=_HINT)
    if max(len(name), len(link)) > MAX_PATH:
        longest = f"longer than {MAX_PATH} characters"
        raise ArchiveError(f"{stream.what}: {name[:60]}… has a path {longest}.", hint=_HINT)
    what = "dir" if _KINDS[kind] == "file" and kind == b"\0" and name[-1:] == "/" else _KINDS[kind]
    if what != "file":
        size = stored = 0
    elif size > MAX_UNPACKED:
        raise ArchiveError(f"{stream.what}: {name} claims {size:,} bytes.", hint=_HINT)
    mode = _MODES[_number(block[100:108], stream) & 0o7777]
    uid = _whole(extra.get("uid"), _number(block[108:116], stream), stream)
    gid = _whole(extra.get("gid"), _number(block[116:124], stream), stream)
    return Header(name, what, size, stored, mode, uid, gid, link)


def _whole(text: str | None, otherwise: int, stream: Stream) -> int:
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ArchiveError(f"{stream.what}: {text[:40]!r} is not a number.", hint=_HINT)
    return int(text)


END = bytes(2 * 512)  # of a tar


def member(path: str, blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield one file of a tar: its header, its bytes, and zeros to a whole block."""
    header = tarfile.TarInfo(path)
    header.size = size
    yield header.tobuf(tarfile.GNU_FORMAT)
    yield from blocks
    yield bytes(-size % 512)


def clean_path(name: str, what: str) -> str:
    """Return a member's path without `./` and extra slashes. Raise if it leads outside.

    >>> clean_path("./usr//bin/../lib/", "a layer")
    'usr/lib'
    """
    path = name.strip("/")
    if path[:1] != "." and "//" not in path and "/." not in path:
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and not parts:
            raise ArchiveError(f"{what}: the path {name!r} leads outside the root.", hint=_HINT)
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
