"""Base images on a real engine: what each of them promises, and getting them through a mirror."""

import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace

import contracts
import pytest
from contracts import Inside
from guarded import program, registry

from shiplight import builds, dockerfile, engine, progress
from shiplight.builds import assembling, bases
from shiplight.builds.providing import provide
from shiplight.dockerfile import stages
from shiplight.engine import cleaning, journal
from shiplight.errors import BaseNotAvailable, ShipLightError
from shiplight.inspection import measure
from shiplight.references import canonical

RECIPES = list(bases.recipes().values())


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.reference)
def test_a_recipe_says_which_bases_it_stands_on(recipe):
    if recipe.kind != "dockerfile":
        assert not recipe.needs
        return
    text = (bases.FOLDER / recipe.recipe / "Dockerfile").read_text(encoding="utf-8")
    read = dockerfile.parse(text)
    uses = stages.image_uses(read, recipe.target, recipe.args)
    assert {canonical(use.reference) for use in uses} == set(recipe.needs)
    assert set(recipe.needs) <= set(bases.recipes())


# --- contracts -------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=RECIPES, ids=lambda recipe: recipe.reference)
def stood_for(request, client):
    """A recipe, the kind of the image that stands for it here, and what is inside."""
    [base] = provide(client, [request.param.reference])
    return request.param, base.kind, Inside(client, base.used)


@pytest.mark.parametrize("part", contracts.PARTS, ids=lambda part: part.__name__)
def test_a_base_is_what_its_contract_says(stood_for, part):
    recipe, _, inside = stood_for
    assert part(inside, contracts.contract(recipe, inside.image.platform)) == []


def test_an_equivalent_weighs_what_is_published_or_says_why_not(stood_for):
    recipe, kind, inside = stood_for
    if kind != "equivalent":
        return  # an official image is what it is
    published = recipe.published["unpacked_bytes"]
    close = abs(inside.image.unpacked_bytes - published) <= published / 10
    words = ("twice as large", "smaller than", "larger than")
    said = any(one in recipe.differs for one in words)
    assert close != said, inside.image


# --- made again ------------------------------------------------------------------------------


def test_what_a_changed_recipe_makes_replaces_the_equivalent_and_what_fails_does_not(client):
    """The old image has its name until the new one takes it, and goes then."""
    name = f"{bases.EQUIVALENTS}/renewed:{os.getpid()}"
    small = ["--variant=extract", "--architectures={architecture}", "--include=busybox-static"]
    debian = bases.recipes()["debian:bookworm-slim"]

    def recipe(*arguments):
        told = debian.rootfs | {"arguments": [*small, *arguments]}
        return replace(debian, equivalent=name, rootfs=told)

    first, second = recipe("bookworm", "-"), recipe("--include=media-types", "bookworm", "-")
    wrong = recipe("--include=there-is-no-such-package", "bookworm", "-")
    if why := builds.unassembled(client, first):
        pytest.skip(f"not for this machine: an equivalent {why}")
    try:
        assembling.assemble(client, first, progress.Tasks(""))
        old = engine.find_image(client, name)["Id"]
        assert not assembling.is_outdated(client, first) and assembling.is_outdated(client, second)
        with pytest.raises(BaseNotAvailable, match="mmdebstrap could not assemble"):
            assembling.assemble(client, wrong, progress.Tasks(""), renew=True)
        assembling.assemble(client, second, progress.Tasks(""))
        assert engine.find_image(client, name)["Id"] == old, "a build does not make it again"
        assembling.assemble(client, second, progress.Tasks(""), renew=True)
        assert not assembling.is_outdated(client, second)
        assert measure(client, name).find("etc/mime.types")
        assert engine.find_image(client, old) is None
    finally:
        engine.remove_image(client, name)
    assert not engine.has_image(client, f"{name}-unfinished")


# --- a mirror --------------------------------------------------------------------------------


@pytest.fixture
def lab(monkeypatch):
    """A lab of its own, whose files go afterwards."""
    monkeypatch.setenv("LAB_ID", f"mirror{os.getpid()}")
    yield journal.lab_id()
    shutil.rmtree(journal.folder(), ignore_errors=True)


@pytest.fixture(scope="module")
def registry_program(tmp_path_factory):
    """Debian's docker-registry, wherever it is."""
    try:
        return program(tmp_path_factory.mktemp("registry"))
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"not for this machine: it has no docker-registry ({error})")


def on_this_machine(client) -> None:
    """Skips where 127.0.0.1 is another place for the engine than for the tests."""
    if engine.describe(client).free_bytes is None:
        pytest.skip(
            "not for this machine: the engine is elsewhere, and cannot reach a mirror on 127.0.0.1"
        )


@pytest.fixture
def mirror(client, registry_program, tmp_path):
    """The address of a registry that has one image, `library/busybox`, with a file of its own."""
    on_this_machine(client)
    with registry(registry_program, tmp_path) as address:
        fill(client, address, tmp_path / "pushed")
        yield address


def test_a_registry_that_is_missing_is_unpacked_and_not_installed(client, tmp_path, monkeypatch):
    on_this_machine(client)
    which = shutil.which
    hidden = "docker-registry"
    monkeypatch.setattr(shutil, "which", lambda name: None if name == hidden else which(name))
    if not which("apt-get"):
        pytest.skip("not for this machine: it has no apt-get")
    found = program(tmp_path)
    assert found.startswith(str(tmp_path))
    said = subprocess.run([found, "--version"], capture_output=True, text=True)
    assert "registry" in said.stdout + said.stderr


def fill(client, address: str, folder) -> None:
    """Push what is busybox here, with one file more, so that it is known again; keep nothing."""
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM busybox\nCOPY from-the-mirror /\n")
    (folder / "from-the-mirror").write_text(address)
    tag = builds.build(client, str(folder)).tag
    pushed = f"{address}/library/busybox"
    try:
        client.api.tag(tag, pushed, "latest")
        for line in client.api.push(pushed, "latest", stream=True, decode=True):
            assert "error" not in line, line
    finally:
        for name in (f"{pushed}:latest", tag):
            engine.remove_image(client, name)
    assert not engine.has_image(client, f"{pushed}:latest")


def test_a_build_takes_its_base_from_a_mirror_and_clean_gives_it_back(
    client, mirror, lab, tmp_path, monkeypatch
):
    [before] = provide(client, ["busybox"])
    monkeypatch.setenv("SHIPLIGHT_MIRROR", mirror)
    monkeypatch.setenv("SHIPLIGHT_BASES", "mirrored")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN cat /from-the-mirror > /seen\n")
    build = builds.build(client, str(tmp_path))
    pulled = f"{mirror}/library/busybox:latest"
    assert build.setting.bases == "mirrored" and build.bases == {"busybox": pulled}
    assert "seen" in measure(client, build.tag).tree()
    builds.build(client, str(tmp_path))
    journalled = [entry["name"] for entry in journal.read("image")]
    assert journalled.count(pulled) == 1, "pulled once"
    with pytest.raises(BaseNotAvailable, match="nobody/has"):
        provide(client, ["nobody/has:this"])

    done = cleaning.clean(client)
    assert (done.images, done.containers) == (2, 0)
    assert not [left for left in done.left if left.why == cleaning.USED]
    assert not engine.has_image(client, pulled) and not engine.has_image(client, build.tag)
    assert engine.has_image(client, before.used)


@pytest.fixture
def broken_mirror(client, lab, monkeypatch):
    """Call it with what a mirror does wrong; its list of requests. SHIPLIGHT_MIRROR names it."""
    on_this_machine(client)
    servers, let_go = [], threading.Event()

    def start(status: int, body: bytes = b"") -> list[str]:
        asked = []

        class Answer(http.server.BaseHTTPRequestHandler):
            def handle(self):
                if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":  # TLS: this is HTTP, to Go
                    self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    return
                super().handle()

            def do_GET(self):
                asked.append(self.path)
                if not status:
                    let_go.wait(60)
                    return
                self.send_response(status)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body if self.command == "GET" else b"")

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        server.handle_error = lambda *_: None  # the engine hung up
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        monkeypatch.setenv("SHIPLIGHT_MIRROR", f"127.0.0.1:{server.server_port}")
        return asked

    yield start
    let_go.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, b"", "500 Internal Server Error"),
        (429, b"", "too many requests"),
        (
            200,
            b"<html>Welcome to our guest network!</html>",
            "what responds there is not a registry",
        ),
        (0, b"", "did not respond in time"),
    ],
    ids=["500", "429", "html", "never"],
)
def test_a_broken_mirror_is_said_in_words_that_a_person_understands(
    client, broken_mirror, monkeypatch, status, body, said
):
    asked = broken_mirror(status, body)
    monkeypatch.setenv("SHIPLIGHT_BASES", "mirrored")
    clock = time.monotonic()
    with pytest.raises(BaseNotAvailable, match=said) as refused:
        provide(client, ["busybox"])
    assert time.monotonic() - clock < 35 and asked
    text = str(refused.value)
    assert os.environ["SHIPLIGHT_MIRROR"] in text and "the base busybox is not here" in text
    assert "SHIPLIGHT_BASES=auto" in text, "an equivalent is named as the way out"


def test_a_broken_mirror_is_not_even_asked_for_a_base_that_is_here(
    client, broken_mirror, monkeypatch
):
    provide(client, ["busybox"])
    asked = broken_mirror(500)
    monkeypatch.delenv("SHIPLIGHT_BASES", raising=False)
    [base] = provide(client, ["busybox"])
    assert base.kind != "mirrored" and asked == []
    with pytest.raises(ShipLightError, match="500 Internal Server Error"):
        provide(client, ["nobody/has:this"])
