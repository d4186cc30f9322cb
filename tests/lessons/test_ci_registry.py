"""The registry of lesson 12, the machine that starts with nothing, and the checks' own builds."""

from contextlib import nullcontext
from types import SimpleNamespace

import docker.errors
import pytest

from shiplight import engine
from shiplight.engine import cleaning, journal
from shiplight.errors import BuildFailed, CheckFailed, EngineFailed
from shiplight.lessons import ci_registry
from shiplight.lessons.ci_registry import Registry
from shiplight.lessons.exercises import ci, grading


class Container:
    """A registry's container, as the engine tells of it."""

    name, client, status, left = "registry", None, "running", True

    def __init__(self, said: str = "", ports: dict | None = None):
        self.said, self.ports = said, ports or {}

    def start(self):
        if "no space" in self.said:
            raise docker.errors.APIError(self.said)

    def reload(self):
        pass

    def logs(self):
        return self.said.encode()

    def remove(self, **_):
        self.left = False


@pytest.fixture
def started(monkeypatch):
    """Call it with the container that the engine makes: what starting a registry returns."""

    def start(container: Container) -> Registry:
        named = SimpleNamespace(
            create=lambda *_, **given: given_to.update(given) or container,
            list=lambda **_: [],
        )
        base = SimpleNamespace(used="registry", kind="equivalent")
        monkeypatch.setattr(engine, "described", lambda client: SimpleNamespace(kind="Docker"))
        monkeypatch.setattr(engine, "setting", lambda client, bases: None)
        monkeypatch.setattr(engine.containers, "patience", lambda client: nullcontext())
        monkeypatch.setattr(ci_registry, "provide", lambda client, wanted: [base])
        return ci_registry.start_registry(SimpleNamespace(containers=named), "registry:2")

    start.given = given_to = {}
    return start


BOUND = {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}]}


def test_a_registry_listens_on_the_loopback_of_its_engine_and_is_labelled(started):
    registry = started(Container("listening on [::]:5000", BOUND))
    assert registry == Registry("127.0.0.1:32768") and "127.0.0.1:32768" in repr(registry)
    assert Registry.from_dict(registry.to_dict()) == registry
    assert started.given["ports"] == {"5000/tcp": ("127.0.0.1", None)}
    assert started.given["labels"][journal.MADE] == journal.lab_id()


def test_a_registry_that_does_not_start_leaves_no_container_and_its_last_lines(started):
    full, broken = Container("no space left on device"), Container("panic: no configuration")
    broken.status = "exited"
    with pytest.raises(EngineFailed, match="no space left"):
        started(full)
    with pytest.raises(EngineFailed, match=r"did not start\.\n.*\n.*panic: no configuration"):
        started(broken)
    assert not full.left and not broken.left


def test_podman_gets_no_registry_that_it_would_refuse(monkeypatch):
    monkeypatch.setattr(engine, "described", lambda client: SimpleNamespace(kind="Podman"))
    with pytest.raises(EngineFailed, match="where its configuration lists it") as failed:
        ci_registry.start_registry(object(), "registry:2")
    assert "SHIPLIGHT_MODE=recorded" in failed.value.hint


def test_a_new_machine_has_lost_the_images_and_all_cache_of_one_app(monkeypatch):
    pruned, gone = [], iter([5, 2, 0])
    monkeypatch.setattr(cleaning, "names_of_builds", lambda client, app: [f"{app}:a", f"{app}:b"])
    monkeypatch.setattr(engine, "remove_image", lambda client, name: name == "ci:a")

    def prune(client, names, *, used):
        pruned.append((names, used))
        return next(gone)

    monkeypatch.setattr(cleaning, "prune_cache_of", prune)
    assert ci_registry.new_machine(object(), "ci") == {"images": 1, "cache records": 7}
    assert pruned == [(["ci:a", "ci:b"], True)] * 3


@pytest.fixture
def tried(monkeypatch):
    """Let a check build nothing: call it with what each of its builds runs, or fails with."""

    def answer(exercise_id: str, *outcomes):
        left, seen = iter(outcomes), []

        def build(client, folder, **_):
            files = [folder / "src" / "report.py", folder / "tests" / "test_report.py"]
            seen.append(tuple(file.read_text(encoding="utf-8") for file in files))
            ran = next(left)
            if isinstance(ran, Exception):
                raise ran
            return SimpleNamespace(tag="x", ran=lambda: ran)

        monkeypatch.setattr(ci, "build", build)
        monkeypatch.setattr(ci, "_refuse_other_words", lambda *_: None)
        monkeypatch.setattr(ci, "search", lambda *_: SimpleNamespace(found=()))
        monkeypatch.setattr(engine, "remove_image", lambda *_: True)
        return grading.ALL[exercise_id].look(None, SimpleNamespace(text="FROM a")), seen

    return answer


INSTALL, PACK = "RUN pip install -r /requirements.txt", "RUN python -m zipapp /src"


def test_packages_that_are_installed_once_and_then_cached_are_right(tried):
    evidence, seen = tried("12.1", [INSTALL, PACK], [PACK])
    assert evidence == "after an edit, 1 steps ran, and none of them installs packages"
    assert seen[0][0] != seen[1][0], "each build has a source of its own"
    assert len(tried("12.1", [PACK])[1]) == 1, "what is cached at once is not built again"


def test_packages_that_each_edit_installs_again_are_refused(tried):
    with pytest.raises(CheckFailed, match="installed again") as refused:
        tried("12.1", [INSTALL, PACK], [INSTALL, PACK])
    assert INSTALL in refused.value.message


def test_a_test_that_fails_has_to_stop_the_build(tried):
    evidence, [(_, tests)] = tried("12.2", BuildFailed("step [test 2/2] RUN x exited with 1."))
    assert "stops the build: step [test 2/2]" in evidence and ci.SAID not in tests
    with pytest.raises(CheckFailed, match="built although a test fails"):
        tried("12.2", [INSTALL, PACK])
