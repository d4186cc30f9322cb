"""Removing what this lab made, and nothing else; and saying what stays, and what would remove it.

What goes is ours by more than one sign. A container, network or volume has our label, and a mark
that is in the journal and that it has not inherited from an image. An image has the name and the Id
of the journal, and our label where we built it. A cache record is ours as `lineage` tells; on this
checkout's private engine, which nobody else uses, all of them are.

Of other labs (`--all`) there is no journal here: what goes then has a label, and a name or a mark,
that only something of that lab has, and nothing that was made from it.
"""

import contextlib
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from .. import files
from ..errors import EngineFailed
from ..setup import PROGRAM
from . import answers, describing, disk, endpoints, images, journal, lineage
from .containers import remove_container

IN_USE_SECONDS = 3  # how long a cache record of ours may still be in use, and is waited for
PERHAPS, USED = "it may belong to someone else", "in use by something else"
WHOLE_CACHE = "docker builder prune --all  # everyone's cache on this engine"


@dataclass(frozen=True)
class Left:
    """What stayed: why, its bytes (None where unknown), and the command that removes it."""

    what: str
    why: str
    bytes: int | None
    remove: str


@dataclass(frozen=True)
class Cleaned:
    """What was removed, what stayed, and the bytes that the engine's disk gained."""

    containers: int
    images: int
    networks: int
    volumes: int
    cache_records: int
    freed_bytes: int
    left: tuple[Left, ...] = ()

    def to_dict(self) -> dict:
        """Return what was done, as JSON holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Held:
    """What of this lab is on the engine, with the bytes that it alone has; and in its folder.

    `containers` counts networks and volumes too.
    """

    containers: int
    images: int
    cache_records: int
    engine_bytes: int
    file_bytes: int


def clean(client, *, every_lab: bool = False) -> Cleaned:
    """Remove everything of this lab (or of every lab) from the engine, and the lab's own files.

    What stays because something uses it stays in the journal too, for the next time.
    """
    began, before = time.time(), disk.Gauge(client)
    counts, left, kept = dict.fromkeys(_KINDS, 0), [], set()
    for kind in _KINDS:
        ours, perhaps = _made(client, kind, every_lab)
        for thing in ours:
            if _removed(thing):
                counts[kind] += 1
            else:
                kept.add(_labels_of(thing).get(journal.MARK))
                left.append(Left(thing.name, USED, None, f"{_KINDS[kind]} {thing.name}"))
        left += [Left(x.name, PERHAPS, None, f"{_KINDS[kind]} {x.name}") for x in perhaps]
    gone, named = _remove_images(client, every_lab)
    left += [_left_image(client, name, USED) for name in named]
    left += [_left_image(client, name, PERHAPS) for name in _images_in_doubt(client)]
    if is_own_engine(client):  # tests and others with a LAB_ID may work on it right now
        others = [name for name in _images_of_others(client) if name not in named]
        left += [
            _left_image(client, name, "of another lab", f"{PROGRAM} clean --all") for name in others
        ]
    records, stay, doubt = prune_cache(client)
    left += _left_cache(stay, doubt)
    _forget(client, began, left=[*stay, *doubt], kept={*named, *kept})
    left += _remove_files()
    return Cleaned(
        containers=counts["containers"],
        images=gone,
        networks=counts["networks"],
        volumes=counts["volumes"],
        cache_records=records,
        freed_bytes=before.gained(),
        left=tuple(left),
    )


def held(client) -> Held:
    """Count what `clean` would remove, without removing it."""
    ours = [_made(client, kind, False)[0] for kind in _KINDS]
    names = _images_by_journal(client)
    own, _ = _cache(client)
    folders = [journal.path(name) for name in journal.CACHES]
    return Held(
        containers=sum(map(len, ours)),
        images=len(names),
        cache_records=len(own),
        engine_bytes=lineage.bytes_of(own) + disk.bytes_of_images(client, names),
        file_bytes=sum(files.bytes_in(folder) for folder in folders if journal.is_cache(folder)),
    )


# --- containers, networks and volumes --------------------------------------------------------

_KINDS = {
    "containers": "docker rm -f -v",
    "networks": "docker network rm",
    "volumes": "docker volume rm",
}


def _made(client, kind: str, every_lab: bool) -> tuple[list, list]:
    """What of one kind is ours, and what only has our label."""
    how = {"all": True, "ignore_removed": True} if kind == "containers" else {}
    label = {"label": journal.label_of_made(every_lab=every_lab)}
    with answers.translated(f"listing {kind}"):
        found = getattr(client, kind).list(filters=label, **how)
    marks = {entry["mark"] for entry in journal.read("made") if "mark" in entry}
    lab, ours, perhaps = journal.lab_id(), [], []
    for thing in found:
        labels = _labels_of(thing)
        if _inherits(thing, labels):
            continue  # theirs
        mark, own = labels.get(journal.MARK), labels.get(journal.MADE) == lab
        is_ours = mark is not None and (mark in marks or not own)
        (ours if is_ours else perhaps).append(thing)
    return ours, perhaps


def _labels_of(thing) -> dict:
    labels = getattr(thing, "labels", None) or thing.attrs.get("Labels")
    return labels or {}


def _inherits(thing, labels: dict) -> bool:
    """Whether a container has its labels from its image, which somebody made from one of ours."""
    image = thing.attrs.get("Image")
    found = images.find_image(thing.client, image) if image else None
    known, signs = images.labels_of(found) if found else {}, (journal.MADE, journal.MARK)
    return journal.MADE in known and all(known.get(s) == labels.get(s) for s in signs)


def _removed(thing) -> bool:
    """Whether it could be removed: what something else uses stays."""
    try:
        with answers.translated(f"removing {thing.name}"):
            remove_container(thing) if hasattr(thing, "exec_run") else thing.remove()
    except EngineFailed:
        return False
    return True


# --- images ----------------------------------------------------------------------------------


def _remove_images(client, every_lab: bool) -> tuple[int, tuple[str, ...]]:
    """Remove our images, one name after the other, never by force; how many, and what stayed."""
    names = _images_by_journal(client) + (_images_of_others(client) if every_lab else [])
    removed = {name: images.remove_image(client, name) for name in dict.fromkeys(names)}
    return sum(removed.values()), tuple(name for name, gone in removed.items() if not gone)


def _images_by_journal(client) -> list[str]:
    """What this lab pulled or built, by name if that still names it, and what no longer has one."""
    here, lab, names, begun = describing.identity(client), journal.lab_id(), {}, set()
    for entry in journal.read():
        name = entry.get("name")
        if (
            name is None
            or entry.get("engine") != here
            or entry.get("lab", lab) != lab
            or _is_anothers(name)
        ):
            continue
        if entry["kind"] == "begun":
            begun.add(name)
        elif entry.get("engine_id"):
            begun.discard(name)
            found, signs = images.find_image(client, name), journal.labels(name)
            if found is None or found["Id"] != entry["engine_id"]:
                signs.pop(journal.NAME)
                name = entry["engine_id"]
                found = images.find_image(client, name)
                if found is None or found.get("RepoTags"):
                    continue
            if entry["kind"] != "build" or signs.items() <= images.labels_of(found).items():
                names[name] = True
    for name in begun:  # the process that built it was killed before it could write the Id
        found = images.find_image(client, name)
        if found and journal.labels(name).items() <= images.labels_of(found).items():
            names[name] = True
    return list(names)


def _is_anothers(name: str) -> bool:
    """Whether a name is in the namespace of another lab."""
    space, _, rest = name.removeprefix("localhost/").partition("/")
    owner, slash, _ = rest.partition("/")
    return space == "shiplight" and bool(slash) and owner not in (journal.lab_id(), "base")


def _images_of_others(client) -> list[str]:
    """Names of images of other labs, which the image itself has in its label."""
    names = []
    for name, labels in _labelled(client, journal.LABEL):
        lab = labels[journal.LABEL]
        spaces = f"shiplight/{lab}/", "shiplight/base/"
        if lab != journal.lab_id() and labels.get(journal.NAME) == name and name.startswith(spaces):
            names.append(name)
    return names


def _images_in_doubt(client) -> list[str]:
    """Names in this lab's namespace whose images have its label, and are not in its journal."""
    lab = journal.lab_id()
    found = [name for name, _ in _labelled(client, f"{journal.LABEL}={lab}")]
    known = set(_images_by_journal(client))
    return [name for name in found if name.startswith(f"shiplight/{lab}/") and name not in known]


def _labelled(client, label: str) -> list[tuple[str, dict]]:
    """Each name of each image with this label, and the image's labels."""
    with answers.translated("listing images"):
        found = client.api.images(filters={"label": label})
    return [
        (name.removeprefix("localhost/"), image.get("Labels") or {})
        for image in found
        for name in image.get("RepoTags") or []
    ]


def _left_image(client, name: str, why: str, remove: str = "") -> Left:
    found = images.find_image(client, name) or {}
    return Left(name, why, found.get("Size"), remove or f"docker rmi {name}")


# --- the build cache -------------------------------------------------------------------------


def prune_cache_of(client, names: Iterable[str], *, used: bool = False) -> int:
    """Prune the cache records that builds of these names made, and nothing used since; how many.

    With `used`, those too that later builds of these names have used.
    """
    began, wanted = time.time(), set(names)
    steps = lineage.of_builds(build for build in _builds(client) if build.get("name") in wanted)
    if not steps:
        return 0
    records = disk.cache_records(client)
    own, _ = lineage.ours(records, steps)
    mounts = lineage.mounts_of(records, steps, journal.cache_namespace())
    own += [mount for mount in mounts if mount not in own]
    unused = [record for record in own if used or record.uses < 2]
    left = _prune(client, unused) + [record for record in own if record not in unused]
    _forget(client, began, left=left, names=wanted)
    return len(own) - len(left)


def names_of_builds(client, app: str) -> list[str]:
    """Return the names under which this lab built an app on this engine, by the journal."""
    space = f"shiplight/{journal.lab_id()}/{app}:"
    named = [build.get("name", "") for build in _builds(client)]
    return [name for name in dict.fromkeys(named) if name.startswith(space)]


def prune_cache(client) -> tuple[int, list[disk.CacheRecord], list[disk.CacheRecord]]:
    """Prune this lab's cache records; how many went, which of ours stay, which are in doubt.

    Those of ours stay that the engine still uses, or that one of somebody else is based on.
    """
    if is_own_engine(client):
        gone = disk.prune_whole_cache(client)
        return gone, disk.cache_records(client), []
    ours, doubt = _cache(client)
    stay = _prune(client, ours)
    return len(ours) - len(stay), stay, doubt


def _prune(client, records: list[disk.CacheRecord]) -> list[disk.CacheRecord]:
    """Prune these cache records; which of them stay.

    Whose they are is not asked again: when ours are gone, others would seem to be ours.
    """
    deadline = time.monotonic() + IN_USE_SECONDS
    # A record that another one is based on goes only after that one: so, until nothing more goes,
    # and the newest first.
    while records:
        newest_first = sorted(records, key=lambda record: -record.created)
        stay = [one.id for one in newest_first if not disk.prune_cache_record(client, one.id)]
        if len(stay) == len(records):
            # An engine lets go of what a build used a moment after the build.
            if time.monotonic() > deadline or not any(record.in_use for record in records):
                break
            time.sleep(0.2)
        records = [record for record in disk.cache_records(client) if record.id in stay]
    return records


def is_own_engine(client) -> bool:
    """Return whether this is this checkout's private engine, and this lab the checkout's."""
    endpoint = getattr(client, "shiplight_endpoint", None)
    if journal.lab_id() != journal.checkout_id() or endpoint is None:
        return False
    if endpoint.url != f"unix://{endpoints.private_socket()}":
        return False
    with answers.translated("describing the engine"):
        return client.api.info().get("DockerRootDir") == str(endpoints.private_data())


def _cache(client) -> tuple[list[disk.CacheRecord], list[disk.CacheRecord]]:
    """The cache records that are ours, and those in doubt."""
    records = disk.cache_records(client)
    if is_own_engine(client):
        return records, []
    steps = lineage.of_builds(_builds(client))
    return lineage.ours(records, steps, mounts=f"shiplight-{journal.lab_id()}")


def _builds(client) -> list[dict]:
    """What the journal has of this lab's builds on this engine."""
    own = describing.identity(client), journal.lab_id()
    return [b for b in journal.read() if (b.get("engine"), b.get("lab")) == own]


def _left_cache(stay: list[disk.CacheRecord], doubt: list[disk.CacheRecord]) -> list[Left]:
    """What of the cache stays, by its reason."""
    in_use = [record for record in stay if record.in_use]
    needed = [record for record in stay if not record.in_use]
    return [
        Left(f"{len(records)} cache records", why, lineage.bytes_of(records), remove)
        for records, why, remove in [
            (in_use, "still in use", f"{PROGRAM} clean"),
            (needed, "others are based on them", WHOLE_CACHE),
            (doubt, PERHAPS, WHOLE_CACHE),
        ]
        if records
    ]


# --- the journal, and the lab's own files ----------------------------------------------------


def _forget(
    client,
    began: float,
    *,
    left: list[disk.CacheRecord],
    kept: Iterable[str] = (),
    names: set[str] | None = None,
) -> None:
    """Forget what is gone; what tells whose the rest is stays in the journal.

    `kept` are the names or Ids of images that stay, and the marks of what else does.
    Of a build stay the steps that made what is `left`: what else was made while the others ran is
    not ours. With `names`, only steps of builds of these names are forgotten.
    """
    here = describing.identity(client)
    elsewhere = any(entry.get("engine", here) != here for entry in journal.read())

    def rest_of(entry: dict) -> dict | None:
        if entry["when"] > round(began, 3) or entry.get("engine", here) != here:
            return entry
        if names is None and entry["kind"] == "made":  # it has no engine, and may be on another
            return entry if elsewhere or entry.get("mark") in kept else None
        if "ran" in entry and (names is None or entry.get("name") in names):
            ran = [
                ran
                for ran, step in zip(entry["ran"], lineage.of_builds([entry]), strict=True)
                if any(step.made(record) and step.fits(record) for record in left)
            ]
            entry = entry | {"ran": ran}
        stays = names is not None or entry.get("ran")
        return entry if stays or {entry.get("name"), entry.get("engine_id")} & {*kept} else None

    journal.revise(rest_of)


_WRITTEN = ("docs", "notebooks", "out", "recordings")  # folders that `record` and `run` write to
_WRITING_SECONDS = 10  # and each file in far less


def _remove_files() -> list[Left]:
    """Remove the lab's caches and downloads, where it made these folders; say which stay."""
    left = []
    journal.remove_workplaces()
    for name in journal.CACHES:
        folder = journal.path(name)
        if journal.is_cache(folder):
            if name != journal.WORK or {path.name for path in folder.iterdir()} == {journal.TAG}:
                shutil.rmtree(folder, ignore_errors=True)
        elif folder.exists():
            left.append(Left(str(folder), PERHAPS, files.bytes_in(folder), f"rm -r {folder}"))
    files.remove_parts(journal.path())
    files.remove_parts(journal.ROOT, seconds=_WRITING_SECONDS)
    for name in _WRITTEN:
        files.remove_parts(journal.ROOT / name, deep=True, seconds=_WRITING_SECONDS)
    with contextlib.suppress(OSError):  # the folder of a lab with an id of its own, when empty
        journal.path().rmdir()
    return left
