"""However a command ends, it ends in words: whatever is typed, and wherever it runs."""

import errno
import json
import os
import subprocess
import sys

import checking
import docker
import pytest
from command import lab

from shiplight import engine
from shiplight.cli import commands, doctor, image_commands
from shiplight.errors import EngineFailed, UsageError
from shiplight.setup import ROOT

NOWHERE = {"DOCKER_HOST": "unix:///nowhere.sock"}


def ends_in_words(done, *codes: int) -> str:
    """What is said on standard error, which is neither a traceback nor nothing."""
    said = done.stderr if isinstance(done.stderr, str) else done.stderr.decode()
    assert done.returncode in codes, said
    assert "Traceback" not in said and said.strip()
    return said


@pytest.mark.parametrize("path", ["a" * 5000, "~nosuchuser/x", os.fsdecode(b"\xff"), "a/" * 3000])
@pytest.mark.parametrize("command", ["check", "measure", "scan", "build", "reset"])
def test_a_name_of_any_kind(command, path):
    ends_in_words(lab(command, path, "--no-engine", **NOWHERE), 1, 2)


@pytest.mark.parametrize("how", ["--json", "--sarif", "--skip=user"])
def test_a_folder_whose_name_is_no_utf8(tmp_path, how):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    checking.write(folder, "FROM alpine\nRUN apk update\n")
    done = lab("check", str(folder), how)
    assert done.returncode == 1 and done.stderr == ""
    if how != "--skip=user":
        assert json.loads(done.stdout)
    if how == "--sarif":
        assert "caf%E9" in done.stdout


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-16"])
def test_an_output_that_does_not_have_all_of_our_signs(tmp_path, encoding):
    checking.write(tmp_path, "FROM alpine:3.22\nRUN apk update \u65e5\u672c \U0001f433\n")
    for how in ((), ("--json",), ("--sarif",)):
        done = subprocess.run(
            [sys.executable, "-m", "shiplight", "check", str(tmp_path), *how],
            cwd=ROOT, env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr
        assert "user" in done.stdout.decode(encoding)


@pytest.mark.parametrize("command", [["run", "01"], ["reset", "01"]])
@pytest.mark.parametrize("problem", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_checkout_that_cannot_be_written(monkeypatch, capsys, command, problem):
    from shiplight.lessons import notebooks, shelf

    def refuse(*_, **__):
        raise OSError(problem, os.strerror(problem), "01-go.ipynb")

    monkeypatch.setenv("DOCKER_HOST", NOWHERE["DOCKER_HOST"])
    monkeypatch.setattr(notebooks, "run", refuse)
    monkeypatch.setattr(shelf, "reset", refuse)
    assert commands.main([*command, "--no-engine"]) == 1
    said = capsys.readouterr().err
    assert f"01-go.ipynb: {os.strerror(problem)}" in said and "Try:" in said


def test_a_name_that_the_engine_cannot_be_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(image_commands, "do_measure", lambda given: given.image.encode())
    assert commands.main(["measure", os.fsdecode(b"\xff")]) == 1
    assert capsys.readouterr().err.startswith("lab: not UTF-8: \\udcff\n  Try:")


MIRRORS = ["user:s3cr3t@host.invalid/x", "http://user:s3cr3t@h.invalid", "https://u:s3cr3t@h/x y"]


@pytest.mark.parametrize("mirror", MIRRORS)
def test_the_doctor_says_what_is_wrong_with_a_mirror_and_no_password(monkeypatch, mirror):
    def refuse(*_):
        raise UsageError(f"SHIPLIGHT_MIRROR is {mirror}.", hint=f"unset {mirror}")

    monkeypatch.setattr(doctor, "named", refuse)
    [found] = doctor._origins(None)
    assert found.state == "problem" and "SHIPLIGHT_MIRROR" in found.seen
    assert "s3cr3t" not in found.seen + found.advice and ":…@h" in found.seen


@pytest.mark.parametrize(
    "host", ["tcp://me:s3cr3t@127.0.0.1:1", "tcp://me:s3c@r3t@[bad", "me:s3cr3t@x"]
)
def test_no_password_of_an_endpoint_is_repeated(host):
    for command in (["doctor", "--json"], ["measure", "x"]):
        done = lab(*command, "--no-engine", DOCKER_HOST=host)
        said = done.stdout + done.stderr
        assert done.returncode == 1 and "Traceback" not in said
        assert "s3c" not in said and "r3t" not in said and "me:" in said


def test_a_name_that_is_none_is_an_error_of_ours():
    with pytest.raises(EngineFailed, match=r"asking: .*scheme \(http://me:…@h/x\)"):  # noqa: SIM117
        with engine.translated("asking"):
            docker.auth.resolve_repository_name("http://me:s3cr3t@h/x")
