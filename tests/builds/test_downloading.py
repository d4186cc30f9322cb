"""Where builds download from: the proxy that this lab noted, on the engine that it runs on."""

from types import SimpleNamespace

import pytest

from shiplight import dockerfile, engine
from shiplight.builds import assembling, bases, packages
from shiplight.errors import EngineFailed, UsageError

PROXY = packages.Proxy("c0ffee", "engine-1", "-----BEGIN CERTIFICATE-----\n", "d1gest")
LOG = b"""listening
kit GET https://example.com/a
missing GET https://example.com/b?c=d
missing CONNECT https://other.example/
missing GET https://example.com/b?c=d
missing
"""


@pytest.fixture
def container(tmp_path, monkeypatch):
    """A lab of its own, on an engine whose one container is the proxy's."""
    one = SimpleNamespace(
        id="c0ffee",
        status="exited",
        started=0,
        since=None,
        attrs={"NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.9"}}}},
        reload=lambda: None,
    )
    one.start = lambda: setattr(one, "started", one.started + 1)
    one.logs = lambda since: (setattr(one, "since", since), LOG)[1]
    monkeypatch.delenv("SHIPLIGHT_PACKAGES", raising=False)
    monkeypatch.setattr("shiplight.engine.journal.path", tmp_path.joinpath)
    monkeypatch.setattr(engine, "identity", lambda client: client)
    monkeypatch.setattr(
        engine, "find_container", lambda client, name: one if name == one.id else None
    )
    return one


def test_builds_use_the_network_until_a_proxy_is_noted_and_after_it_is_removed(container):
    assert packages.proxy_on("engine-1") is None
    packages.use(PROXY)
    assert packages.proxy_on("engine-1") == PROXY
    packages.use(None)
    assert packages.proxy_on("engine-1") is None


def test_builds_on_another_engine_use_the_network(container):
    packages.use(PROXY)
    assert packages.proxy_on("engine-2") is None


def test_one_variable_lets_builds_use_the_network_again(container, monkeypatch):
    packages.use(PROXY)
    monkeypatch.setenv("SHIPLIGHT_PACKAGES", "network")
    assert packages.proxy_on("engine-1") is None
    monkeypatch.setenv("SHIPLIGHT_PACKAGES", "kit")
    with pytest.raises(UsageError, match="SHIPLIGHT_PACKAGES is 'kit'"):
        packages.proxy_on("engine-1")


@pytest.mark.parametrize("said", ["", "{}", "[]", '{"container": 1, "more": 2}'])
def test_a_damaged_note_is_none(container, tmp_path, said):
    packages.use(PROXY)
    (tmp_path / "kit" / "proxy.json").write_text(said)
    assert packages.proxy_on("engine-1") is None


def test_builds_get_the_address_in_the_arguments_that_are_no_part_of_the_cache_key(container):
    given = PROXY.build_args("engine-1")
    assert container.started == 1  # as after the engine itself has started
    assert given == dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://172.17.0.9:8899"
    )


def test_with_a_kit_official_bases_that_build_get_its_certificate_too(container, monkeypatch):
    monkeypatch.setattr("shiplight.engine.journal.lab_id", lambda: "mine")
    named = {
        kind: bases.Base("golang:1.23", used, kind)
        for kind, used in [
            ("official", "golang:1.23"),
            ("equivalent", "shiplight/base/golang:1.23"),
        ]
    }
    runs = bases.Base("scratchy.example/none:1", "scratchy.example/none:1", "official")
    assert assembling.building_name("engine-1", named["official"]) is None
    packages.use(PROXY)
    for base in named.values():
        found = assembling.building_name("engine-1", base)
        assert found == "shiplight/mine/with-ca/golang:1.23"
    assert assembling.building_name("engine-1", runs) is None
    assert assembling.ca_bundle("engine-1").endswith(PROXY.ca.encode())
    assert not assembling.ca_bundle("engine-2").endswith(PROXY.ca.encode())


def test_an_image_says_that_it_ships_the_certificate(container, monkeypatch):
    packages.use(PROXY)
    base = bases.Base(
        "golang:1.23", "golang:1.23", "official", "shiplight/mine/with-ca/golang:1.23"
    )
    single = dockerfile.parse("FROM golang:1.23\nRUN go mod download\n")
    text, remarks = bases.text_to_send("engine-1", single, [base], {})
    assert base.building in text and remarks == (packages.FROM_KIT, packages.SHIPS_CA)
    multi = dockerfile.parse("FROM golang:1.23 AS b\nRUN true\nFROM scratch\nCOPY --from=b /a /\n")
    assert bases.text_to_send("engine-1", multi, [base], {})[1] == (packages.FROM_KIT,)


def test_a_proxy_that_somebody_removed_is_named(container):
    container.id = "other"
    with pytest.raises(EngineFailed, match="no longer on this engine") as raised:
        PROXY.build_args("engine-1")
    assert "SHIPLIGHT_PACKAGES=network" in raised.value.hint


def test_what_a_step_asked_for_in_vain_is_read_from_the_proxys_log(container):
    missed = PROXY.missed("engine-1", 12.9)
    assert missed == ["https://example.com/b?c=d", "https://other.example/"]
    assert container.since == 12.9
    assert packages.sentence(missed) == (
        "This step asked for https://example.com/b?c=d, https://other.example/, which the kit does "
        "not have."
    )
    assert packages.sentence(list("abcde")).startswith("This step asked for a, b, c and 2 more,")
