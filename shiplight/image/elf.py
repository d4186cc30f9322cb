"""Read a compiled program: its processor, the libraries that it links, and its symbols.

Reads ELF headers only (System V ABI, chapters 4 and 5), of either width and byte order.
"""

import struct
from dataclasses import asdict, dataclass

_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRING_TABLE = 1, 5
_SYMBOLS = 2
_MOST_ENTRIES = 10_000

# ELF machine numbers and byte orders, and the names that images use (Go's GOARCH).
_ARCHITECTURES = {
    (3, "<"): "386",
    (21, "<"): "ppc64le",
    (22, ">"): "s390x",
    (40, "<"): "arm",
    (62, "<"): "amd64",
    (183, "<"): "arm64",
    (243, "<"): "riscv64",
    (258, "<"): "loong64",
}


@dataclass(frozen=True)
class Program:
    """One program or library. `needed` are the libraries that it links; a static one has none.

    `symbol_bytes` and `debug_bytes` are what stripping would save, with `name_bytes`, the names of
    the symbols. `architecture` is the processor that it is for, as images name it; "" for others.
    """

    path: str
    interpreter: str
    needed: tuple[str, ...]
    symbol_bytes: int
    debug_bytes: int
    architecture: str = ""
    name_bytes: int = 0

    @property
    def strippable_bytes(self) -> int:
        """What stripping saves: symbols, their names, debug information; alignment aside."""
        return self.symbol_bytes + self.debug_bytes + self.name_bytes

    @property
    def static(self) -> bool:
        return not self.interpreter and not self.needed

    @property
    def stripped(self) -> bool:
        return not self.symbol_bytes and not self.debug_bytes

    @property
    def libc(self) -> str:
        """The C library of its loader, glibc or musl; "" for a static program."""
        return "" if not self.interpreter else "musl" if "musl" in self.interpreter else "glibc"

    def to_dict(self) -> dict:
        """Return the program as JSON holds it."""
        return asdict(self) | {"needed": list(self.needed)}

    @classmethod
    def from_dict(cls, data: dict) -> "Program":
        """Return the program that `to_dict` wrote."""
        return cls(**data | {"needed": tuple(data["needed"])})


def read_program(path: str, data: bytes) -> Program | None:
    """Return the program in `data`; None if it is not a valid ELF file."""
    if data[:4] != b"\x7fELF" or data[4:5] not in b"\x01\x02" or data[5:6] not in b"\x01\x02":
        return None
    try:
        return _Reader(data).program(path)
    except (struct.error, LookupError, ValueError, StopIteration, OverflowError):
        return None


class _Reader:
    def __init__(self, data: bytes):
        self.data, self.wide = data, data[4] == 2
        self.order = "<" if data[5] == 1 else ">"

    def unpack(self, form: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + form, self.data, at)

    def text(self, at: int) -> str:
        end = self.data.index(b"\0", at)
        return self.data[at:end].decode("utf-8", "replace")

    def program(self, path: str) -> Program:
        segments = list(self.segments())
        interpreter = next((self.text(at) for kind, at, *_ in segments if kind == _INTERPRETER), "")
        symbols = debug = names = 0
        for name, kind, size in self.sections():
            symbols += size if kind == _SYMBOLS else 0
            names += size if name == ".strtab" else 0
            debug += size if name.startswith((".debug_", ".zdebug_")) else 0
        needed = tuple(self.needed(segments))
        return Program(path, interpreter, needed, symbols, debug, self.architecture(), names)

    def architecture(self) -> str:
        """Return the processor that the file is for, as images name it; "" for any other."""
        return _ARCHITECTURES.get((self.unpack("H", 18)[0], self.order), "")

    def segments(self):
        """Return (kind, offset, address, bytes) of each program header."""
        start, width, count = self._table(program=True)
        for at in range(start, start + width * count, width):
            if self.wide:
                kind, _, offset, address, _, size = self.unpack("IIQQQQ", at)
            else:
                kind, offset, address, _, size = self.unpack("IIIII", at)
            yield kind, offset, address, size

    def sections(self):
        """Return (name, kind, bytes) of each section header."""
        start, width, count = self._table(program=False)
        names = self.unpack("H", 62 if self.wide else 50)[0]
        rows = []
        for at in range(start, start + width * count, width):
            name, kind = self.unpack("II", at)
            offset, size = self.unpack("QQ" if self.wide else "II", at + (24 if self.wide else 16))
            rows.append((name, kind, offset, size))
        for name, kind, _, size in rows:
            yield self.text(rows[names][2] + name), kind, size

    def _table(self, *, program: bool) -> tuple[int, int, int]:
        """Where the segment or section headers are: (offset, bytes of one, how many)."""
        if self.wide:
            start = self.unpack("Q", 32 if program else 40)[0]
            width, count = self.unpack("HH", 54 if program else 58)
        else:
            start = self.unpack("I", 28 if program else 32)[0]
            width, count = self.unpack("HH", 42 if program else 46)
        return start, max(width, 1), min(count, _MOST_ENTRIES) if start else 0

    def needed(self, segments) -> list[str]:
        """Return the names of the libraries that it links."""
        entries = []
        for kind, offset, _, size in segments:
            if kind == _DYNAMIC:
                width = 16 if self.wide else 8
                count = min(size // width, _MOST_ENTRIES)
                form = "qQ" if self.wide else "iI"
                entries = [self.unpack(form, offset + width * i) for i in range(count)]
        table = next((value for tag, value in entries if tag == _STRING_TABLE), None)
        names = [value for tag, value in entries if tag == _NEEDED]
        if table is None or not names:
            return []
        base = next(
            offset + table - address
            for kind, offset, address, size in segments
            if kind == _LOAD and address <= table < address + size
        )
        return [self.text(base + name) for name in names]
