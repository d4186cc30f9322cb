"""A registry on the engine brings back what a new machine has lost, and no more than that."""

import uuid

import pytest

from shiplight import builds, engine
from shiplight.errors import EngineFailed
from shiplight.lessons import ci_registry

TEXT = """FROM busybox AS builder
COPY lock /
RUN cat /lock > /installed
COPY source /
RUN cat /installed /source > /made

FROM busybox
COPY --from=builder /made /made
"""


@pytest.fixture(scope="module")
def registry(client):
    """A running registry, which is gone afterwards."""
    if engine.describe(client).kind == "Podman":
        pytest.skip("not for this machine: its engine takes no registry without TLS")
    yield ci_registry.start_registry(client, "registry:2")
    assert ci_registry.stop_registry(client) and not ci_registry.stop_registry(client)


@pytest.fixture
def built(client, tmp_path):
    """Call it to edit the source and build; nothing of it was ever built before."""
    (tmp_path / "Dockerfile").write_text(TEXT)
    (tmp_path / "lock").write_text(uuid.uuid4().hex)

    def build(name: str, **options) -> builds.Build:
        (tmp_path / "source").write_text(uuid.uuid4().hex)
        return builds.build(client, tmp_path, name=name, **options)

    return build


def test_a_new_machine_gets_back_what_was_pushed_with_the_builder_and_else_nothing(
    client, registry, built
):
    app = f"cache-{uuid.uuid4().hex[:8]}"
    assert len(built(f"{app}/one").ran("builder")) == 4
    assert len(built(f"{app}/one").ran("builder")) == 2, "the cache of this machine"
    final = built(f"{app}/one", cache_to="type=inline")
    builder = built(f"{app}/stage", target="builder", cache_to="type=inline")
    names = [f"{registry.host}/{app}:final", f"{registry.host}/{app}:builder"]
    pushed = [
        builds.push(client, one, name) for one, name in zip([final, builder], names, strict=True)
    ]
    assert [one.name for one in pushed] == names
    assert not any(engine.has_image(client, name) for name in names)

    gone = ci_registry.new_machine(client, app)
    assert gone["images"] == 2 and gone["cache records"] >= 4
    assert not any(engine.has_image(client, one.tag) for one in (final, builder))
    assert len(built(f"{app}/one", cache_from=names[0]).ran("builder")) == 4
    ci_registry.new_machine(client, app)
    # Alone: with both, BuildKit of 28.5 takes the one or the other.
    ran = built(f"{app}/one", cache_from=names[1]).ran("builder")
    assert ran == ["COPY source /", "RUN cat /installed /source > /made"]
    ci_registry.new_machine(client, app)


def test_a_registry_that_is_not_there_is_said_and_the_name_is_gone(client, built):
    if engine.describe(client).kind == "Podman":
        pytest.skip("not for this machine: its engine takes no registry without TLS")
    made, nowhere = built("cache-nowhere/one"), "127.0.0.1:1/ci:app"
    with pytest.raises(EngineFailed, match=f"pushing {nowhere}: .*refused"):
        builds.push(client, made, nowhere)
    assert not engine.has_image(client, nowhere)
