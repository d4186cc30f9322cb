"""What was seen gives points: for what was asked, only for what works, and never for a machine."""

from dataclasses import replace

import pytest

from shiplight.checks import CHECKS
from shiplight.scoring import MOST, Limits, Seen, rows_of
from shiplight.scoring.points import PER_FINDING, bytes_points
from shiplight.setup import ROOT

LIMITS = Limits(
    at_most=20_000_000, best=8_000_000, port=8080, keeps=("ca_certificates",), edit="main.go"
)
GOOD = Seen(
    steps=4,
    seconds=3.0,
    unpacked_bytes=8_000_000,
    largest="COPY /server /server",
    answered=True,
    seconds_to_answer=0.1,
    again=("RUN go build",),
    seconds_again=1.0,
    user="65532",
    user_id=65532,
    traces=(),
)
FAULTS = {
    "builds": {"failure": "step 2 exited with 1"},
    "answers": {"answered": False, "last_words": "no such file"},
    "bytes": {"unpacked_bytes": 20_000_001},
    "edit": {"installs": ("RUN go mod download",)},
    "findings": {"findings": ("user", "signals")},
    "user": {"user": "", "user_id": 0},
    "secret": {"traces": ("history RUN x",)},
}


def total(seen: Seen, limits: Limits = LIMITS) -> int:
    return sum(row.points or 0 for row in rows_of(seen, limits))


def test_a_good_image_gets_all_points_and_there_are_a_hundred():
    rows = rows_of(GOOD, LIMITS)
    assert [row.id for row in rows] == list(MOST) and all(row.passed for row in rows)
    assert total(GOOD) == sum(MOST.values()) == 100


@pytest.mark.parametrize("criterion", FAULTS)
def test_each_fault_fails_its_own_criterion_and_costs_points(criterion):
    seen = replace(GOOD, **FAULTS[criterion])
    failed = {row.id for row in rows_of(seen, LIMITS) if not row.passed}
    assert failed == (set(MOST) if criterion == "builds" else {criterion})
    assert total(seen) < total(GOOD)


@pytest.mark.parametrize("more", FAULTS)
@pytest.mark.parametrize("criterion", FAULTS)
def test_another_fault_never_brings_points(criterion, more):
    one = replace(GOOD, **FAULTS[criterion])
    assert total(replace(one, **FAULTS[more])) <= total(one)


@pytest.mark.parametrize("criterion", ["builds", "answers"])
def test_what_does_not_work_gets_points_for_nothing_else(criterion):
    rows = rows_of(replace(GOOD, **FAULTS[criterion], unpacked_bytes=1), LIMITS)
    given = {row.id: row.points for row in rows if row.points}
    assert given == ({} if criterion == "builds" else {"builds": MOST["builds"]})


def test_a_service_that_lost_what_it_had_keeps_its_other_points_but_not_that_one():
    rows = rows_of(replace(GOOD, lost=("ca_certificates",)), LIMITS)
    [answers] = [row for row in rows if row.id == "answers"]
    assert not answers.passed and answers.points == 0
    assert answers.measured == "it no longer finds ca_certificates"


def test_bytes_give_all_points_near_the_best_none_beyond_the_budget_and_are_linear_between():
    given = [bytes_points(mb * 1_000_000, LIMITS) for mb in range(30)]
    assert given[:9] == [25] * 9 and given[20:] == [0] * 10
    assert given == sorted(given, reverse=True)
    assert bytes_points(8_400_000, LIMITS) == 25, "within five percent"
    assert bytes_points(14_200_000, LIMITS) == 12, "halfway"


@pytest.mark.parametrize("best", [None, 20_000_000, 40_000_000])
def test_without_a_better_one_the_budget_itself_gives_all_points(best):
    limits = replace(LIMITS, best=best)
    assert bytes_points(20_000_000, limits) == 25 and bytes_points(20_000_001, limits) == 0


def test_what_is_not_asked_has_no_points_and_takes_none():
    rows = {row.id: row for row in rows_of(replace(GOOD, traces=None), Limits())}
    assert [name for name, row in rows.items() if row.points is None] == [
        "answers", "bytes", "edit", "secret",
    ]  # fmt: skip
    assert rows["answers"].asked == "not asked" and rows["answers"].passed is None
    assert rows["builds"].passed and rows["user"].passed and rows["findings"].passed


def test_seconds_are_shown_and_never_count():
    slow = replace(GOOD, seconds=9e5, seconds_again=9e5, seconds_to_answer=80.0)
    assert total(slow) == total(GOOD)
    assert "1 of 4 steps ran again in 15000 min" in rows_of(slow, LIMITS)[3].measured


@pytest.mark.parametrize(
    ("exit_code", "last_words", "expected"),
    [
        (None, "", "no response, although it is still running; its last words: none"),
        (None, "listening", "no response, although it is still running; its last words: listening"),
        (0, "", "no response: it exited with code 0 and printed nothing"),
        (0, "done", "no response: it exited with code 0; its last words: done"),
        (127, "", "no response: it exited with code 127; its last words: none"),
    ],
)
def test_a_service_that_does_not_answer_is_still_running_or_has_an_exit_code(
    exit_code, last_words, expected
):
    running = exit_code is None
    seen = replace(
        GOOD, answered=False, still_running=running, exit_code=exit_code, last_words=last_words
    )
    [row] = [row for row in rows_of(seen, LIMITS) if row.id == "answers"]
    assert row.measured == expected and row.points == 0


@pytest.mark.parametrize("user", ["", "root", "0", "00", "0:0", "root:root"])
def test_root_is_root_by_every_name(user):
    seen = replace(GOOD, user=user, user_id=None)
    assert not {row.id: row for row in rows_of(seen, LIMITS)}["user"].passed


def test_a_user_whose_name_hides_that_it_is_root_is_root():
    seen = replace(GOOD, user="app", user_id=0)
    assert not {row.id: row for row in rows_of(seen, LIMITS)}["user"].passed


def test_each_finding_costs_points_down_to_none():
    given = [
        rows_of(replace(GOOD, findings=tuple("abcdefghij"[:count])), LIMITS)[4].points
        for count in range(8)
    ]
    assert given == [15, 12, 9, 6, 3, 0, 0, 0]


def test_score_names_every_finding_even_if_all_checks_fail():
    every = tuple(f"{check.id} (lines 1001, 1002, 1003 and 1000 more)" for check in CHECKS)
    measured = rows_of(replace(GOOD, findings=every), LIMITS)[4].measured
    assert measured == f"{len(CHECKS)}: {', '.join(every)}"


def test_an_edit_that_nothing_is_made_from_is_no_quick_rebuild():
    seen = Seen(steps=0, seconds=1.0, answered=True, again=(), seconds_again=0.1, user="65532")
    row = rows_of(seen, Limits(edit="main.go"))[3]
    assert not row.passed and row.points == 0
    assert "nothing in the image is made from that file" in row.measured


def test_the_lesson_says_what_a_finding_costs():
    text = next((ROOT / "notebooks").glob("13-*.ipynb")).read_text(encoding="utf-8")
    words = ("no", "one", "two", "three", "four", "five")
    assert f"**findings**, and costs {words[PER_FINDING]} points." in text
