"""Typing the commands that stand beside functions in lessons, on an engine that asks a test's hub.

What they build from there are stand-ins: compilers that put the finished program where the real
ones put theirs, a `pip` that wants its configuration, and an `ldd` that finds a program. What the
real ones do is tested elsewhere; here, it is which files, stages and names a command has.
"""

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

from shiplight import builds, engine
from shiplight.errors import ScannerMissing
from shiplight.inspection import file_in
from shiplight.scans import trivy
from shiplight.setup import ROOT

DOCKER = Path("/usr/bin/docker")  # Debian's has BuildKit's client in it
LONGEST = 120  # seconds, for one command: far more than any of them takes
STAND_INS = {
    "library/golang": "1.23",
    "library/node": "22-alpine",
    "library/python": "3.13-slim",
    "library/rust": "1.82",
}
SCRIPTS = {
    "go": '[ "$1" = build ] || exit 0\nwhile [ "$1" != -o ]; do shift; done\n'
    'mkdir -p "$(dirname "$2")" && cp /server "$2"\n',
    "cargo": "mkdir -p target/release && cp /server target/release/server\n",
    "npm": "mkdir -p node_modules dist && touch dist/index.js\n",
    "pip": 'case "$*" in *shiplight-greeting*) [ -s /etc/pip.conf ] && mkdir -p /packages ;;\n'
    "*) mkdir -p /deps ;;\nesac\n",
    "python": "touch /app.pyz\n",
    "ldd": '[ -f "$1" ] && echo "libc.so.6 => /lib/libc.so.6"\n',
}
STAND_IN = """FROM busybox
COPY go cargo npm pip python ldd /bin/
COPY server /server
COPY go /etc/ssl/certs/ca-certificates.crt
"""


def saved_stand_in(client, folder: Path) -> bytes:
    """An image with the stand-ins, saved; the program is the one that lesson 01 builds."""
    scripts = {name: f"#!/bin/sh\n{script}".encode() for name, script in SCRIPTS.items()}
    program = file_in(client, builds.build(client, "go/multi").tag, "server")
    for name, content in {**scripts, "server": program}.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o755)
    made = builds.build(client, folder, text=STAND_IN, name="typed/stand-in")
    with engine.export_image(client, made.tag) as chunks:
        return b"".join(chunks)


def environment(client, place, tmp_path) -> dict[str, str]:
    """Whose engine and registries a command means; and the scanner's database, as a copy."""
    given = place.other.environment | {"DOCKER_BUILDKIT": "1", "PYTHONPATH": str(ROOT)}
    given |= {"SSL_CERT_FILE": str(place.folder / "bundle.crt"), "SSL_CERT_DIR": "/none"}
    shutil.copy(place.folder / "ca.crt", place.folder / "bundle.crt")
    given |= {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{DOCKER.parent}:{os.environ['PATH']}"}
    try:
        scanner, database = trivy.provide(client)
    except ScannerMissing:
        return given
    if scanner.program is not None:
        shutil.copytree(database.folder / "db", tmp_path / "trivy" / "db")
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "trivy").symlink_to(scanner.program)
        given |= {"PATH": f"{tmp_path / 'bin'}:{given['PATH']}"}
        given |= {"TRIVY_CACHE_DIR": str(tmp_path / "trivy"), "TRIVY_SKIP_DB_UPDATE": "true"}
    return given


def in_a_terminal(command: list[str], environment: dict[str, str], folder: Path) -> tuple[int, str]:
    """Type a command in a terminal, and `exit` as soon as it prompts; its exit code and output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said, prompted, deadline = b"", False, time.monotonic() + LONGEST
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 0.2)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                said += os.read(ours, 65536)
            except OSError:  # on Linux, how a terminal ends
                break
            if not prompted and b"# " in said:  # busybox asks for more behind its prompt
                prompted = bool(os.write(ours, b"exit\n"))
        return process.wait(timeout=max(1, deadline - time.monotonic())), said.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
