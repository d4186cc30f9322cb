"""The workflows on GitHub, which cannot run here: their rights, their pins and their commands."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

from shiplight.cli import arguments
from shiplight.lessons import shelf
from shiplight.setup import ROOT

FOLDER = ROOT / ".github"
WORKFLOWS = sorted(FOLDER.glob("workflows/*.yml"))
BY_BRANCH = {"pypa/gh-action-pypi-publish@release/v1"}  # CONTRIBUTING.md says why


def read(path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def test_the_workflows_are_those_that_contributing_lists():
    said = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", said, re.M)
    assert sorted(listed) == [path.stem for path in WORKFLOWS]


@workflow
def test_a_workflow_has_the_least_rights_and_a_limit_of_time(path):
    """Rights to write are a job's alone, and no job that has them runs code of a checkout."""
    found = read(path)
    assert found["permissions"] == {"contents": "read"}
    for job in found["jobs"].values():
        assert job["timeout-minutes"] <= 300
        actions = [step.get("uses", "") for step in job["steps"]]
        if "write" in job.get("permissions", {}).values():
            assert not [action for action in actions if action.startswith("actions/checkout")]
    for step in steps(found):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


@workflow
def test_every_action_is_pinned_by_a_hash_with_its_version_beside_it(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.search(r"uses: (\S+)(.*)", line):
            pinned = re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", match[1])
            assert match[1] in BY_BRANCH or (pinned and re.fullmatch(r" # v[\d.]+", match[2])), line


def test_an_action_has_one_version_in_all_workflows():
    used = {step["uses"] for path in WORKFLOWS for step in steps(read(path)) if "uses" in step}
    assert len({action.partition("@")[0] for action in used}) == len(used)


def test_workflows_run_commands_that_there_are():
    commands = []
    for path in WORKFLOWS:
        lines = "\n".join(step.get("run", "") for step in steps(read(path)))
        commands += re.findall(r"(?:^|\s)(?:\./|python )lab (.*)", lines)
        for script in re.findall(r"\.ci/\w+", lines):
            assert (ROOT / script).exists()
    assert {"test --recorded", "test --live", "record", "run"} == set(commands)
    for command in commands:
        arguments.parser().parse_args(shlex.split(command))
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "./lab test --recorded" in run and "./lab test --live" in run


def test_no_text_from_outside_is_put_into_a_command():
    """What somebody calls a branch or a title would run; environment variables do not."""
    for path in WORKFLOWS:
        for step in steps(read(path)):
            assert "${{" not in step.get("run", ""), path.name


def test_dependabot_leaves_what_the_lessons_measure_alone():
    updates = read(FOLDER / "dependabot.yml")["updates"]
    folders = {
        one["package-ecosystem"]: one.get("directories", [one.get("directory")]) for one in updates
    }
    assert folders == {"github-actions": ["/"], "pip": ["/", "/deploy/hub"]}


def test_the_citation_has_the_projects_version_and_title():
    citation = read(ROOT / "CITATION.cff")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{citation["version"]}"' in project
    title = citation["title"].partition(": ")[2]
    assert f'description = "{title}"' in project
    assert citation["cff-version"] == "1.2.0" and citation["authors"] and citation["message"]


@pytest.mark.parametrize("date", ["2026-12-24", "not yet released"])
def test_the_notes_of_a_release_are_those_of_its_version(tmp_path, date):
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "notes").write_bytes((ROOT / ".ci" / "notes").read_bytes())
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    text = f"# Changelog\n\n## 1.2.0, {date}\n\n- new\n\n## 1.1.0, 2026-01-01\n\n- old\n"
    (tmp_path / "CHANGELOG.md").write_text(text)

    def notes(tag: str):
        command = [sys.executable, str(tmp_path / ".ci" / "notes"), tag]
        return subprocess.run(command, capture_output=True, text=True)

    assert notes("v1.1.0").returncode == 1, "not the version that is built"
    said = notes("v1.2.0")
    assert (said.returncode, said.stdout) == ((1, "") if "not" in date else (0, "- new\n"))


def test_one_command_writes_the_address_into_every_file_that_has_it(tmp_path):
    for name in (".ci/address", "pyproject.toml", "README.md", "docs/your-own.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "--all"], check=True)
    subprocess.run([sys.executable, tmp_path / ".ci" / "address", "me/mine"], check=True)
    old = re.compile(rf"(?:/|uses: ){re.escape(shelf.address())}")
    for name in ("pyproject.toml", "README.md", "docs/your-own.md"):
        assert not old.search((tmp_path / name).read_text(encoding="utf-8")), name
    assert "uses: me/mine@" in (tmp_path / "docs/your-own.md").read_text(encoding="utf-8")
