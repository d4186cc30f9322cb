"""The package index of lesson 10: who gets in, what it serves, and what it keeps to itself."""

import base64
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.request
import zipfile
from contextlib import nullcontext
from types import SimpleNamespace

import docker.errors
import pytest

from shiplight import engine
from shiplight.errors import CheckFailed, EngineFailed, UsageError
from shiplight.lessons import index_server, private_index
from shiplight.lessons.exercises import grading, leaks
from shiplight.lessons.private_index import GREETING, Index

INDEX = Index("127.0.0.1", "t0ken", 1.0)


@pytest.fixture
def served(tmp_path):
    """The files of the index, unpacked."""
    with tarfile.open(fileobj=io.BytesIO(private_index._files())) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "index"


@pytest.fixture
def address(served):
    """The index on a free port of this machine."""
    digest = hashlib.sha256(b"reader:t0ken").hexdigest()
    server = index_server.serve(0, digest, served / index_server.FOLDER)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def get(url: str, authorization: str | None = None, method="GET") -> tuple[int, bytes, str]:
    """Status, body and challenge of a request."""
    headers = {"Authorization": authorization} if authorization else {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(
            urllib.request.Request(url, headers=headers, method=method), timeout=10
        ) as answer:
            return answer.status, answer.read(), ""
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers.get("WWW-Authenticate", "")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_index_serves_its_wheel_to_who_knows_the_token(address):
    page = f"{address}/simple/{private_index.PACKAGE}/"
    status, body, _ = get(page, basic("reader:t0ken"))
    [name] = re.findall(r'href="([^"]+\.whl)"', body.decode())
    status, wheel, _ = get(page + name, basic("reader:t0ken"))
    assert status == 200 and zipfile.ZipFile(io.BytesIO(wheel)).testzip() is None


def test_it_serves_packages_and_not_the_program_beside_them(address):
    known = basic("reader:t0ken")
    assert get(f"{address}/index_server.py", known)[0] == 404
    assert re.findall(r'href="([^"]+)"', get(f"{address}/", known)[1].decode()) == ["simple/"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "said",
    [
        *(None, basic("reader:other"), basic("other:t0ken"), basic("t0ken"), "Basic", "Basic !"),
        *("Bearer t0ken", "Basic \u00e9", basic("reader:t0ken").replace("Basic", "Other")),
    ],
)
def test_everybody_else_is_refused_with_a_challenge(address, said, method):
    page = f"{address}/simple/{private_index.PACKAGE}/"
    status, body, challenge = get(page, said, method)
    assert (status, body) == (401, b"") and challenge.startswith("Basic ")


def test_its_log_has_every_request_and_no_token(address, capsys):
    get(f"{address}/simple/x/", basic("reader:wrong"))
    get(f"{address}/simple/", basic("reader:t0ken"))
    said = capsys.readouterr().out
    assert '"GET /simple/x/ HTTP/1.1" 401 -' in said and '"GET /simple/ HTTP/1.1" 200 -' in said
    assert "t0ken" not in said and basic("reader:t0ken").split()[1] not in said


def test_the_wheel_is_as_its_record_says_and_greets(served, tmp_path):
    [path] = (served / index_server.FOLDER / "simple" / private_index.PACKAGE).iterdir()
    with zipfile.ZipFile(path) as wheel:
        record = wheel.read("shiplight_greeting-1.0.dist-info/RECORD").decode()
        for line in record.splitlines()[:-1]:
            name, digest, size = line.split(",")
            data = wheel.read(name)
            seen = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={seen}", len(data))
        assert len(record.splitlines()) == len(wheel.namelist())
        wheel.extractall(tmp_path / "site")
    command = [sys.executable, "-m", "shiplight_greeting"]
    done = subprocess.run(command, cwd=tmp_path / "site", capture_output=True, text=True)
    assert done.stdout.strip() == GREETING


def test_pip_gets_the_whole_address_and_reads_it_as_pips_own_file():
    assert INDEX.url == "http://reader:t0ken@127.0.0.1:8000/simple"
    assert INDEX.build_args["PIP_INDEX_URL"] == INDEX.url and INDEX.url in INDEX.pip_conf
    assert Index.from_dict(INDEX.to_dict()) == INDEX


def test_without_an_index_of_this_process_nobody_knows_what_to_search_for(monkeypatch):
    monkeypatch.setattr(private_index, "_started", [])
    with pytest.raises(UsageError, match="no package index was started"):
        private_index.started()


def test_on_an_engine_without_sessions_no_index_is_started(monkeypatch):
    """Its builds could get no secret; nothing is asked of the engine, so no container is left."""
    monkeypatch.setattr(engine, "described", lambda client: SimpleNamespace(kind="Podman"))
    with pytest.raises(EngineFailed, match="Podman has none") as failed:
        private_index.start_index(object())
    assert "SHIPLIGHT_MODE=recorded" in failed.value.hint


def test_an_index_that_does_not_start_leaves_no_container(monkeypatch):
    class Container:
        name, client, left = "index", None, True

        def start(self):
            raise docker.errors.APIError("no space left on device")

        def put_archive(self, *_):
            pass

        def remove(self, **_):
            self.left = False

    made = Container()
    client = SimpleNamespace(containers=SimpleNamespace(create=lambda *_, **__: made))
    base = SimpleNamespace(used="python", kind="equivalent")
    monkeypatch.setattr(engine, "described", lambda client: SimpleNamespace(kind="Docker"))
    monkeypatch.setattr(engine.containers, "patience", lambda client: nullcontext())
    monkeypatch.setattr(private_index, "provide", lambda client, wanted: [base])
    monkeypatch.setattr(private_index, "_containers", lambda client: [])
    with pytest.raises(EngineFailed, match="no space left"):
        private_index.start_index(client)
    assert not made.left


def test_what_was_asked_of_no_index_is_an_error_in_words(monkeypatch):
    monkeypatch.setattr(private_index, "_containers", lambda client: [])
    with pytest.raises(UsageError, match="no package index is running"):
        private_index.asked_of_index(object())


@pytest.fixture
def stages_of_the_check(monkeypatch):
    """Exercise 10.2 of an image that greets; its stages are not built. Returns what was done."""
    done, found = [], grading.ALL["10.2"]
    staged = SimpleNamespace(builds={})
    monkeypatch.setattr(leaks, "_refuse_without_greeting", lambda *_: None)
    monkeypatch.setattr(leaks, "build_stages", lambda *_, **__: done.append("build") or staged)
    monkeypatch.setattr(private_index, "given", lambda client: done.append("start") or {"what": ""})
    monkeypatch.setattr(private_index, "stop_index", lambda client: done.append("stop"))
    return done, found


@pytest.mark.parametrize(("running", "then"), [([], ["stop"]), (["index"], [])])
def test_a_check_stops_the_index_that_it_started_and_no_other(
    monkeypatch, stages_of_the_check, running, then
):
    done, found = stages_of_the_check
    monkeypatch.setattr(private_index, "_containers", lambda client: running)
    found.look(None, SimpleNamespace(text="FROM a\nRUN --mount=type=secret,id=pip true\n"))
    assert done == ["start", "build", *then]


@pytest.mark.parametrize("mount", ["id=token", "id=token,required=true", "target=/etc/pip.conf"])
def test_a_secret_with_another_id_is_refused_with_the_id_that_the_check_gives(
    stages_of_the_check, mount
):
    done, found = stages_of_the_check
    with pytest.raises(CheckFailed, match="one secret, with the id `pip`") as failed:
        found.look(None, SimpleNamespace(text=f"FROM a\nRUN --mount=type=secret,{mount} true\n"))
    assert "line 2" in failed.value.message and not done
