"""Time other package managers against the usual ones, on the same sources and bases; print a table.

    python tests/live/tools.py [pip npm cargo]

The Dockerfiles of a pair differ in their tool only. Both are built cold once; then, in turns, three
times after an edit of the source, and three times after a change of the file that names the
dependencies. Every image is measured, started and asked. Needs an engine and its bases. The table
is kept in docs/your-own.md, with its date and the machine's load.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shiplight import builds, engine
from shiplight.catalogue import APPS
from shiplight.inspection import measure, probing
from shiplight.units import format_bytes, format_seconds

RUNS = 3
NUMBERS = count(1)  # for contents that a file never had


@dataclass(frozen=True)
class Pair:
    """Two tools for one app, and what is edited: a file, a text in it and its successor.

    The change of `names` leaves the packages as they are.
    """

    app: str
    port: int
    tools: tuple[str, str]
    source: tuple[str, str, str]
    names: tuple[str, str, str]


TOOLS = APPS / "tools"
PAIRS = {
    "pip": Pair(
        "python",
        8000,
        ("pip", "uv"),
        ("main.py", "app = FastAPI()", "app = FastAPI()  # {}"),
        ("requirements.txt", "annotated-doc==", "# {}\nannotated-doc=="),
    ),
    "npm": Pair(
        "node",
        3000,
        ("npm", "pnpm"),
        ("src/server.ts", "import Fastify", "// {}\nimport Fastify"),
        ("package.json", '"description": "', '"description": "{} '),
    ),
    "cargo": Pair(
        "rust",
        8080,
        ("cargo", "chef"),
        ("src/main.rs", "fn main()", "// {}\nfn main()"),
        ("Cargo.toml", 'description = "', 'description = "{} '),
    ),
}


def change(folder: Path, file: str, old: str, new: str) -> None:
    """Give a file contents that it never had."""
    text = (folder / file).read_text()
    assert old in text, (file, old)
    (folder / file).write_text(text.replace(old, new.format(next(NUMBERS)), 1))


def timed(client, pair: Pair, folder: Path) -> Iterator[str]:
    """Build, edit and build again; the rows of the table, one for each Dockerfile."""
    texts = {tool: (TOOLS / f"Dockerfile.{tool}").read_text() for tool in pair.tools}

    def build(tool: str, *, cold: bool = False) -> builds.Build:
        name = f"tools/{tool}"
        return builds.build(
            client, folder, text=texts[tool], name=name,
            cache_namespace=builds.own_cache(tool), no_cache=cold,
        )  # fmt: skip

    cold = {tool: build(tool, cold=True).seconds for tool in texts}
    again: dict[str, list[list[float]]] = {tool: [] for tool in texts}
    for edited in (pair.source, pair.names):
        for tool in texts:
            again[tool].append([])
        for _ in range(RUNS):
            change(folder, *edited)
            for tool in texts:
                again[tool][-1].append(build(tool).seconds)
    for tool in texts:
        tag = build(tool).tag
        assert probing.probe(client, tag, port=pair.port).answered, tool
        times = [f"{format_seconds(median(runs))} ({_range(runs)})" for runs in again[tool]]
        size = format_bytes(measure(client, tag).unpacked_bytes)
        yield f"| {tool} | {' | '.join([format_seconds(cold[tool]), *times, size])} |"


def _range(runs: list[float]) -> str:
    return f"{format_seconds(min(runs))} to {format_seconds(max(runs))}"


def main(names: list[str]) -> None:
    """Time the pairs that are named, or all, and print their rows."""
    client = engine.connect()
    print("| tool | cold | after an edit | after a change of dependencies | unpacked |")
    print("|---|---|---|---|---|")
    for name in names or PAIRS:
        pair = PAIRS[name]
        with tempfile.TemporaryDirectory() as place:
            folder = Path(shutil.copytree(APPS / pair.app, Path(place) / pair.app))
            for file in TOOLS.glob("pnpm-*.yaml"):
                shutil.copy(file, folder)
            for row in timed(client, pair, folder):
                print(row, flush=True)
        print(f"load {os.getloadavg()[1]:.1f} on {os.cpu_count()} CPUs", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
