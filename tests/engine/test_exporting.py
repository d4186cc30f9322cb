"""Exporting: in large pieces over a socket, by the SDK elsewhere, and never half an archive."""

import os
from types import SimpleNamespace

import factories
import pytest
from factories import file
from replay import engine_of

from shiplight import engine
from shiplight.buildkit import transport
from shiplight.engine import exporting
from shiplight.errors import EngineFailed

ARCHIVE = factories.legacy(factories.Image([[file("a", 3_000_000)], [file("b", 10)]]))
EXPORT = r"/images/app:1/get$"


def exported(tmp_path, monkeypatch, *answers, name: str = "app:1") -> tuple[bytes, list]:
    with engine_of(tmp_path, *answers) as (url, seen):
        monkeypatch.setenv("DOCKER_HOST", url)
        with engine.export_image(engine.connect(), name) as chunks:
            return b"".join(chunks), [path for _, path, _ in seen]


def test_an_export_over_a_socket_comes_whole_and_is_asked_for_once(tmp_path, monkeypatch):
    data, asked = exported(tmp_path, monkeypatch, (EXPORT, ARCHIVE))
    assert data == ARCHIVE and asked.count("/images/app:1/get") == 1


def test_a_bare_name_exports_latest_and_not_every_tag_of_it(tmp_path, monkeypatch):
    found = {"Id": "sha256:a1b2", "RepoTags": ["app:latest", "app:other"]}
    data, asked = exported(
        tmp_path,
        monkeypatch,
        (r"/images/app:latest/get$", ARCHIVE),
        (r"/images/app:latest/json$", found),
        name="app",
    )
    assert data == ARCHIVE and "/images/app/get" not in asked


def test_an_id_is_exported_as_it_is(tmp_path, monkeypatch):
    assert exported(tmp_path, monkeypatch, (r"/images/a1b2c3/get$", ARCHIVE), name="a1b2c3")[0]


LAST_MEMBER = -(-len(ARCHIVE.rstrip(b"\0")) // 512) * 512  # where it ends


@pytest.mark.parametrize("length", [0, 1, 512, len(ARCHIVE) // 2, LAST_MEMBER])
def test_an_export_that_is_cut_short_is_an_engine_that_stopped(tmp_path, monkeypatch, length):
    """Also at the end of a member, where no size of any header is missed."""
    with pytest.raises(EngineFailed, match="stopped answering while exporting"):
        exported(tmp_path, monkeypatch, (EXPORT, ARCHIVE[:length]))


def test_an_engine_that_ends_among_the_zeros_of_a_file_is_an_engine_that_stopped(
    tmp_path, monkeypatch
):
    """What came ends as a tar does, so only the engine's absence tells."""
    zeros = factories.legacy(factories.Image([[file("zeros", bytes(3_000_000))]]))
    cut = zeros[: 2 * exporting.BLOCK]
    with engine_of(tmp_path, (EXPORT, cut)) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        client = engine.connect()
        with (
            pytest.raises(EngineFailed, match="stopped answering while exporting"),
            engine.export_image(client, "app:1") as chunks,
        ):
            came = next(chunks)
            client.close()
            os.unlink(url.removeprefix("unix://"))
            for chunk in chunks:
                came += chunk
    assert came == cut


def test_an_engine_that_is_gone_before_the_export_is_an_engine_that_stopped(tmp_path, monkeypatch):
    with engine_of(tmp_path) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        client = engine.connect()
    for _ in range(2):  # nothing listens at the socket; then there is no socket
        with (
            pytest.raises(EngineFailed, match="stopped answering while exporting"),
            engine.export_image(client, "app:1"),
        ):
            pass
        (tmp_path / "engine.sock").unlink(missing_ok=True)


@pytest.fixture
def over_a_network(monkeypatch):
    """An engine of which nothing but the SDK knows how to reach it."""
    monkeypatch.setattr(exporting, "own_socket", lambda client: None)


def test_over_a_network_the_sdk_reads_the_export(tmp_path, monkeypatch, over_a_network):
    data, asked = exported(tmp_path, monkeypatch, (EXPORT, ARCHIVE))
    assert data == ARCHIVE and asked.count("/images/app:1/get") == 1


@pytest.mark.parametrize("length", [0, 512, len(ARCHIVE) // 2])
def test_over_a_network_an_export_that_is_cut_short_is_an_engine_that_stopped(
    tmp_path, monkeypatch, over_a_network, length
):
    with pytest.raises(EngineFailed, match="stopped answering while exporting"):
        exported(tmp_path, monkeypatch, (EXPORT, (200, ARCHIVE[:length], False)))


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("unix:///run/docker.sock", "/run/docker.sock"),
        ("tcp://127.0.0.1:2376", None),
        ("ssh://me@there", None),
        ("npipe:////./pipe/docker_engine", None),
    ],
)
def test_only_a_unix_socket_is_the_engines_own(url, own):
    client = SimpleNamespace(shiplight_endpoint=SimpleNamespace(url=url))
    assert engine.own_socket(client) == own
    assert engine.own_socket(SimpleNamespace()) is None


def test_what_the_engine_refuses_is_told_in_its_words(tmp_path, monkeypatch):
    with pytest.raises(EngineFailed, match="no such thing"):
        exported(tmp_path, monkeypatch, (EXPORT, (500, {"message": "no such thing"})))


def test_the_sdk_asks_where_a_proxy_answers_in_another_version(tmp_path, monkeypatch):
    head_of = transport.head_of
    monkeypatch.setattr(transport, "head_of", lambda to: head_of(to).replace(b"1.0", b"1.1", 1))
    data, asked = exported(tmp_path, monkeypatch, (EXPORT, ARCHIVE))
    assert data == ARCHIVE and asked.count("/images/app:1/get") == 2


def test_leaving_an_export_early_closes_its_socket(tmp_path, monkeypatch):
    ask, asked = exporting._ask_socket, []
    monkeypatch.setattr(exporting, "_ask_socket", lambda *to: asked.append(ask(*to)) or asked[0])
    with engine_of(tmp_path, (EXPORT, ARCHIVE)) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        with engine.export_image(engine.connect(), "app:1") as chunks:
            assert next(chunks) == ARCHIVE[: exporting.BLOCK]
            assert asked[0].fileno() > 0
    assert asked[0].fileno() == -1
