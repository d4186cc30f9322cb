"""Whose lab this is, and what it made: labels, the folder `.lab/`, and the journal.

A lab is one checkout on one machine. Images that it makes carry the label `shiplight.lab=<id>`, but
an image or a container that somebody makes from one inherits that. So containers, networks and
volumes of ours carry `shiplight.made=<id>` instead, which no image has; and images are ours by
their name space, or by name and Id as the journal has them.
"""

import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import UsageError

LABEL = "shiplight.lab"  # on images
MADE = "shiplight.made"  # on containers, networks and volumes
BASES = "shiplight.bases"  # on images: the kind of bases that they were built on
ROOT = Path(__file__).resolve().parents[1]


def checkout_id() -> str:
    """8 hex digits of host name and folder: which checkout on which machine this is."""
    return hashlib.sha256(f"{platform.node()}\0{ROOT}".encode()).hexdigest()[:8]


def lab_id() -> str:
    """The id of this lab: `LAB_ID` where it is set, else the checkout's."""
    given = os.environ.get("LAB_ID", "")
    if given:
        if not re.fullmatch(r"[a-z0-9]{1,16}", given):
            raise UsageError(
                f"LAB_ID is {given!r}.", hint="use 1 to 16 lower-case letters and digits"
            )
        return given
    return checkout_id()


def labels() -> dict[str, str]:
    """The labels of every image that this lab makes."""
    return {LABEL: lab_id()}


def made() -> dict[str, str]:
    """The labels of every container, network and volume that this lab makes."""
    return {MADE: lab_id()}


def folder(*parts: str) -> Path:
    """A folder under `.lab/`, made where it is missing. One lab, one folder."""
    base = ROOT / ".lab" if not os.environ.get("LAB_ID") else ROOT / ".lab" / "labs" / lab_id()
    path = base.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def write(kind: str, **fields) -> None:
    """Append one line to the journal; it is on disk before this returns."""
    line = json.dumps({"kind": kind, "when": round(time.time(), 3), **fields}, sort_keys=True)
    with open(folder() / "journal.jsonl", "a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(kind: str | None = None) -> Iterator[dict]:
    """The journal's entries, oldest first, of one kind or of all. A torn last line is left out."""
    path = folder() / "journal.jsonl"
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if kind is None or entry.get("kind") == kind:
            yield entry


def forget(engine: str, *, but: tuple[str, ...] = ()) -> None:
    """Drop the entries of one engine: what they list is gone; `but` names images that stay."""
    path = folder() / "journal.jsonl"
    left = [entry for entry in read() if entry.get("engine") != engine or entry.get("name") in but]
    kept = [json.dumps(entry, sort_keys=True) for entry in left]
    if kept:
        temporary = path.with_suffix(".new")
        temporary.write_text("\n".join(kept) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    else:
        path.unlink(missing_ok=True)
