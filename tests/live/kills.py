"""Kills commands at random moments, and looks at what they leave.

    python tests/live/kills.py 50           rounds; prints its seed, which may be given after them

Runs on an engine of its own (own_engine.py) that gets busybox from the engine of this machine.
`test_kills.py` runs one of each command.
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
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from own_engine import OwnEngine, with_busybox

from shiplight import builds, engine, files
from shiplight.engine import cleaning, journal
from shiplight.inspection import measure

TEXT = "FROM busybox\nRUN echo {number} > /number && sleep 0.{number}\nCOPY big /big\n"
LONGEST = {  # seconds
    "build": 3.0,
    "measure": 1.5,
    "scan": 4.0,
    "clean": 2.0,
    "doctor": 3.0,
    "bases": 10.0,
    "record": 15.0,
}
COMMANDS = list(LONGEST)
BASE = "debian:bookworm-slim"  # an engine of its own has no registry: it is assembled
LESSON = "00"
BIG = 300_000
WHOLE_BASE = 50_000_000  # bytes: Debian's smallest has 74 MB


def rounds(own: OwnEngine, count: int, seed: int) -> None:
    """Kill so many commands; AssertionError where one leaves what it should not.

    One that had ended by then is killed again, after half the time.
    """
    draw = random.Random(seed)
    before = kept(engine.connect())
    with tempfile.TemporaryDirectory() as place:
        copy = checked_out(Path(place) / "checkout")
        for number in range(count):
            command = COMMANDS[number % len(COMMANDS)]
            after = draw.uniform(0.1, LONGEST[command])
            folder = Path(place) / f"app{number}"
            folder.mkdir()
            (folder / "Dockerfile").write_text(TEXT.format(number=number % 10))
            (folder / "big").write_bytes(draw.randbytes(BIG))
            if command == "bases":
                assembling_killed(folder / "tmp", after)
            elif command == "record":
                recording_killed(copy, after)
            else:
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
    was_running = killed(words, seconds)
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


def killed(words: list[str], seconds: float, checkout: Path = ROOT, **environment: str) -> bool:
    """Kill a command of a checkout after so many seconds; whether it still ran."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shiplight", *words],
        cwd=checkout, env=os.environ | {"PYTHONPATH": str(checkout)} | environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    time.sleep(seconds)
    was_running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return was_running


def assembling_killed(place: Path, seconds: float) -> None:
    """Kill a base's assembling: the engine has all of it or nothing, and nothing goes on."""
    client, name = engine.connect(), f"shiplight/base/{BASE}"
    place.mkdir()
    place.chmod(0o1777)  # mmdebstrap may work as another user in it
    killed(["bases", "get", BASE], seconds, TMPDIR=str(place))
    ended(lambda: not list(place.iterdir()))
    assert str(place) not in Path("/proc/mounts").read_text()
    if engine.has_image(client, name):
        assert measure(client, name).unpacked_bytes > WHOLE_BASE
        client.api.remove_image(name)


def recording_killed(copy: Path, seconds: float) -> None:
    """Kill a lesson's recording: what is stored is the old or the new, and nothing goes on."""
    killed(["record", LESSON], seconds, copy)
    ended(lambda: not using(copy))
    said = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"],
        cwd=copy, capture_output=True, text=True, check=True,
    )  # fmt: skip
    changed = [line[3:] for line in said.stdout.splitlines()]
    assert not [name for name in changed if files.PARTS in name], "git overlooks it"
    for name in changed:
        if name.endswith((".json", ".ipynb")):
            json.loads((copy / name).read_text(encoding="utf-8"))
    for part in copy.rglob(f".*{files.PARTS}"):
        os.utime(part, (0, 0))  # `clean` spares what is new: somebody may be writing it
    cleaned = [sys.executable, "-m", "shiplight", "clean"]
    subprocess.run(cleaned, cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, check=True)
    assert not [place for place in copy.glob(f".lab/**/{journal.WORK}/*") if place.is_dir()]
    stored = [copy.glob(f".*{files.PARTS}"), (copy / "recordings").rglob(f".*{files.PARTS}")]
    assert not [part for found in stored for part in found]


def checked_out(copy: Path) -> Path:
    """Clone the checkout, so that what a command writes in it is not the user's."""
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, copy], check=True)
    return copy


def using(folder: Path) -> list[str]:
    """The processes that work in a folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink().is_relative_to(folder):
                found.append(link.parent.name)
    return found


def ended(there) -> None:
    """Wait until it is there, as long as an orphan may take that notices its parent's end."""
    last = time.monotonic() + 180
    while not there():
        assert time.monotonic() < last, "what the killed process began goes on"
        time.sleep(0.2)


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
