"""The lessons as files: which there are, how they are linked, and what the learner changed."""

import ast
import os
import re
import shutil
import sqlite3
import subprocess
import time
import tomllib
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from urllib.parse import quote

import nbformat

from .. import files
from ..errors import UsageError
from ..setup import ROOT
from .typed_commands import typed

FOLDER, README = ROOT / "notebooks", ROOT / "README.md"
BEGIN, END = "<!-- lessons: written by ./lab record -->", "<!-- end of lessons -->"
BUTTONS, END_BUTTONS = "<!-- buttons: written by ./lab record -->", "<!-- end of buttons -->"
NAVIGATION = re.compile(r"\n\n(?:Open in |←|\[contents\]).*$", re.S)


def lessons() -> list[Path]:
    """Return every lesson in order."""
    found = sorted(FOLDER.glob("[0-9][0-9]-*.ipynb"))
    return [path for path in found if ".mine-" not in path.name]


def find(names: list[str], *, elsewhere: bool = False) -> list[Path]:
    """Return the lessons that `names` mean (`01`, `01-go`, `go`, or its file); all without names.

    A path means that file and no other one; `elsewhere` allows notebooks that are not lessons.
    Raises UsageError.
    """
    return [path for name in names for path in _named(name, elsewhere)] or lessons()


def _named(name: str, elsewhere: bool) -> list[Path]:
    path = Path(name)
    if os.path.dirname(name) or (path.suffix == ".ipynb" and path.is_file()):
        return [_at(path, elsewhere)]
    if found := [p for p in lessons() if path.stem in (p.stem, p.stem[:2], p.stem[3:])]:
        return found
    raise _no_lesson(f"there is no lesson {name!r}.")


def _at(path: Path, elsewhere: bool) -> Path:
    if not path.is_file():
        raise _no_lesson(f"there is no notebook at {path}.")
    for lesson in lessons():
        if lesson.samefile(path):
            return lesson
    if not elsewhere:
        raise _no_lesson(f"{path} is not a lesson.")
    return path.absolute()


def _no_lesson(what: str) -> UsageError:
    return UsageError(what, hint=f"one of {', '.join(path.stem for path in lessons())}")


# --- how they hang together --------------------------------------------------------------------


def head(path: Path) -> tuple[str, str, str]:
    """Return title, promise, and time and disk: the first three paragraphs of a lesson."""
    paragraphs = nbformat.read(path, as_version=4).cells[0].source.split("\n\n")
    title, promise, costs = (*paragraphs, "", "", "")[:3]
    return title.removeprefix("# "), promise, costs


def navigation(path: Path) -> str:
    """Return the line of links to the previous lesson, the contents, and the next lesson."""
    known = lessons()
    here = known.index(path)
    parts = ["[contents](../README.md#lessons)"]
    if here > 0:
        parts.insert(0, f"← [{_short_title(known[here - 1])}]({known[here - 1].name})")
    if here + 1 < len(known):
        parts.append(f"[{_short_title(known[here + 1])}]({known[here + 1].name}) →")
    return " · ".join(parts)


def _short_title(path: Path) -> str:
    return f"{path.stem[:2]} {head(path)[0].partition(':')[0]}"


def address() -> str:
    """Return `OWNER/NAME` of the repository on GitHub, out of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].removeprefix("https://github.com/")


def buttons(path: Path) -> str:
    """Return the links that open a lesson in a service, without anything installed.

    Binder opens the lesson itself; Codespaces takes no file in its address, so it opens all.
    """
    repository, lesson = address(), path.relative_to(FOLDER.parent).as_posix()
    return (
        f"Open in [Codespaces](https://codespaces.new/{repository}?quickstart=1)"
        f" (live; then open `{lesson}`)"
        f" or [Binder](https://mybinder.org/v2/gh/{repository}/HEAD?labpath={quote(lesson, '')})"
        " (recorded)"
    )


def with_navigation(source: str, path: Path) -> str:
    """Return the first cell of a lesson with its buttons and its navigation as the last lines."""
    return f"{NAVIGATION.sub('', source)}\n\n{buttons(path)}\n\n{navigation(path)}"


def contents() -> str:
    """Return the table of lessons, as the README shows it."""
    rows = ["| lesson | what you do | time and disk |", "|---|---|---|"]
    for path in lessons():
        title, promise, costs = head(path)
        costs = costs.rpartition(" · ")[0]  # whether an engine is needed is said once
        rows.append(f"| [{path.stem[:2]} {title}](notebooks/{path.name}) | {promise} | {costs} |")
    hours, minutes = divmod(sum(map(minutes_of, lessons())), 60)
    together = f"All lessons together take about {hours} h {minutes} min."
    return "\n".join([*rows, "", together])


def minutes_of(path: Path) -> int:
    """Return how many minutes a lesson says that it takes."""
    return int(head(path)[2].partition(" min")[0])


def tie_together() -> None:
    """Write what hangs together: each lesson's links, commands and folded cells; README's table."""
    for path in lessons():
        notebook = nbformat.read(path, as_version=4)
        before = deepcopy(notebook)
        notebook.cells[0].source = with_navigation(notebook.cells[0].source, path)
        for cell in notebook.cells:
            if "typed" in cell.metadata:
                cell.source = typed(cell.metadata["typed"]).cell
            cell.metadata.pop("jupyter", None)
            if cell.cell_type == "code" and only_checks(cell.source):
                cell.metadata["jupyter"] = {"source_hidden": True}
        if notebook != before:
            files.write(path, nbformat.writes(notebook).rstrip("\n") + "\n")
    text = README.read_text(encoding="utf-8")
    text = _between(text, BUTTONS, buttons(lessons()[0]), END_BUTTONS)
    files.write(README, _between(text, BEGIN, contents(), END))


def only_checks(source: str) -> bool:
    """Return whether a cell does nothing but check claims: its code is folded, not what it shows.

    What a learner does or looks at stays open: a cell that passes `client` on, or defines a
    function.
    """
    if source.startswith("%%"):
        return False
    body = ast.parse(source).body
    calls = [node for part in body for node in ast.walk(part) if isinstance(node, ast.Call)]
    uses = {one.id for call in calls for one in call.args if isinstance(one, ast.Name)}
    shown = [_called(part) for part in body if not isinstance(part, ast.Assign)]
    return "claim" in shown and set(shown) <= {"claim", "held_against"} and "client" not in uses


def _called(part: ast.stmt) -> str:
    """The name of the function that a statement calls, with nothing around the call; else ""."""
    call = part.value if isinstance(part, ast.Expr) else None
    named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    return call.func.id if named else ""


def _between(text: str, begin: str, what: str, end: str) -> str:
    before, rest = text.split(begin)
    return f"{before}{begin}\n{what}\n{end}{rest.split(end)[1]}"


# --- the learner's copies ----------------------------------------------------------------------


def trust() -> None:
    """Let JupyterLab draw the charts that lessons store, where these are exactly as they came.

    In a notebook that it does not trust it shows their pictures, and drops colours. It keeps its
    signatures in the user's own data folder; where that cannot be written, nothing changes.
    """
    from nbformat.sign import NotebookNotary

    with suppress(OSError, sqlite3.Error):
        notary = NotebookNotary()
        for path in lessons():
            text = original(path)
            if text is not None and text == path.read_text(encoding="utf-8"):
                notary.sign(nbformat.reads(text, as_version=4))


def original(path: Path) -> str | None:
    """Return the notebook as committed; None if this is not a git checkout."""
    command = ["git", "-C", str(ROOT), "show", f"HEAD:{path.relative_to(FOLDER.parent).as_posix()}"]
    try:
        found = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    except FileNotFoundError:
        return None
    return found.stdout if found.returncode == 0 else None


def committed(path: Path) -> nbformat.NotebookNode:
    """Return a lesson as committed, whatever a learner made of it; as it is where git has none."""
    return nbformat.reads(original(path) or path.read_text(encoding="utf-8"), as_version=4)


def edited(path: Path) -> bool:
    """Return whether somebody changed the cells of a lesson; running them is not a change."""
    first = original(path)
    return first is not None and _sources(first) != _sources(path.read_text(encoding="utf-8"))


def _sources(text: str) -> list[tuple[str, str]]:
    try:
        cells = nbformat.reads(text, as_version=4).cells
    except Exception:  # whatever a damaged file makes nbformat say
        return []
    return [(cell.cell_type, cell.source) for cell in cells]


def reset(path: Path) -> Path | None:
    """Restore the original of a lesson; return the path of the learner's copy, or None."""
    first = original(path)
    if first is None:
        raise UsageError(
            "the original notebook is not here: this folder is not a git checkout.",
            hint=f"download Ship Light again, and take notebooks/{path.name} from it",
        )
    kept = None
    if path.exists() and path.read_text(encoding="utf-8") != first:
        kept = path.with_name(f"{path.stem}.mine-{time.strftime('%Y%m%d-%H%M%S')}.ipynb")
        shutil.copy2(path, kept)
    files.write(path, first)
    return kept
