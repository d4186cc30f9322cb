"""What BuildKit may ask its client for while it builds, one class a service.

Each has `methods()`: gRPC path → function of a grpclib stream. A service that is not offered is
unknown to BuildKit: it builds without, or says what it lacks.
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
    """Says that the session is alive: BuildKit asks every few seconds."""

    def methods(self) -> dict:
        """Return the methods of this service."""
        return {"/grpc.health.v1.Health/Check": self.check}

    async def check(self, stream) -> None:
        """Answer one question."""
        await stream.recv_message()
        await stream.send_message(HealthCheckResponse(status=_SERVING).SerializeToString())


class FileSync:
    """Sends files: `sources` has them by the name that BuildKit asks for, `context` for one."""

    def __init__(self, sources: Mapping):
        self.sources = sources
        self.sent_bytes = 0

    def methods(self) -> dict:
        """Return the methods of this service."""
        return {"/moby.filesync.v1.FileSync/DiffCopy": self.diff_copy}

    async def diff_copy(self, stream) -> None:
        """Send what one request asks for of one source."""
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
    """Receives what is exported: into `folder`, or in pieces to the function `write`."""

    def __init__(self, folder: str | None = None, write: Callable[[bytes], object] | None = None):
        self.folder, self.write = folder, write
        self._receiver: Receiver | None = None
        self._wrote = False

    @property
    def done(self) -> bool:
        """Whether an export arrived whole."""
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
    """Gives out secrets by their id. They are held in memory, and told to BuildKit only."""

    def __init__(self, contents: Mapping[str, bytes]):
        self._contents = dict(contents)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._contents))})"

    def methods(self) -> dict:
        """Return the methods of this service."""
        return {"/moby.buildkit.secrets.v1.Secrets/GetSecret": self.get}

    async def get(self, stream) -> None:
        """Give one out. NOT_FOUND lets a step go on without a secret that it does not require."""
        request = GetSecretRequest.FromString(await stream.recv_message())
        if request.ID not in self._contents:
            raise GRPCError(Status.NOT_FOUND, f"secret {request.ID}: not found")
        answer = GetSecretResponse(data=self._contents[request.ID])
        await stream.send_message(answer.SerializeToString())


class Auth:
    """Gives out credentials: `find(host)` returns user and secret, or None for anonymous."""

    def __init__(self, find: Callable[[str], tuple[str, str] | None]):
        self._find = find

    def methods(self) -> dict:
        """Return the methods of this service."""
        return {"/moby.filesync.v1.Auth/Credentials": self.credentials}

    async def credentials(self, stream) -> None:
        """Answer for the host that is named, and for no other."""
        request = CredentialsRequest.FromString(await stream.recv_message())
        user, secret = await in_thread(self._find, request.Host) or ("", "")
        answer = CredentialsResponse(Username=user, Secret=secret)
        await stream.send_message(answer.SerializeToString())


class SSH:
    """Forwards to ssh agents: `agents` has the path of a socket by the id of a mount.

    Only listing keys and signing go through: a step of a build has no business with the rest.
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
        """Say whether there is an agent of that id."""
        self._path(CheckAgentRequest.FromString(await stream.recv_message()).ID)
        await stream.send_message(Empty().SerializeToString())

    async def forward(self, stream) -> None:
        """Carry one connection to an agent, until either side ends it."""
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
    """Hand requests on to the agent, one at a time; those that are not allowed fail."""
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
