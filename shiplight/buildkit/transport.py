"""Turn an HTTP connection into a socket for gRPC.

Docker Engine accepts a session by an HTTP upgrade (`POST /session`, and `POST /grpc` for Control).
From 29.2 on, that is deprecated in favour of gRPC on the socket itself, which needs no upgrade:
only this file would change.
"""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterable

from .errors import NotUpgraded

MOST_HEADER = 64 << 10
CHUNK = 64 << 10


def upgrade(
    connection, path: str, headers: Iterable[tuple[str, str]] = (), *, host: str = "docker"
) -> socket.socket:
    """Ask for `path` to be switched to HTTP/2, and return a plain socket. Raises NotUpgraded.

    `connection` is connected, and has `sendall`, `recv` and `close`. If it is not a plain socket,
    the result is one end of a pair of sockets that forwards to it.
    """
    fixed = [("Host", host), ("Connection", "Upgrade"), ("Upgrade", "h2c"), ("Content-Length", "0")]
    lines = [f"POST {path} HTTP/1.1", *(f"{key}: {value}" for key, value in [*fixed, *headers])]
    try:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        head = head_of(connection)
        status = _status(head)
        if status != 101:
            raise NotUpgraded(_said(status, head, path), status=status)
        return as_socket(connection)
    except BaseException:
        connection.close()
        raise


def head_of(connection) -> bytes:
    """Read the head of an HTTP answer, byte by byte, so that nothing after it is consumed."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n") and len(head) < MOST_HEADER:
        byte = connection.recv(1)
        if not byte:
            break
        head += byte
    return bytes(head)


def _status(head: bytes) -> int:
    words = head.split(b" ", 2)
    known = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1][:3].isdigit()
    return int(words[1][:3]) if known else 0


def _said(status: int, head: bytes, path: str) -> str:
    if not head:
        return f"the engine closed the connection when it was asked for {path}."
    return f"the engine does not switch protocols for {path} (HTTP {status})."


def as_socket(connection) -> socket.socket:
    """Return a plain socket for any `connection`: itself, or one end of a forwarding pair."""
    if type(connection) is socket.socket:
        connection.settimeout(None)
        return connection
    inner, outer = socket.socketpair()
    if isinstance(connection, ssl.SSLSocket):
        threads = [threading.Thread(target=_pump_tls, args=(connection, inner), daemon=True)]
    else:
        threads = [
            threading.Thread(target=_pump, args=(source, sink, (connection, inner)), daemon=True)
            for source, sink in ((connection, inner), (inner, connection))
        ]
    with contextlib.suppress(AttributeError, OSError):
        connection.settimeout(None)
    for thread in threads:
        thread.name = "buildkit-pump"
        thread.start()
    return outer


def _pump(source, sink, both) -> None:
    """Forward bytes from `source` to `sink`; when either closes, close both."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    _end(*both)


def _pump_tls(outside: ssl.SSLSocket, inside: socket.socket) -> None:
    """Forward both ways in one thread: OpenSSL cannot read and write at the same time."""
    outside.setblocking(False)
    inside.setblocking(False)
    to_outside, to_inside = bytearray(), bytearray()
    with contextlib.suppress(OSError, ValueError):
        while True:
            reads = [sock for sock, out in ((outside, to_inside), (inside, to_outside)) if not out]
            writes = [sock for sock, out in ((outside, to_outside), (inside, to_inside)) if out]
            if not (outside in reads and outside.pending()):
                select.select(reads, writes, [])
            if not _fill(outside, to_inside) or not _fill(inside, to_outside):
                break
            _drain(outside, to_outside)
            _drain(inside, to_inside)
    _end(outside, inside)


_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def _fill(source, waiting: bytearray) -> bool:
    """Read what is available, unless data is still waiting; False at the end."""
    if waiting:
        return True
    with contextlib.suppress(*_NOT_NOW):
        data = source.recv(CHUNK)
        waiting += data
        return bool(data)
    return True


def _drain(sink, waiting: bytearray) -> None:
    if waiting:
        with contextlib.suppress(*_NOT_NOW):
            del waiting[: sink.send(waiting)]


def _end(*connections) -> None:
    for connection in connections:
        with contextlib.suppress(Exception):
            if isinstance(connection, socket.socket):
                connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(Exception):
            connection.close()
