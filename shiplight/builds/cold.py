"""Store the time of cold builds: no cached layer, and only empty cache mounts.

A cold build is measured once for the same text, context and bases. Its time is kept in the journal,
with the namespace of the cache mounts that it filled.
"""

import hashlib
import json
from dataclasses import dataclass

from .. import engine
from ..dockerfile import Dockerfile, Sources
from ..engine import journal
from .bases import Base


@dataclass(frozen=True)
class Cold:
    """Seconds of one build with nothing cached; `when` it ended, in seconds since 1970."""

    seconds: float
    namespace: str
    when: float


@dataclass(frozen=True)
class Given:
    """The inputs of a build: its text as written and as read, its stage, bases and sources.

    `remarks` say what was changed in the text that is sent.
    """

    text: str
    read: Dockerfile
    stage: str | None
    bases: tuple[Base, ...]
    sources: Sources
    remarks: tuple[str, ...] = ()


def key(
    client, given: Given, build_args: dict[str, str] | None = None, platform: str | None = None
) -> str:
    """Return a digest of all inputs: it is equal for two builds that do the same work.

    File times do not count, as they do not for the engine; nor does the Dockerfile's name.
    """
    names = [name for base in given.bases for name in (base.used, base.building) if name]
    parts = {
        "text": given.text,
        "given": [given.stage, build_args or {}, platform],
        "bases": {name: engine.id_of(client, name) for name in names},
        "context": given.sources.context().digests(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def remember(client, key: str, tag: str, seconds: float, namespace: str | None) -> None:
    """Write the time of a build with nothing cached to the journal."""
    journal.write(
        "cold",
        with_caches=True,
        engine=engine.identity(client),
        key=key,
        tag=tag,
        seconds=round(seconds, 3),
        namespace=namespace or journal.cache_namespace(),
    )


def recall(client, key: str) -> Cold | None:
    """Return the newest time that is stored for this engine and key; None without one."""
    here, last = engine.identity(client), None
    for entry in journal.read("cold", with_caches=True):
        if (entry["engine"], entry["key"]) == (here, key):
            last = Cold(entry["seconds"], entry["namespace"], entry["when"])
    return last
