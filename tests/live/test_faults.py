"""What goes wrong while something runs: engines that end, processes that are killed, full disks,
registries that answer nonsense, labs by the dozen. After each: a plain message, nothing left
running, the next command works, and `clean` leaves nothing of this lab.

All of it happens on an engine of its own (own_engine.py), whose data is a small memory disk.
"""

import contextlib
import itertools
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from own_engine import with_busybox
from test_builds import SLOW, runs_on_this_machine, within

from shiplight import builds, engine
from shiplight.builds import provide
from shiplight.cli import doctor
from shiplight.dockerfile import read_context
from shiplight.engine import cleaning, disk, images, journal
from shiplight.errors import BaseNotAvailable, EngineFailed
from shiplight.inspection import measure
from shiplight.setup import ROOT

SERVICE = """FROM busybox
RUN mkdir /www && echo '{"pid": 1}' | tee /www/healthz > /www/selfcheck
EXPOSE 8080
STOPSIGNAL SIGKILL
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""
SILENT = "FROM busybox\nSTOPSIGNAL SIGKILL\nEXPOSE 8080\nCMD exec sleep 90\n"
ENDS = pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])


@pytest.fixture(scope="module")
def own(client):
    """An engine of this module's own that has busybox."""
    with with_busybox(client) as own:
        yield own


@pytest.fixture
def folder(tmp_path):
    """A folder to build; call it with a Dockerfile's text."""

    def fill(text: str) -> str:
        (tmp_path / "Dockerfile").write_text(text)
        return str(tmp_path)

    return fill


@pytest.fixture
def lab(own, monkeypatch):
    """The client of that engine, for a lab of this test's own; `clean` must leave nothing of it."""
    monkeypatch.setenv("DOCKER_HOST", own.url)
    monkeypatch.setenv("LAB_ID", f"f{time.time_ns() % 10**12}")
    client = engine.connect()
    before = everything(client)
    yield client
    cleaned = said_by(run_lab("clean", "--json"))
    assert not [one for one in json.loads(cleaned)["left"] if "cache records" not in one["what"]]
    after = everything(engine.connect())
    new = after.pop("cache") - before.pop("cache")
    assert after == before and all(IN_DOUBT.search(record) for record in new)
    assert not journal.path().exists()


# What may be left of a build whose process or engine was killed: nothing tells whose that is.
IN_DOUBT = re.compile(r" (local source for (context|dockerfile)|fileop target|from local )$")


def everything(client) -> dict[str, set[str]]:
    """All that an engine keeps, by kind."""
    cache = disk.cache_records(client)
    return {
        "images": {f"{x['Id']} {x['RepoTags']}" for x in client.api.images(all=True)},
        "containers": {x["Id"] for x in client.api.containers(all=True)},
        "networks": {x.name for x in client.networks.list()},  # the first ones get new ids
        "volumes": {x.name for x in client.volumes.list()},
        "cache": {f"{record.id} {record.description}" for record in cache},
    }


def run_lab(*arguments: str) -> subprocess.Popen:
    return start([sys.executable, "-m", "shiplight", *arguments])


def run_python(own, code: str) -> subprocess.Popen:
    """A kernel's work, in a process that reaches the engine's ports."""
    lines = f"from shiplight import *\nclient = connect()\n{code}"
    return start(own.inside(sys.executable, "-c", lines))


def start(command: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def said_by(process: subprocess.Popen, *, within: float = 60) -> str:
    out, err = process.communicate(timeout=within)
    return out + err


# --- many labs, and strangers ------------------------------------------------------------------

# These come first: an engine that was killed keeps the addresses of containers that it had.

# Each lab in a process of its own: all build and probe at once, then every second one cleans while
# the others look after what is theirs, and then those clean too.
MANY = """
import multiprocessing, os, sys
from shiplight import builds, engine, inspection
from shiplight.engine import cleaning, disk, journal

def work(number, where, met, told):
    os.environ["LAB_ID"] = f"many{number}"
    client, mark = engine.connect(), f"mark-of-{number}-"
    text = open(f"{where}/Dockerfile").read() + f"RUN echo {mark}\\n"
    try:
        build = builds.build(client, where, text=text)
        probe = inspection.probe(client, build.tag)
        client.volumes.create(f"vol-{mark}", labels=journal.made())
        met.wait(60)
        done = cleaning.clean(client) if number % 2 else None
        met.wait(60)
        if done is None:
            assert engine.id_of(client, build.tag) == build.engine_id
            assert any(record.description.endswith(mark) for record in disk.cache_records(client))
            assert sum(x.name == f"vol-{mark}" for x in client.volumes.list()) == 1
            done = cleaning.clean(client)
        # What the engine still holds, of thirty builds at once, is no clean's to remove.
        left = [r for r in disk.cache_records(client) if r.description.endswith(mark)]
        stays = [record for record in left if not record.in_use or not done.left]
        told.put(f"{probe.answered or probe} {done.images} {done.volumes} {stays or 'gone'}")
    except BaseException as error:
        told.put(repr(error))
        raise

fork = multiprocessing.get_context("fork")
count, told = int(sys.argv[2]), fork.Queue()
met = fork.Barrier(count)
labs = [fork.Process(target=work, args=(n, sys.argv[1], met, told)) for n in range(count)]
for lab in labs:
    lab.start()
for _ in labs:
    print(told.get())
for lab in labs:
    lab.join()
"""


@pytest.mark.parametrize("count", [2, 30])
def test_labs_at_once_on_one_engine_keep_apart(own, lab, folder, count):
    together = start(own.inside(sys.executable, "-c", MANY, folder(SERVICE), str(count)))
    out, err = together.communicate(timeout=150)
    assert out.splitlines() == ["True 1 1 gone"] * count, out + err
    assert "Traceback" not in err
    own.stop(signal.SIGTERM)  # what 20.10 still holds of thirty builds, it holds until it ends
    own.start().api.prune_builds()


@pytest.fixture
def strangers(lab, folder):
    """Images, a container, networks, volumes and cache records of others, made as we make ours."""
    text = "FROM busybox\nRUN echo stranger > /s\n"
    with pytest.MonkeyPatch.context() as other:
        other.setenv("LAB_ID", f"other{time.time_ns() % 10**9}")
        tag = builds.build(lab, folder(text)).tag
        labels = journal.made()
    [base] = provide(lab, ["busybox"])
    context = read_context(
        Path(folder(f"FROM {base.used}\nRUN echo nobody > /n\n")), dockerfile="Dockerfile"
    )
    with engine.post_build(lab, context.tar(), t="stranger/app:1") as told:
        list(told)
    made = [
        lab.containers.create("stranger/app:1", ["true"], labels=given) for given in ({}, labels)
    ]
    made += [lab.networks.create(f"net{len(x)}", labels=x) for x in ({}, labels)]
    made += [lab.volumes.create(f"vol{len(x)}", labels=x) for x in ({}, labels)]
    made += [lab.containers.create(tag, ["true"])]
    made[-1].commit("stranger/heir", tag="1")
    yield everything(lab)
    for thing in made:
        thing.remove()
    for name in ("stranger/heir:1", "stranger/app:1"):
        lab.api.remove_image(name)
    with pytest.MonkeyPatch.context() as other:
        other.setenv("LAB_ID", tag.split("/")[1])
        cleaning.clean(lab)
    lab.api.prune_builds()


def test_clean_leaves_everything_of_strangers_to_the_last_record(own, lab, folder, strangers):
    """Also what was made in the same second as ours, and on top of ours."""
    tag = builds.build(lab, folder(SERVICE)).tag
    lab.containers.create(tag, labels=journal.made())
    lab.networks.create("ours", labels=journal.made())
    lab.volumes.create("ours", labels=journal.made())
    done = json.loads(said_by(run_lab("clean", "--json")))
    assert [done[kind] for kind in ("containers", "images", "networks", "volumes")] == [1] * 4
    after = everything(lab)
    assert after == strangers


# --- the engine ends ---------------------------------------------------------------------------


@ENDS
def test_an_engine_that_ends_in_mid_build_is_told_and_the_next_build_works(own, lab, folder, how):
    mark = f"ends{time.time_ns()}"
    building = run_lab("build", folder(SLOW.format(mark=mark)))
    assert within(30, lambda: runs_on_this_machine(mark))
    own.stop(how)
    said = said_by(building)
    own.start()
    assert building.returncode == 1 and "stopped answering while building" in said
    assert "./lab doctor" in said and "Traceback" not in said
    assert builds.build(engine.connect(), folder(f"FROM busybox\nRUN echo {mark}\n")).engine_id


@ENDS
def test_an_engine_that_ends_in_mid_measurement_is_told_and_nothing_wrong_is_kept(
    own, lab, folder, how, monkeypatch
):
    text = "FROM busybox\nRUN dd if=/dev/urandom of=/x bs=1M count=40\n"
    tag = builds.build(lab, folder(text)).tag
    export = engine.export_image

    @contextlib.contextmanager
    def cut_short(client, name):
        with export(client, name) as chunks:
            first = next(chunks)
            own.stop(how)
            yield itertools.chain([first], chunks)

    monkeypatch.setattr(engine, "export_image", cut_short)
    with pytest.raises(EngineFailed, match="stopped answering while exporting"):
        measure(lab, tag)
    monkeypatch.setattr(engine, "export_image", export)
    again = own.start()
    assert measure(again, tag).unpacked_bytes > 40 << 20
    left = own.folder / "data" / "tmp"
    assert within(5, lambda: not own.listed(left)), (
        "a cut export leaves nothing on the engine's disk"
    )


@ENDS
def test_an_engine_that_ends_in_mid_probe_leaves_a_container_that_is_told_and_cleaned(
    own, lab, folder, how
):
    tag = builds.build(lab, folder(SILENT)).tag
    asking = run_python(own, f"probe(client, {tag!r})")
    assert within(30, lambda: probed(lab))
    own.stop(how)
    said = said_by(asking)
    again = own.start()
    assert asking.returncode == 1 and f"A container of {tag} was left behind" in said
    assert f"while running {tag}" in said and "./lab clean" in said.splitlines()[-1], said
    assert len(again.api.containers(all=True)) == 1
    finding = doctor._left(again)
    assert "1 containers" in finding.seen and "./lab clean" in finding.advice


def probed(client) -> bool:
    """Whether a container runs there."""
    return bool(client.api.containers())


# --- a process ends ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_probe_that_is_ended_leaves_at_most_what_clean_finds(own, lab, folder, how):
    tag = builds.build(lab, folder(SILENT)).tag
    asking = run_python(own, f"probe(client, {tag!r})")
    assert within(30, lambda: probed(lab))
    asking.send_signal(how)
    said_by(asking)
    left = len(lab.api.containers(all=True))
    assert left == (0 if how is signal.SIGINT else 1)
    assert engine.held(lab).containers == left
    assert cleaning.clean(lab).containers == left


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_measurement_that_is_ended_ends_in_the_engine_too(own, lab, folder, how):
    tag = builds.build(lab, folder("FROM busybox\nRUN dd if=/dev/zero of=/x bs=1M count=60\n")).tag
    code = f"""
from shiplight import engine
with engine.export_image(client, {tag!r}) as chunks:
    print(len(next(chunks)), flush=True)
    measure(client, {tag!r}), input()
"""
    measuring = run_python(own, code)
    assert int(measuring.stdout.readline())
    measuring.send_signal(how)
    said_by(measuring)
    assert within(10, lambda: not own.listed(own.folder / "data" / "tmp"))
    assert measure(lab, tag).unpacked_bytes > 60 << 20


# --- disks that are full -----------------------------------------------------------------------


def test_a_build_that_fills_the_engines_disk_says_so_and_clean_makes_room(own, lab, folder):
    where = folder("FROM busybox\nRUN dd if=/dev/zero of=/x bs=1M count=400\n")
    building = run_lab("build", where)
    said = said_by(building)
    print(said)
    assert building.returncode == 1 and "exited with 1" in said and "Dockerfile, line 2" in said
    assert "the engine's disk is full: `./lab clean`" in said
    assert builds.build(lab, folder("FROM busybox\nRUN echo there is room again\n")).engine_id


def test_a_context_that_fills_the_engines_disk_says_so(own, lab, folder, tmp_path):
    where = folder("FROM busybox\nCOPY . /\n")
    with open(tmp_path / "large", "wb") as file:
        file.truncate(400 << 20)
    building = run_lab("build", where)
    said = said_by(building)
    print(said)
    assert building.returncode == 1 and "the engine's disk is full: `./lab clean`" in said
    own.stop(signal.SIGTERM)  # an engine of 20.10 keeps the half of a context, as in use
    again = own.start()
    again.api.prune_builds()
    (tmp_path / "large").unlink()
    assert builds.build(again, where).engine_id


# One lab's folder on a disk of 64 kB, in a mount name space of its own, and then it is full.
FULL = """
set -e
mount -t tmpfs -o size=256k tmpfs "$HERE"
lab() { "$PYTHON" -m shiplight "$@"; }
lab build "$WHERE" > /dev/null
head -c 1M /dev/zero > "$HERE/full" 2> /dev/null || true
"$PYTHON" -c "$FILL"
lab build "$WHERE" --no-cache || echo "exit code $?"
lab measure "$TAG" > /dev/null && echo measured
rm "$HERE/full"
"$PYTHON" -c "$FILL" 3
lab build "$WHERE" --no-cache > /dev/null && echo built
lab clean
"""
FILL = """
import sys
from shiplight import errors
from shiplight.engine import journal
before, wrote = len(list(journal.read())), 0
try:
    while wrote < int([*sys.argv, 9999][1]):
        journal.write("fill", engine="none", text="x" * 100)
        wrote += 1
except errors.LabFolderFailed as error:
    print(error)
assert len(list(journal.read())) == before + wrote > before
"""


def test_when_this_labs_own_folder_is_full_building_says_so_and_measuring_works(
    own, lab, folder, monkeypatch
):
    where = folder("FROM busybox\nRUN echo full > /x\n")
    for name, value in {
        "HERE": str(journal.folder()), "PYTHON": sys.executable, "FILL": FILL,
        "WHERE": where, "TAG": builds.order(where).tag,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    script = start(["unshare", "--mount", "bash", "-c", FULL])
    said = said_by(script)
    assert script.returncode == 0 and "Traceback" not in said, said
    assert said.count("cannot be written: No space left on device") == 2, said
    assert all(word in said for word in ("exit code 1", "measured", "built", "removed 2 images"))
    journal.path().rmdir()


# --- ports and rights --------------------------------------------------------------------------


def test_a_port_that_is_taken_is_said_before_anything_is_done():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = run_lab("up", "--no-browser", "--port", str(port))
        said = said_by(up)
    assert up.returncode == 1
    assert f"port {port} on 127.0.0.1 cannot be used: Address already in use" in said
    assert "--port with another number" in said and "Traceback" not in said


@pytest.mark.parametrize("command", ["build", "clean", "doctor", "measure"])
def test_without_the_right_to_the_socket_it_is_said_what_the_docker_group_means(own, lab, command):
    if shutil.which("setpriv") is None:
        pytest.skip("not for this machine: setpriv is not installed")
    own.folder.chmod(0o711)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    arguments = [command, *{"build": ["go/multi"], "measure": ["busybox"]}.get(command, [])]
    refused = start([*nobody, sys.executable, "-m", "shiplight", *arguments])
    said = " ".join(said_by(refused).split())
    assert refused.returncode == 1 and "Traceback" not in said
    assert "permission denied" in said and "sudo usermod -aG docker" in said
    assert "of the group `docker` can become root on it" in said


# --- registries and proxies --------------------------------------------------------------------

REGISTRY = """
import http.server, sys, time
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        how = sys.argv[1]
        if how == "silent" or (how == "silent later" and self.path.rstrip("/") != "/v2"):
            time.sleep(600)
        body = b"<html><body>Please log in</body></html>" if how == "html" else b"{}"
        self.send_response(int(how) if how.isdigit() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/html" if how == "html" else "application/json")
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_HEAD = do_CONNECT = answer
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def registry(own):
    """Start a registry that answers in a certain way, where the engine is: its address."""

    def serve(how: str) -> str:
        server = start(own.inside(sys.executable, "-c", REGISTRY, how))
        servers.append(server)
        return f"127.0.0.1:{server.stdout.readline().strip()}"

    servers = []
    yield serve
    for server in servers:
        server.kill()
        server.communicate()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("429", "too many requests"),
        ("500", "server error"),
        ("html", "is not a registry"),
        ("404", "nothing of that name"),
    ],
)
def test_what_a_registry_answers_wrongly_is_told_plainly(
    own, lab, folder, registry, monkeypatch, how, says
):
    monkeypatch.setenv("SHIPLIGHT_MIRROR", f"{registry(how)}/x")
    building = run_lab("build", folder("FROM nobody/has:this\n"))
    said = said_by(building)
    print(said)
    assert building.returncode == 1 and "Traceback" not in said
    assert "the base nobody/has:this is not here" in said
    assert says in said


@pytest.mark.parametrize("how", ["silent", "silent later"])
def test_a_registry_that_says_nothing_is_not_waited_for_for_ever(
    own, lab, folder, registry, monkeypatch, how
):
    monkeypatch.setenv("SHIPLIGHT_MIRROR", f"{registry(how)}/x")
    monkeypatch.setattr(images, "REGISTRY_SILENCE", 2)
    with pytest.raises(BaseNotAvailable, match="said nothing for 2 s") as failed:
        builds.build(lab, folder("FROM nobody/has:this\n"))
    print(failed.value)
    waiting = run_lab("build", folder("FROM nobody/has:that\n"))
    time.sleep(2)
    assert waiting.poll() is None
    waiting.send_signal(signal.SIGINT)
    print(said := said_by(waiting, within=5))
    assert "interrupted" in said
    assert waiting.returncode == 130
    assert builds.build(lab, folder("FROM busybox\n")).engine_id


@pytest.mark.parametrize("how", ["429", "500", "html", "silent"])
def test_a_proxy_between_engine_and_registry_that_answers_wrongly(
    own, lab, folder, registry, monkeypatch, how
):
    monkeypatch.setattr(images, "REGISTRY_SILENCE", 2)
    own.stop(signal.SIGTERM)
    through = own.start(HTTPS_PROXY=f"http://{registry(how)}")
    try:
        with pytest.raises(BaseNotAvailable) as failed:
            builds.build(through, folder("FROM nobody/has:this\n"))
        print(failed.value)
    finally:
        own.stop(signal.SIGTERM)
        own.start()
