"""The few calls about containers that everything else is made of."""

from contextlib import suppress

import docker
import docker.auth
import docker.errors

from .answers import GONE, or_none, patience, translated, why


def remove_container(container) -> None:
    """Remove a container and its nameless volumes, running or not, if it is still there."""
    doing = f"removing the container {container.name}"
    with translated(doing), suppress(docker.errors.NotFound), patience(container.client):
        container.remove(force=True, v=True)


def find_container(client, name: str):
    """Return the container with this name or id; None where there is none."""
    with translated(f"looking for the container {name}"):
        return or_none(client.containers.get, name)


def address_of(container) -> str:
    """Return the address of a running container on the one network that it is in."""
    [network] = container.attrs["NetworkSettings"]["Networks"].values()
    return network["IPAddress"]


def exit_code(container, *, seconds: float) -> int | None:
    """Return a container's exit code once it has exited; None if it is still running by then."""
    try:
        return container.wait(timeout=seconds)["StatusCode"]
    except GONE as error:
        if why(error) != "no answer in time":
            raise
        return None
