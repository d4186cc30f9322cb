"""Serve a session: BuildKit requests what it needs for a build over one connected socket.

The roles are reversed: on a connection that the client opened, BuildKit calls and the client
serves. `Session.serving(sock)` does that in a thread of its own, which ends with the block.
"""

import asyncio
import contextlib
import hashlib
import logging
import secrets
import socket
import threading
from collections.abc import Iterator

from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler, Status
from grpclib.events import _DispatchServerEvents
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.protocol import H2Protocol
from grpclib.server import Handler as ServerHandler
from h2.config import H2Configuration

from .errors import BuildKitError
from .services import Health
from .wire import Raw

logging.getLogger("grpclib").addHandler(logging.NullHandler())  # what fails is in `failure`

ENDS_WITHIN = 5  # seconds


class Session:
    """The services of one build. `failure` is the first error of one, in words for people.

    `shared_key` is equal for the same files in every build: BuildKit then keeps what it received
    and requests only what changed.
    """

    def __init__(self, services, *, shared_key: str = "", name: str = "python"):
        self.id = secrets.token_hex(13)[:25]
        self.shared_key, self.name = shared_key, name
        self.failure: BuildKitError | None = None
        self._methods = {}
        for service in (Health(), *services):
            self._methods |= service.methods()

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers that announce this session to a Docker engine."""
        prefix = "X-Docker-Expose-Session"
        return [
            (f"{prefix}-Uuid", self.id),
            (f"{prefix}-Name", self.name),
            (f"{prefix}-Sharedkey", self.shared_key),
            *((f"{prefix}-Grpc-Method", method) for method in self._methods),
        ]

    @contextlib.contextmanager
    def serving(self, sock: socket.socket) -> Iterator["Session"]:
        """Serve on `sock` until the block ends, then close it."""
        serving = _Serving(self, sock)
        thread = threading.Thread(target=serving.run, name="buildkit-session", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            serving.stop()
            thread.join(ENDS_WITHIN)

    def handlers(self) -> dict[str, Handler]:
        """Return the methods in grpclib's form; errors are reported to BuildKit and kept."""
        handlers = _Handlers()
        for path, method in self._methods.items():
            # A method of one request and one answer is, on the wire, a stream of one message.
            kind = Cardinality.STREAM_STREAM
            handlers[path] = Handler(self._guarded(method), kind, bytes, bytes)
        return handlers

    def _guarded(self, method):
        async def call(stream) -> None:
            try:
                await method(stream)
            except (GRPCError, StreamTerminatedError):
                raise
            except BuildKitError as error:
                self.failure = self.failure or error
                raise GRPCError(Status.ABORTED, error.message) from error
            except Exception as error:
                told = BuildKitError(f"this side of the session failed: {error!r}")
                self.failure = self.failure or told
                raise GRPCError(Status.INTERNAL, told.message) from error

        return call


class _Handlers(dict):
    """Handlers by path. Go cannot read grpclib's own answer for an unknown path."""

    def get(self, path, default=None):
        """Return the handler, or one that answers UNIMPLEMENTED."""
        return super().get(path, Handler(_unknown, Cardinality.STREAM_STREAM, bytes, bytes))


async def _unknown(stream) -> None:
    raise GRPCError(Status.UNIMPLEMENTED, "not offered by this client")


class _Serving:
    """One session on one socket: its loop, and the way to end it from another thread."""

    def __init__(self, session: Session, sock: socket.socket):
        self.session, self.sock = session, sock
        self.loop = asyncio.new_event_loop()
        self.over = asyncio.Event()

    def run(self) -> None:
        """Serve until `stop`. The body of the thread."""
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            self.loop.close()

    def stop(self) -> None:
        """End `run` from any thread; do nothing if it has ended."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.over.set)

    async def _serve(self) -> None:
        handlers = self.session.handlers()
        handler = ServerHandler(handlers, Raw(), None, _DispatchServerEvents())
        try:
            self.sock.setblocking(False)
            transport, _ = await self.loop.connect_accepted_socket(
                lambda: H2Protocol(handler, Configuration().__for_server__(), _h2()), self.sock
            )
        except OSError:  # the other side is gone already
            self.sock.close()
            return
        try:
            await self.over.wait()
        finally:
            transport.abort()
            handler.close()
            await handler.wait_closed()
            await asyncio.sleep(0)  # the transport closes its socket in the next turn


def _h2() -> H2Configuration:
    """grpclib's configuration, with latin-1 so that names may have any byte."""
    return H2Configuration(
        client_side=False,
        header_encoding="latin-1",
        validate_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_inbound_headers=False,
        normalize_outbound_headers=False,
    )


def shared_key(*parts: str) -> str:
    """Return a key that is equal for equal parts and reveals nothing of them."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
