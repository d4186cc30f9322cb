"""Kills commands at random moments, and looks at what they leave.

    python tests/live/kills.py 50           rounds; prints its seed, which may be given after them

Runs on an engine of its own (own_engine.py) that gets busybox from the engine of this machine.
`test_kills.py` runs five rounds.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from own_engine import OwnEngine, with_busybox

from shiplight import builds, engine, files
from shiplight.engine import cleaning, journal
from shiplight.inspection import measure

TEXT = "FROM busybox\nRUN echo {number} > /number && sleep 0.{number}\nCOPY big /big\n"
COMMANDS = ["build", "measure", "scan", "clean", "doctor"]
LONGEST = {"build": 3.0, "measure": 1.5, "scan": 4.0, "clean": 2.0, "doctor": 3.0}  # seconds
BIG = 300_000


def rounds(own: OwnEngine, count: int, seed: int) -> None:
    """Kill so many commands; AssertionError where one leaves what it should not.

    One that had ended by then is killed again, after half the time.
    """
    draw = random.Random(seed)
    before = kept(engine.connect())
    with tempfile.TemporaryDirectory() as place:
        for number in range(count):
            command = COMMANDS[number % len(COMMANDS)]
            after = draw.uniform(0.1, LONGEST[command])
            folder = Path(place) / f"app{number}"
            folder.mkdir()
            (folder / "Dockerfile").write_text(TEXT.format(number=number % 10))
            (folder / "big").write_bytes(draw.randbytes(BIG))
            while not one_round(command, folder, after):
                after /= 2
            print(f"{number + 1}/{count}: {command} killed after {after:.2f} s", flush=True)
    assert kept(engine.connect()) == before


def one_round(command: str, folder: Path, seconds: float) -> bool:
    """Kill one command after so many seconds, then build, measure and clean as if nothing was.

    Whether it still ran when it was killed.
    """
    client = engine.connect()
    if command in ("measure", "scan", "clean"):
        builds.build(client, folder)
    tag = builds.order(str(folder)).tag
    subject = {"build": str(folder), "measure": tag, "scan": tag}
    words = [command, *filter(None, [subject.get(command)]), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "shiplight", *words],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    time.sleep(seconds)
    was_running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    whole_files()
    built = builds.build(client, folder)
    image = measure(client, built)
    assert (
        image.unpacked_bytes == BIG + 2 + measure(client, "shiplight/base/busybox").unpacked_bytes
    )
    assert (measure(client, built).layers, image.name) == (image.layers, built.tag)
    whole_files()
    cleaning.clean(client)
    assert not list(journal.path().glob("work/*/")), "what the killed process was working on"
    assert not list(journal.path().glob(f".*{files.PARTS}"))
    lab = journal.lab_id()
    for label in (f"{journal.LABEL}={lab}", f"{journal.MADE}={lab}"):
        assert not client.api.images(filters={"label": label})
        assert not client.api.containers(all=True, filters={"label": label})
    return was_running


def whole_files() -> None:
    """Every file of this lab is whole: all of the journal but for a last line, and what is JSON."""
    for path in (journal.ROOT / ".lab" / "checkout.json", *journal.path().glob("*.json")):
        json.loads(path.read_text(encoding="utf-8"))
    file = journal.path("journal.jsonl")
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    for line in lines[: None if lines and lines[-1].endswith(b"\n") else -1]:
        assert {"kind", "when", "lab"} <= set(json.loads(line))


def kept(client) -> set[str]:
    """The images and containers of an engine."""
    images = {f"{image['Id']} {image['RepoTags']}" for image in client.api.images()}
    return images | {container["Id"] for container in client.api.containers(all=True)}


def main() -> None:
    """Run as many rounds as the command line says."""
    count = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    os.environ |= {"LAB_ID": f"kills{os.getpid()}", "SHIPLIGHT_PROGRESS": "off"}
    print(f"seed {seed}")
    try:
        with with_busybox(engine.connect()) as own:
            os.environ["DOCKER_HOST"] = own.url
            rounds(own, count, seed)
    finally:
        shutil.rmtree(journal.path(), ignore_errors=True)


if __name__ == "__main__":
    main()
