"""Run the scanner without a network, as a program on this machine or in a container."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .. import engine
from ..engine import journal
from ..errors import EngineFailed, ScanFailed

REQUIREMENTS = "requirements-scan.txt"
# How Docker and Podman say that there is nothing to mount; Podman makes folders that it misses,
# and Trivy finds no database there.
OUT_OF_SIGHT = "bind source path does not exist", "no such file or directory"
NO_DATABASE = b"cannot be specified on the first run"
CONTAINER_SECONDS = 900

Argument = str | Path  # a Path is a file or folder that the scanner reads


def run_program(
    program: Path, command: Sequence[Argument], place: Path, *, network: bool = False
) -> bytes:
    """Run the scanner in `place`, and return what it prints. Raises ScanFailed."""
    own = environment(network) | {"TMPDIR": str(place), "TEMP": str(place)}
    with open(place / "said", "w+b") as said, open(place / "complaints", "w+b") as complaints:
        try:
            process = subprocess.Popen(
                [program, *command],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complaints,
                cwd=place,  # and so without the trivy.yaml or .trivyignore of wherever this runs
                env=own,
            )
        except OSError as error:
            raise ScanFailed(f"{program} could not be started: {error}") from error
        try:
            code = process.wait()
        finally:
            _end(process)
        said.seek(0)
        complaints.seek(0)
        return _checked(code, said.read(), complaints.read())


def environment(network: bool = False) -> dict[str, str]:
    """Return this environment without what would change Trivy's results or its network access."""
    given = {key: value for key, value in os.environ.items() if not key.startswith("TRIVY_")}
    if not network:
        given = {key: value for key, value in given.items() if not key.lower().endswith("_proxy")}
    return given


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_container(client, image: str, command: Sequence[Argument]) -> bytes:
    """Return what the scanner prints in a container without network and with read-only files.

    The container is always removed. Raises ScanFailed.
    """
    inside = {item: f"/{n}/{item.name}" for n, item in enumerate(command) if isinstance(item, Path)}
    mounts = [
        {"Type": "bind", "Source": str(path), "Target": there, "ReadOnly": True}
        for path, there in inside.items()
    ]
    words = [inside.get(item, item) for item in command]
    how = {"labels": journal.made(), "network_mode": "none", "mounts": mounts}
    try:
        with engine.translated(f"creating a container of {image}"):
            container = client.containers.create(image, words, **how)
    except EngineFailed as error:
        if any(said in error.message for said in OUT_OF_SIGHT):
            raise _out_of_sight() from error
        raise
    with engine.translated(f"running {image}"):
        try:
            container.start()
            code = engine.exit_code(container, seconds=CONTAINER_SECONDS)
            if code is None:
                raise ScanFailed(f"the scanner has not ended after {CONTAINER_SECONDS} s.")
            said = container.logs(stdout=True, stderr=False)
            complaints = container.logs(stdout=False, stderr=True)
            if code and NO_DATABASE in complaints:  # which was here before it was mounted
                raise _out_of_sight()
            return _checked(code, said, complaints)
        finally:
            container.remove(force=True, v=True)


def _out_of_sight() -> ScanFailed:
    return ScanFailed(
        "the engine runs elsewhere and cannot see this machine's files.",
        hint=f"put Trivy on PATH, or install {REQUIREMENTS}",
    )


def _checked(code: int, said: bytes, complaints: bytes) -> bytes:
    """The output, if it ended well. Raises ScanFailed with its last lines."""
    if code == 0:
        return said
    if code < 0 or code == 137:
        raise ScanFailed(
            f"the scanner was killed (signal {-code if code < 0 else 9}).",
            hint="is there enough memory?",
        )
    words = complaints.decode("utf-8", "replace").split("Fatal error")[-1].strip()
    lines = [line.strip(" *\t") for line in words.splitlines() if line.strip()]
    seen = " ".join(lines).removeprefix("run error: ")[:400] or "it printed nothing"
    raise ScanFailed(f"the scanner exited with {code}: {seen}", hint=_hint(seen))


def _hint(seen: str) -> str:
    if "Java DB" in seen:
        return "images with .jar files need Trivy's Java database too, in TRIVY_CACHE_DIR"
    if "as a Docker image" in seen or "manifest.json not found" in seen:
        return "Trivy reads what `docker save` writes: is the archive whole?"
    return ""
