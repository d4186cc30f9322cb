"""Patches for what is mechanical: that they apply, and that what is patched passes."""

import os
import subprocess
import sys
import time

import checking
import pytest

from shiplight.checks import checklist, mask, patch
from shiplight.errors import UsageError
from shiplight.setup import ROOT

FIXTURES = ROOT / "tests" / "fixtures"
FILES = [
    *sorted((ROOT / "apps").glob("*/Dockerfile*single")),
    *sorted((FIXTURES / "dockerfiles").glob("*.Dockerfile")),
    *sorted((FIXTURES / "cases").glob("*/Dockerfile")),
]


def apply(diff: bytes, folder) -> None:
    command = ["git", "apply", "--whitespace=nowarn"]
    subprocess.run(command, input=diff, cwd=folder, check=True, capture_output=True)


def patched(path, folder):
    """The checklists of a Dockerfile before and after its patch, which git applied."""
    file = checking.write(folder, "")
    file.write_bytes(path.read_bytes() if hasattr(path, "read_bytes") else path.encode())
    before = checklist.run(checklist.read_subject(file, today=checking.TODAY))
    text = patch(before)
    if text:
        _, _, changes = text.encode("utf-8", "surrogateescape").split(b"\n", 2)
        apply(b"--- a/Dockerfile\n+++ b/Dockerfile\n" + changes, folder)
    return before, text, checklist.run(checklist.read_subject(file, today=checking.TODAY))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_patch_applies_and_lets_no_other_check_fail(tmp_path, path):
    try:
        before, text, after = patched(path, tmp_path)
    except UsageError as refused:
        assert "secret" in refused.message and mask(path.read_text()) != path.read_text()
        return
    assert checking.failed(after) <= checking.failed(before)
    if text:
        assert sum(len(r.outcome.places) for r in after.results if r.counts) < sum(
            len(r.outcome.places) for r in before.results if r.counts
        )
    assert patch(after) == "", "once is enough"


FIXED = {
    "apk-cache": ("FROM alpine:3.22\nRUN apk update && apk add git", "RUN apk add --no-cache git"),
    "workdir": ("FROM alpine:3.22\nWORKDIR ./app\nWORKDIR b", "WORKDIR /app/b"),
    "signals": ("FROM alpine:3.22\nCMD /app --port 80", 'CMD ["/app", "--port", "80"]'),
    "cache-mounts": (
        "FROM node:24-slim\nWORKDIR /app\nRUN npm ci",
        "RUN --mount=type=cache,target=/root/.npm npm ci",
    ),
}


@pytest.mark.parametrize("check", FIXED)
@pytest.mark.parametrize("end", ["\n", "", "\r\n"], ids=["a line end", "none", "CRLF"])
def test_what_is_patched_passes(tmp_path, check, end):
    text, line = FIXED[check]
    text = text.replace("\n", end or "\n") + end
    before, diff, after = patched(text, tmp_path)
    assert check in checking.failed(before) and check not in checking.failed(after)
    assert any(x.startswith("+") and line in x for x in diff.splitlines()), diff


KEY = (
    "-----BEGIN PRIVATE KEY-----\n"
    + 3 * f"MIIE{'q7Zk21Lp9dYw' * 4}\n"
    + "-----END PRIVATE KEY-----"
)
SECRETS = {
    "a variable": "ENV DB_PASSWORD=hunter2secret\nRUN apk add git",
    "the old form of ENV": "ENV GITHUB_TOKEN q7Zk21Lp9dYw3Xb0Rt5v\nCMD node x",
    "the end of a line": "RUN apk add git && htpasswd -bc f bob q7Zk21Lp9dYw\nCMD node x",
    "a key whose begin is not shown": f"COPY <<EOF /k\n{KEY}\nEOF\nCMD node x",
    "after a continuation": "RUN curl -u \\\n bob:q7Zk21Lp9dYw3 https://x\nCMD node x",
    "in a name that a continuation parts": "ENV DB_PASS\\\nWORD=q7Zk21Lp9dYw\nCMD node x",
}


@pytest.mark.parametrize("lines", SECRETS.values(), ids=SECRETS)
def test_a_patch_repeats_no_secret(tmp_path, lines):
    with pytest.raises(UsageError, match="would repeat"):
        patched(f"FROM node:22-alpine\n{lines}\n", tmp_path)


def test_a_secret_far_from_the_change_keeps_no_patch_back(tmp_path):
    far = "".join(f"ENV A{n}={n}\n" for n in range(4))
    text = f"FROM node:22-alpine\nENV GITHUB_TOKEN q7Zk21Lp9dYw3Xb0Rt5v\n{far}CMD node x\n"
    assert '+CMD ["node", "x"]' in patched(text, tmp_path)[1]


def test_a_patch_sends_no_control_character(tmp_path):
    with pytest.raises(UsageError, match="control characters"):
        patched("FROM node:22-alpine\n# \x1b]0;title\x07\nCMD node x\n", tmp_path)


def test_the_command_prints_a_patch_that_applies_byte_by_byte(tmp_path):
    file = checking.write(tmp_path, "")
    file.write_bytes(b"# caf\xe9\r\nFROM alpine:3.22\r\nRUN apk add git\r\n")
    command = [sys.executable, "-m", "shiplight", "check", ".", "--diff"]
    call = {"cwd": tmp_path, "capture_output": True}
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, **call)
    assert done.returncode == 1 and not done.stderr
    apply(done.stdout, tmp_path)
    assert file.read_bytes().startswith(b"# caf\xe9\r\n") and b"add --no-cache" in file.read_bytes()


def test_a_patch_that_is_refused_hides_no_other_and_remarks_are_told(tmp_path):
    for name, line in (("a b", ""), ("c", "ENV DB_PASSWORD=hunter2secret\n"), ("d", "")):
        (tmp_path / name).mkdir()
        remark = "# shiplight: acept user because x\n" * (name == "d")
        checking.write(tmp_path / name, f"{remark}FROM alpine:3.22\n{line}RUN apk add git\n")
    command = [sys.executable, "-m", "shiplight", "check", "a b", "c", "d", "--diff"]
    call = {"cwd": tmp_path, "capture_output": True}
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, **call)
    assert done.returncode == 2 and b"a patch of c/Dockerfile would repeat" in done.stderr
    assert b"d/Dockerfile: line 1" in done.stderr and b"--- a/a b/Dockerfile\t\n" in done.stdout
    apply(done.stdout, tmp_path)
    fixed = [b"--no-cache" in (tmp_path / n / "Dockerfile").read_bytes() for n in ("a b", "c", "d")]
    assert fixed == [True, False, True]


def test_many_places_are_patched_in_few_steps(tmp_path):
    begun = time.process_time()
    text = "FROM alpine:3.22\n" + "RUN apk add git\n" * 400
    assert patched(text, tmp_path)[1].count("\n+RUN") == 400
    assert time.process_time() - begun < 30


@pytest.mark.parametrize(
    "text",
    [
        "FROM alpine:3.22\nCMD /app --port $PORT",
        "FROM alpine:3.22\nENTRYPOINT /app\nCMD a",
        "FROM registry.example.com/base:1\nWORKDIR app",
        "FROM node:24-slim\nWORKDIR /app\nUSER node\nRUN npm ci",
        "FROM mcr.microsoft.com/dotnet/sdk:10.0\nRUN dotnet restore",
        "FROM golang:1.25\nRUN go install ./cmd/app\nFROM scratch\nCOPY --from=0 /go/bin/app /",
        "FROM debian:trixie-slim\nRUN apt-get update && apt-get install -y git",
        "FROM alpine:3.22\nCMD wait",
        "FROM alpine:3.22\nCMD if true",
        "# shiplight: accept apk-cache because it is small\nFROM alpine:3.22\nRUN apk add git",
    ],
)
def test_what_no_rule_can_know_is_left_alone(tmp_path, text):
    assert patched(text + "\n", tmp_path)[1] == ""
