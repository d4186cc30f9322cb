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


def calls(cell) -> set[str]:
    """The functions that a cell calls, and each once more with every option that it is given.

    `%%dockerfile` calls `build`.
    """
    if cell.cell_type != "code":
        return set()
    if cell.source.startswith("%%dockerfile "):
        return {"build"} | ({"build(target"} if "--target" in cell.source.split("\n")[0] else set())
    found = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    named = [(getattr(call.func, "id", ""), call.keywords) for call in found]
    return {f"{name}({word.arg}" for name, words in named for word in words} | {
        name for name, _ in named
    }


@every
def test_a_command_stands_beside_the_first_use_of_its_function(command):
    wanted = command.function.partition("=")[0]
    lessons = [(path, nbformat.read(path, 4).cells) for path in shelf.lessons()]
    using = [path.stem[:2] for path, cells in lessons if any(wanted in calls(c) for c in cells)]
    assert command.lesson in (using if "(" in wanted else using[:1])
    [cells] = [cells for path, cells in lessons if path.stem[:2] == command.lesson]
    first = next(number for number, cell in enumerate(cells) if wanted in calls(cell))
    beside = [number for number, cell in enumerate(cells) if cell.source == command.cell]
    assert len(beside) == 1 and abs(beside[0] - first) == 1


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
        if "--secret" in words:
            secret = words[words.index("--secret") + 1].partition("src=")[2]
            assert (ROOT / secret).exists() or f"your own `{secret}`" in command.does


def test_images_are_built_before_they_are_used():
    built = {"busybox", "alpine:3.22", "registry:2"}
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


def test_the_words_of_a_command_are_written_into_its_lesson(tmp_path, monkeypatch):
    path = tmp_path / "00-first.ipynb"
    cell = nbformat.v4.new_markdown_cell("old", metadata={"typed": "build"})
    nbformat.write(
        nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_markdown_cell("# A\n\nB\n\n10 min · 1 GB"), cell]
        ),
        path,
    )
    marks = (shelf.BUTTONS, shelf.END_BUTTONS, shelf.BEGIN, shelf.END)
    (tmp_path / "README.md").write_text("\n".join(marks))
    monkeypatch.setattr(shelf, "FOLDER", tmp_path)
    monkeypatch.setattr(shelf, "README", tmp_path / "README.md")
    shelf.tie_together()
    assert nbformat.read(path, 4).cells[1].source == lessons.typed("build").cell
