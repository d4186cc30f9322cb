"""Files and folders of our own: written whole or not at all, and private ones for nobody else.

Standard library only. A private file is 0600 in a folder of 0700 from its first byte on.
"""

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

MOST_BYTES = 64_000_000  # of a file of ours that is read whole
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # the first one counts
PARTS = ".shiplight-part"  # how the name of a file ends that is still being written


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can enter, and those above it that are missing.

    One of ours that others could enter is closed to them; one behind a link stays as it is.
    """
    if not path.is_dir():
        if not path.parent.is_dir():
            private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    with suppress(OSError, AttributeError):  # not ours to change; Windows has no such modes
        seen = path.lstat()
        is_ours = seen.st_uid == os.geteuid() and not path.is_symlink()
        if is_ours and seen.st_mode & 0o077:
            path.chmod(0o700)
    return path


def create_private(path: Path) -> BinaryIO:
    """Return a new, empty file that only its owner can read; what was at `path` goes."""
    private_folder(path.parent)
    path.unlink(missing_ok=True)  # whoever has it open has nothing of what is written now
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o600), "w+b")


def read(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the bytes of an ordinary file, `most` of them at most.

    Never waits for somebody to write into a pipe. Raises OSError, also for a device and for a file
    of more bytes.
    """
    with open(path, "rb", opener=_of_ordinary) as file:
        content = file.read(most + 1) or b""  # of some in /proc, None: nothing yet
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
    return content


def _of_ordinary(path: str, flags: int) -> int:
    """Open an ordinary file: a descriptor for `open`."""
    handle = os.open(path, flags | _AT_ONCE)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not an ordinary file", str(path))
    return handle


def write(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file beside `path`, flush it to the disk, and put it in the place of `path`.

    So there is the old file or the new one at any moment, and after any crash. Without `private`
    it has the mode of the old file, or the usual one; a device or a pipe is written to.
    """
    if not private and _is_odd(path):
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return
    with replacing(path, private=private) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """Yield a path beside `folder`; what is made there becomes `folder` at the end of the block.

    Where another process was first, its folder stays. A block that is not ended leaves none.
    """
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}{PARTS}")
    try:
        yield part
        try:
            part.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_odd(path: Path) -> bool:
    """Whether a device, a pipe or a folder is there, perhaps behind a link."""
    return path.exists() and not path.is_file()


@contextmanager
def replacing(path: Path, *, private: bool = False, ours: bool = False) -> Iterator[BinaryIO]:
    """Yield a new file that takes the place of `path` at the end of the block, if that is reached.

    Unlike `write`, it replaces a pipe or a link to a device; with `ours`, it replaces any link.
    """
    if private:
        private_folder(path.parent)
    elif path.is_symlink() and not ours and not _is_odd(path):
        path = path.resolve()
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTS}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(part, flags, 0o600 if private else 0o666)
    try:
        with os.fdopen(handle, "w+b") as file:
            if not private and path.is_file():
                with suppress(OSError):
                    os.chmod(part, path.stat().st_mode & 0o7777)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def alone(folder: Path, before_waiting: Callable[[], object] = bool) -> Iterator[None]:
    """Wait until nobody else is in such a block for this folder: one process at a time.

    `before_waiting` is called where somebody is. Some file systems, and Windows, lock nothing:
    there, nobody waits.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            before_waiting()
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass  # this file system locks nothing
        yield
    finally:
        os.close(handle)


class Lock:
    """A lock on a folder, which ends with `close()`, and with the process."""

    def __init__(self, handle: int | None):
        self._handle = handle

    def close(self) -> None:
        """Let go of it."""
        if self._handle is not None:
            os.close(self._handle)


def try_lock(folder: Path) -> Lock | None:
    """Lock a folder for this process; None where another one has, or may have, locked it."""
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return Lock(handle)


def bytes_in(folder: Path) -> int:
    """Return the bytes of the files in a folder, which somebody else may be filling."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size
    return total


def remove_parts(folder: Path, *, deep: bool = False, seconds: float = 0) -> None:
    """Remove what processes left in a folder that were killed while they wrote a file.

    `deep`: also in the folders below it. `seconds`: only what is older, and that nobody writes now.
    """
    with suppress(OSError):
        for part in (folder.rglob if deep else folder.glob)(f".*{PARTS}"):
            with suppress(OSError):
                if time.time() - part.lstat().st_mtime >= seconds:
                    shutil.rmtree(part) if part.is_dir() else part.unlink()


def named_in(*variables: str) -> Path | None:
    """Return the first file that one of these environment variables names; None for none."""
    named = (os.environ.get(variable, "") for variable in variables)
    return next((Path(path) for path in named if path and os.path.isfile(path)), None)
