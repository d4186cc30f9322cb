"""The package without a checkout: what it needs, what it has with it, and where it keeps things."""

import ast
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from shiplight.cli import commands
from shiplight.setup import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HEAVY = ("IPython", "jupyterlab", "nbformat", "nbclient", "pandas", "plotly", "pytest")
BLOCK = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ImportError(name + " is not installed")
sys.meta_path.insert(0, Block())
"""


@pytest.fixture
def package(tmp_path):
    """The package alone in a folder, as pip puts it down, in front of the checkout's."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "shiplight", tmp_path / "site" / "shiplight", ignore=ignore)
    (tmp_path / "site" / "block.py").write_text(BLOCK)
    return tmp_path / "site"


def shiplight(package, *arguments: str) -> subprocess.CompletedProcess:
    code = "import block, sys; from shiplight.cli import main; sys.exit(main())"
    environment = os.environ | {
        "PYTHONPATH": str(package), "XDG_STATE_HOME": str(package.parent / "state"),
        "PYTHONDONTWRITEBYTECODE": "1", "DOCKER_HOST": "unix:///nowhere.sock",
    }  # fmt: skip
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(
        command, cwd=package.parent, env=environment, capture_output=True, text=True
    )


def test_it_checks_a_dockerfile_without_what_lessons_need(package):
    (package.parent / "Dockerfile").write_text("FROM golang:1.25-bookworm\nUSER root\n")
    done = shiplight(package, "check", ".")
    assert done.returncode == 1 and "golang 1.25" in done.stdout, done.stderr
    assert json.loads(shiplight(package, "check", ".", "--json").stdout)


@pytest.mark.parametrize("command", ["measure", "scan", "build", "clean"])
def test_what_needs_an_engine_says_so_and_nothing_else(package, command):
    names = {"clean": (), "build": (".",)}.get(command, ("alpine:3.22",))
    (package.parent / "Dockerfile").write_text("FROM scratch\nCOPY x /\n")
    (package.parent / "x").write_text("")
    done = shiplight(package, command, *names, "--no-engine")
    assert done.returncode == (2 if command == "scan" else 1), done.stderr
    assert "cannot connect to a Docker engine" in done.stderr


@pytest.mark.parametrize("command", ["up", "test", "run", "progress", "record", "reset 01"])
def test_a_command_of_lessons_says_what_to_install(package, command):
    done = shiplight(package, *command.split())
    assert done.returncode == 1 and done.stderr.startswith("shiplight: "), done.stderr
    assert "install shiplight[lab]" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["up", "test", "run", "progress", "record"])
def test_a_command_of_lessons_says_where_they_are(command, monkeypatch, capsys):
    monkeypatch.setattr(commands, "IS_CHECKOUT", False)
    assert commands.main([command]) == 1
    assert "clone it" in capsys.readouterr().err


def test_help_and_advice_name_the_program_that_was_installed(package):
    (package.parent / "Dockerfile").write_text("FROM golang:1.25\nCOPY x /\n")
    calls = [("--help",), ("measure", "--help"), ("check", ".", "--json"), ("clean",)]
    for call in calls:
        done = shiplight(package, *call)
        said = done.stdout + done.stderr
        assert re.search("shiplight[ :]", said) and "./lab" not in said, said


def test_no_text_for_people_names_the_program_by_itself():
    def texts(path):
        tree = ast.parse(path.read_text())
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        notes = {
            ast.get_docstring(n, clean=False) for n in ast.walk(tree) if isinstance(n, documented)
        }
        yield from (
            n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and n.value not in notes
        )

    folder = ROOT / "shiplight"
    paths = [p for p in folder.rglob("*.py") if "lessons" not in p.relative_to(folder).parts]
    found = {(p.name, t) for p in paths for t in texts(p) if isinstance(t, str) and "./lab" in t}
    assert found == {("setup.py", "./lab"), ("commands.py", "clone it, and run `./lab up` there")}


def test_state_is_the_users_and_never_in_the_package(package):
    first = shiplight(package, "doctor", "--json")
    assert json.loads(first.stdout), first.stderr
    code = "import block; from shiplight.engine import journal; print(journal.lab_id())"
    environment = os.environ | {
        "PYTHONPATH": str(package), "XDG_STATE_HOME": str(package.parent / "state"), "LAB_ID": "",
    }  # fmt: skip
    call = [sys.executable, "-P", "-c", code]
    ids = {
        subprocess.run(call, env=environment, capture_output=True, text=True).stdout for _ in "ab"
    }
    assert len(ids) == 1 and ids != {""}, "the lab's id is kept"
    assert (package.parent / "state" / "shiplight" / ".lab").is_dir()
    relative = environment | {"XDG_STATE_HOME": "state", "HOME": str(package.parent / "home")}
    code = "import block; from shiplight.setup import ROOT; print(ROOT)"
    seen = subprocess.run([*call[:3], code], env=relative, capture_output=True, text=True).stdout
    assert Path(seen.strip()).is_relative_to(package.parent / "home"), "relative: to be ignored"
    assert not (package / ".lab").exists() and not (package / "shiplight" / ".lab").exists()


def test_a_wheel_has_every_file_that_the_package_reads():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["shiplight"]
    paths = [path for path in (ROOT / "shiplight").rglob("*") if path.is_file()]
    data = [path.name for path in paths if path.suffix not in (".py", ".pyc")]
    assert data and not [
        name
        for name in data
        if not any(fnmatch.fnmatch(name, p.rpartition("/")[2]) for p in patterns)
    ]


def test_it_asks_for_what_a_checkout_installs():
    wanted = (ROOT / "requirements.in").read_text()
    for requirement in PROJECT["project"]["dependencies"]:
        assert requirement in wanted
    assert PROJECT["project"]["scripts"] == {"shiplight": "shiplight.cli:main"}
