"""The types of a check and its result: evidence, places, and advice."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ...units import shortened
from ..reading.masking import mask
from ..reading.subject import Step, Subject

PASSED = "passed"
FAILED = "failed"
NOT_APPLICABLE = "does not apply"
UNSEEN = "could not be seen"
MOST_READ = 20_000  # characters of an instruction, for its first ones without what is blank


@dataclass(frozen=True)
class Place:
    """Where something was found: an instruction of the Dockerfile, a path in the image, or both.

    `accepted` is the reason for accepting it, from a comment in the Dockerfile or a baseline.
    """

    found: str
    line: int | None = None
    end_line: int | None = None
    instruction: str = ""
    path: str | None = None
    bytes: int | None = None
    accepted: str | None = None

    def to_dict(self, file: str) -> dict:
        return {"file": file if self.line else None} | vars(self)


@dataclass(frozen=True)
class Outcome:
    """What one check found. `advice` is empty if there is nothing to do."""

    result: str
    evidence: str
    places: tuple[Place, ...] = ()
    advice: str = ""


@dataclass(frozen=True)
class Check:
    """One check: `level` is that of SARIF (error, warning, note); `lesson` explains the check."""

    id: str
    title: str
    lesson: str
    level: str
    run: Callable[[Subject], Outcome]


@dataclass(frozen=True)
class Result:
    """A check with its outcome. `accepted` is the reason for accepting a failure."""

    check: Check
    outcome: Outcome
    accepted: str | None = None

    @property
    def counts(self) -> bool:
        """Whether it is a failure that nobody accepted."""
        return self.outcome.result == FAILED and self.accepted is None

    def to_dict(self, file: str) -> dict:
        """Return the result as `./lab check --json` prints it."""
        return {
            "file": file,
            "id": self.check.id,
            "title": self.check.title,
            "result": self.outcome.result,
            "evidence": self.outcome.evidence,
            "where": [place.to_dict(file) for place in self.outcome.places],
            "advice": self.outcome.advice,
            "lesson": self.check.lesson,
            "accepted": self.accepted,
        }


def passed(evidence: str, *places: Place) -> Outcome:
    return Outcome(PASSED, mask(evidence), places)


def failed(evidence: str, places: Iterable[Place], advice: str) -> Outcome:
    return Outcome(FAILED, mask(evidence), tuple(dict.fromkeys(places)), advice)


def not_applicable(why: str) -> Outcome:
    return Outcome(NOT_APPLICABLE, mask(why))


def unseen(why: str, advice: str, *places: Place) -> Outcome:
    return Outcome(UNSEEN, mask(why), places, advice)


def at(step: Step, found: str, **more) -> Place:
    """Return the place of a step, with what was found there."""
    return _place(step.instruction, found, **more)


def at_base(subject: Subject, found: str, **more) -> Place:
    """Return the place of the FROM that names the base of the final stage."""
    return _place(subject.lineage(subject.target)[0].from_instruction, found, **more)


def at_target(subject: Subject, found: str, **more) -> Place:
    """Return the place of the FROM of the final stage itself."""
    return _place(subject.target.from_instruction, found, **more)


def at_line(subject: Subject, line: int | None, found: str) -> Place:
    """Return the place of the instruction at a line; the whole file where there is none."""
    read = subject.read
    inside = [i for stage in read.stages for i in (stage.from_instruction, *stage.instructions)]
    for instruction in (*read.global_args, *inside):
        if line and instruction.line <= line <= instruction.end_line:
            return _place(instruction, found)
    return Place(mask(found), line, line)


def shown(text: str) -> str:
    """Return the beginning of a text in one line, with its secrets masked."""
    return mask(" ".join(text[:MOST_READ].split()))


def _place(instruction, found: str, **more) -> Place:
    words = [instruction.keyword, *instruction.flags, instruction.value[:MOST_READ]]
    text = shown(" ".join(words))
    place = Place(mask(found), instruction.line, instruction.end_line, shortened(text))
    return replace(place, **more)


def listed(words: Iterable[str], most: int = 4) -> str:
    """Return `a, b and c`; count what is more than `most`, set apart what contains an `and`.

    >>> listed(["a", "b", "c"]), listed("abcdefg")
    ('a, b and c', 'a, b, c, d and 3 more')
    """
    words = list(dict.fromkeys(words))
    if any(" and " in word for word in words):
        return "; ".join(words[:most] + (["…"] if len(words) > most else []))
    rest = len(words) - most
    shown = [*words[:most], f"{rest} more"] if rest > 0 else words
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
