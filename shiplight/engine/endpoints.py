"""Where an engine may answer: what the environment or the docker CLI names, and known sockets."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import docker.errors
from docker.context import ContextAPI
from docker.utils import kwargs_from_env

from ..errors import EngineNotReachable
from . import checkout, journal


@dataclass(frozen=True)
class Endpoint:
    """A place where an engine may answer. `chosen` says that a person named it."""

    url: str
    source: str
    tls: object = None
    chosen: bool = False


RUN = Path("/run/shiplight")  # one folder for the socket of each private engine


@dataclass(frozen=True)
class Place:
    """Where the private engine of one checkout has what is its own."""

    id: str

    @property
    def run(self) -> Path:
        """The folder of its socket, its process id and its log."""
        return RUN / self.id

    @property
    def socket(self) -> Path:
        """The socket that it listens on, once `./lab engine start` has started it."""
        return self.run / "docker.sock"

    @property
    def data(self) -> Path:
        """Where it keeps its images, containers and cache."""
        return checkout.ENGINES / self.id

    @property
    def bridge(self) -> str:
        """The name of its network device."""
        return f"sl-{self.id}"


def own_place() -> Place:
    """Return where this checkout's private engine has what is its own."""
    return Place(journal.checkout_id())


def private_socket() -> Path:
    """Return where this checkout's private engine answers, once it has been started."""
    return own_place().socket


def private_data() -> Path:
    """Return where that engine keeps its images, containers and cache."""
    return own_place().data


def endpoints() -> list[Endpoint]:
    """Where to look, in order: as the docker CLI does, then well-known sockets, then our own."""
    if os.environ.get("DOCKER_HOST"):
        try:
            given = kwargs_from_env()
        except docker.errors.TLSParameterError as error:
            raise EngineNotReachable(
                f"DOCKER_HOST requires TLS, but its certificates cannot be used: {error}",
                hint="DOCKER_CERT_PATH names their folder; unset DOCKER_TLS_VERIFY to use no TLS",
            ) from error
        return [Endpoint(os.environ["DOCKER_HOST"], "DOCKER_HOST", given.get("tls"), True)]
    context = _context()
    if context is not None and context.chosen:
        return [context]
    found = [context] if context is not None else []
    if sys.platform == "win32":
        return [*found, Endpoint("npipe:////./pipe/docker_engine", "the default pipe")]
    found += [Endpoint(f"unix://{path}", name) for name, path in well_known_sockets()]
    return [*found, Endpoint(f"unix://{private_socket()}", "this lab's private engine")]


def _context() -> Endpoint | None:
    """The endpoint of the CLI's context, or None where it is the default one."""
    asked = os.environ.get("DOCKER_CONTEXT")
    try:
        context = ContextAPI.get_context(asked) if asked else ContextAPI.get_current_context()
    except (docker.errors.DockerException, OSError, ValueError, KeyError) as error:
        raise EngineNotReachable(
            f"the docker context {asked or 'in ~/.docker/config.json'} cannot be read ({error}).",
            hint="`docker context ls` shows the contexts; unset DOCKER_CONTEXT to use the default",
        ) from error
    if context is None:
        raise EngineNotReachable(
            f"there is no Docker context named {asked or 'in ~/.docker/config.json'}.",
            hint="`docker context ls` shows the contexts; unset DOCKER_CONTEXT to use the default",
        )
    if context.Name == "default":
        return None
    source = f"docker context {context.Name}"
    return Endpoint(context.Host, source, context.TLSConfig, chosen=bool(asked))


def well_known_sockets() -> list[tuple[str, Path]]:
    """Sockets of the engines that people have, by the name of what puts them there."""
    home = Path.home()
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    return [
        ("the default socket", Path("/var/run/docker.sock")),
        ("rootless Docker", runtime / "docker.sock"),
        ("rootless Docker", home / ".docker/run/docker.sock"),
        ("Docker Desktop", home / ".docker/desktop/docker.sock"),
        ("Colima", home / ".colima/default/docker.sock"),
        ("OrbStack", home / ".orbstack/run/docker.sock"),
        ("Rancher Desktop", home / ".rd/docker.sock"),
        ("rootless Podman", runtime / "podman/podman.sock"),
        ("Podman", Path("/run/podman/podman.sock")),
    ]
