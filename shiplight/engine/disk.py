"""What an engine keeps on its disk, and the records of its build cache, one by one."""

import json
import random
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..errors import EngineFailed
from . import answers, describing

# For how long an engine that cannot say what is on its disk is asked again, by what it says: a room
# full of labs waits for its turn; what was being counted is gone a moment later.
PATIENCE = {"already running": 120, "does not exist": 10}


@dataclass(frozen=True)
class CacheRecord:
    """One record of the build cache.

    `created`, and `used` (last; 0 where never or unknown), are in seconds since 1970 on the
    engine's clock; `uses` counts the builds that used it; `shared` says that an image has its
    bytes too.
    """

    id: str
    kind: str
    description: str
    size: int
    created: float
    in_use: bool
    parents: tuple[str, ...] = ()
    used: float = 0.0
    uses: int = 0
    shared: bool = False


def _disk(client) -> dict:
    """What is on the engine's disk. It counts for one at a time: whoever else asks has to wait.

    The containerd store gives up when somebody removes what it is about to count: asked again.
    """
    began = time.monotonic()
    while True:
        try:
            with answers.translated("asking what is on its disk"), answers.patience(client):
                asked = client.api._get(client.api._url("/system/df"), params={"verbose": "1"})
                return client.api._result(asked, json=True)
        except EngineFailed as error:
            patience = [most for words, most in PATIENCE.items() if words in error.message]
            if time.monotonic() - began > max(patience, default=0):
                raise
        time.sleep(random.uniform(0.05, 0.3))


class Gauge:
    """How full the engine's disk is when this is made, for what it has gained since."""

    def __init__(self, client):
        self._client = client
        self._before = self._read()

    def _read(self) -> tuple[int, int | None]:
        return usage(self._client), describing.describe(self._client).free_bytes

    def gained(self) -> int:
        """Return the bytes that were freed, 0 if the disk is fuller than before.

        By the engine's own account; no more than its disk has more free, where that can be seen.
        """
        (used, free), (used_now, free_now) = self._before, self._read()
        counted = max(0, used - used_now)
        if free is None or free_now is None:
            return counted
        return min(counted, max(0, free_now - free))


def bytes_of_images(client, names: Iterable[str]) -> int:
    """Return the bytes of these images, by name or Id, that no other image shares."""
    wanted = set(names)
    return sum(
        max(0, (image.get("Size") or 0) - max(0, image.get("SharedSize") or 0))
        for image in _items(_disk(client), "ImageUsage", "Images")
        if wanted.intersection([image.get("Id"), *(image.get("RepoTags") or [])])
    )


def usage(client) -> int:
    """Bytes of layers, containers, volumes and build cache, by the engine's own account."""
    said = _disk(client)
    layers = (said.get("ImageUsage") or {}).get("TotalSize", said.get("LayersSize"))
    volumes = [v.get("UsageData") or v for v in _items(said, "VolumeUsage", "Volumes")]
    cache = [r for r in _items(said, "BuildCacheUsage", "BuildCache") if not r.get("Shared")]
    return (
        (layers or 0)
        + sum(c.get("SizeRw") or 0 for c in _items(said, "ContainerUsage", "Containers"))
        + sum(max(0, v.get("Size") or 0) for v in volumes)
        + sum(r.get("Size") or 0 for r in cache)
    )


def cache_records(client) -> list[CacheRecord]:
    """Return the records of the build cache; none on Podman, which does not show them."""
    return [
        CacheRecord(
            id=record["ID"],
            kind=record.get("Type", ""),
            description=record.get("Description", ""),
            size=record.get("Size") or 0,
            created=_timestamp(record.get("CreatedAt", "")),
            in_use=bool(record.get("InUse")),
            parents=tuple(record.get("Parents") or filter(None, [record.get("Parent")])),
            used=_timestamp(record.get("LastUsedAt") or ""),
            uses=record.get("UsageCount") or 0,
            shared=bool(record.get("Shared")),
        )
        for record in _items(_disk(client), "BuildCacheUsage", "BuildCache")
    ]


def _items(said: dict, now: str, before: str) -> list[dict]:
    """The list under its name since API 1.52, or under that before, which goes from 1.53 on.

    Raises EngineFailed where it is counted and not given: nothing would be cleaned, and no word.
    """
    counted = said.get(now) or {}
    found = counted.get("Items") or said.get(before) or []
    if counted.get("TotalCount") and not found:
        raise EngineFailed(f"the engine counts {counted['TotalCount']} in {now} and lists none.")
    return found


def _timestamp(text: str) -> float:
    """Seconds since 1970 of an engine's time stamp, which has up to nine decimals."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$", text)
    if match is None:
        return 0.0
    whole = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    return whole.timestamp() + float(match[2] or 0)


def prune_whole_cache(client) -> int:
    """Remove the whole build cache that is not in use; how many records. For an engine of ours."""
    api = client.api
    with answers.translated("pruning the build cache"), answers.patience(client):
        response = api._post(api._url("/build/prune"), params={"all": "true"})
        return len(api._result(response, json=True).get("CachesDeleted") or [])


def prune_cache_record(client, record_id: str) -> bool:
    """Remove this one record of the build cache; whether it went (one that others need stays).

    Only ever by id: with a `label` filter engines delete the whole cache.
    """
    if not re.fullmatch(r"[a-z0-9]{10,64}", record_id):
        raise EngineFailed(f"{record_id!r} is not the ID of a cache record.")
    api = client.api
    filters = json.dumps({"id": {f"^{record_id}$": True}})
    with answers.translated("pruning a cache record"):
        response = api._post(api._url("/build/prune"), params={"filters": filters, "all": "true"})
        answer = api._result(response, json=True)
    return record_id in (answer.get("CachesDeleted") or [])
