"""Getting bases: which of several names is taken, what is pulled, and what is said of a failure."""

import pytest
from replay import engine_of

from shiplight import engine
from shiplight.builds import providing

BUSYBOX = {"Id": "sha256:a1", "RepoTags": ["busybox:latest", "busybox:1.36"], "RootFS": {}}


@pytest.fixture
def client_of(tmp_path, monkeypatch):
    """Call it with an engine's answers: a client of that engine, and what it was asked."""
    for name in ("SHIPLIGHT_MIRROR", "SHIPLIGHT_BASES"):
        monkeypatch.delenv(name, raising=False)
    opened = []

    def serve(*answers):
        served = engine_of(tmp_path, *answers)
        url, seen = served.__enter__()
        opened.append(served)
        monkeypatch.setenv("DOCKER_HOST", url)
        return engine.connect(), seen

    yield serve
    for served in opened:
        served.__exit__(None, None, None)


def test_a_base_that_is_named_without_a_tag_is_latest_and_no_other(client_of):
    client, _ = client_of((r"/images/busybox:latest/json", BUSYBOX))
    assert providing.here(client, "busybox").used == "busybox:latest"
