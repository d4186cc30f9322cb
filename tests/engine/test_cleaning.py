"""Cleaning twice, without an engine: what stayed because something used it is found again."""

import time
from types import SimpleNamespace

import pytest

from shiplight.engine import cleaning, describing, disk, images, journal

NONE = SimpleNamespace(list=lambda **_: [])


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """An engine with nothing on it, for a lab with a journal of the test's own."""
    monkeypatch.setattr(journal, "ROOT", tmp_path)
    monkeypatch.setattr(describing, "identity", lambda client: "one")
    monkeypatch.setattr(disk, "usage", lambda client: 0)
    monkeypatch.setattr(cleaning, "IN_USE_SECONDS", 0)
    api = SimpleNamespace(images=lambda **_: [], timeout=60)
    return SimpleNamespace(containers=NONE, networks=NONE, volumes=NONE, api=api)


def built(monkeypatch, *, in_use: bool) -> None:
    """A build is in the journal, and its record on the engine does not go."""
    now = time.time()
    journal.write("build", engine="one", window=[now - 1, now + 1], steps=["RUN make"])
    record = disk.CacheRecord("id", "regular", "[2/2] RUN make", 7, now, in_use)
    monkeypatch.setattr(disk, "cache_records", lambda _: [record])
    monkeypatch.setattr(disk, "prune_cache_record", lambda *_: False)


def test_a_cache_record_that_one_in_doubt_needs_is_counted(empty, monkeypatch):
    built(monkeypatch, in_use=False)
    assert cleaning.clean(empty).cache_in_doubt == 1
    assert not list(journal.read())


def test_a_cache_record_that_was_in_use_goes_the_next_time(empty, monkeypatch):
    """As after a restart of an engine whose disk was full."""
    built(monkeypatch, in_use=True)
    assert cleaning.clean(empty).cache_in_doubt == 1
    answers = iter([True, False])
    monkeypatch.setattr(disk, "prune_cache_record", lambda *_: next(answers))
    assert cleaning.clean(empty).cache_records == 1


@pytest.mark.parametrize("kind", ["image", "build"])
def test_an_image_that_somebody_used_without_its_name_goes_the_next_time(empty, monkeypatch, kind):
    journal.write(kind, engine="one", name="shiplight/x/app:1", engine_id="sha256:old")
    monkeypatch.setattr(disk, "cache_records", lambda _: [])
    monkeypatch.setattr(images, "id_of", lambda *_: "sha256:new")
    monkeypatch.setattr(images, "is_nameless", lambda *_: True)
    monkeypatch.setattr(images, "remove_image", lambda *_: False)
    assert cleaning.clean(empty).kept_in_use == ("sha256:old",)
    monkeypatch.setattr(images, "remove_image", lambda *_: True)
    assert cleaning.clean(empty).images == 1 and not list(journal.read())
