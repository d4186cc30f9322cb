"""Checking Dockerfiles that a test writes: in a folder of their own, on a fixed day."""

from datetime import date
from pathlib import Path

from shiplight.checks import checklist

TODAY = date(2026, 11, 25)  # within half a year of the day of data/ends.json


def write(folder: Path, text: str, files: dict[str, str] | None = None, name="Dockerfile") -> Path:
    """Write the Dockerfile and its context; the Dockerfile's path."""
    for path, content in (files or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def check(folder: Path, text: str, files: dict[str, str] | None = None, **more):
    """The checklist of a Dockerfile with these files beside it."""
    path = write(folder, text, files)
    return checklist.run(checklist.read_subject(path, today=TODAY, **more))


def result(found, name: str):
    """The result of one check."""
    return next(each for each in found.results if each.check.id == name)


def failed(found) -> set[str]:
    return {each.check.id for each in found.results if each.counts}
