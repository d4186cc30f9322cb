"""What a path means: an archive, a layout in a folder, and which of their images."""

import os
import tarfile
from dataclasses import replace
from pathlib import Path

import factories
import pytest
from factories import Image, file

from shiplight.errors import ArchiveError, ImageNotFound, ImageUnclear
from shiplight.image import Saved, find_saved, not_saved, read_image, read_saved
from shiplight.image.saved import files_of
from shiplight.inspection import measure

ONE = Image([[file("a", 8005)]], name="busy:1.31")
OTHER = Image([[file("a", 8005)], [file("b", 1000)]], name="busy:1.32")
ARM = Image([[file("a", 100)]], name="busy:1.31", platform="linux/arm64")


@pytest.fixture
def archive(tmp_path):
    """`archive(data)` is the path of a file of these bytes."""

    def write(data: bytes) -> Path:
        path = tmp_path / "image.tar"
        path.write_bytes(data)
        return path

    return write


def folder(at: Path, files: dict[str, bytes | str]) -> Path:
    """The files of an archive in a folder; text is a link."""
    for name, data in files.items():
        path = at / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(data) if isinstance(data, str) else path.write_bytes(data)
    return at


# Which one is meant


@pytest.mark.parametrize("save", [factories.legacy, factories.oci])
@pytest.mark.parametrize("name", ["busy:1.32", "docker.io/library/busy:1.32", "1.32"])
def test_a_name_behind_the_path_chooses_an_image(archive, save, name):
    path = archive(save(ONE, OTHER))
    assert measure(f"{path}:{name}").unpacked_bytes == 9005
    assert measure(Path(f"{path}:{name}")).name == "busy:1.32"


def test_an_image_without_a_name_is_chosen_by_its_id(archive):
    data = factories.legacy(ONE, OTHER)
    names = [b'["busy:1.31"]', b'["busy:1.32"]']
    for name in names:
        data = data.replace(name, b"null".ljust(len(name)))
    its_id = f"sha256:{factories.sha256(OTHER.config_json)}"
    path = archive(data)
    with pytest.raises(ImageUnclear) as unclear:
        measure(path)
    assert its_id[:19] in unclear.value.names
    for name in unclear.value.names:
        assert measure(f"{path}:{name}").layers
    for name in (its_id, its_id[:19], its_id[7:19]):
        assert measure(f"{path}:{name}").unpacked_bytes == 9005


def test_two_images_of_one_name_and_platform_are_told_apart_by_id(archive):
    path = archive(factories.oci(ONE, replace(OTHER, name=ONE.name)))
    for data in (path, f"{path}:{ONE.name}"):
        with pytest.raises(ImageUnclear, match="sha256:") as unclear:
            measure(data)
        assert len(unclear.value.names) == 2


@pytest.mark.parametrize(("platform", "size"), [("linux/amd64", 8005), ("linux/arm64", 100)])
def test_a_platform_chooses_also_among_images_of_several_names(archive, platform, size):
    for save in (factories.legacy, factories.oci):
        path = archive(save(ONE, replace(ARM, name="arm:1")))
        assert measure(path, platform=platform).unpacked_bytes == size


def test_another_platform_than_the_one_that_is_there_is_never_measured_in_its_place(archive):
    path = archive(factories.legacy(ONE))
    assert measure(path, platform="linux/amd64").unpacked_bytes == 8005
    with pytest.raises(ImageUnclear, match="linux/amd64, and none for linux/arm64"):
        measure(path, platform="linux/arm64")


def test_a_name_that_is_not_there_is_answered_with_those_that_are(archive):
    with pytest.raises(ImageUnclear, match=r"no image third: busy:1\.31; busy:1\.32"):
        measure(f"{archive(factories.legacy(ONE, OTHER))}:third")


def test_only_what_looks_like_an_archive_has_images_behind_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("app").write_bytes(b"\x7fELF" + bytes(600))
    Path("image").write_bytes(factories.legacy(ONE))
    Path("golang").mkdir()
    assert find_saved("app:1") is find_saved("golang:1") is find_saved("golang") is None
    assert find_saved("image:1") == Saved("image", "1") and find_saved("image") == Saved("image")
    Path("image:1").write_bytes(b"the whole path wins")
    assert find_saved("image:1") == Saved("image:1")
    assert find_saved("image:") is find_saved("nothing.tar:a:1") is find_saved("a\0:b") is None


# A folder


@pytest.mark.parametrize("how", [{}, {"manifest_json": False}, {"packing": "gzip"}])
def test_a_layout_in_a_folder_gives_the_same_image_as_its_archive(tmp_path, how):
    path = folder(tmp_path / "layout", factories.oci_files(OTHER, **how))
    found = read_saved(Saved(str(path)))
    assert found == read_image([factories.oci(OTHER, **how)])
    assert measure(path).unpacked_bytes == measure(str(path) + os.sep).unpacked_bytes == 9005


def test_an_unpacked_archive_of_docker_save_is_a_folder_too(tmp_path):
    twice = Image([[file("a", 8005)], [file("b", 1000)], [file("a", 8005)]])
    path = folder(tmp_path / "saved", factories.legacy_files(twice))  # has a link
    assert read_saved(Saved(str(path))) == read_image([factories.legacy(twice)])


def test_one_of_several_images_of_a_layout_is_read_without_the_others(tmp_path):
    path = folder(tmp_path / "layout", factories.oci_files(ONE, OTHER))
    with pytest.raises(ImageUnclear, match=r"busy:1\.31; busy:1\.32"):
        measure(path)
    (path / "blobs" / "sha256" / factories.sha256(OTHER.tars[1])).unlink()
    assert measure(f"{path}:busy:1.31").unpacked_bytes == 8005
    with pytest.raises(ArchiveError, match="layer 1 is missing"):
        measure(f"{path}:busy:1.32")


def test_a_layout_is_read_for_a_platform(tmp_path):
    files = factories.oci_files(ONE, ARM, nested=True, manifest_json=False)
    path = folder(tmp_path / "layout", files)
    assert measure(path, platform="linux/arm64").unpacked_bytes == 100


def test_a_changed_blob_of_a_layout_is_refused(tmp_path):
    path = folder(tmp_path / "layout", factories.oci_files(ONE))
    (path / "blobs" / "sha256" / factories.sha256(ONE.tars[0])).write_bytes(OTHER.tars[1])
    with pytest.raises(ArchiveError, match="damaged"):
        measure(path)


@pytest.mark.parametrize("name", ["index.json", "layer"])
def test_a_link_of_a_layout_that_leads_out_is_not_followed(tmp_path, name):
    files = factories.oci_files(ONE)
    name = f"blobs/sha256/{factories.sha256(ONE.tars[0])}" if name == "layer" else name
    (tmp_path / "secret").write_bytes(files[name])
    path = folder(tmp_path / "layout", files | {"manifest.json": b"[]"})
    (path / name).unlink()
    (path / name).symlink_to(tmp_path / "secret")
    with pytest.raises(ArchiveError, match="leads out of its folder"):
        measure(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="not for this machine: it has no pipes")
def test_a_pipe_in_a_layout_is_not_waited_for(tmp_path):
    path = folder(tmp_path / "layout", {"oci-layout": b"{}"})
    os.mkfifo(path / "index.json")
    with pytest.raises(ArchiveError, match="not an ordinary file"):
        measure(path)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"oci-layout": b"{}"}, "names an image"),
        ({"oci-layout": b"{}", "index.json": b"{}"}, "names an image"),
        ({"oci-layout": b"{}", "index.json": b"[" * 99_999}, "not valid JSON"),
        ({"oci-layout": b"{}", "index.json": b"3"}, "expected dict"),
    ],
)
def test_a_layout_without_an_image_is_refused_in_words(tmp_path, files, says):
    with pytest.raises(ArchiveError, match=says):
        measure(folder(tmp_path / "layout", files))


def test_another_folder_is_no_archive_and_told_as_such(tmp_path):
    (tmp_path / "manifest.json").write_text('{"name": "a web page has one too"}')
    assert find_saved(tmp_path) is None
    with pytest.raises(ImageNotFound, match="is a folder, but not an OCI layout"):
        measure(tmp_path)
    assert "no archive at" in str(not_saved(tmp_path / "nothing"))


@pytest.mark.parametrize(
    "header", [{"GNU.sparse.map": "a,b"}, {"size": "9" * 26}, {"GNU.sparse.size": "many"}]
)
def test_headers_that_are_no_numbers_are_an_error_of_ours(tmp_path, header):
    with tarfile.open(tmp_path / "bad.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("index.json")
        member.pax_headers = header | {"comment": "x"}
        tar.addfile(member)
    try:
        with files_of(tmp_path / "bad.tar"):
            pass
    except ArchiveError as error:
        assert "not a whole tar archive" in error.message
