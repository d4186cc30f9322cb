"""Registries asked from here, and the logins that `docker login` kept."""

import base64
import json
import os

import pytest
import registries as tls
from replay import engine_of

from shiplight import engine, files
from shiplight.engine import logins, registries
from shiplight.errors import RegistryFailed

LIMIT = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "76;w=21600"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return tls.certificate(tmp_path_factory.mktemp("tls") / "both.pem")


@pytest.fixture
def registry(certificate, monkeypatch):
    """A registry that this machine trusts, and that wants a token."""
    for name in files.CA_VARIABLES:
        monkeypatch.setenv(name, str(certificate))
    with tls.serving(certificate) as place:
        place.way = "token"
        yield place


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """A client whose engine is made of answers, and whose Docker configuration is the test's."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with engine_of(tmp_path) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        yield engine.connect()


def test_the_limit_is_asked_for_by_heads_which_are_no_pulls(registry, asking):
    registry.faults = {"/manifests/": (200, LIMIT, b"")}
    left = registries.pull_limit(asking, f"{registry.host}/library/busybox")
    assert str(left) == "76 of 100 pulls in 6 hours are left for this machine"
    manifest = "/v2/library/busybox/manifests/latest"
    asked = [(how, path.partition("?")[0]) for how, path, _ in registry.asked]
    assert asked == [("HEAD", manifest), ("GET", "/token"), ("HEAD", manifest)]
    assert registry.asked[-1][2] == "Bearer good"


@pytest.mark.parametrize("name", ["busybox", "docker.io/busybox", "docker.io/library/busybox"])
def test_the_limit_of_docker_hub_is_asked_for_the_official_image(asking, monkeypatch, name):
    asked = []

    def nobody(reference, login=None, **_):
        asked.append((reference.host, reference.repository, reference.version))
        raise RegistryFailed("this test asks nobody")

    monkeypatch.setattr("shiplight.image.asking", nobody)
    assert registries.pull_limit(asking, name) is None
    assert asked == [("registry-1.docker.io", "library/busybox", "latest")]


def test_a_login_that_was_kept_is_used_for_the_limit(registry, asking, tmp_path):
    registry.private, registry.faults = True, {"/manifests/": (200, LIMIT, b"")}
    assert registries.pull_limit(asking, f"{registry.host}/x:1") is None
    auth = base64.b64encode(f"{tls.USER}:{tls.SECRET}".encode()).decode()
    config = {"auths": {registry.host: {"auth": auth}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert registries.pull_limit(engine.connect(), f"{registry.host}/x:1").left == 76


def test_a_registry_that_says_how_long_to_wait_is_quoted(registry, asking):
    registry.faults = {"/manifests/": (429, {"Retry-After": "5"}, b"")}
    said = registries.pull_limit(asking, f"{registry.host}/x:1")
    assert str(said) == "it asks to wait for 5 s"


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_registry_that_tells_no_limit_has_none(registry, asking, status):
    registry.faults = {"/manifests/": (status, {}, b"")}
    assert registries.pull_limit(asking, f"{registry.host}/x:1") is None


def test_a_registry_that_cannot_be_asked_has_none(asking):
    assert registries.pull_limit(asking, "127.0.0.1:1/x:1") is None


def test_a_helper_that_is_gone_is_said_once_in_words_of_ours(
    asking, tmp_path, recwarn, capsys, monkeypatch
):
    logins._tell.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "gone"}))
    client = engine.connect()
    for _ in range(2):
        assert logins.credentials(client, "registry-1.docker.io") is None
        assert logins.login_header(client.api, "busybox") == {}
    said = capsys.readouterr().err
    assert said.count("docker-credential-gone") == 1 and "asked without the logins" in said
    assert "site-packages" not in said and not recwarn.list


def test_a_name_that_is_none_is_the_engines_to_refuse(asking):
    assert logins.login_header(asking.api, "http://mirror.example/x") == {}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "[" * 200_000,
        '{"auths": {"host.example": {"auth": 5}}}',
        '{"auths": {"host.example": {"auth": "!!!x"}}}',
        '{"auths": {"host.example": {"auth": "Ym9i"}}}',
        None,
    ],
)
def test_a_docker_configuration_that_cannot_be_read_has_no_login(
    tmp_path, monkeypatch, capsys, text
):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    logins._tell.cache_clear()
    file = tmp_path / "config.json"
    os.mkfifo(file) if text is None else file.write_text(text)
    assert logins.credentials(None, "host.example") is None
    assert "config.json cannot be read" in capsys.readouterr().err
