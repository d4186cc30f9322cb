"""Exercise 11.1 on an engine of either platform: what needs emulation is refused before a build."""

from types import SimpleNamespace

import pytest

from shiplight.errors import CheckFailed
from shiplight.lessons import exercises
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
