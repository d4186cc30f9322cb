"""Binder and Codespaces: what they read is in the form that they ask for."""

import json
import os
import re
import subprocess
import sys

from replay import FIXTURES

from shiplight.cli import arguments
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
    """Held against devContainer.base.schema.json of the specification, by what it says of these."""
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
