"""Serve a folder as the content store of a local cache (`--cache-to type=local,dest=FOLDER`).

BuildKit writes and reads blobs through containerd's content API (api/services/content/v1); the
folder is an OCI image layout, as `docker buildx` writes and reads it.
"""

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from .errors import BuildKitError
from .messages import (
    InfoRequest,
    InfoResponse,
    ReadContentRequest,
    ReadContentResponse,
    WriteContentRequest,
    WriteContentResponse,
)
from .services import metadata_of
from .threads import in_thread
from .wire import Frames, framed

STAT, WRITE, COMMIT = range(3)
PIECE = 1 << 20  # bytes in one message
MOST_INDEX = 4 << 20  # bytes of an index.json
NAME = "org.opencontainers.image.ref.name"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class LocalCache:
    """One folder, an OCI layout. Raises BuildKitError if it cannot be read or written."""

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)

    def path(self, digest: str) -> Path:
        """Return where a blob is, or would be. Raises GRPCError for anything but a digest."""
        if not _DIGEST.fullmatch(digest):
            raise GRPCError(Status.INVALID_ARGUMENT, f"{digest!r} is not a digest")
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def size(self, digest: str) -> int:
        """Return the size of a blob in bytes. Raises GRPCError if it is not here."""
        try:
            return self.path(digest).stat().st_size
        except OSError as error:
            raise GRPCError(Status.NOT_FOUND, f"content {digest}: not found") from error

    def digest(self, tag: str = "latest") -> str | None:
        """Return the digest in the index under `tag`; None if there is no cache yet."""
        for entry in self._index().get("manifests", []):
            if entry.get("annotations", {}).get(NAME) == tag:
                return entry["digest"]
        return None

    def _index(self) -> dict:
        file = self.folder / "index.json"
        try:
            with open(file, "rb") as opened:
                index = json.loads(opened.read(MOST_INDEX))
            if all(isinstance(entry["digest"], str) for entry in index.get("manifests", [])):
                return index
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise BuildKitError(f"{file} cannot be read: {error}.") from error
        raise BuildKitError(f"{file} is not an OCI index.")

    def put(self, descriptor: Mapping, tag: str = "latest") -> None:
        """Give a written manifest this name, replacing the one that had it."""
        annotations = {**descriptor.get("annotations", {}), NAME: tag}
        kept = [
            entry
            for entry in self._index().get("manifests", [])
            if entry.get("annotations", {}).get(NAME) != tag
        ]
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
        index["manifests"] = [*kept, {**descriptor, "annotations": annotations}]
        self._write("oci-layout", {"imageLayoutVersion": "1.0.0"})
        self._write("index.json", index)

    def _write(self, name: str, data: dict) -> None:
        with self.new_file() as file:
            file.write(json.dumps(data).encode())
            _place(file, self.folder / name)

    @contextlib.contextmanager
    def new_file(self):
        """Open a temporary file in the same folder; it is removed unless it was placed."""
        try:
            (self.folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=self.folder, prefix=".part-", delete=False
            ) as file:
                try:
                    yield file
                finally:
                    file.close()
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(file.name)
        except OSError as error:
            raise BuildKitError(
                f"the cache in {self.folder} cannot be written: {error.strerror}."
            ) from error


def _place(file, path: Path) -> None:
    """Give a complete file its name."""
    file.flush()
    os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    file.close()
    os.replace(file.name, path)


class Content:
    """Serves local caches by BuildKit's id for them: `local:` and the folder."""

    def __init__(self, caches: Mapping[str, LocalCache]):
        self._caches = dict(caches)

    def methods(self) -> dict:
        """Return the methods of this service."""
        prefix = "/containerd.services.content.v1.Content"
        return {
            f"{prefix}/Info": self.info,
            f"{prefix}/Read": self.read,
            f"{prefix}/Write": self.write,
        }

    def _cache(self, stream) -> LocalCache:
        name = metadata_of(stream).get("buildkit-attachable-store-id", [""])[0]
        if name not in self._caches:
            raise GRPCError(Status.NOT_FOUND, f"unknown store {name!r}")
        return self._caches[name]

    async def info(self, stream) -> None:
        """Send the size of a blob, or that it is not here."""
        asked = InfoRequest.FromString(await stream.recv_message())
        answer = InfoResponse()
        answer.info.digest = asked.digest
        answer.info.size = self._cache(stream).size(asked.digest)
        await stream.send_message(answer.SerializeToString())

    async def read(self, stream) -> None:
        """Send a blob, or the requested part of it."""
        asked = ReadContentRequest.FromString(await stream.recv_message())
        cache, frames = self._cache(stream), Frames(stream)
        left = cache.size(asked.digest) - asked.offset
        left, at = min(left, asked.size or left), asked.offset
        with open(cache.path(asked.digest), "rb") as file:
            file.seek(at)
            while left > 0 and (data := await in_thread(file.read, min(left, PIECE))):
                answer = ReadContentResponse(offset=at, data=data)
                await frames.send(framed(answer.SerializeToString()))
                at, left = at + len(data), left - len(data)

    async def write(self, stream) -> None:
        """Receive a blob; it gets its name once it is complete and its digest is right."""
        cache, frames, at, found = self._cache(stream), Frames(stream), 0, hashlib.sha256()
        with cache.new_file() as file:
            async for data in frames.received():
                said = WriteContentRequest.FromString(data)
                self._refuse_known(cache, said.expected)
                if said.data:
                    if said.offset != at:
                        raise GRPCError(Status.OUT_OF_RANGE, f"at {at}, not {said.offset}")
                    file.write(said.data)
                    found.update(said.data)
                    at += len(said.data)
                digest = f"sha256:{found.hexdigest()}"
                if said.action == COMMIT:
                    if (said.expected or digest) != digest or (said.total or at) != at:
                        raise GRPCError(Status.FAILED_PRECONDITION, f"what came is {digest}")
                    _place(file, cache.path(digest))
                answer = WriteContentResponse(action=said.action, offset=at, total=said.total)
                answer.digest = digest if at or said.action == COMMIT else ""
                await frames.send(framed(answer.SerializeToString()))

    @staticmethod
    def _refuse_known(cache: LocalCache, digest: str) -> None:
        if digest and cache.path(digest).exists():
            raise GRPCError(Status.ALREADY_EXISTS, f"content {digest}: already exists")
