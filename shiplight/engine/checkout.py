"""Which checkout this is: an id that stays with its folder, wherever that is moved.

It is kept in `.lab` together with the path of the checkout. A checkout that was moved keeps its id,
and with it its engine and its images. A copy, made while the first one is still at its path, gets
an id of its own and an empty journal: what the journal lists is the first one's.
"""

import hashlib
import json
import os
import platform
import re
import secrets
from contextlib import suppress
from pathlib import Path

from .. import files, setup
from ..errors import LabFolderFailed

FILE = "checkout.json"
ENGINES = Path("/var/lib/shiplight")  # one folder for the data of each private engine
MARK = "shiplight-checkout.json"  # in that folder: whose engine it is


def id_of(root: Path) -> str:
    """Return the id of the checkout in `root`, 8 hex digits; a new one is kept there.

    Where nothing can be read or kept, the id is made from the machine's name and the path. Raises
    LabFolderFailed where `.lab` is a link to another checkout's.
    """
    lab = root / ".lab"
    try:
        known = read(lab / FILE)
        if known is None:
            return _keep(lab, _first_id(root), root, new=True)
        if known["path"] == str(root) or _is_same_folder(Path(known["path"]) / ".lab", lab):
            return known["id"]
        if not lives(known["id"], Path(known["path"])):
            return _keep(lab, known["id"], root)
        if lab.is_symlink():
            raise LabFolderFailed(
                f"{lab} is a link to the lab of another checkout, {known['path']}.",
                hint="remove the link, so that this checkout gets a lab of its own",
            )
        return _of_a_copy(lab, root)
    except OSError:
        return _id_from_path(root)


def _of_a_copy(lab: Path, root: Path) -> str:
    """Give a copy an id of its own and an empty journal; one process does, others wait."""
    with files.alone(lab):
        known = read(lab / FILE)
        if known is not None and known["path"] == str(root):
            return known["id"]
        for journal in [lab / "journal.jsonl", *lab.glob("labs/*/journal.jsonl")]:
            with suppress(IsADirectoryError):  # what the first checkout's labs made is not ours
                journal.unlink(missing_ok=True)
        setup.say("this checkout is a copy of another one, and gets an id of its own")
        return _keep(lab, secrets.token_hex(4), root)


def read(file: Path) -> dict | None:
    """Return the id and the path in a file of ours; None where it is missing or damaged."""
    try:
        known = json.loads(files.read(file, 1 << 16))
        is_ours = re.fullmatch("[0-9a-f]{8}", known["id"]) and isinstance(known["path"], str)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return {"id": known["id"], "path": known["path"]} if is_ours else None


def lives(checkout_id: str, path: Path) -> bool:
    """Return whether a checkout of this id is at `path`, or may be: what cannot be read may be."""
    try:
        known = read(path / ".lab" / FILE)
    except OSError:
        return True
    return known is not None and known["id"] == checkout_id


def mark(root: Path) -> str:
    """Return what an engine's data folder has in MARK."""
    return json.dumps({"id": id_of(root), "path": str(root)}) + "\n"


def _first_id(root: Path) -> str:
    """The id of a checkout that has kept none: of an earlier version it is made from the path."""
    old = _id_from_path(root)
    data = ENGINES / old
    has_engine = data.is_dir() and not (data / MARK).exists()
    return old if (root / ".lab" / "journal.jsonl").exists() or has_engine else secrets.token_hex(4)


def _id_from_path(root: Path) -> str:
    return hashlib.sha256(f"{platform.node()}\0{root}".encode()).hexdigest()[:8]


def _is_same_folder(one: Path, other: Path) -> bool:
    """Whether both are one folder, by another path (a bind mount, a container's), and no link."""
    try:
        return not other.is_symlink() and os.path.samefile(one, other)
    except OSError:
        return False


def _keep(lab: Path, checkout_id: str, root: Path, *, new: bool = False) -> str:
    """Write it; where another process was first with a new one, that is it."""
    files.private_folder(lab)
    text = json.dumps({"id": checkout_id, "path": str(root)}) + "\n"
    if not new:
        files.write(lab / FILE, text, private=True)
        return checkout_id
    part = lab / f".{FILE}.{secrets.token_hex(4)}{files.PARTS}"
    files.write(part, text, private=True)
    try:
        os.link(part, lab / FILE)
    except FileExistsError:
        known = read(lab / FILE)
        if known is not None:
            return known["id"]
        os.replace(part, lab / FILE)  # what was there is damaged
    except OSError:  # a file system without links
        os.replace(part, lab / FILE)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return checkout_id
