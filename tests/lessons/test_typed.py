"""What to type for what a function does: its files are there, its lesson is the first."""

import ast
import shlex

import nbformat
import pytest

import shiplight
from shiplight import dockerfile, lessons
from shiplight.errors import UsageError
from shiplight.lessons import shelf
from shiplight.lessons.typed_commands import commands
from shiplight.setup import ROOT

EVERY = list(commands().values())
every = pytest.mark.parametrize("command", EVERY, ids=lambda command: command.function)


def first_uses() -> dict[str, str]:
    """The lesson in whose code each function is called first."""
    found = {}
    for path in shelf.lessons():
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and not cell.source.startswith("%%"):
                calls = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Call)]
                for call in calls:
                    found.setdefault(getattr(call.func, "id", ""), path.stem[:2])
    return found


@every
def test_a_command_stands_beside_the_first_use_of_its_function(command):
    name, _, options = command.function.partition("(")
    first = first_uses()[name]
    assert command.lesson == first or (options and command.lesson >= first)


@every
def test_what_a_command_names_is_there(command):
    for line in command.typed:
        words = shlex.split(line)
        if "build" not in words:
            continue
        folder = ROOT / words[-1]
        file = words[words.index("-f") + 1] if "-f" in words else f"{words[-1]}/Dockerfile"
        read = dockerfile.parse((ROOT / file).read_text(encoding="utf-8"))
        assert folder.is_dir()
        if "--target" in words:
            assert words[words.index("--target") + 1] in [stage.name for stage in read.stages]


def test_images_are_built_before_they_are_used():
    built = {"busybox", "alpine:3.22"}
    for command in EVERY:
        for line in command.typed:
            words = shlex.split(line)
            built |= {words[words.index("-t") + 1]} if "-t" in words[:-1] else set()
            if words[:2] in (["docker", "rmi"], ["docker", "history"], ["docker", "save"]):
                assert built & set(words), line
            if words[:2] == ["docker", "run"]:
                assert built & set(words), line


def test_a_function_without_a_command_is_named(capsys):
    assert "docker build -t first apps/first" in repr(lessons.typed("build"))
    assert "docker build" in lessons.typed("build")._repr_html_()
    with pytest.raises(UsageError, match="no command is known for 'claim'"):
        lessons.typed("claim")
    assert shiplight.build
