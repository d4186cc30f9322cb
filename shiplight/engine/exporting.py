"""Exporting an image: the chunks of `docker save`, in large pieces where the engine is on a socket.

An engine answers an HTTP/1.1 request for an export in chunks of 16 to 32 kB, each with a length in
front; reading 1 GB of them takes a second of Python. An answer to an HTTP/1.0 request has none, and
the kernel fills half a megabyte at a time.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlencode, urlsplit

import docker

from ..buildkit import transport
from ..references import tagged
from .answers import translated
from .images import has_image

BLOCK = 1 << 19  # bytes that are read at a time
END = bytes(1024)  # with which every tar ends


@contextmanager
def export_image(client: docker.DockerClient, name: str) -> Iterator[Iterator[bytes]]:
    """Yield the chunks of `docker save NAME`; leaving the block, in any way, ends the export.

    Raises EngineFailed, also where the engine ends in the middle.
    """
    url = client.api._url("/images/{0}/get", _one(client, name))
    with _exported(client, url, name) as chunks:
        yield chunks


@contextmanager
def export_images(client: docker.DockerClient, names: list[str]) -> Iterator[Iterator[bytes]]:
    """Yield the chunks of `docker save NAMES`: one archive, in which each layer is once."""
    query = urlencode({"names": [_one(client, name) for name in names]}, doseq=True)
    url = f"{client.api._url('/images/get')}?{query}"
    with _exported(client, url, f"{len(names)} images") as chunks:
        yield chunks


@contextmanager
def _exported(client: docker.DockerClient, url: str, what: str) -> Iterator[Iterator[bytes]]:
    api = client.api
    with translated(f"exporting {what}"):
        plain = _ask_socket(client, urlsplit(url)._replace(scheme="", netloc="").geturl())
        if plain is not None:
            with plain:
                yield _whole(plain, client)
            return
        response = api._get(url, stream=True, timeout=None)
        try:
            api._raise_for_status(response)
            # Not by `iter_content`, which gives each of the engine's small chunks by itself.
            yield iter(lambda: response.raw.read(BLOCK, decode_content=True), b"")
        finally:
            response.close()


def _one(client: docker.DockerClient, name: str) -> str:
    """Return the name of one image: of a bare one, an engine exports every tag that is here."""
    whole = tagged(name)
    return whole if whole == name or has_image(client, whole) else name  # else an Id


def own_socket(client: docker.DockerClient) -> str | None:
    """Return the path of the engine's own Unix socket; None where there is a network between."""
    endpoint = getattr(client, "shiplight_endpoint", None)
    is_socket = endpoint is not None and endpoint.url.startswith("unix://")
    return endpoint.url.removeprefix("unix://") if is_socket else None


def _ask_socket(client: docker.DockerClient, path: str) -> socket.socket | None:
    """The engine's Unix socket, an export about to come; None where the SDK has to ask.

    So it is where there is no such socket, and where it fails or the answer is an error: the SDK
    then meets the same, and its errors are translated.
    """
    where = own_socket(client)
    if where is None:
        return None
    plain, answered = socket.socket(socket.AF_UNIX), False
    try:
        with suppress(OSError):
            plain.connect(where)
            plain.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            # In kind: it closes where the archive ends.
            answered = transport.head_of(plain).startswith(b"HTTP/1.0 200 ")
    finally:
        if not answered:
            plain.close()
    return plain if answered else None


def _whole(plain: socket.socket, client: docker.DockerClient) -> Iterator[bytes]:
    """What comes until the engine closes, in large blocks.

    Nothing says how long it is. But a tar ends with zeros, so what does not was cut short; and
    since files end with zeros too, the engine has to be there still. Raises ConnectionError.
    """
    last = b""
    while block := plain.recv(BLOCK, socket.MSG_WAITALL):
        last = (last + block[-len(END) :])[-len(END) :]
        yield block
    if last != END:
        raise ConnectionError("it closed the connection before the end of the archive")
    client.ping()
