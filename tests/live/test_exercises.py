"""Every exercise is tried on right answers, and on wrong ones that each meet their own hint."""

import re

import answers
import pytest
from answers import Answer

from shiplight.errors import CheckFailed, ScannerMissing, UsageError
from shiplight.lessons import exercises, private_index
from shiplight.scans import trivy


@pytest.fixture(scope="module", autouse=True)
def no_index_left(client):
    """Stop the index that answers to lesson 10 start."""
    yield
    private_index.stop_index(client)


CI = [found for found in exercises.every() if answers.is_in_ci(found)]
RIGHT = [path for found in CI for path in found.solutions()]
KEPT = answers.kept("*-wrong-*")
WRONG = [path for path in KEPT if path.name[:4] in {found.id for found in CI}]


def answer_in(client, path) -> Answer:
    """The answer in this file. Skips the test where its check needs a scanner and none is here."""
    if path.name.startswith("07"):
        try:
            trivy.provide(client)
        except ScannerMissing as error:
            pytest.skip(error.message)
    return Answer(path.name[:4], path.stem[5:], path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_a_right_answer_passes(client, path, capsys):
    answer = answer_in(client, path)
    exercises.check(client, answer.exercise, answers.built(client, answer))
    assert "is solved" in capsys.readouterr().out


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_a_wrong_answer_meets_its_own_hint(client, path):
    answer = answer_in(client, path)
    expected = re.match("# hint: (.+)", answer.text)[1]
    with pytest.raises(CheckFailed) as failed:
        exercises.check(client, answer.exercise, answers.built(client, answer))
    assert re.search(expected, failed.value.hint), failed.value


@pytest.mark.parametrize("answer", [*answers.in_ci()], ids=lambda one: f"{one.exercise} {one.line}")
def test_a_solution_with_a_line_deleted_is_refused(client, answer):
    """Two of each exercise; `exercises/try_all.py` tries all of them, and writes a table."""
    if answer.exercise.startswith("07"):
        answer_in(client, answers.kept("07*")[0])
    outcome, _, points = answers.verdict(client, answer)
    assert outcome == "refused"
    assert points is None or points < answers.points_of(answer.of)


def test_every_exercise_has_two_right_answers_and_two_wrong_ones():
    for found in exercises.every():
        assert len(found.solutions()) >= 2, found.id
        assert sum(path.name.startswith(found.id) for path in KEPT) >= 2, found.id


def test_what_is_not_built_yet_is_open_and_an_unknown_id_is_named(capsys):
    exercises.check(None, "01.1", None)
    assert "01.1 is open" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"no exercise '99\.1'"):
        exercises.check(None, "99.1", None)
