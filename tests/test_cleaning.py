"""Cleaning twice, without an engine: what stayed because something used it is found again."""

import time
from types import SimpleNamespace

import pytest

from shiplight import cleaning, disk, engine, journal

NONE = SimpleNamespace(list=lambda **_: [])


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """An engine with nothing on it, for a lab with a journal of the test's own."""
    monkeypatch.setattr(journal, "ROOT", tmp_path)
    monkeypatch.setattr(engine, "identity", lambda client: "one")
    monkeypatch.setattr(disk, "usage", lambda client: 0)
    monkeypatch.setattr(cleaning, "IN_USE_SECONDS", 0)
    api = SimpleNamespace(images=lambda **_: [], timeout=60)
    return SimpleNamespace(containers=NONE, networks=NONE, volumes=NONE, api=api)


def test_a_cache_record_that_was_in_use_goes_the_next_time(empty, monkeypatch):
    """As after a restart of an engine whose disk was full."""
    now, pruned = time.time(), []
    journal.write("build", engine="one", window=[now - 1, now + 1], steps=["RUN make"])

    def engine_has(*, in_use: bool) -> None:
        record = disk.CacheRecord("id", "regular", "[2/2] RUN make", 7, now, in_use)
        monkeypatch.setattr(disk, "cache_records", lambda _: [] if pruned else [record])

    def prune(_, record_id):
        pruned.extend([] if disk.cache_records(_)[0].in_use else [record_id])
        return bool(pruned)

    monkeypatch.setattr(disk, "prune_cache_record", prune)
    engine_has(in_use=True)
    first = cleaning.clean(empty)
    assert (first.cache_records, first.cache_in_doubt) == (0, 1)
    engine_has(in_use=False)
    second = cleaning.clean(empty)
    assert (second.cache_records, second.cache_in_doubt, pruned) == (1, 0, ["id"])
    assert not list(journal.read())


def test_an_image_that_somebody_used_without_its_name_goes_the_next_time(empty, monkeypatch):
    journal.write("image", engine="one", name="shiplight/x/app:1", engine_id="sha256:old")
    monkeypatch.setattr(disk, "cache_records", lambda _: [])
    monkeypatch.setattr(engine, "id_of", lambda *_: "sha256:new")
    monkeypatch.setattr(engine, "is_nameless", lambda *_: True)
    monkeypatch.setattr(engine, "remove_image", lambda *_: False)
    assert cleaning.clean(empty).kept_in_use == ("sha256:old",)
    monkeypatch.setattr(engine, "remove_image", lambda *_: True)
    assert cleaning.clean(empty).images == 1 and not list(journal.read())
