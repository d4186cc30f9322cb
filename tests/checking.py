"""Checking Dockerfiles that a test writes: in a folder of their own, on a fixed day."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import factories

from shiplight.checks import checklist
from shiplight.checks.reading.inside import NOTHING_READ
from shiplight.checks.reading.subject import Built
from shiplight.image import read_image

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


BASE = [factories.file("bin/sh", 500_000), factories.file("usr/share/doc/base/readme", 300_000)]


def built_subject(folder, text, layers, *, files=None, inside=NOTHING_READ, base=BASE):
    """A subject whose image has a base layer, and one layer for each instruction that makes one."""
    made = ("RUN", "COPY", "ADD", "WORKDIR")
    path = write(folder, text, files)
    read = checklist.read_subject(path, today=TODAY)
    keywords = [step.keyword for step in read.final_steps]
    assert sum(word in made for word in keywords) == len(layers)
    history = [{"created_by": "COPY / / # buildkit"}]
    history += [{"created_by": f"{k} x", "empty_layer": k not in made} for k in keywords]
    image = read_image([factories.legacy(factories.Image([base, *layers], history=history))])
    return replace(read, built=Built(image, inside=inside))
