"""Programs read out of an image that nobody runs, also one for another platform."""

import struct
from types import SimpleNamespace

import factories
import pytest
from factories import directory, file

from shiplight.inspection import entrypoint, programs

ARM64, AMD64 = 183, 62


def elf(machine: int) -> bytes:
    """An ELF file that has its header and nothing else."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 3, machine, 1) + bytes(64)


@pytest.fixture
def created(monkeypatch):
    """A client whose containers have one folder, and how they were created."""
    seen = []
    packed = factories.tar(
        [
            directory("deps"),
            file("deps/z.so", elf(AMD64)),
            file("deps/a/fast.so", elf(ARM64)),
            file("deps/a/slow.py", b"print()"),
        ]
    )

    def create(image, command, **how):
        seen.append(how.get("platform"))
        found = SimpleNamespace(remove=lambda **_: None)
        found.get_archive = lambda path: (iter([packed]), {}) if path == "/opt/deps" else None
        return found

    monkeypatch.setattr("shiplight.engine.inspect_image", lambda client, image: image_of(image))
    monkeypatch.setattr(
        "shiplight.engine.described", lambda client: SimpleNamespace(platform="linux/amd64")
    )
    return SimpleNamespace(containers=SimpleNamespace(create=create)), seen


def image_of(name: str) -> dict:
    return {"Os": "linux", "Architecture": name.partition(":")[2]}


def test_every_program_below_a_folder_is_named_with_its_processor(created):
    client, _ = created
    found = {one.path: one.architecture for one in programs(client, "app:amd64", "/opt/deps/")}
    assert list(found.items()) == [("opt/deps/a/fast.so", "arm64"), ("opt/deps/z.so", "amd64")]


def test_a_container_is_created_for_the_platform_of_its_image(created):
    """A containerd store has no image for the engine's own platform to create it from."""
    client, seen = created
    programs(client, "app:arm64", "opt/deps")
    programs(client, "app:amd64", "opt/deps")
    assert seen == ["linux/arm64", None]


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("./server", ["./server"]),
        ("exec /app/server --port 80", ["/app/server"]),
        ("./migrate && ./server", []),
        ("$APP", []),
        ("cd /app; ./server", []),
    ],
)
def test_of_a_shell_with_one_command_the_program_is_that_ones(command, program):
    assert entrypoint._without_shell(["/bin/sh", "-c", command]) == program
    assert entrypoint._without_shell(["/server", "-c", "x"]) == ["/server", "-c", "x"]
