"""SHIPLIGHT_MIRROR: one mirror for all registries or one for each, and what is no mirror."""

import pytest

from shiplight import builds
from shiplight.errors import UsageError


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("golang:1.23", "mirror.example:5000/hub/library/golang:1.23"),
        ("me/mine:1", "mirror.example:5000/hub/me/mine:1"),
        ("gcr.io/distroless/cc-debian12", "mirror.example:5000/hub/distroless/cc-debian12:latest"),
    ],
)
@pytest.mark.parametrize("scheme", ["", "https://"])
def test_one_mirror_has_the_images_of_every_registry(written, there, scheme, monkeypatch):
    monkeypatch.delenv("SHIPLIGHT_MIRROR", raising=False)
    assert builds.mirrored(written) is None
    monkeypatch.setenv("SHIPLIGHT_MIRROR", f"{scheme}mirror.example:5000/hub/")
    assert builds.mirrored(written) == there


@pytest.mark.parametrize("hub", ["docker.io", "index.docker.io"])
def test_each_registry_has_a_mirror_of_its_own(hub, monkeypatch):
    mirrors = f"{hub}=one.example/hub, gcr.io=https://two.example/gcr/"
    monkeypatch.setenv("SHIPLIGHT_MIRROR", mirrors)
    assert builds.mirrored("busybox") == "one.example/hub/library/busybox:latest"
    assert builds.mirrored("gcr.io/distroless/cc:x") == "two.example/gcr/distroless/cc:x"
    assert builds.mirrored("quay.io/some/thing:1") is None
    monkeypatch.setenv("SHIPLIGHT_MIRROR", f"{mirrors},rest.example")
    assert builds.mirrored("quay.io/some/thing:1") == "rest.example/some/thing:1"
    assert builds.mirrored("busybox") == "one.example/hub/library/busybox:latest"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("http://mirror.example", "insecure-registries"),
        ("http://zoe:secret@mirror.example/x", "insecure-registries"),
        ("https://zoe:secret@mirror.example", "docker login"),
        ("docker.io=https://zoe:sec/ret@mirror.example", "docker login"),
        ("https://zoe:secret,more@mirror.example", "HOST"),
        ("mirror.example/Upper", "small letters"),
        ("mirror.example//x", "HOST"),
        ("mirror/hub", "a name on Docker Hub"),
        ("docker.io=", "HOST"),
        ("Docker Hub=mirror.example", "is not a registry"),
        ("mirror.example/x:tag", "HOST"),
    ],
)
def test_what_is_no_mirror_is_refused_once_and_without_its_password(value, says, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_MIRROR", value)
    with pytest.raises(UsageError, match="SHIPLIGHT_MIRROR has") as refused:
        builds.mirrored("busybox")
    said = str(refused.value)
    assert says in said
    for secret in ("zoe", "secret", "sec/", "ret@", "more@"):
        assert secret not in said


@pytest.mark.parametrize(
    "mirror", ["localhost/x", "localhost:5000", "127.0.0.1:5001/a/b", "[::1]:5000", "registry:5000"]
)
def test_a_registry_of_this_machine_can_be_a_mirror(mirror, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_MIRROR", mirror)
    assert builds.mirrored("busybox") == f"{mirror}/library/busybox:latest"
