"""Measuring from an engine and from a file, the layer store, and what is not asked twice."""

import json
from contextlib import contextmanager
from dataclasses import replace

import factories
import pytest
from factories import directory, file, whiteout

from shiplight import engine
from shiplight.engine import journal
from shiplight.errors import ArchiveError, ImageNotFound, UsageError
from shiplight.image import Image, LayerStore, align
from shiplight.image.model import clean_instruction
from shiplight.image.store import VERSIONS
from shiplight.inspection import measure, measuring, search_each
from shiplight.setting import Setting
from shiplight.setup import ROOT

HISTORY = [
    {"created_by": "/bin/sh -c #(nop) ADD file:1 in / ", "comment": ""},
    {"created_by": "ENV A=b", "comment": "buildkit.dockerfile.v0", "empty_layer": True},
    {"created_by": "WORKDIR /app", "comment": "buildkit.dockerfile.v0"},
    {"created_by": "RUN /bin/sh -c rm /tmp/cache # buildkit"},
    {"created_by": 'CMD ["app"]', "empty_layer": True},
]
LAYERS = [
    [directory("bin"), file("bin/sh", 3000), file("tmp/cache", 700)],
    [directory("app")],
    [whiteout("tmp/cache"), file("log", 5)],
]
SETTING = Setting("Docker 1", "graph driver x", "linux/amd64", "unknown", "2026-11-23T10:00:00")
IMAGE = factories.Image(LAYERS, history=HISTORY, config={"Cmd": ["app"], "Env": ["A=b"]})


class Engine:
    """Stands in for the four functions of `engine` that measuring asks, and counts exports."""

    def __init__(self, image=IMAGE, *, store="graph", packing=""):
        self.image, self.store = image, store
        self.data = factories.oci(image, packing=packing)
        self.exports = self.closed = 0

    def inspect_image(self, client, name):
        if name != self.image.name:
            raise ImageNotFound(f"there is no image {name}.")
        document = json.loads(self.image.config_json)
        nothing = {"Hostname": "", "Volumes": None, "Labels": None, "User": "", "OnBuild": []}
        return {
            "Id": f"sha256:{factories.sha256(self.image.config_json)}",
            "Created": document["created"],
            "Os": "linux",
            "Architecture": "amd64",
            "Config": {**nothing, **document["config"]},
            "RootFS": {"Type": "layers", "Layers": document["rootfs"]["diff_ids"]},
        }

    def image_history(self, client, name):
        sizes = iter([3700, 0, 5])
        return [
            {
                "CreatedBy": step.get("created_by", ""),
                "Comment": step.get("comment", ""),
                "Size": 0 if step.get("empty_layer") else next(sizes),
            }
            for step in self.image.history
        ][::-1]

    def image_store(self, client):
        return self.store

    @contextmanager
    def export_image(self, client, name):
        self.exports += 1
        try:
            yield (self.data[at : at + 1000] for at in range(0, len(self.data), 1000))
        finally:
            self.closed += 1


@pytest.fixture
def at(monkeypatch):
    """`at(Engine(…))` puts that engine behind the seam."""

    def put(stand_in: Engine) -> Engine:
        for name in ("inspect_image", "image_history", "image_store", "export_image"):
            monkeypatch.setattr(engine, name, getattr(stand_in, name))
        monkeypatch.setattr(engine, "setting", lambda client, bases: SETTING)
        return stand_in

    return put


@pytest.fixture(autouse=True)
def _lab(monkeypatch, tmp_path):
    """What a test measures without a store of its own is not known to the next one."""
    monkeypatch.setattr(journal, "ROOT", tmp_path / "checkout")


@pytest.fixture
def store(tmp_path):
    return LayerStore(tmp_path / "layers")


NAME = IMAGE.name


def whole(image: Image) -> dict:
    return image.to_dict(files=True)


def test_an_image_on_the_engine(at):
    stand_in = at(Engine())
    image = measure(object(), NAME)
    assert (image.name, image.unpacked_bytes, image.reclaimable_bytes) == (NAME, 3705, 700)
    assert image.engine_id == image.config_digest
    assert (stand_in.exports, stand_in.closed) == (1, 1)


def test_an_archive_needs_no_engine(tmp_path):
    path = tmp_path / "image.tar"
    path.write_bytes(factories.legacy(IMAGE))
    for given in (path, str(path)):
        image = measure(None, given)
        assert (image.name, image.engine_id, image.unpacked_bytes) == (NAME, None, 3705)


def test_what_is_neither_is_said(at, tmp_path):
    at(Engine())
    with pytest.raises(ImageNotFound):
        measure(object(), "no/such")
    with pytest.raises(ImageNotFound, match="no archive at"):
        measure(object(), tmp_path / "gone.tar")


class Index(Engine):
    """A containerd store, where the Id of an index stands for the platform of it that is here."""

    def inspect_image(self, client, name):
        machine = self.image.platform.partition("/")[2]
        return super().inspect_image(client, name) | {"Id": "index", "Architecture": machine}


def test_an_id_that_stands_for_another_platform_by_now_is_measured_anew(at, store):
    for machine in ("arm64", "amd64", "amd64"):
        stand_in = at(Index(replace(IMAGE, platform=f"linux/{machine}"), store="containerd"))
        assert measure(object(), NAME, store=store).platform == f"linux/{machine}"
    assert stand_in.exports == 0


@pytest.mark.parametrize(("store", "helps"), [("containerd", "docker rmi"), ("graph", "save")])
def test_an_image_that_a_store_has_only_in_part_is_pulled_again(at, store, helps):
    """A containerd store fetches no layer that is there in another compression."""
    stand_in = at(Engine(store=store, packing="gzip"))
    files = factories.oci_files(IMAGE, packing="gzip")
    config = f"blobs/sha256/{factories.sha256(IMAGE.config_json)}"
    stand_in.data = factories.archive({k: v for k, v in files.items() if k != config})
    with pytest.raises(ArchiveError, match="is missing") as failed:
        measure(object(), IMAGE.name)
    assert helps in failed.value.hint


def test_an_image_measured_before_costs_no_export(at, store):
    stand_in = at(Engine(store="containerd", packing="gzip"))
    first = measure(object(), NAME, store=store)
    again = measure(object(), NAME, store=LayerStore(store.folder))
    assert stand_in.exports == 1
    assert whole(first) == whole(again)
    assert not again.packed_is_estimate


@pytest.mark.parametrize("store", ["graph", "containerd"])
def test_search_for_several_words_exports_the_image_once_and_measures_it(at, store, tmp_path):
    stand_in = at(Engine(store=store, packing="gzip" if store == "containerd" else ""))
    found, nothing = search_each(object(), NAME, ["cache", "nowhere"])
    assert [one.where for one in found.found] == [
        "RUN /bin/sh -c rm /tmp/cache # buildkit", "/tmp/cache", "/tmp/.wh.cache",
    ] and not nothing  # fmt: skip
    searched = measure(object(), NAME)
    assert (stand_in.exports, stand_in.closed) == (1, 1)
    exported_again = measure(object(), NAME, store=LayerStore(tmp_path / "layers"))
    assert stand_in.exports == 2
    assert whole(searched) == whole(exported_again)


def test_search_of_a_missing_image_says_so_before_any_export(at):
    stand_in = at(Engine())
    with pytest.raises(ImageNotFound):
        search_each(object(), "no/such", ["cache"])
    assert stand_in.exports == 0


def test_an_image_of_known_layers_costs_no_export_and_is_the_same(at, store, tmp_path):
    from_export = measure(object(), NAME) if at(Engine()) else None
    path = tmp_path / "image.tar"
    path.write_bytes(factories.legacy(IMAGE))
    measure(None, path, store=store)
    stand_in = at(Engine())
    assert whole(measure(object(), NAME, store=store)) == whole(from_export)
    assert stand_in.exports == 0


@pytest.mark.parametrize(
    "history",
    [
        [{"created_by": "RUN a"}, {"created_by": "RUN b"}],  # one too few
        [{"created_by": "RUN true", "empty_layer": True}, *HISTORY],  # a RUN without a layer
        [HISTORY[1], HISTORY[1], HISTORY[0], HISTORY[2]],
    ],
)
def test_a_history_that_leaves_doubt_is_read_from_the_archive(at, store, tmp_path, history):
    path = tmp_path / "image.tar"
    path.write_bytes(factories.legacy(IMAGE))
    measure(None, path, store=store)
    odd = factories.Image(LAYERS, history=history, config=IMAGE.config)
    stand_in = at(Engine(odd))
    measure(object(), NAME, store=store)
    assert stand_in.exports == 1


def test_bytes_of_the_history_must_agree_with_the_layers(at, store, tmp_path):
    swapped = [HISTORY[0], HISTORY[3], HISTORY[1], {"created_by": "CMD x"}]  # CMD made a layer
    odd = factories.Image(LAYERS, history=swapped, config=IMAGE.config)
    path = tmp_path / "image.tar"
    path.write_bytes(factories.legacy(IMAGE))
    measure(None, path, store=store)
    stand_in = at(Engine(odd))
    image = measure(object(), NAME, store=store)
    assert stand_in.exports == 1
    assert [layer.instruction for layer in image.layers][-1] == "CMD x"


def test_an_interrupt_closes_the_export_and_leaves_nothing(at, store, monkeypatch):
    stand_in = at(Engine(factories.Image([[file("f", bytes(9_000_000))]])))

    def interrupted(source, **_):
        next(iter(source))
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "read_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(object(), NAME, store=store)
    assert stand_in.closed == 1
    assert not store.folder.exists()


def test_a_damaged_store_is_no_store(at, store):
    stand_in = at(Engine())
    first = measure(object(), NAME, store=store)
    saved = sorted(path for path in store.folder.rglob("*") if path.is_file())
    assert len(saved) == 4
    for exports, path in enumerate(saved, start=1):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        stand_in.exports = 0
        assert whole(measure(object(), NAME, store=store)) == whole(first), exports
        path.write_bytes(data[:10])
        assert whole(measure(object(), NAME, store=store)) == whole(first)


@pytest.mark.parametrize("kind", ["layers", "images"])
def test_a_store_of_another_version_is_no_store(at, store, monkeypatch, kind):
    stand_in = at(Engine(store="containerd", packing="gzip"))
    measure(object(), NAME, store=store)
    monkeypatch.setitem(VERSIONS, kind, 999)
    measure(object(), NAME, store=store)
    assert stand_in.exports == 2


def test_a_store_that_cannot_be_written_keeps_nothing(at, tmp_path):
    at(Engine())
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert measure(object(), NAME, store=LayerStore(blocked / "x")).unpacked_bytes == 3705


def test_a_packed_layer_never_displaces_an_estimate(at, store):
    at(Engine())
    plain = measure(object(), NAME, store=store)
    at(Engine(factories.Image(LAYERS, history=HISTORY), packing="gzip", store="containerd"))
    measure(object(), NAME, store=store)
    assert store.get(plain.layers[0].diff_id).packed_estimate == plain.layers[0].packed_bytes


def test_without_file_lists_the_tree_is_refused_with_a_way_out(at):
    at(Engine())
    image = Image.from_dict(json.loads(json.dumps(measure(object(), NAME).to_dict())))
    assert image.reclaimable_bytes == 700
    with pytest.raises(UsageError, match="file lists"):
        image.tree()


def test_same_content_at_two_paths_is_a_hint_and_not_reclaimable(at):
    layers = [[file("a", b"x" * 900), file("b", b"y" * 10)], [file("copy/a", b"x" * 900)]]
    at(Engine(factories.Image(layers)))
    image = measure(object(), NAME)
    assert image.duplicates() == [(900, ("a", "copy/a"))]
    assert image.reclaimable_bytes == 0


def test_repr_is_the_report(at):
    at(Engine())
    image = measure(object(), NAME)
    shown = repr(image)
    assert shown.startswith("Image example/app:1  3.71 kB unpacked, ")
    assert shown.endswith(" packed (estimate), 3 layers, 700 B reclaimable")


@pytest.mark.parametrize(
    ("created_by", "instruction"),
    [
        ("/bin/sh -c #(nop) COPY dir:abc in /x ", "COPY dir:abc in /x"),
        (
            "/bin/sh -c apt-get update \t&& apt-get install x",
            "RUN apt-get update && apt-get install x",
        ),
        ("RUN /bin/sh -c go build . # buildkit", "RUN go build ."),
        ("COPY /src /dst # buildkit", "COPY /src /dst"),
        ("|1 A=b /bin/sh -c make", "RUN make"),
        ("|2 A=b c B=d /bin/sh -c #(nop) COPY a b", "COPY a b"),
        ("RUN |1 A=b /bin/sh -c make # buildkit", "RUN make"),
        ("RUN /bin/bash -o pipefail -c x | y # buildkit", "RUN x | y"),
        ("RUN go vet # buildkit", "RUN go vet"),
        ('ENTRYPOINT ["/bin/sh" "-c" "x"]', 'ENTRYPOINT ["/bin/sh" "-c" "x"]'),
        ("", ""),
    ],
)
def test_instructions_read_as_they_were_written(created_by, instruction):
    assert clean_instruction(created_by) == instruction


@pytest.mark.parametrize(
    ("created_by", "comment", "instruction"),
    [
        ("jib-maven-plugin:3.4.4", "dependencies", "dependencies (jib-maven-plugin:3.4.4)"),
        (
            "ko build ko://example.com/cmd/app",
            "kodata contents, at $KO_DATA_PATH",
            "kodata contents, at $KO_DATA_PATH (ko build ko://example.com/cmd/app)",
        ),
        ("apko", "This is an apko\n image", "This is an apko image (apko)"),
        ("bash", "with curl", "with curl (bash)"),  # of docker commit
        ("bazel build ...", "", "bazel build ..."),
        ("", "Buildpacks Launcher Config", "Buildpacks Launcher Config"),
        ("COPY app /app # buildkit", "buildkit.dockerfile.v0", "COPY app /app"),
        ("mystery", "buildkit.exporter.image.v0", "mystery"),
        ("/bin/sh -c make", "FROM docker.io/library/alpine:3.22", "RUN make"),  # of Buildah
        ("/bin/sh -c #(nop) USER app", "why not", "USER app"),
        ("# debian.sh out/", "debuerreotype 0.16", "# debian.sh out/"),
    ],
)
def test_a_comment_tells_apart_the_layers_of_a_tool_without_a_dockerfile(
    created_by, comment, instruction
):
    assert align([{"created_by": created_by, "comment": comment}], 1) == ((instruction, 0),)


def test_config_only_instructions_are_listed_without_a_layer():
    assert [index for _, index in align(HISTORY, 3)] == [0, None, 1, 2, None]


def test_a_configuration_of_wrong_types_is_refused(tmp_path):
    for config in ({"Env": 3}, {"User": ["x"]}, {"Labels": "x"}):
        path = tmp_path / "image.tar"
        path.write_bytes(factories.legacy(factories.Image(LAYERS, config=config)))
        with pytest.raises(ArchiveError, match="the configuration: expected"):
            measure(None, path)


def test_every_field_of_the_json_is_documented(at):
    at(Engine())
    data = measure(object(), NAME).to_dict()
    documented = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    for field in {*data, *data["layers"][0]}:
        assert f"`{field}`" in documented, field
