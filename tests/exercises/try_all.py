"""Try every wrong answer that the rules make; write what became of each to docs/wrong-answers.md.

    ./lab engine status                                  # makes .venv, once
    .venv/bin/python tests/exercises/try_all.py          # one or two hours
    .venv/bin/python tests/exercises/try_all.py 00.1     # these exercises only, again

What was tried is kept in the lab's own folder, so that a run that was stopped goes on where it was;
`--again` tries everything again. The page counts what is left to try. Ends with 1 where
one is accepted that nobody argued for, or where a check came to no verdict. Needs an engine, and for
lesson 07 a scanner.
"""

import json
import os
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("SHIPLIGHT_PROGRESS", "off")

import answers

from shiplight import engine
from shiplight.engine import journal
from shiplight.lessons import exercises

TABLE = ROOT / "docs" / "wrong-answers.md"
KINDS = ("does not build", "refused", "right", "accepted", "error", "not tried")
HEAD = """# Wrong answers, made by rule

Each exercise was given its solution with one line deleted, line by line, its start unchanged, and the solutions of the exercises before and after it.
A check has to refuse each of them, unless it can be argued that the answer is right anyway.
What does not build counts for nothing: no check ever saw it.

Written by `tests/exercises/try_all.py` on {day} · {setting}.

| exercise | made | did not build | refused | right anyway | accepted without a reason | no verdict | not tried yet |
|---|---|---|---|---|---|---|---|
"""


def main(arguments: list[str]) -> int:
    client, file = engine.connect(), journal.folder() / "wrong-answers.json"
    wanted = [name for name in arguments if name != "--again"]
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if "--again" in arguments:
        known = {}
    for answer in answers.made_by_rule():
        if answer.exercise in wanted or (
            not wanted and known.get(key(answer), ["error"])[0] == "error"
        ):
            known[key(answer)] = answers.verdict(client, answer)
            file.write_text(json.dumps(known, indent=1), encoding="utf-8")
            print(
                answer.exercise, answer.how, answer.line, *known[key(answer)], sep=" · ", flush=True
            )
    every = list(answers.made_by_rule())
    tried = [(one, *judged(one, known.get(key(one)))) for one in every]
    TABLE.write_text(page(tried, engine.setting(client)), encoding="utf-8")
    unexplained = [one for one in tried if one[1] in ("accepted", "error")]
    for answer, outcome, said in unexplained:
        print(f"{outcome}:", answer.exercise, answer.how, answer.line, said)
    return int(bool(unexplained))


def key(answer) -> str:
    """What names an answer from run to run: its exercise and its text."""
    return f"{answer.exercise} {sha256(answer.text.encode()).hexdigest()[:12]}"


def judged(answer, verdict: tuple[str, str] | None) -> tuple[str, str]:
    """The verdict, `right` with its reason where one was argued for what was accepted."""
    outcome, said = verdict or ("not tried", "")
    why = answers.why_right(answer) if outcome == "accepted" else ""
    return ("right", why) if why else (outcome, said)


def page(tried: list[tuple], setting) -> str:
    """Counts of each exercise, then each answer that built, with what was said to it."""
    text = HEAD.format(day=datetime.now(UTC).date(), setting=setting)
    names = [found.id for found in exercises.every()]
    for name in names:
        its = [outcome for answer, outcome, _ in tried if answer.exercise == name]
        counts = " | ".join(str(its.count(kind)) for kind in KINDS)
        text += f"| {name} | {len(its)} | {counts} |\n"
    for name in names:
        text += f"\n## {name}\n\n| answer | verdict |\n|---|---|\n"
        for answer, outcome, said in tried:
            if answer.exercise == name and outcome not in ("does not build", "not tried"):
                line = f": `{answer.line}`".replace("|", "\\|") if answer.line else ""
                text += f"| {answer.how}{line} | {outcome}: {said} |\n"
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
