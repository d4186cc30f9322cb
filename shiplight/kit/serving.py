"""Handing a kit out in a room: one machine serves the file, the others fetch it over HTTP.

It goes in the clear, to whoever asks. So its SHA-256 is shown where it is served, for everybody to
compare; and it is unpacked as from a USB stick: verified as a whole, before any of it is used.
"""

import hashlib
import http.client
import os
import re
import shutil
import urllib.request
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .. import progress
from ..engine import journal
from ..errors import UsageError
from ..units import format_bytes, one_line
from .packing import BLOCK
from .unpacking import check_kit

PATH, DIGITS = "/kit.tar", 16
_SECONDS = 30


class _Handler(BaseHTTPRequestHandler):
    """Serve one file, or the rest of it from a byte on; nothing else."""

    protocol_version, timeout = "HTTP/1.1", _SECONDS

    def __init__(self, *arguments, file: Path):
        self.file = file
        super().__init__(*arguments)

    def do_GET(self) -> None:
        if self.path != PATH:
            self.send_error(404)
            return
        with open(self.file, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            asked = re.fullmatch(r"bytes=(\d{1,15})-", self.headers.get("Range", ""))
            first = min(int(asked[1]), size) if asked else 0
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
            self.send_header("Content-Length", str(size - first))
            self.end_headers()
            file.seek(first)
            shutil.copyfileobj(file, self.wfile, BLOCK)

    def log_message(self, *values) -> None:
        """Print nothing: who asks is nobody's business."""


def serve(kit: Path, port: int) -> tuple[ThreadingHTTPServer, str]:
    """Return a server of a kit that listens already, and the kit's SHA-256.

    Every file of the kit is verified first. Raises UsageError for what is not a whole kit, and for
    a port that is taken.
    """
    check_kit(kit)
    with open(kit, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        return ThreadingHTTPServer(("", port), partial(_Handler, file=kit)), digest
    except OSError as error:
        raise UsageError(
            f"port {port} cannot be served at: {error.strerror}.", hint="choose another: --port"
        ) from error


def fetch(url: str, sha256: str) -> Path:
    """Fetch a kit into this lab's folder, from where it was interrupted; return its path.

    `sha256` is what its SHA-256 begins with, 16 digits or more. Raises UsageError where it cannot
    be fetched, or is another one.
    """
    if not re.fullmatch(r"http://[!-~]+", url) or not re.fullmatch(r"[0-9a-f]{16,64}", sha256):
        raise UsageError(
            f"a kit is fetched from http://… with --sha256 and {DIGITS} digits or more.",
            hint="both are shown where the kit is served",
        )
    place = journal.cache("kit") / "fetched.tar"
    with journal.writable():
        part = place.with_suffix(".part")
        try:
            _fetch(url, part)
        except (OSError, ValueError, TypeError, http.client.HTTPException) as error:
            told = getattr(error, "reason", None) or error
            why = one_line(str(getattr(told, "strerror", None) or told), 200)
            raise UsageError(
                f"the kit could not be fetched from {one_line(url, 200)}: {why}.",
                hint="see whether it is still served; the same command goes on where it stopped",
            ) from error
        with open(part, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not digest.startswith(sha256):
            part.unlink()
            raise UsageError(
                f"the kit that was fetched has the SHA-256 {digest}.",
                hint="compare it with the one that is shown where the kit is served",
            )
        part.replace(place)
    return place


def _fetch(url: str, part: Path) -> None:
    """Append to `part` what it lacks of the kit. Raises OSError where less comes than was said."""
    have = part.stat().st_size if part.exists() else 0
    asked = urllib.request.Request(url, headers={"Range": f"bytes={have}-"})
    # A machine of the room is asked itself, whatever proxy this one has.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(asked, timeout=_SECONDS) as answer:
        whole = int(answer.headers["Content-Length"])
        if answer.status != 206:
            have = 0
        with open(part, "ab" if have else "wb") as file:
            with progress.Screen(lambda: f"Fetching the kit · {format_bytes(file.tell())}"):
                shutil.copyfileobj(answer, file, BLOCK)
            if file.tell() != have + whole:
                raise OSError("the connection broke off")
