"""One index over several builds: each platform gets its own image, and the layout is whole."""

from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import factories
import pytest
from factories import file

from shiplight import builds
from shiplight.errors import ArchiveError, UsageError
from shiplight.inspection import measure

IMAGES = {
    "app:amd64": factories.Image([[file("server", 900)]], "app:amd64", platform="linux/amd64"),
    "app:arm64": factories.Image(
        [[file("server", 700)], [file("etc/certificates", 50)]], "app:arm64", platform="linux/arm64"
    ),
    "app:armv7": factories.Image([[file("server", 500)]], "app:armv7", platform="linux/arm/v7"),
}
AMD64, ARM64, ARMV7 = (SimpleNamespace(tag=tag) for tag in IMAGES)


LAYOUTS = {
    "legacy": factories.legacy,
    "oci": factories.oci,
    "oci gzip": partial(factories.oci, packing="gzip"),
}


@pytest.fixture(params=LAYOUTS)
def saved(request, tmp_path, monkeypatch):
    """Images that an engine saves in one of the layouts there are."""

    @contextmanager
    def export_image(client, name):
        yield iter([LAYOUTS[request.param](IMAGES[name])])

    monkeypatch.setattr("shiplight.engine.export_image", export_image)
    monkeypatch.setattr("shiplight.engine.journal.path", tmp_path.joinpath)


def test_each_platform_gets_its_own_image_from_one_index(saved):
    index = builds.join(None, AMD64, ARM64, ARMV7)
    assert list(index.manifests) == ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    assert len(set(index.manifests.values())) == 3
    for platform, size in [("linux/amd64", 900), ("linux/arm64", 750), ("linux/arm/v7", 500)]:
        image = measure(index.path, platform=platform)
        assert (image.platform, image.unpacked_bytes) == (platform, size)
    assert builds.Index.from_dict(index.to_dict()) == index


def test_an_index_takes_the_place_of_the_one_before(saved):
    builds.join(None, AMD64, ARM64)
    index = builds.join(None, ARM64)
    assert list(index.manifests) == ["linux/arm64"]
    assert measure(index.path, platform="linux/arm64").unpacked_bytes == 750


def test_two_builds_for_one_platform_are_refused_and_the_index_before_stays(saved):
    index = builds.join(None, AMD64, ARM64)
    with pytest.raises(UsageError, match="these are for linux/arm64, linux/arm64"):
        builds.join(None, ARM64, ARM64)
    assert measure(index.path, platform="linux/amd64").unpacked_bytes == 900


def test_nothing_to_join_is_refused():
    with pytest.raises(UsageError, match="no build to join"):
        builds.join(None)


@pytest.mark.parametrize("saved", ["legacy"], indirect=True)
@pytest.mark.parametrize("damage", ["cut", "no manifest", "a layer is gone", "no JSON"])
def test_a_damaged_export_is_refused_and_the_index_before_stays(saved, monkeypatch, damage):
    index = builds.join(None, AMD64)
    files = factories.oci_files(IMAGES["app:arm64"])
    if damage == "no manifest":
        files = {"a": b"b"}
    elif damage == "no JSON":
        files |= {"manifest.json": b"[", "index.json": b"{"}
    elif damage == "a layer is gone":
        del files["blobs/sha256/" + factories.sha256(IMAGES["app:arm64"].tars[0])]
    data = factories.archive(files)

    @contextmanager
    def export_image(client, name):
        yield iter([data[:700] if damage == "cut" else data])

    monkeypatch.setattr("shiplight.engine.export_image", export_image)
    with pytest.raises(ArchiveError):
        builds.join(None, ARM64)
    assert measure(index.path, platform="linux/amd64").unpacked_bytes == 900
