"""The services that BuildKit may call while it builds, one class each.

Each has `methods()`: gRPC path → function of a grpclib stream. If a service is not offered,
BuildKit builds without it, or reports that it is missing.
"""

import asyncio
from collections.abc import Callable, Mapping

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from .errors import BuildKitError
from .filesync import Receiver, Sender, receive_file, wanted_by
from .messages import (
    BytesMessage,
    CheckAgentRequest,
    CredentialsRequest,
    CredentialsResponse,
    Empty,
    GetSecretRequest,
    GetSecretResponse,
    HealthCheckResponse,
)
from .threads import in_thread
from .wire import Frames, framed

_SERVING = 1


class Health:
    """Reports that the session is alive; BuildKit asks every few seconds."""

    def methods(self) -> dict:
        """Return the methods of this service."""
        return {"/grpc.health.v1.Health/Check": self.check}

    async def check(self, stream) -> None:
        """Answer one question."""
        await stream.recv_message()
        await stream.send_message(HealthCheckResponse(status=_SERVING).SerializeToString())


class FileSync:
    """Sends files: `sources` has them by BuildKit's names, such as `context`."""

    def __init__(self, sources: Mapping):
        self.sources = sources
        self.sent_bytes = 0

    def methods(self) -> dict:
        """Return the methods of this service."""
        return {"/moby.filesync.v1.FileSync/DiffCopy": self.diff_copy}

    async def diff_copy(self, stream) -> None:
        """Send the requested files of one source."""
        metadata = metadata_of(stream)
        name = metadata.get("dir-name", [""])[0]
        if name not in self.sources:
            raise GRPCError(Status.NOT_FOUND, f"no access allowed to dir {name!r}")
        sender = Sender(self.sources[name], Frames(stream))
        try:
            await sender.run(wanted_by(metadata))
        finally:
            self.sent_bytes += sender.sent_bytes


class FileSend:
    """Receives an export: into `folder`, or in pieces with the function `write`."""

    def __init__(self, folder: str | None = None, write: Callable[[bytes], object] | None = None):
        self.folder, self.write = folder, write
        self._receiver: Receiver | None = None
        self._wrote = False

    @property
    def done(self) -> bool:
        """Whether an export is complete."""
        return self._wrote or (self._receiver is not None and self._receiver.finished)

    def methods(self) -> dict:
        """Return the methods of this service."""
        return {"/moby.filesync.v1.FileSend/DiffCopy": self.diff_copy}

    async def diff_copy(self, stream) -> None:
        """Receive one export."""
        if self.write is not None:
            await receive_file(Frames(stream), self.write)
            self._wrote = True
        else:
            self._receiver = Receiver(self.folder, Frames(stream))
            await self._receiver.run()


class Secrets:
    """Returns secrets by their id. They are kept in memory and sent only to BuildKit."""

    def __init__(self, contents: Mapping[str, bytes]):
        self._contents = dict(contents)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._contents))})"

    def methods(self) -> dict:
        """Return the methods of this service."""
        return {"/moby.buildkit.secrets.v1.Secrets/GetSecret": self.get}

    async def get(self, stream) -> None:
        """Send one secret. NOT_FOUND lets a step continue without an optional secret."""
        request = GetSecretRequest.FromString(await stream.recv_message())
        if request.ID not in self._contents:
            raise GRPCError(Status.NOT_FOUND, f"secret {request.ID}: not found")
        answer = GetSecretResponse(data=self._contents[request.ID])
        await stream.send_message(answer.SerializeToString())


class Auth:
    """Returns credentials: `find(host)` gives user and secret, or None for anonymous."""

    def __init__(self, find: Callable[[str], tuple[str, str] | None]):
        self._find = find

    def methods(self) -> dict:
        """Return the methods of this service."""
        return {"/moby.filesync.v1.Auth/Credentials": self.credentials}

    async def credentials(self, stream) -> None:
        """Return credentials for the requested host only."""
        request = CredentialsRequest.FromString(await stream.recv_message())
        user, secret = await in_thread(self._find, request.Host) or ("", "")
        answer = CredentialsResponse(Username=user, Secret=secret)
        await stream.send_message(answer.SerializeToString())


class SSH:
    """Forwards to ssh agents: `agents` has the path of a socket by the id of a mount.

    Only listing keys and signing are allowed; a build step needs nothing else.
    """

    def __init__(self, agents: Mapping[str, str]):
        self._agents = dict(agents)

    def methods(self) -> dict:
        """Return the methods of this service."""
        return {
            "/moby.sshforward.v1.SSH/CheckAgent": self.check,
            "/moby.sshforward.v1.SSH/ForwardAgent": self.forward,
        }

    def _path(self, agent: str) -> str:
        if (agent or "default") not in self._agents:
            raise GRPCError(Status.NOT_FOUND, f"unset ssh forward key {agent or 'default'}")
        return self._agents[agent or "default"]

    async def check(self, stream) -> None:
        """Report whether there is an agent with this id."""
        self._path(CheckAgentRequest.FromString(await stream.recv_message()).ID)
        await stream.send_message(Empty().SerializeToString())

    async def forward(self, stream) -> None:
        """Forward one connection to an agent until either side closes it."""
        path = self._path(metadata_of(stream).get("buildkit.ssh.id", [""])[0])
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as problem:
            raise BuildKitError(f"the ssh agent at {path}: {problem.strerror}.") from problem
        frames = Frames(stream)
        ways = [
            asyncio.ensure_future(_to_agent(frames, writer)),
            asyncio.ensure_future(_from_agent(reader, frames)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.close()
            await asyncio.gather(*ways, return_exceptions=True)


_ALLOWED = {1, 11, 13}  # list the keys (of either version of the protocol), sign
_REFUSED = b"\0\0\0\1\5"  # SSH_AGENT_FAILURE


async def _to_agent(frames: Frames, writer) -> None:
    """Forward requests to the agent, one at a time; those that are not allowed fail."""
    waiting = bytearray()
    async for data in frames.received():
        waiting += BytesMessage.FromString(data).data
        while len(waiting) >= 5:
            size = 4 + int.from_bytes(waiting[:4], "big")
            if not 5 <= size <= 1 << 20:
                raise BuildKitError("a step sent its ssh agent something that is not a request")
            if len(waiting) < size:
                break
            request = bytes(waiting[:size])
            del waiting[:size]
            if request[4] in _ALLOWED:
                writer.write(request)
                await writer.drain()
            else:
                await frames.send(framed(BytesMessage(data=_REFUSED).SerializeToString()))


async def _from_agent(reader, frames: Frames) -> None:
    while data := await reader.read(1 << 15):
        await frames.send(framed(BytesMessage(data=data).SerializeToString()))


def metadata_of(stream) -> dict[str, list[str]]:
    """Return a request's metadata, its bytes read as UTF-8."""
    found: dict[str, list[str]] = {}
    for key, value in stream.metadata.items():
        if isinstance(value, str):
            value = value.encode("latin-1").decode("utf-8", "surrogateescape")
            found.setdefault(key, []).append(value)
    return found
