"""Programs of this machine and damaged ones: what they link, and whether they are stripped."""

import sys
from pathlib import Path

import pytest

from shiplight.image import read_program

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
