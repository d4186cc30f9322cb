"""A build without a network says so at once, and a tool's own words for it are understood."""

import errno
import socket

import pytest

from shiplight.builds import network, solving
from shiplight.errors import BuildFailed


class Socket:
    """A system that knows no way, or one."""

    def __init__(self, number: int | None):
        self.number = number

    def __call__(self, family, kind):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def connect(self, address):
        if self.number is not None:
            raise OSError(self.number, "said by the system")


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """An engine on this machine, and no proxy."""
    monkeypatch.setattr(network.engine, "is_local", lambda client: True)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("number", "is_away"),
    [(errno.ENETUNREACH, True), (errno.EHOSTUNREACH, True), (errno.EADDRNOTAVAIL, True),
     (errno.EACCES, False), (None, False)],
)  # fmt: skip
def test_a_machine_without_a_route_has_no_network(monkeypatch, number, is_away):
    monkeypatch.setattr(socket, "socket", Socket(number))
    assert network.away(None) is is_away


def test_nothing_is_known_of_a_proxy_or_of_an_engine_elsewhere(monkeypatch):
    monkeypatch.setattr(socket, "socket", Socket(errno.ENETUNREACH))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert not network.away(None)
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setattr(network.engine, "is_local", lambda client: False)
    assert not network.away(None)


SAID = [
    'go: example.org/m@v1: Get "https://proxy.example/m": dial tcp: lookup proxy.example on '
    "10.0.0.1:53: read udp 10.0.0.2:4->10.0.0.1:53: i/o timeout",
    "dial tcp: lookup proxy.example on 10.0.0.1:53: no such host",
    "W: Failed to fetch http://deb.example/InRelease  Temporary failure resolving 'deb.example'",
    "NewConnectionError('<…>: Failed to establish a new connection: [Errno -3] Temporary failure "
    "in name resolution')",
    "npm error code EAI_AGAIN\nnpm error syscall getaddrinfo",
    "npm error network request failed, reason: getaddrinfo ENOTFOUND nowhere.example",
    "warning: spurious network error: [6] Couldn't resolve host name (Could not resolve host: x)",
    "ERROR: fetching http://dl.example/v3.22/main: temporary error (try again later)",
    "wget: bad address 'nowhere.example'",
    "curl: (7) Failed to connect to 192.0.2.7: Network is unreachable",
]


@pytest.mark.parametrize("said", SAID)
def test_a_step_that_reached_nobody_is_told_so(said):
    assert solving._look(f"{said}\nexecutor failed: exit code: 1; not found") == network.LOOK


@pytest.mark.parametrize(
    "said",
    [
        "sh: gcc: not found",
        "main.go:7:2: package app/greet is not in std",
        "exit code: 1",
        "FAILED test_names.py::test_getaddrinfo_is_asked_once",
        "AssertionError: getaddrinfo expected one call, saw 2",
    ],
)
def test_other_failures_are_no_matter_of_the_network(said):
    assert solving._look(said) != network.LOOK


def test_the_first_line_of_a_build_says_that_there_is_no_network(monkeypatch):
    titles = []

    class Screen:
        keep = None

        def __init__(self, draw):
            draw()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    def table(steps, *, title, **_):
        titles.append(title)

    def sent(*_, **__):
        raise BuildFailed("as far as this goes")

    monkeypatch.setattr(socket, "socket", Socket(errno.ENETUNREACH))
    monkeypatch.setattr(solving.progress, "steps_table", table)
    monkeypatch.setattr(solving.sending, "sent", sent)
    monkeypatch.setattr(solving.engine, "identity", lambda client: "an engine")
    monkeypatch.setattr(solving.journal, "ready", lambda: None)
    monkeypatch.setattr(solving.journal, "write", lambda *_, **__: None)
    with pytest.raises(BuildFailed):
        solving.solve(None, None, _Read(), tag="x:y", title="x/y", screen=Screen)
    assert "x/y" in titles[0] and titles[0].endswith(network.AWAY)


class _Read:
    stages = ()
