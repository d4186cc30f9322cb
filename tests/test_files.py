"""Files of our own: private from the first byte on, and never half written."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shiplight import files
from shiplight.engine import journal
from shiplight.image import LayerContent
from shiplight.image.changes import Entry
from shiplight.image.store import LayerStore
from shiplight.lessons import judging, learned, magics
from shiplight.setting import Setting
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


def made_odd(path, kind: str) -> None:
    """Put at `path` what a stranger may put there instead of a file of ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:  # one of our own: what goes wrong here must not harm the machine
        path.symlink_to(path.with_name("device"))
        try:
            os.mknod(path.with_name("device"), stat.S_IFCHR | 0o600, os.makedev(1, 5))
        except PermissionError:
            os.mkfifo(path.with_name("device"))


@pytest.fixture(params=["pipe", "device", "folder"])
def odd(request):
    return request.param


def test_the_store_of_layers_follows_no_link_to_a_file_of_somebodys(tmp_path):
    store = LayerStore(tmp_path)
    content = LayerContent("sha256:1", (Entry("a", "file", 1),), 5)
    (tmp_path / "theirs").write_text("theirs")
    path = store._path("layers", content.diff_id)
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "theirs")
    store.put(content)
    assert (tmp_path / "theirs").read_text() == "theirs" and store.get(content.diff_id) == content


def test_what_is_no_ordinary_file_is_not_read(tmp_path, odd):
    made_odd(tmp_path / "state", odd)
    with pytest.raises(OSError, match=r"ordinary|directory"):
        files.read(tmp_path / "state")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is open")
def test_what_is_not_read_is_not_left_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(OSError, match="ordinary"):
            files.read(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_is_read_up_to_a_limit(tmp_path):
    (tmp_path / "state").write_bytes(b"12345")
    assert files.read(tmp_path / "state", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        files.read(tmp_path / "state", 4)


def test_progress_that_is_no_file_is_none_and_is_kept_beside(tmp_path, odd, monkeypatch):
    monkeypatch.setattr(journal, "ROOT", tmp_path)
    made_odd(learned.path(), odd)
    assert learned.guesses() == {}
    learned.note_guess("how many", "3")
    assert learned.guesses() == {"how many": "3"} and mode(learned.path()) == 0o600
    assert os.path.lexists(learned.path().with_suffix(".json.old"))


def test_a_layer_that_is_no_file_is_unknown_and_is_written_again(tmp_path, odd):
    store = LayerStore(tmp_path)
    content = LayerContent("sha256:1", (Entry("a", "file", 1),), 5)
    made_odd(store._path("layers", content.diff_id), odd)
    assert store.get(content.diff_id) is None
    store.put(content)
    assert (store.get(content.diff_id) == content) == (odd != "folder")


def test_a_device_behind_a_link_stays_one(tmp_path):
    made_odd(tmp_path / "link", "device")
    with files.replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").read_bytes() == b"new"
    assert not stat.S_ISREG((tmp_path / "device").stat().st_mode)


def test_verdicts_that_are_no_file_are_none(tmp_path, odd, monkeypatch):
    monkeypatch.setattr(journal, "ROOT", tmp_path)
    made_odd(journal.path("verdicts.json"), odd)
    assert judging._read(journal.folder()) == {}


STATE = {"tries": [], "mistakes": [], "solved": None, "unpacked_bytes": None}


@pytest.mark.parametrize(
    "said",
    [
        {"exercises": {"00.1": 5}},
        {"exercises": {"00.1": {}}},
        {"exercises": {"00.1": STATE | {"tries": 5}}},
        {"exercises": {"00.1": STATE | {"mistakes": [5]}}},
        {"exercises": {"00.1": STATE | {"solved": 5}}},
        {"exercises": {"00.1": STATE | {"unpacked_bytes": "5"}}},
        {"guesses": {"00": "three"}},
        {"guesses": {"00": {"guess": 3, "day": "2026-11-29"}}},
    ],
    ids=str,
)
def test_forged_progress_is_none_and_is_kept_beside(tmp_path, said, monkeypatch):
    monkeypatch.setattr(journal, "ROOT", tmp_path)
    forged = json.dumps({"version": learned.VERSION, "exercises": {}, "guesses": {}} | said)
    files.write(learned.path(), forged, private=True)
    assert learned.state("00.1") == learned.State() and learned.guesses() == {}
    learned.note_solved("00.1", 7)
    assert learned.state("00.1").unpacked_bytes == 7
    assert learned.path().with_suffix(".json.old").read_text() == forged


@pytest.mark.parametrize("one", [None, 5, {}, {"seen": "1", "verdict": "holds", "setting": 5}])
def test_forged_verdicts_are_left_out(tmp_path, one):
    setting = dict.fromkeys(("engine", "store", "platform", "bases", "when"), "")
    right = {"seen": "1", "verdict": "holds", "setting": setting}
    (tmp_path / judging.FILE).write_text(json.dumps({"forged": one, "right": right}))
    assert judging._read(tmp_path) == {"right": right}


def test_one_process_at_a_time_is_in_a_folder_and_says_that_it_waits(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom shiplight import files\n"
        "with files.alone(Path(sys.argv[1]), lambda: print('waiting', flush=True)): print('in')\n"
    )
    with files.alone(tmp_path):
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert other.stdout.readline() == "waiting\n" and other.poll() is None
    assert other.communicate(timeout=60)[0] == "in\n"


def test_what_goes_wrong_before_waiting_lets_nobody_in(tmp_path):
    def told():
        raise BrokenPipeError

    code = (
        "import sys\nfrom pathlib import Path\nfrom shiplight import files\n"
        "with files.alone(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as other:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(BrokenPipeError), files.alone(tmp_path, told):
            pytest.fail("two are in")
        other.communicate("", timeout=60)


def test_a_folder_is_made_whole_or_not_at_all_and_the_first_one_stays(tmp_path):
    with pytest.raises(KeyboardInterrupt), files.making(tmp_path / "new") as part:
        part.mkdir()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    for text in "12":
        with files.making(tmp_path / "new") as part:
            part.mkdir()
            (part / "file").write_text(text)
    assert (tmp_path / "new" / "file").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_learners_copy_that_was_cut_short_is_not_taken_for_a_whole_one(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "ROOT", tmp_path)

    def killed(source, copy):
        copy.mkdir(parents=True)
        (copy / "half").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(magics.shutil, "copytree", killed)
        magics.own_copy("go")
    assert (magics.own_copy("go") / "go.mod").is_file() and not list(tmp_path.rglob("half"))


def test_a_lesson_notes_no_verdict_while_another_one_does(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom shiplight.engine import journal\n"
        "from shiplight.lessons import judging\nfrom shiplight.setting import Setting\n"
        "journal.ROOT = Path(sys.argv[1])\nprint(journal.folder(), flush=True)\ninput()\n"
        "judging.note('claim', '1', 'holds', Setting(*'abcde'))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as lesson:  # fmt: skip
        folder = Path(lesson.stdout.readline().strip())
        with files.alone(folder):
            lesson.stdin.write("\n")
            lesson.stdin.flush()
            with pytest.raises(subprocess.TimeoutExpired):
                lesson.wait(1)
            assert not (folder / judging.FILE).exists()
        assert lesson.wait(120) == 0 and "claim" in judging._read(folder)


@pytest.mark.timeout(30)
def test_a_verdict_is_noted_where_a_recording_is_made_though_who_makes_it_holds_its_folder(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(journal, "ROOT", tmp_path)
    with journal.workplace() as place:
        monkeypatch.setenv("SHIPLIGHT_RECORD", str(place / "lesson.json"))
        judging.note("claim", "1", "holds", Setting(*"abcde"))
        assert "claim" in judging._read(place) and "claim" in judging._read(journal.folder())


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


def test_what_is_being_written_now_is_no_leftover(tmp_path):
    """`clean` looks into folders in which somebody may be recording."""
    old, new = (tmp_path / "deep" / f".{name}{files.PARTS}" for name in ("old", "new"))
    old.parent.mkdir()
    for part in (old, new):
        part.write_text("x")
    os.utime(old, (0, 0))
    files.remove_parts(tmp_path, seconds=10)
    assert old.exists(), "not in this folder"
    files.remove_parts(tmp_path, deep=True, seconds=10)
    assert new.exists() and not old.exists()
