"""Read SHIPLIGHT_MIRROR, which names mirrors of registries. No other file reads it.

SHIPLIGHT_MIRROR=HOST[:PORT][/PREFIX]                                    for every registry
SHIPLIGHT_MIRROR=docker.io=HOST[:PORT][/PREFIX],gcr.io=HOST[:PORT][/…]   one for each
"""

import os
import re
from dataclasses import replace

from ..errors import UsageError
from ..references import HOST, HUB, HUB_NAMES, LABEL, PART, read

_EVERY = "every registry"
_MIRROR = re.compile(rf"{HOST}(?:/{PART})*")

FORM = "HOST[:PORT][/PREFIX], or docker.io=HOST…,gcr.io=HOST…"


def mirrored(reference: str) -> str | None:
    """Return the name of `reference` on its mirror; None if its registry has no mirror.

    Docker Hub's official images are under `library/` there; the host names of other registries are
    removed. Raises UsageError if SHIPLIGHT_MIRROR is not valid.
    """
    mirrors, one = named(), read(reference)
    mirror = mirrors.get(one.registry) or mirrors.get(_EVERY)
    return str(replace(one, registry=mirror)) if mirror else None


def named() -> dict[str, str]:
    """Return the mirror of each registry in SHIPLIGHT_MIRROR; a single one is for all of them.

    Raises UsageError, without repeating a password.
    """
    found = {}
    for entry in os.environ.get("SHIPLIGHT_MIRROR", "").split(","):
        registry, equals, mirror = entry.strip().rpartition("=")
        if equals and "@" not in registry and not re.fullmatch(HOST, registry):
            raise _invalid(entry, f"{_masked(registry)!r} is not a registry")
        if mirror or equals:
            registry = HUB if registry in HUB_NAMES else registry or _EVERY
            found[registry] = _checked(mirror)
    return found


def _checked(mirror: str) -> str:
    plain = mirror.removeprefix("https://").rstrip("/")
    if _MIRROR.fullmatch(plain):
        return plain
    why = "it is no HOST[:PORT][/PREFIX], in small letters"
    if plain.startswith("http://"):
        why = "the engine chooses the protocol, not this variable"
    elif "@" in plain:
        why = "it cannot have a user or password; `docker login` keeps them"
    elif re.fullmatch(rf"{LABEL}(?:/{PART})*", plain):
        why = "without a dot or a port, its first part is a name on Docker Hub"
    raise _invalid(mirror, why)


def _invalid(entry: str, why: str) -> UsageError:
    hint = f"give {FORM}"
    if "http://" in entry:
        hint += "; a mirror without TLS goes into the engine's own `insecure-registries`"
    return UsageError(f"SHIPLIGHT_MIRROR has {_masked(entry.strip())!r}: {why}.", hint=hint)


def _masked(text: str) -> str:
    """Return one entry without user and password; "" if they may contain a comma.

    >>> _masked("gcr.io=http://ann:secret@host"), _masked("host/x")
    ('gcr.io=http://***@host', 'host/x')
    """
    if "@" in os.environ.get("SHIPLIGHT_MIRROR", "") and "@" not in text:
        return "***"
    return re.sub(r"^((?:[^=@]*=)?(?:\w+://)?).*@", r"\1***@", text)
