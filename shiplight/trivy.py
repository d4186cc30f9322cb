"""The scanner: finding Trivy, getting it and its database, and running it without a network.

Trivy is not part of this project. It is looked for on PATH, then beside the Python that runs this
(the package that `requirements-scan.txt` pins), then on the engine as a container image. It reads
archives that were saved; no engine's socket is ever given to it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from . import engine, progress, setup
from .engine import journal
from .errors import EngineFailed, ScanFailed, ScannerMissing
from .image import MAX_FILES, MAX_JSON, packing
from .units import format_bytes

REQUIREMENTS = "requirements-scan.txt"
IMAGE = "aquasec/trivy:0.76.0"  # pulling it is not tried yet: no image registry was in reach
SPARE_BYTES = 200_000_000  # left on the disk beside what is written there to be scanned
OLDEST = (0, 63)  # the first that can be told not to call home
MALICIOUS = ("0.69.4", "0.69.5", "0.69.6")  # CVE-2026-33634: releases made with stolen credentials
QUIETLY = ("--skip-version-check", "--disable-telemetry")
OFFLINE = ("--skip-db-update", "--skip-java-db-update", "--offline-scan", "--quiet", *QUIETLY)
LAYOUT = re.compile(r"(\./)?(index\.json|oci-layout|blobs/\w+/\w+)")  # what an OCI archive holds
# What reading JSON of a stranger can raise.
NOT_AS_DESCRIBED = LookupError, ValueError, TypeError, AttributeError, RecursionError
# How Docker and Podman say that there is nothing to mount; Podman makes folders that it misses,
# and Trivy finds no database there.
OUT_OF_SIGHT = "bind source path does not exist", "no such file or directory"
NO_DATABASE = b"cannot be specified on the first run"
CONTAINER_SECONDS = 900

Argument = str | Path  # a Path is a file or folder that the scanner reads


@dataclass(frozen=True)
class Scanner:
    """A Trivy that can be run: a program of this machine, or an image of the engine."""

    version: str
    source: str
    program: Path | None = None

    def __str__(self) -> str:
        return f"Trivy {self.version}"


@dataclass(frozen=True)
class Database:
    """A database of vulnerabilities. `date` is when it was made, ISO 8601 in UTC.

    `snapshot`: it is frozen, as in a lab without the internet, and never to be updated.
    """

    folder: Path
    date: str
    snapshot: bool

    def __str__(self) -> str:
        return f"database {self.date[:10]}" + (" (lab snapshot)" if self.snapshot else "")


# --- finding and getting ---------------------------------------------------------------------


def find(client=None) -> Scanner:
    """The first scanner that will do: on PATH, beside this Python, on the engine.

    Raises ScannerMissing, which says what was seen.
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
        return Scanner(IMAGE.rpartition(":")[2], f"the image {IMAGE}")
    raise ScannerMissing(
        "there is no scanner here" + (f" that will do: {'; '.join(seen)}." if seen else "."),
        hint="`./lab scan IMAGE` gets one; or put Trivy on PATH",
    )


@lru_cache
def _version(program: Path, changed: int) -> str:
    """The version that a program says it has; empty where it says none."""
    try:
        done = subprocess.run(
            [program, "--version"], env=_environment(), capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    found = re.search(r"^Version: v?(\d+\.\d+\.\d+)", done.stdout, re.M)
    return found[1] if found else ""


def _problem(version: str) -> str:
    """Why a scanner of this version is not used; empty where it is."""
    if not version:
        return "does not say which version of Trivy it is"
    if version in MALICIOUS:
        return f"is {version}, which was malicious (CVE-2026-33634): remove it and change passwords"
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        return f"is {version}; at least {'.'.join(map(str, OLDEST))} is needed"
    return ""


def provide(client=None, *, update: bool = False) -> tuple[Scanner, Database]:
    """Scanner and database, got where they are missing, and said so; `update` gets a newer one.

    This is the only place that installs or downloads. Raises ScannerMissing.
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
    setup.say(f"getting the scanner's image {IMAGE}")
    try:
        engine.pull(client, IMAGE)
        engine.remember_image(client, IMAGE)
    except EngineFailed as error:
        raise ScannerMissing(
            f"the scanner's image could not be got: {error.message}", hint="put Trivy on PATH"
        ) from error
    return find(client)


def database() -> Database:
    """The database in TRIVY_CACHE_DIR, or the one that was downloaded. Raises ScannerMissing."""
    given = os.environ.get("TRIVY_CACHE_DIR")
    folder = Path(given).absolute() if given else journal.folder("trivy")
    try:
        said = json.loads((folder / "db" / "metadata.json").read_text(encoding="utf-8"))
        made, next_one = str(said["UpdatedAt"]), str(said.get("NextUpdate", ""))
        if not (folder / "db" / "trivy.db").is_file():
            raise FileNotFoundError("trivy.db is not there")
    except (OSError, ValueError, KeyError, TypeError) as error:
        where = f"in TRIVY_CACHE_DIR={given}" if given else "here yet"
        raise ScannerMissing(
            f"there is no database of vulnerabilities {where} ({error}).",
            hint="TRIVY_CACHE_DIR names a folder that holds db/trivy.db and db/metadata.json"
            if given
            else "`./lab scan IMAGE` downloads one, or TRIVY_CACHE_DIR names one",
        ) from error
    return Database(folder, made, snapshot=next_one[:4] > f"{int(made[:4]) + 1}")


def _download(scanner: Scanner) -> Database:
    """The newest database, by Trivy itself, into our own folder."""
    folder = journal.folder("trivy")
    if scanner.program is None or os.environ.get("TRIVY_CACHE_DIR"):
        raise ScannerMissing(
            f"{scanner.source} is not asked to download a database."
            if scanner.program is None
            else "the database in TRIVY_CACHE_DIR is yours: it is not updated from here.",
            hint="TRIVY_CACHE_DIR names a folder that holds db/trivy.db and db/metadata.json",
        )
    setup.say("downloading the scanner's database of vulnerabilities, once")
    command = ["--cache-dir", folder, "image", "--download-db-only", "--no-progress", *QUIETLY]
    with workplace() as place:

        def draw() -> str:
            return f"Downloading the database · {format_bytes(_bytes_in(place))}"

        with progress.Screen(draw):
            try:
                run_program(scanner.program, command, place, network=True)
            except ScanFailed as error:
                raise ScannerMissing(
                    f"the database could not be downloaded: {error.message}",
                    hint="TRIVY_CACHE_DIR names a folder with one; behind a proxy, set HTTPS_PROXY",
                ) from error
    return database()


def _bytes_in(folder: Path) -> int:
    """Bytes of the files in a folder that somebody else is filling."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(path, name)).st_size
            except OSError:
                continue
    return total


# --- running ---------------------------------------------------------------------------------


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for one scan's files, which goes however this is left.

    What a killed process left there goes as well.
    """
    base = journal.folder("scanning")
    for left in base.iterdir():
        if not _runs(left.name.partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=base, prefix=f"{os.getpid()}-") as folder:
        yield Path(folder)


def _runs(pid: str) -> bool:
    """Whether a process of this number runs; on Windows, where asking would end it, always."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:
        return True
    return True


def report_on(scanner: Scanner, data: Database, archive: Path, place: Path, *, client=None) -> dict:
    """What Trivy says of a saved image, as it says it. Raises ScanFailed."""
    command = [
        *("--cache-dir", data.folder, "image", "--cache-backend", "memory"),  # writes nothing
        *("--format", "json", "--scanners", "vuln", *OFFLINE, "--input"),
    ]
    given = _unpacked(archive, place) if _only_a_layout(archive) else archive
    said = _run(scanner, [*command, given], place, client)
    try:
        read = json.loads(said)
    except ValueError as error:
        raise ScanFailed(f"what {scanner} said is not JSON ({error}).") from error
    if not isinstance(read, dict) or read.get("SchemaVersion") != 2:
        raise ScanFailed(f"what {scanner} said is no report of its second version.")
    return read


def _only_a_layout(archive: Path) -> bool:
    """Whether this is an OCI archive that Trivy reads from an unpacked folder only.

    So it is without manifest.json. With it, Trivy takes every layer for what the first one is: it
    fails where that is plain and a later one is packed, as the containerd store saves what stands
    on a base that was loaded.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            files = {file.name.removeprefix("./"): file for file in islice(tar, MAX_FILES)}
            if "index.json" not in files or "manifest.json" not in files:
                return "index.json" in files
            images = json.loads(tar.extractfile(files["manifest.json"]).read(MAX_JSON))
            layers = [files[path] for image in images for path in image["Layers"]]
            first, *later = [packing(tar.extractfile(layer).read(512)) for layer in layers]
            return not first and any(later)
    except (tarfile.TarError, OSError, EOFError, *NOT_AS_DESCRIBED):
        return False  # packed as a whole, or damaged: Trivy says what it makes of it


def _unpacked(archive: Path, place: Path) -> Path:
    """The folder that an OCI archive was unpacked to. Raises ScanFailed."""
    folder = place / "layout"
    try:
        with tarfile.open(archive, "r:") as tar:
            files = [file for file in islice(tar, MAX_FILES) if _is_of_layout(file)]
            needed, free = sum(file.size for file in files), shutil.disk_usage(place).free
            if needed > free - SPARE_BYTES:
                raise ScanFailed(
                    f"{archive} has to be unpacked to be scanned ({format_bytes(needed)}), and "
                    f"only {format_bytes(free)} are free in {place}.",
                    hint="make room there",
                )
            for member in files:
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "wb") as file:
                    shutil.copyfileobj(tar.extractfile(member), file)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ScanFailed(f"{archive} cannot be unpacked: {error}") from error
    return folder


def _is_of_layout(file: tarfile.TarInfo) -> bool:
    """Whether it is a file of an OCI layout. No engine writes a sparse one: a bomb would."""
    return file.isfile() and not file.issparse() and bool(LAYOUT.fullmatch(file.name))


def package_list(scanner: Scanner, report: dict, form: str, place: Path, *, client=None) -> bytes:
    """The packages of a report of Trivy's, as CycloneDX or SPDX JSON. Raises ScanFailed."""
    saved = place / "report.json"
    saved.write_text(json.dumps(report), encoding="utf-8")
    return _run(scanner, ["convert", "--quiet", "--format", form, saved], place, client)


def _run(scanner: Scanner, command: Sequence[Argument], place: Path, client) -> bytes:
    if scanner.program is not None:
        return run_program(scanner.program, command, place)
    return run_container(client, IMAGE, command)


def run_program(
    program: Path, command: Sequence[Argument], place: Path, *, network: bool = False
) -> bytes:
    """What the scanner prints. It works in `place` and nowhere else. Raises ScanFailed."""
    environment = _environment(network) | {"TMPDIR": str(place), "TEMP": str(place)}
    with open(place / "said", "w+b") as said, open(place / "complaints", "w+b") as complaints:
        try:
            process = subprocess.Popen(
                [program, *command],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complaints,
                cwd=place,  # and so without the trivy.yaml or .trivyignore of wherever this runs
                env=environment,
            )
        except OSError as error:
            raise ScanFailed(f"{program} could not be started: {error}") from error
        try:
            code = process.wait()
        finally:
            _end(process)
        said.seek(0)
        complaints.seek(0)
        return _checked(code, said.read(), complaints.read())


def _environment(network: bool = False) -> dict[str, str]:
    """This environment, without what would change what Trivy does, and its way to the network."""
    given = {key: value for key, value in os.environ.items() if not key.startswith("TRIVY_")}
    if not network:
        given = {key: value for key, value in given.items() if not key.lower().endswith("_proxy")}
    return given


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_container(client, image: str, command: Sequence[Argument]) -> bytes:
    """What the scanner prints in a container that has no network, and whose files are read-only.

    The container goes, however this is left. Raises ScanFailed.
    """
    inside = {item: f"/{n}/{item.name}" for n, item in enumerate(command) if isinstance(item, Path)}
    mounts = [
        {"Type": "bind", "Source": str(path), "Target": there, "ReadOnly": True}
        for path, there in inside.items()
    ]
    words = [inside.get(item, item) for item in command]
    how = {"labels": journal.made(), "network_mode": "none", "mounts": mounts}
    try:
        with engine.translated(f"creating a container of {image}"):
            container = client.containers.create(image, words, **how)
    except EngineFailed as error:
        if any(said in error.message for said in OUT_OF_SIGHT):
            raise _out_of_sight() from error
        raise
    with engine.translated(f"running {image}"):
        try:
            container.start()
            code = engine.exit_code(container, seconds=CONTAINER_SECONDS)
            if code is None:
                raise ScanFailed(f"the scanner has not ended after {CONTAINER_SECONDS} s.")
            said = container.logs(stdout=True, stderr=False)
            complaints = container.logs(stdout=False, stderr=True)
            if code and NO_DATABASE in complaints:  # which was here before it was mounted
                raise _out_of_sight()
            return _checked(code, said, complaints)
        finally:
            container.remove(force=True, v=True)


def _out_of_sight() -> ScanFailed:
    return ScanFailed(
        "this engine does not see the files of this machine, and so its scanner would not.",
        hint=f"put Trivy on PATH, or install {REQUIREMENTS}",
    )


def _checked(code: int, said: bytes, complaints: bytes) -> bytes:
    """What was said, if it ended well. Raises ScanFailed with its last words."""
    if code == 0:
        return said
    if code < 0 or code == 137:
        raise ScanFailed(
            f"the scanner was killed (signal {-code if code < 0 else 9}).",
            hint="is there enough memory?",
        )
    words = complaints.decode("utf-8", "replace").split("Fatal error")[-1].strip()
    lines = [line.strip(" *\t") for line in words.splitlines() if line.strip()]
    seen = " ".join(lines).removeprefix("run error: ")[:400] or "it said nothing"
    raise ScanFailed(f"the scanner ended with {code}: {seen}", hint=_hint(seen))


def _hint(seen: str) -> str:
    if "Java DB" in seen:
        return "images with .jar files need Trivy's Java database too, in TRIVY_CACHE_DIR"
    if "as a Docker image" in seen or "manifest.json not found" in seen:
        return "Trivy reads what `docker save` writes: is the archive whole?"
    return ""
