"""deploy/hub, as far as it can be checked without a server.

`try_hub.py` beside this file does the rest; docs/hub.md has its result.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import try_hub
import yaml

from shiplight.dockerfile import apply_rules, ignore_rules
from shiplight.setup import ROOT

HUB = ROOT / "deploy" / "hub"


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_settings_of_the_hub_are_those_of_the_compose_file():
    text = (HUB / "jupyterhub_config.py").read_text(encoding="utf-8")
    asked = set(re.findall(r"os\.environ\[[\"'](\w+)[\"']\]", text))
    asked |= {"LESSONS", "REGISTRY_MIRROR"}  # asked for in a loop
    assert asked == read(HUB / "compose.yaml")["services"]["hub"]["environment"].keys()


def test_a_learners_server_has_the_packages_of_a_checkout():
    def pinned(path: Path) -> dict[str, str]:
        return dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", path.read_text(encoding="utf-8")))

    checkout, learner = pinned(ROOT / "requirements.txt"), pinned(HUB / "learner.txt")
    assert {name: learner.get(name) for name in checkout} == checkout


def test_security_names_what_a_classrooms_images_are_built_from():
    text = (HUB / "Dockerfile").read_text(encoding="utf-8")
    mirror = (ROOT / "deploy/kubernetes/registry.yaml").read_text(encoding="utf-8")
    named = re.findall(r"(?m)^FROM (\S+:\S+)|npm install.* ([a-z-]+)@", text)
    images = re.findall(r"(?m)^ *image: (\S+)$", mirror)
    used = {one for pair in named for one in pair if one} | set(images)
    security = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert len(used) == 4 and [one for one in used if f"`{one}`" not in security] == []


def test_the_docs_plan_the_disk_that_learners_reserve():
    """`fallocate` counts in powers of 1024, disks are sold in powers of 1000."""
    text = (ROOT / "docs" / "hub.md").read_text(encoding="utf-8")
    learners, planned = re.search(r"So (\d+) learners need .* and (\d+) GB of disk", text).groups()
    setting = read(HUB / "compose.yaml")["services"]["hub"]["environment"]["DISK"]
    size = int(re.fullmatch(r"\$\{DISK:-(\d+)G\}", setting)[1])
    assert int(planned) == round(int(learners) * size * 1024**3 / 1000**3)


def test_a_learners_image_has_the_scanner_and_what_it_copies_is_sent():
    """Learners cannot install the scanner: the environment is root's."""
    text = (HUB / "Dockerfile").read_text(encoding="utf-8")
    stage = text.partition("AS learner-packages\n")[2].partition("\nFROM")[0]
    assert re.search(
        r"(?m)^RUN pip install .*--require-hashes.* -r /tmp/requirements-scan\.txt$", stage
    )
    rules = ignore_rules((HUB / "Dockerfile.dockerignore").read_text(encoding="utf-8"))
    copied = re.findall(r"(?m)^COPY (?!--from)(?:--\S+ )*(.+) \S+$", text)
    sources = [source for line in copied for source in line.split()]
    assert "requirements-scan.txt" in sources
    assert [one for one in sources if apply_rules(rules, one)[0]] == []


def git(folder: Path, *words: str | Path) -> str:
    command = ["git", "-C", folder, "-c", "user.name=T", "-c", "user.email=t@example.org", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path):
    """A server's checkout of a tag, with a private branch, an undone commit and a stash."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")

    def commit(text: str) -> None:
        (folder / "lesson.txt").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", text)

    commit("first")
    commit("published")
    git(folder, "tag", "v1")
    git(folder, "switch", "--quiet", "--create", "private")
    commit("private: branch")
    git(folder, "switch", "--quiet", "main")
    commit("private: undone")
    git(folder, "reset", "--quiet", "--hard", "HEAD~")
    (folder / "lesson.txt").write_text("private: stash")
    git(folder, "stash", "--quiet")
    git(folder, "switch", "--quiet", "--detach", "v1")
    return folder


def made_by_the_dockerfile(checkout: Path, place: Path) -> tuple[Path, Path]:
    """The repository and the learner's clone, by the Git commands of the learner's image."""
    text = (HUB / "Dockerfile").read_text(encoding="utf-8")
    script = re.search(r"(?m)^RUN (git (?:.*\\\n)*?.*/home/learner/ship-light)", text)[1]
    repository, clone = place / "ship-light.git", place / "ship-light"
    for there, here in (
        ("/tmp/ship-light", checkout),
        ("/opt/ship-light.git", repository),
        ("/home/learner/ship-light", clone),
    ):
        script = script.replace(there, str(here))
    subprocess.run(["sh", "-c", script], check=True)
    return repository, clone


def test_learners_get_what_the_server_has_checked_out_and_nothing_else_of_its_history(
    tmp_path, checkout
):
    repository, clone = made_by_the_dockerfile(checkout, tmp_path)
    objects = git(repository, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
    contents = {git(repository, "cat-file", "-p", name) for name in objects.split()}
    assert {"first", "published"} <= contents
    assert not [one for one in contents if "private" in one]
    assert git(repository, "for-each-ref", "--format=%(refname)") == "refs/heads/lessons\n"
    assert git(clone, "branch", "--show-current") == "lessons\n"
    assert (clone / "lesson.txt").read_text() == "published"


def test_a_server_with_a_shallow_checkout_has_the_lessons_too(tmp_path, checkout):
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{checkout}", shallow)
    _, clone = made_by_the_dockerfile(shallow, tmp_path)
    assert (clone / "lesson.txt").read_text() == "published"


def test_a_learners_container_has_the_capabilities_of_a_pods_engine_and_no_others(monkeypatch):
    for name, value in read(HUB / "compose.yaml")["services"]["hub"]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-(.*)\}", r"\1", value))
    monkeypatch.setitem(sys.modules, "dockerspawner", SimpleNamespace(DockerSpawner=object))
    config = MagicMock()
    text = (HUB / "jupyterhub_config.py").read_text(encoding="utf-8")
    file = str(HUB / "jupyterhub_config.py")
    exec(compile(text, file, "exec"), {"get_config": lambda: config, "__file__": file})
    given = config.DockerSpawner.extra_host_config
    pod = read(ROOT / "deploy/kubernetes/values.yaml")["singleuser"]["extraContainers"][0]
    asked = pod["securityContext"]["capabilities"]
    assert {"drop": given["cap_drop"], "add": given["cap_add"]} == asked


@pytest.fixture
def programs(tmp_path):
    """A function that writes a program in the place of a real one, and the PATH that has it."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def write(**scripts: str) -> dict[str, str]:
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            (folder / name).chmod(0o755)
        return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}

    return write


def disk(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    command = ["sh", HUB / "disk", folder / "disks", "ana", "1G"]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


NEW = {
    "mountpoint": "exit 1",
    "fallocate": 'echo allocated >"$3"',
    "mkfs.ext4": "true",
    "mount": 'echo "$@"',
}


def test_a_disk_is_made_once_and_mounted_each_time(tmp_path, programs):
    environment = programs(**NEW)
    first = disk(tmp_path, environment)
    (tmp_path / "disks/ana.ext4").write_text("what Ana wrote")
    second = disk(tmp_path, environment)
    assert first.returncode == second.returncode == 0
    assert first.stdout == second.stdout
    assert first.stdout.split()[-2:] == [f"{tmp_path}/disks/ana.ext4", f"{tmp_path}/disks/ana"]
    assert (tmp_path / "disks/ana.ext4").read_text() == "what Ana wrote"


def test_a_mounted_disk_is_left_alone(tmp_path, programs):
    done = disk(tmp_path, programs(**NEW | {"mountpoint": "exit 0"}))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("fails", ["fallocate", "mkfs.ext4"])
def test_a_disk_that_cannot_be_made_is_no_disk(fails, tmp_path, programs):
    done = disk(tmp_path, programs(**NEW | {fails: 'echo "No space left on device" >&2; exit 1'}))
    assert done.returncode != 0 and "No space" in done.stderr
    assert not (tmp_path / "disks/ana.ext4").exists()
    again = disk(tmp_path, programs(**NEW))
    assert again.returncode == 0, again.stderr


def test_the_last_command_of_the_docs_can_be_run_again(tmp_path, programs):
    text = (ROOT / "docs" / "hub.md").read_text(encoding="utf-8")
    commands = re.findall(r"(?m)^    (.+)", text.partition("## Start")[2].partition("##")[0])
    fakes = {"apt-get": "true", "git": 'mkdir "$3"', "docker": 'ls "${3%%/*}"'}
    for command in [*commands, commands[-1]]:
        subprocess.run(command, shell=True, check=True, cwd=tmp_path, env=programs(**fakes))


def start(home: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess:
    environment |= {"HOME": str(home), "ENGINE": "beside"}
    return subprocess.run(
        ["bash", HUB / "start", *command],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


HAS_A_BRANCH = r"printf 'ref: refs/heads/a/branch\tHEAD\n0123\tHEAD\n'"


def test_a_server_starts_with_the_lessons_it_had_and_says_that_they_are_old(tmp_path, programs):
    (tmp_path / "ship-light").mkdir()
    (tmp_path / "ship-light" / "notes.txt").write_text("mine")
    environment = programs(git=HAS_A_BRANCH, gitpuller="echo 'cannot reach it' >&2; exit 1")
    started = start(tmp_path, environment, "echo", "up")
    assert started.returncode == 0 and started.stdout.endswith("up\n")
    log = (tmp_path / "update.log").read_text()
    assert "cannot reach it" in log and "NOT updated" in log
    assert (tmp_path / "ship-light" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("silent", ["git", "gitpuller"])
def test_a_server_starts_though_the_repository_of_the_lessons_never_answers(
    silent, tmp_path, programs
):
    working = {"git": HAS_A_BRANCH, "gitpuller": "true"}
    environment = programs(**working | {silent: "sleep 1000"}) | {"UPDATE_SECONDS": "1"}
    started = start(tmp_path, environment, "echo", "up")
    assert started.returncode == 0 and started.stdout.endswith("up\n")
    assert "NOT updated" in (tmp_path / "update.log").read_text()


def test_no_lessons_are_taken_from_a_repository_without_a_default_branch(tmp_path, programs):
    start(tmp_path, programs(git="true", gitpuller="touch $HOME/taken"), "true")
    assert "no default branch" in (tmp_path / "update.log").read_text()
    assert not (tmp_path / "taken").exists()


def test_a_server_starts_though_its_log_cannot_be_written(tmp_path, programs):
    (tmp_path / "update.log").mkdir()  # fails as a file does that finds no space
    started = start(tmp_path, programs(git=HAS_A_BRANCH, gitpuller="true"), "echo", "up")
    assert started.returncode == 0 and started.stdout.endswith("up\n"), started.stderr


def test_lessons_come_from_the_repository_that_is_set(tmp_path, programs):
    environment = programs(git=HAS_A_BRANCH, gitpuller='echo "$@"') | {
        "LESSONS": "file:///elsewhere"
    }
    start(tmp_path, environment, "true")
    log = (tmp_path / "update.log").read_text()
    assert f"file:///elsewhere a/branch {tmp_path}/ship-light" in log


def test_a_learner_has_the_same_lab_after_every_start_and_no_other_learner_has_it(
    tmp_path, programs
):
    def lab(name: str) -> str:
        environment = programs(gitpuller="true") | {"JUPYTERHUB_USER": name}
        return start(tmp_path, environment, "sh", "-c", "echo $LAB_ID").stdout.split()[-1]

    first, again, other = lab("Ana Ñ@home"), lab("Ana Ñ@home"), lab("ben")
    assert first == again != other
    assert re.fullmatch("[a-z0-9]{1,16}", first)


def test_learners_are_not_taken_as_kept_apart_where_nothing_runs(monkeypatch, tmp_path):
    said = {}
    monkeypatch.setattr(try_hub, "true", lambda text, is_true, *_: said.update({text: is_true}))
    monkeypatch.setattr(try_hub, "DISKS", tmp_path / "disks")
    dead = MagicMock()
    dead.shell.return_value = "Cannot connect to the Docker daemon. Is the daemon running?\n\n125"
    dead.run.return_value = "ModuleNotFoundError: No module named 'shiplight'"
    dead.ask.return_value.status_code = 503
    dead.is_ready.return_value = False
    try_hub.attacking(dead, dead, MagicMock())
    assert len(said) > 20
    assert [text for text, is_true in said.items() if is_true] == []
