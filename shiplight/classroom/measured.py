"""What lessons measured, for the questions that ask for a number: read from their stored outputs.

No number is typed here: `measured.toml` says where in the outputs of a lesson the answer is. They
are those of the recorded run, on its engine and its bases, not of a learner's own.
"""

import re
import tomllib
from functools import cache
from pathlib import Path

from ..lessons import exercises, shelf
from ..units import parse_bytes
from .stored import shown

_WORDS = {"once": 1.0, "two": 2.0, "three": 3.0}


@cache
def measured() -> dict[str, float]:
    """Return the measured answer by question, in the question's unit, where one is stored.

    A lesson that a learner changed is read as it was committed.
    """
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    answers = {one["question"]: one for one in tomllib.loads(text)["answer"]}
    found = {}
    for lesson in shelf.lessons():
        cells = shelf.committed(lesson).cells
        for name, answer in answers.items():
            if name[:2] == lesson.stem[:2]:
                number = _answer(answer, shown(cells, after_guess=name))
                if number is not None:
                    found[name] = number
    return found


def _answer(answer: dict, shown: str) -> float | None:
    found = re.search(answer["pattern"], shown)
    if found is None:
        return None
    unit = exercises.questions()[answer["question"]]
    if answer.get("counts"):
        return float(len(found[1].split(", ")))
    number = _number(found[1])
    if "of" in answer:
        other = re.search(answer["of"], shown)
        if other is None:
            return None
        share = 100 * number / _number(other[1])
        return round(share - 100 if unit == "% larger" else share, 1)
    return number / 1e6 if unit == "MB" else number


def _number(text: str) -> float:
    if text in _WORDS:
        return _WORDS[text]
    return float(parse_bytes(text)) if text.endswith("B") else float(text.replace(",", ""))
