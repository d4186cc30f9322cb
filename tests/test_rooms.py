"""The house: which room may use which, and who may import what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import shiplight

PACKAGE = Path(shiplight.__file__).parent
ROOMS = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
    for path in PACKAGE.rglob("*.py")
}

PURE = [
    *(
        "errors",
        "units",
        "setting",
        "words",
        "dockerfile",
        "stages",
        "context",
        "transcript",
    ),
    *("image", "changes", "archive", "layouts", "tarstream", "findings", "compare"),
]


def imports(room: str) -> set[str]:
    """Top-level names of everything that a room imports, `.x` for its neighbours."""
    found = set()
    for node in ast.walk(ROOMS[room]):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            inside = room.split(".")[: -node.level] + (node.module or "").split(".")
            inside = [part for part in inside if part]
            names = [".".join([*inside, name.name]) for name in node.names]
            found |= {f".{name}" for name in names if name in ROOMS} or {f".{'.'.join(inside)}"}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("docker", {"endpoints", "engine"}),
        ("requests", {"engine"}),
        ("plotly", {"charts"}),
        ("pandas", {"frames"}),
    ],
)
def test_a_library_stays_in_its_room(library, rooms):
    assert {name for name in ROOMS if library in imports(name)} == rooms


def test_arrows_run_one_way():
    """No room uses, by whatever way, a room that uses it."""
    uses = {room: {x[1:] for x in imports(room) if x.startswith(".")} for room in ROOMS}
    uses = {room: used for room, used in uses.items() if "__init__" not in room}

    def reach(room: str, path: tuple[str, ...]) -> None:
        assert room not in path, f"a circle: {' → '.join([*path, room])}"
        for other in uses.get(room, ()):
            reach(other, (*path, room))

    for room in uses:
        reach(room, ())


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_use_only_pure_rooms(room):
    neighbours = {name[1:] for name in imports(room) if name.startswith(".")}
    assert {name for name in neighbours if name.partition(".")[0] != "buildkit"} <= set(PURE)


@pytest.mark.parametrize("room", [room for room in ROOMS if room.startswith("buildkit.")])
def test_buildkit_uses_nothing_else_of_the_project(room):
    neighbours = {name[1:] for name in imports(room) if name.startswith(".")}
    assert all(name.partition(".")[0] == "buildkit" for name in neighbours)


@pytest.mark.parametrize("room", ["setup", "arguments", "cli", "__init__"])
def test_rooms_that_run_before_set_up_load_the_standard_library_only(room):
    code = f"import shiplight.{room}, sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_front_door_is_small_sorted_and_whole():
    assert shiplight.__all__ == sorted(shiplight.__all__) and len(shiplight.__all__) <= 12
    for name in shiplight.__all__:
        assert getattr(shiplight, name).__doc__, name


def test_every_room_says_what_it_is_for():
    for name, tree in ROOMS.items():
        if name != "__main__":
            assert ast.get_docstring(tree), name


def test_no_registry_is_named():
    """Package registries' hosts are a matter of the machine, not of this project."""
    hosts = [
        "pypi" + ".org",
        "npmjs" + ".org",
        "deb." + "debian.org",
        "golang" + ".org/v",
        "crates" + ".io",
    ]
    for path in PACKAGE.parent.rglob("*"):
        if path.suffix in (".py", ".toml", ".txt", ".ipynb", ".md", ".json") and not any(
            part in (".venv", ".lab", "out", ".git") for part in path.parts
        ):
            text = path.read_text(encoding="utf-8")
            assert not [host for host in hosts if host in text], path
