"""The disk comes back: what the lab brought to an engine that others use goes, and nothing else.

On an engine of its own (own_engine.py), whose data is a small memory disk: its bytes are counted.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from own_engine import with_busybox

from shiplight import builds, engine
from shiplight.engine import cleaning, disk
from shiplight.lessons import clean_up
from shiplight.setup import ROOT

MEGABYTE = 1_000_000
TEXT = """FROM busybox AS made
RUN sleep 0.3; echo {name} > /name
COPY big /big
WORKDIR /a/b
RUN cat /big /name > /twice
FROM busybox
COPY --from=made /twice /twice
RUN --mount=type=cache,target=/cache cp /twice /cache/
"""


@pytest.fixture(scope="module")
def own(client):
    """An engine of this module's own that has busybox."""
    with with_busybox(client, size="1g") as own:
        yield own


@pytest.fixture
def lab(own, monkeypatch):
    """The client of that engine, for a lab of this test's own."""
    monkeypatch.setenv("DOCKER_HOST", own.url)
    monkeypatch.setenv("LAB_ID", f"d{time.time_ns() % 10**12}")
    return engine.connect()


def folder(place: Path, name: str, *, megabytes: int) -> str:
    """A folder to build: what is big in it is in a context, three layers and a cache mount."""
    (place / name).mkdir()
    (place / name / "Dockerfile").write_text(TEXT.format(name=name))
    (place / name / "big").write_bytes(os.urandom(megabytes * MEGABYTE))
    return str(place / name)


def theirs(lab: str, *folders: str) -> subprocess.Popen:
    """Somebody else builds these folders, one after the other, in a process of their own."""
    code = "import sys, shiplight\nclient = shiplight.connect()\n"
    code += "for folder in sys.argv[1:]: shiplight.build(client, folder)\n"
    return subprocess.Popen(
        [sys.executable, "-c", code, *folders],
        cwd=ROOT, env=os.environ | {"LAB_ID": lab}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finished(process: subprocess.Popen) -> None:
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said


def kept(client) -> set[str]:
    """All images and cache records, by id."""
    images = {f"{image['Id']} {image['RepoTags']}" for image in client.api.images()}
    return images | {record.id for record in disk.cache_records(client)}


@pytest.mark.alone  # whose a record is, is told by when it was let go of
def test_nine_tenths_come_back_and_nothing_of_others_goes(own, lab, tmp_path):
    """They have images and cache from before, and build at the same time, and after."""
    finished(theirs("before", *(folder(tmp_path, f"before{n}", megabytes=1) for n in range(3))))
    before, empty = kept(lab), own.disk_bytes()
    during = [folder(tmp_path, f"during{n}", megabytes=1) for n in range(6)]
    building = theirs("during", *during)
    for number in range(4):
        builds.build(lab, folder(tmp_path, f"ours{number}", megabytes=10))
    finished(building)
    with pytest.MonkeyPatch.context() as other:  # what is theirs alone: the lab's own count tells
        other.setenv("LAB_ID", "during")
        alone = cleaning.held(lab)
        their_records = {record.id for record in cleaning._cache(lab)[0]}
    full = own.disk_bytes()
    done = cleaning.clean(lab)
    after = own.disk_bytes()
    brought = full - empty - alone.engine_bytes
    assert brought > 4 * 4 * 10 * MEGABYTE * 0.9
    assert full - after >= 0.9 * brought
    assert abs(done.freed_bytes - (full - after)) <= 0.1 * (full - after)
    left = kept(lab)
    assert before <= left, "what was there before is there"
    assert len(their_records) > 30 and their_records <= left
    assert len([name for name in left if "shiplight/during/" in name]) == 6
    finished(theirs("during", *during))  # with all of their cache


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_cache_of_a_build_that_was_broken_off_comes_back(own, lab, tmp_path, how):
    before, empty = kept(lab), own.disk_bytes()
    place = folder(tmp_path, f"broken{how}", megabytes=10)
    text = (tmp_path / f"broken{how}" / "Dockerfile").read_text()
    slow = text.replace("FROM busybox\nCOPY", "RUN sleep 60\nFROM busybox\nCOPY")
    (tmp_path / f"broken{how}" / "Dockerfile").write_text(slow)
    building = subprocess.Popen(
        [sys.executable, "-m", "shiplight", "build", place],
        cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while own.disk_bytes() < empty + 29 * MEGABYTE and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1.5)
    building.send_signal(how)
    building.communicate(timeout=30)
    time.sleep(2)
    full = own.disk_bytes()
    cleaning.clean(lab)
    assert full - own.disk_bytes() >= 0.9 * (full - empty) >= 27 * MEGABYTE
    assert before <= kept(lab)


def test_a_lessons_clean_up_gives_back_what_only_its_own_builds_made(own, lab, tmp_path, capsys):
    first = builds.build(lab, folder(tmp_path, "first", megabytes=10))
    second = builds.build(lab, folder(tmp_path, "second", megabytes=10))
    full = own.disk_bytes()
    clean_up(lab, first, yes=True)
    gained = full - own.disk_bytes()
    assert gained >= 0.95 * 4 * 10 * MEGABYTE, "but for the cache mount, which both have"
    assert engine.has_image(lab, second.tag)
    again = builds.build(lab, str(tmp_path / "second"))
    steps = [step for step in again.numbered_steps if not step.instruction.startswith("FROM")]
    assert len(steps) == 6 and all(step.cached for step in steps)
    cleaning.clean(lab)


def test_what_stays_is_named_by_the_command_line_with_its_bytes(own, lab, tmp_path):
    made = builds.build(lab, folder(tmp_path, "ours", megabytes=1))
    running = lab.containers.create(made.tag, ["true"])
    try:
        said = subprocess.run(
            [sys.executable, "-m", "shiplight", "clean"], cwd=ROOT, capture_output=True, text=True
        )
        plain = " ".join(said.stdout.split())
        assert f"left {made.tag}" in plain and f"docker rmi {made.tag}" in plain
        assert "in use by something else" in plain and " MB" in plain
    finally:
        running.remove()
    done = subprocess.run(
        [sys.executable, "-m", "shiplight", "clean", "--json"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["images"] == 1
