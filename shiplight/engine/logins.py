"""What `docker login` kept: the credentials of registries, from the SDK's own reader of them.

Where the program that keeps them is gone (a helper that was uninstalled), a registry is asked
without: most images are public.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import docker
import docker.auth
import docker.errors
import docker.utils.config

from .. import files
from ..references import HUB_NAMES, registry_of
from ..setup import say
from ..units import visible_line

MOST_BYTES = 1 << 20  # of Docker's config.json


def login_header(api, name: str) -> dict[str, str]:
    """Return the header that carries the login for the registry of this image name, if any."""
    login = None
    with _helper_missed():
        login = docker.auth.get_config_header(api, registry_of(name))
    return {"X-Registry-Auth": login} if login else {}


def credentials(client: docker.DockerClient | None, host: str) -> tuple[str, str] | None:
    """Return user and secret that `docker login` kept for this registry; None for none.

    An empty user means that the secret is an identity token. Without a client, only what is on
    disk is known.
    """
    if not host:
        return None
    environment = client.api.credstore_env if client is not None else None
    configs = [_on_disk(environment)]
    if client is not None:
        configs.insert(0, client.api._auth_configs)
    registry = docker.auth.INDEX_NAME if host in HUB_NAMES else host
    for config in configs:
        found = {}
        with _helper_missed():
            found = docker.auth.resolve_authconfig(config, registry, environment) or {}
        said = {key.lower(): value for key, value in found.items()}
        if said.get("identitytoken"):
            return "", said["identitytoken"]
        if said.get("password"):
            return said.get("username") or "", said["password"]
    return None


def _on_disk(environment: dict | None) -> docker.auth.AuthConfig:
    """The user's Docker configuration; an empty one, and said once, where it cannot be read."""
    path = docker.utils.config.find_config_file()
    try:
        if path is not None:
            files.read(Path(path), MOST_BYTES)  # the SDK would wait for a pipe, and read any device
        return docker.auth.load_config(path, credstore_env=environment)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        _tell(f"{path} cannot be read ({type(error).__name__})")
        return docker.auth.AuthConfig({}, environment)


def login(client: docker.DockerClient | None, host: str) -> tuple[str, str] | None:
    """Return user and password for this registry; None also for an identity token, without user."""
    kept = credentials(client, host)
    return kept if kept and kept[0] else None


@contextmanager
def _helper_missed() -> Iterator[None]:
    """Say once, in words of ours, what the SDK warns of or raises where a helper is missing."""
    said = []
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            yield
        except docker.errors.DockerException as error:
            said.append(str(error))
    for message in [*(str(warning.message) for warning in heard), *said][:1]:
        helper = re.search(r"docker-credential-[\w-]+", message)
        _tell(f"{helper[0]} cannot be run" if helper else message.rstrip("."))


@cache
def _tell(said: str) -> None:
    say(f"{visible_line(said)}: registries are asked without the logins of `docker login`")
