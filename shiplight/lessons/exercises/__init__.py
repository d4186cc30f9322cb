"""Exercises: the learner builds, and the check looks at the image built, not at the text typed.

`grading` has the registry and what every check is made of; one module for each group of lessons has
their checks; `checking` asks the right one; `helping` has hints, solutions and progress, and
`guessing` the guesses.
`exercises.toml` describes them all, and `solutions/` has right answers. Named wrong answers are
with the tests, and each has to meet its own hint.
"""

from .checking import check, every, named
from .grading import Exercise
from .guessing import guess, guessed, questions
from .helping import Progress, hint, solution
from .naming import mistakes

__all__ = [
    "Exercise",
    "Progress",
    "check",
    "every",
    "guess",
    "guessed",
    "hint",
    "mistakes",
    "named",
    "questions",
    "solution",
]
