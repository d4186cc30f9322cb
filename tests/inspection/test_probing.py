"""How long a probe waits for an answer."""

import pytest

from shiplight.inspection import probing


class Container:
    """One that runs on; each reading of its CPU time is the next of `readings`, in nanoseconds."""

    def __init__(self, *readings: int):
        self.readings = list(readings)

    def stats(self, *, stream: bool) -> dict:
        before, now = self.readings[:2]
        del self.readings[0]
        cpu = [{"cpu_usage": {"total_usage": total}} for total in (now, before)]
        return dict(zip(("cpu_stats", "precpu_stats"), cpu, strict=True))


@pytest.fixture
def late(monkeypatch):
    """The time for idle programs is over at once, and the program answers when asked again."""
    answers = iter([None, {"ok": True}])
    monkeypatch.setattr(probing, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(probing, "_is_running", lambda container: True)
    monkeypatch.setattr(probing, "_ask", lambda *_: next(answers))


def test_a_program_that_still_starts_up_gets_more_time_than_an_idle_one(late):
    busy = Container(1, 50_000_001, 90_000_001)
    assert probing._wait(busy, 80, probing.time.monotonic()) is not None


@pytest.mark.parametrize("readings", [(1, 1_000_001), (0, 0), (0, 50_000_000)])
def test_a_program_that_waits_idly_is_not_waited_for(late, readings):
    assert probing._wait(Container(*readings), 80, probing.time.monotonic()) is None


def test_an_engine_that_reports_no_cpu_time_is_taken_for_idle(late):
    container = Container()
    container.stats = lambda stream: {}
    assert probing._wait(container, 80, probing.time.monotonic()) is None


@pytest.mark.parametrize(
    ("log", "names"),
    [
        (
            ["Error: Cannot find module '/app/index.js'", "    at load (x)", "Node.js v22.20.0"],
            "Error: Cannot find module '/app/index.js'",
        ),
        (["panic: no such host", "goroutine 1 [running]:"], "panic: no such host"),
        (["cannot open x", "bye"], "cannot open x"),
        (["thread 'main' panicked at x.rs:1", "note: run with `RUST_BACKTRACE=1` to display"],
         "thread 'main' panicked at x.rs:1"),
        (["INFO: started", "INFO: Finished [1]", ""], "INFO: Finished [1]"),
        ([], ""),
    ],
)  # fmt: skip
def test_of_what_a_program_said_the_line_with_its_error_is_shown(log, names):
    said = probing.Probe("x", False, None, None, "", None, 1, None, tuple(log))
    assert said.last_error == names
    assert repr(said).endswith(f"said: {names or 'nothing'}")
