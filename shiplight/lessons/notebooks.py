"""Running notebooks headless, and opening them in JupyterLab."""

import asyncio
import base64
import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import nbclient
import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from .. import files, progress, recordings, setup
from ..charts import PICTURE
from ..engine import journal
from ..errors import ShipLightError, UsageError
from . import pages, shelf
from .shelf import FOLDER, ROOT

OUT, PICTURES = ROOT / "out", ROOT / "docs"
CELL_SECONDS = 900
READY_SECONDS = 60
INTERRUPT_SECONDS = 10
LOG_BYTES = 4096
PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Run:
    """One lesson that was run: where its notebook was written, and the claims that held.

    `failure` is empty, or the message of the cell that failed.
    """

    lesson: str
    path: Path
    seconds: float
    claims: tuple[str, ...]
    failure: str


def run(path: Path) -> Run:
    """Execute one notebook from top to bottom and write it to `out/`, as a notebook and as a page.

    It runs in its own folder. What was executed is written even where a cell fails or the run is
    interrupted. Raises UsageError for a file that is not a notebook.
    """
    notebook, target = _read(path), OUT / path.name
    started = time.monotonic()
    try:
        failure = _execute(notebook, path, "", {"PLOTLY_RENDERER": "plotly_mimetype"})
    finally:
        _write(notebook, target)
        pages.write(notebook, target.with_suffix(".html"), pictures=path)
        pages.write_text(FOLDER / "glossary.md", OUT / "glossary.html")
    return Run(path.stem, target, time.monotonic() - started, _claims(notebook), failure)


def record(path: Path) -> Run:
    """Run a lesson live and keep its results; run it again on those, and store its outputs.

    Neither the recordings nor the lesson change unless both runs come to their end.
    """
    started, notebook = time.monotonic(), nbformat.read(path, as_version=4)
    with journal.workplace() as folder:
        written = folder / f"{path.stem}.json"
        live = {"SHIPLIGHT_MODE": "live", "SHIPLIGHT_RECORD": str(written)}
        failure = _execute(notebook, path, ", live", live)
        if not failure:
            recordings.keep(written)
    if failure:
        return Run(path.stem, path, time.monotonic() - started, _claims(notebook), failure)
    return replace(replay(path), seconds=time.monotonic() - started)


def replay(path: Path) -> Run:
    """Run a lesson on its recording, and store its outputs in place if it comes to its end.

    Charts are stored with a picture beside their data, for pages without plotly.
    """
    started, notebook = time.monotonic(), nbformat.read(path, as_version=4)
    recorded = {"SHIPLIGHT_MODE": "recorded", "PLOTLY_RENDERER": "plotly_mimetype+png+jpeg"}
    failure = _execute(notebook, path, ", recorded", recorded)
    if not failure:
        _save_picture(notebook, path.stem)
        _leave_to_github(notebook)
        _write(notebook, path)
        shelf.tie_together()
    return Run(path.stem, path, time.monotonic() - started, _claims(notebook), failure)


def _read(path: Path):
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except OSError:
        raise
    except Exception as error:  # whatever a file that is something else makes nbformat say
        hint = "name a notebook (.ipynb) that JupyterLab opens"
        raise UsageError(f"{path} is not a notebook.", hint=hint) from error
    return notebook


def _execute(notebook, path: Path, how: str, environment: dict[str, str]) -> str:
    """Run every cell in a kernel of its own; empty, or why it did not come to its end.

    A cell that was not reached then has no output: the stored one is not of this run.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        cell.outputs, cell.execution_count = [], None
    done = 0

    def draw():
        return f"{path.stem}{how}: cell {min(done + 1, len(cells))} of {len(cells)}"

    def count(cell, cell_index, **_):
        nonlocal done
        done += cell.cell_type == "code"

    client = nbclient.NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # TCP on this machine is as intended
        resources={"metadata": {"path": str(path.absolute().parent)}},
        on_cell_executed=count,
    )
    variables = os.environ | {"SHIPLIGHT_PROGRESS": "off"} | environment
    with progress.Screen(draw), tempfile.TemporaryFile() as log:
        try:
            _to_its_end(client, env=variables, stderr=log)
        except CellExecutionError as error:
            return f"{error.ename}: {error.evalue}"
        except (CellTimeoutError, DeadKernelError) as error:
            log.seek(max(0, log.tell() - LOG_BYTES))
            last = log.read().decode(errors="replace").strip().splitlines()[-1:]
            return ": ".join([type(error).__name__, str(error).splitlines()[0], *last])
    return ""


def _to_its_end(client: nbclient.NotebookClient, **kernel) -> None:
    """Execute beside this thread, so that Ctrl-C is ours: the kernel is interrupted, then ended.

    On the main thread nbclient takes the signal, and tells nobody that it did. What a kernel says
    while it ends (an error of its own, at times) goes to the log that the caller gives.
    """
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(client.execute, **kernel)
        try:
            running.result()
        except BaseException:
            for _ in range(INTERRUPT_SECONDS):  # between two cells, a kernel hears nothing
                if running.done():
                    break
                if client.km is not None and client.km.has_kernel:
                    asyncio.run(client.km.interrupt_kernel())
                wait([running], timeout=1)
            else:
                if client.km is not None and client.km.has_kernel:
                    asyncio.run(client.km.signal_kernel(signal.SIGKILL))
            raise


def _leave_to_github(notebook) -> None:
    """Keep of each chart's pictures the JPEG, with the width at which it is to be shown.

    GitHub shows it. JupyterLab would show a PNG in place of the chart, with all its pixels, and cut
    off what is beyond the window; of a JPEG it knows nothing, and draws the chart at once.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "image/jpeg" in output.get("data", {}):
                output.data.pop("image/png", None)
                output.metadata["image/jpeg"] = {"width": PICTURE}


def _save_picture(notebook, stem: str) -> None:
    """Write the chart of the cell that is tagged `picture` beside the README, for it to show."""
    for cell in notebook.cells:
        if "picture" in cell.metadata.get("tags", []):
            [png] = [o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})]
            PICTURES.mkdir(exist_ok=True)
            files.write(PICTURES / f"{stem}.png", base64.b64decode(png))


def _write(notebook, path: Path) -> None:
    """Write it without what differs from run to run for no reason: times of cells, random ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata["language_info"] = {"name": "python"}
    files.write(path, nbformat.writes(notebook).rstrip("\n") + "\n")


def _claims(notebook) -> tuple[str, ...]:
    """What the claims of a notebook printed."""
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    texts = [output.get("data", {}).get("text/plain", "") for output in outputs]
    return tuple(text for text in texts if text.startswith("✓"))


# --- JupyterLab ------------------------------------------------------------------------------


def check_port(port: int | None) -> None:
    """Raise a UsageError where the port that somebody asks for is taken."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sys.platform != "win32")
        try:
            trial.bind(("127.0.0.1", port or 0))
        except OSError as error:
            raise UsageError(
                f"port {port} on 127.0.0.1 cannot be used: {error.strerror}.",
                hint="./lab up --port with another number; without --port a free one is found",
            ) from error


def serve(lesson: Path, *, port: int | None, browser: bool) -> int:
    """Run JupyterLab on 127.0.0.1 with its token until Ctrl-C; its exit code."""
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1"),
        f"--ServerApp.root_dir={ROOT}",
        f"--LabApp.default_url=/lab/tree/{lesson.relative_to(ROOT).as_posix()}",
        *([f"--port={port}", "--ServerApp.port_retries=0"] if port else []),
        *(["--allow-root"] if setup.is_root() else []),
    ]
    log_path = ROOT / ".lab" / "jupyter.log"
    with _token() as token, files.create_private(log_path) as log:
        process = subprocess.Popen(
            command,
            env=os.environ | {"JUPYTER_TOKEN_FILE": str(token)},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent(),
        )
        try:
            url, opens = _wait(process, log_path, port)
            address = (
                f"{url['url']}lab/tree/{lesson.relative_to(ROOT).as_posix()}?token={url['token']}"
            )
            print(f"JupyterLab is ready (Ctrl-C ends it):\n\n    {address}\n", flush=True)
            if browser:
                webbrowser.open(opens.as_uri())
            return process.wait()
        except KeyboardInterrupt:
            setup.say("ending JupyterLab")
            return 0
        finally:
            _end(process)


@contextmanager
def _token() -> Iterator[Path]:
    """A file with a new token, which goes again: Jupyter logs one that it makes itself.

    Not a variable, which every kernel would inherit, and show.
    """
    with journal.workplace() as place:
        with files.create_private(place / "token") as file:
            file.write(secrets.token_hex(24).encode())
        yield place / "token"


def _die_with_parent():
    """On Linux, what makes a child end with this process even when that is killed; else None."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait(process: subprocess.Popen, log: Path, port: int | None) -> tuple[dict, Path]:
    """The server's own description, as soon as it answers, and the file that opens it.

    That is a page of Jupyter's, which only this user can read: a browser's command line, which
    everybody can, names it and no token. Raises ShipLightError.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    runtime = Path(jupyter_runtime_dir())
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            described, opens = _described(runtime, process.pid)
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"{described['url']}api/status?token={described['token']}", timeout=2
            ):
                return described, opens
        except (OSError, ValueError, urllib.error.URLError):
            time.sleep(0.1)
    said = log.read_text(errors="replace")
    if "already in use" in said:
        raise ShipLightError(f"port {port} is taken.", hint="./lab up --port with another number")
    last = "\n".join(f"    {line}" for line in said.strip().splitlines()[-6:])
    raise ShipLightError(f"JupyterLab did not start.\n  Last lines:\n{last}", hint=f"see {log}")


def _described(runtime: Path, pid: int) -> tuple[dict, Path]:
    """What our server wrote of itself, and its page for a browser.

    Windows starts it by a launcher that has another pid.
    """
    written = [runtime / f"jpserver-{pid}.json"]
    if sys.platform == "win32":
        written = sorted(runtime.glob("jpserver-*.json"), key=lambda file: file.stat().st_mtime)
    for file in reversed(written):
        found = json.loads(file.read_text())
        if Path(found["root_dir"]) == ROOT:
            return found, file.with_name(f"{file.stem}-open.html")
    raise FileNotFoundError("our server has not written anything yet")


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
