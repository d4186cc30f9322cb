"""What a run of the tests says: how long it takes, how far it is, what was slow."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import durations
import pytest
import reporting
from durations import NAME, Durations, published
from reporting import Progress, Screen

pytest_plugins = ["pytester"]

LESSONS = ["notebooks/01-go.ipynb::Cell 0", "notebooks/02-node.ipynb::Cell 0"]
FILES = ["tests/test_a.py::test_1", "tests/test_a.py::test_2", "tests/test_b.py::test_1"]


@pytest.fixture
def file(tmp_path):
    return tmp_path / ".lab" / NAME


def keep(file: Path, seconds: dict[str, float], mode: str = "live") -> Durations:
    kept = Durations(file)
    kept.add(seconds, mode)
    kept.save()
    return Durations(file)


def test_durations_are_kept_from_run_to_run(file):
    assert keep(file, {FILES[0]: 1.5}).of(FILES[0], "live") == 1.5
    kept = keep(file, {FILES[0]: 2.5, FILES[1]: 1})
    assert (kept.of(FILES[0], "live"), kept.of(FILES[1], "live")) == (2.5, 1)
    assert [path.name for path in file.parent.iterdir()] == [NAME], "no draft is left"


def test_a_replayed_lesson_says_nothing_about_a_live_one_but_a_test_does(file):
    kept = keep(file, {LESSONS[0]: 0.1, FILES[0]: 0.2}, "recorded")
    assert kept.of(LESSONS[0], "live") is None and kept.of(LESSONS[0], "recorded") == 0.1
    assert kept.of(FILES[0], "live") == 0.2


@pytest.mark.parametrize(
    "damage",
    [
        "", "{", "[1]", "\x00", "[" * 100_000, '{"seconds": 3, "pace": []}',
        '{"seconds": {"live": [1], "recorded": null}}',
        '{"seconds": {"live": {"a": "1", "b": NaN, "c": -1, "d": 1e99, "e": true}}}',
        '{"pace": {"live": Infinity}}', '{"seconds": {}}' + " " * durations.LARGEST_FILE,
    ],
)  # fmt: skip
def test_a_damaged_file_is_ignored(file, damage):
    file.parent.mkdir()
    file.write_text(damage)
    kept = Durations(file)
    assert kept.seconds == {"live": {}, "recorded": {}} and kept.pace == {}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / ".lab").write_text("a file, where a folder has to be")
    assert keep(tmp_path / ".lab" / NAME, {FILES[0]: 1}).of(FILES[0], "live") is None


def test_the_file_is_bounded_and_forgets_what_was_not_seen_for_longest(file, monkeypatch):
    monkeypatch.setattr(durations, "KEPT", 2)
    keep(file, {"old": 1, "seen again": 1})
    kept = keep(file, {"seen again": 2, "new": 3, "x" * 1000: 4})
    assert kept.seconds["live"] == {"seen again": 2, "new": 3}


def test_a_new_test_is_expected_to_take_as_long_as_its_file_does(file):
    old = {f"a::{n}": n for n in range(1, 20)} | {"b::1": 100, "b::2": 100}
    expected = keep(file, old).expect([*old, "a::new", "c::new"], "live")
    assert expected == old | {"a::new": 10, "c::new": 11}


def test_a_recorded_run_says_nothing_about_a_live_one(file):
    """Lessons take minutes live, and what needs an engine did not run at all."""
    tests = {f"tests/a::{n}": 0.1 for n in range(20)} | {f"b.ipynb::{n}": 0.1 for n in range(4)}
    kept = Durations(file)
    kept.add(tests, "recorded")
    assert kept.expect(tests, "recorded") and kept.expect(tests, "live") is None


def test_nothing_is_expected_where_most_tests_are_new(file):
    kept = keep(file, {"a::1": 1})
    assert kept.expect(["a::1", "a::2", "a::3"], "live") is None
    assert kept.expect([], "live") is None


def test_a_published_figure_is_said_of_the_same_suite_only(tmp_path):
    file = tmp_path / "published.toml"
    file.write_text(
        '[live]\ntests = 1000\nseconds = 600\nmachine = "two cores"\nmeasured = 2026-11-29\n'
    )
    assert published(900, "live", file) == "Elsewhere it took 10 min (two cores, 29 November 2026)."
    assert published(700, "live", file) == published(1000, "recorded", file) == ""
    file.write_text('[live]\ntests = "many"\n')
    assert published(1000, "live", file) == ""
    assert published(1000, "live", tmp_path / "none") == ""


def test_what_is_published_can_be_read():
    tests = tomllib.loads(durations.PUBLISHED.read_text(encoding="utf-8"))["live"]["tests"]
    assert "Elsewhere it took" in published(tests, "live")


def progress(workers: int, expected=None) -> Progress:
    return Progress([*LESSONS, *FILES], expected, workers=workers)


EXPECTED = dict(zip([*LESSONS, *FILES], (60, 60, 20, 20, 10), strict=True))


def test_one_worker_takes_all_lessons_while_others_take_the_files():
    assert progress(1, EXPECTED).remaining(0) == 170
    assert progress(2, EXPECTED).remaining(0) == 120
    assert progress(1).remaining(0) is None


def test_the_rest_shrinks_while_a_test_runs_and_when_it_ends():
    run = progress(2, EXPECTED)
    run.start(LESSONS[0], 0)
    assert run.remaining(50) == 70
    assert run.remaining(500) == 60, "a test that takes longer than expected may end now"
    run.finish(LESSONS[0])
    assert run.remaining(500) == 60
    assert run.left_text(500) == "4 left, about 60 s"


def test_a_group_is_finished_with_its_last_test():
    run = progress(2)
    run.measure(FILES[0], 0.5, "")
    run.measure(FILES[0], 1, "passed")
    run.measure(FILES[0], 0, "failed")
    assert run.finish(FILES[0]) is None
    run.measure(FILES[1], 2, "skipped")
    group = run.finish(FILES[1])
    assert (group.seconds, group.outcomes) == (3.5, {"failed": 1, "skipped": 1})
    assert run.finish(FILES[1]) is None, "nothing counts twice"


def test_what_runs_is_said_with_the_lesson_first():
    run = progress(2)
    run.start(FILES[1], 0)
    run.start(LESSONS[0], 90)
    assert run.now_running(100, short=True) == [
        "lesson 01-go, cell 1 of 1 (10.0 s)",
        "test_a.py, 1 of 2 (100 s)",
    ]
    assert run.now_running(91, short=False)[1].startswith("tests/test_a.py, 1 of 2")


def test_a_cell_is_named_by_its_first_line(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["import x"]},
        {"cell_type": "code", "source": ["\n", "board = survey(client)\n", "board"]},
    ]
    (tmp_path / "09-board.ipynb").write_text(json.dumps({"cells": cells}))
    name = reporting.test_name("09-board.ipynb::Cell 1", tmp_path)
    assert name == "lesson 09-board: board = survey(client)"
    for unknown in ("09-board.ipynb::Cell 7", "09-board.ipynb::other", "10-none.ipynb::Cell 1"):
        assert reporting.test_name(unknown, tmp_path).endswith(unknown.partition("::")[2])


def terminal(text: str) -> list[str]:
    """The lines of a terminal to which `text` was written."""
    lines, column = [""], 0
    for sign in text:
        if sign == "\n":
            lines, column = [*lines, ""], 0
        elif sign == "\r":
            column = 0
        elif sign == "\b":
            column -= 1
        else:
            lines[-1] = lines[-1][:column].ljust(column) + sign + lines[-1][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


@pytest.fixture
def screen():
    file = StringIO()
    return Screen(SimpleNamespace(_tw=SimpleNamespace(_file=file, flush=lambda: None), isatty=True))


def test_a_line_that_changes_leaves_nothing_behind(screen):
    screen.show("lesson 01-go, cell 10 of 38")
    screen.show("lesson 02")
    assert terminal(screen.file.getvalue()) == ["lesson 02"]
    screen.line("FAILED  a test")
    screen.show("lesson 03")
    screen.erase()
    assert terminal(screen.file.getvalue()) == ["FAILED  a test", ""]


def test_a_line_that_changes_fits_the_terminal_with_room_for_ctrl_c(screen, monkeypatch):
    monkeypatch.setattr(screen, "columns", lambda: 40)
    screen.show("x" * 100)
    screen.file.write("^C")
    assert terminal(screen.file.getvalue()) == ["x" * 36 + "…^C"]
    screen.erase()
    assert terminal(screen.file.getvalue()) == [""]


def test_a_closed_terminal_is_no_error(screen):
    screen.file.close()
    screen.line("a line")
    screen.erase()


@pytest.fixture
def suite(pytester, monkeypatch):
    """A folder of tests to run with the plugin, as this project's settings run it."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading them takes longest
    here = Path(reporting.__file__).parent
    pytester.makeini(f"[pytest]\naddopts = -q -p reporting\npythonpath = {here} {here.parent}\n")
    many = "import pytest\n@pytest.mark.parametrize('n', range(11))\ndef test_many(n): pass\n"
    pytester.makepyfile(test_many=many, test_one="def test_one(): pass")
    return pytester


def test_a_run_says_what_runs_what_is_done_and_what_was_slow(suite):
    result = suite.runpytest_inprocess()
    result.stdout.fnmatch_lines(
        [
            "Running 12 tests (2 files).",
            "How long this takes here is not known yet*",
            "test_many.py *11 passed * 1 left",
            "test_one.py *1 passed * 0 left",
            "=* ten slowest =*",
            "* ms  test_*.py: test_*",
        ]
    )
    assert re.fullmatch(r"12 passed in [\d.]+s", result.outlines[-1])
    assert not any(re.match(r"\.|.*%", line) for line in result.outlines), "no dots"


def test_a_second_run_says_how_long_it_takes_here(suite):
    suite.runpytest_inprocess()
    result = suite.runpytest_inprocess()
    result.stdout.fnmatch_lines(["This takes about 5 s here, going by earlier runs."])
    suite.makepyfile(test_new="def test_new(): pass")
    result = suite.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*going by earlier runs; 1 test not measured yet."])


def test_two_workers_report_as_one(suite):
    result = suite.runpytest_subprocess("-p", "xdist", "--numprocesses=2")
    result.stdout.fnmatch_lines(["Running 12 tests (2 files), 2 at a time."])
    result.stdout.fnmatch_lines_random(["test_many.py *11 passed*", "test_one.py *1 passed*"])
    assert re.fullmatch(r"12 passed in [\d.]+s", result.outlines[-1])
    kept = Durations(suite.path / ".lab" / NAME)
    assert len(kept.seconds["live"]) == 12


def test_a_failure_is_named_when_it_happens_and_shown_at_the_end(suite):
    suite.makepyfile(test_bad="def test_bad(): assert 0")
    result = suite.runpytest_inprocess()
    result.stdout.fnmatch_lines(
        [
            "FAILED  test_bad.py: test_bad",
            "test_bad.py *1 failed*",
            "=* FAILURES =*",
            "FAILED test_bad.py::test_bad - assert 0",
            "1 failed, 12 passed in *",
        ]
    )
    assert "test_bad.py::test_bad" not in Durations(suite.path / ".lab" / NAME).seconds["live"]


def test_a_folder_that_cannot_be_written_fails_no_test(suite):
    (suite.path / ".lab").write_text("a file, where a folder has to be")
    suite.runpytest_inprocess().assert_outcomes(passed=12)


@pytest.mark.parametrize("option", ["-v", "-s", "--pdb", "--collect-only"])
def test_other_displays_are_left_to_pytest(suite, option):
    config = suite.parseconfigure(option)
    assert not config.pluginmanager.has_plugin("run-report")


def test_without_a_terminal_a_long_test_is_said_to_run(suite, monkeypatch):
    monkeypatch.setattr(reporting, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(reporting, "REFRESH_SECONDS", 0.05)
    suite.makepyfile(test_zz="import time\ndef test_slow(): time.sleep(0.5)")
    result = suite.runpytest_inprocess("--capture=sys")
    result.stdout.fnmatch_lines(["  1 left · test_zz.py, 1 of 1"])


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals on Windows")
def test_ctrl_c_leaves_the_terminal_clean_and_keeps_what_was_measured(suite):
    suite.makepyfile(test_zz="import time\ndef test_slow(): time.sleep(30)")
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "pytest"]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen, asked = b"", False
    try:
        with suppress(OSError):  # at its end
            while more := os.read(ours, 10_000):
                seen += more
                if not asked and b"test_zz.py, 1 of 1" in seen:
                    child.send_signal(signal.SIGINT)
                    asked = True
        assert child.wait(60) == pytest.ExitCode.INTERRUPTED
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    assert not [line for line in terminal(seen.decode()) if "1 of 1" in line]
    kept = Durations(suite.path / ".lab" / NAME)
    assert len(kept.seconds["live"]) == 12, "what was measured before is kept"
