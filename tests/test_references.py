"""The names of images: spellings of one image meet, and each part is where a registry wants it."""

import pytest

from shiplight import references

SHA = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("written", "short"),
    [
        ("golang:1.23", "golang:1.23"),
        ("golang", "golang:latest"),
        ("library/golang", "golang:latest"),
        ("docker.io/golang:1.23", "golang:1.23"),
        ("docker.io/library/golang:1.23", "golang:1.23"),
        ("index.docker.io/golang:1.23", "golang:1.23"),
        ("registry-1.docker.io/library/golang:1.23", "golang:1.23"),
        ("me/mine:1", "me/mine:1"),
        ("docker.io/me/mine:1", "me/mine:1"),
        ("library/me/mine:1", "library/me/mine:1"),
        ("gcr.io/distroless/static-debian12", "gcr.io/distroless/static-debian12:latest"),
        ("gcr.io/library/x:1", "gcr.io/library/x:1"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("localhost/x:1", "localhost/x:1"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        ("golang@sha256:abc", "golang@sha256:abc"),
        ("docker.io/golang:1.23@sha256:abc", "golang:1.23@sha256:abc"),
    ],
)
def test_spellings_of_one_image_meet(written, short):
    assert references.canonical(written) == short
    assert references.canonical(short) == short


@pytest.mark.parametrize(
    ("written", "host", "repository", "version"),
    [
        ("busybox", "registry-1.docker.io", "library/busybox", "latest"),
        ("docker.io/busybox:1", "registry-1.docker.io", "library/busybox", "1"),
        ("index.docker.io/me/mine", "registry-1.docker.io", "me/mine", "latest"),
        ("localhost:5000/a/b:c", "localhost:5000", "a/b", "c"),
        ("localhost/busybox", "localhost", "busybox", "latest"),
        (f"gcr.io/a/b:c@{SHA}", "gcr.io", "a/b", SHA),
    ],
)
def test_a_registry_is_asked_by_its_own_names(written, host, repository, version):
    one = references.read(written)
    assert (one.host, one.repository, one.version) == (host, repository, version)
    assert one.is_valid


@pytest.mark.parametrize(
    "written",
    ["", "gcr.io/", "a b", "Golang", "a//b", "a/../b", "x:-t", "x@sha256:1", "http://h.io/x"],
)
def test_what_no_registry_takes_is_not_valid(written):
    assert not references.read(written).is_valid


def test_a_name_without_a_tag_stays_without_where_it_is_shown():
    assert references.familiar("docker.io/library/busybox") == "busybox"
    assert references.familiar(f"docker.io/busybox:1@{SHA}") == f"busybox:1@{SHA}"
    assert references.familiar("") == ""
