"""Whether a machine is ready for lessons: a learner's the day before, and a teacher's.

A learner's check ends in one line for the teacher. It has versions, counts and the ids of lessons:
nothing of it is taken from a name, a path or an address of the machine.
"""

import os
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import engine, recordings
from ..builds import build, here, kind_of
from ..catalogue import APPS
from ..errors import ShipLightError, UsageError
from ..inspection import probe
from ..lessons import needed_by, shelf
from ..setup import PROGRAM
from ..units import format_bytes, parse_bytes
from .unpacking import check_kit, has_packages

OK, PROBLEM, NOTE = "ok", "problem", "note"
SMALL = ("multi", "fixed")  # variants of which one is built and asked, for its language
FIRST_PORT, PORTS = 8888, 20  # where JupyterLab is looked for a port


@dataclass(frozen=True)
class Found:
    """One thing that was looked at. `state` is `ok`, `problem`, or `note` (works without it)."""

    name: str
    state: str
    seen: str
    advice: str = ""


@dataclass(frozen=True)
class Ready:
    """What a learner's machine has for some lessons. `missing` has a reason for each lesson."""

    lessons: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]
    engine: str
    found: tuple[Found, ...]

    @property
    def line(self) -> str:
        """The one line for a teacher: lessons, what they lack, the engine."""
        well = [lesson for lesson in self.lessons if not self.missing.get(lesson)]
        lacks = [f"{one} ({', '.join(why)})" for one, why in self.missing.items() if why]
        parts = [f"ready: {' '.join(well) or 'none'}"]
        parts += [f"missing: {'; '.join(lacks)}"] if lacks else []
        return " · ".join([*parts, self.engine or "no engine"])

    def to_dict(self) -> dict:
        """Return everything as `./lab ready --json` prints it."""
        return {
            "ready": not any(self.missing.values()),
            "line": self.line,
            "findings": [asdict(one) for one in self.found],
        }


def ready(client, lessons: list[Path]) -> Ready:
    """Look at disk and bases, and build and probe one variant of each language.

    `client` is None where there is no engine: then every lesson lacks it, and can be replayed.
    Gets the bases that are missing as a build does, or says which lesson lacks them.
    """
    ids = tuple(lesson.stem[:2] for lesson in lessons)
    if client is None:
        why = Found("engine", PROBLEM, "no engine can be reached", f"`{PROGRAM} doctor` says why")
        return Ready(ids, dict.fromkeys(ids, ("an engine",)), "", (why,))
    on = engine.describe(client)
    told = f"{on}, {on.store}, {on.platform}, {format_bytes(on.free_bytes)} free"
    found = [Found("engine", OK, told)]
    missing: dict[str, tuple[str, ...]] = {}
    tried: dict[str, str] = {}
    for lesson in lessons:
        lacks = [*_disk(on.free_bytes, lesson)]
        for what in _tried_in(lesson):
            if what not in tried:
                tried[what] = _try(client, what)
                state = PROBLEM if tried[what] else OK
                well = "built" if Path(what).is_absolute() else "built, started, and it responds"
                seen = tried[what] or well
                found.append(Found(_plain(what), state, seen))
            lacks += [f"{_plain(what)} {tried[what]}"] if tried[what] else []
        absent = [name for name in needed_by(lesson).bases if here(client, name) is None]
        if absent:
            lacks.append(f"{len(absent)} of {len(needed_by(lesson).bases)} bases")
            advice = f"`{PROGRAM} bases get {' '.join(absent)}`"
            found.append(Found(f"bases of {lesson.stem[:2]}", PROBLEM, ", ".join(absent), advice))
        missing[lesson.stem[:2]] = tuple(lacks)
    return Ready(ids, missing, told, tuple(found))


def _disk(free: int | None, lesson: Path) -> Iterator[str]:
    """What a lesson says that it needs, where the engine's disk has less."""
    needed = disk_of(lesson)
    if free is not None and free < needed:
        yield f"{format_bytes(needed - free)} of disk"


def disk_of(lesson: Path) -> int:
    """Return how many bytes of disk a lesson says that it needs."""
    found = re.search(r"([\d.]+ [kMG]B) disk", shelf.head(lesson)[2])
    return parse_bytes(found[1]) if found else 0


def _tried_in(lesson: Path) -> list[str]:
    """One small variant of each language of a lesson; the first image where it has none."""
    variants = needed_by(lesson).variants
    chosen: dict[str, str] = {}
    for name in variants:
        app, _, variant = name.partition("/")
        if app not in chosen or variant in SMALL:
            chosen[app] = name
    return list(chosen.values()) or [str(APPS / "first")]


def _plain(what: str) -> str:
    return Path(what).name if Path(what).is_absolute() else what


def _try(client, what: str) -> str:
    """Build a variant and ask it; "" where it responds, or in a few words what went wrong."""
    try:
        made = build(client, what)
        if not Path(what).is_absolute() and probe(client, made, briefly=True).answered is False:
            return "does not respond"
    except ShipLightError as error:
        return f"fails ({type(error).__name__})"
    return ""


# --- a teacher's machine -------------------------------------------------------------------------


def rehearse(client, lessons: list[Path], out: Path, *, kit: Path | None = None) -> list[Found]:
    """Look at all that a teacher's machine needs for these lessons, and change nothing on it.

    `out` is where pages are written, and `kit` a kit that has to be whole. Builds nothing:
    `./lab run` rehearses the lessons themselves.
    """
    return [
        _engine(client),
        _disk_of_all(client, lessons),
        _bases(client, lessons),
        _recorded(lessons),
        _port(),
        _page(out),
        _slides(lessons, out),
        *([_kit(kit, lessons)] if kit else []),
    ]


def _engine(client) -> Found:
    if client is None:
        return Found("engine", PROBLEM, "no engine can be reached", f"`{PROGRAM} doctor` says why")
    on = engine.describe(client)
    return Found("engine", OK, f"{on}, {on.store}, {on.platform}")


def _disk_of_all(client, lessons: list[Path]) -> Found:
    """All lessons together: between two of them nobody has time to clean up."""
    needed = sum(map(disk_of, lessons))
    free = engine.describe(client).free_bytes if client else None
    if free is None:
        return Found("disk", NOTE, f"the lessons need {format_bytes(needed)} together")
    seen = f"{format_bytes(free)} free; the lessons need {format_bytes(needed)} together"
    advice = f"make room, or run `{PROGRAM} clean` between lessons"
    return Found("disk", OK, seen) if free >= needed else Found("disk", PROBLEM, seen, advice)


def _bases(client, lessons: list[Path]) -> Found:
    wanted = needed_by(*lessons).bases
    if client is None:
        return Found("base images", NOTE, f"{len(wanted)} are needed, where there is an engine")
    found = {name: here(client, name) for name in wanted}
    absent = [name for name, base in found.items() if base is None]
    if absent:
        advice = f"`{PROGRAM} bases get {' '.join(absent)}`"
        return Found("base images", PROBLEM, f"not here: {', '.join(absent)}", advice)
    kind = kind_of([base for base in found.values() if base])
    return Found("base images", OK, f"all {len(wanted)} are here ({kind})")


def _recorded(lessons: list[Path]) -> Found:
    """Whether each lesson can be replayed by somebody who has no engine."""
    folders = recordings.folders()
    absent = [
        lesson.stem
        for lesson in lessons
        if not any((folder / f"{lesson.stem}.json").is_file() for folder in folders)
    ]
    if absent:
        return Found("recordings", PROBLEM, f"none of {', '.join(absent)}", "clone again")
    return Found("recordings", OK, "of every lesson: who has no engine can replay it")


def _port(taken: Callable[[int], bool] | None = None) -> Found:
    """Whether JupyterLab finds a port on this machine."""
    taken = taken or _is_taken
    free = [port for port in range(FIRST_PORT, FIRST_PORT + PORTS) if not taken(port)]
    if not free:
        seen = f"{FIRST_PORT} to {FIRST_PORT + PORTS - 1} are taken"
        return Found("port", PROBLEM, seen, f"`{PROGRAM} up --port` takes another one")
    return Found("port", OK, f"{free[0]} is free on 127.0.0.1")


def _is_taken(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def _page(out: Path) -> Found:
    """Whether the page of a class can be written where `class` writes it."""
    there = next(folder for folder in (out, *out.parents) if folder.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return Found("projector page", PROBLEM, f"{there} is not a folder that can be written to")
    return Found("projector page", OK, f"`{PROGRAM} class FOLDER` can write it")


def _kit(kit: Path, lessons: list[Path]) -> Found:
    """Whether a kit is whole, and has the bases of the lessons."""
    try:
        manifest = check_kit(kit)
    except UsageError as error:
        return Found("kit", PROBLEM, error.message, error.hint)
    absent = [name for name in needed_by(*lessons).bases if name not in manifest.bases]
    if absent:
        ids = " ".join(lesson.stem[:2] for lesson in lessons)
        seen = f"it has no {', '.join(absent)}"
        return Found("kit", PROBLEM, seen, f"`{PROGRAM} pack {ids}` writes one that has")
    seen = f"whole: {len(manifest.members)} files, {format_bytes(manifest.bytes)}"
    seen += ", with what RUN steps download" if has_packages(manifest) else ", no packages"
    return Found("kit", OK, f"{seen}, for {manifest.platform}")


def _slides(lessons: list[Path], out: Path) -> Found:
    absent = [one.stem for one in lessons if not (out / "slides" / f"{one.stem}.html").is_file()]
    if absent:
        ids = " ".join(name[:2] for name in absent)
        seen = f"not written of {', '.join(absent)}"
        return Found("slides", NOTE, seen, f"`{PROGRAM} slides {ids}` writes them")
    return Found("slides", OK, "of every lesson")
