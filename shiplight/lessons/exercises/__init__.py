"""Exercises: the learner builds, and the check looks at the image built, not at the text typed.

`grading` has the registry and what every check is made of; one module for each group of lessons has
their checks; `checking` asks the right one. Solutions and named wrong answers are in
`tests/exercises/`, and each wrong answer has to meet its own hint.
"""

from .checking import check, every

__all__ = ["check", "every"]
