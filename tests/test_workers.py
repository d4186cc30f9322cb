"""Tests side by side: what compares times runs alone, and Ctrl-C ends them in a build too."""

import sys
import threading

import nbformat
import pytest

import conftest
from shiplight.errors import BuildCancelled
from shiplight.lessons import shelf

TIMED = ("time_builds(", "reaches(")


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks on Windows")
def test_who_is_to_run_alone_waits_for_the_others_and_they_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(conftest, "__file__", str(tmp_path / "conftest.py"))
    for name in ("conftest.py", "pyproject.toml"):
        (tmp_path / name).touch()
    seen, entered = [], {name: threading.Event() for name in ("beside", "alone", "later")}

    def run(name: str, alone: bool) -> None:
        with conftest._turn(alone=alone):
            seen.append(name)
            entered[name].set()

    def start(name: str, alone: bool) -> threading.Thread:
        thread = threading.Thread(target=run, args=(name, alone), daemon=True)
        thread.start()
        return thread

    with conftest._turn(alone=False):
        start("beside", False)
        assert entered["beside"].wait(10), "together"
        last = start("alone", True)
        assert not entered["alone"].wait(0.5), "not while something runs"
        assert start("later", False) and not entered["later"].wait(0.5), "nobody overtakes it"
    last.join(10)
    assert entered["later"].wait(10) and seen == ["beside", "alone", "later"]


def test_every_cell_that_times_builds_runs_alone():
    cells = [cell for path in shelf.lessons() for cell in nbformat.read(path, 4).cells]
    timed = [c for c in cells if c.cell_type == "code" and any(call in c.source for call in TIMED)]
    assert timed and all("alone" in cell.metadata.get("tags", ()) for cell in timed)


def test_ctrl_c_in_a_build_ends_the_tests():
    hook = conftest.pytest_pyfunc_call()
    next(hook)
    with pytest.raises(KeyboardInterrupt):
        hook.throw(BuildCancelled("the build was interrupted"))
