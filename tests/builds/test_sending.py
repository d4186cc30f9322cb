"""How a build's files and secrets go to an engine: by a session, or as a tar, and what is said."""

import json
import os
import queue
import threading
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path

import pytest
from grpclib.exceptions import GRPCError
from replay import INFO, connected, engine_of, recorded
from test_build import HERE, folder_with
from test_buildkit import call, fetched

from shiplight import builds, engine
from shiplight.buildkit import messages
from shiplight.builds import assembling, caches, offers, sending
from shiplight.engine import journal
from shiplight.errors import ContextError, EngineFailed, UsageError

SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"


class Asking:
    """An engine that asks the session of a build, as BuildKit does, and then says it is built."""

    def __init__(self, ask):
        self.sessions, self.ask, self.said, self.headers = queue.Queue(), ask, [], []
        self.answer = recorded("answer-20.10-multi")

    def build(self):
        sock, headers, over = self.sessions.get(timeout=10)
        self.headers.append(headers)
        try:
            self.said.append(self.ask(sock))
        finally:
            over.set()
            sock.close()
        return self.answer


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Connect to an engine that asks one question of each session."""
    for variable in assembling.CA_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    with connected(tmp_path, monkeypatch) as connect:

        def start(question, *answers):
            asking = Asking(question)
            first = (r"/build", asking.build)
            client, seen = connect(first, *answers, HERE, sessions=asking.sessions)
            return client, seen, asking

        yield start


def test_the_text_that_is_sent_is_the_one_on_disk_byte_for_byte(asked, tmp_path):
    client, seen, asking = asked(lambda sock: fetched(sock, "dockerfile"))
    folder = folder_with(tmp_path, "")
    text = b"FROM scratch\r\n# caf\xe9 \r alone\r\nCOPY . /\n"
    (folder / "Dockerfile").write_bytes(text)
    build = builds.build(client, str(folder))
    assert asking.said[0][1] == {"Dockerfile": text}
    assert build.way == "session" and build.remarks == ()
    [(_, path, body)] = [item for item in seen if item[1].startswith("/build")]
    assert "remote=client-session" in path and "session=" in path and body == b""


STATUS = [["driver-type", "io.containerd.snapshotter.v1"]]
CONTAINERD = (r"/info$", INFO | {"Driver": "overlayfs", "DriverStatus": STATUS})


def test_on_a_containerd_store_a_base_that_is_here_is_taken_as_it_is(asked, tmp_path, monkeypatch):
    """Asked by /build, BuildKit asks a registry there, which may be silent or have another."""
    client, seen, _ = asked(None, CONTAINERD)
    said = []

    @contextmanager
    def solved(sock, wider, parameters):
        said.append(sending._attributes(wider, parameters))
        yield iter([{"aux": {"ID": "sha256:1"}}])

    monkeypatch.setattr(sending, "_solved", solved)
    monkeypatch.setattr(sending, "_control", lambda client, wider: object())
    builds.build(client, str(folder_with(tmp_path, "FROM busybox\n")))
    assert [attributes["image-resolve-mode"] for attributes in said] == ["local"]
    assert not [path for _, path, _ in seen if path.startswith("/build")]


def test_a_containerd_store_without_solve_builds_as_others_do(asked, tmp_path):
    client, seen, asking = asked(lambda sock: fetched(sock, "dockerfile"), CONTAINERD)
    builds.build(client, str(folder_with(tmp_path, "FROM busybox\n")))
    asked_for = [path.partition("?")[0] for how, path, _ in seen if how == "POST"]
    assert asked_for == ["/session", "/grpc", "/build"] and asking.said


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (404, UsageError, "several platforms cannot be given to this build: this engine does not"),
        (500, EngineFailed, "the engine did not open BuildKit's own calls"),
    ],
)
def test_a_build_that_needs_buildkits_own_calls_says_so_where_there_are_none(
    asked, tmp_path, status, kind, says
):
    client, _, _ = asked(None, (r"/grpc", (status, {"message": "page not found"})))
    folder = folder_with(tmp_path, "FROM scratch\nCOPY Dockerfile /\n")
    with pytest.raises(kind, match=says) as refused:
        builds.build(client, str(folder), platform="linux/amd64,linux/arm64")
    assert "session" not in str(refused.value)


def test_bases_are_mapped_in_what_is_sent_from_memory_and_the_file_stays(asked, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "equivalent")
    client, _, asking = asked(lambda sock: fetched(sock, "dockerfile"))
    builds.build(client, "go/multi")
    [content] = asking.said[0][1].values()
    assert b"FROM shiplight/base/golang:1.23 AS builder" in content
    assert "shiplight/base" not in builds.recipe("go/multi")


def test_the_context_has_the_file_on_disk_and_the_ignore_file_beside_the_dockerfile(
    asked, tmp_path
):
    client, _, asking = asked(lambda sock: fetched(sock, "dockerfile"))
    folder = folder_with(tmp_path, "FROM scratch\nCOPY . /\n", a="1")
    (folder / "Dockerfile.dockerignore").write_text("a\n")
    builds.build(client, str(folder))
    assert asking.said[0][1]["Dockerfile.dockerignore"] == b"a\n"


def test_the_shared_key_stays_the_same_and_belongs_to_the_folder(asked, tmp_path):
    client, _, asking = asked(lambda sock: None)
    keys = []
    for name in ("one", "one", "two"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        builds.build(client, str(tmp_path / name))
        keys.append(asking.headers[-1]["X-Docker-Expose-Session-Sharedkey"])
    assert keys[0] == keys[1] != keys[2] and str(tmp_path) not in keys[0]


def test_a_secret_reaches_buildkit_and_neither_journal_nor_request(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_ID", "secrets")
    monkeypatch.setenv("TOKEN", "s3cret-word")
    client, seen, asking = asked(
        lambda sock: call(sock, SECRET, messages.GetSecretRequest(ID="token"))
    )
    folder = folder_with(tmp_path, "FROM scratch\nRUN --mount=type=secret,id=token x\n")
    build = builds.build(client, str(folder), secrets={"token": "env:TOKEN"})
    assert messages.GetSecretResponse.FromString(asking.said[0]).data == b"s3cret-word"
    assert "s3cret-word" not in str(seen) + str(build.to_dict()) + str(list(journal.read()))
    assert "s3cret-word" not in repr(offers.read({"token": "env:TOKEN"}))
    journal.path("journal.jsonl").unlink()


def test_no_thread_is_left_after_a_build(asked, tmp_path):
    client, *_ = asked(lambda sock: None)
    builds.build(client, str(folder_with(tmp_path, "FROM scratch\nCOPY . /\n")))
    assert not [t for t in threading.enumerate() if t.name.startswith("buildkit")]


def test_a_file_that_vanished_is_named_whatever_the_engine_makes_of_it(asked, tmp_path):
    folder = folder_with(tmp_path, "FROM scratch\nCOPY . /\n", gone="1")

    class Vanishes:
        """What is asked for; the file goes between its listing and its sending."""

        def __contains__(self, path):
            (folder / "gone").unlink(missing_ok=True)
            return path == "gone"

    def ask(sock):
        with pytest.raises(GRPCError, match="gone cannot be read"):
            fetched(sock, want=Vanishes())

    client, _, asking = asked(ask)
    asking.answer = b'{"errorDetail":{"message":"rpc error: code = Aborted"}}\n'
    with pytest.raises(ContextError, match="gone cannot be read"):
        builds.build(client, str(folder))


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_engine_without_sessions_gets_a_tar_and_the_build_says_so(tmp_path, monkeypatch, status):
    refuses = (r"/session", (status, {"message": "page not found"}))
    answers = [refuses, (r"/build", recorded("answer-20.10-multi")), HERE]
    with engine_of(tmp_path, *answers) as (url, seen):
        monkeypatch.setenv("DOCKER_HOST", url)
        build = builds.build(engine.connect(), "go/multi")
        assert build.way == "tar" and "no BuildKit session" in build.remarks[0]
        assert next(body for _, path, body in seen if path.startswith("/build"))
        with pytest.raises(UsageError, match="output cannot be given"):
            builds.build(engine.connect(), "go/multi", output=tmp_path / "out")


def test_an_engine_that_breaks_at_a_session_is_an_error_and_not_a_tar(tmp_path, monkeypatch):
    refuses = (r"/session", (500, {"message": "out of order"}))
    with engine_of(tmp_path, refuses, HERE) as (url, seen):
        monkeypatch.setenv("DOCKER_HOST", url)
        with pytest.raises(EngineFailed, match="did not open a session"):
            builds.build(engine.connect(), "go/multi")
        assert not [path for _, path, _ in seen if path.startswith("/build")]


# --- offers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secrets", "says"),
    [
        ({"a": "env:SHIPLIGHT_NOT_SET"}, "secret a: the variable SHIPLIGHT_NOT_SET is not set"),
        ({"a": "/nowhere/at/all"}, "secret a: /nowhere/at/all cannot be read"),
        ({"a": Path("/")}, "secret a: / cannot be read"),
        ({"a": "/dev/full"}, "500 KiB"),
    ],
)
def test_a_missing_secret_is_named_before_anything_is_asked(tmp_path, secrets, says):
    if secrets["a"] == "/dev/full":
        (tmp_path / "large").write_bytes(bytes(501 * 1024))
        secrets = {"a": tmp_path / "large"}
    with pytest.raises(UsageError, match=says):
        offers.read(secrets)


def test_a_secret_that_a_step_requires_is_named_with_its_line(asked, tmp_path):
    client, seen, _ = asked(lambda sock: None)
    text = "FROM scratch\nRUN --mount=type=secret,id=key,required=true x\n"
    with pytest.raises(UsageError, match="line 2 requires the secret key") as missing:
        builds.build(client, str(folder_with(tmp_path, text)))
    assert "--secret id=key" in str(missing.value)
    assert not [path for _, path, _ in seen if path.startswith("/build")]


@pytest.mark.parametrize(
    ("mount", "name"),
    [
        ("type=secret,target=/run/x.pem,required", "x.pem"),
        ("required=1,type=ssh", "default"),
        ("type=ssh,id=work,required=true", "work"),
    ],
)
def test_what_a_mount_requires_is_read_as_buildkit_reads_it(tmp_path, asked, mount, name):
    client, *_ = asked(lambda sock: None)
    with pytest.raises(UsageError, match=f"requires the (secret|ssh) {name},"):
        text = f"FROM scratch\nRUN --mount={mount} x\n"
        builds.build(client, str(folder_with(tmp_path, text)))


def test_secrets_in_dockers_words(monkeypatch):
    monkeypatch.setenv("NAMED", "x")
    read = offers.secrets_of
    assert read(["id=a,src=f", "id=b,source=g", "id=c,env=V"]) == {
        "a": Path("f"),
        "b": Path("g"),
        "c": "env:V",
    }
    assert read(["id=NAMED"]) == {"NAMED": "env:NAMED"} and read(["id=f"]) == {"f": Path("f")}
    for bad in ("src=f", "id=", "id=a,src=b,env=c", "id=a,type=volume", "id=a,mode=1", ""):
        with pytest.raises(UsageError, match="--secret"):
            read([bad])
    with pytest.raises(UsageError) as refused:
        read(["id=a,value=hunter2secret"])
    assert "hunter2" not in refused.value.message, "what was mistyped may be the secret"


def test_a_secret_without_end_is_refused_and_one_in_a_pipe_is_read():
    with pytest.raises(UsageError, match="larger than BuildKit accepts"):
        offers.read({"a": "/dev/zero"})
    ours, theirs = os.pipe()
    os.write(theirs, b"hunter2secret")
    os.close(theirs)
    assert offers.read({"a": f"/dev/fd/{ours}"}).secrets == {"a": b"hunter2secret"}
    os.close(ours)


def test_ssh_in_dockers_words(monkeypatch, tmp_path):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(UsageError, match="SSH_AUTH_SOCK is not set"):
        offers.read(ssh="default")
    (tmp_path / "key").write_text("-----BEGIN")
    with pytest.raises(UsageError, match="is a file") as refused:
        offers.read(ssh=[f"default={tmp_path / 'key'}"])
    assert "ssh-add" in str(refused.value)
    with pytest.raises(UsageError, match="no agent's socket"):
        offers.read(ssh={"work": tmp_path / "nothing"})
    assert offers.read(ssh=()).agents == {}


def test_caches_in_the_words_of_buildx(tmp_path):
    read = caches.to_of(
        ["type=registry,ref=h/a,mode=max", "type=inline", f"type=local,dest={tmp_path}"]
    )
    assert [cache.kind for cache in read] == ["registry", "inline", "local"]
    assert read[2].export() == ("local", {"dest": str(tmp_path)}) and read[0].folder is None
    for bad in (
        "type=s3",
        "type=registry",
        "type=local",
        "type=registry,ref=a,mode=most",
        "type=gha",
    ):
        with pytest.raises(UsageError, match="--cache-to"):
            caches.to_of([bad])
    for bad in ("type=inline", "type=local,dest=x", "type=registry"):
        with pytest.raises(UsageError, match="--cache-from"):
            caches.from_of([bad])


def test_a_folder_without_a_cache_is_remarked_on_and_one_with_something_else_is_refused(tmp_path):
    wider = sending.Wider(cache_from=caches.from_of([f"type=local,src={tmp_path}", "host/app"]))
    assert wider and wider.images == ["host/app"] and "no build cache yet" in wider.remarks[0]
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(UsageError, match=r"index\.json"):
        _ = wider.remarks


def test_an_output_is_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        offers.read(output=tmp_path / "file")
    with pytest.raises(UsageError, match="not a folder"):
        offers.output_of("type=tar,dest=x.tar")


# --- credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("registry.example:5000", ("ann", "word")),
        ("registry-1.docker.io", ("hub", "secret")),
        ("token.example", ("", "identity")),
        ("registry.example", None),
        ("other.example", None),
        ("", None),
    ],
)
def test_credentials_are_those_of_exactly_that_host(tmp_path, monkeypatch, host, found):
    coded = {
        "registry.example:5000": {"auth": b64encode(b"ann:word").decode()},
        "https://index.docker.io/v1/": {"auth": b64encode(b"hub:secret").decode()},
        "token.example": {"identitytoken": "identity"},
    }
    (tmp_path / "config.json").write_text(json.dumps({"auths": coded}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with engine_of(tmp_path) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        assert engine.credentials(engine.connect(), host) == found
