"""What a lesson stores: the outputs of its recorded run, as text."""

from pathlib import Path

import nbformat

from ..lessons import shelf


def cells(lesson: Path) -> list:
    """Return the cells of a lesson as it was committed, whatever a learner made of it."""
    text = shelf.original(lesson) or lesson.read_text(encoding="utf-8")
    return nbformat.reads(text, as_version=4).cells


def shown(lesson: Path, *, after_guess: str = "") -> str:
    """Return the text that a lesson shows, all of it or what comes after one of its guesses."""
    every = cells(lesson)
    asks = f'guess("{after_guess}"'
    first = [number for number, cell in enumerate(every) if cell.source.startswith(asks)]
    parts = []
    for cell in every[first[0] :] if first else [] if after_guess else every:
        for output in cell.get("outputs", ()):
            parts.append(output.get("data", {}).get("text/plain") or output.get("text", ""))
    return "\n".join(map("".join, parts))
