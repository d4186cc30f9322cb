"""The programs of an image: the one that it starts, links followed, and all below a folder."""

import posixpath
import re

from .. import recordings
from ..image import Image, Program, read_program
from . import copying

_LARGEST = 400_000_000
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MOST_LINKS = 40
_SHELLS = ("sh", "bash", "ash", "dash")
_ONE_COMMAND = re.compile(r"\s*(?:exec\s+)?([\w./@+-]+)(?:\s[^;&|<>`$()]*)?", re.ASCII)


def program_of(client, image: Image) -> Program | None:
    """Return the program that the image starts; None if it starts a script, or nothing.

    Of a shell that is given one command, it is what that command starts.
    """
    words = _without_shell([*image.entrypoint, *image.cmd])
    path = find(image, words[0]) if words else None
    if path is None or image.tree()[path][0].size > _LARGEST:
        return None
    return _program(client, image.name, path)


def _without_shell(words: list[str]) -> list[str]:
    """The command of `/bin/sh -c COMMAND`; nothing where that is more than a program and words."""
    if len(words) != 3 or words[1] != "-c" or posixpath.basename(words[0]) not in _SHELLS:
        return words
    found = _ONE_COMMAND.fullmatch(words[2])
    return [found[1]] if found else []


@recordings.replayed(Program)
def _program(client, name: str, path: str) -> Program | None:
    return read_program(path, copying.file_in(client, name, path))


@recordings.replayed(Program)
def programs(client, what, folder: str) -> tuple[Program, ...]:
    """Return every program and library below a folder of a build or image, by path.

    `folder` is a path without symlinks in it. Raises EngineFailed where it is not there.
    """
    above = posixpath.dirname(folder.strip("/"))
    found = []
    with copying.copied(client, getattr(what, "tag", what), folder.strip("/")) as archive:
        for member in archive:
            if member.isreg() and member.size <= _LARGEST:
                path = posixpath.join(above, member.name)
                found.append(read_program(path, archive.extractfile(member).read()))
    return tuple(sorted(filter(None, found), key=lambda program: program.path))


def find(image: Image, word: str) -> str | None:
    """Return the file that a command's first word starts, links followed, or None."""
    if "/" in word:
        return follow(image, posixpath.join(image.workdir, word))
    folders = image.env.get("PATH", _PATH).split(":")
    found = (follow(image, f"{folder}/{word}") for folder in folders)
    return next((path for path in found if path), None)


def follow(image: Image, path: str) -> str | None:
    """Resolve all symlinks of a path in the image; None if no file is at its end."""
    tree, left, done = image.tree(), posixpath.normpath(path).strip("/").split("/"), ""
    for _ in range(_MOST_LINKS * 10):
        if not left:
            break
        done = posixpath.normpath(posixpath.join("/", done, left.pop(0))).strip("/")
        entry = tree.get(done, (None, 0))[0]
        if entry is None:
            return None
        if entry.kind == "symlink":
            target = posixpath.join("/", posixpath.dirname(done), entry.link)
            left, done = posixpath.normpath(target).strip("/").split("/") + left, ""
    entry = tree.get(done, (None, 0))[0]
    return done if entry is not None and entry.kind in ("file", "hardlink") and not left else None
