"""Small contexts that `docker build` and this project have to build alike: text, and what to make.

BASE stands for an image with busybox. Every Dockerfile begins with a step of its own, which keeps
the caches of two builders apart.
"""

import io
import os
import socket
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Small:
    """One context: the Dockerfile below its first two lines, files, and what else to make."""

    name: str
    text: str
    files: dict[str, str] = field(default_factory=dict)
    make: Callable[[Path], object] = lambda folder: None

    def dockerfile(self, base: str, salt: str) -> str:
        """The whole text: FROM and a step that belongs to `salt`, and the rest."""
        head = "" if self.text.startswith("FROM") else "FROM BASE\nRUN : 1 SALT\n"
        return (head + self.text).replace("BASE", base).replace("SALT", salt)

    def write(self, folder: Path, base: str, salt: str) -> Path:
        """Make the context in `folder`, which is new; its times are always the same."""
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        self.make(folder)
        if not (folder / "Dockerfile").exists():
            (folder / "Dockerfile").write_text(self.dockerfile(base, salt))
        for above, folders, files in os.walk(folder, topdown=False):
            for name in [*files, *folders]:
                path = os.path.join(above, name)
                os.utime(path, ns=(10**18, 1_600_000_000_123_456_789), follow_symlinks=False)
        return folder


def _links(folder: Path) -> None:
    os.symlink("a.txt", folder / "relative")
    os.symlink("/etc/hostname", folder / "absolute")
    os.symlink("nowhere", folder / "broken")
    os.symlink("sub", folder / "folder")


def _hard_links(folder: Path) -> None:
    for name in ("b.txt", "sub/c.txt"):
        os.link(folder / "a.txt", folder / name)


def _modes(folder: Path) -> None:
    for name, mode in {"a": 0o4755, "b": 0o2750, "c": 0o600, "d": 0o444, "e": 0o777}.items():
        (folder / name).write_text(name)
        (folder / name).chmod(mode)
    (folder / "sticky").mkdir()
    (folder / "sticky").chmod(0o1777)


def _odd_names(folder: Path) -> None:
    for name in ("a b", "é", "a\\b", "*", "[x]", "a\nb", ".hidden", "-dash", "~", "x" * 200):
        (folder / name).write_text(name)


def _not_utf8(folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9")).write_text("latin-1")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def _socket(folder: Path) -> None:
    here = os.getcwd()
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("sock")
    finally:
        os.chdir(here)


def _archive(folder: Path) -> None:
    with tarfile.open(folder / "files.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("inside/file")
        info.size, info.mode, info.mtime, info.uid = 2, 0o640, 1_500_000_000, 7
        tar.addfile(info, io.BytesIO(b"in"))


def _attributes(folder: Path) -> None:
    (folder / "a").write_text("a")
    # cap_net_bind_service+ep, as `setcap` writes it
    os.setxattr(
        folder / "a",
        "security.capability",
        bytes.fromhex("0100000200040000000000000000000000000000"),
    )


def _empty_folders(folder: Path) -> None:
    (folder / "empty/below").mkdir(parents=True)


def _own_ignore(folder: Path) -> None:
    (folder / "Dockerfile.dockerignore").write_text("out\n")


A = {"a.txt": "a", "b.md": "b", "sub/c.txt": "c", "sub/deep/d.md": "d", "out/e": "e"}


def _ignoring(name: str, ignore: str, text: str = "COPY . /c\n") -> Small:
    return Small(f"ignore-{name}", text, A | {".dockerignore": ignore})


SMALL = [
    Small("everything", "COPY . /c\n", A),
    Small("one-file", "COPY a.txt /c/\nRUN cat /c/a.txt\n", A),
    Small("a-folder", "COPY sub /c\nRUN find /c\n", A),
    Small("two-sources", "COPY a.txt sub/c.txt /c/\n", A),
    Small("wildcard", "COPY *.md /c/\nCOPY sub/*.txt /d/\n", A),
    Small("question-mark", "COPY a.tx? /c/\n", A),
    Small("owner", "COPY --chown=7:8 . /c\nRUN ls -ln /c\n", A),
    _ignoring("dockerfile", "Dockerfile\n.dockerignore\n"),
    _ignoring("folder", "sub\n"),
    _ignoring("exception", "**/*.md\n!sub/deep/d.md\n"),
    _ignoring("exception-in-folder", "sub\n!sub/deep\n"),
    _ignoring("all-but-one", "*\n!a.txt\n"),
    _ignoring("comments", "# nothing\n\n  out  \n/b.md\n"),
    _ignoring("crlf", "out\r\nsub\r\n"),
    _ignoring("not-ascii", "é\nsub\n"),
    _ignoring("source-below", "out\n", "COPY sub/deep /c\n"),
    Small("own-ignore", "COPY . /c\n", A | {".dockerignore": "sub\n"}, _own_ignore),
    Small("links", "COPY . /c\n", {"a.txt": "a", "sub/b": "b"}, _links),
    Small("through-a-link", "COPY relative /c/\nCOPY folder/b /d/\n", {"a.txt": "a", "sub/b": "b"}, _links),
    Small("hard-links", "COPY . /c\n", {"a.txt": "a", "sub/x": "x"}, _hard_links),
    Small("hard-link-apart", "COPY sub /c\n", {"a.txt": "a", "sub/x": "x"}, _hard_links),
    Small("modes", "COPY . /c\n", {}, _modes),
    Small("odd-names", "COPY . /c\n", {}, _odd_names),
    Small("not-utf8", "COPY . /c\n", {}, _not_utf8),
    Small("pipe", "COPY . /c\n", {"a": "a"}, _pipe),
    Small("socket", "COPY . /c\n", {"a": "a"}, _socket),
    Small("empty-folders", "COPY . /c\nCOPY empty /d\n", {"a": "a"}, _empty_folders),
    Small("attributes", "COPY . /c\n", {}, _attributes),
    Small("archive", "ADD files.tar.gz /c/\nCOPY files.tar.gz /d/\n", {}, _archive),
    Small("workdir", "WORKDIR /w\nCOPY a.txt .\nENV A=b\nRUN echo $A > out\nLABEL x=y\n", A),
    Small("config", "ENV A=b C=d\nEXPOSE 80\nUSER 7\nVOLUME /v\nCMD [\"x\"]\nSTOPSIGNAL 9\n"),
    Small("stages", "COPY a.txt /a\nRUN cat /a > /b\nFROM BASE\nRUN : 2 SALT\nCOPY b.md /\nCOPY --from=0 /b /made\n", A),
    Small("named-stages", "FROM BASE AS one\nRUN : SALT > /x\nFROM one AS two\nRUN : 2\nFROM BASE\nRUN : 3 SALT\nCOPY . /c\nCOPY --from=two /x /x\n", A | {".dockerignore": "Dockerfile\n"}),
    Small("unused-stage", "FROM BASE AS unused\nRUN false\nFROM BASE\nRUN : SALT\nCOPY sub /c\n", A),
    Small("onbuild", "FROM BASE AS a\nRUN : SALT\nONBUILD COPY a.txt /c/\nFROM a\nRUN cat /c/a.txt\n", A),
    Small("arguments", "ARG N=1\nRUN echo $N > /n\nARG M\nENV M=$M\nRUN echo $M > /m\n"),
    Small("bind-mount", "RUN --mount=type=bind,target=/src cp -a /src/sub /c\n", A),
    Small("continued", "RUN echo \\\n  # comment\n  a > /a && \\\n  echo b > /b\nCOPY \\\n a.txt \\\n /c/\n", A),
]  # fmt: skip
