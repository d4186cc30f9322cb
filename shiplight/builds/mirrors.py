"""SHIPLIGHT_MIRROR: which registry stands for which. Read here, and nowhere else.

SHIPLIGHT_MIRROR=HOST[:PORT][/PREFIX]                                    for every registry
SHIPLIGHT_MIRROR=docker.io=HOST[:PORT][/PREFIX],gcr.io=HOST[:PORT][/…]   one for each
"""

import os
import re

from .. import engine
from ..errors import UsageError

HUB = "docker.io"
_HUB_NAMES = (HUB, "index.docker.io", "registry-1.docker.io")
_EVERY = "every registry"

# As the grammar of references has them; a host without a dot or a port is a name on Docker Hub.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PORT = r":[0-9]{1,5}"
_HOST = rf"(?:localhost|{_LABEL}(?:\.{_LABEL})+|\[[0-9a-fA-F:]+\]|{_LABEL}(?={_PORT}))(?:{_PORT})?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_MIRROR = re.compile(rf"{_HOST}(?:/{_PART})*")

FORM = "HOST[:PORT][/PREFIX], or docker.io=HOST…,gcr.io=HOST…"


def canonical(reference: str) -> str:
    """Return the short form under which two spellings of one image meet.

    >>> canonical("docker.io/library/golang:1.23"), canonical("busybox")
    ('golang:1.23', 'busybox:latest')
    """
    name, tag = engine.split_reference(reference)
    for prefix in ("docker.io/library/", "index.docker.io/library/", "docker.io/", "library/"):
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            break
    return f"{name}@{tag}" if "@" in reference else f"{name}:{tag}"


def registry_of(reference: str) -> str:
    """Return the registry that a reference names: `docker.io` where it names none.

    >>> registry_of("golang:1.23"), registry_of("me/mine"), registry_of("gcr.io/distroless/cc")
    ('docker.io', 'docker.io', 'gcr.io')
    """
    return _apart(canonical(reference))[0]


def mirrored(reference: str) -> str | None:
    """Return the name of `reference` at its mirror; None where none is named for its registry.

    Docker Hub's official images are under `library/` there; other registries' host names go.
    Raises UsageError for a SHIPLIGHT_MIRROR that names no registry.
    """
    mirrors = named()
    registry, path = _apart(canonical(reference))
    mirror = mirrors.get(registry) or mirrors.get(_EVERY)
    if mirror is None:
        return None
    return f"{mirror}/library/{path}" if registry == HUB and "/" not in path else f"{mirror}/{path}"


def named() -> dict[str, str]:
    """Return the mirror of each registry that SHIPLIGHT_MIRROR names; one is for every registry.

    Raises UsageError, which repeats no password.
    """
    found = {}
    for entry in os.environ.get("SHIPLIGHT_MIRROR", "").split(","):
        registry, equals, mirror = entry.strip().rpartition("=")
        if equals and "@" not in registry and not re.fullmatch(_HOST, registry):
            raise _invalid(entry, f"{_masked(registry)!r} is not a registry")
        if mirror or equals:
            registry = HUB if registry in _HUB_NAMES else registry or _EVERY
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
    elif re.fullmatch(rf"{_LABEL}(?:/{_PART})*", plain):
        why = "without a dot or a port, its first part is a name on Docker Hub"
    raise _invalid(mirror, why)


def _invalid(entry: str, why: str) -> UsageError:
    hint = f"give {FORM}"
    if "http://" in entry:
        hint += "; a mirror without TLS goes into the engine's own `insecure-registries`"
    return UsageError(f"SHIPLIGHT_MIRROR has {_masked(entry.strip())!r}: {why}.", hint=hint)


def _masked(text: str) -> str:
    """Return one entry without a user and password; nothing of it where they may have a comma.

    >>> _masked("gcr.io=http://ann:secret@host"), _masked("host/x")
    ('gcr.io=http://***@host', 'host/x')
    """
    if "@" in os.environ.get("SHIPLIGHT_MIRROR", "") and "@" not in text:
        return "***"
    return re.sub(r"^((?:[^=@]*=)?(?:\w+://)?).*@", r"\1***@", text)


def _apart(name: str) -> tuple[str, str]:
    """Return registry and path of a canonical name."""
    host, slash, path = name.partition("/")
    is_host = slash and ("." in host or ":" in host or host == "localhost")
    return (host, path) if is_host else (HUB, name)
