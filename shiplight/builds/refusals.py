"""Explain in plain words why a registry refused an image, and what helps.

Engines report the error of whatever failed inside them, and the wording differs by release. We look
for known phrases in it; a message without any is passed on unchanged.
"""

import re
from dataclasses import dataclass

from .. import refused
from ..errors import EngineFailed
from ..references import HUB, registry_of

_ENGINES_NETWORK = "check the host's name, and whether the engine's network (DNS, proxy) reaches it"

_DENIED, _WRONG_LOGIN = "it does not let this user pull", "it refuses the login that was sent"

# What it means, what helps, and the signs: the first row with a sign is taken.
_ROWS = (
    (
        *refused.TOO_MANY,
        r"\b429\b|too ?many ?requests|rate.?limit",
    ),
    (
        refused.UNKNOWN_CERTIFICATE.format(who="the engine"),
        "give the engine the CA certificate: /etc/docker/certs.d/{registry}/ca.crt beside dockerd",
        r"x509|certificate signed by|failed to verify certificate",
    ),
    (
        refused.NO_TLS,
        "add {registry} to `insecure-registries` in the engine's daemon.json, and restart it",
        r"gave HTTP response to HTTPS client|not look like a TLS",
    ),
    (_WRONG_LOGIN, refused.LOGIN, r"incorrect username or password"),
    (_DENIED, refused.LOGIN, r"no basic auth|\b40[13]\b|unauthorized|denied"),
    (
        "it is not there for this engine's platform",
        "take a tag that has it, or another `platform`",
        r"no matching manifest|no match for platform|not match the specified platform",
    ),
    (
        *refused.CHANGED,
        r"verification failed|unexpected commit digest|digest mismatch|not match digest",
    ),
    (
        "a layer is packed in a way that this engine cannot read",
        "layers in zstd need Docker Engine 23 or later; another tag or mirror may have gzip",
        r"invalid tar header|unsupported compression|unknown compression",
    ),
    (
        *refused.NO_REGISTRY,
        r"invalid character '<'|text/html|only manifests may be exported",
    ),
    (
        "the engine took it only in part",
        "`docker rmi` the images that share its layers, and pull again; if that does not help,"
        " see whether this network wants a login in a browser",
        r"only in part",
    ),
    ("the engine cannot resolve its host name", _ENGINES_NETWORK, r"no such host|misbehaving"),
    (
        "the engine cannot reach it",
        _ENGINES_NETWORK,
        r"network is unreachable|no route to host",
    ),
    (
        *refused.NOBODY,
        r"connection refused",
    ),
    (
        *refused.NOTHING,
        r"HTTP 404|not found|manifest unknown|manifest for .* unknown",
    ),
    (
        *refused.BROKEN,
        r"status: 5|server error|bad gateway|service unavailable|HTTP 5\d\d",
    ),
    (
        refused.SILENT,
        _ENGINES_NETWORK,
        r"Client\.Timeout|[a-z] timeout|deadline exceeded|said nothing",
    ),
    (
        *refused.CLOSED,
        r"connection reset|unexpected EOF|\bEOF\b|short read",
    ),
)
TOO_MANY = refused.TOO_MANY[0]


@dataclass(frozen=True)
class Refusal:
    """Why `name` was refused: the meaning ("" if unknown), and the original message."""

    name: str
    meaning: str
    said: str
    hint: str

    @property
    def is_login(self) -> bool:
        """Whether only a login is missing: the registry can be reached."""
        return self.meaning in (_DENIED, _WRONG_LOGIN)

    @property
    def short(self) -> str:
        """The reason, short enough for one line of progress."""
        return self.meaning or self.said

    def __str__(self) -> str:
        if not self.meaning:
            return self.said
        return f"{self.meaning}.\n  The engine says: {self.said}"


def refusal(name: str, error: EngineFailed) -> Refusal:
    """Explain a failed request for `name`: an image, or a registry as `HOST/`."""
    said, registry = error.said, registry_of(name)
    host = "" if registry == HUB else f" {registry}"
    for meaning, hint, signs in _ROWS:
        if re.search(f"(?i){signs}", said):
            return Refusal(name, meaning, said, hint.format(registry=registry, host=host))
    return Refusal(name, "", said, "")
