"""A kit that one machine of a room hands out: whole, the one that is meant, and resumed."""

import hashlib
import threading

import pytest

from shiplight.errors import UsageError
from shiplight.kit import serving

CONTENT = b"a kit of some bytes " * 50_000


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Where a kit is served, and its file."""
    monkeypatch.setattr("shiplight.engine.journal.path", tmp_path.joinpath("lab").joinpath)
    monkeypatch.setattr(serving, "check_kit", lambda kit: None)
    file = tmp_path / "class.tar"
    file.write_bytes(CONTENT)
    server, digest = serving.serve(file, 0)
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_address[1]}/kit.tar"
    server.part = tmp_path / "lab" / "kit" / "fetched.part"
    yield server, digest, file
    server.shutdown()
    server.server_close()


def test_a_kit_is_fetched_whole(served):
    server, digest, _ = served
    assert serving.fetch(server.url, digest[:16]).read_bytes() == CONTENT
    assert not server.part.exists()


def test_fetching_goes_on_where_it_stopped(served, monkeypatch):
    server, digest, _ = served
    server.part.parent.mkdir(parents=True)
    server.part.write_bytes(CONTENT[:1000])
    copied = []
    copy = serving.shutil.copyfileobj
    monkeypatch.setattr(
        serving.shutil,
        "copyfileobj",
        lambda source, target, *how: (copied.append(target), copy(source, target, *how))[1],
    )
    assert serving.fetch(server.url, digest).read_bytes() == CONTENT
    [received] = [one for one in copied if hasattr(one, "mode")]
    assert received.mode == "ab"


def test_what_breaks_off_is_kept_for_the_next_time(served, monkeypatch):
    server, digest, _ = served
    monkeypatch.setattr(serving.shutil, "copyfileobj", lambda s, t, *how: t.write(s.read(500)))
    with pytest.raises(UsageError, match="broke off"):
        serving.fetch(server.url, digest)
    assert server.part.read_bytes() == CONTENT[:500]


def test_another_kit_than_the_one_that_is_meant_is_refused_and_removed(served):
    server, digest, file = served
    file.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(UsageError, match="has the SHA-256"):
        serving.fetch(server.url, digest)
    assert not server.part.exists()


@pytest.mark.parametrize(
    ("url", "digits"),
    [
        ("http://room.example:8900/kit.tar", ""),
        ("http://room.example:8900/kit.tar", "0123456789abcde"),
        ("http://room.example:8900/kit.tar", "0123456789ABCDEF"),
        ("https://room.example/kit.tar", "0" * 64),
        ("file:///etc/passwd", "0" * 64),
        ("http://room.example/a b", "0" * 64),
    ],
)
def test_nothing_is_fetched_without_a_digest_to_compare_or_from_elsewhere(url, digits):
    with pytest.raises(UsageError, match="with --sha256"):
        serving.fetch(url, digits)


def test_nothing_but_the_kit_is_served(served):
    server, digest, _ = served
    with pytest.raises(UsageError, match="Not Found"):
        serving.fetch(server.url.replace("kit.tar", "../etc/passwd"), digest)


def test_a_port_that_is_taken_is_named(served):
    server, _, file = served
    with pytest.raises(UsageError, match=f"port {server.server_address[1]} cannot be served at"):
        serving.serve(file, server.server_address[1])
