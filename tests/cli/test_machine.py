"""What `./lab doctor --report` says of a machine: what finds a fault, and nothing of a person."""

import getpass
import platform
import re
from pathlib import Path

import pytest
from replay import engine_of

from shiplight.cli import arguments, machine
from shiplight.cli.doctor import Finding
from shiplight.setup import ROOT

DIGEST = f"sha256:{'1' * 64}"
BUSYBOX = {"Id": "sha256:2", "RootFS": {"Layers": []}, "RepoDigests": [f"busybox@{DIGEST}"]}


@pytest.fixture
def reported(tmp_path, monkeypatch):
    """Call it with findings: the report of an engine with one official base."""
    monkeypatch.setenv("SHIPLIGHT_BASES", "official")
    with engine_of(tmp_path, (r"/images/busybox:latest/json", BUSYBOX)) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        yield lambda *findings: machine.report([Finding("python", "ok", "3"), *findings])


def test_the_report_says_what_it_takes_to_find_a_fault(reported):
    said = reported(Finding("gcr.io", "problem", "the engine cannot resolve its host name"))
    assert said.startswith("```text\n") and said.endswith("\n```")
    for line in (
        "engine: Docker 20.10.24, API 1.41, linux/amd64",
        "store: graph driver overlay2; reached by unix",
        f"base: busybox:latest official {DIGEST}",
        "problem: gcr.io: the engine cannot resolve its host name",
        "well: python",
    ):
        assert line in said.splitlines()
    assert "SHIPLIGHT_BASES=official" in said


def test_the_report_tells_no_names_addresses_paths_and_secrets(reported, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_MIRROR", "docker.io=hub.corp.example:5000/team/secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://zoe:password@proxy.corp.example:3128")
    monkeypatch.setattr(platform, "node", lambda: "zoes-laptop")
    monkeypatch.setattr(getpass, "getuser", lambda: "zoe")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/zoe"))
    seen = (
        "cannot read /home/zoe/keys/x.pem or ~/keys/id of zoe on zoes-laptop: lookup "
        "hub.corp.example on 10.1.2.3:53, [fe80::1:2:3]:80, "
        "https://zoe:password@hub.corp.example/v2/, "
        r"C:\Users\zoe\x and zoe@corp.example, " + f"{ROOT}/lab"
    )
    said = reported(Finding("build and run", "problem", seen))
    assert "SHIPLIGHT_MIRROR for docker.io" in said and "HTTPS_PROXY is set" in said
    assert "cannot read (a path)" in said
    for secret in ("zoe", "corp", "password", "10.1.2.3", "fe80:", "secret", "Users", str(ROOT)):
        assert secret not in said, said


def test_the_issue_template_asks_for_the_report():
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8")
    [command] = re.findall(r"`\./lab ([\w -]+)`", text)
    assert arguments.parser().parse_args(command.split()).report
