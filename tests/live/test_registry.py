"""Registries that want to know who asks, and `# syntax=`: BuildKit pulls with our credentials."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path

import docker
import pytest
from guarded import PASSWORD, TOKEN, basic, config, guard, registry
from test_assembled_bases import registry_program  # noqa: F401

from shiplight import builds, engine
from shiplight.engine import disk, journal
from shiplight.errors import BaseNotAvailable, BuildFailed
from shiplight.setup import ROOT

FRONTEND = "github.com/moby/buildkit/frontend/dockerfile/cmd/dockerfile-frontend"
VERSION = "v0.17.3"
IMAGE = """FROM scratch
COPY dockerfile-frontend /bin/dockerfile-frontend
LABEL moby.buildkit.frontend.network.none="true"
LABEL moby.buildkit.frontend.caps="moby.buildkit.frontend.inputs"
ENTRYPOINT ["/bin/dockerfile-frontend"]
"""


@pytest.fixture(scope="module")
def frontend(client, tmp_path_factory):
    """The image of BuildKit's own Dockerfile frontend, compiled from its Go module; its tag."""
    if engine.describe(client).kind == "Podman":
        pytest.skip("not for this machine: its engine has no frontends")
    folder = tmp_path_factory.mktemp("frontend")
    program = Path(os.environ.get("SHIPLIGHT_FRONTEND", folder / "dockerfile-frontend"))
    if not program.exists():
        if not shutil.which("go"):
            pytest.skip("not for this machine: it has no Go to compile the frontend with")
        (folder / "go.mod").write_text(
            f"module x\n\ngo 1.22\n\nrequire github.com/moby/buildkit {VERSION}\n"
        )
        command = ["go", "build", "-mod=mod", "-o", program, FRONTEND]
        environment = os.environ | {"CGO_ENABLED": "0"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"not for this machine: no frontend ({done.stderr[-300:]})")
    if program.parent != folder:
        shutil.copy(program, folder / "dockerfile-frontend")
    (folder / "Dockerfile").write_text(IMAGE)
    return builds.build(client, folder, name="frontend/image").tag


@pytest.fixture
def upstream(client, registry_program, tmp_path):  # noqa: F811
    """A registry that takes everything from everybody; its address."""
    with registry(registry_program, tmp_path) as address:
        yield address


@pytest.fixture
def registries(client, upstream):
    """Put a guard before the registry; call it with a way to guard it."""
    if engine.describe(client).kind == "Podman":
        pytest.skip("not for this machine: its engine has no BuildKit session")
    opened = ExitStack()

    def start(way: str):
        server = opened.enter_context(guard(upstream, way))
        with suppress(docker.errors.APIError):
            client.api.inspect_distribution(f"{server.host}/anything")
        if not server.asked:
            pytest.skip("not for this machine: its engine does not reach 127.0.0.1 of the tests")
        server.asked.clear()
        return server

    with opened:
        yield start


def push(client, upstream: str, image: str, name: str) -> None:
    """Put an image of the engine into the registry, and take its new name away again."""
    client.api.tag(image, f"{upstream}/{name}", "1")
    said = list(client.api.push(f"{upstream}/{name}", "1", stream=True, decode=True))
    client.api.remove_image(f"{upstream}/{name}:1")
    assert not [line for line in said if "error" in line], said


@pytest.fixture
def app(client, upstream, frontend, tmp_path):
    """A Dockerfile that needs a newer frontend than 20.10 has; call it with the frontend's host."""
    push(client, upstream, frontend, "docker/dockerfile")

    def fill(host: str) -> Path:
        (tmp_path / "app").mkdir(exist_ok=True)
        salt = uuid.uuid4().hex
        text = f"# syntax={host}/docker/dockerfile:1\nFROM --platform=$BUILDPLATFORM busybox\n"
        text += f"COPY <<E /x\nfrom a heredoc {salt}\nE\nRUN --mount=type=secret,id=s cat /x\n"
        (tmp_path / "app/Dockerfile").write_text(text)
        return tmp_path / "app"

    return fill


@pytest.mark.parametrize("way", ["open", "basic", "token"])
def test_a_syntax_line_is_honoured_with_the_credentials_of_its_host(
    registries, app, tmp_path, monkeypatch, way
):
    server, other = registries(way), registries("basic")
    monkeypatch.setenv("DOCKER_CONFIG", str(config(tmp_path / "docker", server.host)))
    monkeypatch.setenv("TOKEN", "s3cret")
    build = builds.build(engine.connect(), app(server.host), secrets={"s": "env:TOKEN"})
    assert build.remarks == () and "from a heredoc" in build.numbered_steps[-1].log[0]
    by_buildkit = [said for _, path, said, _ in server.asked if "/manifests/" in path]
    expected = {"open": "", "basic": basic(), "token": f"Bearer {TOKEN}"}[way]
    assert by_buildkit[-1] == expected
    assert other.asked == []
    told = str(build.to_dict()) + str(list(journal.read("build")))
    assert PASSWORD not in told and TOKEN not in told


def test_the_command_line_builds_and_checks_what_needs_a_newer_frontend_and_a_secret(
    registries, app, tmp_path, monkeypatch
):
    server = registries("token")
    monkeypatch.setenv("DOCKER_CONFIG", str(config(tmp_path / "docker", server.host)))
    folder, token = app(server.host), tmp_path / "token"
    token.write_text("s3cret")
    for command in (["build", folder], ["check", folder, "--build", "--skip", "scanned"]):
        lab = [sys.executable, "-P", "-m", "shiplight", *command, "--secret", f"id=s,src={token}"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run([*lab, "--json"], capture_output=True, text=True, env=environment)
        assert done.returncode in (0, command[0] == "check"), done.stderr
        assert json.loads(done.stdout) and "blank" not in done.stdout + done.stderr


def test_another_host_that_asks_for_credentials_gets_none(registries, app, tmp_path, monkeypatch):
    known, other = registries("basic"), registries("basic")
    monkeypatch.setenv("DOCKER_CONFIG", str(config(tmp_path / "docker", known.host)))
    folder = app(other.host)
    (folder / "Dockerfile").write_text(f"# syntax={other.host}/docker/dockerfile:1\nFROM busybox\n")
    with pytest.warns(UserWarning, match="is sent blank"):
        build = builds.build(engine.connect(), folder)
    assert "is sent blank" in build.remarks[0]
    assert other.asked and {said for _, _, said, _ in other.asked} == {""}


@pytest.fixture
def small(client, tmp_path):
    """Two images that nobody else has, by platform: their only file says which it is."""
    (tmp_path / "small").mkdir()
    made = {}
    for platform in ("linux/amd64", "linux/arm64"):
        (tmp_path / "small/platform").write_text(f"{platform} {uuid.uuid4().hex}")
        text = "FROM scratch\nCOPY platform /\n"
        how = {"text": text, "name": f"small/{platform[6:]}", "platform": platform}
        made[platform] = builds.build(client, tmp_path / "small", **how).tag
    return made


@pytest.mark.parametrize("way", ["open", "basic", "token"])
def test_a_base_of_a_private_registry_is_pulled_with_the_credentials_of_its_host(
    client, upstream, registries, small, tmp_path, monkeypatch, way
):
    """Also one of another platform, which BuildKit pulls by itself."""
    server, other = registries(way), registries("basic")
    monkeypatch.setenv("DOCKER_CONFIG", str(config(tmp_path / "docker", server.host)))
    for platform, image in small.items():
        name = f"private/{platform[6:]}"
        push(client, upstream, image, name)
        (tmp_path / "Dockerfile").write_text(f"FROM --platform={platform} {server.host}/{name}:1\n")
        out = tmp_path / f"out-{platform[6:]}"
        builds.build(engine.connect(), tmp_path / "Dockerfile", platform=platform, output=out)
        assert (out / "platform").read_text().startswith(platform)
    expected = {"open": "", "basic": basic(), "token": f"Bearer {TOKEN}"}[way]
    assert expected in {said for _, path, said, _ in server.asked if "/manifests/" in path}
    assert other.asked == []


def test_a_private_base_without_credentials_is_an_error_that_names_it(
    client, upstream, registries, small, tmp_path, monkeypatch
):
    server = registries("basic")
    monkeypatch.setenv("DOCKER_CONFIG", str(config(tmp_path / "docker")))
    for platform, image in small.items():
        name = f"private/{platform[6:]}"
        push(client, upstream, image, name)
        (tmp_path / "Dockerfile").write_text(f"FROM --platform={platform} {server.host}/{name}:1\n")
        with pytest.raises((BaseNotAvailable, BuildFailed), match=f"{server.host}/{name}"):
            builds.build(engine.connect(), tmp_path / "Dockerfile", platform=platform)


CACHED = (
    "FROM busybox AS builder\nRUN echo {salt} > /x\nFROM scratch\nCOPY --from=builder /x /{to}\n"
)


def forget(client, build, salt: str) -> None:
    """Remove an image and the cache records of its own steps, and nothing else."""
    client.images.remove(build.tag, force=True)
    for record in reversed(disk.cache_records(client)):
        if salt in record.description or "/x /" in record.description:
            disk.prune_cache_record(client, record.id)


@pytest.mark.parametrize(("mode", "comes_back"), [("max", True), ("min", False)])
@pytest.mark.parametrize("kind", ["registry", "local"])
def test_a_cache_that_was_exported_brings_steps_of_the_builder_back(
    client, registries, tmp_path, monkeypatch, kind, mode, comes_back
):
    """With mode=max those of stages that do not ship, too. A graph driver says that it cannot."""
    server, salt = registries("basic"), uuid.uuid4().hex
    monkeypatch.setenv("DOCKER_CONFIG", str(config(tmp_path / "docker", server.host)))
    file, place = tmp_path / "Dockerfile", f"ref={server.host}/private/cache:{mode}"
    to, source = (
        (place, place) if kind == "registry" else (f"dest={tmp_path}/c", f"src={tmp_path}/c")
    )
    file.write_text(CACHED.format(salt=salt, to="a"))
    export = {"cache_to": f"type={kind},{to},mode={mode}", "name": f"cache/{kind}"}
    if engine.image_store(client) != "containerd":
        with pytest.raises(BuildFailed) as failed:
            builds.build(engine.connect(), file, **export)
        assert "containerd store" in failed.value.hint
        return
    forget(client, builds.build(engine.connect(), file, **export), salt)
    file.write_text(CACHED.format(salt=salt, to="b"))
    build = builds.build(engine.connect(), file, cache_from=f"type={kind},{source}")
    steps = {step.instruction: step.cached for step in build.numbered_steps}
    assert steps[f"RUN echo {salt} > /x"] is comes_back
