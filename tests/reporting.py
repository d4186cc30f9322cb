"""What a run of the tests says about itself: how long it will take, how far it is, what was slow.

A pytest plugin, in place of pytest's dots. One line stays for each finished lesson and file. Below
them a terminal shows what runs now; elsewhere a line a minute says so, when nothing else did. With
`-v`, `-s` or a debugger, pytest's own display is used. Only the process that prints does any of
this, so workers run as they would without it.
"""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from durations import NAME, SHORT_RUN, Durations, about, file_of, makespan, published

from shiplight.units import format_seconds, visible

REFRESH_SECONDS = 0.5
HEARTBEAT_SECONDS = 60
SLOWEST = 10
FAILURES_SHOWN = 20  # while it runs; all of them follow at the end
ROOM_FOR_INTERRUPT = 3  # columns, for the terminal's own `^C` and the cursor
DOCTESTS = "examples in docstrings"


@pytest.hookimpl(trylast=True)  # the terminal reporter has to be there
def pytest_configure(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    option = config.option
    plain = option.verbose == -1 and option.capture != "no"  # as pyproject.toml has it
    asks = option.usepdb or getattr(option, "trace", False)
    prints = reporter and not hasattr(config, "workerinput")
    if prints and plain and not asks and not option.collectonly:
        config.pluginmanager.register(Report(config, reporter), "run-report")


@dataclass
class Group:
    """A lesson, a file of tests, or all examples in docstrings: what a line is about."""

    name: str
    part: str  # what one worker runs in a row
    total: int = 0
    seconds: float = 0.0  # measured
    outcomes: Counter = field(default_factory=Counter)
    done: int = 0

    @property
    def short(self) -> str:
        return self.name.rpartition("/")[2]

    def line(self) -> str:
        """Return what was seen of a finished group, without what is left."""
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())
        return f"{self.name:<40} {counts:<12} {format_seconds(self.seconds):>11}"


class Progress:
    """What of a run is done, what runs, and how long the rest will take."""

    def __init__(self, tests: Iterable[str], expected: dict[str, float] | None, *, workers: int):
        self.groups: dict[str, Group] = {}
        self.expected = expected
        self.workers = workers
        self.pace = 1.0
        self.running: dict[str, float] = {}  # since when
        self.left: dict[str, None] = dict.fromkeys(tests)
        self.total = len(self.left)
        self.ahead: dict[str, float] = {}  # expected seconds of what is not done, by part
        self.seconds: Counter = Counter()  # measured, by test
        self.outcome: dict[str, str] = {}
        for test in self.left:
            group = self.groups.setdefault(group_name(test), Group(group_name(test), part(test)))
            group.total += 1
            self.ahead[group.part] = self.ahead.get(group.part, 0.0) + self._expected(test)

    def _expected(self, test: str) -> float:
        return self.expected.get(test, 0.0) if self.expected else 0.0

    def start(self, test: str, now: float) -> None:
        if test in self.left:
            self.running[test] = now

    def measure(self, test: str, seconds: float, outcome: str) -> None:
        """Add one of a test's reports: its set-up, its call or what follows it."""
        self.seconds[test] += seconds
        if self.outcome.get(test) != "failed" and outcome:
            self.outcome[test] = outcome

    def finish(self, test: str) -> Group | None:
        """Count a test as done; return its group where it was the last of it."""
        self.running.pop(test, None)
        if test not in self.left:
            return None
        del self.left[test]
        group = self.groups[group_name(test)]
        group.done += 1
        group.seconds += self.seconds[test]
        group.outcomes[self.outcome.get(test, "passed")] += 1
        self.ahead[group.part] -= self._expected(test)
        return group if group.done == group.total else None

    def remaining(self, now: float) -> float | None:
        """Return the expected seconds until the end, or None where nothing is known."""
        if self.expected is None:
            return None
        running = {}  # parts that a worker is in cannot wait for a free one
        for test, since in self.running.items():
            in_part = part(test)
            spent = min(self._expected(test), now - since)
            running[in_part] = running.get(in_part, self.ahead[in_part]) - spent
        waiting = [seconds for name, seconds in self.ahead.items() if name not in running]
        return self.pace * makespan(
            [max(0.0, s) for s in [*running.values(), *waiting]], self.workers
        )

    def left_text(self, now: float) -> str:
        seconds = self.remaining(now)
        return f"{len(self.left):,} left" + (f", about {about(seconds)}" if seconds else "")

    def now_running(self, now: float, *, short: bool) -> list[str]:
        """Return what runs now, the lesson first, with how far it is and how long it takes."""
        texts = []
        for test, since in sorted(self.running.items(), key=lambda one: ".ipynb" not in one[0]):
            group = self.groups[group_name(test)]
            unit = "cell " if ".ipynb" in test else ""
            text = (
                f"{group.short if short else group.name}, {unit}{group.done + 1} of {group.total}"
            )
            seconds = now - since
            texts.append(text + (f" ({format_seconds(round(seconds))})" if seconds >= 10 else ""))
        return texts


def part(test: str) -> str:
    """Return what a test shares a worker with, as conftest.py hands out tests."""
    file = file_of(test)
    return "lessons" if file.endswith(".ipynb") else file


def group_name(test: str) -> str:
    """Return the name under which a test is counted.

    >>> group_name("notebooks/04-rust.ipynb::Cell 3"), group_name("tests/test_x.py::test_y")
    ('lesson 04-rust', 'tests/test_x.py')
    """
    file = Path(file_of(test))
    if file.suffix == ".ipynb":
        return f"lesson {file.stem}"
    return file.as_posix() if file.name.startswith("test_") else DOCTESTS


def test_name(test: str, root: Path) -> str:
    """Return a test's name as a person would say it.

    >>> test_name("tests/test_x.py::TestX::test_y[1]", Path())
    'tests/test_x.py: TestX, test_y[1]'
    >>> test_name("shiplight/units.py::shiplight.units.format_bytes", Path())
    'shiplight/units.py: example of format_bytes'
    """
    file, _, name = test.partition("::")
    if file.endswith(".ipynb"):
        return f"lesson {Path(file).stem}: {_first_line(root / file, name) or name}"
    if not Path(file).name.startswith("test_"):
        return f"{file}: example of {name.rpartition('.')[2]}"
    return visible(f"{file}: {', '.join(name.split('::'))}")


test_name.__test__ = False  # a function that reads like a test


def _first_line(notebook: Path, cell: str) -> str:
    """The first line of a code cell, by pytest's name for it; empty where it cannot be read."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        codes = [one["source"] for one in cells if one["cell_type"] == "code"]
        text = "".join(codes[int(cell.removeprefix("Cell "))])
        return visible(next(line for line in text.splitlines() if line.strip()).strip())
    return ""


def cut(text: str, columns: int) -> str:
    """Return the text in at most so many columns; what is cut ends with `…`."""
    return text if len(text) <= columns else text[: max(0, columns - 1)] + "…"


class Screen:
    """Lines that stay, and in a terminal one below them that changes. It never raises."""

    def __init__(self, reporter):
        self.writer = reporter._tw
        self.file = _own(self.writer._file)
        self.live = reporter.isatty and os.environ.get("TERM") != "dumb"
        self.lock = threading.Lock()
        self.shown = 0  # columns of the changing line
        self.last = time.monotonic()  # when a line that stays was written

    def columns(self) -> int:
        with suppress(OSError, ValueError):
            return os.get_terminal_size(self.file.fileno()).columns or 80
        return 80

    def line(self, text: str) -> None:
        self.last = time.monotonic()
        self._write(f"{self._erased()}{text}\n")

    def show(self, text: str) -> None:
        text = cut(text, self.columns() - ROOM_FOR_INTERRUPT)
        self._write(f"\r{text:<{self.shown}}" + "\b" * (self.shown - len(text)), len(text))

    def erase(self) -> None:
        self._write(self._erased())

    def _erased(self) -> str:
        columns = self.shown + ROOM_FOR_INTERRUPT - 1  # `^C` may stand behind the line
        return f"\r{' ' * columns}\r" if self.shown else ""

    def _write(self, text: str, shown: int = 0) -> None:
        with self.lock, suppress(OSError, ValueError):
            self.shown = shown
            self.writer.flush()
            self.file.write(text)
            self.file.flush()


def _own(file):
    """The terminal under a name of its own: while a test runs, pytest captures the usual one."""
    with suppress(OSError, ValueError, AttributeError):
        copy = os.dup(file.fileno())
        return open(copy, "w", encoding=file.encoding, errors="replace")
    return file


class Report:
    """The plugin's hooks, in the process that prints."""

    def __init__(self, config, reporter):
        self.config, self.reporter = config, reporter
        self.root = Path(config.rootpath)
        self.workers = max(1, getattr(config.option, "numprocesses", None) or 1)
        replayed = getattr(config.option, "nbval", False)
        self.mode = "recorded" if replayed or getattr(config.option, "recorded", False) else "live"
        self.durations = Durations(self.root / ".lab" / NAME)
        self.tests: list[str] = []
        self.progress: Progress | None = None  # from the first test on
        self.screen = Screen(reporter)
        self.state = threading.Lock()  # of what the thread reads
        self.over = threading.Event()
        self.failures = 0
        self.refresh, self.heartbeat = REFRESH_SECONDS, HEARTBEAT_SECONDS

    # What will run, and how long it will take.

    def pytest_collection_finish(self, session):
        self.tests = [item.nodeid for item in session.items]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids):
        self.tests = list(ids)  # all workers collect the same

    def _begin(self, tests: list[str]) -> None:
        self.progress = Progress(
            tests, self.durations.expect(tests, self.mode), workers=self.workers
        )
        self.progress.pace = self.durations.pace.get(self._kind(), 1.0)
        self.began = time.monotonic()
        for line in self._forecast():
            self.screen.line(line)
        self.thread = threading.Thread(target=self._refresh, name="run-report", daemon=True)
        self.thread.start()

    def _kind(self) -> str:
        return f"{self.mode}, {self.workers} at a time"

    def _forecast(self) -> list[str]:
        total, seconds = self.progress.total, self.progress.remaining(self.began)
        names = list(self.progress.groups)
        lessons = sum(name.startswith("lesson ") for name in names)
        files = len({file_of(test) for test in self.progress.left}) - lessons
        parts = [_count(lessons, "lesson"), _count(files, "file")]
        beside = f", {self.workers} at a time" if self.workers > 1 else ""
        what = f"Running {_count(total, 'test')} ({' and '.join(filter(None, parts))}){beside}."
        if seconds is None:
            unknown = "How long this takes here is not known yet; this run measures it."
            return [what, f"{unknown} {published(total, self.mode)}".rstrip()]
        new = sum(self.durations.of(test, self.mode) is None for test in self.progress.left)
        guess = f"; {_count(new, 'test')} not measured yet" if new else ""
        return [what, f"This takes about {about(seconds)} here, going by earlier runs{guess}."]

    # How far it is.

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid):
        if self.progress is None:
            self._begin(self.tests)
        with self.state:
            self.progress.start(nodeid, time.monotonic())

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self, report):
        category, letter, word = yield
        running = not self.over.is_set() and hasattr(report, "when")
        return (category, "", "") if running else (category, letter, word)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report):
        if self.progress is None:
            return
        with self.state:
            self.progress.measure(report.nodeid, report.duration, _outcome(report))
        if report.failed:
            self._say_failed(report)
        if report.when not in ("setup", "call", "teardown"):  # a worker died of it
            self._finish(report.nodeid)

    def _say_failed(self, report) -> None:
        self.failures += 1
        if self.failures <= FAILURES_SHOWN:
            where = {"setup": " (before it ran)", "teardown": " (after it ran)"}
            name = test_name(report.nodeid, self.root)
            self.screen.line(f"FAILED  {name}{where.get(report.when, '')}")
        elif self.failures == FAILURES_SHOWN + 1:
            self.screen.line("FAILED  and more; all of them follow at the end")

    def pytest_runtest_logfinish(self, nodeid):
        self._finish(nodeid)

    def _finish(self, test: str) -> None:
        if self.progress is None:
            return
        with self.state:
            group = self.progress.finish(test)
        if group:
            self.screen.line(f"{group.line()}   {len(self.progress.left):,} left")

    def _refresh(self) -> None:
        while not self.over.wait(self.refresh):
            now = time.monotonic()
            if self.screen.live:
                self.screen.show(self._now(now, short=True))
            elif now - self.screen.last >= self.heartbeat:
                self.screen.line(f"  {self._now(now, short=False)}")

    def _now(self, now: float, *, short: bool) -> str:
        with self.state:
            parts = [self.progress.left_text(now), *self.progress.now_running(now, short=short)]
        return " · ".join(parts)

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_testnodedown(self):
        self.screen.erase()  # where a worker died, xdist says so

    # How it was.

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self):
        self._end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self):
        self._end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self):
        self._end()
        if self.progress is not None:
            self._keep()

    def _end(self) -> None:
        if not self.over.is_set():
            self.over.set()
            if self.progress is not None:
                self.thread.join(2)
            self.screen.erase()

    def _keep(self) -> None:
        """Keep what was measured, but of a live run nothing that failed or did not run."""
        kept = ("passed",) if self.mode == "live" else ("passed", "skipped")
        done = self.progress
        measured = {t: s for t, s in done.seconds.items() if done.outcome.get(t) in kept}
        self.durations.add(measured, self.mode)
        parts = Counter()
        for test, seconds in done.seconds.items():
            parts[part(test)] += seconds
        least = makespan(parts.values(), self.workers)
        if not done.left and least >= SHORT_RUN:
            self.durations.pace[self._kind()] = (time.monotonic() - self.began) / least
        self.durations.save()

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter):
        if self.progress is None or len(self.progress.seconds) <= SLOWEST:
            return
        terminalreporter.section("ten slowest")
        room = self.screen.columns() - 14 if self.screen.live else 150
        for test, seconds in self.progress.seconds.most_common(SLOWEST):
            name = cut(test_name(test, self.root), room)
            terminalreporter.write_line(f"{format_seconds(seconds):>11}  {name}")


def _outcome(report) -> str:
    """What a report says about its test: empty for a set-up that went well."""
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    return report.outcome if report.when == "call" or not report.passed else ""


def _count(number: int, what: str) -> str:
    """A number of things; empty for none."""
    return f"{number:,} {what}{'' if number == 1 else 's'}" if number else ""
