"""Running a lesson headless: what an interruption leaves, and what it says."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest

from shiplight.engine import journal
from shiplight.lessons import notebooks

RUN = """
import signal, sys
from pathlib import Path
from shiplight import cli
from shiplight.lessons import notebooks, shelf
notebooks.OUT = Path(sys.argv[1]).parent / "out"
shelf.find = lambda lesson: [Path(sys.argv[1])]
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
