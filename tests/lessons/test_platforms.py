"""Lesson 11 on engines other than the recorded one, and its exercise 11.1 on either platform."""

from types import SimpleNamespace

import nbformat
import pytest

from shiplight.errors import BuildFailed, CheckFailed
from shiplight.lessons import exercises, shelf
from shiplight.lessons.exercises import grading


@pytest.mark.parametrize(
    ("own", "other"), [("linux/amd64", "linux/arm64"), ("linux/arm64", "linux/amd64")]
)
def test_a_run_in_a_stage_for_the_other_platform_is_refused(monkeypatch, own, other):
    def no_build(*_, **__):
        raise AssertionError("an engine with an emulator would build it, and slowly")

    monkeypatch.setattr("shiplight.engine.described", lambda _: SimpleNamespace(platform=own))
    monkeypatch.setattr("shiplight.lessons.exercises.platforms.build", no_build)
    found = grading.ALL["11.1"]
    native = found.start_text
    half = native.replace("FROM golang", "FROM --platform=$BUILDPLATFORM golang")
    for text, line in ((native, "RUN --mount"), (half, 'RUN ["/says"]')):
        with pytest.raises(CheckFailed, match="a RUN would execute") as failed:
            found.look(None, SimpleNamespace(text=text))
        assert f"in a stage for {other}: {line}" in failed.value.message
    assert found in exercises.every()


@pytest.mark.parametrize(
    "message",
    [
        "step [2/2] RUN failed: exec /says: exec format error.",  # and nothing in its log
        "step [2/2] RUN exited with 1.\n  Last lines:\n    exec /says: Exec format error",
        "the engine could not build x: exec format error",  # which blames no step
    ],
)
def test_an_unknown_format_is_recognized_however_an_engine_reports_it(message):
    def build(*_, **__):
        raise BuildFailed(message)

    def claim(sentence, holds, *_, **__):
        assert holds, sentence

    [path] = [path for path in shelf.lessons() if path.stem == "11-platforms"]
    sources = {cell.id: cell.source for cell in nbformat.read(path, 4).cells}
    names = dict.fromkeys(("client", "app", "tested", "here", "other"))
    names |= {"build": build, "BuildFailed": BuildFailed, "claim": claim}
    names |= {"printed": {"native": "version dev, compiled for None", "crossed": message}}
    for number in (17, 21, 22):
        exec(sources[f"11-platforms-{number}"], names)
