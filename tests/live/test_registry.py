"""Registries that want to know who asks, and `# syntax=`: BuildKit pulls with our credentials."""

import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
from guarded import PASSWORD, TOKEN, basic, config, guard, registry
from test_assembled_bases import on_this_machine, registry_program  # noqa: F401

from shiplight import builds, engine
from shiplight.engine import journal

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
    on_this_machine(client)
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
def registries(client, registry_program, frontend, tmp_path):  # noqa: F811
    """Start a registry that has the frontend; call it with a way to guard it."""
    opened = []

    def start(way: str):
        guarded = guard(address, way)
        server = guarded.__enter__()
        opened.append(guarded)
        return server

    with registry(registry_program, tmp_path) as address:
        name = f"{address}/docker/dockerfile"
        client.api.tag(frontend, name, "1")
        said = list(client.api.push(name, "1", stream=True, decode=True))
        client.api.remove_image(f"{name}:1")
        assert not [line for line in said if "error" in line], said
        yield start
        for guarded in opened:
            guarded.__exit__(None, None, None)


@pytest.fixture
def app(tmp_path):
    """A Dockerfile that needs a newer frontend than 20.10 has; call it with the frontend's host."""

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


def test_another_host_that_asks_for_credentials_gets_none(registries, app, tmp_path, monkeypatch):
    known, other = registries("basic"), registries("basic")
    monkeypatch.setenv("DOCKER_CONFIG", str(config(tmp_path / "docker", known.host)))
    folder = app(other.host)
    (folder / "Dockerfile").write_text(f"# syntax={other.host}/docker/dockerfile:1\nFROM busybox\n")
    with pytest.warns(UserWarning, match="is sent blank"):
        build = builds.build(engine.connect(), folder)
    assert "is sent blank" in build.remarks[0]
    assert other.asked and {said for _, _, said, _ in other.asked} == {""}
