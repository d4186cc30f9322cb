"""What Trivy says of one saved image, as it says it: its report, its list of packages."""

import json
import re
import shutil
import tarfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from ..errors import ScanFailed
from ..image import MAX_FILES, MAX_JSON, packing
from ..units import format_bytes
from .running import Argument, run_container, run_program
from .trivy import OFFLINE, Database, Scanner

SPARE_BYTES = 200_000_000  # left on the disk beside what is written there to be scanned
LAYOUT = re.compile(r"(\./)?(index\.json|oci-layout|blobs/\w+/\w+)")  # what an OCI archive holds
# What reading JSON of a stranger can raise.
NOT_AS_DESCRIBED = LookupError, ValueError, TypeError, AttributeError, RecursionError


def report_on(scanner: Scanner, data: Database, archive: Path, place: Path, *, client=None) -> dict:
    """Return Trivy's report on a saved image, unchanged. Raises ScanFailed."""
    command = [
        *("--cache-dir", data.folder, "image", "--cache-backend", "memory"),  # writes nothing
        *("--format", "json", "--scanners", "vuln", *OFFLINE, "--input"),
    ]
    given = _unpacked(archive, place) if _only_a_layout(archive) else archive
    said = _run(scanner, [*command, given], place, client)
    try:
        read = json.loads(said)
    except ValueError as error:
        raise ScanFailed(f"the report of {scanner} is not JSON ({error}).") from error
    if not isinstance(read, dict) or read.get("SchemaVersion") != 2:
        raise ScanFailed(f"the report of {scanner} is not in its second format.")
    return read


def _only_a_layout(archive: Path) -> bool:
    """Whether this is an OCI archive that Trivy reads from an unpacked folder only.

    So it is without manifest.json. With it, Trivy takes every layer for what the first one is: it
    fails where that is plain and a later one is packed, as the containerd store saves an
    image whose base was loaded.
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
                    hint="free some space there",
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
    """Return the packages of a report of Trivy's, as CycloneDX or SPDX JSON. Raises ScanFailed."""
    saved = place / "report.json"
    saved.write_text(json.dumps(report), encoding="utf-8")
    return _run(scanner, ["convert", "--quiet", "--format", form, saved], place, client)


def _run(scanner: Scanner, command: Sequence[Argument], place: Path, client) -> bytes:
    if scanner.program is not None:
        return run_program(scanner.program, command, place)
    return run_container(client, scanner.image, command)
