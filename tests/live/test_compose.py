"""One Dockerfile for the day and for the ship: what its targets carry, and how Compose uses it."""

import json
import os
import shutil
import subprocess
import time

import pytest
from contracts import container
from test_assembled_bases import on_this_machine

from shiplight import builds, dockerfile
from shiplight.builds.bases import text_to_send
from shiplight.builds.providing import provide
from shiplight.catalogue import APPS
from shiplight.engine import journal
from shiplight.errors import BuildFailed
from shiplight.inspection import measure

APP = APPS / "compose"
COMPOSE = """FROM debian:trixie-slim AS get
RUN apt-get update && apt-get download docker-compose \\
    && dpkg-deb --extract docker-compose_*.deb /got
FROM scratch
COPY --from=get /got/usr/libexec/docker/cli-plugins/docker-compose /
"""
ASK = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/').read().decode())"


def built(client, target: str, folder=APP):
    return builds.build(client, folder, target=target, name=f"compose/{target}")


def test_production_carries_neither_tests_nor_what_only_a_developer_needs(client):
    images = {name: measure(client, built(client, name)) for name in ("dev", "test", "production")}
    for name, image in images.items():
        assert bool(image.find("*/site-packages/pytest/*")) == (name != "production"), name
        assert bool(image.find("app/tests/*")) == (name == "test"), name
        assert bool(image.find("app/main.py")) == (name != "dev"), "dev has its source mounted"
    production, dev = images["production"], images["dev"]
    assert not production.find("*bin/sh") and production.user == "65532"
    assert production.unpacked_bytes < dev.unpacked_bytes / 2, (production, dev)
    assert production.tree()["app/main.py"][0].mode & 0o777 == 0o444


def test_a_failing_test_stops_its_own_target_and_no_other(client, tmp_path):
    folder = shutil.copytree(APP, tmp_path / "compose")
    tests = folder / "tests" / "test_main.py"
    tests.write_text(tests.read_text().replace('"Ada"}', '"Bob"}', 1))
    with pytest.raises(BuildFailed, match="pytest"):
        built(client, "test", folder)
    built(client, "production", folder)


def test_the_health_of_an_image_without_a_shell_is_asked_for(client):
    with container(client, built(client, "production").tag, []) as made:
        made.start()
        until(lambda: health(made) != "starting", made.logs)
        assert health(made) == "healthy", made.attrs["State"]["Health"]


def health(made) -> str:
    made.reload()
    return made.attrs["State"]["Health"]["Status"]


def until(true, said, seconds: float = 60) -> None:
    """Wait until something is true; fail with what was said if it never is."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, said()
        time.sleep(0.2)


def test_compose_restarts_the_service_after_an_edit_of_the_mounted_source(
    client, tmp_path, not_on_podman
):
    not_on_podman("Compose asks BuildKit for the build")
    on_this_machine(client)
    folder = shutil.copytree(APP, tmp_path / "compose")
    text = (folder / "Dockerfile").read_text()
    read = dockerfile.parse(text)
    wanted = [use.reference for use in dockerfile.image_uses(read, "dev")]
    sent, _ = text_to_send(client, read, provide(client, wanted), {}, "dev")
    (folder / "Dockerfile").write_text(sent)

    (tmp_path / "get").mkdir()
    (tmp_path / "get" / "Dockerfile").write_text(COMPOSE)
    builds.build(client, tmp_path / "get", name="compose/program", output=tmp_path)

    def compose(*arguments: str) -> str:
        done = subprocess.run(
            [tmp_path / "docker-compose", "--project-name", f"{journal.lab_id()}-day", *arguments],
            cwd=folder,
            env=os.environ | {"DOCKER_HOST": client.shiplight_endpoint.url, "PORT": "0"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stderr}"

    def answer():
        said = compose("exec", "-T", "app", "python", "-c", ASK)
        return json.loads(said) if said.startswith("{") else said

    try:
        up = compose("up", "--build", "--detach")
        until(lambda: answer() == {"hello": "world"}, lambda: up + compose("logs"))
        source = folder / "main.py"
        source.write_text(source.read_text().replace('"hello": name', '"good day": name'))
        until(lambda: answer() == {"good day": "world"}, lambda: compose("logs"))
    finally:
        compose("down", "--rmi", "local", "--timeout", "2")
