"""What clean removes and what it leaves, on an engine that is made up here."""

import json
import time
from types import SimpleNamespace

import docker.errors
import pytest

from shiplight.engine import (
    checkout,
    cleaning,
    describing,
    disk,
    endpoints,
    journal,
)
from shiplight.engine.endpoints import Endpoint


class Engine:
    """An engine as `clean` sees it: images, containers, networks, volumes and cache records."""

    def __init__(self, *, id: str = "one", root: str = "/data"):
        self.id, self.root, self.all, self.cache, self.used = id, root, [], [], set()
        self.things = {"containers": [], "networks": [], "volumes": []}
        self.api = SimpleNamespace(
            info=lambda: {"ID": self.id, "DockerRootDir": self.root, "ServerVersion": "28.5.2"},
            version=lambda: {"Version": "28.5.2", "Os": "linux", "Arch": "amd64"},
            base_url="unix:///nowhere",
            timeout=60,
            _get=lambda *_, **__: self._df(),
            images=self._listed,
            inspect_image=self._inspected,
            remove_image=self._remove,
            _url=lambda path: path,
            _post=self._prune,
            _result=lambda answer, json: answer,
        )

    def image(self, name: str | None, engine_id: str, labels: dict | None = None) -> None:
        config = {"Labels": labels or {}}
        tags = [name] if name else []
        self.all.append({"Id": engine_id, "RepoTags": tags, "Config": config, "Size": 7_000_000})

    def names(self) -> list[str]:
        return [name for image in self.all for name in image["RepoTags"] or [image["Id"]]]

    def _inspected(self, name: str) -> dict:
        for image in self.all:
            if name in (image["Id"], *image["RepoTags"]):
                return image
        raise docker.errors.ImageNotFound("no such image")

    def _listed(self, filters: dict) -> list[dict]:
        key, _, value = filters["label"].partition("=")
        found = [(image, image["Config"]["Labels"]) for image in self.all]
        return [
            image | {"Labels": labels}
            for image, labels in found
            if key in labels and value in ("", labels[key])
        ]

    def _remove(self, name: str) -> list:
        if name in self.used:
            raise docker.errors.APIError("conflict: a container uses it")
        self.all.remove(self._inspected(name))
        return []

    def _df(self) -> dict:
        return {"LayersSize": 0, "BuildCache": self.cache, "Images": self.all}

    def _prune(self, url: str, params: dict) -> dict:
        wanted = json.loads(params.get("filters", '{"id": {}}'))["id"]
        ids = [key.strip("^$") for key in wanted] or [record["ID"] for record in self.cache]
        needed = {record.get("Parent") for record in self.cache} if wanted else set()
        gone = [r for r in self.cache if r["ID"] in ids and r["ID"] not in needed]
        gone = [record for record in gone if not record.get("InUse")]
        self.cache = [record for record in self.cache if record not in gone]
        return {"CachesDeleted": [record["ID"] for record in gone]}

    def thing(self, kind: str, name: str, labels: dict, **attrs):
        """A container, a network or a volume that can be removed once."""
        listed = self.things[kind]
        thing = SimpleNamespace(name=name, attrs={"Labels": labels, **attrs}, client=self)
        if kind == "containers":
            thing.labels, thing.exec_run = labels, None
        thing.remove = lambda **_: listed.remove(thing)
        listed.append(thing)
        return thing

    def __getattr__(self, kind: str):
        if kind not in ("containers", "networks", "volumes"):
            raise AttributeError(kind)

        def listed(filters: dict, **_) -> list:
            key, _, value = filters["label"].partition("=")
            all_of_them = [(thing, thing.attrs["Labels"]) for thing in self.things[kind]]
            return [t for t, has in all_of_them if key in has and value in ("", has[key])]

        return SimpleNamespace(list=listed)


@pytest.fixture(autouse=True)
def _lab(monkeypatch, tmp_path):
    """A lab with a journal of the test's own."""
    monkeypatch.setattr(journal, "ROOT", tmp_path)
    monkeypatch.delenv("LAB_ID", raising=False)
    monkeypatch.delenv("LAB_CACHES", raising=False)
    monkeypatch.setattr(cleaning, "IN_USE_SECONDS", 0)
    monkeypatch.setattr(journal, "_said", set())


@pytest.fixture
def engine():
    return Engine()


def own(rest: str) -> str:
    return f"shiplight/{journal.lab_id()}/{rest}"


def journalled(name: str, engine_id: str, kind: str = "build") -> None:
    journal.write(kind, engine="one", name=name, engine_id=engine_id)


def record(record_id: str, description: str, created: float, **more) -> dict:
    """A record of the build cache as an engine lists it."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created)) + f".{created % 1:.6f}"[2:]
    return {
        "ID": f"{record_id:0<12}",
        "Description": description,
        "CreatedAt": f"{stamp}Z",
        "Size": 1000,
        **more,
    }


def built(description: str = "mount / from exec /bin/sh -c make", **more) -> dict:
    """A build is in the journal, and one record of it on the engine."""
    now = time.time()
    steps = [[now - 1, now, "RUN make"]]
    made = {"name": own("a:b"), "engine_id": "sha256:x"}
    journal.write("build", engine="one", window=[now - 1, now], ran=steps, **made)
    return record("ours", description, now - 0.5, **more)


# --- containers, networks and volumes --------------------------------------------------------


@pytest.mark.parametrize("kind", ["containers", "networks", "volumes"])
def test_what_the_journal_has_goes_and_what_only_has_our_label_stays_and_is_named(engine, kind):
    engine.thing(kind, "ours", journal.made(), Image="sha256:x")
    engine.thing(kind, "theirs", {journal.MADE: journal.lab_id()}, Image="sha256:x")
    engine.thing(kind, "more", journal.made() | {journal.MARK: "0" * 16}, Image="sha256:x")
    done = cleaning.clean(engine)
    assert getattr(done, kind) == 1
    assert [thing.name for thing in engine.things[kind]] == ["theirs", "more"]
    assert [(left.what, left.why) for left in done.left] == [
        ("theirs", cleaning.PERHAPS),
        ("more", cleaning.PERHAPS),
    ]
    assert all(left.remove.startswith("docker ") for left in done.left)


@pytest.mark.parametrize("every_lab", [False, True])
def test_a_container_of_an_image_that_somebody_committed_from_one_of_ours_stays(engine, every_lab):
    """`docker commit` copies the labels of the container into the image, and `run` out of it."""
    labels = journal.made()
    engine.image("theirs:1", "sha256:theirs", labels)
    engine.thing("containers", "theirs", dict(labels), Image="sha256:theirs")
    done = cleaning.clean(engine, every_lab=every_lab)
    assert (done.containers, done.left) == (0, ()) and engine.things["containers"]


def test_a_container_of_ours_of_an_image_that_somebody_committed_goes(engine):
    """As a probe of it that was killed leaves one."""
    engine.image("theirs:1", "sha256:theirs", journal.made())
    engine.thing("containers", "ours", journal.made(), Image="sha256:theirs")
    assert cleaning.clean(engine).containers == 1


def test_what_one_engine_has_lost_stays_in_the_journal_for_another(engine):
    other = Engine(id="two")
    other.thing("containers", "ours", journal.made(), Image="sha256:x")
    journal.write("build", engine="two", name=own("a:b"), engine_id="sha256:a")
    cleaning.clean(engine)
    assert cleaning.clean(other).containers == 1


# --- images ----------------------------------------------------------------------------------


def test_an_image_of_the_journal_goes_and_one_that_somebody_made_from_it_stays(engine):
    name, heir = own("go:multi"), own("mine:1")
    engine.image(name, "sha256:ours", journal.labels(name))
    engine.image(heir, "sha256:heir", journal.labels(name))
    journalled(name, "sha256:ours")
    done = cleaning.clean(engine)
    assert done.images == 1 and engine.names() == [heir]
    assert done.left == (cleaning.Left(heir, cleaning.PERHAPS, 7_000_000, f"docker rmi {heir}"),)


def test_an_image_that_somebody_built_under_the_name_of_ours_stays(engine):
    name = own("go:multi")
    engine.image(name, "sha256:theirs", journal.labels(name))
    journalled(name, "sha256:ours")
    assert cleaning.clean(engine).images == 0 and engine.names() == [name]


def test_an_image_that_somebody_derived_from_ours_stays_though_the_journal_names_it(engine):
    engine.image("mine:1", "sha256:heir", journal.labels(own("go:multi")))
    journalled("mine:1", "sha256:heir")
    assert cleaning.clean(engine).images == 0 and engine.names() == ["mine:1"]


def test_an_image_of_a_process_that_was_killed_before_it_knew_the_id_goes(engine):
    name = own("go:multi")
    journal.write("begun", engine="one", name=name)
    engine.image(name, "sha256:ours", journal.labels(name))
    assert cleaning.clean(engine).images == 1


def test_a_pulled_image_goes_by_its_name_and_id(engine):
    engine.image("golang:1", "sha256:pulled")
    engine.image("alpine:3", "sha256:other")
    journalled("golang:1", "sha256:pulled", "image")
    journalled("alpine:3", "sha256:an-older-one", "image")
    assert cleaning.clean(engine).images == 1 and engine.names() == ["alpine:3"]


@pytest.mark.parametrize("every_lab", [False, True])
def test_names_of_another_lab_in_our_journal_are_not_believed(engine, every_lab):
    """As a checkout that was copied by an earlier version has them, with the other's journal."""
    name = "shiplight/29d70350/go:multi"
    labels = {journal.LABEL: "29d70350"}
    engine.image(name, "sha256:theirs", labels)
    journalled(name, "sha256:theirs")
    engine.image("golang:1", "sha256:pulled")
    journal.write("image", engine="one", name="golang:1", engine_id="sha256:pulled", lab="29d70350")
    assert cleaning.clean(engine, every_lab=every_lab).images == 0


def test_of_every_lab_goes_what_has_its_own_name_in_its_label(engine):
    def labels(name: str) -> dict:
        return {journal.LABEL: "29d70350", journal.NAME: name}

    theirs, base = "shiplight/29d70350/go:multi", "shiplight/base/go:1"
    engine.image(theirs, "sha256:1", labels(theirs))
    engine.image(base, "sha256:2", labels(base))
    stay = ["shiplight/team:1", "shiplight/29d70350/mine:1", "shiplight/base/mine:1", "team/x:1"]
    for number, name in enumerate(stay):
        engine.image(name, f"sha256:heir{number}", labels(theirs))
    assert cleaning.clean(engine).images == 0
    assert cleaning.clean(engine, every_lab=True).images == 2
    assert engine.names() == stay


@pytest.mark.parametrize("kind", ["image", "build"])
def test_an_image_that_somebody_used_without_its_name_goes_the_next_time(engine, kind):
    name = own("app:1")
    journal.write(kind, engine="one", name=name, engine_id="sha256:old")
    engine.image(None, "sha256:old", journal.labels(name))
    engine.image(name, "sha256:new", journal.labels("theirs"))
    engine.used = {"sha256:old"}
    done = cleaning.clean(engine)
    assert (done.left[0].what, done.left[0].why) == ("sha256:old", cleaning.USED)
    assert done.left[0].bytes == 7_000_000
    engine.used = set()
    assert cleaning.clean(engine).images == 1 and not list(journal.read())


def test_one_engine_is_not_taken_for_another_of_the_same_machine():
    """Before 23, an Id is made from /etc/docker/key.json, which all of them share."""
    first, second = Engine(root="/var/lib/docker"), Engine(root="/mnt/docker")
    for one in (first, second):
        one.api.info = lambda root=one.root: {
            "ID": "KEY", "DockerRootDir": root, "ServerVersion": "20.10.24",
        }  # fmt: skip
    first.image("golang:1", "sha256:pulled")
    journal.write(
        "image", engine=describing.identity(first), name="golang:1", engine_id="sha256:pulled"
    )
    assert cleaning.clean(second).images == 0
    assert cleaning.clean(first).images == 1


# --- the build cache -------------------------------------------------------------------------


def test_a_cache_record_of_ours_goes_and_others_stay(engine):
    engine.cache = [built(), record("theirs", "mount / from exec /bin/sh -c make", 1_000_000)]
    assert cleaning.clean(engine).cache_records == 1
    assert [one["ID"] for one in engine.cache] == ["theirs000000"]
    assert not list(journal.read())


def test_a_cache_record_that_one_of_others_needs_is_named_with_its_bytes(engine):
    engine.cache = [built(), record("theirs", "fileop target", 1_000, Parent="ours00000000")]
    done = cleaning.clean(engine)
    [left] = done.left
    assert (left.bytes, left.what) == (1000, "1 cache records")
    engine.cache.pop()
    assert cleaning.clean(engine).cache_records == 1, "the journal still knows it"


def test_a_cache_record_that_was_in_use_goes_the_next_time(engine):
    """As after a restart of an engine whose disk was full."""
    engine.cache = [built(InUse=True)]
    done = cleaning.clean(engine)
    [left] = done.left
    assert (left.what, left.why) == ("1 cache records", "still in use")
    engine.cache[0]["InUse"] = False
    assert cleaning.clean(engine).cache_records == 1


def test_a_volume_that_was_in_use_goes_the_next_time(engine):
    def refused() -> None:
        raise docker.errors.APIError("conflict: volume is in use")

    volume = engine.thing("volumes", "vol", journal.made())
    remove, volume.remove = volume.remove, refused
    [left] = cleaning.clean(engine).left
    assert (left.what, left.why) == ("vol", cleaning.USED)
    volume.remove = remove
    done = cleaning.clean(engine)
    assert (done.volumes, done.left) == (1, ()) and not list(journal.read())


def test_when_our_record_is_gone_that_of_somebody_at_the_same_time_is_not_ours(engine):
    """Neither in the same clean, nor in the next one, which another record made necessary."""
    ours = built(UsageCount=1)
    end = next(journal.read("build"))["window"][1]
    stamp = record("x", "", end + 0.01)["CreatedAt"]
    ours |= {"LastUsedAt": stamp}
    since = record("since", "", end + 0.7)["CreatedAt"]
    theirs = ours | {"ID": "theirs000000", "LastUsedAt": since}
    child = record("child", "fileop target", 1000, Parent=ours["ID"])
    engine.cache = [ours, theirs, child]
    for _ in range(2):
        cleaning.clean(engine)
    assert theirs in engine.cache
    engine.cache.remove(child)
    for _ in range(3):
        cleaning.clean(engine)
    assert engine.cache == [theirs]


@pytest.fixture
def private(monkeypatch, tmp_path):
    """The private engine of this checkout, with cache that nobody can tell whose it is."""
    monkeypatch.setattr(checkout, "ENGINES", tmp_path / "engines")
    one = Engine(root=str(endpoints.private_data()))
    one.shiplight_endpoint = Endpoint(f"unix://{endpoints.private_socket()}", "ours")
    one.cache = [record(f"any{n}", "fileop target", 1000 + n) for n in range(5)]
    return one


def test_on_the_private_engine_of_this_checkout_the_whole_cache_goes(private):
    done = cleaning.clean(private)
    assert (done.cache_records, done.left, private.cache) == (5, (), [])


def test_a_lab_beside_the_checkouts_own_leaves_the_cache_of_its_engine(private, monkeypatch):
    monkeypatch.setenv("LAB_ID", "beside")
    assert cleaning.clean(private).cache_records == 0 and len(private.cache) == 5


def test_another_engine_at_the_socket_of_the_private_one_keeps_its_cache(private):
    private.root = "/var/lib/docker"
    assert cleaning.clean(private).cache_records == 0 and len(private.cache) == 5


def test_a_lesson_gives_back_what_only_its_own_builds_made_and_used(engine):
    first = built(UsageCount=1)
    engine.cache = [first | {"UsageCount": 2}]
    assert cleaning.prune_cache_of(engine, [own("a:b")]) == 0, "another build used it too"
    engine.cache = [first]
    assert cleaning.prune_cache_of(engine, [own("other:b")]) == 0
    assert cleaning.prune_cache_of(engine, [own("a:b")]) == 1


def test_a_new_machine_keeps_nothing_that_the_builds_of_an_app_made_and_used_again(engine):
    engine.cache = [built(UsageCount=1) | {"UsageCount": 2}]
    assert cleaning.names_of_builds(engine, "a") == [own("a:b")]
    assert cleaning.names_of_builds(engine, "") == cleaning.names_of_builds(engine, "other") == []
    assert cleaning.prune_cache_of(engine, [own("other:b")], used=True) == 0
    assert cleaning.prune_cache_of(engine, [own("a:b")], used=True) == 1


def test_a_new_machine_has_lost_the_cache_mounts_of_an_app_and_no_others(engine):
    """Engines from 23 on end their description with the id, which has our namespace in it."""
    told = 'cached mount /c from exec /bin/sh -c {} with id "{}//c"'
    ours, _ = journal.cache_namespace(), built()
    mounts = [told.format("make", ours), told.format("other", ours), told.format("make", "theirs")]
    engine.cache = [record(f"mount{n}", mount, 1000.0 + n) for n, mount in enumerate(mounts)]
    assert cleaning.prune_cache_of(engine, [own("a:b")], used=True) == 1
    assert [one["Description"] for one in engine.cache] == mounts[1:]


@pytest.mark.parametrize(
    ("before", "after", "gained"),
    [
        ((100, 50), (40, 110), 60),  # all came back
        ((100, 50), (40, 70), 20),  # layers that the cache still has did not
        ((100, 50), (40, 900), 60),  # somebody else made room too
        ((100, 50), (40, 10), 0),  # somebody else took more
        ((100, None), (40, None), 60),  # the disk cannot be seen from here
    ],
)
def test_what_came_back_is_what_the_disk_gained(engine, monkeypatch, before, after, gained):
    answers = iter([before, after])
    monkeypatch.setattr(disk.Gauge, "_read", lambda _: next(answers))
    assert disk.Gauge(engine).gained() == gained


# --- the lab's own files ---------------------------------------------------------------------


def test_caches_go_and_folders_of_somebody_stay_and_are_named(engine, tmp_path):
    (journal.cache("layers") / "one.zst").write_bytes(b"x")
    (tmp_path / ".lab" / "downloads").mkdir()
    (tmp_path / ".lab" / "downloads" / "thesis.txt").write_text("theirs")
    done = cleaning.clean(engine)
    assert not (tmp_path / ".lab" / "layers").exists()
    assert (tmp_path / ".lab" / "downloads" / "thesis.txt").read_text() == "theirs"
    [left] = done.left
    assert left.what.endswith(".lab/downloads") and left.bytes == 6


@pytest.mark.parametrize("what", [".lab", ".lab/trivy"])
def test_nothing_behind_a_link_is_removed(engine, tmp_path, what):
    theirs = tmp_path / "theirs"
    for name in journal.CACHES:
        (theirs / name).mkdir(parents=True)
        (theirs / name / "thesis.txt").write_text("theirs")
    (theirs / journal.TAG).write_text(journal.TAG_TEXT)
    (tmp_path / what).parent.mkdir(exist_ok=True)
    (tmp_path / what).symlink_to(theirs)
    cleaning.clean(engine)
    assert all((theirs / name / "thesis.txt").exists() for name in journal.CACHES)


def test_what_a_killed_process_was_working_on_goes_and_what_is_worked_on_stays(engine):
    with journal.workplace() as place:
        left = place.with_name("left")
        left.mkdir()
        (left / "image.tar").write_bytes(b"x")
        cleaning.clean(engine)
        assert place.is_dir() and not left.exists()
    assert not place.exists()


def test_the_doctor_counts_what_clean_would_remove(engine):
    name = own("go:multi")
    engine.image(name, "sha256:ours", journal.labels(name))
    journalled(name, "sha256:ours")
    engine.thing("containers", "ours", journal.made(), Image="sha256:ours")
    engine.cache = [built()]
    (journal.cache("layers") / "one.zst").write_bytes(b"12345")
    held = cleaning.held(engine)
    assert (held.containers, held.images, held.cache_records) == (1, 1, 1)
    assert held.engine_bytes == 7_001_000 and held.file_bytes == 5 + len(journal.TAG_TEXT)
    assert engine.names() == [name] and len(engine.cache) == 1


# --- a journal that is damaged ---------------------------------------------------------------

DAMAGED = {
    "number": b"5\n",
    "list": b"[1, 2]\n",
    "null": b"null\n",
    "text": b'"build"\n',
    "no kind": b'{"when": 1}\n',
    "no when": b'{"kind": "build"}\n',
    "when is text": b'{"kind": "build", "when": "now"}\n',
    "when is no number": b'{"kind": "build", "when": NaN}\n',
    "when is huge": b'{"kind": "build", "when": 1' + b"0" * 400 + b"}\n",
    "name is a list": b'{"kind": "build", "when": 1, "name": []}\n',
    "engine is a number": b'{"kind": "build", "when": 1, "engine": 5}\n',
    "engine_id is true": b'{"kind": "build", "when": 1, "engine": "one", "engine_id": true}\n',
    "window is 5": b'{"kind": "build", "when": 1, "engine": "one", "window": 5}\n',
    "window is short": b'{"kind": "build", "when": 1, "engine": "one", "window": [1]}\n',
    "ran is text": b'{"kind": "build", "when": 1, "window": [1, 2], "ran": "RUN"}\n',
    "ran has holes": b'{"kind": "build", "when": 1, "window": [1, 2], "ran": [[1, null, "x"]]}\n',
    "mark is null": b'{"kind": "made", "when": 1, "mark": null}\n',
    "deep": b"[" * 100_000 + b"\n",
    "deep in an entry": b'{"kind": "x", "when": 1, "y": ' + b"[" * 100_000 + b"\n",
    "not UTF-8": b'{"kind": "build\xff", "when": 1}\n',
    "NUL": b"\0" * 1000 + b"\n",
    "half a line": b'{"kind": "bui\n',
    "a long number": b"1" * 10_000 + b"\n",
    "name is no name": b'{"kind": "build", "when": 1, "engine": "one", "name": "../a b"}\n',
    "name is empty": b'{"kind": "build", "when": 1, "engine": "one", "name": ""}\n',
    "a lone surrogate": b'{"kind": "build", "when": 1, "name": "\\ud800"}\n',
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_line_is_left_out_and_said_and_our_image_goes(engine, capsys, damage):
    name = own("go:multi")
    engine.image(name, "sha256:ours", journal.labels(name))
    with open(journal.folder() / "journal.jsonl", "ab") as file:
        file.write(damage)
    journalled(name, "sha256:ours")
    assert cleaning.clean(engine).images == 1
    assert "1 lines of" in capsys.readouterr().err
    assert list(journal.read()) == []


def test_a_journal_without_end_is_read_in_bounded_memory(engine, capsys):
    name = own("go:multi")
    engine.image(name, "sha256:ours", journal.labels(name))
    journalled(name, "sha256:ours")
    with open(journal.path("journal.jsonl"), "ab") as file:
        file.truncate(1 << 40)  # one line of zeros, which is nowhere on the disk
    assert cleaning.clean(engine).images == 1
    assert "too large to be read whole" in capsys.readouterr().err


def test_the_lab_of_an_id_in_the_environment_is_no_link(engine, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAB_ID", "att")
    journal.path().parent.mkdir(parents=True)
    (tmp_path / "theirs").mkdir()
    journal.path().symlink_to(tmp_path / "theirs")
    engine.image("shiplight/att/go:multi", "sha256:x", journal.labels("shiplight/att/go:multi"))
    journalled("shiplight/att/go:multi", "sha256:x")
    assert cleaning.clean(engine).images == 0 and "is a link" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["folder", "pipe", "link"])
def test_what_is_no_file_in_the_journals_place_is_not_read_and_stays(engine, tmp_path, what):
    place = journal.folder() / "journal.jsonl"
    if what == "folder":
        place.mkdir()
    elif what == "pipe":
        pytest.importorskip("os").mkfifo(place)
    else:
        (tmp_path / "theirs").write_text("{}\n")
        place.symlink_to(tmp_path / "theirs")
    assert cleaning.clean(engine).images == 0
    assert place.exists()
    with pytest.raises(Exception, match=r"\.lab.*cannot be written"):
        journal.write("begun", name="x")
