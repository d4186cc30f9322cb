"""The few calls about containers that everything else is made of."""

import time
from contextlib import suppress

import docker
import docker.auth
import docker.errors

from ..errors import EngineFailed
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


def wait_until_listening(container, what: str, *, hint: str, seconds: float = 60) -> None:
    """Return once a container's log says that it is listening; its attributes are up to date then.

    Raises EngineFailed with its last lines where it has ended, or says nothing in that time.
    """
    until, said = time.monotonic() + seconds, ""
    while time.monotonic() < until:
        container.reload()
        said = container.logs().decode("utf-8", "replace")
        if "listening" in said:
            return
        if container.status not in ("created", "running"):
            break
        time.sleep(0.05)
    raise EngineFailed(
        f"{what} did not start.\n  Last lines:\n    {said[-500:].strip()}", hint=hint
    )


def exit_code(container, *, seconds: float) -> int | None:
    """Return a container's exit code once it has exited; None if it is still running by then."""
    try:
        return container.wait(timeout=seconds)["StatusCode"]
    except GONE as error:
        if why(error) != "no answer in time":
            raise
        return None
