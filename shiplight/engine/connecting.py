"""Finding an engine: the SDK's own client, connected to the first one that answers."""

import time
from pathlib import Path

import docker
import docker.auth
import docker.errors

from ..errors import EngineNotReachable
from ..setup import PROGRAM
from .answers import GONE, why
from .endpoints import Endpoint, endpoints

ANSWER_TIMEOUT = 60  # seconds between two signs of life, for calls that answer at once


# --- finding one -----------------------------------------------------------------------------


def connect(*, timeout: float = ANSWER_TIMEOUT) -> docker.DockerClient:
    """Return the SDK's own client, connected to the first engine that responds.

    Raises EngineNotReachable, which lists every place that was tried and why it did not do.
    """
    seen = []
    for endpoint in endpoints():
        socket = endpoint.url.removeprefix("unix://")
        try:
            if endpoint.url.startswith("unix://") and not Path(socket).exists():
                seen.append((endpoint, "no such socket"))
                continue
            return _client(endpoint, timeout)
        except (docker.errors.DockerException, *GONE, OSError, ValueError) as error:
            seen.append((endpoint, why(error)))
    raise _not_reachable(seen)


def _client(endpoint: Endpoint, timeout: float) -> docker.DockerClient:
    given = {"tls": endpoint.tls} if endpoint.tls else {}
    client = docker.DockerClient(
        base_url=endpoint.url,
        timeout=timeout,
        use_ssh_client=endpoint.url.startswith("ssh://"),
        **given,
    )
    if endpoint.url.startswith(("unix://", "npipe://")):
        client.api.trust_env = False  # no proxy stands before a socket; to look costs time
    client.shiplight_endpoint = endpoint
    return client


def _not_reachable(seen: list[tuple[Endpoint, str]]) -> EngineNotReachable:
    """Return the error, naming first the place that is most worth fixing."""
    missing = "no such socket"
    telling = [item for item in seen if item[1] != missing]
    endpoint, reason = (telling or seen)[0]
    message = f"cannot connect to a Docker engine at {endpoint.url} ({reason}; {endpoint.source})."
    others = [f"{e.url} ({reason})" for e, reason in telling[1:]]
    if others:
        message += "\n  Also tried: " + ", ".join(others)
    if reason == "permission denied":
        hint = (
            "your user may not use this socket: `sudo usermod -aG docker $USER`, then log in\n"
            "       again. Members of the group `docker` can become root on it; rootless\n"
            "       Docker avoids that: see docs/troubleshooting.md, “Docker rights”"
        )
    elif endpoint.chosen:
        hint = f"start that engine, or unset {endpoint.source.split()[0]} to look elsewhere"
    else:
        hint = (
            f"start Docker; as root on Debian or Ubuntu, `{PROGRAM} engine start` starts a "
            "private one"
        )
    return EngineNotReachable(message, hint=hint)


def wait_until_answers(url: str, *, seconds: float) -> docker.DockerClient | None:
    """Return a client for the engine at `url` once it responds, or None after a timeout."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return _client(Endpoint(url, "this lab's private engine"), ANSWER_TIMEOUT)
        except (docker.errors.DockerException, *GONE, OSError):
            time.sleep(0.2)
    return None
