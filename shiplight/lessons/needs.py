"""What a lesson needs before it begins: the variants that it builds, and the bases of everything.

Read from the lesson itself, from the Dockerfiles that it names or writes, and from the starts and
solutions of its exercises: whatever a learner may build there has its base in the list.
"""

import ast
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .. import catalogue, dockerfile
from ..builds import recipe, recipes
from ..dockerfile import stages
from ..errors import ShipLightError
from ..inspection import BASES, HELPER, PROGRAMS
from ..references import canonical
from . import exercises, shelf


@dataclass(frozen=True)
class Needs:
    """Variants of the catalogue as `app/variant`, and official names of bases, each once.

    `scans`: whether the scanner and its database are needed.
    """

    variants: tuple[str, ...]
    bases: tuple[str, ...]
    scans: bool


def needed_by(*lessons: Path) -> Needs:
    """Return what these lessons need together, in the order in which they need it."""
    variants: dict[str, None] = {}
    bases: dict[str, None] = {}
    scans = False
    for lesson in lessons:
        cells = [c.source for c in shelf.committed(lesson).cells if c.cell_type == "code"]
        known = {row.name: row for row in catalogue.rows()}
        named = [text for source in cells for text in _texts(source)]
        variants |= dict.fromkeys(text for text in named if text in known)
        scans = scans or any({"scan", "prepare"} & _names(source) for source in cells)
        for text in [*named, *_of_exercises(lesson.stem[:2])]:
            bases |= dict.fromkeys(_bases(text, known))
    return Needs(tuple(variants), tuple(bases), scans)


def _names(source: str) -> set[str]:
    """The names that a cell uses; none if it has a magic."""
    whole = ast.parse("" if source.startswith("%%") else source)
    return {node.id for node in ast.walk(whole) if isinstance(node, ast.Name)}


def _texts(source: str) -> Iterator[str]:
    """What is between quotes in a cell; of one with a magic, all that is below its first line."""
    if source.startswith("%%"):
        yield source.partition("\n")[2]
        return
    names = _names(source)
    yield from BASES if "BASES" in names else ()
    yield from [HELPER] if "beside" in names else ()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if "survey" in names:  # of an app: all its variants
                yield from (row.name for row in catalogue.rows() if row.app == node.value)
            yield f"../apps/bases/Dockerfile.{node.value}" if node.value in PROGRAMS else node.value


def _of_exercises(lesson: str) -> Iterator[str]:
    for found in exercises.every():
        if found.id.startswith(lesson):
            yield found.start_text
            yield from (path.read_text(encoding="utf-8") for path in found.solutions())


def _bases(text: str, known: dict[str, catalogue.Row]) -> Iterator[str]:
    """The bases of the course that a text names: it is one, a Dockerfile, or the name of one."""
    if "\n" not in text and _canonical(text) in recipes():
        yield canonical(text)
        return
    place = text.removeprefix("../apps/")
    with suppress(ShipLightError):  # a folder without a Dockerfile, a text that only mentions one
        if text in known or (place != text and (catalogue.APPS / place).exists()):
            text = str(recipe(text if text in known else str(catalogue.APPS / place)))
        if "FROM " in text:
            read = dockerfile.parse(text)
            for number in range(len(read.stages)):
                used = [canonical(use.reference) for use in stages.image_uses(read, number)]
                yield from (name for name in used if name in recipes())


def _canonical(text: str) -> str | None:
    """The official name that a text is, or None where it is nothing of that kind."""
    with suppress(ShipLightError):
        return canonical(text)
    return None
