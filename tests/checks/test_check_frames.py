"""The checklist as tables, from text alone."""

from datetime import date

import pytest

from shiplight.checks import checklist
from shiplight.checks.reporting import frames
from shiplight.setup import ROOT

GO = ROOT / "apps" / "go"
TODAY = date(2026, 11, 25)


def checked(name="Dockerfile.single", text="", folder=GO, today=TODAY):
    path = folder / name
    if text:
        path.write_text(text)
    return checklist.run(checklist.read_subject(path, today=today))


SINGLE, HARDENED = checked(), checked("Dockerfile.hardened")


def test_every_check_is_a_question_and_seven_are_the_articles():
    table = frames.questions()
    assert list(table["check"]) == list(checklist.IDS)
    assert list(table["check"][table["of"] == "the article"]) == list(frames.ARTICLE)
    assert len(frames.ARTICLE) == 7


def test_results_leave_out_what_does_not_apply():
    table = frames.results(SINGLE)
    said = {r.check.id: r.outcome.result for r in SINGLE.results}
    assert dict(zip(table["check"], table["result"], strict=True)) == {
        check: result for check, result in said.items() if result != "does not apply"
    }


def test_places_are_those_of_failures_with_their_lines():
    table = frames.places(SINGLE)
    failed = {r.check.id for r in SINGLE.results if r.counts}
    assert set(table["check"]) == failed and table["unpacked_bytes"].isna().all()
    lines = (GO / "Dockerfile.single").read_text().splitlines()
    [root] = frames.places(SINGLE, "user")["line"]
    assert lines[root - 1].startswith("FROM golang:1.23")


def test_dockerfiles_stand_side_by_side_and_accepted_is_not_passed(tmp_path):
    reason = "# shiplight: accept supported-bases because of the article\n"
    text = reason + (GO / "Dockerfile.hardened").read_text()
    accepted = checked("Dockerfile", text, tmp_path)
    table = frames.against({"single": SINGLE, "hardened": HARDENED, "accepted": accepted})
    assert list(table.index) == list(checklist.IDS)
    assert list(table.loc["user"]) == ["failed", "passed", "passed"]
    assert list(table.loc["supported-bases"]) == ["failed", "failed", "accepted"]


@pytest.mark.parametrize(("today", "expected"), [(date(2025, 1, 1), 0), (TODAY, 1)])
def test_the_day_that_is_given_decides_what_is_supported(today, expected):
    found = checked("Dockerfile.hardened", today=today)
    assert len(frames.places(found, "supported-bases")) == expected
