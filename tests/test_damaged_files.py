"""Files of ours that are damaged or forged: each is read, or refused as an error of ours."""

import copy
import json
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shiplight import files, recordings
from shiplight.engine import checkout, journal
from shiplight.errors import EngineFailed, NotRecorded, ShipLightError
from shiplight.image import Image, LayerContent
from shiplight.image.changes import Entry
from shiplight.image.store import LayerStore
from shiplight.lessons import judging, learned
from shiplight.setting import Setting

SETTING = Setting("engine 1", "overlay2", "linux/amd64", "none", "2026-11-29T00:00:00Z").to_dict()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def places(document, so_far=()) -> list[tuple]:
    """Every place in a JSON document, as the keys that lead to it."""
    inside = document.items() if isinstance(document, dict) else ()
    inside = enumerate(document) if isinstance(document, list) else inside
    return [so_far] + [deep for key, inner in inside for deep in places(inner, (*so_far, key))]


@st.composite
def damaged(draw, document) -> str:
    """The text of a document in which one place holds something else, or which is cut off."""
    place, value = draw(st.sampled_from(places(document))), draw(JSON)
    if not place:
        text = json.dumps(draw(st.sampled_from([document, value])))
        return text[: draw(st.integers(0, len(text)))]
    changed = copy.deepcopy(document)
    at = changed
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return json.dumps(changed)


@pytest.fixture(scope="module", autouse=True)
def lab(tmp_path_factory):
    """A lab of its own, which all examples share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "ROOT", tmp_path_factory.mktemp("root"))
        journal.folder()
        yield


STATE = {"tries": ["a"], "mistakes": ["b"], "solved": "2026-11-29", "unpacked_bytes": 7}
LEARNED = {
    "version": learned.VERSION,
    "exercises": {"00.1": STATE},
    "guesses": {"00": {"guess": "3", "day": "2026-11-29"}},
}


@settings(max_examples=100, deadline=None)
@given(damaged(LEARNED))
def test_progress_is_read_whatever_its_file_says(text):
    files.write(learned.path(), text, private=True)
    assert isinstance(learned.state("00.1"), learned.State)
    assert all(isinstance(guess, str) for guess in learned.guesses().values())
    assert learned.note_solved("00.1", 5).unpacked_bytes == 5


@settings(max_examples=100, deadline=None)
@given(damaged({"claim": {"seen": "1", "verdict": "holds", "setting": SETTING}}))
def test_verdicts_are_read_whatever_their_file_says(text):
    files.write(journal.path(judging.FILE), text, private=True)
    assert len(judging._read(journal.folder())) <= 1


@settings(max_examples=100, deadline=None)
@given(damaged({"id": "0123abcd", "path": "/a"}))
def test_the_checkouts_id_is_read_whatever_its_file_says(text):
    files.write(journal.path("checkout.json"), text, private=True)
    known = checkout.read(journal.path("checkout.json"))
    assert known is None or set(map(type, known.values())) == {str}


LINE = {
    "kind": "made", "when": 1.5, "lab": "a", "name": "a:1", "engine_id": "sha256:1", "mark": "b",
    "window": [1, 2], "ran": [[1, 2, "a", "b"]],
}  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(damaged(LINE), max_size=3), st.binary(max_size=20))
def test_a_journal_is_read_whatever_stands_in_it(lines, end):
    place = journal.path("journal.jsonl")
    files.write(place, "\n".join(lines).encode() + end, private=True)
    for entry in journal.read():
        assert isinstance(entry["kind"], str) and abs(entry["when"]) < journal.MOST_SECONDS
    journal.write("made", mark="after")
    assert list(journal.read())[-1]["mark"] == "after"
    journal.revise(lambda entry: entry)


CONTENT = LayerContent("sha256:1", (Entry("a", "file", 1), Entry("b", "dir")), 5)
STORED = {"version": 3, "key": "sha256:1", "packed_estimate": 5}
STORED["columns"] = [list(column) for column in zip(*CONTENT.entries, strict=True)]


@settings(max_examples=100, deadline=None)
@given(damaged(STORED))
@example("[]")
@example("null")
@example("{}")
@example('{"version": 3, "key": "sha256:1"}')
def test_a_stored_layer_is_read_or_unknown(text):
    store = LayerStore(journal.path("layers"))
    packed = zstandard.ZstdCompressor().compress(text.encode("utf-8", "surrogatepass"))
    path = store._path("layers", "sha256:1")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed)
    content = store.get("sha256:1")
    for entry in content.entries if content else ():
        assert [type(part) for part in entry] == [str, str, int, int, int, int, str, str]


IMAGE = Image(
    name="a", engine_id=None, config_digest="sha256:2", platform="linux/amd64", created="",
    config={}, layers=(), history=(), buried=(), setting=Setting.from_dict(SETTING),
).to_dict()  # fmt: skip
ERROR = {"type": "EngineFailed", "message": "it failed", "hint": "start it"}
RECORDED = {
    "version": 1,
    "setting": SETTING,
    "results": [
        {"call": "measure a", "result": IMAGE},
        {"call": "measure b", "error": ERROR},
        {"call": "measure c", **recordings._packed({"result": IMAGE})},
    ],
}


@recordings.replayed(Image)
def measure(client, name):
    """Stands for what asks an engine."""


@settings(max_examples=200, deadline=None)
@given(damaged(RECORDED))
def test_a_recording_is_replayed_whatever_it_says_or_refused(text):
    folder = journal.path("recordings")
    files.write(folder / "equivalent" / "00-first.json", text, private=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHIPLIGHT_RECORDINGS", str(folder))
        try:
            client = recordings.Recorded("00-first")
        except NotRecorded as refused:
            assert "damaged" in refused.message
            return
        for name in "abc":
            try:
                assert isinstance(measure(client, name), Image | tuple | None)
            except ShipLightError as refused:
                assert refused.message


def test_a_recorded_error_without_words_is_a_damaged_recording(monkeypatch):
    folder = journal.path("recordings")
    error = {"type": "EngineFailed", "message": "", "hint": "start it"}
    results = [{"call": "measure a", "error": error}]
    text = json.dumps(RECORDED | {"results": results})
    files.write(folder / "equivalent" / "00-first.json", text, private=True)
    monkeypatch.setenv("SHIPLIGHT_RECORDINGS", str(folder))
    with pytest.raises(NotRecorded, match="damaged"):
        measure(recordings.Recorded("00-first"), "a")


def test_what_is_not_damaged_is_read(monkeypatch):
    folder = journal.path("recordings")
    files.write(folder / "equivalent" / "00-first.json", json.dumps(RECORDED), private=True)
    monkeypatch.setenv("SHIPLIGHT_RECORDINGS", str(folder))
    client = recordings.Recorded("00-first")
    assert isinstance(measure(client, "a"), Image) and isinstance(measure(client, "c"), Image)
    with pytest.raises(EngineFailed, match="it failed"):
        measure(client, "b")
    test_a_stored_layer_is_read_or_unknown.hypothesis.inner_test(json.dumps(STORED))
    assert LayerStore(journal.path("layers")).get("sha256:1") == CONTENT


def test_a_packed_result_that_would_take_all_memory_is_refused():
    bomb = zstandard.ZstdCompressor().compress(bytes(files.MOST_BYTES + 1))
    entry = {"packed": recordings.base64.b64encode(bomb).decode()}
    client = SimpleNamespace(next=lambda key: entry)
    with pytest.raises(NotRecorded, match="too large"):
        recordings._hand_out(client, "measure a", Image, None)
