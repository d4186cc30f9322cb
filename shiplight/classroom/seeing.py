"""Seeing a class: what learners handed over, and who is stuck on what in it."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from .. import buildkit
from ..errors import UsageError
from ..lessons import exercises
from ..units import one_line
from .measured import measured
from .record import ENDING, MOST_BYTES, UNNAMED, NotARecord, Record, Tried

MOST_FILES = 300
SOLVED, WRONG, OPEN = "✓", "✗", "·"


@dataclass(frozen=True)
class Stuck:
    """What a learner was last refused for: `seconds` since the mistake was first named, or None."""

    exercise: str
    mistake: str
    seconds: int | None


@dataclass(frozen=True)
class Learner:
    """One learner: `name` is part of an id, unless the class is shown with its pseudonyms.

    `age_seconds` have passed since the file arrived.
    """

    name: str
    record: Record
    age_seconds: int

    @property
    def solved(self) -> int:
        """How many exercises are solved."""
        return sum(one.solved for one in self.record.exercises.values())

    @property
    def stuck(self) -> Stuck | None:
        """What was last refused and is not solved yet; None where nothing is."""
        failing = [(name, one) for name, one in self.record.exercises.items() if _fails(one)]
        if not failing:
            return None
        name, one = min(failing, key=lambda item: _or_most(item[1].quiet_seconds))
        known = one.stuck_seconds is not None
        return Stuck(
            name, one.mistakes[-1], one.stuck_seconds + self.age_seconds if known else None
        )

    def mark(self, exercise: str) -> str:
        """Return `✓` for a solved exercise, `✗` for a refused one, `·` for an open one."""
        one = self.record.exercises.get(exercise)
        return SOLVED if one and one.solved else WRONG if one and one.mistakes else OPEN


@dataclass(frozen=True)
class Wrong:
    """A mistake, and how many learners were told of it."""

    exercise: str
    mistake: str
    learners: int


@dataclass(frozen=True)
class Guessed:
    """What a class guessed for one question, and what its lesson measured, or None."""

    question: str
    unit: str
    guesses: tuple[float, ...]
    measured: float | None

    @property
    def median(self) -> float:
        """The guess in the middle."""
        return median(self.guesses)


@dataclass(frozen=True)
class Agreement:
    """One image of one platform on one kind of bases, on the engines of a class.

    `unpacked_bytes` are the different numbers that were measured: one, where all agree.
    `sizes` has the different sizes that engines call its own, by engine and store.
    """

    image: str
    bases: str
    platform: str
    learners: int
    unpacked_bytes: tuple[int, ...]
    sizes: dict[str, tuple[int, ...]]

    @property
    def said(self) -> tuple[int, ...]:
        """Every size that an engine gave, smallest first."""
        return tuple(sorted({size for sizes in self.sizes.values() for size in sizes}))


@dataclass(frozen=True)
class Class:
    """Everything that folders say of a class. `refused` has files that were not read, and why."""

    learners: tuple[Learner, ...]
    refused: tuple[tuple[str, str], ...]

    @property
    def stuck(self) -> tuple[tuple[Learner, Stuck], ...]:
        """Who is stuck, the longest first."""
        found = [(one, one.stuck) for one in self.learners if one.stuck]
        return tuple(sorted(found, key=lambda item: -(item[1].seconds or 0)))

    @property
    def wrong(self) -> tuple[Wrong, ...]:
        """The commonest wrong answers first."""
        met = Counter(
            (name, mistake)
            for learner in self.learners
            for name, one in learner.record.exercises.items()
            for mistake in one.mistakes
        )
        ordered = sorted(met.items(), key=lambda item: (-item[1], item[0]))
        return tuple(Wrong(*of, learners) for of, learners in ordered)

    @property
    def guessed(self) -> tuple[Guessed, ...]:
        """The guesses of every question that somebody answered with a number."""
        found: dict[str, list[float]] = {}
        for learner in self.learners:
            for question, guess in learner.record.guesses.items():
                found.setdefault(question, []).append(guess)
        units = exercises.questions()
        return tuple(
            Guessed(name, units[name], tuple(sorted(found[name])), measured().get(name))
            for name in sorted(found)
        )

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """What the engines of the class measured of the same images."""
        return tuple(_agreements(self.learners))

    def to_dict(self) -> dict:
        """Return everything as `./lab class --json` prints it."""
        return {
            "learners": [
                {
                    "name": one.name,
                    "solved": [name for name, t in one.record.exercises.items() if t.solved],
                    "stuck": one.stuck and asdict(one.stuck),
                    "age_seconds": one.age_seconds,
                }
                for one in self.learners
            ],
            "wrong": list(map(asdict, self.wrong)),
            "guesses": list(map(asdict, self.guessed)),
            "images": list(map(asdict, self.agreements)),
            "refused": len(self.refused),
        }


def said_of(exercise: str, mistake: str) -> str:
    """Return a mistake in words, also one that has none of its own."""
    if mistake != UNNAMED:
        return mistake
    return "a check of the checklist fails." if exercise[:2] == "08" else "another mistake."


def see(*folders: Path, with_names: bool = False) -> Class:
    """Read what learners handed over, named by pseudonyms, or by a part of their ids.

    A class shares one folder, or each learner has a folder of their own: then nobody's file can
    take the place of another's. Files that are not what a learner's lab writes are refused, each
    with its reason; of two in a folder with one id, the newer one counts. Raises UsageError where
    there is no such folder, or where the only one has too many files.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(
                f"there is no folder {folder}.", hint="name the folder that your class shares"
            )
    newest: dict[tuple[str, str], tuple[float, Record]] = {}
    refused = []
    for folder in folders:
        try:
            names = _names(folder)
        except UsageError as error:
            if len(folders) == 1:
                raise
            refused.append((one_line(f"{folder.parent.name}/{folder.name}", 60), error.message))
            continue
        for name in names:
            try:
                arrived, record = _read(folder, name)
            except (OSError, NotARecord) as error:
                refused.append((one_line(name, 60), _why(error)))
                continue
            one = record.id, str(folder)
            if one not in newest or newest[one][0] < arrived:
                newest[one] = arrived, record
    now = time.time()
    learners = [
        Learner(
            record.pseudonym if with_names else f"learner {record.id[:4]}",
            record,
            max(0, int(now - arrived)),
        )
        for arrived, record in (newest[one] for one in sorted(newest))
    ]
    return Class(tuple(learners), tuple(refused))


def _names(folder: Path) -> list[str]:
    """The files of a folder that call themselves progress; no more than a class can have."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(ENDING) and not entry.name.startswith("."):
                found.append(entry.name)
            if len(found) > MOST_FILES:
                raise UsageError(
                    f"there are more than {MOST_FILES} files in {folder}.",
                    hint="use a folder of this class alone",
                )
    return sorted(found)


def _read(folder: Path, name: str) -> tuple[float, Record]:
    """When a file arrived, and what it says. No link is followed, and nobody is waited for."""
    with open(buildkit.opening.opened(folder, name), "rb") as file:
        arrived = os.fstat(file.fileno()).st_mtime
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise NotARecord(f"it is larger than {MOST_BYTES:,} bytes")
    return arrived, Record.from_json(text)


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _fails(one: Tried) -> bool:
    return not one.solved and bool(one.mistakes)


def _or_most(seconds: int | None) -> float:
    return float("inf") if seconds is None else seconds


def _agreements(learners: tuple[Learner, ...]) -> Iterator[Agreement]:
    found: dict[tuple[str, str, str], list] = {}
    for learner in learners:
        for image in learner.record.images:
            of = image.name, image.bases, image.platform
            found.setdefault(of, []).append((learner.record, image))
    for of, each in sorted(found.items(), key=lambda item: item[0]):
        sizes: dict[str, set[int]] = {}
        for record, image in each:
            on = f"{record.engine}, {record.store}" if record.engine else "an engine"
            sizes.setdefault(on, set()).add(image.engine_bytes)
        yield Agreement(
            *of,
            learners=len(each),
            unpacked_bytes=tuple(sorted({image.unpacked_bytes for _, image in each})),
            sizes={on: tuple(sorted(seen)) for on, seen in sorted(sizes.items())},
        )
