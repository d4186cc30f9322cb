"""Whose lab this is, and what it made: the label, the folder `.lab/`, and the journal.

A lab is one checkout on one machine. Everything that it makes on an engine carries the label
`shiplight.lab=<id>`; what cannot carry a label (a pulled image, a cache record) is written to the
journal before it is made, so that `./lab clean` finds it after any crash.
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

LABEL = "shiplight.lab"
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
    """The labels that everything made by this lab carries."""
    return {LABEL: lab_id()}


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


def forget() -> None:
    """Begin a new journal: what the old one listed has been removed."""
    (folder() / "journal.jsonl").unlink(missing_ok=True)
