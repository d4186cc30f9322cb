"""An image is pushed under a name of its own, which the engine has only meanwhile."""

from types import SimpleNamespace

import pytest
from results import SETTING

from shiplight import builds, engine
from shiplight.errors import EngineFailed, UsageError

MADE = SimpleNamespace(name="ci/app", tag="shiplight/x/ci:app", output=None, setting=SETTING)
NAME = "127.0.0.1:5000/ci:app"


@pytest.fixture
def names(monkeypatch):
    """The names that the engine has; what was pushed is in it as `pushed NAME`."""
    names = [MADE.tag]
    monkeypatch.setattr(engine, "id_of", lambda _, name: "id" if name in names else None)
    monkeypatch.setattr(engine, "tag_image", lambda _, name, another: names.append(another))
    monkeypatch.setattr(engine, "remember_image", lambda _, name: names.append(f"known {name}"))
    monkeypatch.setattr(engine, "remove_image", lambda _, name: names.remove(name))
    monkeypatch.setattr(engine, "push", lambda _, name, tell: names.append(f"pushed {name}"))
    return names


def test_the_name_in_the_registry_is_journalled_pushed_and_gone(names):
    pushed = builds.push(None, MADE, NAME)
    assert names == [MADE.tag, f"known {NAME}", f"pushed {NAME}"]
    assert pushed.name == NAME and NAME in repr(pushed)
    assert builds.Pushed.from_dict(pushed.to_dict()) == pushed


def test_a_push_that_fails_leaves_no_name_either(names, monkeypatch):
    def failing(*_, **__):
        raise EngineFailed("the engine failed while pushing: connection refused")

    monkeypatch.setattr(engine, "push", failing)
    with pytest.raises(EngineFailed, match="connection refused"):
        builds.push(None, MADE, NAME)
    assert NAME not in names


def test_a_name_that_the_engine_had_before_stays_and_is_nobodys_to_clean(names):
    names.append(NAME)
    builds.push(None, MADE, NAME)
    assert NAME in names and f"known {NAME}" not in names


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ci:app", "would go to Docker Hub"),
        ("team/ci:app", "would go to Docker Hub"),
        ("docker.io/team/ci:app", "would go to Docker Hub"),
        ("127.0.0.1:5000/CI:app", "is not a name to push to"),
        ("127.0.0.1:5000/", "is not a name to push to"),
        ("127.0.0.1:5000/ci:no tag", "is not a name to push to"),
        (f"127.0.0.1:5000/ci@sha256:{'0' * 64}", "is not a name to push to"),
        ("", "is not a name to push to"),
    ],
)
def test_a_name_without_a_registry_of_its_own_is_refused_before_anything_is_named(
    names, name, said
):
    with pytest.raises(UsageError, match=said) as refused:
        builds.push(None, MADE, name)
    assert "HOST:PORT/NAME:TAG" in refused.value.hint and names == [MADE.tag]


def test_a_build_into_a_folder_has_no_image_to_push(names):
    folder = SimpleNamespace(name="ci/app", tag="x", output="/out", setting=SETTING)
    with pytest.raises(UsageError, match="there is no image to push"):
        builds.push(None, folder, NAME)
    assert names == [MADE.tag]


@pytest.mark.parametrize("made", ["ci/app", None, 3])
def test_what_is_no_build_is_refused_in_words(names, made):
    with pytest.raises(UsageError, match="is not a build"):
        builds.push(None, made, NAME)
    assert names == [MADE.tag]
