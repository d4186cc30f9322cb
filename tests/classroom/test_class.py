"""A class as its teacher sees it: who is stuck on what; what nobody's lab wrote is refused."""

import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from classes import hand_in, made_from

from shiplight import classroom
from shiplight.classroom import handing, see
from shiplight.classroom.measured import measured
from shiplight.classroom.record import MOST_BYTES, NotARecord, Record, Weighed
from shiplight.cli import classroom_commands, commands
from shiplight.engine import Engine
from shiplight.engine.journal import BASES
from shiplight.errors import UsageError
from shiplight.lessons import exercises, learned, shelf
from shiplight.setup import ROOT

ENGINE = Engine(
    kind="Docker", version="", api_version="", endpoint="", source="", store="", platform="",
    host="", rootless=False, cpus=1, memory_bytes=1, free_bytes=None, id="",
)  # fmt: skip
TRIED = json.loads((ROOT / "tests/exercises/tried.json").read_text(encoding="utf-8"))["tried"]
NOW = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch):
    """A learner of their own, who has tried nothing."""
    monkeypatch.setattr("shiplight.engine.journal.path", tmp_path.joinpath("lab").joinpath)
    return tmp_path / "lab"


@pytest.fixture
def folder(tmp_path):
    """The folder that a class shares."""
    (tmp_path / "class").mkdir()
    return tmp_path / "class"


def refusals(exercise: str) -> list[str]:
    """What its check said to the wrong answers that were tried on an engine, each once."""
    said = [said for key, (outcome, said) in TRIED.items() if key.startswith(exercise)
            and outcome == "refused"]  # fmt: skip
    return list(dict.fromkeys(said))


def learner(pseudonym: str, exercise: str, *, solves: str = "", guess: float = 80) -> Record:
    """A learner who met what the check of an exercise said, one after the other."""
    learned.path().unlink(missing_ok=True)
    for number, said in enumerate(refusals(exercise)):
        learned.note_try(exercise, f"RUN {pseudonym} {number}", "", mistake=said)
    if solves:
        learned.note_solved(solves, 1_000)
    learned.note_guess("01.1", f"{guess} MB")
    return handing.record(learned.handed_as(pseudonym))


@pytest.fixture
def three() -> list[Record]:
    return [
        learner("ada", "01.1", solves="00.1", guess=50),
        learner("bob", "01.1", guess=200),
        learner("cyd", "01.2", solves="01.1", guess=1000),
    ]


def test_what_is_handed_over_is_read_back_as_it_was(three):
    for one in three:
        assert Record.from_json(one.to_json().encode()) == one


def test_what_is_handed_over_is_within_the_limits_of_what_is_read(monkeypatch):
    """A clock that was set, a learner who tried without end, a guess from a file of theirs."""
    monkeypatch.setattr(learned, "_now", lambda: "1970-01-01T00:00:00+00:00")
    learned.note_try("01.1", "RUN x", "", mistake=refusals("01.1")[0])
    said = json.loads(learned.path().read_text(encoding="utf-8"))
    said["exercises"]["01.1"]["tries"] = [str(one) for one in range(20_000)]
    odd = {"01.1": "nan MB", "01.2": "-1 files", "01.3": "", "01.6": "1e300 %"}
    said["guesses"] = {name: {"guess": guess, "day": ""} for name, guess in odd.items()}
    learned.path().write_text(json.dumps(said), encoding="utf-8")
    one = handing.record(learned.handed_as("ada"))
    assert Record.from_json(one.to_json().encode()) == one and not one.guesses
    tried = one.exercises["01.1"]
    assert (tried.tries, tried.stuck_seconds, tried.quiet_seconds) == (10_000, None, None)


@pytest.mark.parametrize(
    "version, store, told",
    [
        ("20.10.24+dfsg1", "graph driver overlay2", "Docker 20.10.24"),
        ("29.1.2", "containerd store (overlayfs)", "Docker 29.1.2"),
        ("29.1.2-ann", "graph driver ann", "Docker 29.1.2"),
        ("ann", "graph driver overlay2", ""),
    ],
)
def test_of_an_engine_only_known_words_are_handed_over(monkeypatch, version, store, told):
    image = SimpleNamespace(
        name="x", labels={BASES: "ann"}, platform="linux/amd64", unpacked_bytes=1
    )
    on = replace(ENGINE, version=version, store=store)
    monkeypatch.setattr(handing.engine, "describe", lambda client: on)
    monkeypatch.setattr(handing.engine, "find_image", lambda client, tag: {"Size": 2})
    monkeypatch.setattr(handing, "measure", lambda client, tag: image)
    ann = handing.record(("ada", "0" * 8), "client")
    assert Record.from_json(ann.to_json().encode()) == ann and "ann" not in ann.to_json()
    assert ann.engine == told and not ann.images
    image.labels = {BASES: "official"}
    assert len(handing.record(("ada", "0" * 8), "client").images) == 3


def test_what_is_handed_over_has_no_code_and_no_words_of_the_learner(folder, capsys):
    learned.note_try("01.1", "RUN echo secret", "", mistake="the file of Ann Smith fails.")
    learned.note_guess("02.5", "ask Ann Smith")
    learned.note_guess("01.1", "80 MB")
    assert commands.main(["progress", "--export", str(folder), "--as", "otter", "--no-engine"]) == 0
    [path] = folder.iterdir()
    assert path.name.startswith("otter-") and path.name in capsys.readouterr().out
    text = path.read_text(encoding="utf-8")
    assert not re.search("secret|Ann|Smith|/", text.replace("no code", ""))
    assert json.loads(text)["guesses"] == {"01.1": 80.0}
    assert json.loads(text)["exercises"]["01.1"]["mistakes"] == [""]


@pytest.mark.parametrize("planted", ["link", "pipe"])
def test_an_export_replaces_what_somebody_planted_at_its_name(tmp_path, planted):
    (folder := tmp_path / "class").mkdir()
    place = classroom.hand_over(folder, pseudonym="blue-otter")
    written = place.read_text()
    (tmp_path / "theirs").write_text("precious")
    place.unlink()
    place.symlink_to(tmp_path / "theirs") if planted == "link" else os.mkfifo(place)
    assert classroom.hand_over(folder).read_text() == written and not place.is_symlink()
    assert (tmp_path / "theirs").read_text() == "precious"


def test_a_pseudonym_and_an_id_stay_so_that_one_file_is_written_again(folder):
    first = classroom.hand_over(folder, pseudonym="blue-otter")
    assert classroom.hand_over(folder) == first and len(list(folder.iterdir())) == 1
    for odd in ("Ann Smith", "../ann", "", "a" * 25, "-a", "<b>"):
        with pytest.raises(UsageError, match="cannot be a pseudonym"):
            classroom.hand_over(folder, pseudonym=odd)


def test_a_file_is_named_so_that_a_class_finds_it(folder):
    with pytest.raises(UsageError, match="does not end in"):
        classroom.hand_over(folder / "mine.json")
    path = classroom.hand_over(folder / "mine.shiplight.json")
    assert len(see(folder).learners) == 1 and path.exists()


def test_following_writes_again_only_when_something_changed(folder, monkeypatch):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            learned.note_solved("00.1", 1)

    monkeypatch.setattr(handing.time, "sleep", sleep)
    written = classroom.keep_handing_over(folder)
    next(written)
    path = next(written)
    assert len(slept) == 3 and Record.from_json(path.read_bytes()).exercises["00.1"].solved


def test_options_of_an_export_need_it(capsys):
    assert commands.main(["progress", "--follow"]) == 1
    assert "--follow goes with --export" in capsys.readouterr().err


def test_how_long_somebody_is_stuck_begins_with_the_mistake_that_was_named_last(monkeypatch):
    clock = [NOW]
    monkeypatch.setattr(learned, "_now", lambda: clock[0].isoformat(timespec="seconds"))
    one, other = refusals("01.1")[:2]
    for minutes, said in ((0, one), (5, other), (8, other), (20, other)):
        clock[0] = NOW + timedelta(minutes=minutes)
        learned.note_try("01.1", str(minutes), "", mistake=said)
    tried = handing._tried(learned.state("01.1"), NOW + timedelta(minutes=21))
    assert (tried.stuck_seconds, tried.quiet_seconds) == (16 * 60, 60)
    learned.note_solved("01.1", 1)
    assert handing._tried(learned.state("01.1"), NOW).stuck_seconds is None


def test_a_state_of_an_earlier_version_has_no_instants_and_is_understood(lab):
    learned.note_solved("00.1", 1)
    said = json.loads(learned.path().read_text(encoding="utf-8"))
    for name in ("since", "last"):
        del said["exercises"]["00.1"][name]
    learned.path().write_text(json.dumps(said), encoding="utf-8")
    assert learned.state("00.1").solved and learned.state("00.1").since is None


def test_thirty_learners_are_seen_with_who_is_stuck_and_on_what(folder, three):
    hand_in(folder, *three, *made_from(three, 27))
    seen = see(folder)
    assert len(seen.learners) == 30 and not seen.refused
    assert {one.exercise for _, one in seen.stuck} == {"01.1", "01.2"} and len(seen.stuck) == 30
    last = {refusals("01.1")[-1], refusals("01.2")[-1]}
    assert {one.mistake for _, one in seen.stuck} == last
    commonest = seen.wrong[0]
    assert (commonest.exercise, commonest.learners) == ("01.1", 20)
    [guessed] = seen.guessed
    assert len(guessed.guesses) == 30 and guessed.measured == measured()["01.1"]
    [image] = seen.agreements
    assert len(image.unpacked_bytes) == 1 and len(image.said) == 3 and image.learners == 27


def test_time_goes_on_after_a_file_has_arrived(folder, three):
    hand_in(folder, three[0])
    [path] = folder.iterdir()
    os.utime(path, (path.stat().st_mtime - 600,) * 2)
    [(_, stuck)] = see(folder).stuck
    assert 600 <= stuck.seconds < 900
    os.utime(path, (path.stat().st_mtime + 10**6,) * 2)  # a clock that is ahead
    [(_, stuck)] = see(folder).stuck
    assert 0 <= stuck.seconds < 300


def test_of_two_files_with_one_id_the_newer_one_counts(folder, three):
    hand_in(folder, three[0])
    older = folder / three[0].filename
    newer = folder / "renamed.shiplight.json"
    newer.write_text(older.read_text().replace("ada", "ada2"))
    os.utime(older, (older.stat().st_mtime - 60,) * 2)
    [one] = see(folder, with_names=True).learners
    assert one.name == "ada2"


def hostile(folder, record: Record) -> dict[str, str]:
    """Files that nobody's lab writes, and the reason with which each is refused."""
    text = record.to_json()

    def put(name: str, content: str | bytes) -> None:
        raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        (folder / f"{name}.shiplight.json").write_bytes(raw)

    put("oversized", text + " " * MOST_BYTES)
    put("not-json", "{")
    put("deep", "[" * 30_000)
    put("binary", bytes(range(256)))
    put("other-json", "[1, 2]")
    put("newer", text.replace('"version": 1', '"version": 2'))
    put("more-fields", text.replace('"version": 1', '"code": "FROM x", "version": 1'))
    put("twice", text.replace('"version": 1', '"version": 1, "version": 1'))
    put("infinite", text.replace("50.0", "Infinity"))
    put("huge", text.replace("50.0", "1" + "0" * 400))
    put("negative", re.sub(r'"tries": \d+', '"tries": -1', text))
    put("true", re.sub(r'"tries": \d+', '"tries": true', text))
    put("script", text.replace('"ada"', '"<script>alert(1)</script>"'))
    put("orders", text.replace('"ada"', '"\\u001b[2J"'))
    put("words", text.replace(refusals("01.1")[-1], "Ann Smith cannot do it"))
    put("exercise", text.replace('"01.1"', '"99.1"'))
    put("engine", text.replace('"engine": ""', '"engine": "<img src=x>"'))
    put("kind", text.replace('"engine": ""', '"engine": "Ann 1.2.3"'))
    put("version", text.replace('"engine": ""', '"engine": "Docker 1.2.3-ann"'))
    put("store", text.replace('"store": ""', '"store": "graph driver ann"'))
    put("twice-wrong", re.sub(r'("mistakes": \[\n\s*)(".+")', r"\1\2, \2", text, count=1))
    first = Weighed("first", "equivalent", "linux/amd64", 1, 2)
    images = {
        "image": replace(first, name="Ann"),
        "bases": replace(first, bases="ann"),
        "platform": replace(first, platform="linux/ann"),
        "bytes": replace(first, engine_bytes=-1),
    }
    for name, image in images.items():
        put(name, replace(record, images=(image,)).to_json())
    put("twice-weighed", replace(record, images=(first, replace(first, bases="none"))).to_json())
    os.mkfifo(folder / "pipe.shiplight.json")
    (folder / "link.shiplight.json").symlink_to("/etc/passwd")
    (folder / "endless.shiplight.json").symlink_to("/dev/zero")
    (folder / "folder.shiplight.json").mkdir()
    (folder / "<script>\x1b[2J\n.shiplight.json").write_text("{")
    (folder / "notes.txt").write_text("not progress")
    return {
        "oversized": "larger than", "not-json": "not JSON", "deep": "not JSON",
        "binary": "not JSON", "other-json": "not progress", "newer": "version 2",
        "more-fields": "fields of the file", "twice": "not JSON", "infinite": "not JSON",
        "huge": "guess 01.1", "negative": "exercise 00.1", "true": "exercise 00.1",
        "script": "pseudonym", "orders": "pseudonym", "words": "a mistake of exercise 01.1",
        "exercise": "exercise 99.1", "pipe": "not an ordinary file",
        "engine": "engine", "kind": "engine", "version": "engine", "store": "store",
        "twice-wrong": "a mistake that is there twice", "twice-weighed": "an image that is there",
        **dict.fromkeys(images, "an image cannot be"),
        "link": "a link", "endless": "a link", "folder": "not an ordinary file",
    }  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_hostile_files_are_refused_each_with_its_reason_and_the_others_are_seen(
    folder, three, capsys, tmp_path
):
    reasons = hostile(folder, three[0])
    hand_in(folder, *three)
    seen = see(folder)
    assert len(seen.learners) == 3 and len(seen.refused) == len(reasons) + 1
    why = {name.removesuffix(".shiplight.json"): said for name, said in seen.refused}
    for name, reason in reasons.items():
        assert reason in why[name], (name, why[name])
    page = tmp_path / "page.html"
    assert commands.main(["class", str(folder), "--page", str(page), "--names"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and "not read:" in said
    assert not {"script", "img"} & tags(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", [b"\xff\xfe", b"null", b'"\\ud800"', b"1" * 5000])
def test_what_is_not_progress_raises_nothing_else(text):
    with pytest.raises(NotARecord):
        Record.from_json(text)


def test_a_folder_of_too_many_files_is_named(folder, monkeypatch):
    monkeypatch.setattr("shiplight.classroom.seeing.MOST_FILES", 3)
    for number in range(4):
        (folder / f"{number}.shiplight.json").write_text("{")
    with pytest.raises(UsageError, match="more than 3 files"):
        see(folder)
    with pytest.raises(UsageError, match="there is no folder"):
        see(folder / "nowhere")


def test_a_folder_of_each_learner_keeps_everybody_apart(folder, three, monkeypatch):
    """One floods a folder, one forges another's id: neither takes anything from the others."""
    own = [folder / name for name in ("ana", "ben", "cyd")]
    for path in own:
        path.mkdir()
    hand_in(own[0], three[0])
    hand_in(own[1], replace(three[1], id=three[0].id))
    monkeypatch.setattr("shiplight.classroom.seeing.MOST_FILES", 3)
    for number in range(4):
        (own[2] / f"{number}.shiplight.json").write_text("{")
    seen = see(*own)
    forged = replace(three[1], id=three[0].id)
    assert [one.record for one in seen.learners] == [three[0], forged]
    [(name, why)] = seen.refused
    assert name.endswith("/cyd") and "more than 3 files" in why


class Tags(HTMLParser):
    """Which tags, and which addresses, a page has."""

    def __init__(self):
        super().__init__()
        self.tags, self.loads = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href")]


def tags(page: str) -> set[str]:
    found = Tags()
    found.feed(page)
    assert not found.loads, "the page loads something"
    return found.tags


def test_the_page_loads_nothing_renews_itself_and_hides_names(folder, three, tmp_path):
    hand_in(folder, *three, *made_from(three, 27))
    page = tmp_path / "page.html"
    classroom.write_page(see(folder), page, now=NOW)
    text = page.read_text(encoding="utf-8")
    assert "svg" in tags(text) and "script" not in tags(text)
    assert 'http-equiv="refresh" content="5"' in text
    assert "ada" not in text and f"learner {three[0].id[:4]}" in text
    assert "all agree to the byte" in text and "30 learners at 10:00:00" in text
    classroom.write_page(see(folder, with_names=True), page, now=NOW)
    assert "<td>ada<td>" in page.read_text(encoding="utf-8")


def test_an_empty_folder_is_a_class_of_nobody(folder, tmp_path, capsys):
    assert commands.main(["class", str(folder), "--page", str(tmp_path / "page.html")]) == 0
    assert "Nobody has handed anything over yet." in capsys.readouterr().out


def test_json_has_what_is_shown(folder, three, tmp_path, capsys):
    hand_in(folder, *three)
    page = str(tmp_path / "page.html")
    assert commands.main(["class", str(folder), "--json", "--page", page]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["learners"]) == 3 and said["wrong"][0]["learners"] == 2
    assert said["guesses"][0]["measured"] == measured()["01.1"]


def test_a_class_that_is_followed_is_printed_again_only_when_something_changed(
    folder, three, tmp_path, capsys, monkeypatch
):
    def sleep(seconds):
        looks.append(capsys.readouterr().out)
        if len(looks) == 2:
            hand_in(folder, three[2])
        elif len(looks) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(classroom_commands.time, "sleep", sleep)
    for options in ([], ["--json"]):
        hand_in(folder, *three[:2])
        (folder / three[2].filename).unlink(missing_ok=True)
        looks = []
        page = str(tmp_path / "page.html")
        assert commands.main(["class", str(folder), "--follow", "--page", page, *options]) != 0
        assert [bool(look) for look in looks] == [True, False, True, False]


def test_a_lesson_is_read_once_for_all_its_questions(monkeypatch):
    read, committed = [], shelf.committed
    monkeypatch.setattr(shelf, "committed", lambda path: (read.append(path), committed(path))[1])
    assert measured.__wrapped__() and read == shelf.lessons()


def test_every_numeric_question_but_one_has_a_measured_answer_in_its_lesson():
    """03.2 asks for a share that lesson 03 shows in no single output."""
    numeric = {name for name, unit in exercises.questions().items() if unit}
    assert numeric - measured().keys() == {"03.2"} and measured().keys() <= numeric


def test_checks_have_names_for_their_mistakes():
    named = exercises.mistakes()
    said = {said for outcome, said in TRIED.values() if outcome == "refused"}
    assert "the service still runs as root." in named
    tried_on = {key[:2] for key, (_, one) in TRIED.items() if one in said - named}
    assert tried_on <= {"08"}, said - named
