"""docs/teaching.md: its timetables add up, and what it quotes is what checks say."""

import re

import pytest

from shiplight.cli.arguments import parser
from shiplight.lessons import exercises, needed_by, shelf
from shiplight.setup import ROOT

PAGE = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """What is below a heading, up to the next one of its rank or a higher one."""
    rank = re.search(rf"^(#+) {re.escape(title)}", PAGE, re.MULTILINE)
    rest = PAGE[rank.end() :]
    end = re.search(rf"^#{{2,{len(rank[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


@pytest.mark.parametrize("minutes", [45, 120, 180])
def test_a_timetable_adds_up_and_gives_no_lesson_more_time_than_it_takes(minutes):
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", section(f"{minutes} minutes"), re.MULTILINE)
    assert sum(int(row[0]) for row in rows) == minutes
    takes = {path.stem[:2]: shelf.minutes_of(path) for path in shelf.lessons()}
    for spent, what in rows:
        if found := re.match(r"lesson (\d\d)", what):
            assert int(spent) <= takes[found[1]], what


@pytest.mark.parametrize("lesson", shelf.lessons(), ids=lambda path: path.stem)
def test_every_lesson_has_its_stumbling_blocks_in_the_words_of_its_checks(lesson):
    its = section(lesson.stem[:2] + " ")
    quoted = re.findall(r"^- “([^”]+\.)”", its, re.MULTILINE)
    assert quoted and set(quoted) <= exercises.mistakes(), quoted


def test_its_exercises_and_commands_exist():
    ids = {found.id for found in exercises.every()}
    assert set(re.findall(r"\b([01]\d\.\d)\b", PAGE)) <= ids
    for line in re.findall(r"\./lab ([a-z-]+[^`\n]*)", PAGE):
        words = [word for word in line.split("·")[0].split() if word not in (">", "answers.md")]
        if len(words) == 1:  # a command that is only spoken of
            assert f"\n    {words[0]} " in parser().format_help(), words
        else:
            parser().parse_args(words)


def test_the_lessons_for_which_a_kit_has_the_database_are_those_that_scan():
    said = re.search(r"the scanner's database, for lessons (.+?) \|", PAGE)[1]
    assert re.findall(r"\d\d", said) == [
        path.stem[:2] for path in shelf.lessons() if needed_by(path).scans
    ]


def test_the_words_between_which_a_timetable_stops_are_headings_of_the_lesson():
    for number, heading in re.findall(r"lesson (\d\d) to “(.+?\?)”[,| ]", PAGE):
        [path] = [path for path in shelf.lessons() if path.stem.startswith(number)]
        assert f"## {heading}" in path.read_text(encoding="utf-8"), heading
