"""What a maintainer needs to know of somebody else's machine, ready to be pasted.

Values that are known to tell nothing of a person are taken as they are; what was said elsewhere
goes through `masked`: no names of people and machines, no addresses, no paths, no secrets.
"""

import getpass
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .. import engine
from ..builds import here, named, recipes
from ..engine import Engine
from ..errors import ShipLightError
from ..setup import ROOT
from ..units import format_bytes
from .doctor import Finding

_SETTINGS = ("SHIPLIGHT_BASES", "SHIPLIGHT_MODE")
_PRESENT = ("HTTP_PROXY", "HTTPS_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "DOCKER_HOST")
_PUBLIC = r"(?:[\w-]+\.)*(?:docker|gcr|ghcr)\.io\b"
_PATTERNS = (
    (r"\w+://[^\s'\",)]+", "(an address)"),
    (r"(?<![\w.])~?(?:/[\w.@+~-]+){2,}/?", "(a path)"),
    (r"\b[A-Za-z]:\\[^\s'\"]+", "(a path)"),
    (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "(an address)"),
    (r"\[?[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,}\]?(?::\d+)?", "(an address)"),
    (r"\b[\w.+-]+@[\w-]+\.[\w.-]+", "(an address)"),
    (rf"\b(?!{_PUBLIC})(?:[\w-]+\.)+[A-Za-z]{{2,}}\b", "(a name)"),  # a host's, or a file's
)


def report(findings: list[Finding]) -> str:
    """Return the report, as Markdown, of what the doctor found."""
    lines = [
        f"Ship Light at {_commit()}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
        *_asked_for(),
    ]
    with suppress(ShipLightError):
        client = engine.connect()
        lines += [*_engine(engine.describe(client)), *_bases(client)]
    for finding in findings:
        if finding.state != "ok":
            lines.append(f"{finding.state}: {finding.name}: {masked(finding.seen)}")
    lines.append("well: " + ", ".join(one.name for one in findings if one.state == "ok"))
    return "\n".join(["```text", *lines, "```"])


def masked(text: str) -> str:
    """Return the text without what names this machine, its user, its folders and its registries.

    >>> masked("lookup hub.example on 10.0.0.1:53: see https://a.example/x and /home/ann/project")
    'lookup (a name) on (an address): see (an address) and (a path)'
    >>> masked("registry-1.docker.io answers Docker 20.10.24")
    'registry-1.docker.io answers Docker 20.10.24'
    """
    for pattern, shown in _PATTERNS:
        text = re.sub(pattern, shown, text)
    for name in _own_names():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "(a name)", text)
    return " ".join(text.split())


def _own_names() -> Iterator[str]:
    """Yield what only this machine has: the longest first, since one can begin another."""
    names = {platform.node(), str(Path.home()), str(ROOT), ROOT.name}
    with suppress(OSError, KeyError):
        names.add(getpass.getuser())
    with suppress(ShipLightError):
        mirrors = named().values()
        names |= {*mirrors, *(mirror.partition("/")[0] for mirror in mirrors)}
    dull = ("", "/", "/root", "root", "runner", "docker", "localhost")
    yield from sorted(names - set(dull), key=len, reverse=True)


def _commit() -> str:
    """Return the version that runs: the short name of its commit, or that it is none."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    with suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True)
        return done.stdout.strip() or "no checkout"
    return "no checkout"


def _asked_for() -> Iterator[str]:
    """Yield what the environment asks for: words of ours as they are, names of the others."""
    given = [f"{name}={masked(os.environ[name])}" for name in _SETTINGS if name in os.environ]
    try:
        if mirrors := named():
            given.append(f"SHIPLIGHT_MIRROR for {', '.join(mirrors)}")
    except ShipLightError:
        given.append("SHIPLIGHT_MIRROR that cannot be read")
    given += [f"{name} is set" for name in _PRESENT if os.environ.get(name)]
    if given:
        yield "asked for: " + ", ".join(given)


def _engine(found: Engine) -> Iterator[str]:
    reached = found.endpoint.partition("://")[0]
    free = format_bytes(found.free_bytes)
    yield f"engine: {found}, API {found.api_version}, {found.platform}"
    yield f"store: {found.store}; reached by {reached}"
    yield f"has: {found.cpus} CPUs, {format_bytes(found.memory_bytes)} memory, {free} free"


def _bases(client) -> Iterator[str]:
    """Yield each base that is here with its digest; the Id of what came from no registry."""
    for reference in recipes():
        base = here(client, reference)
        if base is not None:
            image = engine.inspect_image(client, base.used)
            digests = [one.partition("@")[2] for one in image.get("RepoDigests") or []]
            yield f"base: {reference} {base.kind} {(digests or [image['Id']])[0]}"
