"""Run Trivy on one saved image; return its report or its list of packages, unchanged."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..errors import ArchiveError, ImageUnclear, ScanFailed
from ..image import (
    Files,
    Manifest,
    Saved,
    add_image,
    files_of,
    manifests,
    meant,
    packing,
    plain_blocks,
    write_index,
)
from ..units import format_bytes
from .running import Argument, run_container, run_program
from .trivy import OFFLINE, Database, Scanner

SPARE_BYTES = 200_000_000  # left on the disk beside what is written there to be scanned


def report_on(
    scanner: Scanner,
    data: Database,
    saved: Saved,
    place: Path,
    *,
    client=None,
    platform: str | None = None,
    exported: bool = False,
) -> dict:
    """Return Trivy's report on a saved image, unchanged.

    `exported`: the archive comes from an engine and contains only this image. Raises ScanFailed,
    and ImageUnclear where it has several images and none of them is chosen.
    """
    given = _given(saved, place, platform, exported=exported)
    command = [
        *("--cache-dir", data.folder, "image", "--cache-backend", "memory"),  # writes nothing
        *("--format", "json", "--scanners", "vuln", *OFFLINE, "--input"),
    ]
    said = _run(scanner, [*command, given], place, client)
    try:
        read = json.loads(said)
    except ValueError as error:
        raise ScanFailed(f"the report of {scanner} is not JSON ({error}).") from error
    if not isinstance(read, dict) or read.get("SchemaVersion") != 2:
        raise ScanFailed(f"the report of {scanner} is not in its second format.")
    return read


def _given(saved: Saved, place: Path, platform: str | None, *, exported: bool) -> Path:
    """The path for Trivy: the archive itself, or a layout of the chosen image.

    If it cannot be read and no image was chosen, Trivy reports why.
    """
    archive = Path(saved.path).absolute()
    asked = not exported and (saved.is_folder or saved.name or platform)
    try:
        plain = archive if saved.is_folder else _plain(archive, place)
        with files_of(plain) as files:
            chosen = meant(files, saved.name, platform)
            if not (saved.is_folder or _needs_a_layout(files, chosen)):
                return plain
            return _as_layout(files, chosen, place)
    except ImageUnclear:
        if exported:
            return archive
        raise
    except ArchiveError as error:
        if asked:
            raise ScanFailed(error.message, hint=error.hint) from error
        return archive
    except OSError as error:
        raise ScanFailed(f"{archive} cannot be unpacked: {error}") from error


def _plain(archive: Path, place: Path) -> Path:
    """The archive; decompressed into `place` if it is compressed as a whole."""
    plain = place / "plain.tar"
    with open(plain, "wb") as file:
        for block in plain_blocks(archive):
            _need_room(archive, len(block), place)
            file.write(block)
    return plain if plain.stat().st_size else archive


def _needs_a_layout(files: Files, chosen: Manifest) -> bool:
    """Whether Trivy cannot read the archive, or not this image in it.

    It reads archives with manifest.json and one image, and expects every layer to be compressed
    like the first: it fails if that is plain and a later one is compressed, as the containerd store
    saves an image whose base was loaded.
    """
    if files.get("manifest.json") is None or len(manifests(files)) > 1:
        return True
    kinds = [packing(next(files.blocks(path), b"")) for path in chosen.layers if files.get(path)]
    return bool(kinds) and not kinds[0] and any(kinds)


def _as_layout(files: Files, chosen: Manifest, place: Path) -> Path:
    """Write one image as an OCI layout; return its folder. Raises ScanFailed, ArchiveError."""
    folder = place / "layout"
    paths = dict.fromkeys([chosen.config, *chosen.layers])
    _need_room(folder, sum(files.size(path) for path in paths if files.get(path)), place)
    write_index(folder, [add_image(files, chosen, folder)])
    return folder


def _need_room(what: Path, needed: int, place: Path) -> None:
    free = shutil.disk_usage(place).free
    if needed > free - SPARE_BYTES:
        raise ScanFailed(
            f"{what} has to be unpacked to be scanned, and only {format_bytes(free)} are free in "
            f"{place}.",
            hint="free some space there",
        )


def package_list(scanner: Scanner, report: dict, form: str, place: Path, *, client=None) -> bytes:
    """Return the packages of a report of Trivy's, as CycloneDX or SPDX JSON. Raises ScanFailed."""
    saved = place / "report.json"
    saved.write_text(json.dumps(report), encoding="utf-8")
    return _run(scanner, ["convert", "--quiet", "--format", form, saved], place, client)


def _run(scanner: Scanner, command: Sequence[Argument], place: Path, client) -> bytes:
    if scanner.program is not None:
        return run_program(scanner.program, command, place)
    return run_container(client, scanner.image, command)
