"""How the tests run: with an engine or without, and what is said about it at the end.

A test that asks for the fixture `client` is live, and so is every cell of a notebook. Without an
engine they are skipped, with the reason; with --live that is a failure. Only what a machine by its
kind cannot do (a private engine on a Mac) may be skipped then, and not in CI.
"""

import os

import pytest

# Everything that the tests make belongs to a lab of their own, and goes with it.
os.environ.setdefault("LAB_ID", f"test{os.getpid()}")
os.environ["SHIPLIGHT_PROGRESS"] = "off"

from shiplight import engine, journal
from shiplight.errors import ShipLightError


def pytest_addoption(parser):
    parser.addoption("--live", action="store_true", help="what cannot run live is a failure")
    parser.addoption("--unit", action="store_true", help="only tests that need no engine")


def pytest_configure(config):
    config.addinivalue_line("markers", "live: needs a Docker engine")
    config.stash[_ENGINE] = _find_engine()


_ENGINE = pytest.StashKey()
ELSEWHERE = "not for this machine: "  # how the reason of a skip begins that is no shortcoming


def _find_engine():
    """The client of an engine, or the reason why there is none."""
    try:
        return engine.connect()
    except ShipLightError as error:
        return error.message


def _is_live(item) -> bool:
    return type(item).__name__ == "IPyNbCell" or "client" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(config, items):
    if config.getoption("--unit"):
        config.hook.pytest_deselected(items=[item for item in items if _is_live(item)])
        items[:] = [item for item in items if not _is_live(item)]
    found = config.stash[_ENGINE]
    for item in items:
        if _is_live(item):
            item.add_marker("live")
            if isinstance(found, str):
                item.add_marker(pytest.mark.skip(reason=found))
    items.sort(key=_is_live)  # what is quick to fail comes first


@pytest.fixture(scope="session")
def client(request):
    """The client of the engine under test; afterwards everything of the tests' lab is removed."""
    found = request.config.stash[_ENGINE]
    if isinstance(found, str):
        pytest.skip(found)
    return found


def pytest_sessionfinish(session, exitstatus):
    found = session.config.stash[_ENGINE]
    if not isinstance(found, str) and os.environ["LAB_ID"].startswith("test"):
        from shiplight import cleaning

        cleaning.clean(found)
    if os.environ["LAB_ID"].startswith("test"):
        import shutil

        shutil.rmtree(journal.folder(), ignore_errors=True)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--live") and reporter and _missed(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _missed(reporter) -> list[str]:
    """Reasons for skips that --live does not allow; in CI, where all can run, any."""
    reasons = [_reason(report) for report in reporter.stats.get("skipped", [])]
    return [why for why in reasons if os.environ.get("CI") or not why.startswith(ELSEWHERE)]


def _reason(report) -> str:
    return str(report.longrepr[2]).removeprefix("Skipped: ") if report.longrepr else ""


def pytest_terminal_summary(terminalreporter, config):
    """What ran live and on which engine, what did not, and why."""
    passed = terminalreporter.stats.get("passed", [])
    skipped = terminalreporter.stats.get("skipped", [])
    live = [report for report in passed if "live" in report.keywords]
    cells = [report for report in live if ".ipynb" in report.nodeid]
    found = config.stash[_ENGINE]
    where = f"no engine: {found}" if isinstance(found, str) else str(engine.setting(found).engine)
    terminalreporter.section("what ran")
    write = terminalreporter.write_line
    write(f"live      {len(live)}, of which {len(cells)} notebook cells ({where})")
    write("recorded  0 (there are no recordings yet)")
    write(f"unit      {len(passed) - len(live)}")
    reasons = {_reason(report) for report in skipped}
    write(f"skipped   {len(skipped)}" + "".join(f"\n            {reason}" for reason in reasons))
