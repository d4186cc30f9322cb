"""Running a lesson headless: what an interruption leaves, and what it says."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import nbformat
import psutil
import pytest
from nbformat.sign import NotebookNotary

from shiplight.cli import commands
from shiplight.engine import journal
from shiplight.lessons import notebooks, shelf

RUN = """
import signal, sys
from pathlib import Path
from shiplight import cli
from shiplight.lessons import notebooks, shelf
notebooks.OUT = Path(sys.argv[1]).parent / "out"
shelf.find = lambda lesson, **_: [Path(sys.argv[1])]
sys.exit(cli.main(["run", "00", "--no-engine"]))
"""
SLOW = "print('seen', flush=True)\nimport time\nopen('{}', 'w').close()\ntime.sleep(60)"


@pytest.mark.skipif(sys.platform == "win32", reason="no signals like these on Windows")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_lesson_that_is_interrupted_ends_with_its_kernel_and_keeps_what_it_did(
    tmp_path, how, code
):
    started = tmp_path / "started"
    cells = [nbformat.v4.new_code_cell(SLOW.format(started)), nbformat.v4.new_code_cell("1 + 1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "slow.ipynb")
    command = [sys.executable, "-c", RUN, str(tmp_path / "slow.ipynb")]
    process = subprocess.Popen(
        command, cwd=journal.ROOT, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    deadline = time.monotonic() + 60
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(process.pid).children()
    process.send_signal(how)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == code and "Traceback" not in said, said
    assert children and not any(child.is_running() for child in children)
    [first, second] = nbformat.read(tmp_path / "out" / "slow.ipynb", as_version=4).cells
    assert first.outputs[0].text == "seen\n" and not second.outputs


def test_a_kernel_that_dies_is_reported_with_its_last_words_and_says_nothing_else(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(notebooks, "OUT", tmp_path / "out")
    code = "import os, sys\nos.write(sys.__stderr__.fileno(), b'out of luck\\n')\nos._exit(3)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbformat.write(notebook, tmp_path / "dies.ipynb")
    failure = notebooks.run(tmp_path / "dies.ipynb").failure
    assert failure.startswith("DeadKernelError") and failure.endswith("out of luck")
    assert "out of luck" not in capfd.readouterr().err


def test_a_lesson_that_fails_shows_no_claim_of_the_recording(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "OUT", tmp_path / "out")
    new, held = nbformat.v4.new_code_cell, {"text/plain": "✓ it held when it was recorded"}
    stored = nbformat.v4.new_output("execute_result", held, execution_count=2)
    cells = [new("1 / 0"), new("claim()", outputs=[stored], execution_count=2)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "fails.ipynb")
    ran = notebooks.run(tmp_path / "fails.ipynb")
    assert ran.failure.startswith("ZeroDivisionError") and ran.claims == ()
    assert "it held" not in (tmp_path / "out" / "fails.ipynb").read_text(encoding="utf-8")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A notebook of somebody's own, under the name of a lesson."""
    monkeypatch.setattr(notebooks, "OUT", tmp_path / "out")
    monkeypatch.setenv("SHIPLIGHT_MODE", "recorded")
    path = tmp_path / "mine" / shelf.lessons()[0].name
    path.parent.mkdir()
    (path.parent / "beside.txt").write_text("beside it")
    cell = nbformat.v4.new_code_cell("print(open('beside.txt').read())\nraise SystemError('mine')")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


def test_the_path_of_a_notebook_runs_that_file_in_its_own_folder(own, monkeypatch, capsys):
    monkeypatch.chdir(own.parent.parent)
    for name in (str(own), f"mine/{own.name}"):
        assert commands.main(["run", name]) == 1
        assert "SystemError: mine" in capsys.readouterr().out
    ran = nbformat.read(notebooks.OUT / own.name, as_version=4)
    assert ran.cells[0].outputs[0].text == "beside it\n"


@pytest.mark.parametrize("name", ["nowhere/{}", "./{}", "../{}"])
def test_a_path_where_no_notebook_is_runs_no_lesson(own, name, capsys):
    assert commands.main(["run", name.format(own.name)]) == 1
    assert "there is no notebook at" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"no notebook", b"\xff\xfe", b"[" * 99_999])
def test_a_file_that_is_not_a_notebook_is_refused_in_words(own, content, capsys):
    own.write_bytes(content)
    assert commands.main(["run", str(own)]) == 1
    said = capsys.readouterr()
    assert "is not a notebook" in said.err and "Traceback" not in said.err + said.out


@pytest.mark.parametrize("command", ["reset", "record"])
def test_a_notebook_elsewhere_is_neither_reset_nor_recorded(own, command, capsys):
    before = own.read_bytes()
    assert commands.main([command, str(own)]) == 1
    assert "is not a lesson" in capsys.readouterr().err and own.read_bytes() == before


SERVE = """
import signal, sys
from pathlib import Path
from shiplight.lessons import notebooks
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
notebooks.ROOT = notebooks.journal.ROOT = Path(sys.argv[1])
notebooks.serve(notebooks.ROOT / "lesson.ipynb", port=None, browser=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_jupyters_token_is_in_no_log_no_command_line_and_no_file_of_others(tmp_path):
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "lesson.ipynb")
    (tmp_path / ".lab").mkdir()
    (tmp_path / ".lab" / "jupyter.log").write_text("as an earlier version left it")
    seen, browser = tmp_path / "seen", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$*" > {seen}.new; mv {seen}.new {seen}\n')
    browser.chmod(0o755)
    command = [sys.executable, "-c", SERVE, str(tmp_path)]
    variables = os.environ | {"BROWSER": str(browser), "JUPYTER_RUNTIME_DIR": str(tmp_path / "run")}
    process = subprocess.Popen(
        command, cwd=journal.ROOT, stdout=subprocess.PIPE, text=True, env=variables
    )
    try:
        address = next(line for line in process.stdout if "?token=" in line)
        deadline = time.monotonic() + 60
        while not seen.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        token = address.strip().partition("?token=")[2]
        server = psutil.Process(process.pid)
        assert token not in " ".join(server.cmdline())
        for child in server.children(True):
            with suppress(psutil.NoSuchProcess):  # the browser may have ended
                assert token not in " ".join(child.cmdline())
        given = seen.read_text()
        page = Path(url2pathname(urlsplit(given).path))
        assert len(token) >= 32 and token not in given and token in page.read_text()
        holders = [path for path in tmp_path.rglob("*") if path.is_file() and holds(path, token)]
        assert holders and all(is_closed(path) or is_closed(path.parent) for path in holders)
        log = tmp_path / ".lab" / "jupyter.log"
        assert is_closed(log) and is_closed(log.parent)
        assert log.read_text() and not holds(log, token)
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and holds(path, token)]


def is_closed(path: Path) -> bool:
    """Whether nobody but its owner can look into it."""
    return path.stat().st_mode & 0o077 == 0


def holds(path: Path, token: str) -> bool:
    return token.encode() in path.read_bytes()


def test_of_the_pictures_of_a_chart_the_one_for_github_is_stored_with_its_width():
    chart = nbformat.v4.new_output("display_data", {"image/png": "eA==", "image/jpeg": "eA=="})
    word = nbformat.v4.new_output("display_data", {"text/plain": "x"})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[chart, word])])
    notebooks._leave_to_github(notebook)
    shown, other = notebook.cells[0].outputs
    assert shown.metadata == {"image/jpeg": {"width": 600}} and other.metadata == {}
    assert list(shown.data) == ["image/jpeg"]
    nbformat.validate(notebook)


def test_lessons_are_trusted_only_where_they_are_exactly_as_they_came(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    cells = [nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("stream", text="1")])]
    texts = {}
    for name in ("as-it-came", "changed"):
        cells[0].source = f"'{name}'"
        texts[name] = nbformat.writes(nbformat.v4.new_notebook(cells=cells))
        (tmp_path / f"{name}.ipynb").write_text(texts[name])
    changed = texts["changed"].replace('"1"', '"<script>"')
    (tmp_path / "changed.ipynb").write_text(changed)
    monkeypatch.setattr(shelf, "lessons", lambda: sorted(tmp_path.glob("*.ipynb")))
    monkeypatch.setattr(shelf, "original", lambda path: texts[path.stem])
    shelf.trust()
    notary = NotebookNotary()
    assert notary.check_signature(nbformat.reads(texts["as-it-came"], as_version=4))
    assert not notary.check_signature(nbformat.reads(changed, as_version=4))
    assert not notary.check_signature(nbformat.reads(texts["changed"], as_version=4))
