"""Whether a build can reach anything: what is known before it begins, and how tools say that not.

Nothing is sent. A build without a network is not refused, since what is cached needs none; but a
tool that resolves a name waits for a minute before it says so, in words of its own.
"""

import errno
import os
import re
import socket

from .. import engine

AWAY = "this machine has no network"
LOOK = (
    "a host could not be resolved or reached: check its name and the network; what is in the "
    "cache still builds without one: see docs/troubleshooting.md, “Without a network”"
)
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
# Addresses for documentation: a route to one is a route to everywhere, and nobody has it.
_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_SIGNS = re.compile(
    r"dial tcp.*i/o timeout|lookup .*(?:no such host|server misbehaving|i/o timeout)"  # go
    r"|temporary failure (?:in name resolution|resolving)|name or service not known"  # apt, pip
    r"|EAI_AGAIN|ENETUNREACH|(?-i:getaddrinfo E[A-Z])"  # npm
    r"|could not resolve host|couldn't resolve host|network is unreachable"  # cargo, curl
    r"|DNS lookup error|temporary error \(try again later\)|bad address '",  # apk, wget
    re.IGNORECASE,
)


def away(client) -> bool:
    """Return whether this machine has no way out, and with it an engine that runs on it.

    False where that is unknown: an engine elsewhere, or a proxy that is asked instead.
    """
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    if any(map(os.environ.get, proxies)) or not engine.is_local(client):
        return False
    return not any(_has_route(family, host) for family, host in _ELSEWHERE)


def is_named_in(said: str) -> bool:
    """Return whether a tool says, in its own words, that it reached nobody."""
    return _SIGNS.search(said) is not None


def _has_route(family: int, host: str) -> bool:
    """Whether the system knows where to send a packet to; a datagram's socket sends none yet."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((host, 9))
    except OSError as error:
        return error.errno not in _NO_ROUTE
    return True
