"""Binder and Codespaces: what they read is in the form that they ask for."""

import json
import os
import re
import subprocess
import sys

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
        "name", "image", "features", "hostRequirements", "postCreateCommand", "forwardPorts",
        "portsAttributes", "customizations",
    }  # fmt: skip
    assert re.fullmatch(r"[\w./-]+:[\w.-]+", found["image"]) and not found["image"].endswith(
        "latest"
    )
    assert any("docker-in-docker:" in feature for feature in found["features"])
    needs = found["hostRequirements"]
    assert needs["cpus"] >= 1
    assert all(re.fullmatch(r"\d+([tgmk]b)?", needs[name]) for name in ("memory", "storage"))
    assert all(isinstance(port, int) and 0 <= port <= 65535 for port in found["forwardPorts"])
    for attributes in found["portsAttributes"].values():
        assert set(attributes) <= {"label", "onAutoForward", "protocol", "requireLocalPort"}
        assert attributes["onAutoForward"] in {"notify", "openBrowser", "openPreview", "silent"}
