"""Whose lab this is, and what it made: labels, the folder `.lab/`, and the journal.

A lab is one checkout on one machine. Images that it makes carry the label `shiplight.lab=<id>`, but
an image or a container that somebody makes from one inherits that. So containers, networks and
volumes of ours carry `shiplight.made=<id>` instead, which no image has; and images are ours by
their namespace, or by name and Id as the journal has them.

Labs whose ids begin with what `LAB_CACHES` names share what only saves time: cache mounts, what is
known of layers and scans, and cold times. The workers of one test run are such labs.
"""

import hashlib
import json
import os
import platform
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import LabFolderFailed, UsageError
from ..setup import ROOT

try:
    import fcntl
except ImportError:  # Windows: there, what is written while somebody cleans may be lost
    fcntl = None

LABEL = "shiplight.lab"  # on images
MADE = "shiplight.made"  # on containers, networks and volumes
BASES = "shiplight.bases"  # on images: the kind of bases that they were built on
ROOM = 1 << 16  # bytes: more than one build writes


def checkout_id() -> str:
    """8 hex digits of host name and folder: which checkout on which machine this is."""
    return hashlib.sha256(f"{platform.node()}\0{ROOT}".encode()).hexdigest()[:8]


def lab_id() -> str:
    """The id of this lab: `LAB_ID` where it is set, else the checkout's."""
    return _id_in("LAB_ID") or checkout_id()


def shared_id() -> str:
    """The id under which this lab keeps its caches: its own, or the one that LAB_CACHES names."""
    given = _id_in("LAB_CACHES")
    return given if given and lab_id().startswith(given) else lab_id()


def _id_in(variable: str) -> str:
    given = os.environ.get(variable, "")
    if given and not re.fullmatch(r"[a-z0-9]{1,16}", given):
        raise UsageError(
            f"{variable} is {given!r}.", hint="use 1 to 16 lower-case letters and digits"
        )
    return given


def cache_namespace(name: str = "") -> str:
    """The namespace of this lab's cache mounts, or one inside it, where `./lab clean` finds it."""
    return f"shiplight-{shared_id()}" + (f"/{name}" if name else "")


def labels() -> dict[str, str]:
    """The labels of every image that this lab makes."""
    return {LABEL: lab_id()}


def made() -> dict[str, str]:
    """The labels of every container, network and volume that this lab makes."""
    return {MADE: lab_id()}


def label_of_made(*, every_lab: bool = False) -> str:
    """What an engine filters by to list what `made()` labels, of this lab or of every one."""
    return MADE if every_lab else f"{MADE}={lab_id()}"


def path(*parts: str) -> Path:
    """A path under `.lab/`, there or not. One lab, one folder."""
    base = ROOT / ".lab" if not os.environ.get("LAB_ID") else ROOT / ".lab" / "labs" / lab_id()
    return base.joinpath(*parts)


def shared(*parts: str) -> Path:
    """A path in the folder where this lab keeps its caches, there or not."""
    if shared_id() == lab_id():
        return path(*parts)
    return (ROOT / ".lab" / "labs" / shared_id()).joinpath(*parts)


def folder(*parts: str) -> Path:
    """A folder under `.lab/`, made where it is missing. Raises LabFolderFailed."""
    made = path(*parts)
    with writable():
        made.mkdir(parents=True, exist_ok=True)
    return made


def write(kind: str, *, with_caches: bool = False, **fields) -> None:
    """Append one line to the journal, or to that beside the caches; it is on disk on return."""
    line = json.dumps({"kind": kind, "when": round(time.time(), 3), **fields}, sort_keys=True)
    with writable():
        place = shared() if with_caches else folder()
        place.mkdir(parents=True, exist_ok=True)
    with writable(), _alone(place), open(place / "journal.jsonl", "ab+") as file:
        file.seek(-min(1, file.tell()), os.SEEK_END)
        begin = "\n" if file.read(1) not in (b"", b"\n") else ""  # the last write was cut short
        file.write(f"{begin}{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def writable() -> Iterator[None]:
    """Turn a disk that is full, or a folder of somebody else's, into an error of ours."""
    try:
        yield
    except OSError as error:
        raise LabFolderFailed(
            f"this lab's folder, {ROOT / '.lab'}, cannot be written: {error.strerror}.",
            hint="free some space or fix the permissions, then try again",
        ) from error


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Nobody else writes the journal meanwhile: two processes of one lab may build and clean."""
    if fcntl is None:
        yield
        return
    handle = os.open(place, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems lock nothing; writing works on them
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def ready() -> None:
    """Nothing, where what is about to be made can be journalled after. Raises LabFolderFailed."""
    with writable(), tempfile.TemporaryFile(dir=folder()) as file:
        file.write(bytes(ROOM))
        file.flush()


def read(kind: str | None = None, *, with_caches: bool = False) -> Iterator[dict]:
    """The journal's entries, oldest first, of one kind or of all. A torn last line is left out."""
    file = shared("journal.jsonl") if with_caches else path("journal.jsonl")
    if not file.exists():
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if kind is None or entry.get("kind") == kind:
            yield entry


def forget(
    engine: str, *, until: float, images: tuple[str, ...] = (), builds: bool = False
) -> None:
    """Drop the entries of one engine that were written before `until`: what they list is gone.

    `images` are the names and Ids of those that stay; `builds` says that cache records do.
    """

    def stays(entry: dict) -> bool:
        if builds and entry["kind"] == "build":
            return True
        return entry.get("name") in images or entry.get("engine_id") in images

    file = path("journal.jsonl")
    if not file.exists():
        return
    with writable(), _alone(folder()):
        left = [
            entry
            for entry in read()
            if entry.get("engine") != engine or entry["when"] > round(until, 3) or stays(entry)
        ]
        if left:
            kept = [json.dumps(entry, sort_keys=True) for entry in left]
            temporary = file.with_suffix(".new")
            temporary.write_text("\n".join(kept) + "\n", encoding="utf-8")
            os.replace(temporary, file)
        else:
            file.unlink(missing_ok=True)
