"""Try every wrong answer that the rules make; write what became of each to docs/wrong-answers.md.

    ./lab engine status                               # makes .venv, once
    .venv/bin/python tests/exercises/try_all.py       # about an hour; or name exercises: 00.1 01.1

Ends with 1 where an answer is accepted that nobody argued for. Needs an engine, and for lesson 07 a
scanner.
"""

import os
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("SHIPLIGHT_PROGRESS", "off")

import answers

from shiplight import engine
from shiplight.lessons import exercises

TABLE = ROOT / "docs" / "wrong-answers.md"
HEAD = """# Wrong answers, made by rule

Each exercise was given its solution with one line deleted, line by line, its start unchanged, and the solutions of the exercises before and after it.
A check has to refuse each of them, unless it can be argued that the answer is right all the same.
What does not build counts for nothing: no check ever saw it.

Written by `tests/exercises/try_all.py` on {day} · {setting}.

| exercise | made | did not build | refused | right all the same | accepted without a reason |
|---|---|---|---|---|---|
"""


def main(wanted: list[str]) -> int:
    client = engine.connect()
    tried: dict[str, list[tuple]] = {found.id: [] for found in exercises.every()}
    for answer in answers.made_by_rule():
        if wanted and answer.exercise not in wanted:
            continue
        outcome, said = answers.verdict(client, answer)
        if outcome == "accepted" and (why := answers.why_right(answer)):
            outcome, said = "right", why
        tried[answer.exercise].append((answer, outcome, said))
        print(answer.exercise, answer.how, repr(answer.line), outcome, said, sep=" · ", flush=True)
    if not wanted:
        TABLE.write_text(table(tried, engine.setting(client)), encoding="utf-8")
    return int(any(one[1] == "accepted" for its in tried.values() for one in its))


def table(tried: dict[str, list[tuple]], setting) -> str:
    """The page: counts of each exercise, then each answer that built, with what was said to it."""
    text = HEAD.format(day=date.today(), setting=str(setting).partition(", ")[2] or setting)
    for name, its in tried.items():
        kinds = ("does not build", "refused", "right", "accepted")
        counts = [sum(outcome == kind for _, outcome, _ in its) for kind in kinds]
        text += f"| {name} | {len(its)} | " + " | ".join(map(str, counts)) + " |\n"
    for name, its in tried.items():
        text += f"\n## {name}\n\n| answer | verdict |\n|---|---|\n"
        for answer, outcome, said in its:
            if outcome != "does not build":
                line = f": `{answer.line}`" if answer.line else ""
                text += f"| {answer.how}{line.replace('|', chr(92) + '|')} | {outcome}: {said} |\n"
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
