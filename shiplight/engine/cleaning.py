"""Removing what this lab made, and nothing else.

Containers, networks and volumes are ours by their label. Images are ours by a name in our
namespaces, or by the name and Id that the journal has of them; a label is not enough, since images
and containers that somebody makes from ours inherit it. A cache record goes only where its
description is a step of ours and it was made while one of our builds ran; what is in doubt stays,
and is counted.
"""

import contextlib
import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..errors import EngineFailed
from . import answers, describing, disk, images, journal
from .containers import remove_container

IN_USE_SECONDS = 3  # how long a cache record of ours may still be in use, and is waited for
EARLIER_SECONDS = 0.05  # by how much a record can be older than the step that it is made for


@dataclass(frozen=True)
class Cleaned:
    """What was removed, and the bytes that the engine says it freed."""

    containers: int
    images: int
    networks: int
    volumes: int
    cache_records: int
    cache_in_doubt: int
    kept_in_use: tuple[str, ...]
    freed_bytes: int


def clean(client, *, every_lab: bool = False) -> Cleaned:
    """Remove everything of this lab (or of every lab) from the engine, and the lab's own files.

    What stays because something uses it stays in the journal too, for the next time.
    """
    began = time.time()
    chosen = {"label": journal.label_of_made(every_lab=every_lab)}
    before = disk.usage(client)
    with answers.translated("listing containers, networks and volumes"):
        containers = client.containers.list(all=True, filters=chosen, ignore_removed=True)
        networks = client.networks.list(filters=chosen)
        volumes = client.volumes.list(filters=chosen)
    in_use = tuple(_remove(containers, remove_container))
    in_use += tuple(_remove([*networks, *volumes], lambda thing: thing.remove()))
    removed, named = _images(client, every_lab)
    in_use += named
    records, doubt, stay = prune_cache(client)
    after = disk.usage(client)
    journal.forget(
        describing.identity(client), until=began, images=named, builds=any(r.in_use for r in stay)
    )
    _files()
    return Cleaned(
        containers=sum(container.name not in in_use for container in containers),
        images=removed,
        networks=sum(network.name not in in_use for network in networks),
        volumes=sum(volume.name not in in_use for volume in volumes),
        cache_records=records,
        cache_in_doubt=doubt + len(stay),
        kept_in_use=in_use,
        freed_bytes=max(0, before - after),
    )


def _remove(things: list, remove: Callable) -> Iterator[str]:
    """Remove containers, networks or volumes; the names of those that something else uses."""
    for thing in things:
        try:
            with answers.translated(f"removing {thing.name}"):
                remove(thing)
        except EngineFailed:
            yield thing.name


def _images(client, every_lab: bool) -> tuple[int, tuple[str, ...]]:
    """Remove our images, one name after the other, never by force; how many, and what stayed."""
    names = [*_by_name_space(client, every_lab), *_by_journal(client)]
    removed = {name: images.remove_image(client, name) for name in dict.fromkeys(names)}
    return sum(removed.values()), tuple(name for name, gone in removed.items() if not gone)


def _by_name_space(client, every_lab: bool) -> list[str]:
    """Names of labelled images in namespaces that only labs use."""
    label = journal.LABEL if every_lab else f"{journal.LABEL}={journal.lab_id()}"
    spaces = "shiplight/" if every_lab else (f"shiplight/{journal.lab_id()}/", "shiplight/base/")
    with answers.translated("listing images"):
        found = client.api.images(filters={"label": label})
    names = [name for image in found for name in image.get("RepoTags") or []]
    return [name for name in names if name.removeprefix("localhost/").startswith(spaces)]


def _by_journal(client) -> list[str]:
    """What this lab pulled or built, by name if that still names it, and what no longer has one."""
    names = []
    for entry in journal.read():
        if entry.get("engine") != describing.identity(client) or not entry.get("engine_id"):
            continue
        if images.id_of(client, entry["name"]) == entry["engine_id"]:
            names.append(entry["name"])
        elif images.is_nameless(client, entry["engine_id"]):
            names.append(entry["engine_id"])
    return names


def prune_cache(client) -> tuple[int, int, list[disk.CacheRecord]]:
    """Prune this lab's cache records one by one; how many went, how many are in doubt, which stay.

    Those of ours stay that the engine still uses, or that one in doubt is based on.
    """
    here = describing.identity(client)
    builds = [b for b in journal.read("build") if b.get("engine") == here and "window" in b]
    mounts = f'with id "shiplight-{journal.lab_id()}/'  # the namespace of our cache mounts
    removed, doubt, deadline = 0, 0, time.monotonic() + IN_USE_SECONDS
    # A record that another one is based on goes only after that one: so, until nothing more goes.
    while True:
        ours, doubt = [], 0
        for record in disk.cache_records(client):
            inside = [b for b in builds if _was_during(record.created, b["window"])]
            made_here = any(_is_step(record.description, s) for b in inside for s in b["steps"])
            if made_here or mounts in record.description:
                ours.append(record)
            elif inside:
                doubt += 1
        gone = [record for record in ours if disk.prune_cache_record(client, record.id)]
        removed += len(gone)
        if not gone:
            # An engine lets go of what a build used a moment after the build.
            if time.monotonic() > deadline or not any(record.in_use for record in ours):
                return removed, doubt, ours
            time.sleep(0.2)


def _was_during(created: float, window: list[float]) -> bool:
    return window[0] - EARLIER_SECONDS <= created <= window[1]


def _is_step(description: str, instruction: str) -> bool:
    """Whether an engine's description of a cache record is that of a step of ours.

    >>> _is_step("mount / from exec /bin/sh -c make -j --x", "RUN --mount=type=tmpfs make -j --x")
    True
    >>> _is_step("fileop target", "COPY . .")
    False
    """
    keyword, _, rest = instruction.partition(" ")
    seen = " ".join(description.split())
    if keyword != "RUN":
        return seen.endswith(f"] {instruction}")
    command = " ".join(itertools.dropwhile(lambda word: word.startswith("--"), rest.split()))
    return bool(command) and seen.endswith((f"/bin/sh -c {command}", f"RUN {command}"))


def _files() -> None:
    """The lab's own files: caches and downloads. `out/` and `.venv/` stay."""
    for name in ("layers", "downloads", "scanning", "trivy"):
        shutil.rmtree(journal.path(name), ignore_errors=True)
    with contextlib.suppress(OSError):  # the folder of a lab with an id of its own, when empty
        journal.path().rmdir()
