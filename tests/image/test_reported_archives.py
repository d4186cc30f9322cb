"""Small archives after public bug reports of other tools, each with the numbers that are right."""

import gzip
import io
import tarfile

import factories
import pytest
import zstandard
from factories import Image, file, whiteout

from shiplight.errors import ArchiveError
from shiplight.image import read_image

BASE, APP = [file("base", 5)], [file("app", 8000), file("doc", 0)]


def instructions(history: list[dict], *layers: list) -> list[str]:
    made = Image(list(layers) or [BASE, APP, [file("more", 700)]], history=history)
    return [layer.instruction for layer in read_image([factories.legacy(made)]).layers]


def test_one_path_in_three_layers_counts_all_but_the_last_as_reclaimable():
    """wagoodman/dive#684, #685, #696: dive says 27,000."""
    layers = [[file("large", bytes([number]) * 9000)] for number in range(3)]
    image = read_image([factories.legacy(Image(layers))])
    assert (image.unpacked_bytes, image.reclaimable_bytes) == (27_000, 18_000)


def test_names_with_a_leading_slash_or_dot_are_one_path():
    """podman#8600."""
    layers = [[file("/a", 11), file("./b", 11), file(".//c", 11)], [whiteout("./a")]]
    image = read_image([factories.legacy(Image(layers))])
    assert (image.unpacked_bytes, image.reclaimable_bytes) == (33, 11)
    assert set(image.tree()) == {"b", "c"}


def test_a_whiteout_of_nothing_is_refused_with_the_reason():
    """opencontainers/image-spec#1301."""
    with pytest.raises(ArchiveError, match="names no file to hide"):
        read_image([factories.legacy(Image([BASE, [file("d/.wh.", 0)]]))])


def test_what_pax_headers_add_is_read_as_tar_writes_it():
    """Capabilities, a fraction of a second, a large uid, setuid and a long name, as Buildah has."""
    out, name = io.BytesIO(), "usr/" + "long/" * 40 + "ping"
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.uid, member.mtime = 4010, 0o4755, 4_000_000_000, 1.5
        member.pax_headers = {"SCHILY.xattr.security.capability": "\x01\x02", "mtime": "1.5"}
        tar.addfile(member, io.BytesIO(bytes(4010)))
    image = read_image([factories.legacy(Image([out.getvalue()]))])
    entry = image.tree()[name][0]
    assert (entry.size, entry.mode, entry.uid) == (4010, 0o4755, 4_000_000_000)


def test_a_history_with_fewer_steps_than_layers_is_not_guessed():
    """nlewo/nix2container#57, rules_oci#395."""
    for step in (
        {"created_by": "COPY app /app # buildkit"},
        {"created_by": "apko", "comment": "x"},
    ):
        assert instructions([step]) == ["(no history)"] * 3


def test_an_empty_layer_that_is_not_marked_keeps_the_others_in_their_places():
    """fanal#423, trivy#3192: WORKDIR."""
    history = [
        {"created_by": "USER 8737", "empty_layer": True},
        {"created_by": "ADD rootfs"},
        {"created_by": "WORKDIR /home/app"},
        {"created_by": "COPY app /app # buildkit"},
    ]
    found = instructions(history, BASE, [], APP)
    assert found == ["ADD rootfs", "WORKDIR /home/app", "COPY app /app"]


def test_layers_of_jib_and_ko_are_told_apart():
    """jib#3938, ko-build/ko#45."""
    jib = {"author": "Jib", "created_by": "jib-maven-plugin:3.4.4"}
    steps = [
        {"created_by": "bazel build ..."},
        *(jib | {"comment": c} for c in ("libs", "classes")),
    ]
    bazel, *both = instructions(steps)
    assert bazel == "bazel build ..."
    assert both == ["libs (jib-maven-plugin:3.4.4)", "classes (jib-maven-plugin:3.4.4)"]


def estargz(data: bytes) -> bytes:
    """Members of gzip for a few bytes each, and a footer that is an empty one."""
    return b"".join(gzip.compress(data[at : at + 512], mtime=0) for at in range(0, len(data), 512))


def zstd_chunked(data: bytes) -> bytes:
    """A frame for the data, and one to be skipped that lists the chunks."""
    listed = b"\x50\x2a\x4d\x18" + (40).to_bytes(4, "little") + bytes(40)
    return zstandard.compress(data) + listed


@pytest.mark.parametrize("pack", [estargz, zstd_chunked, zstandard.compress])
def test_layers_in_other_packings_have_their_stored_bytes(monkeypatch, pack):
    """joschi/dive#53, skopeo#1286, containers/image#1260."""
    monkeypatch.setattr(factories, "pack", lambda data, kind: pack(data))
    image = read_image([factories.oci(Image([BASE, APP]), manifest_json=False)])
    assert (image.unpacked_bytes, sum(layer.files for layer in image.layers)) == (8005, 3)
    assert [layer.packed_bytes for layer in image.layers] == [
        len(pack(factories.tar(layer))) for layer in (BASE, APP)
    ]
    assert not image.packed_is_estimate


def test_what_buildx_writes_has_an_image_a_platform_and_attestations_beside():
    """aquasecurity/trivy#5775."""
    image, arm = Image([BASE, APP]), Image([BASE], platform="linux/arm64")
    data = factories.oci(image, arm, nested=True, manifest_json=False, packing="gzip")
    found = read_image([data], platform="linux/amd64")
    assert (found.platform, found.unpacked_bytes) == ("linux/amd64", 8005)
