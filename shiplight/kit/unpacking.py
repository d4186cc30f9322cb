"""Unpacking a kit on a machine without a network: all is verified before any of it is used."""

import hashlib
import itertools
import os
import platform
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from .. import engine, files, image, progress, setup
from ..builds import mirrored, recipes
from ..engine import journal
from ..errors import ArchiveError, UsageError
from ..references import canonical, tagged
from ..scans import REQUIREMENTS, has_scanner
from ..setup import PROGRAM, ROOT
from ..units import format_bytes, one_line
from . import packages, wheels
from .manifest import MOST_BYTES, NAME, Manifest, Member
from .packing import BASES, BLOCK, SCANNER, SCANNER_FOR

# tarfile raises many errors over bad headers: of numbers, sizes and headers that follow each other.
_TAR_FAILS = (
    tarfile.TarError, ValueError, LookupError, OverflowError, MemoryError, RecursionError,
)  # fmt: skip


def unpack(client, kit: Path) -> Manifest:
    """Verify a kit, then load its bases and put its other files in their places.

    Where it has what RUN steps download, all builds of this lab use that from now on. Where it has
    the scanner, and there is none here, that is installed.

    What an interrupted unpacking had verified is not read again. `client` may be None: then no
    base is loaded. Raises UsageError for what is not a whole kit, EngineFailed, LabFolderFailed.
    """
    manifest = verify(client, kit)
    entries = []
    if has_packages(manifest):
        entries = packages.entries_of(_folder() / packages.INDEX, manifest)
    if client is not None:
        _load(client, manifest)
        (_folder() / BASES).unlink()
        if entries:
            packages.replay(client, _folder() / packages.FOLDER, entries)
            shutil.rmtree(_folder() / packages.FOLDER)
    for member in manifest.members:
        target = _place_of(member)
        if target is not None and not target.exists():
            _put(_folder() / member.name, target)
    if any(one.name.startswith(f"{SCANNER}/") for one in manifest.members):
        _install_scanner(client)
    return manifest


def verify(client, kit: Path) -> Manifest:
    """Copy every file of a kit into this lab's folder, each checked; return the manifest.

    Images for another platform are refused before anything is copied. Raises UsageError.
    """
    with journal.writable():
        folder = files.private_folder(_folder())
        return _each(
            kit,
            lambda source, member: _copy_missing(source, folder, member),
            accept=lambda manifest: _refuse_other_platform(client, manifest),
        )


def check_kit(kit: Path) -> Manifest:
    """Return the manifest of a kit in which every file is whole; write nothing.

    Raises UsageError for what is not a whole kit.
    """
    return _each(kit, _refuse_damaged, accept=lambda manifest: None)


def _each(
    kit: Path,
    use: Callable[[BinaryIO, Member], object],
    *,
    accept: Callable[[Manifest], object],
) -> Manifest:
    """Let `use` read every file of a kit, in order, once `accept` has the manifest.

    Raises UsageError for what is not whole.
    """
    if not kit.is_file():
        raise UsageError(f"there is no file {kit}.", hint=f"`{PROGRAM} pack` writes one")
    done = 0
    with open(kit, "rb") as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                manifest = _manifest(tar)
                if manifest.bytes > os.fstat(file.fileno()).st_size:
                    raise _damaged("its manifest has more bytes than it has itself")
                accept(manifest)
                wanted = {one.name: one for one in manifest.members}
                if BASES not in wanted:
                    raise _damaged("it has no base images")

                def draw() -> str:
                    of = format_bytes(manifest.bytes)
                    return f"Verifying the kit · {format_bytes(done)} of {of}"

                with progress.Screen(draw):
                    for entry in itertools.islice(tar, 1, None):  # behind the manifest
                        member = wanted.pop(entry.name, None)
                        if member is None or not _is_plain(entry) or entry.size != member.bytes:
                            raise _damaged("it holds something that its manifest does not name")
                        use(tar.extractfile(entry), member)
                        done += member.bytes
        except _TAR_FAILS as error:
            raise _damaged("it is not a whole tar archive") from error
    if wanted:
        raise _damaged(f"{len(wanted)} of its files are missing")
    return manifest


def _copy_missing(source: BinaryIO, folder: Path, member: Member) -> None:
    if not _is_whole(folder / member.name, member):
        _copy(source, folder / member.name, member)


def _refuse_damaged(source: BinaryIO, member: Member) -> None:
    if hashlib.file_digest(source, "sha256").hexdigest() != member.sha256:
        raise _damaged(f"{member.name} is damaged")


def _manifest(tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    if first is None or first.name != NAME or not _is_plain(first) or first.size > MOST_BYTES:
        raise _damaged("it does not begin with a manifest")
    return Manifest.from_json(tar.extractfile(first).read())


def _is_plain(entry: tarfile.TarInfo) -> bool:
    """Whether it is a file with every byte of it in the kit: a sparse one claims what it likes."""
    return entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not entry.issparse()


def _copy(source, place: Path, member: Member) -> None:
    """Write one file; it has its name only once its digest is the one that the manifest has."""
    digest = hashlib.sha256()
    files.private_folder(place.parent)
    with files.replacing(place, private=True, ours=True) as file:
        while block := source.read(BLOCK):
            digest.update(block)
            file.write(block)
        if digest.hexdigest() != member.sha256:
            raise _damaged(f"{member.name} is damaged")


def _is_whole(place: Path, member: Member) -> bool:
    if place.is_symlink() or not place.is_file() or place.stat().st_size != member.bytes:
        return False
    with open(place, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == member.sha256


def _refuse_other_platform(client, manifest: Manifest) -> None:
    if client is not None and engine.described(client).platform != manifest.platform:
        raise UsageError(
            f"the images of this kit are for {manifest.platform}, and this engine is "
            f"{engine.described(client).platform}.",
            hint="pack one on a machine of that kind",
        )


def _load(client, manifest: Manifest) -> None:
    """Load the bases, and journal those that were not here. Raises UsageError where one lacks."""
    names = {name: _names_of(name) for name in manifest.bases}
    _refuse_other_names(_folder() / BASES, names)
    before = {one for both in names.values() for one in both if engine.has_image(client, one)}
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        for chunk in image.plain_blocks(_folder() / BASES):
            read += len(chunk)
            yield chunk

    with progress.Screen(lambda: f"Loading base images · {format_bytes(read)}"):
        engine.load_images(client, chunks())
    for name, both in names.items():
        here = [one for one in both if engine.has_image(client, one)]
        if not here:
            raise _damaged(f"it names {name}, and its images have none")
        for one in here:
            if one not in before:
                engine.remember_image(client, one)


def _refuse_other_names(archive: Path, names: dict[str, list[str]]) -> None:
    """Refuse an archive that would give any name but those of the kit's bases to an image."""
    known = {canonical(one) for name, both in names.items() if name in recipes() for one in both}
    known |= {f"localhost/{one}" for one in known}  # as Podman calls what is only there
    try:
        found = {canonical(name) for name in image.names_loaded(archive)}
    except ArchiveError as error:
        raise _damaged("its base images are not an archive of images") from error
    if outside := sorted(found - known):
        raise _damaged(f"its archive of base images has another one, {one_line(outside[0], 80)}")


def _names_of(reference: str) -> list[str]:
    """What an engine can call a base: its own name, its equivalent's, or that on its mirror."""
    recipe = recipes().get(reference)
    names = [tagged(reference), recipe.equivalent if recipe else None, mirrored(reference)]
    return [name for name in names if name]


def _place_of(member: Member) -> Path | None:
    """Where a file belongs outside the kit's own folder; None where it stays there."""
    if member.name.startswith("trivy/db/") and not os.environ.get("TRIVY_CACHE_DIR"):
        return journal.cache("trivy") / member.name.removeprefix("trivy/")
    return ROOT / member.name if member.name.startswith("recordings/") else None


def _put(source: Path, target: Path) -> None:
    """Copy a verified file to where it belongs, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(source, "rb") as read, files.replacing(target) as written:
        shutil.copyfileobj(read, written, BLOCK)


def _install_scanner(client) -> None:
    """Install the scanner where there is none and its package is for this machine."""
    here = {"sys_platform": sys.platform, "platform_machine": platform.machine()}
    if not here.items() <= wheels.PLATFORMS[SCANNER_FOR][1].items() or has_scanner(client):
        return
    try:
        setup.add(REQUIREMENTS, folder=_folder() / SCANNER)
    except setup.SetupFailed as error:
        setup.say(f"the scanner could not be installed: {error}")


def has_packages(manifest: Manifest) -> bool:
    """Return whether a kit has what RUN steps download."""
    return manifest.has(packages.INDEX)


def wheels_of(manifest: Manifest) -> list[Path]:
    """Return the folders with Python packages, one for each platform that the kit has."""
    names = {one.name.split("/")[1] for one in manifest.members if one.name.startswith("wheels/")}
    return [_folder() / "wheels" / name for name in sorted(names)]


def _folder() -> Path:
    return journal.cache("kit") / "unpacked"


def _damaged(why: str) -> UsageError:
    return UsageError(
        f"this is not a whole kit: {why}.", hint="copy it again from where it was packed"
    )
