"""Small contexts whose images carry bytes for nothing, and the same with each fix applied.

What `check --build` promises for the first is what the second saves: within a twentieth, tried by
tests/live/test_bytes_that_can_go.py (those that take seconds) and tests/live/bytes_saved.py (all).
"""

import io
import os
import random
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shiplight.setup import ROOT


def _noise(size: int, seed: str) -> bytes:
    return random.Random(seed).randbytes(size)


@dataclass(frozen=True)
class Wasteful:
    """A context: its Dockerfile before and after, files of both, and what each has besides.

    `kinds` are the rows that the first one has to have.
    """

    name: str
    before: str
    after: str
    kinds: frozenset[str]
    files: dict[str, str] = field(default_factory=dict)
    make: Callable[[Path], object] = lambda folder: None
    after_files: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path, *, fixed: bool) -> Path:
        """Make the context in `folder`, which is new; return the path of its Dockerfile."""
        folder.mkdir(parents=True)
        for name, content in (self.files | (self.after_files if fixed else {})).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        self.make(folder)
        (folder / "Dockerfile").write_text(self.after if fixed else self.before)
        return folder / "Dockerfile"


def _archive(folder: Path) -> None:
    (folder / "keep").write_bytes(_noise(1_500_000, "keep"))
    (folder / "gone").write_bytes(_noise(2_000_000, "gone"))
    (folder / "app").mkdir()
    (folder / "app/data").write_bytes(_noise(3_000_000, "app"))
    with tarfile.open(folder / "data.tar.gz", "w:gz") as tar:
        for name, size in (("data/one", 4_000_000), ("data/two", 1_000_000)):
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(_noise(size, name)))


ARCHIVE = Wasteful(
    "an archive, a later rm, a later chown",
    "FROM busybox:latest\nCOPY keep gone /\nCOPY app /app\nCOPY data.tar.gz /tmp/\n"
    "RUN mkdir /opt && tar -xzf /tmp/data.tar.gz -C /opt\n"
    "RUN rm /gone && chown -R 7 /app\nUSER 7\n",
    "FROM busybox:latest\nCOPY keep /\nCOPY --chown=7 app /app\n"
    "RUN --mount=type=bind,source=data.tar.gz,target=/tmp/data.tar.gz \\\n"
    "    mkdir /opt && tar -xzf /tmp/data.tar.gz -C /opt\nUSER 7\n",
    frozenset({"hidden", "archive"}),
    make=_archive,
)


def _sources(folder: Path) -> None:
    for number in range(20):
        (folder / "src").mkdir(exist_ok=True)
        (folder / f"src/part{number}.py").write_bytes(_noise(40_000, f"src{number}"))
        (folder / "tests").mkdir(exist_ok=True)
        (folder / f"tests/case{number}.json").write_bytes(_noise(30_000, f"test{number}"))
    git = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "src", "tests"], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *words], cwd=folder, check=True, env=git)


SOURCES = Wasteful(
    "version history, tests, sources twice",
    "FROM alpine:3.22\nWORKDIR /app\nCOPY . .\nCOPY src /src\nUSER 7\n",
    "FROM alpine:3.22\nWORKDIR /app\nCOPY . .\nRUN ln -s /app/src /src\nUSER 7\n",
    frozenset({"history", "tests", "twice"}),
    make=_sources,
    after_files={".dockerignore": ".git\ntests\n"},
)

_GO = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'
GO = Wasteful(
    "a Go program with its symbols",
    "FROM golang:1.23 AS build\nWORKDIR /src\nCOPY . .\n"
    "RUN CGO_ENABLED=0 go build -o /hello .\nFROM scratch\nCOPY --from=build /hello /hello\n"
    'USER 7\nENTRYPOINT ["/hello"]\n',
    "FROM golang:1.23 AS build\nWORKDIR /src\nCOPY . .\n"
    "RUN CGO_ENABLED=0 go build -ldflags='-s -w' -o /hello .\n"
    "FROM scratch\nCOPY --from=build /hello /hello\n"
    'USER 7\nENTRYPOINT ["/hello"]\n',
    frozenset({"symbols"}),
    files={"main.go": _GO, "go.mod": "module hello\n\ngo 1.23\n"},
)

_NODE = {
    name: (ROOT / "apps/node" / name).read_text() for name in ("package.json", "package-lock.json")
}
NODE = Wasteful(
    "npm's cache and packages for development",
    "FROM node:22-slim\nWORKDIR /app\nCOPY package.json package-lock.json ./\n"
    "RUN npm ci --ignore-scripts\nUSER node\n",
    "FROM node:22-slim\nWORKDIR /app\nCOPY package.json package-lock.json ./\n"
    "RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts --omit=dev \\\n"
    "    && find node_modules \\( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' \\\n"
    "        -o -name '*.d.cts' \\) -delete \\\n"
    "    && find node_modules -mindepth 2 -type d \\( -name test -o -name tests \\\n"
    "        -o -name __tests__ \\) -prune -exec rm -rf {} +\nUSER node\n",
    frozenset({"cache", "dev packages"}),
    files=_NODE,
)

PYTHON = Wasteful(
    "pytest, tests and headers of packages",
    "FROM python:3.13-slim\nWORKDIR /app\n"
    "RUN pip install itsdangerous==2.2.0 numpy==2.3.4 pytest==8.4.2\nUSER 7\n",
    "FROM python:3.13-slim\nWORKDIR /app\n"
    "RUN --mount=type=cache,target=/root/.cache/pip \\\n"
    "    pip install itsdangerous==2.2.0 numpy==2.3.4 packaging pygments \\\n"
    "    && cd /usr/local/lib/python3.13/site-packages/ \\\n"
    "    && find . -type d \\( -name tests -o -name include \\) -prune -exec rm -rf {} + \\\n"
    "    && find . \\( -name '*.h' -o -name '*.hpp' -o -name '*.pxd' -o -name '*.pyx' \\\n"
    "        -o -name '*.a' \\) -delete\n"
    "USER 7\n",
    frozenset({"dev packages", "tests", "headers"}),
)

DEBIAN = Wasteful(
    "apt's lists and packages, manuals, headers",
    "FROM debian:bookworm\nRUN rm -f /etc/apt/apt.conf.d/docker-clean && apt-get update \\\n"
    "    && apt-get install -y --no-install-recommends git zlib1g-dev\nUSER 7\n",
    "FROM debian:bookworm\nRUN rm -f /etc/apt/apt.conf.d/docker-clean && apt-get update \\\n"
    "    && apt-get install -y --no-install-recommends git zlib1g \\\n"
    "    && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb \\\n"
    "       /usr/share/doc/* /usr/share/man/*\nUSER 7\n",
    frozenset({"cache", "docs", "headers"}),
)

C = Wasteful(
    "a C program with debug information, there twice",
    "FROM buildpack-deps:bookworm AS build\nWORKDIR /src\nCOPY . .\n"
    'RUN for n in $(seq 1 4000); do echo "int f$n(int a) { return a * $n + $n; }"; done '
    "> many.c \\\n"
    "    && gcc -g -o app main.c many.c\n"
    "FROM debian:bookworm-slim\nCOPY --from=build /src/app /usr/local/bin/app\n"
    "COPY --from=build /src/app /opt/app\nUSER 7\n",
    "FROM buildpack-deps:bookworm AS build\nWORKDIR /src\nCOPY . .\n"
    'RUN for n in $(seq 1 4000); do echo "int f$n(int a) { return a * $n + $n; }"; done '
    "> many.c \\\n"
    "    && gcc -s -o app main.c many.c\n"
    "FROM debian:bookworm-slim\nCOPY --from=build /src/app /usr/local/bin/app\n"
    "RUN ln -s /usr/local/bin/app /opt/app\nUSER 7\n",
    frozenset({"symbols", "twice"}),
    files={"main.c": "int f1(int);\nint main(void) { return f1(0); }\n"},
)

ALL = (ARCHIVE, SOURCES, GO, NODE, PYTHON, DEBIAN, C)
