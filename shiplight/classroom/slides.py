"""A lesson as slides for a projector: nbconvert's reveal.js deck, made from the lesson itself.

A heading begins a slide, each paragraph of the lesson one below it, and what its cells show follows
there. Set-up, guesses to type in and clean-up are left out; exercises are a deck of their own.
Charts are the pictures that the lesson stores. reveal.js itself is a package of the npm registry,
at one version, checked by its digest; a copy on this machine does as well. No page loads anything
from elsewhere.
"""

import base64
import hashlib
import io
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter

from .. import files
from ..engine import journal
from ..errors import UsageError
from ..lessons import shelf
from ..setup import PROGRAM

REVEAL = "reveal.js@5.2.1"
REVEAL_SHA512 = (
    "r7//6mIM5p34hFiDMvYfXgyjXqGRta+/psd9YtytsgRlrpRzFv4RbH76TXd2qD+7ZPZEbpBDhdRhJaFgfQ7zNQ=="
)
NEEDED = ("dist/reveal.js", "dist/reveal.css", "dist/reset.css", "plugin/notes/notes.js")
EXERCISES = "## On your own"
_LINKS = re.compile(r'<a href="(?:glossary|\d\d-|\.\./)[^"]*">(.*?)</a>', re.DOTALL)  # to no slide
_HEADING = re.compile(r"^(?=## )", re.MULTILINE)
_MOST_BYTES = 30_000_000  # of reveal.js, unpacked
_TEMPLATE = Path(__file__).with_name("slides.html.j2")


@dataclass(frozen=True)
class Deck:
    """What was written: the deck of a lesson and that of its exercises, and how many slides."""

    lesson: str
    path: Path
    exercises: Path
    slides: int


def write_slides(lesson: Path, folder: Path, *, reveal: Path | None = None) -> Deck:
    """Write the decks of a lesson into a folder, with a copy of reveal.js that they share.

    `reveal` is a folder with reveal.js; without it, the one of this lab is used, got with `npm`
    where it is missing. Raises UsageError.
    """
    source = reveal_folder(reveal)
    folder.mkdir(parents=True, exist_ok=True)
    _share(source, folder / "reveal.js")
    stored = shelf.committed(lesson)
    written = []
    for exercises, name in ((False, lesson.stem), (True, f"{lesson.stem}-exercises")):
        deck = _deck(nbformat.from_dict(stored), exercises=exercises)
        exporter = SlidesExporter(template_file=str(_TEMPLATE))
        exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
        title = shelf.head(lesson)[0] + (": exercises" if exercises else "")
        body, _ = exporter.from_notebook_node(deck, {"metadata": {"name": title}})
        files.write(folder / f"{name}.html", _LINKS.sub(r"\1", body))
        written.append(folder / f"{name}.html")
    count = sum(kind_of(cell) in ("slide", "subslide") for cell in _deck(stored).cells)
    return Deck(lesson.stem, *written, slides=count)


def kind_of(cell) -> str:
    """Return what a cell is in a deck: slide, subslide, fragment, `-` (goes on) or skip."""
    return cell.metadata.get("slideshow", {}).get("slide_type", "-")


def _deck(notebook, *, exercises: bool = False):
    """The cells of one deck, each with its place in it; charts as pictures."""
    kept, in_exercises = [], False
    for number, cell in enumerate(_at_headings(notebook.cells)):
        if cell.source.startswith("#"):
            in_exercises = cell.source.startswith(EXERCISES)
        if in_exercises == exercises and not _is_machinery(cell):
            cell.metadata["slideshow"] = {"slide_type": _place(cell, first=not kept)}
            if number == 0:
                cell.source = shelf.NAVIGATION.sub("", cell.source)
            for output in cell.get("outputs", ()):
                if "image/jpeg" in output.get("data", {}):
                    output["data"] = {"image/jpeg": output["data"]["image/jpeg"]}
            kept.append(cell)
    notebook.cells = kept
    return notebook


def _at_headings(cells) -> Iterator:
    """The cells, with a cell of its own for whatever a heading begins."""
    for cell in cells:
        parts = _HEADING.split(cell.source) if cell.cell_type == "markdown" else [cell.source]
        if len(parts) == 1:
            yield cell
        else:
            yield from map(nbformat.v4.new_markdown_cell, filter(None, map(str.strip, parts)))


def _place(cell, *, first: bool) -> str:
    if first or cell.source.startswith("#"):
        return "slide"
    return "subslide" if cell.cell_type == "markdown" else "fragment"


def _is_machinery(cell) -> bool:
    """Whether a cell is there for who runs the lesson: imports, a guess to type in, clearing up."""
    begins = ("from ", "import ", "guess(", "clean_up", "prepare(")
    return cell.cell_type == "code" and cell.source.startswith(begins)


# --- reveal.js -----------------------------------------------------------------------------------


def reveal_folder(given: Path | None = None) -> Path:
    """Return a folder with reveal.js: the one that is given, this lab's, or what `npm` gets."""
    if given is not None:
        if missing := [name for name in NEEDED if not (given / name).is_file()]:
            raise UsageError(
                f"{given} is not a folder of reveal.js: it has no {missing[0]}.",
                hint=f"unpack the npm package {REVEAL}, and name its folder `package`",
            )
        return given
    place = journal.cache("downloads") / REVEAL.replace("@", "-")
    if not place.is_dir():
        unpack(_packed(), place)
    return place


def _packed() -> bytes:
    """The package as the npm registry has it, by the `npm` that is here. Raises UsageError."""
    hint = f"`{PROGRAM} slides --reveal FOLDER` takes a copy that you have"
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(
            f"{REVEAL} is not here, and neither is npm, which would get it.", hint=hint
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", REVEAL, "--silent", "--pack-destination", folder]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        found = [*Path(folder).glob("*.tgz")]
        if done.returncode != 0 or not found:
            said = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            raise UsageError(f"npm could not get {REVEAL}: {said}", hint=hint)
        return files.read(found[0])


def unpack(packed: bytes, place: Path, *, sha512: str = REVEAL_SHA512) -> None:
    """Unpack what a deck needs of the package into a folder. Raises UsageError for another one."""
    if base64.b64encode(hashlib.sha512(packed).digest()).decode() != sha512:
        raise UsageError(
            f"what npm got is not {REVEAL}: its digest is another one.",
            hint="look at the registry that npm is set up for",
        )
    with files.making(place) as part, tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        left = _MOST_BYTES
        for member in tar:
            name = member.name.removeprefix("package/")
            wanted = name.startswith(("dist/", "plugin/notes/", "LICENSE"))
            if not member.isfile() or not wanted or ".." in name.split("/"):
                continue
            left -= member.size
            if left < 0:
                raise UsageError(f"{REVEAL} is larger than it can be.", hint="use --reveal FOLDER")
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(tar.extractfile(member).read())


def _share(source: Path, target: Path) -> None:
    """Put what a deck needs beside it, so that the folder can be carried away."""
    for folder in ("dist", "plugin/notes"):
        shutil.copytree(source / folder, target / folder, dirs_exist_ok=True)
