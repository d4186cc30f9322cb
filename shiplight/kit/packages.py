"""What RUN steps download: recorded while lessons' variants are built, and replayed from a kit.

In a kit, `packages/index.jsonl` has one answer a line: the method, the URL and the `Accept` that it
answers, its status, the headers that matter, and the SHA-256 and the bytes of its body, which is
the file of that name in `packages/`. Equal bodies are there once.
"""

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .. import engine, files, progress, setup
from ..builds import assembling, build, order, packages, provide
from ..dockerfile import read_sources
from ..engine import journal
from ..errors import UsageError
from ..lessons import answered, exercises, run, shelf
from ..units import format_bytes, one_line
from . import proxy
from .manifest import Manifest

BASE = "python:3.13-slim"  # what the proxy runs in
FOLDER, INDEX = "packages", f"packages/{proxy.INDEX}"
MOST_BYTES = 20_000_000  # of the index


# --- recording ---------------------------------------------------------------------------------


def record(client, variants: Iterable[str], target: Path, *, lessons: Iterable[Path] = ()) -> None:
    """Build these variants, or folders, with nothing cached; write what they download to a folder.

    Of `lessons`, the solutions of their exercises are built too, and then they are run, since other
    cells may build something. One that does not come to its end is told, and the others are run.
    The folder is there whole or not at all. Raises what building raises, and EngineFailed.
    """
    with files.making(target) as part, recording(client) as container:
        for variant in variants:
            build(client, variant, no_cache=True)
        for lesson in lessons:
            for found, text in solutions_of(lesson):
                answered(client, found, text, name=f"kit/{found.id}")
            if failure := run(lesson).failure:
                setup.say(f"{lesson.stem} did not come to its end: {one_line(failure, 300)}")
                setup.say("  the kit has what it downloaded until then")
        part.mkdir(mode=0o700)
        _get(container, part)


def solutions_of(lesson: Path) -> Iterator[tuple[exercises.Exercise, str]]:
    """Yield every solution that is kept for the exercises of a lesson, with its exercise."""
    for found in exercises.every():
        if found.id.startswith(lesson.stem[:2]):
            for path in found.solutions():
                yield found, path.read_text(encoding="utf-8")


def key_of(variants: Iterable[str], lessons: Iterable[Path] = ()) -> str:
    """Return a digest of what is built, and of the day: what is downloaded changes."""
    parts = [time.strftime("%Y-%m-%d", time.gmtime())]
    for one in map(order, variants):
        sources = read_sources(one.folder, dockerfile=one.dockerfile)
        parts.append([one.tag, one.text, sources.context().digests()])
    for lesson in lessons:
        cells = shelf.committed(lesson).cells
        parts.append([lesson.stem, [cell.source for cell in cells if cell.cell_type == "code"]])
        parts.append([text for _, text in solutions_of(lesson)])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@contextmanager
def recording(client) -> Iterator:
    """Let all builds of this lab go through a proxy that records, until the block is left."""
    trusted = assembling.ca_bundle(client)
    given = {proxy.UPSTREAM: io.BytesIO(trusted)} if trusted else {}
    container = _started(client, given)
    try:
        yield container
    finally:
        packages.use(None)
        engine.remove_container(container)


def _get(container, target: Path) -> None:
    """Copy index and answers out of a proxy's container."""
    with tempfile.TemporaryFile() as copied:
        for name in (proxy.INDEX, proxy.ANSWERS):
            with engine.translated("reading what was recorded"):
                chunks, _ = container.get_archive(f"/{FOLDER}/{name}")
                copied.seek(0)
                copied.truncate()
                copied.writelines(chunks)
            copied.seek(0)
            with tarfile.open(fileobj=copied) as tar:
                for member in filter(tarfile.TarInfo.isfile, tar):
                    with open(target / Path(member.name).name, "wb") as file:
                        shutil.copyfileobj(tar.extractfile(member), file)


# --- replaying ---------------------------------------------------------------------------------


def replay(client, folder: Path, entries: list[dict]) -> None:
    """Start the proxy that answers from a folder, and let all builds of this lab use it.

    One of another kit is removed; one of this kit stays, and with it its CA and what was built with
    that. Raises EngineFailed, BaseNotAvailable.
    """
    index, running = folder / proxy.INDEX, packages.proxy_on(client)
    kit = hashlib.sha256(files.read(index, MOST_BYTES)).hexdigest()
    if running is not None and running.kit == kit and running.is_there(client):
        return
    names = sorted({entry["sha256"] for entry in entries})
    bodies = {f"{proxy.ANSWERS}/{name}": folder / name for name in names}
    _started(client, {proxy.INDEX: index} | bodies, kit=kit)


def _started(client, given: dict[str, Path | BinaryIO], *, kit: str = ""):
    """A running proxy with these files, which builds use; without `kit`, it records.

    Raises EngineFailed, BaseNotAvailable.
    """
    mode = "replay" if kit else "record"
    packages.use(None)
    if old := engine.find_container(client, _name()):
        engine.remove_container(old)
    [base] = provide(client, [BASE])
    program = f"/{FOLDER}/{Path(proxy.__file__).name}"
    with engine.translated("starting the proxy of the kit"):
        container = client.containers.create(
            base.used,
            ["python", program, mode, str(packages.PORT)],
            name=_name(),
            labels=journal.made(),
            tmpfs={"/keys": "mode=0700"},
            cap_drop=["ALL"],
            restart_policy={"Name": "unless-stopped"} if kit else None,
        )
        try:
            _put(container, {Path(program).name: Path(proxy.__file__)} | given)
            container.start()
            engine.wait_until_listening(
                container, "the proxy of the kit", hint="run the command again"
            )
            ca = _file(container, proxy.CA).decode("ascii")
            packages.use(packages.Proxy(container.id, engine.identity(client), ca, kit))
        except BaseException:
            engine.remove_container(container)
            raise
    return container


def _name() -> str:
    return f"shiplight-{journal.lab_id()}-packages"


def _put(container, given: dict[str, Path | BinaryIO]) -> None:
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, source in given.items():
                with open(source, "rb") if isinstance(source, Path) else source as file:
                    member = tarfile.TarInfo(f"{FOLDER}/{name}")
                    member.size, member.mode = file.seek(0, io.SEEK_END), 0o644
                    file.seek(0)
                    tar.addfile(member, file)
        size = packed.tell()
        packed.seek(0)
        with progress.Screen(lambda: f"Copying packages to the engine · {format_bytes(size)}"):
            container.put_archive("/", packed)


def _file(container, name: str) -> bytes:
    chunks, _ = container.get_archive(f"/{FOLDER}/{name}")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        return tar.extractfile(tar.next()).read()


# --- the index ---------------------------------------------------------------------------------


def entries_of(index: Path, manifest: Manifest) -> list[dict]:
    """Return the entries of a kit's index, each checked against the manifest.

    Raises UsageError for an entry that the proxy does not write, or whose body is not in the kit,
    and for a body that no entry has.
    """
    its = {one.name: one for one in manifest.members if one.name.startswith(f"{FOLDER}/")}
    its.pop(INDEX, None)
    bodies = {name.removeprefix(f"{FOLDER}/"): member for name, member in its.items()}
    if any(member.sha256 != name for name, member in bodies.items()):
        raise _refused("a package is not named by its digest")
    found = []
    with suppress(OSError, UnicodeError, ValueError, RecursionError):
        found = [json.loads(line) for line in files.read(index, MOST_BYTES).splitlines()]
    if not found:
        raise _refused("the index of its packages cannot be read")
    for entry in found:
        if not proxy.is_entry(entry):
            raise _refused("the index of its packages has a line that no kit has")
        body = bodies.get(entry["sha256"])
        if body is None or body.bytes != entry["bytes"]:
            raise _refused("the index of its packages names one that it does not have")
    if bodies.keys() - {entry["sha256"] for entry in found}:
        raise _refused("it has a package that its index does not name")
    return found


def _refused(why: str) -> UsageError:
    return UsageError(f"this is not a kit that can be used: {why}.", hint="ask for the kit again")
