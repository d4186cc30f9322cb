"""How the tests run: with an engine or without, and what is said about it at the end.

A test that asks for the fixture `client` is live; without an engine it is skipped, with the
reason, and with --live that is a failure. Only what a machine by its kind cannot do (a private
engine on a Mac) may be skipped then, and not in CI. Lessons run live and lax with an engine, where
their claims are the proof; compared strictly (`--nbval`) they replay their recordings, since only
what was recorded can be the same to the last digit.

`./lab test` runs two workers side by side, each with a lab of its own: one all lessons, since the
last of them looks back at the others, and both the files of tests. What compares times runs alone.
They share what only saves time (`LAB_CACHES`), and so nothing is cleaned before both have ended.
"""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

# Everything that the tests make belongs to a lab of their own, and goes with it. A worker gets the
# id of the one that started it, with its own name behind.
os.environ["LAB_ID"] = os.environ.get("LAB_ID", f"test{os.getpid()}")
os.environ.setdefault("LAB_CACHES", os.environ["LAB_ID"])
os.environ["LAB_ID"] += os.environ.get("PYTEST_XDIST_WORKER", "")
os.environ["SHIPLIGHT_PROGRESS"] = "off"
os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
# Kernels of lessons import this checkout, also where it is installed nowhere.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")])
)

from shiplight import engine
from shiplight.engine import journal
from shiplight.errors import BuildCancelled, ShipLightError
from shiplight.lessons import shelf

pytest_plugins = ["reporting"]  # how long it takes, how far it is, what was slow
collect_ignore = ["tests/deploy/try_browsers.py"]  # it needs selenium, which no test has
WORKER = os.environ.get("PYTEST_XDIST_WORKER")  # None where one process runs all

# Drawn anew in every run, or not ours: claims and tables are compared, and charts by their data.
NOT_COMPARED = (
    *("text/html", "image/png", "image/jpeg", "application/vnd.plotly.v1+json"), "stderr",
)  # fmt: skip


def pytest_addoption(parser):
    parser.addoption("--live", action="store_true", help="fail if anything cannot run live")
    parser.addoption("--recorded", action="store_true", help="as on a machine without an engine")
    parser.addoption("--unit", action="store_true", help="only tests that need no engine")
    parser.addoption("--keep", action="store_true", help="leave what the tests made on the engine")


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells start what ends with `&`
        signal.signal(signal.SIGINT, signal.default_int_handler)  # tests send it to what they start
    config.addinivalue_line("markers", "alone: compares times, so nothing else runs beside it")
    config.addinivalue_line("markers", "live: needs a Docker engine")
    config.addinivalue_line("markers", "recorded: a cell of a lesson, replayed")
    recorded = config.getoption("--recorded")
    if config.getoption("--live"):
        os.environ["SHIPLIGHT_MODE"] = "live"
    elif recorded or config.getoption("nbval", False):
        os.environ["SHIPLIGHT_MODE"] = "recorded"
    config.stash[_ENGINE] = "--recorded asks for none" if recorded else _find_engine()


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += NOT_COMPARED


_ENGINE = pytest.StashKey()
ELSEWHERE = "not for this machine: "  # how the reason of a skip begins that is no shortcoming


def _find_engine():
    """The client of an engine, or the reason why there is none."""
    try:
        return engine.connect()
    except ShipLightError as error:
        return error.message


def _is_cell(item) -> bool:
    return type(item).__name__ == "IPyNbCell"


def _is_live(item) -> bool:
    return "client" in getattr(item, "fixturenames", ())


def _ran(item, replayed: bool) -> str:
    """How a test or a cell runs: `live`, `recorded` or `unit`."""
    if _is_cell(item):
        return "recorded" if replayed else "live"
    return "live" if _is_live(item) else "unit"


def pytest_collection_modifyitems(config, items):
    found = config.stash[_ENGINE]
    replayed = isinstance(found, str) or os.environ.get("SHIPLIGHT_MODE") == "recorded"
    left = "--unit" if config.getoption("--unit") else "--recorded"
    if config.getoption(left):
        gone = [i for i in items if _is_live(i) or (left == "--unit" and _is_cell(i))]
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]
    for item in items:
        item.user_properties.append(("ran", _ran(item, replayed)))
        if _is_cell(item):
            item.add_marker("recorded" if replayed else "live")
            if "alone" in item.cell.metadata.get("tags", ()) and not replayed:
                item.add_marker("alone")
        elif _is_live(item):
            item.add_marker("live")
            if isinstance(found, str):
                item.add_marker(pytest.mark.skip(reason=found))
    if WORKER:  # the longest first
        items.sort(key=_place)
    else:  # what is quick to fail first
        items.sort(key=lambda item: _is_live(item) or _is_cell(item))


def _place(item) -> int:
    """Where a test comes in the queue of two workers: lessons, variants, live tests, the rest.

    Variants are built cold at once, so that nobody builds them again; what a lesson times anyway
    is waited for.
    """
    if _is_cell(item):
        return 0
    return {"test_variants": 1, "test_rust": 3}.get(item.path.stem, 2 if _is_live(item) else 4)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Who runs what: all lessons one worker, in their order; each file of tests whoever is free."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "lessons" if file.endswith(".ipynb") else file

    config.option.loadscopereorder = False  # in the order of the items: the longest first
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # no time limit counts before the turn has come
def pytest_runtest_protocol(item):
    with _turn(alone="alone" in item.keywords) if WORKER else nullcontext():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call():
    """Ctrl-C ends the tests also where it reaches a build, which says so as an error of its own."""
    try:
        return (yield)
    except BuildCancelled as cancelled:
        raise KeyboardInterrupt from cancelled


@contextmanager
def _turn(*, alone: bool) -> Iterator[None]:
    """Wait until what other workers run allows this: together, or alone.

    Two locks on two files that are here anyway. Who waits to be alone holds the first, and so lets
    nobody else begin. Where nothing can be locked, nobody waits.
    """
    here = Path(__file__).parent
    with open(here / "pyproject.toml") as gate, open(__file__) as room:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield


@pytest.fixture(scope="session")
def client(request):
    """The client of the engine under test; afterwards everything of the tests' lab is removed."""
    found = request.config.stash[_ENGINE]
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def not_on_podman(client):
    """Call it with a reason: it skips the rest of a test of what Podman by its kind does not do."""

    def skip(why: str) -> None:
        if engine.describe(client).kind == "Podman":
            pytest.skip(f"not for this machine: its engine {why}")

    return skip


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--live") and reporter and _missed(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config):
    """Clean up, also after workers that were ended: their labs, and then what those shared."""
    if WORKER or config.getoption("--keep"):
        return
    if not (lab := os.environ["LAB_ID"]).startswith("test"):
        return
    for left in [*journal.path().parent.glob(f"{lab}gw*"), journal.path()]:
        os.environ["LAB_ID"] = left.name
        _clean(config)


def _clean(config) -> None:
    """Remove what a lab of the tests made, and its folder."""
    found = config.stash.get(_ENGINE, "")
    if not isinstance(found, str):
        from shiplight.engine import cleaning

        cleaning.clean(found)
    shutil.rmtree(journal.folder(), ignore_errors=True)


def _missed(reporter) -> list[str]:
    """Reasons for skips that --live does not allow; in CI, where all can run, any."""
    reasons = [_reason(report) for report in reporter.stats.get("skipped", [])]
    return [why for why in reasons if os.environ.get("CI") or not why.startswith(ELSEWHERE)]


def _reason(report) -> str:
    return str(report.longrepr[2]).removeprefix("Skipped: ") if report.longrepr else ""


def pytest_terminal_summary(terminalreporter, config):
    """What ran live and on which engine, what was replayed, what did not run, and why."""
    passed = terminalreporter.stats.get("passed", [])
    skipped = terminalreporter.stats.get("skipped", [])
    live, recorded = (
        [report for report in passed if ("ran", how) in map(tuple, report.user_properties)]
        for how in ("live", "recorded")
    )
    found = config.stash[_ENGINE]
    where = f"no engine: {found}" if isinstance(found, str) else str(engine.setting(found).engine)
    terminalreporter.section("what ran")
    write = terminalreporter.write_line
    write(f"live      {len(live)}, of which {len(_cells(live))} notebook cells ({where})")
    write(f"recorded  {len(recorded)} notebook cells, replayed")
    write(f"unit      {len(passed) - len(live) - len(recorded)}")
    reasons = {_reason(report) for report in skipped}
    write(f"skipped   {len(skipped)}" + "".join(f"\n            {reason}" for reason in reasons))
    for path in filter(shelf.edited, shelf.lessons()):
        write(f"edited    {path.name} is not as it came (`./lab reset {path.stem[:2]}`)")


def _cells(reports) -> list:
    return [report for report in reports if ".ipynb" in report.nodeid]
