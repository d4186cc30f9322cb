"""`./lab check --build`: evidence from images that are really built."""

import json

import checking
import pytest
from command import lab

from shiplight import engine
from shiplight.checks import checklist, with_build
from shiplight.errors import DockerfileError
from shiplight.setup import ROOT

pytestmark = pytest.mark.usefixtures("client")


def built(client, path, **more):
    """The checklist of a Dockerfile with its image."""
    subject = checklist.read_subject(path, today=checking.TODAY, **more)
    return checklist.run(with_build(client, subject, more.get("build_args", {})))


def test_the_single_stage_go_image_holds_the_compiler_and_it_says_where(client):
    found = built(client, ROOT / "apps/go/Dockerfile.single")
    assert {"only-needed", "separate-stages", "smallest-base", "stripped"} <= checking.failed(found)
    places = checking.result(found, "only-needed").outcome.places
    compiler = next(place for place in places if place.path == "/usr/local/go/bin/go")
    assert compiler.bytes > 100_000_000 and compiler.line == 2
    assert compiler.instruction == "FROM golang:1.23"
    cache = next(place for place in places if place.found == "the Go build cache")
    assert cache.instruction.startswith("RUN go build") and cache.bytes > 1_000_000
    program = checking.result(found, "stripped").outcome.places[0]
    assert program.path == "/app/server" and program.bytes > 1_000_000


def test_the_hardened_go_image_fails_in_nothing_but_the_age_of_its_builder(client):
    found = built(client, ROOT / "apps/go/Dockerfile.hardened")
    assert checking.failed(found) == {"supported-bases"}
    for name in ("only-needed", "stripped", "reclaimable", "smallest-base", "user", "secrets"):
        assert checking.result(found, name).outcome.result == "passed", name
    assert found.subject.built.program.static


def test_bytes_are_blamed_on_the_instructions_that_added_and_buried_them(client, tmp_path):
    text = (
        "FROM busybox:latest\nRUN head -c 3000000 /dev/urandom > /big\n"
        "RUN mkdir /app && head -c 2000000 /dev/urandom > /app/x\nRUN rm /big\n"
        'RUN chown -R 7 /app\nUSER 7\nCMD ["sleep", "1"]\n'
    )
    found = built(client, checking.write(tmp_path, text))
    places = checking.result(found, "reclaimable").outcome.places
    assert [(place.line, place.bytes, place.path) for place in places] == [
        (2, 3_000_000, "/big"),
        (3, 2_000_000, "/app/x"),
    ]
    assert "line 4" in places[0].found and "metadata only" in places[1].found


def test_user_and_secrets_are_read_from_the_image(client, tmp_path):
    text = "FROM busybox:latest AS a\nARG WHO\nUSER $WHO\nRUN echo A=1 > /tmp/.env\n"
    path = checking.write(tmp_path, text)
    found = built(client, path, build_args={"WHO": "12:34"})
    assert checking.result(found, "user").outcome.evidence == "runs as 12:34"
    place = checking.result(found, "secrets").outcome.places[0]
    assert (place.line, place.path) == (4, "/tmp/.env")


def test_a_target_is_built_by_its_number_too(client, tmp_path):
    text = "FROM busybox:latest AS a\nUSER 5\nFROM busybox:latest\nUSER 6\nFROM scratch AS c\n"
    path = checking.write(tmp_path, text)
    found = built(client, path, target="0")
    assert checking.result(found, "user").outcome.evidence.startswith("runs as 5")
    with pytest.raises(DockerfileError, match="stage 1 has no name of its own"):
        built(client, path, target="1")


def test_a_program_without_its_loader_is_seen_in_the_image(client, tmp_path):
    text = (
        "FROM debian:bookworm-slim AS a\nFROM busybox:latest\nCOPY --from=a /bin/sleep /sleep\n"
        'USER 7\nCMD ["/sleep", "1"]\n'
    )
    outcome = checking.result(built(client, checking.write(tmp_path, text)), "one-suite").outcome
    assert outcome.result == "failed" and "libc.so.6" in outcome.evidence
    assert outcome.places[0].path.startswith("/lib64/ld-linux")


def test_the_command_builds_under_our_name_and_says_what_it_built(client):
    done = lab("check", "apps/go/Dockerfile.hardened", "--build", "--json")
    assert done.returncode == 1, done.stderr
    assert len(json.loads(done.stdout)) == len(checklist.CHECKS)
    subject = checklist.read_subject(ROOT / "apps/go/Dockerfile.hardened")
    name = with_build(client, subject, {}).built.image.name
    assert name.startswith("shiplight/") and engine.has_image(client, name)


def test_a_build_that_fails_is_exit_code_2_and_says_its_line(client, tmp_path):
    checking.write(tmp_path, "FROM busybox:latest\nRUN exit 3\n")
    done = lab("check", str(tmp_path), "--build")
    assert done.returncode == 2 and not done.stdout
    assert "\nlab: step " in done.stderr and "line 2" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_came_with_the_base_is_the_bases_affair(client, tmp_path):
    """Node carries its symbols in every official image, and nobody strips it after."""
    text = 'FROM node:22-slim\nRUN mkdir /app\nENTRYPOINT ["node", "-v"]\n'
    found = checking.result(built(client, checking.write(tmp_path, text)), "stripped").outcome
    assert found.result == "does not apply" and "came with the base" in found.evidence


def test_keys_and_users_are_read_inside_the_image(client, tmp_path):
    """A key by its content, and a user whose name hides that it is root."""
    body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\\n"
    text = (
        "FROM busybox:latest\n"
        f"RUN printf -- '-----BEGIN PRIVATE KEY-----\\n{body}{body}' > /deploy\n"
        "RUN mkdir -p /etc && echo 'app:x:0:0::/:/bin/sh' >> /etc/passwd\nUSER app\n"
    )
    found = built(client, checking.write(tmp_path, text))
    assert found.subject.built.inside.keys == ("deploy",)
    assert checking.result(found, "user").outcome.result == "failed"
    places = checking.result(found, "secrets").outcome.places
    assert (2, "/deploy") in [(place.line, place.path) for place in places]
