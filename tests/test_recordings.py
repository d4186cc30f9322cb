"""Recorded mode: what was recorded comes back as the same types with the same fields."""

import dataclasses
import json
import platform
from dataclasses import dataclass, replace

import pytest

from shiplight import builds, catalogue, engine, recordings
from shiplight.engine import journal
from shiplight.errors import (
    BaseNotAvailable,
    BuildFailed,
    EngineNotReachable,
    NotRecorded,
    UsageError,
)
from shiplight.image import LayerContent, LayerStore
from shiplight.inspection import measure, probing
from shiplight.lessons import verdicts
from shiplight.setting import Setting

SETTING = Setting("Docker 1", "graph driver x", "linux/amd64", "equivalent", "2026-11-23T10:00:00")


@dataclass(frozen=True)
class Answer:
    number: int
    setting: Setting

    def to_dict(self):
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data):
        return cls(data["number"], Setting.from_dict(data["setting"]))


class Client:
    """Stands for a live client."""


@pytest.fixture
def recording(tmp_path, monkeypatch):
    """Record to a folder of the test's own; call it for a client that replays what was recorded."""
    folder = tmp_path / "recordings" / "equivalent"
    folder.mkdir(parents=True)
    monkeypatch.setattr(engine, "setting", lambda client, bases="none": SETTING)
    monkeypatch.setenv("SHIPLIGHT_RECORD", str(folder / "00-test.json"))
    monkeypatch.setenv("SHIPLIGHT_RECORDINGS", str(folder.parent))

    def replay(lesson="00-test"):
        monkeypatch.delenv("SHIPLIGHT_RECORD")
        return recordings.Recorded(lesson)

    return replay


def test_results_come_back_in_their_order_and_the_last_one_again(recording):
    numbers = iter([1, 2])

    @recordings.replayed(Answer)
    def number(client, what):
        return Answer(next(numbers), SETTING)

    live = [number(Client(), "x"), number(Client(), "x")]
    client = recording()
    again = [number(client, "x") for _ in range(3)]
    assert again[:2] == [replace(a, setting=replace(SETTING, mode="recorded")) for a in live]
    assert again[2] == again[1]


def recorded_on(folder, kind: str, lesson: str, layer: str = "sha256:1") -> None:
    """Write a recording of one lesson on bases of this kind, with one layer and one verdict."""
    folder = folder / kind
    (folder / "layers" / "layers").mkdir(parents=True, exist_ok=True)
    setting = replace(SETTING, bases=kind).to_dict()
    data = {"setting": setting, "results": [{"call": f"of {lesson}", "result": kind}]}
    (folder / f"{lesson}.json").write_text(json.dumps(data))
    LayerStore(folder / "layers").put(LayerContent(layer, (), 1))
    claim = next(one for one in catalogue.claims() if one.lesson == lesson[:2])
    file = folder / "verdicts.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    known[claim.id] = {"seen": kind, "verdict": "holds", "setting": setting}
    file.write_text(json.dumps(known))


def test_a_lesson_recorded_on_better_bases_hides_no_other_lesson(tmp_path, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_RECORDINGS", str(tmp_path))
    recorded_on(tmp_path, "equivalent", "01-go", "sha256:1")
    recorded_on(tmp_path, "equivalent", "05-bases", "sha256:1")
    recorded_on(tmp_path, "official", "05-bases", "sha256:2")
    found = {path.stem: path.parent.name for path in recordings.sets()}
    assert found == {"01-go": "equivalent", "05-bases": "official"}
    client = recordings.Recorded()
    assert [client.next(f"of {stem}")["result"] for stem in found] == list(found.values())
    assert client.contents("sha256:1") and client.contents("sha256:2")
    said = {v.claim.lesson: v.setting.bases for v in verdicts(None) if v.setting}
    assert said == {"01": "equivalent", "05": "official"}


@pytest.mark.parametrize(
    ("results", "kind"),
    [
        (["official", "none", "official"], "official"),
        (["official", "mixed"], "mixed"),
        (["official", "equivalent"], "mixed"),
        (["equivalent", "none", "unknown"], "equivalent"),
        (["none"], "equivalent"),
    ],
)
def test_a_recording_is_of_one_kind_of_bases_or_mixed(results, kind):
    assert recordings._kind_of(json.dumps([{"bases": one} for one in results])) == kind


def test_a_claim_stands_on_the_bases_of_all_that_its_lesson_measured(recording, monkeypatch):
    client = Client()
    monkeypatch.setenv("SHIPLIGHT_MODE", "auto")
    monkeypatch.setattr(engine, "connect", lambda: client)

    @recordings.replayed(Answer)
    def on(client, kind):
        return Answer(1, replace(SETTING, bases=kind))

    on(Client(), "equivalent")  # somebody else's
    recordings.connect("00-test")
    assert recordings.kind_so_far() == "none"
    for kind, so_far in [("official", "official"), ("none", "official"), ("equivalent", "mixed")]:
        on(client, kind)
        assert recordings.kind_so_far() == so_far
    recordings.connect("00-test")
    assert recordings.kind_so_far() == "none"


def test_an_error_comes_back_as_itself(recording):
    @recordings.replayed()
    def fails(client):
        raise BuildFailed("step RUN x exited with 1", line=3, hint="look at line 3")

    with pytest.raises(BuildFailed):
        fails(Client())
    with pytest.raises(BuildFailed) as again:
        fails(recording())
    assert (again.value.line, again.value.hint) == (3, "look at line 3")


def test_what_was_not_recorded_says_so_and_so_does_the_sdk(recording):
    @recordings.replayed()
    def asked(client, what):
        return what

    asked(Client(), "this")
    client = recording()
    with pytest.raises(NotRecorded, match="asked that"):
        asked(client, "that")
    with pytest.raises(NotRecorded, match=r"client\.images"):
        _ = client.images
    assert not hasattr(client, "_repr_png_"), "Jupyter asks for such names"


def test_a_call_inside_a_recorded_call_is_part_of_it(recording):
    @recordings.replayed()
    def inner(client):
        return 1

    @recordings.replayed()
    def outer(client):
        return inner(client) + 1

    outer(Client())
    client = recording()
    assert outer(client) == 2
    with pytest.raises(NotRecorded):
        inner(client)


def test_a_key_is_the_same_on_every_machine(recording, monkeypatch):
    @recordings.replayed()
    def seen(client, what, *, text=None, name=None):
        return what

    seen(Client(), f"shiplight/{journal.lab_id()}/go:multi", text="FROM x\n" * 50)
    seen(Client(), str(journal.folder("copies") / "copy"))
    client = recording()
    monkeypatch.setenv("LAB_ID", "elsewhere1")
    said = seen(client, "shiplight/elsewhere1/go:multi", text="FROM x\n" * 50)
    assert said == "shiplight/lab/go:multi"
    assert seen(client, str(journal.path("copies", "copy"))) == "…/copies/copy"


def test_nothing_of_this_machine_is_written_down(recording):
    @recordings.replayed()
    def telling(client):
        list_of_apt = "var/lib/apt/lists/deb.example_debian_dists_trixie_InRelease"
        return {
            "folder": str(journal.ROOT / "x"),
            "host": f"on {platform.node()}",
            "list": list_of_apt,
        }

    telling(Client())
    said = telling(recording())
    assert str(journal.ROOT) not in said["folder"]
    assert said["list"] == "var/lib/apt/lists/mirror_debian_dists_trixie_InRelease"
    assert len(platform.node()) <= 3 or platform.node() not in said["host"]


@pytest.mark.parametrize(("name", "home"), [("debian", "/"), ("node", "/home/go"), ("go", "/")])
def test_a_key_is_the_same_on_a_machine_that_is_called_like_an_image(monkeypatch, name, home):
    monkeypatch.setattr(platform, "node", lambda: name)
    monkeypatch.setenv("HOME", home)
    for word in ("debian:bookworm", "go/multi", "node:22", "/home/go"):
        assert recordings._word(word) == word


def test_what_a_machine_lacks_beside_an_engine_falls_back_and_says_so(recording, monkeypatch):
    monkeypatch.delenv("SHIPLIGHT_MODE", raising=False)
    missing = False

    @recordings.replayed(Answer)
    def needs(client):
        if missing:
            raise BaseNotAvailable("not here", hint="get it")
        return Answer(7, SETTING)

    needs(Client())
    recording()
    missing, client = True, Client()
    client.shiplight_lesson = "00-test"
    assert needs(client).setting.mode == "recorded"
    monkeypatch.setenv("SHIPLIGHT_MODE", "live")
    with pytest.raises(BaseNotAvailable):
        needs(client)


def test_without_an_engine_connect_gives_a_stand_in_unless_live_is_demanded(recording, monkeypatch):
    @recordings.replayed()
    def one(client):
        return 1

    def nobody():
        raise EngineNotReachable("no engine", hint="start one")

    one(Client())
    recording()
    monkeypatch.setattr(engine, "connect", nobody)
    monkeypatch.setenv("SHIPLIGHT_MODE", "auto")
    assert one(recordings.connect("00-test")) == one(recordings.connect()) == 1
    for lesson, mode in [("00-test", "live"), ("99-none", "auto")]:
        monkeypatch.setenv("SHIPLIGHT_MODE", mode)
        with pytest.raises(EngineNotReachable):
            recordings.connect(lesson)
    monkeypatch.setenv("SHIPLIGHT_MODE", "nonsense")
    with pytest.raises(UsageError, match="nonsense"):
        recordings.connect()


def test_all_recordings_together_are_small_and_name_every_layer_they_need():
    total = sum(path.stat().st_size for path in recordings.FOLDER.rglob("*") if path.is_file())
    assert total <= recordings.MOST_BYTES
    for path in recordings.sets():
        client = recordings.Recorded(path.stem)
        for entry in json.loads(path.read_text(encoding="utf-8"))["results"]:
            for layer in (entry.get("result") or {}).get("layers", ()) if _is_image(entry) else ():
                assert client.contents(layer["diff_id"]) is not None, (path.name, entry["call"])


def _is_image(entry: dict) -> bool:
    return entry["call"].startswith("measure ") and isinstance(entry.get("result"), dict)


TEXT = """FROM busybox
RUN echo 5 > /five
COPY Dockerfile /www/healthz
EXPOSE 8080
CMD ["cat", "/five"]
"""


def test_live_and_replayed_are_of_the_same_types_with_the_same_fields(
    client, tmp_path, monkeypatch
):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text(TEXT)
    folder = tmp_path / "recordings" / "equivalent"
    folder.mkdir(parents=True)
    monkeypatch.setenv("SHIPLIGHT_RECORD", str(folder / "00-test.json"))
    monkeypatch.setenv("SHIPLIGHT_RECORDINGS", str(folder.parent))

    def lesson(client):
        build = builds.build(client, tmp_path / "app")
        image = measure(client, build)
        return build, image, probing.probe(client, build), probing.run_once(client, build)

    live = lesson(client)
    monkeypatch.delenv("SHIPLIGHT_RECORD")
    again = lesson(recordings.Recorded("00-test"))
    for one, other in zip(live, again, strict=True):
        assert type(one) is type(other)
    assert live[3] == again[3] == "5"
    for one, other in zip(live[:3], again[:3], strict=True):
        assert other.setting == replace(one.setting, mode="recorded")
        for name in (field.name for field in dataclasses.fields(one)):
            assert type(getattr(one, name)) is type(getattr(other, name)), name
    assert live[1].tree().keys() == again[1].tree().keys()
    assert live[1].layers == again[1].layers


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["../apps/first"], "the first argument of build is the client"),
        ([None], "build: missing"),
        ([], "build: missing"),
    ],
)
def test_a_call_without_its_client_or_its_subject_is_told_in_words(arguments, says):
    with pytest.raises(UsageError, match=says) as refused:
        builds.build(*arguments)
    assert refused.value.hint.startswith("build(client, ")
