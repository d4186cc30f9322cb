"""What is said of a health check, by what the engine says of its container."""

import pytest

from shiplight.errors import ProbeFailed
from shiplight.inspection import Health, health, watching


class Container:
    """One whose states are these, a reload each; the last one stays."""

    def __init__(self, *states: dict):
        self.states = list(states)
        self.attrs = {}

    def reload(self):
        self.attrs = {"State": self.states.pop(0) if len(self.states) > 1 else self.states[0]}

    def logs(self, *, tail: int) -> bytes:
        return b"no such module\n"


def state(status: str, said: str = "", *, runs="running") -> dict:
    log = [{"Output": "earlier"}, {"Output": f"{said}\n"}] if said else []
    return {"Status": runs, "Health": {"Status": status, "Log": log}}


def test_the_status_is_the_first_one_that_is_decided_with_what_the_last_check_said(monkeypatch):
    monkeypatch.setattr(watching.time, "sleep", lambda _: None)
    found = Container(state("starting"), state("starting", "once"), state("unhealthy", "no shell"))
    assert watching._judged(found, "x") == ("unhealthy", "no shell")


def test_a_check_that_nobody_runs_is_left_alone(monkeypatch):
    """Podman without systemd runs none, and its API may not speak of it at all."""
    monkeypatch.setattr(watching, "MOST_SECONDS", -1)
    assert watching._judged(Container({"Status": "running"}), "x") == ("starting", "")


@pytest.mark.parametrize("status", ["starting", "unhealthy"])
def test_a_container_that_ends_before_its_check_is_told_with_its_last_word(status):
    """Docker 20.10 calls a container unhealthy as soon as it ends, without a check."""
    ended = Container(state(status, runs="exited"))
    with pytest.raises(ProbeFailed, match="x ended before its health was known: no such module"):
        watching._judged(ended, "x")


@pytest.mark.parametrize("config", [{}, {"Healthcheck": None}, {"Healthcheck": {"Test": ["NONE"]}}])
def test_an_image_without_a_check_is_told_what_to_add(monkeypatch, config):
    monkeypatch.setattr(watching.engine, "inspect_image", lambda *_: {"Config": config})
    with pytest.raises(ProbeFailed, match="has no health check") as refused:
        health(object(), "x")
    assert "HEALTHCHECK CMD" in refused.value.hint


def test_it_reads_as_a_line_and_comes_back_from_json():
    found = Health("x", "unhealthy", "no shell")
    assert repr(found) == "Health x  unhealthy, said: no shell"
    assert Health.from_dict(found.to_dict()) == found
