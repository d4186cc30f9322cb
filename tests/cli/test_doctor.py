"""What the doctor says of registries and bases: judged by what was asked for, at no pull."""

import json
import re

import pytest
from replay import INFO, VERSION, engine_of

from shiplight import engine, setup
from shiplight.builds import recipes
from shiplight.cli import doctor

REFUSED = (500, {"message": 'Get "https://x/v2/": dial tcp: lookup x: no such host'})
LOGIN = (500, {"message": 'Get "https://x/v2/": no basic auth credentials'})
WELL = {"Status": "Login Succeeded"}
HERE = (r"/images/.*/json", {"Id": "sha256:1", "RootFS": {"Layers": []}})


@pytest.fixture
def seen_by(tmp_path, monkeypatch):
    """Call it with an engine's answers: name and state of each finding, and what was asked."""
    for name in ("SHIPLIGHT_MIRROR", "SHIPLIGHT_BASES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(setup, "is_root", lambda: False)

    def look(*answers):
        with engine_of(tmp_path, *answers) as (url, seen):
            monkeypatch.setenv("DOCKER_HOST", url)
            found = doctor._origins(engine.connect())
        (tmp_path / "engine.sock").unlink()
        return {one.name: one for one in found}, seen

    return look


def states(found) -> dict[str, str]:
    return {name: one.state for name, one in found.items()}


@pytest.mark.parametrize("kind", ["official", "auto"])
def test_without_a_registry_what_only_it_has_is_a_problem(seen_by, monkeypatch, kind):
    """Without root, equivalents are no way out."""
    monkeypatch.setenv("SHIPLIGHT_BASES", kind)
    found, _ = seen_by((r"/auth", REFUSED))
    assert states(found) == {"Docker Hub": "problem", "gcr.io": "problem", "base images": "note"}
    there = sum(reference.startswith("gcr.io/") for reference in recipes())
    assert f"cannot resolve its host name; {there} bases" in found["gcr.io"].seen
    assert doctor._mode(list(found.values())).state == "problem"


@pytest.mark.parametrize("kind", ["official", "auto"])
def test_no_registry_is_needed_where_the_bases_are_here(seen_by, monkeypatch, kind):
    monkeypatch.setenv("SHIPLIGHT_BASES", kind)
    found, _ = seen_by((r"/auth", REFUSED), HERE)
    assert states(found) == {"Docker Hub": "note", "gcr.io": "note", "base images": "ok"}
    assert kind.replace("auto", "official") in found["base images"].seen


def test_a_registry_that_fails_is_not_needed_where_its_mirror_answers(seen_by, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_MIRROR", "docker.io=mirror.example/hub")
    answers = {"mirror.example": WELL, "docker.io": REFUSED, "gcr.io": WELL}
    asked = iter(answers.values())
    found, seen = seen_by((r"/auth", asked))
    hosts = [json.loads(body)["serveraddress"] for _, path, body in seen if path == "/auth"]
    assert hosts == list(answers)
    assert states(found) == {
        "mirror of docker.io": "ok",
        "Docker Hub": "note",
        "gcr.io": "ok",
        "base images": "note",
    }


def test_only_the_mirror_counts_where_mirrored_bases_are_asked_for(seen_by, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "mirrored")
    assert states(seen_by()[0])["mirror"] == "problem", "none is named"
    monkeypatch.setenv("SHIPLIGHT_MIRROR", "mirror.example:5000/hub")
    found, _ = seen_by((r"/auth", LOGIN))
    assert states(found)["mirror of docker.io"] == "problem" and "Docker Hub" not in found
    assert "docker login mirror.example:5000" in found["mirror of docker.io"].advice


def test_a_registry_that_no_mirror_is_named_for_is_a_problem_and_is_not_asked(seen_by, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "mirrored")
    monkeypatch.setenv("SHIPLIGHT_MIRROR", "docker.io=mirror.example")
    found, seen = seen_by((r"/auth", WELL))
    assert states(found)["mirror of docker.io"] == "ok"
    assert found["mirror of gcr.io"].state == "problem"
    assert "SHIPLIGHT_MIRROR names no mirror for it" in found["mirror of gcr.io"].seen
    hosts = [json.loads(body)["serveraddress"] for _, path, body in seen if path == "/auth"]
    assert hosts == ["mirror.example"]


def test_where_equivalents_are_asked_for_no_registry_is(seen_by, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "equivalent")
    found, seen = seen_by((r"/auth", REFUSED), HERE)
    assert states(found) == {"base images": "ok"} and "equivalent" in found["base images"].seen
    assert not [path for _, path, _ in seen if re.match("/auth|/distribution", path)]


@pytest.mark.parametrize(
    ("root", "platform", "says"),
    [(False, "amd64", "needs root on Debian"), (True, "arm64", "exists for linux/amd64 only")],
)
def test_equivalents_that_cannot_be_assembled_are_a_problem(
    seen_by, monkeypatch, root, platform, says
):
    monkeypatch.setenv("SHIPLIGHT_BASES", "equivalent")
    monkeypatch.setattr(setup, "is_root", lambda: root)
    monkeypatch.setattr(setup, "on_debian", lambda: True)
    found, _ = seen_by((r"/version$", VERSION | {"Arch": platform}))
    assert says in found["offline equivalents"].seen
    assert found["offline equivalents"].state == "problem"


def test_docker_hub_answers_also_who_is_not_logged_in(seen_by):
    found, _ = seen_by((r"/auth", LOGIN))
    assert found["Docker Hub"].state == "ok"


def test_no_question_of_the_doctor_is_a_pull(seen_by):
    _, seen = seen_by((r"/auth", WELL))
    assert not [path for _, path, _ in seen if re.match(r"/distribution|/images/create", path)]


def test_a_mirror_of_the_engine_itself_is_asked_in_docker_hubs_place(seen_by):
    mirrors = {"RegistryConfig": {"Mirrors": ["https://m.example/"]}}
    info, there = (r"/info$", INFO | mirrors), (r"/distribution/docker.io/", {})
    found, _ = seen_by((r"/auth", REFUSED), info, there)
    assert found["Docker Hub"].state == "ok"


@pytest.mark.parametrize(
    ("name", "value"), [("SHIPLIGHT_MIRROR", "http://a.b/c"), ("SHIPLIGHT_BASES", "fancy")]
)
def test_a_setting_that_cannot_be_read_is_a_problem_and_no_traceback(
    seen_by, monkeypatch, name, value
):
    monkeypatch.setenv(name, value)
    found, _ = seen_by()
    assert states(found) == {"settings": "problem"} and name in found["settings"].seen


@pytest.mark.parametrize("info", [INFO, INFO | {"RegistryConfig": {"Mirrors": ["https://m.x/"]}}])
def test_of_a_registry_that_fails_only_what_the_engine_said_is_quoted(seen_by, info):
    """However it was asked: for a login, or for an image where the engine has a mirror."""
    trouble = (500, {"message": "some new trouble"})
    found, _ = seen_by((r"/auth", trouble), (r"/distribution/", trouble), (r"/info$", info))
    assert found["Docker Hub"].seen.startswith("some new trouble")
