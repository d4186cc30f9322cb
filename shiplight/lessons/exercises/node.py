"""The checks of lesson 02, Node.js."""

import json
import re

from ... import catalogue
from ...builds import Build
from ...image import Image
from ...inspection import measure
from ...units import format_bytes, one_line
from .grading import answering, exercise, not_root, own_files, refuse, stands_on

_PACKAGE = re.compile(r"(?:.*/)?node_modules/((?:@[^/]+/)?[^/@]+)/package\.json")
_FOLDER = re.compile(r"(?:.*/)?((?:@[^/]+/)?[^/@]+)/package\.json")


@exercise("02.1")
def _node_not_root(client, made: Build) -> str:
    image = measure(client, made)
    _only_what_runs("02.1", _packages(client, made, image), _folders(client, made, image))
    return f"it runs as user {not_root(client, '02.1', made, image)}"


@exercise("02.2")
def _bundle_on_alpine(client, made: Build) -> str:
    image = measure(client, made)
    if not stands_on(client, made, image, "node:22-alpine"):
        refuse("02.2", "this is not node:22-alpine.", hint="keep the last FROM of the three stages")
    if packages := _packages(client, made, image):
        refuse(
            "02.2",
            "packages ship beside the bundle.",
            hint="the bundle contains the parts that it uses: does anything need the rest?",
            found=f"{len(packages)} packages, {min(packages)} among them",
        )
    answering(client, "02.2", made)
    own = own_files(client, made, image)
    if len(own) != 1:
        refuse(
            "02.2",
            "the bundle is not the only file of your own.",
            hint="which instruction of your last stage adds more than the bundle?",
            found=_some_of(own) if own else "no file of your own",
        )
    [(path, size)] = own.items()
    return f"/{path}, {format_bytes(size)}, and the service responds"


def _some_of(own: dict[str, int]) -> str:
    """How many files there are, and which are the smallest: the bundle is the largest of all."""
    least = sorted(own, key=own.get)[:2]
    return f"{len(own)} files, among them {', '.join(f'/{one_line(one, 60)}' for one in least)}"


def _packages(client, made: Build, image: Image) -> set[str]:
    """Name every package in a `node_modules` of the learner's own, wherever that is."""
    found = map(_PACKAGE.fullmatch, own_files(client, made, image))
    return {match[1] for match in found if match}


def _folders(client, made: Build, image: Image) -> set[str]:
    """Name every package, wherever its folder is, also where a later layer hides it.

    What packages themselves contain, such as tests for other tools, is not installed.
    """
    paths = [*own_files(client, made, image), *(one.path for one in image.buried)]
    found = (_PACKAGE.fullmatch(p) if "node_modules/" in p else _FOLDER.fullmatch(p) for p in paths)
    return {match[1] for match in found if match}


def _only_what_runs(exercise_id: str, installed: set[str], anywhere: set[str]) -> None:
    """Raise CheckFailed where an image has a dev dependency of the app, or lacks what runs it."""
    package = json.loads((catalogue.APPS / "node" / "package.json").read_text(encoding="utf-8"))
    if found := sorted(anywhere & set(package["devDependencies"])):
        refuse(
            exercise_id,
            "dev dependencies ship.",
            hint="from which stage do the packages of your last stage come?",
            found=", ".join(found),
        )
    if missing := sorted(set(package["dependencies"]) - installed):
        refuse(
            exercise_id,
            "the runtime packages are not in node_modules.",
            hint="the task keeps the three stages: which one installs them?",
            found=f"no {', '.join(missing)}",
        )
