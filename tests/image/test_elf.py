"""Programs of this machine and damaged ones: what they link, and whether they are stripped."""

import struct
import sys
from pathlib import Path

import pytest

from shiplight.image import Program, read_program

PROGRAM = Path("/bin/sh").resolve()
ELF = PROGRAM.is_file() and PROGRAM.read_bytes()[:4] == b"\x7fELF"
needs_elf = pytest.mark.skipif(
    not ELF, reason=f"not for this machine: {sys.platform} has no ELF programs"
)


@needs_elf
def test_a_distributions_shell_links_its_c_library_and_is_stripped():
    found = read_program("bin/sh", PROGRAM.read_bytes())
    assert not found.static and found.stripped
    assert any(name.startswith(("libc.", "libc-", "ld-musl")) for name in found.needed)
    assert "ld-" in found.interpreter


def header(machine: int, order: str = "<", width: int = 2) -> bytes:
    """An ELF file that has its header and nothing else."""
    ident = b"\x7fELF" + bytes([width, 1 if order == "<" else 2, 1]) + bytes(9)
    return ident + struct.pack(f"{order}HHI", 2, machine, 1) + bytes(64)


@pytest.mark.parametrize(
    ("machine", "order", "width", "name"),
    [
        (62, "<", 2, "amd64"),
        (183, "<", 2, "arm64"),
        (40, "<", 1, "arm"),
        (3, "<", 1, "386"),
        (22, ">", 2, "s390x"),
        (21, "<", 2, "ppc64le"),
        (21, ">", 2, ""),
        (183, ">", 2, ""),
        (4711, "<", 2, ""),
    ],
)
def test_a_program_names_the_processor_that_it_is_for(machine, order, width, name):
    found = read_program("x", header(machine, order, width))
    assert found.architecture == name and found.static
    assert Program.from_dict(found.to_dict()) == found


def test_a_program_that_was_recorded_without_its_processor_can_still_be_read():
    old = read_program("x", header(62)).to_dict()
    del old["architecture"]
    assert Program.from_dict(old).architecture == ""


@needs_elf
def test_a_damaged_program_is_no_program():
    data = PROGRAM.read_bytes()
    for cut in (0, 3, 5, 40, 70, 200):
        assert read_program("x", data[:cut]) is None
    header = bytearray(data)
    header[32:64] = b"\xff" * 32
    assert read_program("x", bytes(header)) is None


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"MZ" + bytes(100), b"\x7fELF\x09\x09"])
def test_what_is_no_elf_file_is_none(data):
    assert read_program("x", data) is None
