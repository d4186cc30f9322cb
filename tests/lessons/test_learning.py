"""Hints, solutions, guesses and progress: what opens when, what counts as a try, what is kept."""

import json
import re
import stat
from dataclasses import replace

import nbformat
import pytest
import results
from factories import file

from shiplight import charts, engine, lessons
from shiplight.builds import Build
from shiplight.cli import commands
from shiplight.errors import BuildFailed, CheckFailed, UsageError
from shiplight.lessons import (
    Progress,
    believe,
    believing,
    exercises,
    guess,
    hint,
    learned,
    shelf,
    solution,
)
from shiplight.lessons.exercises import checking, grading, guessing, helping

START = grading.ALL["01.1"].start_text


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch):
    """A learner of their own, in a folder that is not there yet."""
    monkeypatch.setattr("shiplight.engine.journal.path", tmp_path.joinpath)
    monkeypatch.setattr(guessing, "_guesses", {})
    return tmp_path


def refused(text: str) -> learned.State:
    return learned.note_try("01.1", text, START, mistake="the service still runs as root.")


def built(text: str) -> Build:
    return Build(
        app="go", variant="mine", tag="shiplight/lab1/go:mine", engine_id="sha256:1", seconds=1.0,
        steps=(), bases={}, setting=results.SETTING, text=text,
    )  # fmt: skip


def test_the_first_hint_is_there_on_demand_and_the_second_after_two_tries():
    first, second = grading.ALL["01.1"].hints
    assert first in repr(hint("01.1")) and second not in repr(hint("01.1"))
    assert "after 2 more tries" in repr(hint("01.1"))
    refused(START + "USER root\n")
    assert "after 1 more try" in repr(hint("01.1"))
    refused(START + "USER 0\n")
    assert second in repr(hint("01.1"))


def test_the_solution_opens_after_three_tries_and_at_once_for_a_teacher():
    answer = grading.ALL["01.1"].solutions()[0].read_text(encoding="utf-8")
    assert "after 3 more tries" in repr(solution("01.1"))
    assert solution("01.1", teacher=True) == answer
    for user in ("root", "0", "00"):
        assert solution("01.1") != answer
        refused(f"{START}USER {user}\n")
    assert solution("01.1") == answer


def test_who_solved_it_sees_the_second_hint_and_the_solution():
    learned.note_solved("01.1", 8_000_000)
    assert grading.ALL["01.1"].hints[1] in repr(hint("01.1"))
    assert "FROM" in solution("01.1")


def test_a_try_counts_if_its_text_differs_from_the_start_and_from_tries_before():
    assert refused(START).tries == ()
    assert refused(START + "\n# now with a comment\n\n").tries == ()
    assert len(refused(START + "USER 0\n").tries) == 1
    assert len(refused(START + "\nUSER 0   \n").tries) == 1
    assert len(refused(START + "USER 00\n").tries) == 2


def test_a_check_notes_the_mistake_that_it_named_and_the_day_of_the_solution(monkeypatch):
    def look(client, made):
        if "USER 5" not in made.text:
            grading.refuse("01.1", "the service still runs as root.", hint="…", found="USER 0")
        return "it runs as user 5"

    monkeypatch.setitem(grading.ALL, "01.1", replace(grading.ALL["01.1"], look=look))
    image = results.image([file("server", 1000)])
    monkeypatch.setattr(checking, "measure", lambda client, made: image)
    with pytest.raises(CheckFailed):
        exercises.check(None, "01.1", built(START + "USER 0\n"))
    state = learned.state("01.1")
    assert state.mistakes == ("the service still runs as root.",) and state.solved is None
    exercises.check(None, "01.1", built(START + "USER 5\n"))
    state = learned.state("01.1")
    assert len(state.tries) == 1 and state.solved and state.unpacked_bytes == 1000


def test_the_file_is_small_versioned_whole_and_its_owners_own(lab):
    refused(START + "USER 0\n")
    guess("01.1", 80, "MB")
    path = lab / "learned.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said = json.loads(path.read_text(encoding="utf-8"))
    assert said["version"] == 1 and "USER" not in path.read_text(encoding="utf-8")
    assert said["guesses"]["01.1"]["guess"] == "80 MB"
    assert [one.name for one in lab.iterdir()] == ["learned.json"]


DAMAGED = [
    "{",
    "[]",
    "",
    '{"version": 99, "exercises": {"01.1": 7}}',
    '{"version": 1, "exercises": [], "guesses": {}}',
    '{"version": 1, "exercises": {}}',
]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_file_that_is_not_understood_is_kept_beside_a_new_one(lab, damaged):
    (lab / "learned.json").write_text(damaged)
    assert learned.state("01.1") == learned.State()
    refused(START + "USER 0\n")
    assert len(learned.state("01.1").tries) == 1
    assert (lab / "learned.json.old").read_text() == damaged


def test_the_mistake_that_was_met_last_stands_last(lab):
    for mistake in ("one", "other", "one"):
        learned.note_try("01.1", START, START, mistake=mistake)
    assert learned.state("01.1").mistakes == ("other", "one")


def test_deleting_the_file_forgets_everything(lab):
    learned.note_solved("00.1", 1)
    (lab / "learned.json").unlink()
    assert Progress().solved == 0


def test_progress_says_how_many_are_solved_and_what_comes_next(capsys):
    every = len(exercises.every())
    assert Progress().sentence.startswith(f"0 of {every} exercises solved. Next: 00.1 (easy)")
    learned.note_solved("00.1", 7_000_000)
    refused(START + "USER 0\n")
    assert commands.main(["progress"]) == 0
    said = capsys.readouterr().out
    assert "✓ 00.1" in said and "7.00 MB" in said
    assert "○ 01.1" in said and "1 try: the service still runs as root." in said
    assert f"1 of {every} exercises solved. Next: 00.2" in said
    assert commands.main(["progress", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["next"] == "00.2"
    for found in exercises.every():
        learned.note_solved(found.id, 1)
    assert Progress().sentence == f"{every} of {every} exercises solved. That is all of them."


def test_a_guess_is_shown_beside_what_the_next_chart_measures():
    image = results.image([file("server", 1000)])
    assert "No guess yet" in repr(guess("01.1"))
    assert "guess" not in results.texts(charts.waterfall(image))
    guess("01.1", 80, "MB")
    assert "your\u00a0guess:\u00a080\u00a0MB" in results.texts(charts.waterfall(image))
    assert "guess" not in results.texts(charts.waterfall(image))
    guess("01.1", "80", "MB")
    assert learned.guesses() == {"01.1": "80 MB"}


@pytest.mark.parametrize(
    ("question", "value", "unit", "wanted"),
    [
        ("01.1", float("nan"), "MB", "a number of MB, 0 or more, not nan MB"),
        ("01.1", float("inf"), "MB", "a number of MB, 0 or more, not inf MB"),
        ("01.1", -1, "MB", "a number of MB, 0 or more, not -1 MB"),
        ("01.1", 1, "TB", "a number of MB, 0 or more, not 1 TB"),
        ("01.1", "1,5", "GB", "a number of MB, 0 or more, not '1,5' GB"),
        ("01.1", "about 80", "MB", "a number of MB, 0 or more, not 'about 80' MB"),
        ("01.2", 2.5, "files", "a whole number, 0 or more, not 2.5 files"),
        ("01.2", True, "files", "a whole number, 0 or more, not True files"),
        ("03.2", 101, "%", "a percentage from 0 to 100, not 101 %"),
        ("05.2", 8, "bases", "a whole number from 0 to 7, not 8 bases"),
        ("00.1", float("nan"), "", "words, not nan"),
        ("00.1", ["yes"], "", "words, not ['yes']"),
    ],
)
def test_a_guess_that_cannot_answer_its_question_is_not_kept(question, value, unit, wanted):
    said = repr(guess(question, value, unit))
    assert said == f"○ No guess yet: {question} asks for {wanted}."
    assert not learned.guesses() and guessing.guessed(question) == ""


@pytest.mark.parametrize(
    ("question", "value", "said"),
    [("01.1", 80, "80 MB"), ("01.6", 250.5, "250.5 % larger"), ("00.1", False, "False"),
     ("03.2", 0, "0 %"), ("02.5", "the laptop's", "the laptop's")],
)  # fmt: skip
def test_a_guess_gets_the_unit_of_its_question(question, value, said):
    assert repr(guess(question, value)) == f"▸ Your guess: {said}."


def test_a_guess_in_gb_is_one_in_mb_and_a_full_stop_is_not_doubled():
    assert repr(guess("01.1", 1.2, "GB")) == "▸ Your guess: 1200 MB."
    assert repr(guess("00.2", "No.")) == "▸ Your guess: No."
    guess("01.1")


def test_a_guess_for_no_question_is_refused():
    with pytest.raises(UsageError, match=r"no question '99\.9'"):
        guess("99.9", 5)


def test_every_question_of_a_lesson_is_known_with_its_unit():
    asked = {}
    for path in shelf.lessons():
        for cell in nbformat.reads(shelf.original(path) or path.read_text(), as_version=4).cells:
            if found := re.fullmatch(r'guess\("(.+?)", None(?:, "(.+)")?\)', cell.source):
                asked[found[1]] = found[2] or ""
    assert guessing.questions() == asked


def test_each_question_is_answered_by_a_claim_or_by_a_chart():
    by_claims = set()
    for path in shelf.lessons():
        text = shelf.original(path) or path.read_text()
        for cell in nbformat.reads(text, as_version=4).cells:
            by_claims |= set(re.findall(r'answers="(.+?)"', cell.source))
    assert set(guessing.answered_by_charts()) == set(guessing.questions()) - by_claims


def test_a_guess_that_a_claim_answers_is_beside_no_chart():
    guess("00.1", "wrote")
    image = results.image([file("server", 1000)])
    assert "guess" not in results.texts(charts.waterfall(image))


def test_two_guesses_before_one_chart_are_both_shown_and_one_taken_back_is_not():
    image = results.image([file("server", 1000)])
    guess("04.1", 20, "%")
    guess("04.2", "slower")
    shown = results.texts(charts.waterfall(image))
    assert "your\u00a0guess:\u00a020\u00a0%" in shown and "your\u00a0guess:\u00a0slower" in shown
    guess("04.1", 20, "%")
    guess("04.1")
    assert "guess" not in results.texts(charts.waterfall(image))


def test_a_guess_is_shown_beside_the_claim_that_answers_it_and_in_no_later_chart(capsys):
    image = results.image([file("server", 1000)])
    lessons.claim("It has one file.", True, "1 file", answers="01.2")
    assert capsys.readouterr().out == "✓ It has one file.\n  1 file\n"
    guess("01.2", 3, "files")
    lessons.claim("It has one file.", True, "1 file", answers="01.2")
    lessons.claim("It has one file.", True, answers="01.2")
    said = capsys.readouterr().out
    assert "  1 file; your guess: 3 files\n" in said and "\n  your guess: 3 files\n" in said
    assert "guess" not in results.texts(charts.waterfall(image))


def test_beliefs_are_kept_and_what_changed_is_shown_with_what_was_measured(capsys):
    assert repr(believe("before")).count("No answer yet.") == 5
    assert repr(believe("before", True, True, True, None, True)).count("You say: true.") == 4
    assert learned.beliefs() == {"before": [True, True, True, None, True]}
    after = believe("after", False, True, True, True, None)
    said = repr(after)
    assert "✓ 1. Deleting" in said and "Before: true; now: false." in said
    assert "✗ 3." in said and "Lesson 01 measured it: An edit of the last stage" in said
    assert "✓ 4." in said and "Before: no answer; now: true." in said
    assert "Right before the course: 1 of 5. Right now: 3." in said
    assert "○ 5." in said and "<table>" in after._repr_html_()
    assert Progress().to_dict()["beliefs"]["after"][0] is False


def test_beliefs_without_an_answer_leave_no_file_and_change_none(lab):
    believe("after", None, None, None, None, None)
    assert not list(lab.iterdir())


@pytest.mark.parametrize("given", [("now",), ("before", True), ("after", 1, 0, 1, 0, 1)])
def test_beliefs_that_are_no_answers_are_refused(given):
    with pytest.raises(UsageError, match="then 5 answers"):
        believe(*given)


def test_believe_says_what_it_takes_and_what_it_got():
    with pytest.raises(UsageError) as wrong:
        believe("before", True)
    said = 'believe takes "before" or "after", then 5 answers, each True, False or None;'
    assert wrong.value.message == f"{said} it got 'before', True."


@pytest.mark.parametrize("belief", believing.beliefs(), ids=lambda one: one.says)
def test_a_lesson_measures_what_a_belief_is_about(belief):
    [path] = [path for path in shelf.lessons() if path.stem.startswith(belief.lesson)]
    cells = nbformat.reads(shelf.original(path) or path.read_text(), as_version=4).cells
    shown = [output.get("data", {}) for cell in cells for output in cell.get("outputs", ())]
    assert any(data.get("text/plain", "").startswith(f"✓ {belief.claim}") for data in shown)


def test_beliefs_are_not_all_true_and_not_all_false():
    assert {belief.true for belief in believing.beliefs()} == {True, False}


def test_an_unknown_exercise_is_named():
    for ask in (hint, solution):
        with pytest.raises(UsageError, match=r"no exercise '99\.1'"):
            ask("99.1")


@pytest.mark.parametrize("found", exercises.every(), ids=lambda found: found.id)
def test_an_exercise_has_two_hints_a_level_and_a_start_that_is_not_its_solution(found):
    assert len(found.hints) == 2 and all(found.hints)
    assert found.level in ("easy", "medium", "hard")
    assert found.start_text not in [path.read_text() for path in found.solutions()]
    assert helping.SOLUTION_TRIES > helping.HINT_TRIES


def test_what_an_engine_cannot_show_is_said_with_its_reason_and_no_other_failure_is(capsys):
    lessons.not_here("A cache is exported.", BuildFailed("no", hint=engine.NO_CACHE_EXPORT))
    lessons.not_here("A flag is known.", BuildFailed("no", hint=engine.OLD_FRONTEND))
    lessons.not_here("A disk is read.", "it is elsewhere")
    said = capsys.readouterr().out
    assert "○ A cache is exported." in said and "graph driver" in said
    assert "○ A flag is known." in said and "frontend is too old" in said
    assert "○ A disk is read.\n  Not tested here: it is elsewhere" in said
    with pytest.raises(BuildFailed, match="pip failed"):
        lessons.not_here("A cache is exported.", BuildFailed("pip failed", hint="look"))
