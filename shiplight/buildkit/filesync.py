"""Transfer files over gRPC in both directions, by https://github.com/tonistiigi/fsutil.

The sender lists its entries (STAT), then sends an empty STAT; the receiver requests the contents it
lacks (REQ); they are sent in pieces (DATA), the last one empty; both sides end with FIN.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from urllib.parse import unquote_plus

from .errors import BuildKitError
from .messages import BytesMessage, Packet
from .threads import in_thread
from .tree import MODE_DIR, MODE_SYMLINK, MODE_TYPE, Entry, Wanted
from .wire import Frames, framed

STAT, REQ, DATA, FIN, ERR = range(5)
LISTED = 64 << 10  # bytes of a list that go out together: BuildKit compares while we look further


# --- sending -------------------------------------------------------------------------------------


def wanted_by(metadata: Mapping[str, list[str]]) -> Wanted:
    """Return what a request wants, from its metadata."""

    def values(key: str) -> tuple[str, ...]:
        found = metadata.get(key, [])
        coded = metadata.get(f"{key}-encoded", [""])[0].lower() in ("1", "t", "true")
        return tuple(map(_unquoted, found) if coded else found)

    return Wanted(values("include-patterns"), values("exclude-patterns"), values("followpaths"))


def _unquoted(value: str) -> str:
    return unquote_plus(value, errors="surrogateescape")


def stat_packet(entry: Entry, packet: Packet) -> bytes:
    """Return the message that lists one entry. Overwrites `packet`."""
    packet.Clear()
    stat = packet.stat
    stat.path = os.fsencode(entry.path)
    stat.mode, stat.size, stat.modTime = entry.mode, entry.size, entry.mtime_ns
    if entry.link:
        stat.linkname = os.fsencode(entry.link)
    if entry.device:
        stat.devmajor, stat.devminor = os.major(entry.device), os.minor(entry.device)
    for name, value in (entry.xattrs or {}).items():
        with contextlib.suppress(UnicodeEncodeError):
            stat.xattrs[name] = value
    return packet.SerializeToString()


class Sender:
    """Sends the requested files of one source over one stream."""

    def __init__(self, source, frames: Frames):
        self.source, self.frames = source, frames
        self.entries: dict[int, Entry] = {}  # those whose content may be asked for
        self.sent_bytes = 0

    async def run(self, wanted: Wanted) -> None:
        """List the entries, send what is requested, and return when BuildKit has everything."""
        await self.list(wanted)
        async for data in self.frames.received():
            packet = Packet.FromString(data)
            if packet.type == REQ:
                await self.send(packet.ID)
            elif packet.type == FIN:
                await self.frames.send(framed(Packet(type=FIN).SerializeToString()))
                return
            elif packet.type == ERR:
                raise BuildKitError(f"BuildKit refused the files: {packet.data.decode()}")

    async def list(self, wanted: Wanted) -> None:
        """Send a STAT for every entry, and one without an entry after the last."""
        numbered, more = enumerate(self.source.entries(wanted)), True
        while more:
            batch, more = await in_thread(self._next_listed, numbered)
            await self.frames.send(batch)

    def _next_listed(self, numbered: Iterator[tuple[int, Entry]]) -> tuple[bytes, bool]:
        """Return the messages for the next entries, and whether more may follow."""
        out, packet = bytearray(), Packet()
        for number, entry in numbered:
            if entry.has_content:
                self.entries[number] = entry
            out += framed(stat_packet(entry, packet))
            if len(out) > LISTED:
                return bytes(out), True
        return bytes(out + framed(b"")), False

    async def send(self, number: int) -> None:
        """Send one file's content; keep it in the batch while other requests wait."""
        entry = self.entries.pop(number, None)
        if entry is None:
            raise BuildKitError(f"BuildKit asked for file {number}, which was not listed.")
        packet = Packet(type=DATA, ID=number)
        for piece in self.source.chunks(entry):
            packet.data = piece
            self.sent_bytes += len(piece)
            await self.frames.add(framed(packet.SerializeToString()))
        await self.frames.add(framed(Packet(type=DATA, ID=number).SerializeToString()))
        if not self.frames.has_more():
            await self.frames.flush()


# --- receiving -----------------------------------------------------------------------------------


class Receiver:
    """Writes the files and links that BuildKit exports into one folder, as `--output DIR` does.

    Nothing is written outside, whatever the names are: the parent of every name must have been
    listed before, and anything in the way, above all a link, is removed first.
    """

    def __init__(self, folder: str, frames: Frames):
        self.folder, self.frames = folder, frames
        self.folders: dict[str, int] = {"": 0}  # name → mtime_ns
        self.files: dict[int, object] = {}  # number → its STAT
        self.links: list[tuple[str, str]] = []
        self.open: dict[int, object] = {}
        self.finished = False  # all is written; BuildKit hears of it after

    async def run(self) -> None:
        """Receive the list, request and write every content, and return when all are here."""
        os.makedirs(self.folder, exist_ok=True)
        number, listed = 0, False
        try:
            async for data in self.frames.received():
                packet = Packet.FromString(data)
                if packet.type == STAT and packet.HasField("stat"):
                    self.place(number, packet.stat)
                    number += 1
                elif packet.type == STAT:
                    listed = True
                    await self.ask()
                elif packet.type == DATA:
                    self.write(packet.ID, packet.data)
                elif packet.type == ERR:
                    raise BuildKitError(f"BuildKit stopped sending: {packet.data.decode()}")
                elif packet.type == FIN:
                    return
                if listed and not self.files and not self.finished:
                    await self._finish()
        finally:
            for file in self.open.values():
                file.close()

    def place(self, number: int, stat) -> None:
        """Create what needs no content, and remember what does."""
        name, link = os.fsdecode(stat.path), os.fsdecode(stat.linkname)
        path = self._path(name)
        if stat.mode & MODE_DIR:
            if os.path.islink(path) or not os.path.isdir(path):
                _remove(path)
                os.mkdir(path)
            os.chmod(path, stat.mode & 0o777 | 0o700)
            self.folders[name] = stat.modTime
        elif stat.mode & MODE_SYMLINK:
            _remove(path)
            os.symlink(link, path)
        elif stat.mode & MODE_TYPE:
            return  # devices and pipes are for images
        elif link:
            self.links.append((self._path(link), path))
        else:
            self.files[number] = _copied(stat)

    def _path(self, name: str) -> str:
        above, _, last = name.rpartition("/")
        if above not in self.folders or last in ("", ".", "..") or "\0" in name:
            raise BuildKitError(f"BuildKit sent {name!r}, which is outside the folder.")
        return os.path.join(self.folder, name)

    async def ask(self) -> None:
        """Request every content, all at once."""
        requests = [Packet(type=REQ, ID=n).SerializeToString() for n in self.files]
        await self.frames.send(b"".join(map(framed, requests)))

    def write(self, number: int, data: bytes) -> None:
        """Write one piece; an empty one ends the file."""
        stat = self.files.get(number)
        if stat is None:
            raise BuildKitError(f"BuildKit sent file {number}, which was not asked for.")
        path = self._path(os.fsdecode(stat.path))
        if number not in self.open:
            _remove(path)
            self.open[number] = open(path, "xb")  # noqa: SIM115
        self.open[number].write(data)
        if not data:
            self.open.pop(number).close()
            os.chmod(path, stat.mode & 0o777)
            os.utime(path, ns=(stat.modTime, stat.modTime))
            del self.files[number]

    async def _finish(self) -> None:
        for target, path in self.links:
            _remove(path)
            os.link(target, path, follow_symlinks=False)
        for name in sorted(filter(None, self.folders), reverse=True):
            os.utime(os.path.join(self.folder, name), ns=(self.folders[name],) * 2)
        self.finished = True
        await self.frames.send(framed(Packet(type=FIN).SerializeToString()))


def _copied(stat):
    copy = type(stat)()
    copy.CopyFrom(stat)
    return copy


def _remove(path: str) -> None:
    """Remove whatever is at `path`; of a link, only the link itself."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


async def receive_file(frames: Frames, write) -> None:
    """Call `write` with the pieces of the file that an archive exporter sends."""
    async for data in frames.received():
        write(BytesMessage.FromString(data).data)
