"""Answers to exercises: the right ones that are kept, and wrong ones that are made by rule.

Each exercise gets its solution with one line deleted, line by line; its start, unchanged; and the
solutions of its neighbours, the exercises before and after it. All but a few have to be refused:
`exercises/right.toml` argues for each of the others. What does not build says nothing of a check.
In lesson 13 lines of every right answer are deleted, and none of that may get more points than it.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shiplight import lessons, scoring
from shiplight.errors import (
    BaseNotAvailable,
    BuildCancelled,
    BuildFailed,
    CheckFailed,
    ContextError,
    DockerfileError,
    ShipLightError,
    UsageError,
)
from shiplight.lessons import exercises, shipping
from shiplight.scoring import MOST
from shiplight.scoring.points import bytes_points
from shiplight.setup import ROOT

FOLDER = ROOT / "tests" / "exercises"


@dataclass(frozen=True)
class Answer:
    """A Dockerfile for one exercise, and in words how it was made.

    `line` is what was deleted, and `of` the name of the right answer that it was deleted from.
    """

    exercise: str
    how: str
    text: str
    line: str = ""
    of: str = ""


def deletions(found, solution: Path | None = None) -> Iterator[Answer]:
    """A right answer with one line deleted, the first one by default; comments stay."""
    path = solution or found.solutions()[0]
    lines, name = path.read_text(encoding="utf-8").splitlines(keepends=True), name_of(path)
    of = "" if solution is None else f" of {name}"
    for number, line in enumerate(lines):
        if line.strip() and not line.startswith("#"):
            text = "".join(lines[:number] + lines[number + 1 :])
            yield Answer(found.id, f"without line {number + 1}{of}", text, line.strip(), name)


def name_of(path: Path) -> str:
    """The name of a right answer: that of its file."""
    return path.name.removesuffix(".Dockerfile")


def others(found) -> Iterator[Answer]:
    """The start of an exercise, and the solutions of the exercises before and after it."""
    yield Answer(found.id, "the start, unchanged", found.start_text)
    every = exercises.every()
    place = every.index(found)
    for other in every[max(0, place - 1) : place] + every[place + 1 : place + 2]:
        text = other.solutions()[0].read_text(encoding="utf-8")
        yield Answer(found.id, f"the solution of {other.id}", text)


def made_by_rule() -> Iterator[Answer]:
    """Every wrong answer that the rules make, exercise by exercise."""
    for found in exercises.every():
        yield from deletions(found)
        for solution in found.solutions()[1:] if found.takes_score else ():
            yield from deletions(found, solution)
        yield from others(found)


def in_ci() -> Iterator[Answer]:
    """Two of them for each exercise, quick ones that build: `right.toml` names their lines."""
    for found in filter(is_in_ci, exercises.every()):
        for line in _said()["ci"][found.id]:
            [answer] = [one for one in deletions(found) if one.line.startswith(line)]
            yield answer


def is_in_ci(found) -> bool:
    """Whether CI tries the answers to this exercise; of lesson 13 it tries one language."""
    return found.id in _said()["ci"]


def why_right(answer: Answer) -> str:
    """The argument that this answer is right anyway; "" where nobody made one."""
    for entry in _said()["right"]:
        named = entry.get("exercise", answer.exercise) == answer.exercise
        if named and re.fullmatch(entry["answer"], answer.line or answer.how):
            return entry["why"]
    return ""


@cache
def _said() -> dict:
    return tomllib.loads((FOLDER / "right.toml").read_text(encoding="utf-8"))


def built(client, answer: Answer):
    """What an answer builds, as its lesson builds it."""
    found = next(one for one in exercises.every() if one.id == answer.exercise)
    slug = re.sub(r"[^a-z0-9]+", "-", f"{answer.exercise} {answer.how}".lower())
    return lessons.answered(client, found, answer.text, name=f"answer/{slug}")


def points_of(name: str) -> int:
    """The points of a right answer of lesson 13: it meets everything, and its bytes are known."""
    for language, known in shipping.shipped().items():
        if name in known["answers"]:
            given = bytes_points(known["answers"][name], shipping.limits_of(language))
            return sum(MOST.values()) - MOST["bytes"] + given
    raise KeyError(name)


def _made(client, answer: Answer):
    """What an answer builds. A secret that its exercise does not give is as a base that is not."""
    try:
        return built(client, answer)
    except UsageError as error:
        raise BuildFailed(error.message, hint=error.hint) from error


def verdict(client, answer: Answer) -> tuple[str, str, int | None]:
    """What becomes of an answer: `does not build`, `refused` or `accepted`, and what was said.

    In lesson 13 with its points, None elsewhere.
    """
    points = None
    try:
        made = _made(client, answer)
        points = made.points if isinstance(made, scoring.Score) else None
        exercises.check(client, answer.exercise, made)
    except CheckFailed as error:
        return "refused", error.message.partition(": ")[2].partition("\n")[0], points
    except (BaseNotAvailable, BuildFailed, ContextError, DockerfileError) as error:
        return "does not build", error.message.partition("\n")[0], points
    except BuildCancelled:
        raise  # by whoever stopped the run: nobody knows what would have become of it
    except ShipLightError as error:
        return "error", f"{type(error).__name__}: {error.message.partition(chr(10))[0]}", points
    return "accepted", "", points


def kept(pattern: str) -> list[Path]:
    """Files of answers that are kept with the tests."""
    return sorted(FOLDER.glob(pattern))
