"""Asking registries without a pull: whether one answers the engine, and how many pulls are left.

Every question of an engine for an image is a pull of Docker Hub's limit; to log in is none, nor is
a HEAD that this machine sends itself.
"""

import re
from dataclasses import dataclass

import docker
import docker.auth

from ..errors import RegistryFailed
from ..references import HUB, HUB_NAMES, read
from . import describing, images
from .answers import translated
from .logins import credentials, login

ANSWER_SECONDS = 5


def ask_registry(client: docker.DockerClient, host: str) -> None:
    """Let the engine ask a registry who we are. Raises EngineFailed, also where it wants a login.

    Where Docker Hub has a mirror in the engine's own configuration, that one is asked for an image.
    """
    api, doing = client.api, f"asking {host}"
    hub = host in HUB_NAMES
    if describing.described(client).kind == "Podman" or (hub and _engine_mirrors(client)):
        images.ask_for_image(client, f"{HUB}/library/busybox" if hub else f"{host}/x")
        return
    user, secret = credentials(client, host) or ("", "")
    kept = {"username": user, "password": secret} if user else {"identitytoken": secret}
    asked = {"serveraddress": docker.auth.INDEX_NAME if hub else host, **kept}
    with translated(doing), images.silence_told(doing, images.REGISTRY_ANSWER):
        url = api._url("/auth")
        api._raise_for_status(api._post_json(url, data=asked, timeout=images.REGISTRY_ANSWER))


def _engine_mirrors(client: docker.DockerClient) -> list[str]:
    with translated("describing the engine"):
        return (client.api.info().get("RegistryConfig") or {}).get("Mirrors") or []


@dataclass(frozen=True)
class Limit:
    """How many pulls are left of how many in how many seconds, and how long to wait.

    None where the registry does not tell; `wait` is a number of seconds or a date, as it was sent.
    """

    left: int | None
    most: int | None
    seconds: int | None
    wait: str | None

    def __str__(self) -> str:
        said = []
        if self.left is not None:
            of = f" of {self.most}" if self.most is not None else ""
            window = f" in {_span(self.seconds)}" if self.seconds else ""
            said.append(f"{self.left}{of} pulls{window} are left for this machine")
        if self.wait:
            until = f"for {_span(int(self.wait))}" if self.wait.isdigit() else f"until {self.wait}"
            said.append(f"it asks to wait {until}")
        return "; ".join(said)


def pull_limit(client: docker.DockerClient, reference: str) -> Limit | None:
    """Return what the registry of an image tells of its limit; None where it tells nothing.

    As this machine sees it: an engine elsewhere, or with other credentials, has another.
    """
    from ..image import asking

    one = read(reference)
    try:
        with asking(one, login(client, one.host), silent=ANSWER_SECONDS) as registry:
            headers = registry.head(one.version)
    except RegistryFailed:
        return None
    left, seconds = _counted(headers.get("ratelimit-remaining"))
    most, window = _counted(headers.get("ratelimit-limit"))
    wait = headers.get("retry-after")
    return Limit(left, most, window or seconds, wait) if wait or left is not None else None


def _counted(header: str | None) -> tuple[int | None, int | None]:
    """Return the number in `76;w=21600`, and the seconds of its window."""
    match = re.match(r"(\d+)(?:;w=(\d+))?", header or "")
    if match is None:
        return None, None
    return int(match[1]), int(match[2]) if match[2] else None


def _span(seconds: int) -> str:
    """Return a span as people say it.

    >>> _span(21600), _span(90), _span(5)
    ('6 hours', '90 s', '5 s')
    """
    return f"{seconds // 3600} hours" if seconds >= 7200 and seconds % 3600 == 0 else f"{seconds} s"
