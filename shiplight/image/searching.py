"""Look into a tar: for bytes in its files, their paths and their links; and what files it has."""

from collections.abc import Iterable, Iterator

from .tarstream import Limits, Stream, clean_path, members, packing, unpacked


def containing(blocks: Iterable[bytes], word: bytes) -> Iterator[str]:
    """Yield the path of each file of a layer in which these bytes are, in the layer's order.

    `blocks` are the layer's own, packed or not. What is compressed inside a file is not unpacked.
    Raises ArchiveError.
    """
    limits = Limits()
    stream = _opened(blocks, limits, "a layer")
    for header in members(stream, limits):
        named = f"{header.name}\n{header.link}".encode()
        if has(stream.pieces(header.stored), word) or word in named:
            yield clean_path(header.name, "a layer")


def archived(blocks: Iterable[bytes], *, most: int) -> Iterator[tuple[str, int]]:
    """Yield the path and the bytes of each file in a tar, packed or not, in its order.

    No file is kept, and no more than `most` bytes are unpacked. Raises ArchiveError.
    """
    limits = Limits(most)
    for header in members(_opened(limits.counted(blocks), limits, "the archive"), limits):
        if header.kind == "file":
            yield header.name, header.size


def _opened(blocks: Iterable[bytes], limits: Limits, what: str) -> Stream:
    """A stream of a tar, which may be packed."""

    def counted() -> Iterator[bytes]:
        for block in blocks:
            limits.read += len(block)
            yield block

    stream = Stream(counted(), what)
    if kind := packing(stream.peek(512)):
        stream = Stream(limits.counted(unpacked(stream, kind)), what)
    return stream


def has(pieces: Iterable[bytes | memoryview], word: bytes) -> bool:
    """Return whether these bytes are in the pieces, or where one piece ends and the next begins.

    >>> has([b"a to", b"ken"], b"token"), has([b"to", b"-ken"], b"token")
    (True, False)
    """
    tail = b""
    for piece in pieces:
        block = tail + bytes(piece)
        if word in block:
            return True
        tail = block[-len(word) + 1 :] if len(word) > 1 else b""
    return False
