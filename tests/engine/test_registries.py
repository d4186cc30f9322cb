"""Registries asked from here, and the logins that `docker login` kept."""

import base64
import http.server
import json
import threading

import pytest
from replay import engine_of

from shiplight import engine
from shiplight.engine import logins, registries

LIMIT = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "76;w=21600"}


@pytest.fixture
def registry():
    """Call it with what a registry answers to a token of Ann's: status, headers; what it heard."""
    servers = []

    def serve(status: int = 200, headers: dict | None = None, way: str = "Bearer"):
        heard = []

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                said = self.headers.get("Authorization", "")
                heard.append((self.command, self.path.partition("?")[0], said))
                if self.path.startswith("/token"):
                    return self.send(200, {}, b'{"token": "good"}')
                if not said and way:
                    challenge = f'{way} realm="http://{host}/token",service="s",scope="pull"'
                    return self.send(401, {"WWW-Authenticate": challenge})
                return self.send(status, headers or {})

            do_GET = do_HEAD

            def send(self, status, headers, body=b""):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        host = f"127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return host, heard

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """A client whose engine is made of answers, and whose Docker configuration is the test's."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with engine_of(tmp_path) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        yield engine.connect()


def test_the_limit_is_asked_for_by_heads_which_are_no_pulls(registry, asking):
    host, heard = registry(headers=LIMIT)
    left = registries.pull_limit(asking, f"{host}/library/busybox")
    assert str(left) == "76 of 100 pulls in 6 hours are left for this machine"
    manifest = "/v2/library/busybox/manifests/latest"
    assert [one[:2] for one in heard] == [("HEAD", manifest), ("GET", "/token"), ("HEAD", manifest)]
    assert heard[-1][2] == "Bearer good"


@pytest.mark.parametrize("name", ["busybox", "docker.io/busybox", "docker.io/library/busybox"])
def test_the_limit_of_docker_hub_is_asked_for_the_official_image(asking, monkeypatch, name):
    asked = []

    def head(client, session, host, path, version):
        asked.append((host, path, version))
        raise ValueError("this test asks nobody")

    monkeypatch.setattr(registries, "_head", head)
    assert registries.pull_limit(asking, name) is None
    assert asked == [("registry-1.docker.io", "library/busybox", "latest")]


def test_a_login_that_was_kept_is_used_for_the_limit(registry, asking, tmp_path):
    host, heard = registry(headers=LIMIT)
    auth = base64.b64encode(b"ann:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    assert registries.pull_limit(engine.connect(), f"{host}/x:1").left == 76
    assert [said for _, path, said in heard if path == "/token"] == [f"Basic {auth}"]


def test_a_registry_that_says_how_long_to_wait_is_quoted(registry, asking):
    host, _ = registry(429, {"Retry-After": "5"}, way="")
    assert str(registries.pull_limit(asking, f"{host}/x:1")) == "it asks to wait for 5 s"


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_registry_that_tells_no_limit_has_none(registry, asking, status):
    host, _ = registry(status, way="")
    assert registries.pull_limit(asking, f"{host}/x:1") is None


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
