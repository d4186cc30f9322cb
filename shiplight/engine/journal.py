"""Whose lab this is, and what it made: labels, the folder `.lab/`, and the journal.

A lab is one checkout on one machine. Images that it makes carry `shiplight.lab=<id>` and their own
name; containers, networks and volumes carry `shiplight.made=<id>` and a mark that is drawn for
each. Whoever makes an image or a container from one of ours inherits these labels. So what is ours
is also in the journal: images by name and Id, the others by their mark, before they are made.

Labs whose ids begin with what `LAB_CACHES` names share what only saves time: cache mounts, what is
known of layers and scans, and cold times. The workers of one test run are such labs.
"""

import json
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .. import files, setup
from ..errors import LabFolderFailed, UsageError
from ..setup import ROOT
from . import checkout

LABEL = "shiplight.lab"  # on images
NAME = "shiplight.name"  # on images: the name that we gave it
MADE = "shiplight.made"  # on containers, networks and volumes
MARK = "shiplight.mark"  # on those: drawn for each of them
BASES = "shiplight.bases"  # on images: the kind of bases that they were built on
MOST_SECONDS = 1e11  # what is more is damaged, or no number
ROOM = 1 << 16  # bytes: more than one build writes
MOST_OF_A_LINE = 1 << 20  # bytes


def checkout_id() -> str:
    """8 hex digits: which checkout this is, wherever its folder is moved."""
    return checkout.id_of(ROOT)


def lab_id() -> str:
    """Return the id of this lab: `LAB_ID` where it is set, else the checkout's."""
    return _id_in("LAB_ID") or checkout_id()


def shared_id() -> str:
    """Return the id under which this lab keeps its caches: LAB_CACHES, or its own."""
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
    """Return the namespace of this lab's cache mounts, or one inside it."""
    return f"shiplight-{shared_id()}" + (f"/{name}" if name else "")


def labels(name: str) -> dict[str, str]:
    """Return the labels of an image that this lab makes under this name."""
    return {LABEL: lab_id(), NAME: name}


def made() -> dict[str, str]:
    """Return the labels of one container, network or volume that this lab is about to make.

    They are in the journal when this returns. Raises LabFolderFailed.
    """
    mark = secrets.token_hex(8)
    write("made", mark=mark)
    return {MADE: lab_id(), MARK: mark}


def label_of_made(*, every_lab: bool = False) -> str:
    """Return the filter that lists what `made()` labels, of this lab or of every lab."""
    return MADE if every_lab else f"{MADE}={lab_id()}"


def path(*parts: str) -> Path:
    """Return a path under `.lab/`, there or not. One lab, one folder."""
    base = ROOT / ".lab" if not os.environ.get("LAB_ID") else ROOT / ".lab" / "labs" / lab_id()
    return base.joinpath(*parts)


def shared(*parts: str) -> Path:
    """Return a path in the folder where this lab keeps its caches, there or not."""
    if shared_id() == lab_id():
        return path(*parts)
    return (ROOT / ".lab" / "labs" / shared_id()).joinpath(*parts)


def folder(*parts: str) -> Path:
    """Return a folder under `.lab/`, made where it is missing. Raises LabFolderFailed."""
    made = path(*parts)
    with writable():
        files.private_folder(made)
    return made


WORK = "work"
CACHES = ("layers", "downloads", "trivy", "kit", "given", WORK)  # folders that `clean` removes
TAG = "CACHEDIR.TAG"  # in each that we made; backups leave out what has one
TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# made by Ship Light for its caches\n"


def cache(name: str, *, with_caches: bool = False) -> Path:
    """Return a folder of caches, this lab's or a shared one, with our tag if we made it.

    Where it cannot be made, it is not there.
    """
    place = shared(name) if with_caches else path(name)
    if not place.exists():
        with suppress(OSError), files.making(place) as part:
            files.write(part / TAG, TAG_TEXT, private=True)
    return place


def is_cache(place: Path) -> bool:
    """Return whether we made this folder of caches: it has our tag, and is no link."""
    with suppress(OSError):
        return not place.is_symlink() and files.read(place / TAG) == TAG_TEXT.encode()
    return False


@contextmanager
def workplace() -> Iterator[Path]:
    """Make a folder for one scan's files, which is removed however the block is left.

    What a killed process left goes as well. Raises LabFolderFailed.
    """
    remove_workplaces()
    with writable():
        try:
            place, lock = _new_workplace()
        except FileNotFoundError:  # `clean` has removed what was empty
            place, lock = _new_workplace()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if lock is not None:
            lock.close()


def _new_workplace() -> tuple[Path, files.Lock | None]:
    with files.alone(cache(WORK)):  # nobody clears up before it is locked
        place = Path(tempfile.mkdtemp(dir=cache(WORK)))
        return place, files.try_lock(place)


def remove_workplaces() -> None:
    """Remove the folders of work whose processes were killed."""
    base = path(WORK)
    if not is_cache(base):
        return
    with suppress(OSError), files.alone(base):
        for left in base.iterdir():
            if left.is_dir() and (lock := files.try_lock(left)):
                shutil.rmtree(left, ignore_errors=True)
                lock.close()


def write(kind: str, *, with_caches: bool = False, to_disk: bool = True, **fields) -> None:
    """Append one line to the journal, or to that beside the caches; it is on disk on return."""
    checkout_id()  # first: in a copy of a checkout, it empties the journal
    said = {"kind": kind, "when": round(time.time(), 3), "lab": lab_id()}
    line = json.dumps(said | fields, sort_keys=True)
    with writable():
        place = files.private_folder(shared()) if with_caches else folder()
    with writable(), files.alone(place), _opened(place / "journal.jsonl") as file:
        file.seek(-min(1, file.tell()), os.SEEK_END)
        begin = "\n" if file.read(1) not in (b"", b"\n") else ""  # the last write was cut short
        file.write(f"{begin}{line}\n".encode())
        file.flush()
        if to_disk:
            os.fsync(file.fileno())


@contextmanager
def writable() -> Iterator[None]:
    """Turn a disk that is full, or a folder of somebody else's, into an error of ours."""
    try:
        yield
    except OSError as error:
        raise LabFolderFailed(
            f"this lab's folder, {ROOT / '.lab'}, cannot be written: {error.strerror or error}.",
            hint="free some space or fix the permissions, then try again",
        ) from error


def _opened(file: Path):
    """Open a journal to write at its end: a file of its own, and nothing behind a link."""

    def private(name, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)

    return open(file, "ab+", opener=private)


def ready() -> None:
    """Nothing, where what is about to be made can be journalled after. Raises LabFolderFailed."""
    with writable(), tempfile.TemporaryFile(dir=folder()) as file:
        file.write(bytes(ROOM))
        file.flush()


def read(kind: str | None = None, *, with_caches: bool = False) -> Iterator[dict]:
    """Yield the journal's entries, oldest first, of one kind or of all, without a torn last line.

    What is damaged, in whatever way, is left out, and said once.
    """
    place = shared() if with_caches else path()
    file = place / "journal.jsonl"
    if place.is_symlink() and place.parent.name == "labs":
        _say_once(f"{place} is a link, and its journal is not read; remove the link")
    elif os.path.lexists(file):
        checkout_id()  # first: in a copy of a checkout, it empties the journal
        yield from (entry for entry in _entries(file) if kind in (None, entry["kind"]))


def _entries(file: Path) -> Iterator[dict]:
    damaged = 0
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            _say_once(f"{file} is not a file, and is not read; move it away")
            return
        with open(file, "rb") as opened:
            for line in iter(lambda: opened.readline(MOST_OF_A_LINE), b""):
                if opened.tell() > files.MOST_BYTES:
                    _say_once(f"{file} is too large to be read whole; move it away")
                    break
                entry = _entry(line)
                if entry is not None:
                    yield entry
                damaged += entry is None and line.endswith(b"\n")  # else its writer was killed
    except FileNotFoundError:
        return
    except OSError as error:
        _say_once(f"{file} cannot be read: {error.strerror}")
    if damaged:
        _say_once(f"{damaged} lines of {file} are damaged, and are left out")


def _entry(line: bytes) -> dict | None:
    """What a line says; None where that is not as `write` writes it."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not {"kind", "when"} <= set(entry):
        return None
    return entry if all(_FIELDS.get(key, _is_any)(entry[key]) for key in entry) else None


def _is_text(value) -> bool:
    return isinstance(value, str)


def _is_reference(value) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[\w.:/@\[\]-]{1,500}", value, re.ASCII))


def _is_number(value) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < MOST_SECONDS


def _is_any(value) -> bool:
    return True


def _is_window(value) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _is_list_of_ran(value) -> bool:
    return isinstance(value, list) and all(map(_is_ran, value))


def _is_ran(value) -> bool:
    is_long_enough = isinstance(value, list) and len(value) > 2
    return is_long_enough and _is_window(value[:2]) and all(map(_is_text, value[2:]))


_FIELDS: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("name", "engine_id"), _is_reference),
    **dict.fromkeys(("kind", "lab", "engine", "mark", "build"), _is_text),
    **dict.fromkeys(("key", "tag", "namespace"), _is_text),
    **dict.fromkeys(("when", "seconds"), _is_number),
    "window": _is_window,
    "ran": _is_list_of_ran,
}

_said: set[str] = set()


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        setup.say(text)


def revise(rest_of: Callable[[dict], dict | None]) -> None:
    """Rewrite the journal: of each entry what `rest_of` returns, and nothing for None."""
    file = path("journal.jsonl")
    if not file.exists():
        return
    with writable(), files.alone(folder()):
        left = [rest for entry in read() if (rest := rest_of(entry)) is not None]
        if left:
            kept = [json.dumps(entry, sort_keys=True) for entry in left]
            files.write(file, "\n".join(kept) + "\n", private=True)
        elif stat.S_ISREG(file.lstat().st_mode):
            file.unlink()
