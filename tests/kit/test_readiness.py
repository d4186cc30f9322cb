"""What a machine lacks for a class is named by lesson; nothing of the line names the machine."""

import getpass
import platform
import socket
from types import SimpleNamespace

import pytest

from shiplight import kit
from shiplight.builds.bases import Base
from shiplight.cli import commands
from shiplight.engine import Engine
from shiplight.errors import BuildFailed, EngineNotReachable
from shiplight.kit import readiness
from shiplight.lessons import needed_by, shelf
from shiplight.setup import ROOT

FIRST, GO, NODE = shelf.lessons()[:3]
ENGINE = Engine(
    kind="Docker", version="29.1", api_version="1.52", endpoint="unix:///home/ann/docker.sock",
    source="DOCKER_HOST", store="containerd store (overlayfs)", platform="linux/arm64",
    host="anns-laptop", rootless=False, cpus=8, memory_bytes=16_000_000_000,
    free_bytes=50_000_000_000, id="x",
)  # fmt: skip


@pytest.fixture
def machine(monkeypatch):
    """A machine that has everything; a test takes something away."""
    has = SimpleNamespace(engine=ENGINE, absent=set(), fails=set(), silent=set(), built=[])

    def build(client, what):
        has.built.append(readiness._plain(what))
        if readiness._plain(what) in has.fails:
            raise BuildFailed("step /home/ann/x failed at https://ann.example")
        return what

    monkeypatch.setattr(readiness.engine, "describe", lambda client: has.engine)
    monkeypatch.setattr(
        readiness, "here",
        lambda client, name: None if name in has.absent else Base(name, name, "official"),
    )  # fmt: skip
    monkeypatch.setattr(readiness, "build", build)
    monkeypatch.setattr(
        readiness,
        "probe",
        lambda client, made, briefly: SimpleNamespace(answered=made not in has.silent),
    )
    return has


def test_a_machine_with_everything_is_ready_for_every_lesson_asked_for(machine):
    found = kit.ready("client", [FIRST, GO, NODE])
    assert found.line.startswith("ready: 00 01 02 · Docker 29.1, containerd store")
    assert machine.built == ["first", "go/multi", "node/multi"] and "missing" not in found.line


def test_what_is_missing_is_said_for_the_lesson_that_lacks_it(machine):
    machine.absent, machine.silent = {"node:22-alpine"}, {"go/multi"}
    found = kit.ready("client", [FIRST, GO, NODE])
    bases = len(needed_by(NODE).bases)
    assert "ready: 00 · " in found.line
    assert f"missing: 01 (go/multi does not respond); 02 (1 of {bases} bases)" in found.line
    assert any("bases get node:22-alpine" in one.advice for one in found.found)


def test_a_disk_that_is_too_small_is_missing_what_it_lacks(machine):
    machine.engine = SimpleNamespace(**ENGINE.__dict__ | {"free_bytes": 3_000_000_000})
    assert "01 (1.00 GB of disk)" in kit.ready("client", [GO]).line


def test_the_line_has_no_names_and_no_paths(machine):
    machine.fails = {"go/multi", "first"}
    line = kit.ready("client", [FIRST, GO]).line
    assert "missing: 00 (first fails (BuildFailed)); 01 (go/multi fails (BuildFailed))" in line
    for own in ("ann", "home", str(ROOT), getpass.getuser() + "@", platform.node()):
        assert own not in line


def test_without_an_engine_every_lesson_lacks_it(capsys, monkeypatch):
    def connect(given, **_):
        raise EngineNotReachable("no engine")

    monkeypatch.setattr("shiplight.cli.kit_commands.connect", connect)
    assert commands.main(["ready", "00", "01"]) == 1
    assert capsys.readouterr().out.endswith(
        "ready: none · missing: 00 (an engine); 01 (an engine) · no engine\n"
    )


def test_neither_a_rehearsal_nor_a_weighing_starts_an_engine(monkeypatch):
    may_start = []

    def connect(given, *, to_make=False):
        may_start.append(to_make)
        raise EngineNotReachable("no engine")

    monkeypatch.setattr("shiplight.cli.kit_commands.connect", connect)
    for command in (["rehearse", "00"], ["pack", "00", "--weigh"], ["ready", "00"]):
        commands.main(command)
    assert may_start == [False, False, True]


def test_a_rehearsal_creates_no_folder_for_pages(machine, tmp_path):
    found = {one.name: one for one in kit.rehearse("client", [FIRST], tmp_path / "a" / "out")}
    assert found["projector page"].state == "ok" and not list(tmp_path.iterdir())


def test_a_rehearsal_lists_all_that_a_class_needs_and_builds_nothing(machine, tmp_path):
    found = {one.name: one for one in kit.rehearse("client", [FIRST, GO], tmp_path)}
    names = ["engine", "disk", "base images", "recordings", "port", "projector page", "slides"]
    assert list(found) == names and not machine.built and not list(tmp_path.iterdir())
    assert found["disk"].state == "ok" and "4.05 GB together" in found["disk"].seen
    assert found["slides"].state == "note" and "slides 00 01" in found["slides"].advice


def test_a_rehearsal_names_what_is_missing(machine, tmp_path):
    machine.absent = {"golang:1.23"}
    machine.engine = SimpleNamespace(**ENGINE.__dict__ | {"free_bytes": 1_000_000_000})
    found = {one.name: one for one in kit.rehearse("client", [GO], tmp_path)}
    assert found["base images"].state == found["disk"].state == kit.PROBLEM
    (tmp_path / "file").write_text("")
    found = {one.name: one for one in kit.rehearse(None, [GO], tmp_path / "file")}
    assert found["engine"].state == found["projector page"].state == kit.PROBLEM


def test_a_taken_port_is_passed_over():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert readiness._is_taken(other.getsockname()[1])
    assert readiness._port(lambda port: port < 8890).seen.startswith("8890 is free")
    assert readiness._port(lambda port: True).state == kit.PROBLEM


@pytest.mark.parametrize("lesson", shelf.lessons(), ids=lambda path: path.stem)
def test_every_lesson_says_how_much_disk_it_needs(lesson):
    assert readiness.disk_of(lesson) >= 50_000_000
