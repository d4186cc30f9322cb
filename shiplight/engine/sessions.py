"""What a BuildKit session needs of the engine: a connection of its own."""

import urllib.parse

import docker
import requests

from .answers import translated


def open_connection(client: docker.DockerClient):
    """Return a new connection of the SDK's own to this engine: `sendall`, `recv`, `close`.

    A plain socket, or what the SDK has in its place: TLS, a Windows named pipe, ssh.
    """
    api = client.api
    url = api._url("/session")
    with translated("connecting to it"):
        adapter, asked = api.get_adapter(url), requests.Request("POST", url).prepare()
        try:
            pool = adapter.get_connection_with_tls_context(asked, api.verify, {}, api.cert)
            connection = pool._new_conn()
            connection.connect()
        except OSError as error:
            raise requests.exceptions.ConnectionError(str(error)) from error
    sock = connection.sock
    return _Process(sock) if hasattr(sock, "proc") else sock


class _Process:
    """The SDK's ssh command as a connection: `recv` returns what is there, as a socket's does."""

    def __init__(self, sock):
        self._sock = sock
        self.sendall, self.close = sock.sendall, sock.close

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes, empty at the end."""
        return self._sock.proc.stdout.read1(size)


def session_path(client: docker.DockerClient, name: str) -> str:
    """Return the path of a call of the engine's API, with its version, as HTTP has it."""
    return urllib.parse.urlsplit(client.api._url(name)).path
