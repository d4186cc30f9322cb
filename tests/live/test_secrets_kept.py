"""What a build's token leaves behind on a real engine, and where a search finds it."""

import pytest

from shiplight import builds, engine
from shiplight.errors import BuildFailed
from shiplight.inspection import run_once, search, search_engine
from shiplight.lessons import private_index
from shiplight.setup import ROOT

APP = ROOT / "apps" / "private"


@pytest.fixture(scope="module")
def given(client):
    """A running index, and what a build is given for it; removed afterwards."""
    if engine.describe(client).kind == "Podman":
        pytest.skip("not for this machine: its engine has no BuildKit session")
    index = private_index.start_index(client)
    yield private_index.given(client) | {"index": index}
    private_index.stop_index(client)


def built(client, given, way: str, **more):
    """Build one of the lesson's Dockerfiles with everything that it may take."""
    text = (APP / f"Dockerfile.{way}").read_text(encoding="utf-8")
    taken = {key: given[key] for key in ("what", "build_args", "secrets")}
    return builds.build(client, **taken | more, text=text, name=f"leaks/{way}")


def test_a_secret_mount_installs_and_leaves_nothing_where_a_copy_does(client, given):
    """The same searches, so that what finds nothing in the one finds the token in the other.

    Without the cache: a secret is not part of its key, so another test's step would do.
    """
    token, since = given["index"].token, given["index"].since
    safe = built(client, given, "secret", target="builder", no_cache=True)
    assert [line for line in private_index.asked_of_index(client) if line.endswith("200 -")]
    assert not search(client, safe, token)
    assert not search_engine(client, token, since=since)
    copied = built(client, given, "builder", target="builder")
    assert [one.where for one in search(client, copied, token).found] == ["/etc/pip.conf"]
    on_disk = search_engine(client, token, since=since)
    assert on_disk is None or any(path.endswith("etc/pip.conf") for path in on_disk)


def test_an_index_that_starts_again_refuses_the_token_of_before(client, given):
    before = private_index.started()[-1]
    now = private_index.renew_token(client)
    old = now.build_args | {"PIP_INDEX_URL": now.url.replace(now.token, before.token)}
    with pytest.raises(BuildFailed):
        built(client, given, "arg", build_args=old, no_cache=True)
    assert all(line.endswith("401 -") for line in private_index.asked_of_index(client))
    assert run_once(client, built(client, given, "arg", build_args=now.build_args)) == (
        private_index.GREETING
    )


def test_the_container_of_the_index_has_no_token_in_its_settings(client, given):
    index = private_index.started()[-1]
    [container] = private_index._containers(client)
    assert index.token not in str(container.attrs)
    assert private_index.stop_index(client) and not private_index.stop_index(client)


def test_an_exercise_starts_an_index_again_that_was_stopped(client, given):
    private_index.stop_index(client)
    before = private_index.started()[-1]
    built_with = private_index.given(client)
    assert private_index._containers(client)
    assert before.token not in built_with["build_args"]["PIP_INDEX_URL"]
    assert private_index.given(client)["build_args"] == built_with["build_args"]
