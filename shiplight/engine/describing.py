"""Describing an engine from its own answers: which one it is, where, with which image store."""

import os
import platform
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import docker
import docker.auth
import docker.errors

from ..setting import Setting
from ..units import without_passwords
from .answers import translated
from .endpoints import Endpoint

OWN_ID = 23  # the first version of Docker's engine that keeps its Id with its data

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
    """Describe the engine that this client is connected to, from its own replies."""
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
        endpoint=without_passwords(endpoint.url if endpoint else client.api.base_url),
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
    """What tells this engine from others.

    Podman gives itself another Id whenever it is asked; before 23, all of a machine have one, made
    from /etc/docker/key.json.
    """
    root = info.get("DockerRootDir", "")
    if is_podman:
        return f"podman {info.get('Name', '')} {root}"
    if int(re.match(r"\d*", info.get("ServerVersion", ""))[0] or 0) < OWN_ID:
        return f"{info.get('ID', '')} {root}"
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


def data_folder(client: docker.DockerClient) -> Path | None:
    """Return where the engine keeps its data, images included, if it can be seen from here.

    None where its images are in the store of a containerd that it did not start itself.
    """
    with translated("asking where its data is"):
        info = client.api.info()
        root = _data(info, getattr(client, "shiplight_endpoint", None))
        if root and _store(info).startswith("containerd"):
            return root if _has_blobs(root, client.api.images(quiet=True)) else None
        return root


def _has_blobs(root: Path, ids: list[str]) -> bool:
    """Whether all of these images, and at least one, are in a containerd store below this folder.

    That such a store is there is not enough: the engine may have moved to another containerd.
    """
    blobs = root / "containerd" / "daemon" / "io.containerd.content.v1.content" / "blobs"
    return bool(ids) and all(os.path.exists(blobs / one.replace(":", "/")) for one in ids)


def _data(info: dict, endpoint: Endpoint | None) -> Path | None:
    root = info.get("DockerRootDir", "")
    local = endpoint is not None and endpoint.url.startswith("unix://")
    if not root or not local or info.get("Name") != platform.node() or not _is_data(Path(root)):
        return None
    return Path(root)


def _free_bytes(info: dict, endpoint: Endpoint | None) -> int | None:
    """Free bytes where the engine keeps its data, if that is a folder of this machine."""
    root = _data(info, endpoint)
    return shutil.disk_usage(root).free if root else None


def _is_data(root: Path) -> bool:
    """Whether an engine keeps its data in this folder, as it is seen from here.

    An engine in a mount namespace of its own has another folder at the same path.
    """
    try:
        return any(root.iterdir())
    except PermissionError:
        return True
    except OSError:
        return False


def described(client: docker.DockerClient) -> Engine:
    """Describe the engine once for each client; only its free bytes can change later."""
    if not hasattr(client, "shiplight_engine"):
        client.shiplight_engine = describe(client)
    return client.shiplight_engine


def identity(client: docker.DockerClient) -> str:
    """Return the engine's own id, which distinguishes engines that take turns at one endpoint."""
    return described(client).id


def is_local(client: docker.DockerClient) -> bool:
    """Return whether a port published on 127.0.0.1 can be reached from here.

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
    """Return `graph` or `containerd`: where this engine keeps its images."""
    return "containerd" if described(client).store.startswith("containerd") else "graph"


def setting(client: docker.DockerClient, *, bases: str = "none") -> Setting:
    """Return the setting of something that is measured on this engine now."""
    engine = described(client)
    return Setting(
        engine=str(engine),
        store=engine.store,
        platform=engine.platform,
        bases=bases,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
    )
