"""Where a word is that should be nowhere: in an image, in a cache, on the engine's own disk.

A search is for bytes as they are: what is compressed or encoded inside a file is not found.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .. import engine, recordings
from ..builds import kind_of_image
from ..engine import disk, journal
from ..errors import UsageError
from ..image import Files, Image, containing, files_of, has, meant, packing
from ..setting import Setting
from . import measuring

ENVIRONMENT, CONFIGURATION, HISTORY = "environment", "configuration", "history"
FILE, HIDDEN = "file", "hidden file"
_BLOCK, _HEAD = 1 << 20, 512  # bytes
_ID = re.compile(r"\b[0-9a-z]{25}\b|\b[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Found:
    """One place in an image: `kind` is environment, configuration, history, file or hidden file.

    `where` is the variable, the setting, the instruction or the path; a hidden file is one that a
    later layer deletes or replaces.
    """

    kind: str
    where: str


@dataclass(frozen=True)
class Traces:
    """Every place of an image that has a word in it; `layers` is how many layers were searched."""

    image: str
    layers: int
    found: tuple[Found, ...]
    setting: Setting | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        return bool(self.found)

    def kinds(self) -> list[str]:
        """Return the kinds of places, each once, in the order in which they were searched."""
        return list(dict.fromkeys(one.kind for one in self.found))

    def to_dict(self) -> dict:
        """Return the traces as JSON holds them."""
        found = [list(asdict(one).values()) for one in self.found]
        return asdict(self) | {"found": found, "setting": self.setting and self.setting.to_dict()}

    @classmethod
    def from_dict(cls, data: dict) -> "Traces":
        """Return the traces that `to_dict` wrote."""
        setting = Setting.from_dict(data["setting"]) if data.get("setting") else None
        return cls(
            **data | {"found": tuple(Found(*one) for one in data["found"]), "setting": setting}
        )


@recordings.replayed(Traces)
def search(client, what, word: str) -> Traces:
    """Search a build or an image on the engine for a word: configuration, history, every layer.

    Raises ImageNotFound, EngineFailed, ArchiveError, LabFolderFailed, and UsageError for an empty
    word.
    """
    return search_each(client, what, [word])[0]


def search_each(client, what, words: Iterable[str]) -> list[Traces]:
    """Search an image as `search` does for each of these words; the engine exports it once."""
    words = list(words)
    if not all(words):
        raise UsageError("there is nothing to search for.", hint="name a word")
    name = getattr(what, "tag", what)
    with journal.workplace() as folder:
        saved = folder / "image.tar"
        image = measuring.export(client, name, saved)
        with files_of(saved) as files:
            found = [
                (*_in_configuration(files, word), *_in_layers(files, image, word)) for word in words
            ]
    on = engine.setting(client, bases=kind_of_image(name, image.labels))
    return [Traces(name, len(image.layers), places, on) for places in found]


def _in_configuration(files: Files, word: str) -> Iterator[Found]:
    """Yield the variables, other settings such as labels, and the steps of the history.

    Those are read as the builder wrote them: a layer's instruction in `Image` has no build
    arguments in front of it any longer.
    """
    config = files.json(meant(files, None, None).config, "the configuration")
    history = config.pop("history", None) or []
    for one in (config.get("config") or {}).pop("Env", None) or []:
        if word in one:
            yield Found(ENVIRONMENT, one.partition("=")[0])
    for where in dict.fromkeys(_settings(config, word)):
        yield Found(CONFIGURATION, where)
    for step in history:
        if list(_settings(step, word)):
            yield Found(HISTORY, " ".join((step.get("created_by") or "").split()))


def _settings(document: dict, word: str) -> Iterator[str]:
    """Yield where a JSON document has the word, in a name or in a text: `config.Labels.vendor`."""
    waiting = [("", document)]
    for where, value in waiting:  # which grows meanwhile
        if isinstance(value, dict):
            waiting += [(f"{where}.{name}", part) for name in value for part in (name, value[name])]
        elif isinstance(value, list):
            waiting += [(where, part) for part in value]
        elif isinstance(value, str) and word in value:
            yield where.lstrip(".")


def _in_layers(files: Files, image: Image, word: str) -> Iterator[Found]:
    tree = image.tree()
    for index, layer in enumerate(meant(files, None, None).layers):
        for path in containing(files.blocks(layer), word.encode()):
            is_live = path in tree and tree[path][1] == index
            yield Found(FILE if is_live else HIDDEN, f"/{path}")


@recordings.replayed()
def search_cache(client, word: str) -> list[str]:
    """Return the descriptions of those records of the build cache that have the word in them."""
    return [one.description for one in disk.cache_records(client) if word in one.description]


@recordings.replayed()
def search_engine(client, word: str, *, since: float) -> list[str] | None:
    """Return the files below the engine's data folder that have the word in them.

    Only files that changed at or after `since` are read, in seconds since 1970. Ids are shortened
    to `…`. None where the folder is not on this machine, does not contain the engine's images, or
    this user may not read it.
    """
    root = engine.data_folder(client)
    if root is None or not os.access(root, os.R_OK | os.X_OK):
        return None
    found = {_short(path, root) for path in _changed(root, since) if _contains(path, word.encode())}
    return sorted(found)


@recordings.replayed()
def search_folder(client, folder: Path, word: str) -> list[str]:
    """Return the files that a build cache exported to a folder (an OCI layout) has the word in.

    Of its layers, the files in them; of its documents, their own names. Raises ArchiveError.
    """
    blobs = sorted((folder / "blobs" / "sha256").iterdir())
    return [path for blob in blobs for path in _in_blob(blob, word.encode())]


def _in_blob(blob: Path, word: bytes) -> list[str]:
    with open(blob, "rb") as file:
        is_layer = bool(packing(file.peek(_HEAD)))
        blocks = iter(lambda: file.read(_BLOCK), b"")
        if is_layer:
            return [f"/{path}" for path in containing(blocks, word)]
        return [blob.name] if has(blocks, word) else []


def _short(path: str, root: Path) -> str:
    return _ID.sub("…", os.path.relpath(path, root))


def _changed(root: Path, since: float) -> Iterator[str]:
    """Yield the ordinary files below a folder that changed since; what goes meanwhile is left.

    Not those of other file systems below it: a running container's files are mounted there.
    """
    left, device = [os.fspath(root)], os.lstat(root).st_dev
    while left:
        with suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    about = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(about.st_mode) and about.st_dev == device:
                        left.append(entry.path)
                    elif stat.S_ISREG(about.st_mode) and about.st_ctime >= since:
                        yield entry.path


def _contains(path: str, word: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return has(iter(lambda: file.read(_BLOCK), b""), word)
    except OSError:
        return False
