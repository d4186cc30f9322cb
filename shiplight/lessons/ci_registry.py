"""The registry of lesson 12, a container on the engine; and a machine that starts with nothing.

Its port is on the engine's own loopback, since engines use a registry there without TLS, and
nobody else reaches it.
"""

from dataclasses import dataclass, field

from .. import engine, recordings
from ..builds import provide
from ..engine import cleaning, journal
from ..errors import EngineFailed
from ..setting import Kept, Setting

PORT, LOOPBACK = "5000/tcp", "127.0.0.1"


@dataclass(frozen=True)
class Registry(Kept):
    """A running registry: its `host`, with the port, as the engine sees it."""

    host: str
    setting: Setting | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"Registry {self.host}"


@recordings.replayed(Registry)
def start_registry(client, image: str) -> Registry:
    """Start an empty registry in a container of `image`; one that ran before is removed.

    Raises EngineFailed where it does not start or the engine takes no registry without TLS, and
    what getting its image raises.
    """
    if engine.described(client).kind == "Podman":
        raise EngineFailed(
            "Podman uses a registry without TLS only where its configuration lists it.",
            hint="set SHIPLIGHT_MODE=recorded and restart the kernel: that replays the lesson",
        )
    stop_registry(client)
    [base] = provide(client, [image])
    with engine.translated("starting the registry"):
        container = client.containers.create(
            base.used, name=_name(), labels=journal.made(), ports={PORT: (LOOPBACK, None)}
        )
        try:
            container.start()
            host = _address(container)
        except BaseException:
            engine.remove_container(container)
            raise
    return Registry(host, engine.setting(client, bases=base.kind))


@recordings.replayed()
def stop_registry(client) -> bool:
    """Stop the registry and remove it with all that it has; whether there was one."""
    wanted = {"name": f"^/?{_name()}$", "label": journal.label_of_made()}
    with engine.translated("looking for the registry"):
        found = client.containers.list(all=True, filters=wanted)
    for container in found:
        engine.remove_container(container)
    return bool(found)


@recordings.replayed()
def new_machine(client, app: str) -> dict[str, int]:
    """Remove this lab's images of an app, and the build cache that their builds made.

    What other builds made or used stays, and what a build took from the cache in a registry. So for
    this app the engine is then as a machine that CI has just started, with its base images.
    Returns how many images and cache records went.
    """
    names = cleaning.names_of_builds(client, app)
    images = sum(engine.remove_image(client, name) for name in names)
    records = 0
    while gone := cleaning.prune_cache_of(client, names, used=True):
        records += gone
    return {"images": images, "cache records": records}


def _name() -> str:
    return f"shiplight-{journal.lab_id()}-registry"


def _address(container) -> str:
    """Return where it listens. Raises EngineFailed with its last lines if it does not."""
    engine.wait_until_listening(container, "the registry", hint="run the cell again")
    [bound] = container.ports[PORT]
    return f"{bound['HostIp']}:{bound['HostPort']}"
