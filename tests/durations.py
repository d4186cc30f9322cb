"""How long tests took on this machine, and what that says about the next run.

The figures are kept in `.lab/test-durations.json`. They are a convenience: a file that is missing,
damaged or not writable changes what is printed, never what is tested.
"""

import json
import math
import os
import statistics
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).with_name("durations.toml")
NAME = "test-durations.json"
MODES = ("live", "recorded")  # how lessons run: a build takes minutes, its replay milliseconds
KEPT = 6000  # tests of each mode; the longest unseen go first
LONGEST_ID = 300  # characters
LARGEST_FILE = 4_000_000  # bytes
ENOUGH = 0.9  # of the tests have to be known: after a recorded run, all lessons and live tests lack
SAME_SUITE = 0.2  # by how much the number of tests may differ from that of the published run
SHORT_RUN = 10  # seconds; what a shorter run spends beside its tests says nothing about longer ones


class Durations:
    """Seconds of each test by mode, and what whole runs took beside the tests' own seconds."""

    def __init__(self, file: Path):
        self.file = file
        self.seconds: dict[str, dict[str, float]] = {mode: {} for mode in MODES}
        self.pace: dict[str, float] = {}  # how many times longer than its tests a run took
        with suppress(OSError, ValueError, RecursionError):
            if file.stat().st_size <= LARGEST_FILE:
                self._take(json.loads(file.read_text(encoding="utf-8")))

    def _take(self, read: Any) -> None:
        if not isinstance(read, dict):
            return
        modes = read.get("seconds")
        for mode in MODES:
            self.seconds[mode] = _durations(modes.get(mode) if isinstance(modes, dict) else None)
        self.pace = {
            key: min(max(1.0, pace), 3.0) for key, pace in _durations(read.get("pace")).items()
        }

    def of(self, test: str, mode: str) -> float | None:
        """Return the seconds of a test, or None. Only a lesson differs much between modes."""
        found = self.seconds[mode].get(test)
        if found is None and ".ipynb" not in test:
            other = MODES[1 - MODES.index(mode)]
            found = self.seconds[other].get(test)
        return found

    def expect(self, tests: Iterable[str], mode: str) -> dict[str, float] | None:
        """Return the expected seconds of each test, or None where too few are known.

        A new test is expected to take as long as the median of its file, or of all tests.
        """
        known = {test: self.of(test, mode) for test in tests}
        measured = {test: seconds for test, seconds in known.items() if seconds is not None}
        if not measured or len(measured) < ENOUGH * len(known):
            return None
        files: dict[str, list[float]] = {}
        for test, seconds in measured.items():
            files.setdefault(file_of(test), []).append(seconds)
        usual = statistics.median(measured.values())
        medians = {file: statistics.median(values) for file, values in files.items()}
        return {
            test: medians.get(file_of(test), usual) if seconds is None else seconds
            for test, seconds in known.items()
        }

    def add(self, measured: dict[str, float], mode: str) -> None:
        """Take in what a run measured; the newest replaces the older."""
        kept = self.seconds[mode]
        for test, seconds in measured.items():
            if len(test) <= LONGEST_ID:
                kept.pop(test, None)  # so that it becomes the newest
                kept[test] = round(seconds, 3)
        for test in list(kept)[: max(0, len(kept) - KEPT)]:
            del kept[test]

    def save(self) -> None:
        """Write all of it at once, or, where that cannot be done, nothing."""
        draft = self.file.with_name(f"{NAME}.{os.getpid()}")
        with suppress(OSError):
            self.file.parent.mkdir(exist_ok=True)
            try:
                text = json.dumps({"seconds": self.seconds, "pace": self.pace}, indent=0)
                draft.write_text(text, encoding="utf-8")
                draft.replace(self.file)
            finally:
                draft.unlink(missing_ok=True)


def _durations(read: Any) -> dict[str, float]:
    """The entries of a table that can be durations."""
    if not isinstance(read, dict):
        return {}
    return {
        name: float(value)
        for name, value in read.items()
        if type(value) in (int, float) and 0 <= value < 1e6 and math.isfinite(value)
    }


def file_of(test: str) -> str:
    """Return the file of a test, from its pytest id."""
    return test.partition("::")[0]


def makespan(parts: Iterable[float], workers: int) -> float:
    """Return the seconds that parts of a run take where each free worker takes the next one.

    >>> makespan([60, 20, 10, 5], workers=2)
    60.0
    """
    busy = [0.0] * workers
    for seconds in parts:
        busy[busy.index(min(busy))] += seconds
    return max(busy)


def published(tests: int, mode: str, file: Path = PUBLISHED) -> str:
    """Return a sentence with what such a run took elsewhere; empty where nothing is published."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        run = tomllib.loads(file.read_text(encoding="utf-8"))[mode]
        if abs(run["tests"] - tests) <= SAME_SUITE * run["tests"]:
            day = f"{run['measured'].day} {run['measured']:%B %Y}"
            return f"Elsewhere it took {about(run['seconds'])} ({run['machine']}, {day})."
    return ""


def about(seconds: float) -> str:
    """Return a duration as one says it beforehand.

    >>> about(3), about(47), about(112), about(3475), about(7300)
    ('5 s', '45 s', '2 min', '58 min', '2 h')
    """
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(round(minutes, -1), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
