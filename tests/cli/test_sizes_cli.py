"""`./lab measure` on archives that somebody else sent: a clear error, and nothing written."""

import json
import random

import factories
import pytest
from command import lab
from factories import file

GOOD = factories.legacy(factories.Image([[file("a", 1000)]]))


def measured(path, *words):
    return lab("measure", str(path), *words)


def test_an_archive_is_measured_without_any_engine(tmp_path):
    path = tmp_path / "good.tar"
    path.write_bytes(GOOD)
    done = lab("measure", str(path), "--json", DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode == 0 and json.loads(done.stdout)["unpacked_bytes"] == 1000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD[: len(GOOD) // 2],
        random.Random(1).randbytes(5000),
        b"\x1f\x8b\x08" + random.Random(2).randbytes(500),
        factories.legacy(factories.Image([[file("../../evil", 10)]]))[:-3000],
        b"FROM scratch\n",
    ],
    ids=["empty", "truncated", "random", "not really gzip", "cut short", "a Dockerfile"],
)
def test_what_is_no_whole_image_archive_is_refused_in_words(tmp_path, data):
    path = tmp_path / "bad.tar"
    path.write_bytes(data)
    before = set(tmp_path.parent.rglob("*"))
    done = measured(path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("lab: ") and "Try:" in done.stderr
    assert set(tmp_path.parent.rglob("*")) == before


def test_names_that_climb_out_are_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "climbs.tar"
    path.write_bytes(factories.legacy(factories.Image([[file("../../evil", 10)]])))
    done = measured(path)
    assert done.returncode == 1 and "leads outside" in done.stderr
    assert (
        not (tmp_path.parent / "evil").exists() and not (tmp_path.parent.parent / "evil").exists()
    )


ONE = factories.Image([[file("a", 8005)]], name="busy:1.31")
OTHER = factories.Image([[file("a", 8005), file("b", 1000)]], name="busy:1.32")
ARM = factories.Image([[file("a", 100)]], platform="linux/arm64", name="busy:1.31")


def json_of(*words) -> dict:
    done = lab("measure", *map(str, words), "--json", DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_archive_of_several_images_says_what_to_type_and_that_works(tmp_path):
    path = tmp_path / "two images.tar"
    path.write_bytes(factories.legacy(ONE, OTHER))
    done = measured(path)
    assert done.returncode == 1 and "several images: busy:1.31; busy:1.32" in done.stderr
    assert f"./lab measure '{path}':busy:1.32" in done.stderr
    assert json_of(f"{path}:busy:1.32")["unpacked_bytes"] == 9005
    compared = json_of(f"{path}:busy:1.31", f"{path}:busy:1.32")
    assert [file["path"] for file in compared["files"]] == ["b"]


def test_an_archive_of_several_platforms_is_asked_for_one_or_two(tmp_path):
    path = tmp_path / "two.tar"
    path.write_bytes(factories.oci(ONE, ARM, nested=True, manifest_json=False))
    for platform, size in (("linux/amd64", 8005), ("linux/arm64", 100)):
        found = json_of(path, "--platform", platform)
        assert (found["platform"], found["unpacked_bytes"]) == (platform, size)
    both = json_of(path, "--platform", "linux/amd64,linux/arm64")
    assert both["first"].endswith("linux/amd64") and both["second"].endswith("linux/arm64")
    done = measured(path, "--platform", "linux/s390x")
    assert done.returncode == 1 and f"./lab measure {path} --platform linux/arm64" in done.stderr


def test_a_folder_that_is_no_layout_is_told_as_such(tmp_path):
    done = lab("measure", str(tmp_path), DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode == 1 and "is a folder, but not an OCI layout" in done.stderr


@pytest.mark.parametrize("command", ["measure", "scan"])
def test_a_path_where_nothing_is_needs_no_engine_to_be_told_so(tmp_path, command):
    done = lab(command, f"{tmp_path}/none.tar:app:1", DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode != 0 and f"no archive at {tmp_path}/none.tar:app:1" in done.stderr


def test_an_engines_image_has_no_platform_to_choose():
    done = lab("measure", "go/multi", "--platform", "linux/arm64")
    assert done.returncode == 1 and "./lab measure --remote go/multi" in done.stderr
