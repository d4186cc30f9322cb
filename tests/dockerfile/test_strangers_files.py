"""Files of a stranger's folder: ordinary ones are read, inside of it, and no more than expected."""

import os
import signal
import sys
from pathlib import Path

import pytest

from shiplight import builds
from shiplight.buildkit import SourceChanged, opening, tree
from shiplight.checks import checklist
from shiplight.dockerfile import read_context, read_sources
from shiplight.errors import ContextError, ShipLightError, UsageError

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="not for this machine: it has no pipes in folders"
)
SECRET = "root:x:s3cr3t"


@pytest.fixture(autouse=True)
def _at_once():
    """What never ends, as a pipe without a writer does, is a failure after some seconds."""
    signal.alarm(20)
    yield
    signal.alarm(0)


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "app"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM alpine:3.22\nCOPY . /app\nUSER 1\n")
    (folder / "sub" / "file").write_text("x")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "file").write_text(SECRET)
    (tmp_path / "private" / "Dockerfile").write_text(SECRET)
    return folder


def replace(path: Path, how: str) -> None:
    """Put something in the place of a file that is not an ordinary file of its folder."""
    path.unlink(missing_ok=True)
    if how == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"device": "/dev/zero", "link out": "../private/file"}[how])


ODD = ["pipe", "device", "link out"]


@pytest.mark.parametrize("how", ODD)
@pytest.mark.parametrize("read", [read_context, read_sources, checklist.read_subject])
@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile.dockerignore"])
def test_an_ignore_file_that_is_no_file_of_the_context_is_refused(app, name, read, how):
    replace(app / name, how)
    with pytest.raises(ContextError, match=r"dockerignore cannot be read") as refused:
        read(app)
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("how", ODD)
@pytest.mark.parametrize("read", [read_context, read_sources, lambda app: builds.order(str(app))])
def test_a_dockerfile_that_is_no_file_of_the_context_is_not_sent(app, read, how):
    replace(app / "Dockerfile", how)
    with pytest.raises(ContextError, match=r"Dockerfile .*cannot be read \(it is "):
        read(app)


@pytest.mark.parametrize("how", ODD)
def test_a_dockerfile_that_is_no_file_of_the_folder_is_not_checked(app, how):
    replace(app / "Dockerfile", how)
    for path in (app, app / "Dockerfile"):
        with pytest.raises(UsageError) as refused:
            checklist.read_subject(path)
        assert "s3cr3t" not in str(refused.value)


def test_a_link_that_stays_inside_is_followed(app):
    (app / "docker").mkdir()
    (app / "Dockerfile").rename(app / "docker" / "Dockerfile.real")
    (app / "Dockerfile").symlink_to("docker/Dockerfile.real")
    (app / "ignored").write_text("sub\n")
    (app / ".dockerignore").symlink_to(app / "ignored")
    assert read_sources(app).text.startswith(b"FROM alpine")
    assert "sub" not in [entry.name for entry in read_context(app).entries]
    assert checklist.read_subject(app).rules
    (app / ".git").mkdir()
    (app / "sub" / "Dockerfile").symlink_to("../docker/Dockerfile.real")
    assert checklist.read_subject(app / "sub").read.stages  # one repository, two folders


def test_a_folder_or_a_loop_of_links_is_no_ignore_file(app):
    (app / ".dockerignore").symlink_to(".dockerignore")
    with pytest.raises(ContextError, match="it is a link"):
        read_context(app)
    (app / ".dockerignore").unlink()
    (app / ".dockerignore").mkdir()
    with pytest.raises(ContextError, match="it is not an ordinary file"):
        read_context(app)


def test_an_ignore_file_that_is_larger_than_any_is_refused(app):
    with open(app / ".dockerignore", "wb") as file:
        file.truncate(opening.MOST_RULES + 1)
    with pytest.raises(ContextError, match=f"larger than {opening.MOST_RULES:,} bytes"):
        read_context(app)


@pytest.mark.parametrize("how", ODD)
def test_a_file_that_became_something_else_is_not_sent(app, how):
    context, folder = read_context(app), tree.Folder(str(app))
    [entry] = [entry for entry in folder.entries(tree.Wanted()) if entry.path == "sub/file"]
    replace(app / "sub" / "file", how)
    with pytest.raises(ContextError, match="sub/file"):
        list(context.tar())
    with pytest.raises(SourceChanged, match="sub/file"):
        list(folder.chunks(entry))


def test_what_lies_behind_a_folder_that_became_a_link_is_not_sent(app):
    (app.parent / "private" / "file").write_text("y")
    os.utime(app.parent / "private" / "file", ns=(1, 1))
    os.utime(app / "sub" / "file", ns=(1, 1))
    context, folder = read_context(app), tree.Folder(str(app))
    [entry] = [entry for entry in folder.entries(tree.Wanted()) if entry.path == "sub/file"]
    (app / "sub").rename(app / "before")
    (app / "sub").symlink_to("../private")
    with pytest.raises(ContextError, match="sub/file"):
        list(context.tar())
    with pytest.raises(SourceChanged, match="sub/file"):
        list(folder.chunks(entry))


# What a check reads: a Dockerfile that leads to it, and a text of it that changes a result.
READ_BY_CHECKS = {
    "package.json": ("FROM node:22\nCOPY . .\nRUN npm ci\nUSER 1\n", "{}"),
    "Cargo.toml": (
        "FROM rust:1.90\nCOPY . .\nRUN cargo build --release\n",
        "[profile.release]\nstrip = true\n",
    ),
    "pyproject.toml": (
        "FROM python:3.13\nCOPY . .\nRUN poetry install\n",
        '[tool.poetry]\nname = "x"\n',
    ),
    ".npmrc": ("FROM node:22\nCOPY .npmrc /\n", "//r/:_authToken=abcdefgh12345678\n"),
    "entrypoint.sh": (
        'FROM alpine:3.22\nCOPY entrypoint.sh /\nENTRYPOINT ["/entrypoint.sh"]\n',
        '#!/bin/sh\nexec "$@"\n',
    ),
    "Makefile": ("FROM alpine:3.22\n", "x:\n\ttrivy image x\n"),
    ".github/workflows/ci.yml": ("FROM alpine:3.22\n", "uses: aquasecurity/trivy-action\n"),
}


def results(app: Path) -> dict[str, tuple]:
    """What every check says but `dockerignore`, which looks at names only."""
    found = checklist.run(checklist.read_subject(app)).results
    said = {one.check.id: (one.outcome.result, one.outcome.evidence) for one in found}
    return {name: one for name, one in said.items() if name != "dockerignore"}


@pytest.mark.parametrize("how", ODD)
@pytest.mark.parametrize("name", READ_BY_CHECKS)
def test_what_a_check_looks_into_is_no_pipe_no_device_and_nothing_elsewhere(app, name, how):
    dockerfile, text = READ_BY_CHECKS[name]
    (app / "Dockerfile").write_text(dockerfile)
    (app.parent / "private" / "file").write_text(text)
    (app / name).parent.mkdir(parents=True, exist_ok=True)
    without = results(app)
    replace(app / name, how)
    assert results(app) == without
    (app / name).unlink()
    (app / name).write_text(text)
    assert results(app) != without, "this file would have changed a result"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "tool = 1"),
        ("pyproject.toml", "tool.poetry = []"),
        ("pyproject.toml", "a = " + "[" * 20_000),
        ("Cargo.toml", "profile = 1"),
        ("Cargo.toml", "profile.release = 'x'"),
        ("Cargo.toml", "a = " + "[" * 20_000),
        ("package.json", "[" * 200_000),
        ("package.json", "1" * 10_000),
        ("package.json", '{"devDependencies": NaN, "workspaces": "\\ud800"}'),
    ],
)
def test_a_project_file_of_any_content_is_no_crash(app, name, text):
    (app / "Dockerfile").write_text(READ_BY_CHECKS[name][0])
    (app / name).write_text(text)
    checklist.run(checklist.read_subject(app))


@pytest.mark.parametrize("path", ["a" * 5000, "~nosuchuser/x", "a\0b", "a/" * 3000])
def test_a_path_of_any_kind_is_answered_in_words(path):
    with pytest.raises(ShipLightError):
        checklist.read_subject(path)


def test_a_dockerfile_of_a_folder_that_another_pipe_is_in_is_found(app):
    os.mkfifo(app / "Dockerfile.a")
    text = (app / "Dockerfile").read_text()
    (app / "Dockerfile").rename(app / "Dockerfile.b")
    assert builds.order(str(app), text=text).dockerfile == "Dockerfile.b"
