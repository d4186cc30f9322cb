"""Call BuildKit's own Control API: Solve and Status on a connected socket, as buildx does.

It can export a cache and build for several platforms; Docker Engine's `/build` cannot.
"""

import asyncio
import contextlib
import queue
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from grpclib.client import Channel, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.exceptions import GRPCError, StreamTerminatedError

from .errors import BuildKitError
from .messages import SolveRequest, SolveResponse, StatusRequest
from .wire import Raw

Attributes = Mapping[str, str]
ENDS_WITHIN = 5  # seconds
LAST_NEWS = 10  # seconds for the status stream to end, once the build has


@dataclass(frozen=True)
class Solve:
    """One build: `frontend` reads attributes such as `filename`, `target` and `build-arg:NAME`.

    `exports` and `cache_exports` are pairs of a type and its attributes, as in `--output
    type=local,…` and `--cache-to type=registry,…`. `session` is the id of the session that serves
    the build's files.
    """

    session: str
    attributes: Attributes
    exports: Sequence[tuple[str, Attributes]] = ()
    cache_exports: Sequence[tuple[str, Attributes]] = ()
    frontend: str = "dockerfile.v0"
    ref: str = field(default_factory=lambda: secrets.token_hex(13)[:25])

    def request(self) -> SolveRequest:
        """Return the message, with the exporter in the fields of both old and new engines."""
        request = SolveRequest(
            Ref=self.ref,
            Session=self.session,
            Frontend=self.frontend,
            FrontendAttrs=self.attributes,
        )
        for kind, attributes in self.exports:
            request.Exporters.add(Type=kind, Attrs=attributes)
        if self.exports:
            kind, attributes = self.exports[0]
            request.ExporterDeprecated = kind
            request.ExporterAttrsDeprecated.update(attributes)
        for kind, attributes in self.cache_exports:
            request.Cache.Exports.add(Type=kind, Attrs=attributes)
        return request


@contextlib.contextmanager
def solving(sock: socket.socket, build: Solve) -> Iterator[Iterator[bytes | dict[str, str]]]:
    """Build: yield an iterator of encoded StatusResponses, and last the answers of the exporters.

    The iterator raises BuildKitError, with BuildKit's message, if the build fails. The build runs
    in a thread of its own; leaving the block ends the thread, the connection and the build.
    """
    heard: queue.SimpleQueue = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(_solve(sock, build, heard.put))

    def run() -> None:
        try:
            heard.put(loop.run_until_complete(task))
        except BaseException as error:
            failed = isinstance(error, BuildKitError)
            heard.put(error if failed else BuildKitError(f"the build was ended: {error!r}"))
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="buildkit-solve", daemon=True)
    thread.start()
    try:
        yield _news(heard)
    finally:
        with contextlib.suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(task.cancel)
        thread.join(ENDS_WITHIN)


def _news(heard: queue.SimpleQueue) -> Iterator[bytes | dict[str, str]]:
    while isinstance(news := heard.get(), bytes):
        yield news
    if isinstance(news, BuildKitError):
        raise news
    yield news


async def _solve(sock, build: Solve, hear) -> dict[str, str]:
    channel = SocketChannel(sock)
    status = asyncio.ensure_future(_status(channel, build.ref, hear))
    call = UnaryUnaryMethod(channel, "/moby.buildkit.v1.Control/Solve", bytes, bytes)
    try:
        answer = await call(build.request().SerializeToString())
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(status), LAST_NEWS)
        return dict(SolveResponse.FromString(answer).ExporterResponse)
    except GRPCError as error:
        with contextlib.suppress(asyncio.TimeoutError, Exception):
            await asyncio.wait_for(asyncio.shield(status), 1)
        raise BuildKitError(error.message or str(error.status)) from error
    except (StreamTerminatedError, OSError) as error:
        raise BuildKitError("the connection ended before the build did.") from error
    finally:
        status.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await status
        channel.close()


async def _status(channel, ref: str, hear) -> None:
    method = UnaryStreamMethod(channel, "/moby.buildkit.v1.Control/Status", bytes, bytes)
    async with method.open() as stream:
        await stream.send_message(StatusRequest(Ref=ref).SerializeToString(), end=True)
        async for message in stream:
            hear(message)


class SocketChannel(Channel):
    """A gRPC channel on a connected socket. Messages are bytes."""

    def __init__(self, sock: socket.socket):
        super().__init__(codec=Raw())
        self._sock = sock

    async def _create_connection(self):
        self._sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(self._protocol_factory, sock=self._sock)
        return protocol
