"""What an engine answers: lines of JSON, and failures as errors of ours, with what to do next."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import docker.errors
import requests
import urllib3

from ..errors import EngineFailed, UsageError
from ..setup import PROGRAM

DISK_FULL = (
    f"the engine's disk is full: `{PROGRAM} clean` removes what this lab used. If a failed build\n"
    "       still keeps space, restart the engine, then run `docker builder prune`"
)
LAYER_LOST = (
    "the engine lost a layer, as when it is killed: remove the image with `docker rmi -f`, or\n"
    f"       all data of a private engine with `{PROGRAM} engine stop --remove-data`"
)
NO_CACHE_EXPORT = (
    "this engine's graph driver exports inline caches only, and builds for one platform;\n"
    "       the containerd store can (from engine 23 the feature containerd-snapshotter)"
)
OLD_FRONTEND = (
    "this engine's own Dockerfile frontend is too old: `COPY --link` and here-documents need\n"
    "       Docker 23, `COPY --exclude` 28.5; a first line `# syntax=docker/dockerfile:1` gets\n"
    "       a newer frontend"
)
GONE = (
    requests.exceptions.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.Timeout,
    urllib3.exceptions.HTTPError,
    ConnectionError,
)


def why(error: Exception) -> str:
    """Return the reason inside the layers that requests and urllib3 wrap around an OSError."""
    text = str(error)
    for pattern, reason in [
        (r"Permission ?denied", "permission denied"),
        (r"Connection ?refused|ConnectionRefused", "nothing listens there"),
        (r"[Tt]imed? ?out", "no answer in time"),
        (r"No such file", "no such socket"),
    ]:
        if re.search(pattern, text):
            return reason
    return text.strip().splitlines()[0][:200] if text.strip() else type(error).__name__


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the SDK and the connection raise inside into errors of ours."""
    try:
        yield
    except docker.errors.APIError as error:
        raise engine_failed(doing, str(error.explanation or error)) from error
    except docker.errors.InvalidRepository as error:
        raise EngineFailed(
            f"{doing}: {error}", hint="use a name that `docker pull` accepts"
        ) from error
    except GONE as error:
        raise EngineFailed(
            f"the engine stopped answering while {doing} ({why(error)}).",
            hint=f"check with `{PROGRAM} doctor` whether it still runs, then try again: "
            "nothing is lost",
        ) from error


@contextmanager
def patience(client: docker.DockerClient) -> Iterator[None]:
    """For calls that take as long as the disk needs: the SDK's own limit does not hold in them."""
    before, client.api.timeout = client.api.timeout, None
    try:
        yield
    finally:
        client.api.timeout = before


def engine_failed(doing: str, said: str) -> EngineFailed | UsageError:
    """Return what the engine said, with the way out of the commonest: a full disk.

    That an image is empty is no failure of the engine's: UsageError.
    """
    if "empty export" in said:
        why = f"{doing}: the image has no layers, and this engine exports none without."
        return UsageError(why, hint="put something into its last stage, by COPY or RUN")
    hint = f"`{PROGRAM} doctor` checks the engine"
    if "no space left" in said.lower():
        hint = DISK_FULL
    elif re.search(r"stat \S+/(?:overlay2|fuse-overlayfs|vfs)/\S+: no such file", said):
        hint = LAYER_LOST
    said = said.strip()
    return EngineFailed(f"the engine failed while {doing}: {said}", said=said, hint=hint)


def or_none(call, *arguments):
    """Return the answer of a call; None if the engine knows nothing of that name."""
    try:
        return call(*arguments)
    except docker.errors.NotFound:
        return None


def json_lines(response) -> Iterator[dict]:
    """Yield one dict for each line, as soon as the line has come."""
    rest = b""
    for chunk in response.iter_content(chunk_size=None):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (_json_line(line) for line in lines if line.strip())
    if rest.strip():
        yield _json_line(rest)


def _json_line(line: bytes) -> dict:
    try:
        read = json.loads(line)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise not_an_answer(line)
    return read


def not_an_answer(said: bytes) -> EngineFailed:
    """Return the error for bytes that no engine sends: something else is at its endpoint."""
    return EngineFailed(
        f"the reply did not come from a Docker engine: {said[:80]!r}",
        hint=f"is there a proxy between here and the engine? `{PROGRAM} doctor` shows the endpoint",
    )
