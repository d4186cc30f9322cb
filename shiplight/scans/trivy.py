"""Find or install Trivy, the scanner, and its database.

Trivy is not part of this project. We look for it on PATH, then beside the Python that runs this
(the package that `requirements-scan.txt` pins), then on the engine as a container image. It reads
saved archives; it never gets an engine's socket.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .. import engine, files, progress, setup
from ..engine import journal
from ..errors import EngineFailed, ScanFailed, ScannerMissing
from ..units import format_bytes
from .running import REQUIREMENTS, environment, run_program

IMAGE = "aquasec/trivy:0.76.0"  # pulling it is not tried yet: no image registry was in reach
OLDEST = (0, 63)  # the first that can be told not to call home
MALICIOUS = ("0.69.4", "0.69.5", "0.69.6")  # CVE-2026-33634: releases made with stolen credentials
QUIETLY = ("--skip-version-check", "--disable-telemetry")
OFFLINE = ("--skip-db-update", "--skip-java-db-update", "--offline-scan", "--quiet", *QUIETLY)


@dataclass(frozen=True)
class Scanner:
    """A Trivy that can be run: a program on this machine, or an image on the engine."""

    version: str
    source: str
    program: Path | None = None
    image: str | None = None

    def __str__(self) -> str:
        return f"Trivy {self.version}"


@dataclass(frozen=True)
class Database:
    """A database of vulnerabilities. `date` is when it was made, ISO 8601 in UTC.

    `snapshot`: it is frozen, as in a lab without the internet, and is never updated.
    """

    folder: Path
    date: str
    snapshot: bool

    def __str__(self) -> str:
        return f"database {self.date[:10]}" + (" (lab snapshot)" if self.snapshot else "")


def find(client=None) -> Scanner:
    """Find the first scanner that can be used: on PATH, beside this Python, on the engine.

    Raises ScannerMissing, with what was found.
    """
    seen = []
    beside = Path(sys.executable).with_name("trivy.exe" if sys.platform == "win32" else "trivy")
    on_path = shutil.which("trivy")
    for program in dict.fromkeys([Path(on_path) if on_path else beside, beside]):
        if not program.is_file():
            continue
        version = _version(program, program.stat().st_mtime_ns)
        problem = _problem(version)
        if not problem:
            source = "the pinned Python package" if program == beside else str(program)
            return Scanner(version, source, program)
        seen.append(f"{program} {problem}")
    if client is not None and engine.has_image(client, IMAGE):
        return Scanner(IMAGE.rpartition(":")[2], f"the image {IMAGE}", image=IMAGE)
    raise ScannerMissing(
        "there is no scanner here" + (f" that can be used: {'; '.join(seen)}." if seen else "."),
        hint=f"`{setup.PROGRAM} scan IMAGE` gets one; or put Trivy on PATH",
    )


def has_scanner(client=None) -> bool:
    """Return whether there is a scanner that can be used."""
    try:
        return bool(find(client))
    except ScannerMissing:
        return False


@lru_cache
def _version(program: Path, changed: int) -> str:
    """The version that a program reports; empty if it reports none."""
    try:
        done = subprocess.run(
            [program, "--version"], env=environment(), capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    found = re.search(r"^Version: v?(\d+\.\d+\.\d+)", done.stdout, re.M)
    return found[1] if found else ""


def _problem(version: str) -> str:
    """Why a scanner of this version cannot be used; empty if it can."""
    if not version:
        return "does not say which version of Trivy it is"
    if version in MALICIOUS:
        return f"is {version}, which was malicious (CVE-2026-33634): remove it and change passwords"
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        return f"is {version}; at least {'.'.join(map(str, OLDEST))} is needed"
    return ""


def provide(client=None, *, update: bool = False) -> tuple[Scanner, Database]:
    """Return scanner and database; install what is missing, and say so.

    `update` gets a newer database. Only this function installs or downloads. Raises
    ScannerMissing.
    """
    try:
        scanner = find(client)
    except ScannerMissing:
        scanner = _get_scanner(client)
    if not update:
        try:
            return scanner, database()
        except ScannerMissing:
            if os.environ.get("TRIVY_CACHE_DIR"):
                raise
    return scanner, _download(scanner)


def _get_scanner(client) -> Scanner:
    try:
        setup.add(REQUIREMENTS)
        return find(client)
    except setup.SetupFailed as error:
        raise ScannerMissing(f"no scanner could be installed: {error}") from error
    except ScannerMissing:
        if client is None:
            raise
    setup.say(f"pulling the scanner's image {IMAGE}")
    try:
        engine.pull(client, IMAGE)
        engine.remember_image(client, IMAGE)
    except EngineFailed as error:
        raise ScannerMissing(
            f"the scanner's image could not be pulled: {error.message}", hint="put Trivy on PATH"
        ) from error
    return find(client)


def database() -> Database:
    """Return the database in TRIVY_CACHE_DIR, or the downloaded one. Raises ScannerMissing."""
    given = os.environ.get("TRIVY_CACHE_DIR")
    try:
        folder = Path(given).absolute() if given else journal.cache("trivy")
        said = json.loads(files.read(folder / "db" / "metadata.json"))
        made, next_one = str(said["UpdatedAt"]), str(said.get("NextUpdate", ""))
        if not (folder / "db" / "trivy.db").is_file():
            raise FileNotFoundError("trivy.db is not there")
    except (OSError, ValueError, KeyError, TypeError) as error:
        where = f"in TRIVY_CACHE_DIR={given}" if given else "here yet"
        raise ScannerMissing(
            f"there is no vulnerability database {where} ({error}).",
            hint="TRIVY_CACHE_DIR names a folder that contains db/trivy.db and db/metadata.json"
            if given
            else f"`{setup.PROGRAM} scan IMAGE` downloads one, or TRIVY_CACHE_DIR names one",
        ) from error
    return Database(folder, made, snapshot=next_one[:4] > f"{int(made[:4]) + 1}")


def database_folder() -> Path:
    """Return the folder whose `db/` has the database. Raises ScannerMissing."""
    return database().folder


def _download(scanner: Scanner) -> Database:
    """Let Trivy download the newest database into our own folder."""
    folder = journal.cache("trivy")
    if scanner.program is None or os.environ.get("TRIVY_CACHE_DIR"):
        raise ScannerMissing(
            f"{scanner.source} does not download a database."
            if scanner.program is None
            else "the database in TRIVY_CACHE_DIR is yours: Ship Light does not update it.",
            hint="TRIVY_CACHE_DIR names a folder that contains db/trivy.db and db/metadata.json",
        )
    setup.say("downloading the scanner's vulnerability database, once")
    command = ["--cache-dir", folder, "image", "--download-db-only", "--no-progress", *QUIETLY]
    with journal.workplace() as place:

        def draw() -> str:
            return f"Downloading the database · {format_bytes(files.bytes_in(place))}"

        with progress.Screen(draw):
            try:
                run_program(scanner.program, command, place, network=True)
            except ScanFailed as error:
                raise ScannerMissing(
                    f"the database could not be downloaded: {error.message}",
                    hint="TRIVY_CACHE_DIR names a folder with one; behind a proxy, set HTTPS_PROXY",
                ) from error
    return database()
