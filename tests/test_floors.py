"""The layout: which package may use which, which library belongs where, and what is public."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import shiplight

PACKAGE = Path(shiplight.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
    for path in PACKAGE.rglob("*.py")
}

# Top down. What stands on a floor imports from the floors below it, and from nothing else.
FLOORS = [
    ("cli",),
    ("classroom", "kit"),
    ("lessons",),
    ("scoring",),
    ("checks",),
    ("charts",),
    ("inspection",),
    ("scans",),
    ("builds",),
    ("recordings",),
    ("progress",),
    ("engine",),
    ("image", "dockerfile", "catalogue"),
    ("buildkit",),
    ("boxes", "errors", "units", "setting", "setup", "files", "lazily", "references", "refused"),
]
FLOOR = {name: number for number, names in enumerate(reversed(FLOORS)) for name in names}
GROUND = FLOORS[-1]


def package_of(module: str) -> str:
    """The part of the layout that a module belongs to: its package, or its own name."""
    return module.partition(".")[0]


def imported(module: str) -> set[str]:
    """Everything that a module imports: `.x.y` for what is ours, the top-level name otherwise."""
    found = set()
    package = module.split(".")[:-1]
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            inside = [*above, *(node.module or "").split(".")]
            inside = [part for part in inside if part]
            for name in node.names:
                whole = ".".join([*inside, name.name])
                is_module = whole in MODULES or f"{whole}.__init__" in MODULES
                found.add(f".{whole if is_module else '.'.join(inside)}")
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found


def ours(module: str) -> set[str]:
    """The modules and packages of ours that a module imports; not the version of the whole."""
    return {name[1:] for name in imported(module) if name.startswith(".") and name != "."}


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"__init__", "__main__"}))
def test_a_module_uses_only_what_is_below_it(module):
    here = package_of(module)
    for other in ours(module):
        there = package_of(other)
        allowed = there == here or FLOOR[there] < FLOOR[here] or {here, there} <= set(GROUND)
        assert allowed, f"{module} ({here}) imports {other} ({there})"


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("buildkit.")])
def test_buildkit_uses_nothing_else_of_the_project(module):
    assert {package_of(other) for other in ours(module)} <= {"buildkit"}


def test_no_modules_import_each_other_in_a_circle():
    uses = {module: ours(module) & set(MODULES) for module in MODULES}

    def reach(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' → '.join([*path, module])}"
        for other in uses.get(module, ()):
            reach(other, (*path, module))

    for module in uses:
        reach(module, ())


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"__init__", "__main__"}))
def test_a_package_is_imported_by_its_front_and_keeps_underscored_names_to_itself(module):
    for node in ast.walk(MODULES[module]):
        if not isinstance(node, ast.ImportFrom) or not node.level or not node.module:
            continue
        inside = [*module.split(".")[: -node.level], *node.module.split(".")]
        names = [name.name for name in node.names]
        assert not [name for name in names if name[0] == "_" and name != "__name__"], names
        if package_of(module) != inside[0]:
            assert len(inside) == 1, f"{module} imports from {'.'.join(inside)}"


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("docker", {"engine"}),
        ("requests", {"engine", "image"}),
        ("dxf", {"image"}),
        ("plotly", {"charts"}),
        ("pandas", {"charts"}),
    ],
)
def test_a_library_stays_in_its_home(library, homes):
    assert {package_of(name) for name in MODULES if library in imported(name)} == homes


@pytest.mark.parametrize("module", ["setup", "cli.arguments", "cli.commands", "__init__"])
def test_what_runs_before_set_up_loads_the_standard_library_only(module):
    code = f"import shiplight.{module}, sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a new process a package, by fork")
def test_every_public_name_is_what_it_was_whatever_was_imported_before():
    """Each package is imported first in a process of its own; then all public names are used."""
    packages = {module.removesuffix(".__init__") for module in MODULES if "__init__" in module[1:]}
    packages -= {"__init__"}
    done = subprocess.run(
        [sys.executable, "-c", USE_ALL, *sorted(packages)],
        cwd=PACKAGE.parent, capture_output=True, text=True,
        env=os.environ | {"SHIPLIGHT_MODE": "recorded"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == sorted(packages)


USE_ALL = """
import importlib, os, sys
import docker, pandas, plotly.graph_objects, IPython.display  # once: the children inherit them

def use():
    import shiplight
    client = shiplight.connect("01-go")
    build = shiplight.build(client, "go/multi")
    image = shiplight.measure(client, build)
    assert "scratch" in shiplight.recipe("go/multi") and shiplight.probe(client, build).answered
    assert len(shiplight.frames.images(image)) == 1 and shiplight.charts.before_after(image).data
    scanned = shiplight.connect("07-scan")
    report = shiplight.scan(scanned, shiplight.build(scanned, "go/multi"))
    assert len(shiplight.scan_frames.by_severity(report)) == 1
    assert shiplight.scan_charts.vulnerabilities(report).data
    assert all(hasattr(shiplight, name) for name in shiplight.__all__) and callable(shiplight.ask)

for package in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        importlib.import_module("shiplight." + package)
        use()
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"after {package}")
    print(package, flush=True)
"""


def test_public_names_are_few_sorted_and_documented():
    assert shiplight.__all__ == sorted(shiplight.__all__) and len(shiplight.__all__) <= 12
    for name in shiplight.__all__:
        assert getattr(shiplight, name).__doc__, name


def test_every_module_says_what_it_is_for():
    for name, tree in MODULES.items():
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
    for folder, inside, names in os.walk(PACKAGE.parent):
        inside[:] = [name for name in inside if name not in (".venv", ".lab", "out", ".git")]
        for path in (Path(folder, name) for name in names):
            if path.suffix in (".py", ".toml", ".txt", ".ipynb", ".md", ".json"):
                text = path.read_text(encoding="utf-8")
                assert not [host for host in hosts if host in text], path
