"""Catching up: what a learner would have at the beginning of a lesson, built and told."""

import re
from dataclasses import dataclass
from pathlib import Path

from ..builds import Build, build, provide
from ..lessons import exercises, needed_by, shelf
from .stored import shown


@dataclass(frozen=True)
class Missed:
    """A lesson before the one that somebody begins with: what it showed, and what to try later."""

    lesson: str
    title: str
    claims: tuple[str, ...]
    exercises: tuple[str, ...]


@dataclass(frozen=True)
class CaughtUp:
    """What is there now: images that were built, and bases of the lesson."""

    lesson: str
    built: tuple[Build, ...]
    bases: tuple[str, ...]


def missed_before(lesson: Path) -> tuple[Missed, ...]:
    """Return what the lessons before this one showed, as they store it."""
    return tuple(
        Missed(path.stem, shelf.head(path)[0], _claims(path), _exercises(path.stem[:2]))
        for path in _before(lesson)
    )


def catch_up(client, lesson: Path) -> CaughtUp:
    """Build the variants of the lessons before this one, and get the bases that it needs itself.

    No exercise counts as solved by that. Raises what `build` and `provide` raise.
    """
    before = _before(lesson)
    variants = needed_by(*before).variants if before else ()
    built = tuple(build(client, variant) for variant in variants)
    bases = needed_by(lesson).bases
    provide(client, bases)
    return CaughtUp(lesson.stem, built, bases)


def _before(lesson: Path) -> list[Path]:
    return [path for path in shelf.lessons() if path.stem < lesson.stem]


def _claims(lesson: Path) -> tuple[str, ...]:
    """The sentences that a lesson proves, without their evidence."""
    return tuple(re.findall(r"^✓ (.+)$", shown(shelf.committed(lesson).cells), re.MULTILINE))


def _exercises(number: str) -> tuple[str, ...]:
    return tuple(f"{one.id} {one.task}" for one in exercises.every() if one.id[:2] == number)
