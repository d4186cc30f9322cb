"""Files of our own: private from the first byte on, and never half written."""

import os
import signal
import subprocess
import sys
import time

import pytest

from shiplight import files
from shiplight.setup import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


def mode(path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture(params=[0o000, 0o022])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_a_private_file_is_closed_from_its_first_byte_on(tmp_path, umask):
    path = tmp_path / "new" / "deeper" / "log"
    with files.create_private(path) as file:
        assert mode(path) == 0o600, "before anything is written"
        file.write(b"token")
    assert mode(path.parent) == mode(path.parent.parent) == 0o700
    files.write(path, "other", private=True)
    assert mode(path) == 0o600 and path.read_text() == "other"


def test_whoever_has_an_old_open_file_sees_nothing_of_the_new_one(tmp_path):
    path = tmp_path / "log"
    path.write_text("old")
    path.chmod(0o644)
    with open(path) as held, files.create_private(path) as file:
        file.write(b"token")
        file.flush()
        assert held.read() == "old" and mode(path) == 0o600


def test_a_folder_that_others_could_enter_is_closed(tmp_path):
    (tmp_path / "lab").mkdir(mode=0o755)
    files.private_folder(tmp_path / "lab")
    assert mode(tmp_path / "lab") == 0o700


def test_somebodys_folder_behind_a_link_keeps_its_mode(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o755)
    (tmp_path / "lab").symlink_to(tmp_path / "theirs")
    files.private_folder(tmp_path / "lab")
    assert mode(tmp_path / "theirs") == 0o755


def test_a_file_that_is_replaced_keeps_its_mode_and_its_link(tmp_path):
    (tmp_path / "real").write_text("1")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    files.write(tmp_path / "link", "2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "2" and mode(tmp_path / "real") == 0o640


def test_what_fails_on_the_way_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "kept"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), files.replacing(path) as file:
        file.write(b"half")
        raise OSError("disk full")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_file(tmp_path):
    path = tmp_path / "kept"
    files.write(path, "0" * 200_000)
    code = (
        "import sys\nfrom pathlib import Path\nfrom shiplight import files\n"
        "for n in range(10**6): files.write(Path(sys.argv[1]), str(n % 10) * 200_000)\n"
    )
    for round in range(5):
        with subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT) as writer:
            time.sleep(0.15 + round * 0.03)
            writer.send_signal(signal.SIGKILL)
        text = path.read_text()
        assert len(text) == 200_000 and len(set(text)) == 1
    files.remove_parts(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
