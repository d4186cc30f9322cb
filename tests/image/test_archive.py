"""Reading archives: every layout gives the same image, and a damaged one gives an ArchiveError."""

import gzip
import io
import json
import random
import tarfile
from types import SimpleNamespace

import factories
import pytest
from factories import (
    Image,
    as_json,
    directory,
    file,
    hard_link,
    legacy,
    oci,
    opaque,
    symlink,
    tar_with_right_checksum,
    whiteout,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from shiplight.errors import ArchiveError
from shiplight.image import LayerContent, read_image, tarstream
from shiplight.image import archive as archive_module
from shiplight.image.archive import PackedEstimate
from shiplight.image.changes import Entry

LAYERS = [
    [directory("./"), directory("./bin"), file("./bin/sh", 3000), symlink("bin/ash", "sh")],
    [file("app", 5000), hard_link("app2", "app"), file("tmp/cache", 700), file("café", 10)],
    [whiteout("tmp/cache"), file("app", 5000, mode=0o755), opaque("etc")],
]
HISTORY = [
    {"created_by": "/bin/sh -c #(nop) ADD file:1 in / "},
    {"created_by": '/bin/sh -c #(nop)  CMD ["sh"]', "empty_layer": True},
    {"created_by": "COPY app / # buildkit"},
    {"created_by": "RUN |1 A=b /bin/sh -c rm -r /tmp/cache # buildkit"},
]
IMAGE = Image(LAYERS, history=HISTORY, config={"Cmd": ["sh"], "User": "65532", "Env": ["A=b=c"]})
PACKINGS = ["gzip", "gzip members", "zstd", "zstd frames"]
LAYOUTS = {
    "legacy": legacy(IMAGE),
    "oci": oci(IMAGE),
    "oci without manifest.json": oci(IMAGE, manifest_json=False),
    "oci, nested, with attestation": oci(IMAGE, manifest_json=False, nested=True),
    **{f"oci, layers {packing}": oci(IMAGE, packing=packing) for packing in PACKINGS},
    **{f"legacy in {packing}": factories.pack(legacy(IMAGE), packing) for packing in PACKINGS},
}


def read(data: bytes, **options):
    return read_image(io.BytesIO(data), **options)


def facts(image):
    """What has to be the same however an image was saved."""
    kept = ("unpacked_bytes", "reclaimable_bytes", "config", "config_digest", "platform", "history")
    return {key: image.to_dict(files=True)[key] for key in (*kept, "buried", "contents")}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_image(layout):
    image = read(LAYOUTS[layout])
    assert facts(image) == facts(read(LAYOUTS["legacy"]))
    assert image.name == "example/app:1"
    assert image.packed_is_estimate is ("layers" not in layout)


def test_the_numbers_of_an_image():
    image = read(legacy(IMAGE))
    assert [layer.unpacked_bytes for layer in image.layers] == [3000, 5710, 5000]
    assert [layer.reclaimable_bytes for layer in image.layers] == [0, 700, 0]
    assert [layer.files for layer in image.layers] == [1, 4, 1]
    assert image.history == (
        ("ADD file:1 in /", 0),
        ('CMD ["sh"]', None),
        ("COPY app /", 1),
        ("RUN rm -r /tmp/cache", 2),
    )
    assert (image.cmd, image.user, image.env) == (("sh",), "65532", {"A": "b=c"})
    assert image.find("/bin/*").keys() == {"bin/sh", "bin/ash"}
    assert image.tree()["app2"][0].size == 5000
    assert "13.7 kB unpacked" in repr(image)


def test_an_image_survives_json():
    image = read(oci(IMAGE, packing="zstd"))
    assert type(image).from_dict(image.to_dict(files=True)) == image
    assert type(image).from_dict(image.to_dict(files=True)).tree() == image.tree()


def test_a_file_that_has_nothing_to_read_now_is_no_archive():
    """A read of some files in /proc returns None: nothing yet."""
    with pytest.raises(ArchiveError, match="it is empty"):
        read_image(SimpleNamespace(read=lambda size: None))


def test_packed_layers_have_their_stored_bytes_and_digest():
    data = factories.pack(IMAGE.tars[1], "gzip")
    layer = read(oci(IMAGE, packing="gzip")).layers[1]
    assert (layer.packed_bytes, layer.packed_is_estimate) == (len(data), False)
    assert layer.digest == f"sha256:{factories.sha256(data)}"


@pytest.mark.parametrize("size", [1, 7, 511, 512, 4096])
def test_chunks_may_be_of_any_size(size):
    data = LAYOUTS["oci, layers gzip"]
    chunks = (data[at : at + size] for at in range(0, len(data), size))
    assert facts(read_image(chunks)) == facts(read(data))


def test_a_layer_that_comes_twice_is_a_link_in_the_legacy_layout():
    image = read(legacy(Image([LAYERS[0], LAYERS[1], LAYERS[0]])))
    assert [layer.unpacked_bytes for layer in image.layers] == [3000, 5710, 3000]
    assert image.reclaimable_bytes == 3000


def test_an_image_without_history_says_so():
    assert [layer.instruction for layer in read(legacy(Image(LAYERS[:1]))).layers] == [
        "(no history)"
    ]
    imported = Image(LAYERS[:1], history=[{"comment": "Imported from -"}])
    assert read(legacy(imported)).layers[0].instruction == "Imported from -"


def test_a_history_of_another_length_explains_nothing():
    image = read(legacy(Image(LAYERS, history=HISTORY[:3])))
    assert [layer.instruction for layer in image.layers] == ["(no history)"] * 3


def test_an_image_without_layers():
    image = read(legacy(Image([])))
    assert (image.unpacked_bytes, image.packed_bytes, image.layers) == (0, 0, ())


def test_an_empty_layer_of_no_bytes_at_all():
    assert read(oci(Image([b""]))).layers[0].files == 0


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_every_tar_format(format):
    path = "/".join(["directory"] * 15 + ["file"])
    items = [file(path, 5), symlink("s", path[:90]), hard_link("h", path[-90:])]
    image = read(legacy(Image([factories.tar(items, format=format)])))
    assert image.tree()[path][0].size == 5
    assert image.tree()["s"][0].link == path[:90]


def test_names_that_are_no_utf8_stay_visible():
    layer = factories.tar([file("caf_", 3)]).replace(b"caf_", b"caf\xe9")
    layer = tar_with_right_checksum(layer)
    assert "caf\\xe9" in read(legacy(Image([layer]))).tree()


def test_a_sparse_file_counts_its_full_size(tmp_path):
    block = bytearray(factories.tar([file("sparse", 512)])[:512])
    block[156:157], block[257:265] = b"S", b"ustar  \0"
    block[483:495] = b"00000100000\0"  # 32768 bytes in all
    data = tar_with_right_checksum(bytes(block)) + b"x" * 512 + bytes(1024)
    image = read(legacy(Image([data])))
    assert image.unpacked_bytes == 32768


@pytest.mark.parametrize("field", [slice(100, 108), slice(124, 136)], ids=["mode", "size"])
def test_a_number_with_a_sign_is_none(field):
    block = bytearray(factories.tar([file("f", 512)])[:512])
    block[field] = b"-1".ljust(len(block[field]), b"\0")
    data = tar_with_right_checksum(bytes(block)) + bytes(512 + 1024)
    with pytest.raises(ArchiveError, match="is not a number"):
        read(legacy(Image([data])))


def test_aufs_files_are_nothing():
    layer = [directory(".wh..wh.plnk"), file(".wh..wh.aufs", 5), file("f", 1)]
    assert set(read(legacy(Image([layer]))).tree()) == {"f"}


# Which image is meant


def test_a_name_chooses_among_several_images():
    data = legacy(IMAGE, Image(LAYERS[:1], name="other:2"))
    assert len(read(data, name="other:2").layers) == 1
    assert len(read(data, name="docker.io/example/app:1").layers) == 3
    with pytest.raises(ArchiveError, match="several images") as caught:
        read(data)
    assert "example/app:1; other:2" in str(caught.value)
    with pytest.raises(ArchiveError, match="no image third"):
        read(data, name="third")


def test_two_names_of_one_image_are_one_image():
    again = Image(LAYERS, history=HISTORY, config=IMAGE.config, name="again:1")
    for data in (legacy(IMAGE, again), oci(IMAGE, again)):
        assert read(data).name == "example/app:1"


def test_a_platform_chooses_and_this_machines_is_the_default(monkeypatch):
    arm = Image(LAYERS[:1], platform="linux/arm64")
    data = oci(IMAGE, arm, manifest_json=False, nested=True)
    assert read(data, platform="linux/arm64").platform == "linux/arm64"
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert read(data).platform == "linux/arm64"
    with pytest.raises(ArchiveError, match="linux/amd64, linux/arm64, but none for linux/s390x"):
        read(data, platform="linux/s390x")


def test_platforms_that_were_not_saved_along_are_left_out():
    arm = Image(LAYERS[:1], platform="linux/arm64")
    files = factories.oci_files(IMAGE, arm, manifest_json=False, nested=True)
    only_amd = factories.oci_files(IMAGE, manifest_json=False)
    partial = {p: d for p, d in files.items() if p in only_amd or b"manifests" in d}
    assert read(factories.archive(partial), platform="linux/arm64").platform == "linux/amd64"


def test_a_known_layer_is_not_read_again_but_its_digest_is_checked():
    diff_id = f"sha256:{factories.sha256(IMAGE.tars[1])}"
    content = LayerContent(diff_id, (Entry("known", "file", 42),), 7)
    known = {diff_id: content}.get
    assert read(oci(IMAGE), known=known).layers[1].unpacked_bytes == 42
    damaged = oci(IMAGE).replace(b"appapp", b"appApp", 1)
    with pytest.raises(ArchiveError, match="damaged"):
        read(damaged, known=known)


def test_progress_is_told_bytes():
    told = []
    data = legacy(Image([[file("large", random.Random(1).randbytes(9_000_000))]]))
    read(data, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == len(data)


# What is refused


def without(path_part: str) -> bytes:
    files = factories.legacy_files(IMAGE)
    return factories.archive({p: d for p, d in files.items() if path_part not in p})


def nowhere(**changes) -> bytes:
    files = factories.legacy_files(IMAGE)
    return factories.archive(
        {**files, **{name.replace("_", "."): d for name, d in changes.items()}}
    )


SWAPPED = Image(LAYERS)
OTHER = Image([LAYERS[1], LAYERS[0], LAYERS[2]])
BAD = {
    "nothing": (b"", "it is empty"),
    "random bytes": (random.Random(1).randbytes(5000), "not a tar archive"),
    "an ordinary tar": (factories.tar([file("etc/passwd", 9)]), "image archive: it contains etc"),
    "an empty tar": (bytes(10240), "it contains no files"),
    "no configuration": (without(".json"), "not an image archive"),
    "no layers": (without("layer.tar"), "layer 0 is missing"),
    "truncated": (legacy(IMAGE)[:9000], "ends too early"),
    "truncated gzip": (gzip.compress(legacy(IMAGE))[:-600], "ends too early"),
    "a changed byte": (legacy(IMAGE).replace(b"appapp", b"appApp", 1), "layer 1 is not the one"),
    "a changed configuration": (legacy(IMAGE).replace(b"65532", b"65533"), "is damaged"),
    "a changed blob": (LAYOUTS["oci"].replace(b"appapp", b"appApp", 1), r"layer \d is damaged"),
    "manifest.json of another kind": (nowhere(manifest_json=b'{"a": 1}'), "expected list"),
    "manifest.json is not JSON": (nowhere(manifest_json=b"[{]"), "not valid JSON"),
    "deep JSON": (nowhere(manifest_json=b"[" * 100_000), "not valid JSON"),
    "a path out of the archive": (
        nowhere(manifest_json=b'[{"Config": "../../etc/shadow", "Layers": []}]'),
        "'../../etc/shadow' leads outside",
    ),
    "a link out of the archive": (
        factories.archive({**factories.legacy_files(IMAGE), "manifest.json": "../../x"}),
        "leads outside",
    ),
    "a link to itself": (factories.archive({"manifest.json": "manifest.json"}), "link to itself"),
    "a file out of a layer": (legacy(Image([[file("../../etc/cron", 1)]])), "cron' leads outside"),
    "a hard link out of a layer": (legacy(Image([[hard_link("a", "../../b")]])), "leads outside"),
    "a whiteout of ..": (legacy(Image([[file("d/.wh...", 0)]])), "names no file to hide"),
    "a layer that is no tar": (legacy(Image([b"x" * 2000])), "is not a layer"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_archive_is_refused_with_the_reason_and_a_hint(case):
    data, said = BAD[case]
    with pytest.raises(ArchiveError, match=said) as caught:
        read(data)
    assert caught.value.hint


def test_layers_in_another_order_are_refused():
    files = factories.legacy_files(IMAGE)
    config = next(p for p in files if p.endswith(".json") and p != "manifest.json" and "/" not in p)
    manifest = factories.legacy_files(OTHER)["manifest.json"]
    other = next(p for p in factories.legacy_files(OTHER) if "/" not in p and p != "manifest.json")
    files["manifest.json"] = manifest.replace(other.encode(), config.encode())
    swapped = factories.legacy_files(OTHER)
    files |= {p: d for p, d in swapped.items() if p.endswith("layer.tar")}
    with pytest.raises(ArchiveError, match="layer 0 is not the one"):
        read(factories.archive(files))


def test_layers_in_another_order_are_refused_by_their_names_where_they_are_trusted():
    files = factories.oci_files(IMAGE)
    [item] = json.loads(files["manifest.json"])
    swapped = {**item, "Layers": item["Layers"][::-1]}
    data = factories.archive({**files, "index.json": b"{}", "manifest.json": as_json([swapped])})
    with pytest.raises(ArchiveError, match="layer 0 is not the one"):
        read(data, trusted=True)


def test_bounds_are_held(monkeypatch):
    def refused(said, data=LAYOUTS["legacy"]):
        with pytest.raises(ArchiveError, match=said):
            read(data)
        monkeypatch.undo()

    monkeypatch.setattr(archive_module, "MAX_JSON", 100)
    refused("is not JSON of at most")
    monkeypatch.setattr(tarstream, "MAX_ENTRIES", 10)
    refused("more than 10 files")
    monkeypatch.setattr(tarstream, "MAX_UNPACKED", 20_000)
    refused("unpacks to more than 20.0 kB")
    monkeypatch.setattr(tarstream, "MAX_PATH", 5)
    refused("longer than 5 characters")
    for packing in ("gzip", "zstd"):
        monkeypatch.setattr(tarstream, "RATIO_FROM", 100_000)
        monkeypatch.setattr(tarstream, "MAX_RATIO", 10)
        refused(
            "unpacks to over 10 times",
            oci(Image([[file("zeros", bytes(9_000_000))]]), packing=packing),
        )


def test_a_header_that_claims_too_much_is_refused():
    layer = bytearray(factories.tar([file("f", 10)]))
    layer[124:136] = b"\x80" + (1 << 60).to_bytes(11, "big")
    with pytest.raises(ArchiveError, match="claims 1,152,921,504,606,846,976 bytes"):
        read(legacy(Image([tar_with_right_checksum(bytes(layer))])))


def test_a_blob_that_looks_like_a_layer_and_belongs_to_nobody_is_no_matter():
    files = {**factories.legacy_files(IMAGE), "zzz": gzip.compress(b"no tar"), "x.json": b"{" * 99}
    assert facts(read(factories.archive(files))) == facts(read(LAYOUTS["legacy"]))


def test_an_interrupt_passes_through_and_leaves_no_thread(monkeypatch):
    import threading

    def chunks():
        yield LAYOUTS["legacy"][:4096]
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        read_image(chunks())
    assert threading.active_count() == before


# Damage anywhere

DAMAGED = [
    "legacy",
    "oci without manifest.json",
    "oci, layers gzip",
    "oci, layers zstd",
    "legacy in gzip",
]


def is_refused_or_right(data: bytes, layout: str) -> None:
    """An ArchiveError, or the right image; only the name is under no digest."""
    try:
        found = read(data)
    except ArchiveError:
        return
    assert facts(found) == facts(read(LAYOUTS[layout]))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(DAMAGED), st.floats(0, 1, exclude_max=True))
def test_truncated_anywhere(layout, share):
    data = LAYOUTS[layout]
    is_refused_or_right(data[: int(share * len(data))], layout)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(DAMAGED), st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.booleans()
)
def test_a_byte_flipped_anywhere(layout, share, flip, in_json):
    data = bytearray(LAYOUTS[layout])
    at = int(share * len(data))
    if in_json:  # aim at what describes the image
        at = max(data.find(b"{", at), 0) + flip
    data[at % len(data)] ^= flip
    is_refused_or_right(bytes(data), layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_trusted_archive_gives_the_same_image_and_still_no_changed_configuration(layout):
    assert read_image([LAYOUTS[layout]], trusted=True) == read(LAYOUTS[layout])
    with pytest.raises(ArchiveError, match="damaged"):
        read_image([legacy(IMAGE).replace(b"65532", b"65533")], trusted=True)


@given(st.lists(st.integers(1, 700_000), min_size=1, max_size=60))
@settings(max_examples=20, deadline=None)
def test_the_estimate_does_not_depend_on_where_blocks_end(lengths):
    data, at = text_like(5_000_000), 0
    whole, cut = PackedEstimate(len(data)), PackedEstimate(len(data))
    whole.update(data)
    for length in [*lengths, len(data)]:
        cut.update(memoryview(data)[at : at + length])
        at += length
    assert cut.result() == whole.result()


# The estimate of packed bytes


def text_like(size: int) -> bytes:
    rng = random.Random(size)
    words = [rng.randbytes(rng.randint(2, 9)).hex() for _ in range(3000)]
    return " ".join(rng.choices(words, k=size // 8)).encode()[:size]


@pytest.mark.parametrize("size", [0, 1000, 3_000_000, 9_000_000])
def test_the_estimate_is_near_gzip_and_always_the_same(size):
    data = text_like(size)

    def estimate():
        packed = PackedEstimate(len(data))
        for at in range(0, len(data), tarstream.BLOCK):
            packed.update(data[at : at + tarstream.BLOCK])
        return packed.result()

    exact = len(gzip.compress(data, 6))
    assert abs(estimate() - exact) <= max(0.03 * exact, 20)
    assert estimate() == estimate()
