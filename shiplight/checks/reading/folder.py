"""Find the folder that a build would send, and which of its files are sent."""

import json
import os
import posixpath
import re
import tomllib
from collections.abc import Iterable
from fnmatch import translate
from itertools import islice
from pathlib import Path

from ...buildkit import opening
from ...dockerfile import Rule, apply_rules
from .subject import Step, Subject

_MOST_UP, _MOST_NAMES, _MOST_BYTES = 3, 200, 1_000_000
_LONGEST_PATH = 4096  # of Linux


def cleaned(source: str) -> str:
    """Return a COPY's source as builders read it: a path below the context, "" for all of that.

    >>> cleaned("./a/../b/"), cleaned("../.."), cleaned("/a")
    ('b', '', 'a')
    """
    return posixpath.normpath(f"/{source}").lstrip("/")


def is_all(source: str) -> bool:
    """Return whether a COPY's source is the whole context, as `.`, `..` and `./src/..` are."""
    return "$" not in source and cleaned(source) in ("", "*")


def context_copies(steps) -> list[Step]:
    """Return the steps that copy from the context."""
    return [step for step in steps if step.keyword in ("COPY", "ADD") and not step.origin]


def find_context(path: Path, steps) -> Path | None:
    """Return the folder with the files that these steps copy: the Dockerfile's or one above it.

    None if there is none, as for a Dockerfile on its own. A folder above has to contain most of the
    files, since the root of the disk and a home contain names like `bin` and `src` anyway.
    """
    sources = [s for step in context_copies(steps) for s in step.sources]
    odd = set("[$:\0")
    named = [s.lstrip("/") for s in sources if not is_all(s) and not odd & set(s) and ".." not in s]
    named, folder = list(dict.fromkeys(named[:_MOST_NAMES])), path.parent
    if not named:
        others = any(not _is_ours(entry.name) for entry in folder.iterdir())
        return folder if others or not sources else None
    for candidate in [folder, *folder.absolute().parents[:_MOST_UP]]:
        if candidate is not folder and candidate in (Path(candidate.anchor), Path.home()):
            break
        there = sum(_is_there(candidate, name) for name in named)
        if there and (candidate is folder or 2 * there >= len(named)):
            return candidate
        if (candidate / ".git").exists():
            break
    return None


def _is_there(folder: Path, name: str) -> bool:
    if not set("*?") & set(name):
        return os.path.exists(folder / name)
    try:
        return any(True for _ in islice(folder.glob(name.removeprefix("./")), 1))
    except (OSError, ValueError, NotImplementedError):
        return False


def _is_ours(name: str) -> bool:
    return "dockerfile" in name.lower() or name in (".dockerignore", "Containerfile")


def ignored(subject: Subject, name: str) -> bool:
    """Return whether .dockerignore excludes a path of the context."""
    if len(name) > _LONGEST_PATH:
        return False
    return _excluded(subject.rules or (), name)


def _excluded(rules: tuple[Rule, ...], name: str) -> bool:
    excluded, hits, parts = False, (), name.split("/")
    for depth in range(1, len(parts) + 1):
        excluded, hits = apply_rules(rules, "/".join(parts[:depth]), hits)
    return excluded


def kept(subject: Subject, name: str) -> bool:
    """Return whether an exception in .dockerignore names a path, so it is wanted there."""
    rules = subject.rules or ()
    return any(rule.keeps and rule.pattern.matches(name) for rule in rules)


def sent(subject: Subject, *names: str, by: Step | None = None) -> list[str]:
    """Which of these paths are in the context and go along, or are copied by one step."""
    folder = subject.context
    if folder is None:
        return []
    rules = by.excluded if by else ()
    return [
        name
        for name in names
        if os.path.exists(folder / name)
        and not ignored(subject, name)
        and not (rules and apply_rules(rules, name)[0])
    ]


def copied(subject: Subject, names: Iterable[str], by: Step) -> list[str]:
    """Which of these paths of the context a step copies; a RUN that mounts all of it, all.

    Raises TooLarge where the steps of a Dockerfile have too much to compare.
    """
    names = list(names)
    sources = {cleaned(source) for source in by.sources} if by.keyword != "RUN" else {""}
    if "" in sources and not by.excluded:
        return names
    patterns = [s for s in sorted(sources) if set("*?[") & set(s)][:_MOST_NAMES]
    found = re.compile("|".join(map(translate, patterns)) if patterns else r"(?!)")

    def is_copied(name: str) -> bool:
        parts = name.split("/")
        above = ["", *("/".join(parts[: depth + 1]) for depth in range(len(parts)))]
        return any(
            path in sources or (found.match(path) and path.count("/") in depths) for path in above
        )

    parts = sum(1 + name.count("/") for name in names)
    subject.compared.take(parts * (1 + len(patterns) + len(by.excluded)))
    depths = {pattern.count("/") for pattern in patterns}
    return [name for name in names if is_copied(name) and not _excluded(by.excluded, name)]


def bytes_of(subject: Subject, name: str) -> int | None:
    """Return the size of a file of the context in bytes; None for folders and missing files."""
    if ".." in name or len(name) > _LONGEST_PATH:
        return None
    try:
        path = subject.context / name.lstrip("/")
        return path.stat().st_size if path.is_file() else None
    except (OSError, TypeError, ValueError):
        return None


def is_folder(subject: Subject, name: str) -> bool:
    """Return whether the context has a folder of this name."""
    if subject.context is None or ".." in name or len(name) > _LONGEST_PATH:
        return False
    try:
        return (subject.context / name.lstrip("/")).is_dir()
    except (OSError, ValueError):
        return False


def text_of(subject: Subject, name: str) -> str | None:
    """Return the text of a small file of the context; None if there is none.

    The total that is read of one context is limited, too.
    """
    text, whole = start_of(subject, name)
    return text if whole else None


def start_of(subject: Subject, name: str) -> tuple[str | None, bool]:
    """Return the text of a file as `text_of` does, of a large one its first megabyte.

    And whether that is the whole text.
    """
    if subject.context is None or ".." in name:
        return None, False
    name = posixpath.normpath(name)
    if name not in subject.texts:
        try:
            with open(opening.followed(subject.context, name.lstrip("/")), "rb") as file:
                data = file.read(_MOST_BYTES + 1) or b""  # of some in /proc, None: nothing yet
            subject.unread.take(len(data))
            text = data[:_MOST_BYTES].decode("utf-8", "replace")
            subject.texts[name] = text, len(data) <= _MOST_BYTES
        except (OSError, ValueError):
            subject.texts[name] = None, False
    return subject.texts[name]


def table_of(subject: Subject, name: str) -> dict | None:
    """Return a TOML or JSON file of the context; None if it cannot be read."""
    text = text_of(subject, name)
    if text is None:
        return None
    try:
        found = json.loads(text) if name.endswith(".json") else tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def part_of(table: dict, *keys: str) -> dict:
    """Return a table inside a table; {} if it is missing or something else."""
    for key in keys:
        table = table.get(key)
        if not isinstance(table, dict):
            return {}
    return table


def head_of(root: Path, path: Path) -> str:
    """Return the text of a small file below `root`; "" if it is large or cannot be read."""
    try:
        data = opening.read(root, path.relative_to(root).as_posix(), _MOST_BYTES)
    except OSError:
        return ""
    return data.decode("utf-8", "replace")


def repository(folder: Path) -> Path:
    """Return the root of the repository that a folder is in, or the folder itself."""
    near = [folder, *list(folder.resolve().parents)[:4]]
    return next((each for each in near if (each / ".git").exists()), folder)
