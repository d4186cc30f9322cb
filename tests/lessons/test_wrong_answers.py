"""docs/wrong-answers.md is what was tried, and claims no more than that."""

import ast
import importlib.util
import re

import answers
import pytest

from shiplight.checks import CHECKS
from shiplight.errors import BuildCancelled, UsageError
from shiplight.lessons import exercises
from shiplight.setup import ROOT

SPEC = importlib.util.spec_from_file_location("try_all", ROOT / "tests/exercises/try_all.py")
try_all = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(try_all)


def test_the_page_says_what_was_tried():
    assert try_all.TABLE.read_text(encoding="utf-8") == try_all.page()


def test_a_section_has_answers_and_what_was_not_tried_is_counted():
    page, every = try_all.page(), try_all.tried()
    assert "|---|---|\n\n" not in page and not page.endswith("|---|---|\n")
    tried = [one for one in every if one[1] != "not tried"]
    assert f"{len(tried)} of {len(every)} were tried so far" in page


def test_nothing_that_was_tried_is_accepted_without_a_reason():
    assert not [one for one in try_all.tried() if one[1] in ("accepted", "error")]


def test_nothing_that_was_made_of_a_right_answer_gets_more_points_than_it():
    """Lesson 13: as far as they were tried, and by the points that were measured."""
    points = try_all.kept()["points"]
    scored = [one for one in answers.made_by_rule() if one.of and try_all.key(one) in points]
    assert {one.exercise for one in scored} >= {"13.1"}
    for one in scored:
        assert points[try_all.key(one)] <= answers.points_of(one.of), one


def test_a_run_that_is_stopped_keeps_no_verdict_of_the_answer_that_it_was_at(monkeypatch):
    def stopped(client, answer):
        raise BuildCancelled("the build was stopped.")

    monkeypatch.setattr(answers, "built", stopped)
    with pytest.raises(BuildCancelled):
        answers.verdict(None, next(answers.made_by_rule()))


def test_an_answer_that_asks_for_what_its_exercise_does_not_give_does_not_build(monkeypatch):
    def without_secret(client, answer):
        raise UsageError("line 2 requires the secret pip, which is not given.")

    monkeypatch.setattr(answers, "built", without_secret)
    verdict = answers.verdict(None, next(answers.made_by_rule()))
    assert verdict == (
        "does not build",
        "line 2 requires the secret pip, which is not given.",
        None,
    )


def test_what_is_kept_is_of_answers_that_the_rules_still_make():
    made = {try_all.key(answer) for answer in answers.made_by_rule()}
    assert try_all.kept()["tried"].keys() <= made
    assert {key[:4] for key in made} == {found.id for found in exercises.every()}


def hints() -> set[str]:
    """Every hint that a check can give: what is formatted into one is the id of a check."""
    found = set()
    for path in (ROOT / "shiplight" / "lessons" / "exercises").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        keywords = [node for node in ast.walk(tree) if isinstance(node, ast.keyword)]
        for hint in (one.value for one in keywords if one.arg == "hint"):
            if isinstance(hint, ast.Constant):
                found.add(hint.value)
            elif isinstance(hint, ast.JoinedStr):
                parts = [getattr(part, "value", "") for part in hint.values]
                said = "".join(part if isinstance(part, str) else "…" for part in parts)
                found |= {said.replace("…", one.id) for one in CHECKS}
    return found


@pytest.mark.parametrize("path", answers.kept("*-wrong-*"), ids=lambda path: path.stem)
def test_a_wrong_answer_expects_a_hint_that_a_check_gives(path):
    """Which one it meets, a live test tries; here, without an engine, that the words are there."""
    expected = re.match("# hint: (.+)", path.read_text(encoding="utf-8"))[1]
    assert [hint for hint in hints() if re.search(expected, hint)], expected
