"""Binder and Codespaces: what they read is in the form that they ask for."""

import json
import os
import re
import shutil
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
from replay import FIXTURES

from shiplight.cli import arguments
from shiplight.lessons import shelf
from shiplight.setup import ROOT

BINDER, DEVCONTAINER = ROOT / "binder", ROOT / ".devcontainer" / "devcontainer.json"


def test_binder_installs_what_a_learner_needs_and_stops_at_the_first_failure():
    assert "-r ../requirements.txt" in (BINDER / "requirements.txt").read_text().splitlines()
    assert re.fullmatch(r"python-3\.1[1-9]\n", (BINDER / "runtime.txt").read_text())
    lines = (BINDER / "postBuild").read_text().splitlines()
    assert lines[0].startswith("#!") and "set -e" in lines
    assert os.access(BINDER / "postBuild", os.X_OK)


def test_binders_last_step_opens_every_lesson_without_an_engine(tmp_path):
    """It runs here with an engine out of reach, as it does there."""
    checks = re.search(r'python -c "\n(.*?)"', (BINDER / "postBuild").read_text(), re.S)[1]
    environment = os.environ | {"DOCKER_HOST": f"unix://{tmp_path}/none", "SHIPLIGHT_MODE": "auto"}
    done = subprocess.run(
        [sys.executable, "-c", checks], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_dev_container_has_a_pinned_base_and_docker_inside():
    """As devContainer.base.schema.json of the specification describes these."""
    found = json.loads(DEVCONTAINER.read_text(encoding="utf-8"))
    assert set(found) <= {
        "name", "image", "features", "hostRequirements", "onCreateCommand", "updateContentCommand",
        "postCreateCommand", "forwardPorts", "portsAttributes", "customizations",
    }  # fmt: skip
    assert re.fullmatch(r"[\w./-]+:[\w.-]+", found["image"]) and not found["image"].endswith(
        "latest"
    )
    needs = found["hostRequirements"]
    assert needs["cpus"] >= 1
    assert all(re.fullmatch(r"\d+([tgmk]b)?", needs[name]) for name in ("memory", "storage"))
    assert all(isinstance(port, int) and 0 <= port <= 65535 for port in found["forwardPorts"])
    for attributes in found["portsAttributes"].values():
        assert set(attributes) <= {"label", "onAutoForward", "protocol", "requireLocalPort"}
        assert attributes["onAutoForward"] in {"notify", "openBrowser", "openPreview", "silent"}


def test_docker_inside_is_asked_for_as_its_feature_can_be():
    """By the options that the feature published, in the version whose containerd has a volume.

    Earlier ones keep it on the container's own overlay, on which Codespaces cannot mount images.
    """
    schema = json.loads((FIXTURES / "docker-in-docker-4.0.0.json").read_text(encoding="utf-8"))
    features = json.loads(DEVCONTAINER.read_text(encoding="utf-8"))["features"]
    [(name, options)] = features.items()
    major = schema["version"].partition(".")[0]
    assert name == f"ghcr.io/devcontainers/features/docker-in-docker:{major}"
    for option, value in options.items():
        known = schema["options"][option]
        assert isinstance(value, {"string": str, "boolean": bool}[known["type"]])
        assert value in known.get("enum", [value])


def test_a_prebuild_installs_and_gets_the_bases():
    """It runs these two commands and never postCreateCommand."""
    found = json.loads(DEVCONTAINER.read_text(encoding="utf-8"))
    commands = [found["onCreateCommand"], found["updateContentCommand"]]
    assert commands == ["./lab engine status", "./lab bases get || true"]
    for command in commands:
        words = command.partition(" ||")[0].split()[1:]
        assert arguments.parser().parse_args(words).command == words[0]


def links(text: str) -> dict[str, str]:
    return dict(re.findall(r"\[(Codespaces|Binder)\]\(([^)]+)\)", text))


@pytest.mark.parametrize("path", shelf.lessons(), ids=lambda path: path.stem)
def test_the_buttons_of_a_lesson_lead_into_that_lesson(path):
    line = shelf.buttons(path)
    lesson = f"notebooks/{path.name}"
    there = urlsplit(links(line)["Binder"])
    assert there.path == f"/v2/gh/{shelf.address()}/HEAD"
    assert parse_qs(there.query) == {"labpath": [lesson]} and f"`{lesson}`" in line
    assert links(line)["Codespaces"] == f"https://codespaces.new/{shelf.address()}?quickstart=1"


def test_the_readme_has_the_buttons_of_the_first_lesson():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    line = shelf.buttons(shelf.lessons()[0])
    assert f"{shelf.BUTTONS}\n{line}\n{shelf.END_BUTTONS}" in readme, "./lab record writes it"


def test_one_command_fills_in_the_address_everywhere(tmp_path):
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not for this copy: it is not a git checkout")
    for name in listed.stdout.splitlines():
        if name.startswith((".", "notebooks/")) or "/" not in name or name.endswith("shelf.py"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).exists():
                shutil.copy(ROOT / name, tmp_path / name)
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)

    def holding(text: str) -> set[str]:
        found = [
            path for path in tmp_path.rglob("*") if path.is_file() and ".git" not in path.parts
        ]
        return {
            p.relative_to(tmp_path).as_posix() for p in found if text.encode() in p.read_bytes()
        }

    before = holding(f"/{shelf.address()}")
    assert {"README.md", "pyproject.toml", "notebooks/09-scoreboard.ipynb"} <= before
    run = [sys.executable, str(tmp_path / ".ci" / "address")]
    assert subprocess.run([*run, "no address"], capture_output=True).returncode == 2
    subprocess.run([*run, "ann/light-ship.x"], check=True, capture_output=True)
    assert holding("/ann/light-ship.x") == before and not holding(f"/{shelf.address()}")
