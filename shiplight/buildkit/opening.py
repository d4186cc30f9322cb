"""Open untrusted files: only regular ones, inside a folder, with a limit on bytes.

A name in an untrusted folder may be a pipe that never ends, a device, or a link to a private file;
and it may become one while it is read.
"""

import errno
import os
import stat

MOST_DOCKERFILE = 8_000_000  # bytes; the check reads fewer
MOST_RULES = 1_000_000  # bytes of a .dockerignore

_READ = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC")
)
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | sum(
    getattr(os, name, 0) for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC")
)
_BENEATH = os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd


def opened(root: str | os.PathLike, name: str) -> int:
    """Return a descriptor for reading the regular file `name` in the folder `root`.

    No link is followed below `root`, even if files change meanwhile. Raises OSError, with our own
    message for anything that is not a regular file.
    """
    *folders, last = [part for part in os.fspath(name).split("/") if part]
    if not _BENEATH:
        return _ordinary(os.path.join(root, *folders, last), None)
    above = os.open(root, _PASS & ~getattr(os, "O_NOFOLLOW", 0))
    try:
        for folder in folders:
            below = os.open(folder, _PASS, dir_fd=above)
            os.close(above)
            above = below
        return _ordinary(last, above)
    finally:
        os.close(above)


def _ordinary(name: str, above: int | None) -> int:
    _refuse_odd(os.stat(name, dir_fd=above, follow_symlinks=False))  # opening a device may do harm
    handle = os.open(name, _READ, dir_fd=above)
    try:
        _refuse_odd(os.fstat(handle))
    except OSError:
        os.close(handle)
        raise
    return handle


def _refuse_odd(found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "it is a link")
    if stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.ENXIO, "it is a socket")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not an ordinary file")


def followed(root: str | os.PathLike, name: str | os.PathLike) -> int:
    """Return a descriptor as `opened` does, following links that stay inside `root`.

    Raises OSError, with our own message for anything that is not a regular file, and for a link
    that leads outside.
    """
    root = os.path.realpath(root)
    place = os.path.realpath(os.path.join(root, name))
    inside = os.path.relpath(place, root)
    if inside.split(os.sep)[0] == "..":
        raise OSError(errno.ELOOP, "it is a link that leads out of its folder")
    return opened(root, inside.replace(os.sep, "/"))


def read(root: str | os.PathLike, name: str | os.PathLike, most: int) -> bytes:
    """Return the bytes of the regular file `name` in the folder `root`, at most `most`.

    Raises OSError as `followed` does, and for a file of more bytes.
    """
    with open(followed(root, name), "rb") as file:
        data = file.read(most + 1) or b""  # of some in /proc, None: nothing yet
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes")
    return data
