"""What a learner guesses before measuring: checked, kept, and shown beside what was measured."""

import re
import tomllib
from functools import cache
from numbers import Real
from pathlib import Path

from ...charts import say_beside
from ...errors import UsageError
from ...units import one_line
from .. import learned
from ..shown import Shown

MOST = 1e12  # of any unit that has no limit of its own
_COUNT = ("a whole number, 0 or more", MOST)
_WANTED = {
    "MB": ("a number of MB, 0 or more", MOST),
    "%": ("a percentage from 0 to 100", 100),
    "% larger": ("a percentage, 0 or more", MOST),
    "bases": ("a whole number from 0 to 7", 7),
}

_guesses: dict[str, str] = {}  # of this process, as they are shown, by the id of their question


def questions() -> dict[str, str]:
    """Return the unit of every question by its id; "" where words are asked for."""
    return _described()["questions"]


def answered_by_charts() -> list[str]:
    """Return the ids of the questions that a chart answers; the others are answered by claims."""
    return _described()["answered"]["charts"]


@cache
def _described() -> dict:
    text = Path(__file__).with_name("questions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def guess(question: str, value=None, unit: str = "") -> Shown:
    """Keep what you guess before you measure, to be shown beside what was measured.

    The next chart shows it after its subtitle, or the claim that answers it in its evidence:
    `questions.toml` names the questions that charts answer.
    `question` is the lesson and the number of the question, such as `"01.2"`; `value` is a number,
    with its `unit`, or words. None means no guess; later cells run without one. A value that does
    not fit the question is not kept, and a sentence says what does. Raises UsageError for an
    unknown question.
    """
    if question not in questions():
        raise UsageError(
            f"there is no question {question!r}.",
            hint=f"the questions are {', '.join(questions())}",
        )
    _guesses.pop(question, None)
    say_beside(question)
    if value is None:
        return Shown("No guess yet: replace `None` with one.", mark="○")
    value = _number_in(value) if questions()[question] else value
    if (questions()[question], unit) == ("MB", "GB") and _is_number(value, MOST):
        value, unit = round(value * 1000), "MB"
    if wanted := _wanted_instead(question, value, unit):
        return Shown(f"No guess yet: {question} asks for {wanted}.", mark="○")
    said = f"{value} {questions()[question]}".strip()
    learned.note_guess(question, said)
    _guesses[question] = f"your guess: {said}"
    if question in answered_by_charts():
        say_beside(question, _guesses[question])
    return Shown(f"Your guess: {said.rstrip('.')}.", mark="▸")


def guessed(question: str) -> str:
    """Return `your guess: 80 MB`, or "" where there is none; no chart shows it then."""
    say_beside(question)
    return _guesses.get(question, "")


def _wanted_instead(question: str, value, unit: str) -> str:
    """What the question asks for, and what it got; "" where the value can answer it."""
    its, got = questions()[question], one_line(f"{value!r} {unit}".strip(), 40)
    if not its:
        words, fits = "words", isinstance(value, str | bool) or _is_number(value, MOST)
    else:
        words, most = _WANTED.get(its, _COUNT)
        fits = _is_number(value, most) and ("whole" not in words or value == int(value))
        fits = fits and unit in ("", its)
    return "" if fits else f"{words}, not {got}"


def _number_in(value):
    """The number that a text consists of; anything else as it is."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,15}(?:\.\d{1,15})?", value.strip(), re.ASCII):
        return float(value) if "." in value else int(value)
    return value


def _is_number(value, most: float) -> bool:
    """Whether it is a number from 0 to `most`; NaN is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= value <= most
