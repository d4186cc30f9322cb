"""Five questions on what people believe, asked before the course and after it."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..boxes import inline
from ..errors import UsageError
from ..units import one_line
from . import learned

WHEN = ("before", "after")


@dataclass(frozen=True)
class Belief:
    """A sentence that people believe or not, and the claim of a lesson that decides it."""

    says: str
    true: bool
    lesson: str
    claim: str


@cache
def beliefs() -> tuple[Belief, ...]:
    """Return every belief, in the order of the lessons that decide them."""
    text = Path(__file__).with_name("beliefs.toml").read_text(encoding="utf-8")
    return tuple(Belief(**one) for one in tomllib.loads(text)["belief"])


class Believed:
    """What a learner believes: before the course the sentences, after it what changed."""

    def __init__(self, when: str, before: list, now: list):
        self.when, self.before, self.now = when, before, now

    @property
    def sentence(self) -> str:
        """How many answers are right, once the course is over and something is answered."""
        if self.when == "before" or not any(one is not None for one in self.now):
            return ""
        counts = [
            sum(one is belief.true for one, belief in zip(said, beliefs(), strict=True))
            for said in (self.before, self.now)
        ]
        return f"Right before the course: {counts[0]} of {len(self.now)}. Right now: {counts[1]}."

    def __repr__(self) -> str:
        lines = [f"{mark} {says} {told}\n    {why}" if why else f"{mark} {says} {told}"
                 for mark, says, told, why in self._told()]  # fmt: skip
        return "\n".join([*lines, *filter(None, [self.sentence])])

    def _repr_html_(self) -> str:
        rows = [
            f"<tr><td>{mark}</td><td style='text-align:left'>{inline(says)}"
            f"{why and '<br>' + inline(why)}</td><td>{inline(told)}</td></tr>"
            for mark, says, told, why in self._told()
        ]
        return f"<table>{''.join(rows)}</table>{inline(self.sentence)}"

    def _told(self):
        each = zip(beliefs(), self.before, self.now, strict=True)
        for number, (belief, before, now) in enumerate(each, 1):
            says = f"{number}. {belief.says}"
            if now is None:
                yield "○", says, "No answer yet.", ""
            elif self.when == "before":
                yield "▸", says, f"You say: {_word(now)}.", ""
            else:
                changed = f"Before: {_word(before)}; now: {_word(now)}."
                why = f"Lesson {belief.lesson} measured it: {belief.claim}"
                yield "✓" if now is belief.true else "✗", says, changed, why


def believe(when: str, *answers: bool | None) -> Believed:
    """Keep what you believe, `"before"` or `"after"` the course: True or False for each sentence.

    None means no answer. Without answers, only the sentences are shown. After the course, each
    answer is shown next to the earlier one, with what a lesson measured. Raises UsageError for any
    other answer, or if there are not as many answers as sentences.
    """
    given = list(answers or [None] * len(beliefs()))
    known = all(one is None or isinstance(one, bool) for one in given)
    if when not in WHEN or len(given) != len(beliefs()) or not known:
        wanted, got = " or ".join(f'"{one}"' for one in WHEN), ", ".join(map(repr, (when, *given)))
        raise UsageError(
            f"believe takes {wanted}, then {len(beliefs())} answers, each True, False or None;"
            f" it got {one_line(got, 80)}.",
            hint='believe("before", True, False, …): one for each sentence, None for no answer',
        )
    if any(one is not None for one in given):
        learned.note_beliefs(when, given)
    return Believed(when, learned.beliefs().get("before", [None] * len(given)), given)


def _word(answer: bool | None) -> str:
    return {True: "true", False: "false", None: "no answer"}[answer]
