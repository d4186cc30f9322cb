"""Scan an image of the engine or an archive: export it, run the scanner, store the result."""

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from .. import engine, files, progress, recordings
from ..builds import kind_of_image
from ..engine import journal
from ..errors import ScanFailed, ScannerMissing, UsageError
from ..image import LayerStore, Saved, find_saved_for, not_saved, platform_inspected, platform_of
from ..setting import Setting
from ..units import format_bytes
from . import asking, trivy
from .asking import SPARE_BYTES
from .findings import ScanReport, read_report, scanned_by, unknown
from .trivy import Database, Scanner


def scan(client, what, *, platform: str | None = None) -> ScanReport:
    """Scan a build, an image by its name, or the archive at a path for known vulnerabilities.

    An archive, or an OCI layout in a folder, takes precedence over an image of the same name; a
    name after the path chooses among several images, and `platform` among its platforms. `client`
    may then be None. An image that this scanner has scanned before, with this database, is not
    scanned again. Shows its progress. Without a scanner or a database (`trivy.provide` gets both),
    or if the scan fails, the report is *unknown*. Raises ImageNotFound, ImageUnclear,
    EngineFailed, UsageError.
    """
    try:
        return _scanned(client, what, platform)
    except ScannerMissing as error:
        return unknown(_name(what), error)


@recordings.replayed(ScanReport, packed=True)
def _scanned(client, what, platform=None) -> ScanReport:
    try:
        said, setting, _, database = _said(client, what, platform)
        report = read_report(said, name=_name(what))
    except ScanFailed as error:
        return unknown(_name(what), error)
    return replace(report, database_date=database.date, snapshot=database.snapshot, setting=setting)


@dataclass(frozen=True)
class Prepared:
    """The scanner and the database that scans use, and their setting."""

    scanner: str
    database_date: str
    snapshot: bool
    setting: Setting = field(repr=False, compare=False)

    def __repr__(self) -> str:
        used = "used here" if self.setting.mode == "measured" else "recorded, not used here"
        return f"{scanned_by(self.scanner, self.database_date, self.snapshot)} · {used}"

    def to_dict(self) -> dict:
        """Return both as JSON."""
        return vars(self) | {"setting": self.setting.to_dict()}

    @classmethod
    def from_dict(cls, data: dict) -> "Prepared":
        """Return what `to_dict` wrote."""
        return cls(**data | {"setting": Setting.from_dict(data["setting"])})


@recordings.replayed(Prepared)
def prepare(client) -> Prepared:
    """Return scanner and database, downloading what is missing; `scan` then uses these.

    Without an engine, or if neither is available and scans were recorded, return those of the
    recordings. Raises ScannerMissing if there are none.
    """
    scanner, database = trivy.provide(client)
    setting = engine.setting(client, bases="none")
    return Prepared(str(scanner), database.date, database.snapshot, setting)


@recordings.replayed(packed=True)
def package_list(client, what, *, form: str = "cyclonedx", platform: str | None = None) -> dict:
    """Return the packages of an image as CycloneDX, or as SPDX with `form="spdx-json"`.

    Raises ScannerMissing, ScanFailed.
    """
    said, _, scanner, _ = _said(client, what, platform)
    with journal.workplace() as place:
        named = said | {"ArtifactName": _name(what)}
        return json.loads(asking.package_list(scanner, named, form, place, client=client))


def write_package_list(client, what, path: Path, *, platform: str | None = None) -> None:
    """Write the packages of an image: SPDX JSON to a file named `….spdx.json`, else CycloneDX.

    Raises ScannerMissing, ScanFailed, or UsageError if the file cannot be written.
    """
    form = "spdx-json" if path.name.endswith(".spdx.json") else "cyclonedx"
    packages = package_list(client, what, form=form, platform=platform)
    try:
        files.write(path, json.dumps(packages, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


def _name(what) -> str:
    return os.fspath(getattr(what, "tag", what))


def _said(client, what, platform: str | None) -> tuple[dict, Setting, Scanner, Database]:
    """The scanner's report, new or stored, and its setting."""
    name = _name(what)
    saved = find_saved_for(name, platform)
    found = None if saved else _image(client, name, what)
    key = _saved_key(saved, platform) if saved else _image_key(found)
    scanner, database = trivy.find(client), trivy.database()
    key = f"{key} {scanner.version} {database.date}"
    store = LayerStore(journal.cache("layers", with_caches=True))
    known = store.scan(key)
    if known is None:
        state = f"Exporting {name}"
        with progress.Screen(lambda: state), journal.workplace() as place:
            if exported := saved is None:
                archive, platform = place / "image.tar", platform_inspected(found) or None
                for total in _export(client, name, archive):
                    state = f"Exporting {name} · {format_bytes(total)}"
            state = f"Scanning {name} with {scanner}, {database} …"
            said = asking.report_on(
                scanner,
                database,
                saved or Saved(str(archive)),
                place,
                client=client,
                platform=platform,
                exported=exported,
            )
        setting = _setting(client, name, said, on_engine=exported)
        known = {"said": said, "setting": setting.to_dict()}
        store.put_scan(key, known)
    return known["said"], Setting.from_dict(known["setting"]), scanner, database


def _image(client, name: str, what) -> dict:
    if client is None or isinstance(what, os.PathLike):
        raise not_saved(name)
    return engine.inspect_image(client, name)


def _image_key(info: dict) -> str:
    """The key of an image. An Id can be that of an index, so the platform is part of the key."""
    return f"{info['Id']} {platform_inspected(info)}"


def _saved_key(saved: Saved, platform: str | None) -> str:
    """The key of an archive or folder; it changes when any of its files is written.

    A digest costs 5 % of a scan.
    """
    path = Path(saved.path)
    files = sorted(path.rglob("*")) if saved.is_folder else [path]
    seen = [file.lstat() for file in files]
    parts = [(s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in seen]
    words = ["archive", *("-".join(map(str, part)) for part in parts)]
    return " ".join([*words, *filter(None, (saved.name, platform))])


def _export(client, name: str, archive: Path) -> Iterable[int]:
    """Save an image of the engine; yield the bytes written so far."""
    total, least = 0, engine.inspect_image(client, name).get("Size") or 0
    free = shutil.disk_usage(archive.parent).free
    if free < least + SPARE_BYTES:
        raise ScanFailed(
            f"{name} has to be exported ({format_bytes(least)}) to be scanned, and only "
            f"{format_bytes(free)} are free in {journal.path()}.",
            hint="free some space there, or scan an archive that is elsewhere",
        )
    try:
        with engine.export_image(client, name) as chunks, open(archive, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
                total += len(chunk)
                yield total
    except OSError as error:
        raise ScanFailed(f"{name} could not be written to {archive}: {error}") from error


def _setting(client, name: str, said: dict, *, on_engine: bool) -> Setting:
    """Where this was scanned, and the kind of bases of the image."""
    config = said.get("Metadata", {}).get("ImageConfig", {})
    labels = (config.get("config") or {}).get("Labels") or {}
    bases = kind_of_image(name, labels)
    if on_engine:
        return engine.setting(client, bases=bases)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Setting("a saved archive", "", platform_of(config), bases, when)
