"""Walking a context: what a build sends of it, and no further than is allowed."""

import pytest

from shiplight.checks.reading import walk as walking
from shiplight.checks.reading.walk import walk
from shiplight.dockerfile import ignore_rules


@pytest.fixture
def folder(tmp_path):
    for name in ("a/.env", "a/b/c", "kept/x", "kept/y", "node_modules/p/.env", "z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


def test_what_others_wrote_is_named_and_not_entered(folder):
    found = walk(folder, ())
    assert found.folders == ("a", "kept", "node_modules", "a/b")
    assert found.files == ("z", "a/.env", "kept/x", "kept/y", "a/b/c") and found.whole


def test_the_rules_leave_out_a_folder_and_keep_a_file_of_it(folder):
    found = walk(folder, ignore_rules("a\nkept\n!kept/y\n**/p"))
    assert found.files == ("z", "kept/y")


def test_a_link_is_not_followed_and_is_no_file(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / ".env").write_text("A_TOKEN=hunter2secret")
    (folder / "a" / "out").symlink_to(outside)
    (folder / "a" / "key.pem").symlink_to(outside / ".env")
    (folder / "a" / "round").symlink_to(folder)
    assert walk(folder, ()).files == ("z", "a/.env", "kept/x", "kept/y", "a/b/c")


def test_a_large_context_is_walked_in_part_and_that_is_said(folder, monkeypatch):
    monkeypatch.setattr(walking, "MOST_NAMES", 5)
    found = walk(folder, ())
    assert not found.whole and found.files == ("z", "a/.env")


def test_a_folder_that_cannot_be_read_is_empty(tmp_path):
    assert walk(tmp_path / "nowhere", ()) == walking.Walk()
