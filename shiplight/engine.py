"""The engine: finding it, describing it, and the few calls that everything else is made of.

What the SDK or the connection raises leaves this room as an error of ours, with what to do next.
"""

import json
import platform
import re
import shutil
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import docker
import docker.auth
import docker.errors
import requests
import urllib3

from . import journal
from .endpoints import Endpoint, endpoints
from .errors import EngineFailed, EngineNotReachable, ImageNotFound
from .setting import Setting

ANSWER_TIMEOUT = 60  # seconds between two signs of life, for calls that answer at once
REGISTRY_ANSWER = 15  # seconds until a registry that is only asked for a name has answered
REGISTRY_SILENCE = 120  # seconds without a word of a pull, after which nobody waits any longer
DISK_FULL = (
    "the engine's disk is full: `./lab clean` gives back what this lab used; what a build that\n"
    "       failed keeps in use goes after a restart of the engine, by `docker builder prune`"
)
NO_CACHE_EXPORT = (
    "this engine's graph driver exports inline caches only, and builds for one platform;\n"
    "       the containerd store can (from engine 23 the feature containerd-snapshotter)"
)
GONE = (
    requests.exceptions.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.Timeout,
    urllib3.exceptions.HTTPError,
    ConnectionError,
)


# --- finding one -----------------------------------------------------------------------------


def connect(*, timeout: float = ANSWER_TIMEOUT) -> docker.DockerClient:
    """The SDK's own client, connected to the first engine that answers.

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
            seen.append((endpoint, _why(error)))
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


def _why(error: Exception) -> str:
    """The reason inside the layers that requests and urllib3 wrap around an OSError."""
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


def _not_reachable(seen: list[tuple[Endpoint, str]]) -> EngineNotReachable:
    """The error that names the place most worth mending first."""
    missing = "no such socket"
    telling = [item for item in seen if item[1] != missing]
    endpoint, reason = (telling or seen)[0]
    message = f"no Docker engine answers at {endpoint.url} ({reason}; {endpoint.source})."
    others = [f"{e.url} ({why})" for e, why in telling[1:]]
    if others:
        message += "\n  Also tried: " + ", ".join(others)
    if reason == "permission denied":
        hint = (
            "your user may not use this socket: `sudo usermod -aG docker $USER` and log in again.\n"
            "       Members of the group `docker` can become root on this machine; rootless\n"
            "       Docker is the way without that right (README, “Docker rights”)"
        )
    elif endpoint.chosen:
        hint = f"start that engine, or unset {endpoint.source.split()[0]} to look elsewhere"
    else:
        hint = (
            "start Docker; as root on Debian or Ubuntu, `./lab engine start` starts a private one"
        )
    return EngineNotReachable(message, hint=hint)


# --- describing it ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Engine:
    """What answers: `free_bytes` is None where the engine's disk cannot be seen from here."""

    kind: str
    version: str
    api_version: str
    endpoint: str
    source: str
    store: str
    platform: str
    host: str
    rootless: bool
    cpus: int
    memory_bytes: int
    free_bytes: int | None
    id: str

    def __str__(self) -> str:
        rootless = " rootless" if self.rootless else ""
        return f"{self.kind} {self.version}{rootless}"


def describe(client: docker.DockerClient) -> Engine:
    """What this client is connected to, from the engine's own answers."""
    with translated("describing the engine"):
        version = client.api.version()
        info = client.api.info()
    endpoint = getattr(client, "shiplight_endpoint", None)
    components = {c.get("Name", "") for c in version.get("Components") or []}
    is_podman = "Podman Engine" in components
    rootless = any("rootless" in option for option in info.get("SecurityOptions") or [])
    return Engine(
        kind="Podman" if is_podman else "Docker",
        version=version.get("Version", "unknown"),
        api_version=version.get("ApiVersion", "unknown"),
        endpoint=endpoint.url if endpoint else client.api.base_url,
        source=endpoint.source if endpoint else "a client of yours",
        store=_store(info),
        platform=f"{version.get('Os', 'linux')}/{_architecture(version.get('Arch', ''))}",
        host=info.get("Name", ""),
        rootless=rootless,
        cpus=info.get("NCPU", 0),
        memory_bytes=info.get("MemTotal", 0),
        free_bytes=_free_bytes(info, endpoint),
        id=_id(info, is_podman),
    )


def _id(info: dict, is_podman: bool) -> str:
    """What tells this engine from others; Podman gives itself another Id whenever it is asked."""
    if is_podman:
        return f"podman {info.get('Name', '')} {info.get('DockerRootDir', '')}"
    return info.get("ID", "")


def _store(info: dict) -> str:
    """`containerd store` or `graph driver`, with the driver's name."""
    status = dict(row for row in info.get("DriverStatus") or [] if len(row) == 2)
    driver = info.get("Driver", "unknown")
    if status.get("driver-type", "").startswith("io.containerd.snapshotter"):
        return f"containerd store ({driver})"
    return f"graph driver {driver}"


def _architecture(name: str) -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(name, name or "unknown")


def _free_bytes(info: dict, endpoint: Endpoint | None) -> int | None:
    """Free bytes where the engine keeps its data, if that is a folder of this machine."""
    root = info.get("DockerRootDir", "")
    local = endpoint is not None and endpoint.url.startswith("unix://")
    if not root or not local or info.get("Name") != platform.node() or not Path(root).is_dir():
        return None
    return shutil.disk_usage(root).free


def described(client: docker.DockerClient) -> Engine:
    """The same, asked once a client: all of it but the free bytes stays as long as it answers."""
    if not hasattr(client, "shiplight_engine"):
        client.shiplight_engine = describe(client)
    return client.shiplight_engine


def identity(client: docker.DockerClient) -> str:
    """The engine's own id: it tells engines apart that take turns at one endpoint."""
    return described(client).id


def is_local(client: docker.DockerClient) -> bool:
    """Whether a port published on 127.0.0.1 can be reached from here.

    Not from a container that has the socket of the engine outside: its 127.0.0.1 is another.
    """
    if _in_container() and described(client).host != platform.node():
        return False
    endpoint = getattr(client, "shiplight_endpoint", None)
    url = endpoint.url if endpoint else str(client.api.base_url)
    return bool(re.match(r"unix:|npipe:|http\+docker:|\w+://(localhost|127\.|\[::1\])", url))


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()


def image_store(client: docker.DockerClient) -> str:
    """`graph` or `containerd`: where this engine keeps its images decides what it can tell."""
    return "containerd" if described(client).store.startswith("containerd") else "graph"


def setting(client: docker.DockerClient, *, bases: str = "none") -> Setting:
    """The setting of something that is measured on this engine now."""
    engine = described(client)
    return Setting(
        engine=str(engine),
        store=engine.store,
        platform=engine.platform,
        bases=bases,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
    )


# --- calls -----------------------------------------------------------------------------------


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the SDK and the connection raise inside into errors of ours."""
    try:
        yield
    except docker.errors.APIError as error:
        raise _engine_failed(doing, str(error.explanation or error)) from error
    except GONE as error:
        raise EngineFailed(
            f"the engine stopped answering while {doing} ({_why(error)}).",
            hint="`./lab doctor` says whether it still runs; then do this again: nothing is lost",
        ) from error


@contextmanager
def patience(client: docker.DockerClient) -> Iterator[None]:
    """For calls that take as long as the disk needs: the SDK's own limit does not hold in them."""
    before, client.api.timeout = client.api.timeout, None
    try:
        yield
    finally:
        client.api.timeout = before


def _engine_failed(doing: str, said: str) -> EngineFailed:
    """What the engine said, with the way out of the commonest: a full disk."""
    hint = "`./lab doctor` looks at the engine"
    if "no space left" in said.lower():
        hint = DISK_FULL
    return EngineFailed(f"the engine failed while {doing}: {said.strip()}", hint=hint)


def inspect_image(client: docker.DockerClient, name: str) -> dict:
    """The engine's own description of an image. Raises ImageNotFound."""
    try:
        with translated(f"inspecting {name}"):
            return _or_none(client.api.inspect_image, name) or _missing(name)
    except docker.errors.NullResource as error:
        raise ImageNotFound("an empty name names no image.", hint="give a name") from error


def _or_none(call, *arguments):
    try:
        return call(*arguments)
    except docker.errors.NotFound:
        return None


def _missing(name: str):
    raise ImageNotFound(
        f"there is no image {name} on this engine, and no archive at that path.",
        hint="`./lab build` lists what can be built; `docker images` lists what is there",
    )


def find_image(client: docker.DockerClient, name: str) -> dict | None:
    """The engine's own description of the image of that very name, or Id; None without one."""
    with translated(f"looking for {name}"):
        found = _or_none(client.api.inspect_image, name)
    return found if found is not None and _is_called(found, name) else None


def has_image(client: docker.DockerClient, name: str) -> bool:
    """Whether the engine has an image of that very name, or Id."""
    return find_image(client, name) is not None


def _is_called(found: dict, name: str) -> bool:
    """Whether an image that was found has this name: Podman finds `x/busybox` by `busybox` too."""
    names = [_plain(tag) for tag in found.get("RepoTags") or []]
    is_id = "@" in name or name in found["Id"]
    return is_id or not names or _plain(":".join(split_reference(name))) in names


def _plain(tag: str) -> str:
    """An image's name without the places that go without saying."""
    return re.sub(r"^(localhost/|(docker\.io/)?(library/)?)", "", tag)


def id_of(client: docker.DockerClient, name: str) -> str | None:
    """What the engine calls the Id of this image; None where there is none of that name."""
    with translated(f"looking for {name}"):
        found = _or_none(client.api.inspect_image, name)
    return found and found["Id"]


def is_nameless(client: docker.DockerClient, engine_id: str) -> bool:
    """Whether the image of this Id is here and has no name (any more)."""
    with translated(f"looking for {engine_id}"):
        found = _or_none(client.api.inspect_image, engine_id)
    return found is not None and not found.get("RepoTags")


def image_history(client: docker.DockerClient, name: str) -> list[dict]:
    """The engine's history of an image, newest first, as `docker history` shows it."""
    with translated(f"reading the history of {name}"):
        return client.api.history(name)


@contextmanager
def export_image(client: docker.DockerClient, name: str) -> Iterator[Iterator[bytes]]:
    """The chunks of `docker save NAME`; leaving the block, however, ends the export."""
    api = client.api
    with translated(f"exporting {name}"):
        response = api._get(api._url("/images/{0}/get", name), stream=True, timeout=None)
        try:
            api._raise_for_status(response)
            yield response.iter_content(1 << 20)
        finally:
            response.close()


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


def credentials(client: docker.DockerClient, host: str) -> tuple[str, str] | None:
    """Return user and secret that `docker login` kept for this registry; None for none.

    An empty user means that the secret is an identity token.
    """
    api, hub = client.api, ("registry-1.docker.io", "docker.io", "index.docker.io")
    if not host:
        return None
    registry = docker.auth.INDEX_NAME if host in hub else host
    for config in (api._auth_configs, docker.auth.load_config(credstore_env=api.credstore_env)):
        try:
            found = docker.auth.resolve_authconfig(config, registry, api.credstore_env) or {}
        except docker.errors.DockerException:
            continue
        said = {key.lower(): value for key, value in found.items()}
        if said.get("identitytoken"):
            return "", said["identitytoken"]
        if said.get("password"):
            return said.get("username") or "", said["password"]
    return None


@contextmanager
def post_build(client: docker.DockerClient, body, **parameters) -> Iterator[Iterator[dict]]:
    """The lines of the engine's answer to a build, built by BuildKit, which `version=2` asks for.

    `body` is a context as a tar, or None where a session has the files. Leaving the block closes
    the connection, which cancels a build that still runs. `timeout=None`, because the SDK's own is
    one between chunks.
    """
    api = client.api
    parameters = {
        key: value for key, value in parameters.items() if value not in (None, {}, [], "")
    }
    for key in ("buildargs", "labels", "cachefrom", "outputs"):
        if key in parameters:
            parameters[key] = json.dumps(parameters[key])
    with translated("building"):
        response = api._post(
            api._url("/build"),
            data=body,
            params={"version": "2", "rm": "1", **parameters},
            headers={"Content-Type": "application/x-tar"} if body is not None else {},
            stream=True,
            timeout=None,
        )
        try:
            api._raise_for_status(response)
            yield _json_lines(response)
        finally:
            response.close()


def _json_lines(response) -> Iterator[dict]:
    """One dict a line, as soon as the line has come."""
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
    """The error for bytes that no engine sends: something else answers at its endpoint."""
    return EngineFailed(
        f"what came is not an answer of an engine: {said[:80]!r}",
        hint="is there a proxy between here and the engine? `./lab doctor` shows the endpoint",
    )


def import_rootfs(client, chunks, repository: str, tag: str, *, changes: list[str]) -> str:
    """Make an image of one layer from the chunks of a root file system's tar; its engine id."""
    api = client.api
    with translated(f"importing {repository}:{tag}"):
        response = api._post(
            api._url("/images/create"),
            data=chunks,
            params={"fromSrc": "-", "repo": repository, "tag": tag, "changes": changes},
            headers={"Content-Type": "application/x-tar"},
            stream=True,
            timeout=None,
        )
        try:
            api._raise_for_status(response)
            for line in _json_lines(response):
                if "error" in line:
                    raise _engine_failed(f"importing {repository}:{tag}", line["error"])
        finally:
            response.close()
    return inspect_image(client, f"{repository}:{tag}")["Id"]


def pull(client: docker.DockerClient, reference: str, *, platform: str | None = None, tell=None):
    """Pull one image; `tell(line)` hears the engine's progress. Raises EngineFailed.

    Leaving it, however, ends the pull in the engine. The SDK's own would wait for ever where a
    registry takes the question and says nothing.
    """
    api, doing = client.api, f"pulling {reference}"
    name, tag = split_reference(reference)
    with translated(doing), _silence_told(doing, REGISTRY_SILENCE):
        response = api._post(
            api._url("/images/create"),
            params={"fromImage": name, "tag": tag, **({"platform": platform} if platform else {})},
            headers=_login(api, name),
            stream=True,
            timeout=REGISTRY_SILENCE,
        )
        try:
            api._raise_for_status(response)
            for line in _json_lines(response):
                if "error" in line:
                    raise _engine_failed(doing, line["error"])
                if tell is not None:
                    tell(line)
        finally:
            response.close()


def _login(api, name: str) -> dict[str, str]:
    """The header that carries what `docker login` kept for the registry of this name.

    Nothing, where what keeps it is gone (a helper that was uninstalled): most images are public.
    """
    registry, _ = docker.auth.resolve_repository_name(name)
    try:
        login = docker.auth.get_config_header(api, registry)
    except docker.errors.DockerException:
        return {}
    return {"X-Registry-Auth": login} if login else {}


@contextmanager
def _silence_told(doing: str, seconds: float) -> Iterator[None]:
    """Turn a wait that came to its end into an error that says what was waited for."""
    try:
        yield
    except GONE as error:
        if _why(error) != "no answer in time":
            raise
        said = f"the registry has said nothing for {seconds} s"
        raise _engine_failed(doing, said) from error


def split_reference(reference: str) -> tuple[str, str]:
    """Name and tag or digest of a reference, as the SDK wants them.

    >>> split_reference("golang"), split_reference("host:5000/a/b:c")
    (('golang', 'latest'), ('host:5000/a/b', 'c'))
    """
    if "@" in reference:
        name, _, digest = reference.partition("@")
        return name, digest
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "latest")


def registry_answers(client: docker.DockerClient, reference: str) -> str:
    """Empty where the registry of `reference` answers the engine, else the reason."""
    api, doing = client.api, f"asking a registry for {reference}"
    try:
        with translated(doing), _silence_told(doing, REGISTRY_ANSWER):
            url, login = api._url("/distribution/{0}/json", reference), _login(api, reference)
            api._raise_for_status(api._get(url, headers=login, timeout=REGISTRY_ANSWER))
    except EngineFailed as error:
        return (
            error.message.rpartition(": ")[2] if "no such host" in error.message else error.message
        )
    return ""


def remember_image(client: docker.DockerClient, name: str) -> None:
    """Journal that this lab brought the image of this name here."""
    engine_id = inspect_image(client, name)["Id"]
    journal.write("image", name=name, engine_id=engine_id, engine=identity(client))


def remove_image(client: docker.DockerClient, name: str) -> bool:
    """Remove one image by name or id, never by force; whether it is gone."""
    try:
        with translated(f"removing {name}"), patience(client):
            return _or_none(client.api.remove_image, name) is not None
    except EngineFailed:
        return False


def remove_container(container) -> None:
    """Remove a container and its nameless volumes, running or not, if it is still there."""
    doing = f"removing the container {container.name}"
    with translated(doing), suppress(docker.errors.NotFound), patience(container.client):
        container.remove(force=True, v=True)


def exit_code(container, *, seconds: float) -> int | None:
    """The exit code of a container as soon as it has ended; None where it still runs by then."""
    try:
        return container.wait(timeout=seconds)["StatusCode"]
    except GONE as error:
        if _why(error) != "no answer in time":
            raise
        return None


def wait_until_answers(url: str, *, seconds: float) -> docker.DockerClient | None:
    """A client for the engine at `url` as soon as it answers, or None when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return _client(Endpoint(url, "this lab's private engine"), ANSWER_TIMEOUT)
        except (docker.errors.DockerException, *GONE, OSError):
            time.sleep(0.2)
    return None
