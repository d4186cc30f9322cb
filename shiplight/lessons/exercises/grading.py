"""What the checks of exercises are made of: the registry, refusing with a hint, asking a service.

A check is a function of a client and of what a learner made. It returns its evidence, or raises
CheckFailed with a hint: what is wrong, and not the fix.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ...builds import Build
from ...errors import CheckFailed
from ...inspection import probe


@dataclass(frozen=True)
class Exercise:
    """One exercise: the id by which a lesson names it, what it asks for, and its check."""

    id: str
    task: str
    look: Callable[[object, Build], str]


ALL: dict[str, Exercise] = {}


def exercise(exercise_id: str, task: str):
    """Mark a check `f(client, build) -> evidence` as that of the exercise of this id."""

    def mark(look):
        ALL[exercise_id] = Exercise(exercise_id, task, look)
        return look

    return mark


def refuse(exercise_id: str, wrong: str, *, hint: str, found: str = "", expected: str = ""):
    """Raise CheckFailed in the house's form."""
    seen = f"\n  Found: {found}" if found else ""
    seen += f"\n  Expected: {expected}" if expected else ""
    raise CheckFailed(f"{exercise_id}: {wrong}{seen}", hint=hint)


def answering(client, exercise_id: str, made: Build):
    """The probe of what was built; CheckFailed where it does not answer."""
    asked = probe(client, made)
    if asked.answered is False:
        refuse(
            exercise_id,
            "the service no longer responds.",
            hint="look at `probe(client, mine)`: what did it say last?",
            found=asked.last_words[-1] if asked.last_words else "no word from it",
        )
    return asked
