"""The id of a checkout stays with its folder, and a copy gets one of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shiplight.engine import checkout, journal
from shiplight.errors import LabFolderFailed
from shiplight.setup import ROOT


@pytest.fixture
def first(tmp_path, monkeypatch):
    """A checkout with a journal; where private engines have their data, there is none."""
    monkeypatch.setattr(checkout, "ENGINES", tmp_path / "engines")
    monkeypatch.delenv("LAB_ID", raising=False)
    root = tmp_path / "first"
    root.mkdir()
    write(monkeypatch, root, "ours")
    return root


def write(monkeypatch, root, name: str) -> None:
    monkeypatch.setattr(journal, "ROOT", root)
    journal.write("image", name=name, engine="one")


def names(monkeypatch, root) -> list[str]:
    monkeypatch.setattr(journal, "ROOT", root)
    return [entry["name"] for entry in journal.read()]


def test_an_id_is_made_once_and_kept(first):
    known = checkout.id_of(first)
    assert len(known) == 8 and checkout.id_of(first) == known
    assert checkout.read(first / ".lab" / checkout.FILE) == {"id": known, "path": str(first)}


def test_two_new_checkouts_have_two_ids_also_one_after_the_other_at_one_path(tmp_path, first):
    known = checkout.id_of(first)
    first.rename(tmp_path / "moved")
    first.mkdir()
    assert checkout.id_of(first) != known


def test_a_checkout_that_was_moved_keeps_its_id_and_its_journal(tmp_path, first, monkeypatch):
    known = checkout.id_of(first)
    for name in ("moved", "moved again"):
        first = first.rename(tmp_path / name)
        assert checkout.id_of(first) == known and names(monkeypatch, first) == ["ours"]
        assert checkout.read(first / ".lab" / checkout.FILE)["path"] == str(first)


def test_a_copy_gets_an_id_of_its_own_and_an_empty_journal(tmp_path, first, monkeypatch, capsys):
    known, copy = checkout.id_of(first), tmp_path / "copy"
    (first / ".lab" / "labs" / "mine").mkdir(parents=True)
    shutil.copy(first / ".lab" / "journal.jsonl", first / ".lab" / "labs" / "mine")
    shutil.copytree(first, copy)
    write(monkeypatch, copy, "copies-own")
    assert names(monkeypatch, copy) == ["copies-own"]
    assert "copy of another" in capsys.readouterr().err
    assert not list(copy.glob(".lab/labs/*/journal.jsonl"))
    assert checkout.id_of(copy) != known == checkout.id_of(first)
    assert names(monkeypatch, first) == ["ours"]


def test_a_lab_of_a_copy_with_an_id_in_the_environment_has_an_empty_journal_too(
    tmp_path, first, monkeypatch
):
    monkeypatch.setenv("LAB_ID", "mine")
    write(monkeypatch, first, "ours")
    shutil.copytree(first, tmp_path / "copy")
    assert names(monkeypatch, tmp_path / "copy") == []


def test_a_moved_checkout_keeps_its_id_where_another_one_is_at_its_old_path(tmp_path, first):
    known = checkout.id_of(first)
    moved = first.rename(tmp_path / "moved")
    first.mkdir()
    checkout.id_of(first)
    assert checkout.id_of(moved) == known


def test_one_folder_by_two_paths_is_one_checkout(tmp_path, first):
    """As with a bind mount; a link does for the test."""
    known = checkout.id_of(first)
    (tmp_path / "by another path").symlink_to(first)
    assert checkout.id_of(tmp_path / "by another path") == known == checkout.id_of(first)


def test_a_copy_whose_lab_is_a_link_to_the_first_ones_is_refused(tmp_path, first):
    checkout.id_of(first)
    (copy := tmp_path / "copy").mkdir()
    (copy / ".lab").symlink_to(first / ".lab")
    with pytest.raises(LabFolderFailed, match="is a link to the lab of another checkout"):
        checkout.id_of(copy)


def test_a_moved_checkout_may_have_its_lab_on_another_disk(tmp_path, first):
    known = checkout.id_of(first)
    (first / ".lab").rename(tmp_path / "disk")
    (first / ".lab").symlink_to(tmp_path / "disk")
    assert checkout.id_of(first) == known == checkout.id_of(first.rename(tmp_path / "moved"))


def test_of_an_earlier_version_the_id_stays_what_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(checkout, "ENGINES", tmp_path / "engines")
    (tmp_path / ".lab").mkdir()
    (tmp_path / ".lab" / "journal.jsonl").write_text("")
    assert checkout.id_of(tmp_path) == checkout._id_from_path(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"id": 5, "path": "/"}', b"\xff", b"5"])
def test_a_damaged_file_is_replaced(first, damage):
    (first / ".lab" / checkout.FILE).write_bytes(damage)
    assert checkout.id_of(first) == checkout.id_of(first)
    assert checkout.read(first / ".lab" / checkout.FILE)


@pytest.mark.skipif(sys.platform != "linux", reason="not for this machine: it has no /proc")
def test_where_nothing_can_be_kept_the_id_is_that_of_the_path():
    root = Path("/proc/self/task")  # where root may not write either
    assert checkout.id_of(root) == checkout._id_from_path(root)


def test_where_a_file_is_in_the_way_the_id_is_that_of_the_path(tmp_path):
    (tmp_path / ".lab").write_text("in the way")
    assert checkout.id_of(tmp_path) == checkout._id_from_path(tmp_path)


def test_processes_that_begin_at_once_agree_on_one_id(tmp_path, first):
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    for root in (tmp_path / "new", copy):
        root.mkdir(exist_ok=True)
        code = "import sys, pathlib; from shiplight.engine import checkout as c\n"
        code += "print(c.id_of(pathlib.Path(sys.argv[1])))"
        command = [sys.executable, "-c", code, str(root)]
        how = {"cwd": ROOT, "stdout": subprocess.PIPE, "text": True}
        started = [subprocess.Popen(command, **how) for _ in range(6)]
        assert len({process.communicate()[0] for process in started}) == 1
