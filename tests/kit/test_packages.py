"""What RUN steps download: recorded once, replayed with no way out, checked before it is used."""

import hashlib
import http.client
import json
import shutil
import ssl
import threading
import urllib.parse
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shiplight.builds import packages as noted
from shiplight.errors import UsageError
from shiplight.kit import packages, proxy
from shiplight.kit.manifest import Manifest, Member

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="not for this machine: openssl is not installed"
)


class Origin(BaseHTTPRequestHandler):
    """Answers with its path, and notes what it was asked."""

    def do_GET(self):
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        status = int(self.path.rpartition("status=")[2] or 200) if "status=" in self.path else 200
        said = f"{self.path} as {self.headers.get('Accept', '')}".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/x-tried")
        self.send_header("Set-Cookie", "who=me")
        self.send_header("Content-Length", str(len(said) + ("short" in self.path)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    do_HEAD = do_POST = do_GET

    def log_message(self, *values):
        """Say nothing."""


def serving(server):
    """Serve in a thread until it is closed."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def tls(tmp_path):
    """The key of another CA, and the certificate that it signed for the origin as `localhost`."""
    folder = tmp_path / "origin"
    folder.mkdir()
    made = proxy.Certificates(folder, folder)
    made.make_ca()
    made.sign(["localhost"], folder / "hosts.pem")
    return folder


@pytest.fixture
def origin(request):
    """A server on this machine, over TLS if the test asks for `tls`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    server.asked, server.scheme = [], "http"
    if "tls" in request.fixturenames:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(request.getfixturevalue("tls") / "hosts.pem")
        server.socket, server.scheme = context.wrap_socket(server.socket, server_side=True), "https"
    yield serving(server)
    server.shutdown()
    server.server_close()


@pytest.fixture
def started(tmp_path):
    """Start a proxy of one folder, by its mode; one that ran before ends."""
    folder, keys, running = tmp_path / "kit", tmp_path / "keys", []
    folder.mkdir()

    def start(mode: str):
        for old in running:
            old.shutdown()
            old.server_close()
        shutil.rmtree(keys, ignore_errors=True)
        keys.mkdir()
        running[:] = [proxy.Proxy(folder, keys, record=mode == "record", port=0)]
        return serving(running[0])

    start.folder, start.keys = folder, keys
    yield start
    for old in running:
        old.shutdown()
        old.server_close()


def ask(through, url, method="GET", **headers):
    """Status, headers and body of an answer that the proxy gives."""
    where = urllib.parse.urlsplit(url)
    to = ("127.0.0.1", through.server_address[1])
    if where.scheme == "https":
        context = ssl.create_default_context(cafile=through.store.folder / proxy.CA)
        connection = http.client.HTTPSConnection(*to, context=context, timeout=10)
        connection.set_tunnel(where.hostname, where.port or 443)
        url = where.path
    else:
        connection = http.client.HTTPConnection(*to, timeout=10)
    with closing(connection):
        connection.request(method, url, None, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def at(origin, path: str) -> str:
    """A URL of the origin, which is asked by its name: addresses are passed on and not kept."""
    return f"{origin.scheme}://localhost:{origin.server_address[1]}{path}"


pytestmark = needs_openssl


def test_what_was_recorded_is_replayed_and_the_origin_is_not_asked(origin, started):
    url, recorder = at(origin, "/a?b=c"), started("record")
    first = ask(recorder, url, Accept="text/one")
    ask(recorder, url, "HEAD")
    asked, replaying = len(origin.asked), started("replay")
    again = ask(replaying, url, Accept="text/one")
    assert first[2] == again[2] == b"/a?b=c as text/one" and asked == 2
    assert again[1]["Content-Type"] == "text/x-tried" and "Set-Cookie" not in again[1]
    status, headers, body = ask(replaying, url, "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len("/a?b=c as ")))
    assert len(origin.asked) == asked


def test_it_is_recorded_and_replayed_over_tls(tls, origin, started):
    shutil.copy(tls / proxy.CA, started.folder / proxy.UPSTREAM)
    url = at(origin, "/over/tls")
    said = ask(started("record"), url)
    assert said[2] == b"/over/tls as " == ask(started("replay"), url)[2]
    assert len(origin.asked) == 1


def test_no_key_of_the_ca_outlives_the_start_and_the_ca_outlives_a_restart(tls, origin, started):
    shutil.copy(tls / proxy.CA, started.folder / proxy.UPSTREAM)
    ask(started("record"), at(origin, "/x"))
    started("replay")
    assert not [one for one in started.keys.iterdir() if one.suffix in (".key", ".pem")]
    kept = (started.folder / proxy.CA).read_bytes()
    assert b"PRIVATE" not in kept
    replaying = started("replay")
    assert (started.folder / proxy.CA).read_bytes() == kept
    assert ask(replaying, at(origin, "/x"))[0] == 200


def test_what_is_not_in_the_kit_is_refused_and_named(origin, started, capsys):
    ask(started("record"), at(origin, "/there"))
    replaying = started("replay")
    status, _, body = ask(replaying, at(origin, "/not/there"))
    assert status == 403 and len(origin.asked) == 1
    assert body.decode() == (
        f"This step asked for {at(origin, '/not/there')}, which the kit does not have.\n"
    )
    with pytest.raises(OSError, match="403 Not in the kit"):
        ask(replaying, "https://elsewhere.example/x")
    lines = capsys.readouterr().out.splitlines()
    assert f"missing GET {at(origin, '/not/there')}" in lines
    assert "missing CONNECT https://elsewhere.example/" in lines


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/a?status=500", "GET", {}),
        ("/a?status=401", "GET", {}),
        ("/a", "POST", {}),
        ("/a", "GET", {"Authorization": "Basic eDp5"}),
        ("/a", "GET", {"cookie": "a=b"}),
        ("/a", "GET", {"Accept": "a" * 5000}),
    ],
)
def test_what_cannot_be_replayed_or_is_somebodys_own_is_not_kept(
    origin, started, path, method, headers
):
    recorder = started("record")
    assert ask(recorder, at(origin, path), method, **headers)[0] in (200, 401, 500)
    assert not recorder.store.find(method, at(origin, path), "")
    assert not list((started.folder / proxy.ANSWERS).iterdir())


def test_an_answer_that_breaks_off_is_not_kept(origin, started):
    recorder = started("record")
    assert ask(recorder, at(origin, "/short"))[0] == 502
    assert not list((started.folder / proxy.ANSWERS).iterdir())


def test_a_404_is_an_answer_and_is_kept(origin, started):
    ask(started("record"), at(origin, "/none?status=404"))
    assert ask(started("replay"), at(origin, "/none?status=404"))[0] == 404


def test_the_origin_is_asked_for_whole_answers_as_they_are(origin, started):
    asked = {"Range": "bytes=5-", "If-None-Match": '"x"', "Accept-Encoding": "gzip"}
    ask(started("record"), at(origin, "/a"), **asked)
    seen = {name.lower(): value for name, value in origin.asked[0][2].items()}
    assert seen["accept-encoding"] == "identity" and not {"range", "if-none-match"} & seen.keys()


def test_a_url_has_one_answer_for_each_accept(origin, started):
    recorder = started("record")
    for one in ("text/one", "text/two"):
        ask(recorder, at(origin, "/a"), Accept=one)
    replaying = started("replay")
    assert ask(replaying, at(origin, "/a"), Accept="text/two")[2] == b"/a as text/two"
    assert ask(replaying, at(origin, "/a"), Accept="text/three")[2].startswith(b"/a as text/")


def test_an_address_nearby_goes_through_and_is_not_kept(origin, started):
    url = f"http://127.0.0.1:{origin.server_address[1]}/near"
    for mode in ("record", "replay"):
        running = started(mode)
        assert ask(running, url)[2] == b"/near as "
        assert not running.store.find("GET", url, "")
    assert len(origin.asked) == 2


def test_a_password_in_a_url_is_not_kept(origin, started):
    recorder = started("record")
    ask(recorder, at(origin, "/a").replace("//", "//me:secret@"))
    assert origin.asked and not list((started.folder / proxy.ANSWERS).iterdir())


def test_builds_know_the_line_of_what_is_missing():
    assert proxy.MISSING == noted.MISSING


@pytest.mark.parametrize("host", ["8.8.8.8", "93.184.215.14", "example.com", "10.example", None])
def test_what_is_elsewhere_is_not_nearby(host):
    assert not proxy.is_near(host)


def test_equal_bodies_are_kept_once(origin, started):
    recorder = started("record")
    for path in ("//a", "//b"):
        recorder.store.add(_part(started.folder), _entry(path))
    assert len(list((started.folder / proxy.ANSWERS).iterdir())) == 1
    assert len((started.folder / proxy.INDEX).read_text().splitlines()) == 2


def _part(folder):
    part = folder / "one.part"
    part.write_bytes(BODY)
    return part


# --- the index of a kit is somebody's ------------------------------------------------------------

BODY = b"a package"
DIGEST = hashlib.sha256(BODY).hexdigest()


def _entry(path="/a", **other) -> dict:
    said = {"method": "GET", "url": f"https://example.com{path}", "accept": "", "status": 200}
    return said | {"headers": {}, "sha256": DIGEST, "bytes": len(BODY)} | other


def _manifest(*members: tuple) -> Manifest:
    found = members or ((f"packages/{DIGEST}", len(BODY), DIGEST),)
    index = (packages.INDEX, 1, "0" * 64)
    members = tuple(Member(*one) for one in (index, *found))
    return Manifest(("01-go",), "linux/amd64", ("golang:1.23",), members)


@pytest.fixture
def index(tmp_path):
    """Call it with entries: the file that has them."""

    def write(*entries):
        place = tmp_path / "index.jsonl"
        place.write_text("".join(json.dumps(one) + "\n" for one in entries))
        return place

    return write


def test_an_index_is_read_as_it_was_written(index):
    entries = [_entry("/a?b"), _entry(method="HEAD", length=5, headers={"etag": '"x"'})]
    assert packages.entries_of(index(*entries), _manifest()) == entries


@pytest.mark.parametrize(
    "hostile",
    [
        _entry(sha256="../../etc/passwd"),
        _entry(sha256="f" * 64),
        _entry(bytes=5),
        _entry(bytes=-1),
        _entry(bytes=True),
        _entry(length="5"),
        _entry(method="DELETE"),
        _entry(status=500),
        _entry(url="file:///etc/passwd"),
        _entry(url="https://example.com/a b"),
        _entry(url="https://example.com/a\r\nX: y"),
        _entry(url="https://user:secret@example.com/"),
        _entry(url="https://a,DNS:b.example/"),
        _entry(url="https://example.com/" + "a" * 5000),
        _entry(headers={"set-cookie": "a=b"}),
        _entry(headers={"location": "/a\r\nSet-Cookie: a=b"}),
        _entry(headers=[]),
        _entry(more=1),
        {"url": "https://example.com/"},
        [],
        None,
    ],
)
def test_an_index_that_the_proxy_does_not_write_is_refused(index, hostile):
    with pytest.raises(UsageError, match="not a kit that can be used"):
        packages.entries_of(index(_entry(), hostile), _manifest())


@pytest.mark.parametrize(
    "members",
    [
        [(f"packages/{DIGEST}", len(BODY), "0" * 64)],
        [("packages/other", len(BODY), DIGEST)],
        [(f"packages/{DIGEST}", len(BODY), DIGEST), (f"packages/{'0' * 64}", 1, "0" * 64)],
    ],
)
def test_bodies_that_are_not_what_the_index_names_are_refused(index, members):
    with pytest.raises(UsageError, match="not a kit that can be used"):
        packages.entries_of(index(_entry()), _manifest(*members))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_an_index_that_is_no_index_is_refused(tmp_path, content):
    place = tmp_path / "index.jsonl"
    place.write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read"):
        packages.entries_of(place, _manifest())


def test_an_index_that_is_too_large_is_refused(index, monkeypatch):
    monkeypatch.setattr(packages, "MOST_BYTES", 10)
    with pytest.raises(UsageError, match="cannot be read"):
        packages.entries_of(index(_entry()), _manifest())
