"""Exporting: in large pieces over a socket, by the SDK elsewhere, and never half an archive."""

import factories
import pytest
from factories import file
from replay import engine_of

from shiplight import engine
from shiplight.engine import exporting
from shiplight.errors import EngineFailed

ARCHIVE = factories.legacy(factories.Image([[file("a", 3_000_000)], [file("b", 10)]]))
EXPORT = r"/images/app:1/get$"


def exported(tmp_path, monkeypatch, *answers) -> tuple[bytes, list]:
    with engine_of(tmp_path, *answers) as (url, seen):
        monkeypatch.setenv("DOCKER_HOST", url)
        with engine.export_image(engine.connect(), "app:1") as chunks:
            return b"".join(chunks), [path for _, path, _ in seen]


def test_an_export_over_a_socket_comes_whole_and_is_asked_for_once(tmp_path, monkeypatch):
    data, asked = exported(tmp_path, monkeypatch, (EXPORT, ARCHIVE))
    assert data == ARCHIVE and asked.count("/images/app:1/get") == 1


LAST_MEMBER = -(-len(ARCHIVE.rstrip(b"\0")) // 512) * 512  # where it ends


@pytest.mark.parametrize("length", [0, 1, 512, len(ARCHIVE) // 2, LAST_MEMBER])
def test_an_export_that_is_cut_short_is_an_engine_that_stopped(tmp_path, monkeypatch, length):
    """Also at the end of a member, where no size of any header is missed."""
    with pytest.raises(EngineFailed, match="stopped answering while exporting"):
        exported(tmp_path, monkeypatch, (EXPORT, ARCHIVE[:length]))


def test_what_the_engine_refuses_is_told_in_its_words(tmp_path, monkeypatch):
    with pytest.raises(EngineFailed, match="no such thing"):
        exported(tmp_path, monkeypatch, (EXPORT, (500, {"message": "no such thing"})))


def test_the_sdk_asks_where_a_proxy_answers_in_another_version(tmp_path, monkeypatch):
    answer = exporting._head
    monkeypatch.setattr(exporting, "_head", lambda plain: answer(plain).replace(b"1.0", b"1.1", 1))
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
