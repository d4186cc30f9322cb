"""Writes every file of this lab on a disk that is full, or read-only: `full_disk.py KIND FOLDER`.

Runs in a mount namespace of its own, where FOLDER becomes the root of a checkout on a small disk.
Prints one line for each kind of file.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shiplight import engine, files, recordings
from shiplight.engine import journal
from shiplight.errors import LabFolderFailed
from shiplight.image import LayerContent, LayerStore
from shiplight.image.changes import Entry
from shiplight.lessons import judging, learned
from shiplight.setting import Setting

SETTING = Setting("engine", "overlay2", "linux/amd64", "none", "2026-11-29T00:00:00Z")
LARGE = os.urandom(20_000).hex()  # more than is left anywhere on a full disk


def writers(root: Path) -> dict[str, tuple[Callable[[str], object], Callable[[], object]]]:
    """What writes each kind of file, given some text, and what reads it again."""
    store, recorded = LayerStore(root / "layers"), root / "new" / "00-first.json"
    recorded.parent.mkdir()
    os.environ["SHIPLIGHT_RECORD"] = str(recorded)
    engine.setting = lambda client: SETTING
    exported = root / "packages.json"

    def layer(text):
        store.put(LayerContent(f"sha256:{len(text)}", (Entry(text, "file", 1),), 1))

    return {
        "journal": (lambda text: journal.write("made", mark=text), lambda: list(journal.read())),
        "learned": (lambda text: learned.note_guess("00", text), learned.guesses),
        "verdicts": (
            lambda text: judging.note("claim", text, "holds", SETTING),
            lambda: judging._read(journal.folder()),
        ),
        "layers": (layer, lambda: [store.get(f"sha256:{size}") for size in (1, len(LARGE))]),
        "recording": (
            lambda text: recordings._write_down(None, "call", text),
            lambda: json.loads(recorded.read_text()),
        ),
        "export": (lambda text: files.write(exported, text), exported.read_text),
    }


def main(kind: str, root: Path) -> None:
    """Write all, fill the disk, write again, look, make room, and write once more."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(root)], check=True)
    journal.ROOT = root
    every = writers(root)
    for write, _ in every.values():
        write("1")
    before = {name: read() for name, (_, read) in every.items()}
    fill(root, kind)
    for name, (write, read) in every.items():
        try:
            write(LARGE)
            said = "nothing"
        except LabFolderFailed as error:
            said = f"{error.message} {error.hint}"
        except OSError as error:
            said = os.strerror(error.errno)
        assert read() == before[name], name
        print(f"{name}: {said}")
    if kind == "full":
        (root / "full").unlink()
    else:
        subprocess.run(["mount", "-o", "remount,rw", str(root)], check=True)
    for name, (write, read) in every.items():
        write("2")
        assert name == "layers" or read() != before[name], name
    left = [path.name for path in root.rglob(f"*{files.PARTS}")]
    assert not left, left


def fill(root: Path, kind: str) -> None:
    """Leave no byte free, or nothing that can be written."""
    if kind == "full":
        with open(root / "full", "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                return
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
