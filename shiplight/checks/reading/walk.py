"""What a build would send of a folder: a bounded walk by the rules of its `.dockerignore`."""

import os
from collections import deque
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ...buildkit import Rule, apply_rules, may_hold_kept

# What others wrote or tools made: named in a walk, but not gone into.
OF_OTHERS = frozenset(
    (".git", ".hg", ".svn", "node_modules", "vendor", ".venv", "venv", "__pycache__")
)
MOST_NAMES = 20_000


@dataclass(frozen=True)
class Walk:
    """The paths that a folder sends, the ones near its root first. `whole`: that is all of them."""

    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    whole: bool = True


def walk(root: Path, rules: tuple[Rule, ...]) -> Walk:
    """Return what of `root` is sent; no link is followed, and what others wrote is not entered."""
    folders, files, waiting, seen = [], [], deque([("", ())]), 0
    while waiting:
        place, above = waiting.popleft()
        for entry in _entries(root / place):
            if (seen := seen + 1) > MOST_NAMES:
                return Walk(tuple(folders), tuple(files), whole=False)
            name = f"{place}/{entry.name}".lstrip("/")
            out, hits = apply_rules(rules, name, above)
            is_folder = entry.is_dir(follow_symlinks=False)
            if not out and (is_folder or entry.is_file(follow_symlinks=False)):
                (folders if is_folder else files).append(name)
            enters = is_folder and entry.name not in OF_OTHERS
            if enters and (not out or may_hold_kept(rules, name, hits)):
                waiting.append((name, hits))
    return Walk(tuple(folders), tuple(files))


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as found:
            return sorted(islice(found, MOST_NAMES + 1), key=lambda entry: entry.name)
    except OSError:
        return []
