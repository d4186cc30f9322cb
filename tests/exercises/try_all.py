"""Try every wrong answer that the rules make; write what became of each to docs/wrong-answers.md.

    ./lab engine status                                  # makes .venv, once
    .venv/bin/python tests/exercises/try_all.py          # one or two hours
    .venv/bin/python tests/exercises/try_all.py 00.1     # these exercises only, again

What was tried is kept in `tried.json`, so that a run that was stopped goes on where it was, on any
machine; `--again` tries everything again. The page counts what is left to try. Ends with 1 where
one is accepted that nobody argued for, or where a check came to no verdict. Needs an engine, and for
lesson 07 a scanner.
"""

import json
import os
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("SHIPLIGHT_PROGRESS", "off")

import answers

from shiplight import engine
from shiplight.lessons import exercises
from shiplight.setting import Setting

TABLE, KEPT = ROOT / "docs" / "wrong-answers.md", Path(__file__).with_name("tried.json")
KINDS = ("does not build", "refused", "right", "accepted", "error", "not tried")
HEAD = """# Wrong answers, made by rule

The rules make wrong answers for each exercise: its solution with one line deleted, line by line; its start unchanged; and the solutions of the exercises before and after it.
A check has to refuse each of them, unless it can be argued that the answer is right anyway.
What does not build counts for nothing: no check ever saw it.
{tried} of {made} were tried so far; the last column counts the others.

Written by `tests/exercises/try_all.py` · {setting}.

| exercise | made | did not build | refused | right anyway | accepted without a reason | no verdict | not tried yet |
|---|---|---|---|---|---|---|---|
"""


def main(arguments: list[str]) -> int:
    client = engine.connect()
    wanted = [name for name in arguments if name != "--again"]
    made = {key(answer) for answer in answers.made_by_rule()}  # what they no longer make goes
    said = {} if "--again" in arguments else kept()
    known, points = (
        {name: found for name, found in said.get(what, {}).items() if name in made}
        for what in ("tried", "points")
    )
    for answer in answers.made_by_rule():
        if answer.exercise in wanted or (
            not wanted and known.get(key(answer), ["error"])[0] == "error"
        ):
            *known[key(answer)], scored = answers.verdict(client, answer)
            if scored is not None:
                points[key(answer)] = scored
            setting = engine.setting(client, bases="unknown").to_dict()
            keep(setting, known, points)
            print(
                answer.exercise, answer.how, answer.line, *known[key(answer)], sep=" · ", flush=True
            )
    keep(kept()["setting"], known, points)
    TABLE.write_text(page(), encoding="utf-8")
    unexplained = [one for one in tried() if one[1] in ("accepted", "error")]
    for answer, outcome, said in unexplained:
        print(f"{outcome}:", answer.exercise, answer.how, answer.line, said)
    return int(bool(unexplained))


def keep(setting: dict, known: dict, points: dict) -> None:
    said = {"setting": setting, "tried": known, "points": points}
    KEPT.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def kept() -> dict:
    """What was tried: the setting of the last one, a verdict for each answer, and its points."""
    return json.loads(KEPT.read_text(encoding="utf-8"))


def key(answer) -> str:
    """What names an answer from run to run: its exercise and its text."""
    return f"{answer.exercise} {sha256(answer.text.encode()).hexdigest()[:12]}"


def tried() -> list[tuple]:
    """Every answer that the rules make, with its verdict and what was said."""
    known = kept()["tried"]
    return [(one, *judged(one, known.get(key(one)))) for one in answers.made_by_rule()]


def judged(answer, verdict: tuple[str, str] | None) -> tuple[str, str]:
    """The verdict, `right` with its reason where one was argued for what was accepted."""
    outcome, said = verdict or ("not tried", "")
    why = answers.why_right(answer) if outcome == "accepted" else ""
    return ("right", why) if why else (outcome, said)


def page() -> str:
    """Counts of each exercise, then each answer that built, with what was said to it."""
    every = tried()
    left = sum(outcome == "not tried" for _, outcome, _ in every)
    setting = Setting.from_dict(kept()["setting"])
    text = HEAD.format(tried=len(every) - left, made=len(every), setting=setting)
    sections = ""
    for found in exercises.every():
        its = [one for one in every if one[0].exercise == found.id]
        counts = " | ".join(str([one[1] for one in its].count(kind)) for kind in KINDS)
        text += f"| {found.id} | {len(its)} | {counts} |\n"
        rows = [one for one in its if one[1] not in ("does not build", "not tried")]
        if rows:
            sections += f"\n## {found.id}\n\n| answer | verdict |\n|---|---|\n"
            sections += "".join(map(_row, rows))
    return text + sections


def _row(one: tuple) -> str:
    answer, outcome, said = one
    line = f": `{answer.line}`".replace("|", "\\|") if answer.line else ""
    return f"| {answer.how}{line} | {outcome}: {said} |\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
