"""Builds through a session on a real engine: what is sent, what is kept, and what stays nowhere."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from shiplight import builds, engine
from shiplight.buildkit import services, transport
from shiplight.engine import journal
from shiplight.errors import BuildCancelled, BuildFailed, ContextError, UsageError

ROOT = Path(builds.__file__).parents[1]


@pytest.fixture
def session(client):
    """Skip where the engine has no session."""
    if engine.describe(client).kind == "Podman":
        pytest.skip("not for this machine: its engine has no BuildKit session")


@pytest.fixture
def folder(tmp_path):
    """Make a folder to build; call it with a Dockerfile's text and files."""

    def fill(text: str, **files: str) -> Path:
        (tmp_path / "app").mkdir(exist_ok=True)
        for name, content in {"Dockerfile": text, **files}.items():
            (tmp_path / "app" / name).write_text(content)
        return tmp_path / "app"

    return fill


@pytest.fixture
def sent(monkeypatch):
    """Hear how many bytes of contents every session sent, Dockerfiles included."""
    heard, begin = [], services.FileSync.__init__

    def remember(self, sources):
        begin(self, sources)
        heard.append(self)

    monkeypatch.setattr(services.FileSync, "__init__", remember)
    return heard


TWO_STAGES = """FROM busybox AS builder
COPY . /src
RUN cat /src/data > /out
FROM busybox
COPY --from=builder /out /out
RUN : {edit}
"""


def steps_of(build) -> dict[str, bool]:
    return {step.instruction: step.cached for step in build.numbered_steps}


def test_an_edit_of_the_last_stage_leaves_the_builder_cached(client, session, folder):
    salt = uuid.uuid4().hex
    where = folder(TWO_STAGES.format(edit=1), data=salt, **{".dockerignore": "Dockerfile"})
    builds.build(client, where)
    folder(TWO_STAGES.format(edit=salt))
    steps = steps_of(builds.build(client, where))
    assert steps["RUN cat /src/data > /out"] and steps["COPY . /src"]
    assert not steps[f"RUN : {salt}"]


def test_the_second_build_sends_nothing_of_the_context(client, session, folder, sent):
    text = "FROM busybox\nCOPY . /c\n"
    where = folder(text, data=uuid.uuid4().hex * 1000)
    builds.build(client, where)
    builds.build(client, where)
    assert sent[0].sent_bytes > 32_000 and sent[1].sent_bytes < 100  # the Dockerfile


def test_what_changed_is_sent_in_the_next_build_of_a_new_process(client, session, folder, sent):
    where = folder("FROM busybox\nCOPY . /c\n", large="x" * 100_000, small="1")
    code = f"import shiplight; shiplight.build(shiplight.connect(), {str(where)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)
    (where / "small").write_text(uuid.uuid4().hex)
    build = builds.build(client, where)
    assert sent[0].sent_bytes < 1000 and not steps_of(build)["COPY . /c"]


def test_a_secret_is_mounted_and_is_nowhere_afterwards(client, session, folder, tmp_path):
    """Its bytes are in no layer, cache record, journal or recording, and on no command line."""
    secret = f"word-{uuid.uuid4().hex}"
    mounted = "--mount=type=secret,id=token,required=true"
    run = f"sleep 1; : {uuid.uuid4().hex}; wc -c < /run/secrets/token > /n; cat /n"
    where, source = folder(f"FROM busybox\nRUN {mounted} {run}\n"), tmp_path / "token"
    began = tmp_path / "began"
    began.touch()
    source.write_text(secret)
    found = []

    def look():
        time.sleep(0.5)
        found.append(command_lines_with(secret.encode()))

    looking = threading.Thread(target=look)
    looking.start()
    build = builds.build(client, where, secrets={"token": source})
    looking.join()
    assert found == [[]]
    assert str(len(secret)) in "".join(build.numbered_steps[-1].log)
    assert secret not in json.dumps(build.to_dict())
    root = Path(client.api.info()["DockerRootDir"])
    for place in [journal.folder(), *([root] if root.is_dir() else [])]:
        command = ["find", place, "-newer", began, "-type", "f", "-exec", "grep", "-lF", secret]
        said = subprocess.run([*command, "{}", "+"], capture_output=True, text=True)
        assert said.stdout == ""


def command_lines_with(word: bytes) -> list[str]:
    """The processes whose arguments or environment have that word, but for this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                if word in (process / name).read_bytes():
                    found.append(f"{process.name}/{name}")
            except OSError:
                continue
    return found


def test_a_secret_from_a_variable_may_be_any_bytes(client, session, folder, monkeypatch):
    os.environb[b"SHIPLIGHT_TEST_TOKEN"] = b"\xff\xfe raw"
    monkeypatch.setenv("SHIPLIGHT_TEST_TOKEN", os.environ["SHIPLIGHT_TEST_TOKEN"])
    salt = uuid.uuid4().hex
    text = f"FROM busybox\nRUN --mount=type=secret,id=t od -An -tx1 /run/secrets/t # {salt}\n"
    build = builds.build(client, folder(text), secrets={"t": "env:SHIPLIGHT_TEST_TOKEN"})
    assert "ff fe 20 72 61 77" in " ".join(build.numbered_steps[-1].log)


def test_a_secret_that_lacks_is_named_before_the_engine_is_asked(client, session, folder):
    text = "FROM busybox\nRUN --mount=type=secret,id=key,required=true true\n"
    with pytest.raises(UsageError, match="line 2 requires the secret key"):
        builds.build(client, folder(text))


@pytest.fixture
def agent(tmp_path):
    """An ssh agent with one key: its socket, and the key's comment."""
    if not shutil.which("ssh-agent"):
        pytest.skip("not for this machine: it has no ssh-agent")
    path, key = f"/tmp/agent-{uuid.uuid4().hex[:8]}", tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "of-the-test", "-f", key], check=True)
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        while not Path(path).exists():
            time.sleep(0.01)
        environment = os.environ | {"SSH_AUTH_SOCK": path}
        subprocess.run(["ssh-add", "-q", key], check=True, env=environment, capture_output=True)
        yield path
    finally:
        process.terminate()
        process.wait()
        Path(path).unlink(missing_ok=True)


def test_an_ssh_agent_is_forwarded_to_the_steps_that_ask(client, session, folder, agent):
    ask = (
        "use IO::Socket::UNIX; $s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}); "
        "print $s pack(q(NC), 1, 11); $s->flush; sysread($s, $b, 4096); $b =~ tr/a-z-/ /c; print $b"
    )
    text = f"FROM debian:bookworm-slim\nRUN --mount=type=ssh perl -e '{ask} # {uuid.uuid4().hex}'\n"
    build = builds.build(client, folder(text), ssh={"default": agent})
    assert "of-the-test" in " ".join(build.numbered_steps[-1].log)


def test_an_output_is_the_last_stage_as_files_and_no_image(client, session, folder, tmp_path):
    text = "FROM busybox AS b\nRUN mkdir /o && echo hi > /o/f && chmod 750 /o/f && ln -s f /o/l\n"
    text += "FROM scratch\nCOPY --from=b /o /\n"
    build = builds.build(client, folder(text), name="out/put", output=tmp_path / "out")
    assert (tmp_path / "out/f").read_text() == "hi\n" and os.readlink(tmp_path / "out/l") == "f"
    assert (tmp_path / "out/f").stat().st_mode & 0o777 == 0o750
    assert build.engine_id is None and not engine.has_image(client, build.tag)


def test_platform_arguments_have_their_values(client, session, folder):
    machine = engine.describe(client).platform.partition("/")[2].split("/")[0]
    text = f"FROM busybox AS tools-{machine}\nRUN echo right > /x\nFROM tools-$TARGETARCH\n"
    build = builds.build(client, folder(text + "ARG TARGETPLATFORM\nRUN echo $TARGETPLATFORM\n"))
    assert len(build.numbered_steps) == 3


def test_a_file_that_changes_while_it_is_sent_is_named(client, session, folder, monkeypatch):
    from shiplight.buildkit import tree

    where = folder("FROM busybox\nCOPY . /c\n", growing=uuid.uuid4().hex)
    chunks = tree.Folder.chunks

    def touched(self, entry):
        if entry.path == "growing":
            (where / "growing").write_text("another text")
        return chunks(self, entry)

    monkeypatch.setattr(tree.Folder, "chunks", touched)
    with pytest.raises(ContextError, match=r"growing (changed|shrank) while it was being sent"):
        builds.build(client, where)


def test_an_interrupt_ends_the_session_and_its_thread(client, session, folder):
    where = folder(f"FROM busybox\nRUN sleep 60; : {uuid.uuid4().hex}\n")
    timer = threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(BuildCancelled):
        builds.build(client, where)
    assert not [t for t in threading.enumerate() if t.name.startswith("buildkit")]


def test_a_failing_build_leaves_no_thread_and_no_socket(client, session, folder):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(BuildFailed):
            builds.build(client, folder(f"FROM busybox\nRUN false # {uuid.uuid4().hex}\n"))
    assert not [t for t in threading.enumerate() if t.name.startswith("buildkit")]
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_many_builds_at_once_of_one_folder_are_right(client, session, folder):
    where, salt = folder("", data="x" * 50_000), uuid.uuid4().hex
    failed = []

    def one(number: int):
        text = f"FROM busybox\nCOPY data /d\nRUN echo {salt} {number % 10} > /n\n"
        try:
            builds.build(client, where, text=text, name=f"many/n{number}", screen=_silent)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert not [t for t in threading.enumerate() if t.name.startswith("buildkit")]


def _silent(draw):
    from shiplight import progress

    return progress.Tasks("").screen(draw)


def test_the_command_line_takes_dockers_words(client, session, folder, tmp_path):
    (tmp_path / "token").write_text("s3cret")
    mounted = "--mount=type=secret,id=t,required=true"
    text = f"FROM busybox AS b\nRUN {mounted} wc -c < /run/secrets/t > /n\n"
    where = folder(text + "FROM scratch\nCOPY --from=b /n /n\n")
    lab = [sys.executable, "-P", "-m", "shiplight"]
    command = [*lab, "build", where, "--secret", f"id=t,src={tmp_path / 'token'}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    said = partial(subprocess.run, capture_output=True, text=True, env=environment)
    out = tmp_path / "out"
    done = subprocess.run(
        [*command, "--output", out], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert (out / "n").read_text() == "6\n"
    missing = subprocess.run(
        [*lab, "build", where], capture_output=True, text=True, env=environment
    )
    assert missing.returncode == 1 and "requires the secret t" in missing.stderr
    check = [*lab, "check", where, "--build", "--secret", f"id=t,src={tmp_path / 'token'}"]
    done = said(check)
    assert done.returncode in (0, 1), done.stderr


# --- by Solve ------------------------------------------------------------------------------------


def test_an_inline_cache_is_exported_everywhere_and_the_image_is_the_same(client, session, folder):
    salt = uuid.uuid4().hex
    where = folder(f"FROM busybox\nRUN echo {salt} > /x\n")
    first = builds.build(client, where, name="inline/a")
    second = builds.build(client, where, name="inline/b", cache_to="type=inline")
    assert steps_of(second)[f"RUN echo {salt} > /x"]
    assert engine.id_of(client, second.tag) == second.engine_id
    layers = [engine.inspect_image(client, b.tag)["RootFS"] for b in (first, second)]
    assert layers[0] == layers[1]


def test_a_failing_step_of_a_solve_is_named(client, session, folder):
    with pytest.raises(BuildFailed, match=r"RUN false exited with 1 .*line 2"):
        builds.build(client, folder("FROM busybox\nRUN false\n"), cache_to="type=inline")


def test_an_interrupted_solve_ends(client, session, folder):
    where = folder(f"FROM busybox\nRUN sleep 60; : {uuid.uuid4().hex}\n")
    timer = threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(BuildCancelled):
        builds.build(client, where, cache_to="type=inline")
    assert not [t for t in threading.enumerate() if t.name.startswith("buildkit")]


# --- other connections ---------------------------------------------------------------------------


@pytest.fixture
def socket_path(client):
    """The socket of the engine under test."""
    if not client.shiplight_endpoint.url.startswith("unix://"):
        pytest.skip("not for this machine: its engine is reached otherwise")
    return client.shiplight_endpoint.url.removeprefix("unix://")


@contextmanager
def forwarding(path: str, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A port of this machine that leads to a socket, through TLS or not."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(ours) -> None:
        theirs = socket.socket(socket.AF_UNIX)
        theirs.connect(path)
        if context:
            with suppress(OSError):
                transport._pump_tls(context.wrap_socket(ours, server_side=True), theirs)
            return
        for ways in ((ours, theirs), (theirs, ours)):
            given = (*ways, (ours, theirs))
            threading.Thread(target=transport._pump, args=given, daemon=True).start()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=listening.accept()[:1], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.close()


def builds_through_here(folder, tmp_path) -> None:
    """A build whose context is large enough to wait for the other side, and comes back whole."""
    content = uuid.uuid4().hex * 100_000
    text = "FROM scratch\nCOPY large /large\n"
    build = builds.build(
        engine.connect(), folder(text, large=content), name="way/x", output=tmp_path / "out"
    )
    assert build.way == "session" and (tmp_path / "out/large").read_text() == content
    deadline = time.monotonic() + 5
    while _pumps() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _pumps()


def _pumps() -> list:
    return [thread for thread in threading.enumerate() if thread.name == "buildkit-pump"]


def test_a_session_goes_over_tcp(session, folder, tmp_path, monkeypatch, socket_path):
    with forwarding(socket_path) as port:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
        builds_through_here(folder, tmp_path)


def test_a_session_goes_over_tls(session, folder, tmp_path, monkeypatch, socket_path):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # requests would take them for the SDK's
        monkeypatch.delenv(name, raising=False)
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", certificates / "key.pem", "-out", certificates / "cert.pem"]
    subprocess.run([*command, *files], check=True, capture_output=True)
    shutil.copy(certificates / "cert.pem", certificates / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.pem")
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with forwarding(socket_path, context) as port:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
        builds_through_here(folder, tmp_path)


DIAL = """#!{python}
import os, socket, sys, threading
sock = socket.socket(socket.AF_UNIX)
sock.connect({path!r})
def there():
    while data := os.read(0, 65536):
        sock.sendall(data)
    os._exit(0)
threading.Thread(target=there, daemon=True).start()
while data := sock.recv(65536):
    os.write(1, data)
"""


def test_a_session_goes_over_ssh(session, folder, tmp_path, monkeypatch, socket_path):
    """As `docker system dial-stdio` at the other end of ssh has it."""
    pytest.importorskip("paramiko", reason="not for this machine: the SDK wants paramiko for ssh")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(DIAL.format(python=sys.executable, path=socket_path))
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", "ssh://user@host")
    builds_through_here(folder, tmp_path)
