"""Packing a kit: base images, packages, the scanner's database, recordings, in one file.

What takes long is kept in this lab's folder once it is whole, so that packing again, after an
interruption or for more lessons, begins with it.
"""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import zstandard

from .. import engine, files, progress
from ..builds import here, provide
from ..engine import journal
from ..errors import ScannerMissing
from ..lessons import needed_by
from ..scans import REQUIREMENTS, database_folder
from ..setup import ROOT
from ..units import format_bytes
from . import packages, wheels
from .manifest import NAME, Manifest, Member

BASES, BLOCK = "bases.tar.zst", 1 << 20
SCANNER = "scanner"  # the folder with its package, which there is for one platform
SCANNER_FOR = "linux/amd64"


@dataclass(frozen=True)
class Plan:
    """What a kit will hold, before anything of it is made or fetched.

    `missing` are the bases that are not here yet; `image_bytes` are those of the others, before
    compression. `scanner` is where the scanner's database is, if it is here. `variants` and `runs`,
    of lessons, are those whose downloads it will have.
    """

    lessons: tuple[str, ...]
    platform: str
    bases: tuple[str, ...]
    missing: tuple[str, ...]
    image_bytes: int
    scans: bool
    scanner: Path | None
    wheels_for: tuple[str, ...]
    variants: tuple[str, ...] = ()
    runs: tuple[Path, ...] = ()

    @property
    def has_packages(self) -> bool:
        """Whether it will have anything of what RUN steps download."""
        return bool(self.variants or self.runs)

    @property
    def has_program(self) -> bool:
        """Whether it will have the scanner itself."""
        return self.scans and self.platform == SCANNER_FOR

    @property
    def sentence(self) -> str:
        """What it weighs at most, part by part."""
        images = "1 base image" if len(self.bases) == 1 else f"{len(self.bases)} base images"
        parts = [f"{images}, {format_bytes(self.image_bytes)} before "
                 "compression"]  # fmt: skip
        if self.missing:
            parts.append(f"not here yet and not weighed: {', '.join(self.missing)}")
        if self.scans and not self.scanner:
            parts.append("no database of the scanner, which is not here")
        if self.scanner:
            parts.append(f"the scanner's database, {format_bytes(files.bytes_in(self.scanner))}")
        if self.has_program:
            parts.append("the scanner itself")
        parts.append(f"recordings, {format_bytes(files.bytes_in(ROOT / 'recordings'))}")
        parts += [f"Python packages for {one}" for one in self.wheels_for]
        if self.runs:
            named = ", ".join(lesson.stem[:2] for lesson in self.runs)
            what = f"what the builds of {named} and the solutions of their exercises download"
            parts.append(f"{what}, not weighed yet")
        return "; ".join(parts)


def plan(
    client, lessons: list[Path], *, wheels_for: tuple[str, ...] = (), with_packages: bool = False
) -> Plan:
    """Return what a kit for these lessons will hold; gets nothing. Raises UsageError.

    `with_packages`: also what the RUN steps of their builds download.
    """
    wheels.refuse_unknown(wheels_for)
    needs = needed_by(*lessons)
    variants = needs.variants if with_packages else ()
    wanted = dict.fromkeys((*needs.bases, *((packages.BASE,) if with_packages else ())))
    found = {name: here(client, name) for name in wanted}
    sizes = [engine.inspect_image(client, base.used)["Size"] for base in found.values() if base]
    scanner = None
    with suppress(ScannerMissing):
        scanner = database_folder() if needs.scans else None
    return Plan(
        lessons=tuple(lesson.stem for lesson in lessons),
        platform=engine.described(client).platform,
        bases=tuple(wanted),
        missing=tuple(name for name, base in found.items() if base is None),
        image_bytes=sum(sizes),
        scans=needs.scans,
        scanner=scanner,
        wheels_for=wheels_for,
        variants=variants,
        runs=tuple(lessons) if with_packages else (),
    )


def pack(client, planned: Plan, target: Path) -> Manifest:
    """Write the kit, whole or not at all, and return its manifest; gets the bases that are missing.

    With packages, it builds all that with nothing cached, and runs the lessons. Raises
    BaseNotAvailable, BuildFailed, EngineFailed, OSError.
    """
    images = [base.used for base in provide(client, planned.bases)]
    stage = files.private_folder(journal.cache("kit") / "packing")
    sources = _packages(client, planned, stage)  # first: a build can fail
    sources[BASES] = _bases(client, images, stage)
    for platform in planned.wheels_for:
        name = f"wheels/{platform.replace('/', '-')}"
        sources |= _wheels(name, platform, "requirements.txt", stage)
    if planned.has_program:
        sources |= _wheels(SCANNER, SCANNER_FOR, REQUIREMENTS, stage)
    if planned.scanner:
        for name in ("trivy.db", "metadata.json"):
            sources[f"trivy/db/{name}"] = planned.scanner / "db" / name
    for path in _below(ROOT / "recordings"):
        sources[f"recordings/{path.relative_to(ROOT / 'recordings').as_posix()}"] = path
    members = tuple(_member(name, path) for name, path in sources.items())
    manifest = Manifest(planned.lessons, planned.platform, planned.bases, members)
    with files.replacing(target) as file, tarfile.open(fileobj=file, mode="w") as tar:
        text = manifest.to_json().encode()
        _add(tar, NAME, io.BytesIO(text), len(text))
        for member in members:
            with open(sources[member.name], "rb") as source:
                _add(tar, member.name, source, member.bytes)
    return manifest


def _bases(client, images: list[str], stage: Path) -> Path:
    """All bases in one archive, their layers once; kept while the engine's images are the same."""
    ids = sorted(engine.inspect_image(client, used)["Id"] for used in images)
    key = hashlib.sha256(json.dumps([ids, sorted(images)]).encode()).hexdigest()
    place = stage / f"bases-{key[:16]}.tar.zst"
    if place.is_file():
        return place
    for old in stage.glob("bases-*"):
        old.unlink()
    read = 0

    def draw() -> str:
        return f"Exporting base images · {format_bytes(read)}"

    with progress.Screen(draw), files.replacing(place, private=True) as file:
        packer = zstandard.ZstdCompressor(level=3, write_checksum=True)
        with (
            packer.stream_writer(file, closefd=False) as packed,
            engine.export_images(client, images) as chunks,
        ):
            for chunk in chunks:
                packed.write(chunk)
                read += len(chunk)
    return place


def _packages(client, planned: Plan, stage: Path) -> dict[str, Path]:
    """What the builds download; kept for a day, while their files are the same."""
    if not planned.has_packages:
        return {}
    folder = stage / f"packages-{packages.key_of(planned.variants, planned.runs)[:16]}"
    if not folder.is_dir():
        for old in stage.glob("packages-*"):
            shutil.rmtree(old)
        packages.record(client, planned.variants, folder, lessons=planned.runs)
    return {f"{packages.FOLDER}/{path.name}": path for path in _below(folder)}


def _wheels(name: str, platform: str, requirements: str, stage: Path) -> dict[str, Path]:
    """What a locked file has for a platform, for a folder of the kit; kept while it is the same."""
    key = hashlib.sha256((ROOT / requirements).read_bytes()).hexdigest()[:16]
    folder = stage / f"{name.replace('/', '-')}-{key}"
    if not folder.is_dir():
        with files.making(folder) as part:
            wheels.download(part, platform, requirements)
    return {f"{name}/{path.name}": path for path in _below(folder)}


def _member(name: str, path: Path) -> Member:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return Member(name, path.stat().st_size, digest.hexdigest())


def _add(tar: tarfile.TarFile, name: str, content, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    tar.addfile(member, content)


def _below(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())
