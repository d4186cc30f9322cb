"""Cold times: what counts as the same build, and when a time that was measured before is taken."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from shiplight import builds, engine
from shiplight.builds import building, cold, timing
from shiplight.builds.bases import Base
from shiplight.dockerfile import parse, read_sources
from shiplight.engine import journal

BASE = Base("busybox", "busybox", "official")


@pytest.fixture(autouse=True)
def _lab(monkeypatch, tmp_path):
    monkeypatch.setattr(journal, "ROOT", tmp_path)
    monkeypatch.setenv("LAB_ID", "cold")
    monkeypatch.setattr(engine, "identity", lambda client: client)
    monkeypatch.setattr(engine, "id_of", lambda client, name: f"{client} {name}")


@pytest.fixture
def context(tmp_path):
    """Call it for the context of a folder with one file, sent with this Dockerfile."""
    folder = tmp_path / "app"
    folder.mkdir()

    def read(content="x", *, name="Dockerfile", text="FROM busybox\n", written=0):
        (folder / "file").write_text(content)
        os.utime(folder / "file", (written, written))
        return read_sources(folder, dockerfile=name, dockerfile_text=text)

    return read


def key(sources, *, client="one", text="FROM busybox\n", base=BASE, target=None, **more):
    given = cold.Given(text, parse(text), target, (base,), sources)
    return cold.key(client, given, **more)


def test_file_times_and_the_name_of_the_dockerfile_do_not_count(context):
    first = key(context())
    assert key(context(written=9)) == first
    assert key(context(name="Dockerfile.other")) == first


def test_text_context_bases_and_what_else_is_given_count(context):
    same = context()
    keys = [
        key(same),
        key(same, text="FROM busybox\nRUN true\n"),
        key(context("y")),
        key(context(), base=replace(BASE, used="mirror/busybox")),
        key(context(), base=replace(BASE, building="busybox-with-ca")),
        key(context(), client="two"),  # where the same name is another image
        key(context(), target="builder"),
        key(context(), build_args={"A": "1"}),
        key(context(), platform="linux/arm64"),
    ]
    assert len(set(keys)) == len(keys)


def test_the_last_time_on_this_engine_is_recalled_with_its_namespace():
    assert cold.recall("one", "k") is None
    cold.remember("one", "k", "app:1", 2.5, None)
    cold.remember("one", "k", "app:1", 1.25, "mine")
    cold.remember("one", "other", "app:2", 9, None)
    cold.remember("two", "k", "app:1", 8, None)
    found = cold.recall("one", "k")
    assert (found.seconds, found.namespace) == (1.25, "mine") and found.when > 0
    assert cold.recall("one", "other").namespace == "shiplight-cold"


@pytest.mark.parametrize(
    ("known", "cached", "asked"),
    [
        (None, True, [{"no_cache": True}]),
        (cold.Cold(7, "mine", 1), True, [{"cache_namespace": "mine"}]),
        (cold.Cold(7, "mine", 1), False, [{"cache_namespace": "mine"}, {"no_cache": True}]),
    ],
    ids=["none yet", "still cached", "no longer cached"],
)
def test_a_time_is_taken_only_while_all_that_ran_comes_from_the_cache(
    monkeypatch, known, cached, asked
):
    seen = []

    def build(client, name, **how):
        seen.append(how)
        steps = (("FROM busybox", False), ("RUN true", cached))
        return SimpleNamespace(
            numbered_steps=[SimpleNamespace(instruction=one, cached=was) for one, was in steps]
        )

    times = iter([known, cold.Cold(3, "new", 2)])
    monkeypatch.setattr(building, "build", build)
    monkeypatch.setattr(building, "cold_time", lambda client, name: next(times))
    _, found = timing.cold_build("one", "go/multi")
    assert seen == asked and found.seconds == (7 if len(asked) == 1 and known else 3)


def test_a_text_that_a_folder_has_as_a_dockerfile_is_sent_under_its_name(tmp_path):
    (tmp_path / "Dockerfile.fixed").write_text("FROM busybox\n")
    assert builds.order(str(tmp_path), text="FROM busybox\n").dockerfile == "Dockerfile.fixed"
    assert builds.order(str(tmp_path), text="FROM alpine\n").dockerfile == "Dockerfile"
