"""Look at what a learner built, and say that it is solved, or why not."""

import os
from pathlib import Path

from IPython.display import display

from ... import catalogue
from ...builds import Build, recipe
from ...errors import CheckFailed, UsageError
from ...inspection import measure
from ...recordings import Recorded
from ...scoring import Score
from .. import learned
from ..shown import Shown
from . import (  # noqa: F401  each registers its checks
    bases,
    budgets,
    ci,
    go,
    leaks,
    node,
    platforms,
    python,
    rust,
    scans,
    shipping,
)
from .grading import ALL, Exercise


def every() -> list[Exercise]:
    """All exercises, in the order of their ids."""
    return [ALL[name] for name in sorted(ALL)]


def check(client, exercise_id: str, made: Build | Score | str | os.PathLike | None = None) -> None:
    """Inspect what a learner built; show that it solves the exercise, or raise CheckFailed.

    `made` is what `build` returned; for 08.1 and 08.2 it is the path of a Dockerfile, and in lesson
    13 what `score` returned. With None, nothing is built yet, and the exercise is shown as open.
    Without an engine nothing can be built, and a sentence says so. Raises UsageError for anything
    else, and for an unknown exercise.
    """
    if isinstance(client, str):
        raise UsageError(
            "check takes the client first, then the exercise, then what you built.",
            hint=f'check(client, "{client}", mine)',
        )
    found = named(exercise_id)
    if made is None:
        display(Shown(f"{exercise_id} is open: {found.task}", mark="○"))
        return
    if isinstance(client, Recorded):
        display(Shown(f"{exercise_id} needs an engine to inspect what you built.", mark="○"))
        return
    _refuse_other_kinds(found, made)
    try:
        evidence = found.look(client, made)
    except CheckFailed as error:
        text = text_of(found, made)
        learned.note_try(exercise_id, text, found.start_text, mistake=error.mistake)
        raise
    bytes_ = None if found.takes_file else measure(client, made).unpacked_bytes
    learned.note_solved(exercise_id, bytes_)
    display(Shown(f"{exercise_id} is solved.", evidence))


def text_of(found: Exercise, made) -> str:
    """Return the Dockerfile that a learner built, or that is in their file."""
    return recipe(str(made)) if found.takes_file else made.text


def named(exercise_id: str) -> Exercise:
    """Return the exercise of this id. Raises UsageError, with those that there are."""
    if exercise_id not in ALL:
        raise UsageError(
            f"there is no exercise {exercise_id!r}.", hint=f"one of {', '.join(sorted(ALL))}"
        )
    return ALL[exercise_id]


def _refuse_other_kinds(found: Exercise, made) -> None:
    """Raise UsageError where this is not what the exercise's check can look at."""
    if isinstance(made, Path if found.takes_file else Score if found.takes_score else Build):
        return
    if found.takes_file and isinstance(made, str) and "\n" not in made:
        return
    seen = f"{type(made).__name__} ({made})"
    if isinstance(made, str) and "FROM" in made:
        seen = "the text of a Dockerfile"
    wants = "what `build` returns"
    what = found.app if catalogue.find(found.app) else f"../apps/{found.app}"
    example = f'build(client, "{what}", text=text, name="{_mine(found)}")'
    if found.takes_file:
        wants = "the path of a Dockerfile"
        example = 'folder / "Dockerfile.mine", after `mine.write_text(text)`'
    if found.takes_score:
        wants, example = "what `score` returns", "score(client, app, text=text, limits=…, token=…)"
    raise UsageError(f"{found.id} looks at {wants}, and got {seen}.", hint=f"mine = {example}")


def _mine(found: Exercise) -> str:
    """The name that a learner's own build of this exercise has in the lesson."""
    return f"{found.app.partition('/')[0]}/mine"
