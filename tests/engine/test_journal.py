"""The journal: what was written is there after any crash."""

import errno
import os
import subprocess
import sys
import time

import pytest

from shiplight.engine import journal
from shiplight.errors import LabFolderFailed, UsageError
from shiplight.setup import ROOT


@pytest.fixture(autouse=True)
def _lab(monkeypatch, tmp_path):
    monkeypatch.setattr(journal, "ROOT", tmp_path)
    monkeypatch.setenv("LAB_ID", "journal")


def forget(engine: str, *, until: float, stays=lambda entry: False) -> None:
    """Forget the entries of one engine that are older, as `clean` does."""

    def rest_of(entry: dict) -> dict | None:
        is_old = entry["when"] <= round(until, 3) and entry.get("engine", engine) == engine
        return None if is_old and not stays(entry) else entry

    journal.revise(rest_of)


def test_entries_come_back_in_order_and_by_kind():
    journal.write("pull", reference="a")
    journal.write("build", tag="b")
    journal.write("pull", reference="c")
    assert [entry["reference"] for entry in journal.read("pull")] == ["a", "c"]
    assert [entry["kind"] for entry in journal.read()] == ["pull", "build", "pull"]


def test_a_torn_last_line_is_left_out():
    journal.write("pull", reference="a")
    with open(journal.folder() / "journal.jsonl", "a") as file:
        file.write('{"kind": "pu')
    assert [entry["reference"] for entry in journal.read()] == ["a"]


def test_what_is_written_after_a_torn_line_is_not_lost_with_it():
    journal.write("pull", reference="a")
    with open(journal.folder() / "journal.jsonl", "a") as file:
        file.write('{"kind": "pu')
    journal.write("pull", reference="b")
    journal.write("pull", reference="c")
    assert [entry["reference"] for entry in journal.read()] == ["a", "b", "c"]


def test_a_disk_that_is_full_is_told_and_nothing_is_torn(monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    journal.write("pull", reference="a")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LabFolderFailed, match="No space left") as failed:
        journal.write("pull", reference="b")
    assert "free some space" in failed.value.hint
    monkeypatch.undo()


def test_the_journal_is_closed_to_others():
    journal.write("pull", reference="a")
    modes = [path.stat().st_mode & 0o777 for path in (journal.path(), journal.path().parent)]
    assert modes == [0o700, 0o700]
    assert (journal.path() / "journal.jsonl").stat().st_mode & 0o777 == 0o600
    journal.write("pull", reference="b", engine="two")
    forget("one", until=time.time() + 1)
    assert (journal.path() / "journal.jsonl").stat().st_mode & 0o777 == 0o600


def test_what_is_made_is_in_the_journal_before_it_is_made():
    one, other = journal.made(), journal.made()
    assert [entry["mark"] for entry in journal.read("made")] == [
        labels[journal.MARK] for labels in (one, other)
    ]
    assert one[journal.MARK] != other[journal.MARK] and one[journal.MADE] == journal.lab_id()


def test_asking_and_forgetting_make_no_folder():
    assert list(journal.read()) == [] and journal.revise(lambda entry: None) is None
    assert not journal.path().exists()


def test_labs_with_ids_of_their_own_keep_apart(monkeypatch):
    journal.write("pull", reference="a")
    monkeypatch.setenv("LAB_ID", "other")
    assert list(journal.read()) == []


def test_labs_of_one_test_run_share_their_caches_and_nothing_else(monkeypatch):
    monkeypatch.setenv("LAB_CACHES", "test1")
    for lab in ("test1gw0", "test1gw1"):
        monkeypatch.setenv("LAB_ID", lab)
        assert journal.cache_namespace("own") == "shiplight-test1/own"
        assert journal.shared("layers").parts[-2:] == ("test1", "layers")
        assert journal.path("layers").parts[-2:] == (lab, "layers")
        journal.write("cold", with_caches=True, engine="one", seconds=1)
        journal.write("build", engine="one")
    assert len(list(journal.read("cold", with_caches=True))) == 2
    assert [entry["kind"] for entry in journal.read()] == ["build"]


def test_a_lab_of_another_name_keeps_caches_of_its_own(monkeypatch):
    monkeypatch.setenv("LAB_CACHES", "test1")
    assert journal.cache_namespace() == "shiplight-journal"
    assert journal.shared("layers") == journal.path("layers")


def test_without_an_id_the_checkout_is_the_lab(monkeypatch):
    monkeypatch.delenv("LAB_ID")
    assert journal.lab_id() == journal.checkout_id() and len(journal.lab_id()) == 8


@pytest.mark.parametrize("wrong", ["Upper", "a/b", "x" * 17, "a b"])
def test_an_id_that_cannot_name_an_image_is_refused(wrong, monkeypatch):
    monkeypatch.setenv("LAB_ID", wrong)
    with pytest.raises(UsageError, match="LAB_ID"):
        journal.lab_id()


def test_one_engine_is_forgotten_and_the_others_are_not():
    journal.write("image", name="a", engine="one")
    journal.write("image", name="b", engine="two")
    forget("one", until=time.time())
    assert [entry["name"] for entry in journal.read()] == ["b"]
    forget("two", until=time.time())
    assert list(journal.read()) == []


def test_what_stays_on_the_engine_stays_in_the_journal():
    journal.write("image", name="a", engine_id="sha256:a", engine="one")
    journal.write("image", name="b", engine_id="sha256:b", engine="one")
    journal.write("image", name="c", engine_id="sha256:c", engine="one")
    journal.write("build", name="d", engine_id="sha256:d", engine="one")
    forget("one", until=time.time(), stays=lambda entry: entry["name"] in "ad")
    assert [entry["name"] for entry in journal.read()] == ["a", "d"]


def test_what_is_written_while_somebody_cleans_is_not_forgotten():
    began = time.time()
    time.sleep(0.002)
    journal.write("image", name="new", engine_id="sha256:new", engine="one")
    forget("one", until=began)
    assert [entry["name"] for entry in journal.read()] == ["new"]


def test_nothing_is_lost_of_what_others_write_while_somebody_cleans(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\nfrom shiplight.engine import journal\n"
        f"journal.ROOT = Path({str(tmp_path)!r})\n"
        "for n in range(200): journal.write('image', name=str(n), engine='two')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as writer:
        while writer.poll() is None:
            journal.write("image", name="gone", engine="one")
            forget("one", until=time.time() + 1)
    assert writer.returncode == 0
    assert [entry["name"] for entry in journal.read()] == [str(n) for n in range(200)]


def test_where_nothing_can_be_locked_the_journal_is_still_written(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refuse)
    journal.write("image", name="a", engine="one")
    journal.write("image", name="b", engine="two")
    forget("one", until=time.time() + 1)
    assert [entry["name"] for entry in journal.read()] == ["b"]
