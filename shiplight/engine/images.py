"""The calls about images: inspect, build, export, import, pull, remove."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import docker
import docker.errors

from ..errors import EngineFailed, ImageNotFound
from ..references import canonical, slug, split
from ..setup import PROGRAM
from . import journal
from .answers import GONE, engine_failed, json_lines, or_none, patience, translated, why
from .describing import identity
from .logins import login_header

REGISTRY_ANSWER = 15  # seconds until a registry that is only asked for a name has answered
NO_LOGIN = {"X-Registry-Auth": "e30="}  # "{}" in base64: a push without the header is refused
REGISTRY_SILENCE = 120  # seconds without a word of a pull, after which nobody waits any longer


def inspect_image(client: docker.DockerClient, name: str) -> dict:
    """Return the engine's own description of an image. Raises ImageNotFound."""
    try:
        with translated(f"inspecting {name}"):
            return or_none(client.api.inspect_image, name) or _missing(client, name)
    except docker.errors.NullResource as error:
        raise ImageNotFound("the image name is empty.", hint="give a name") from error


def _missing(client, name: str):
    app, variant = map(slug, name.partition("/")[::2])
    own = f"shiplight/{journal.lab_id()}/{app}:{variant}"
    if app and variant and or_none(client.api.inspect_image, own):
        raise ImageNotFound(
            f"{name} is what a build is called here; on the engine, its image is {own}.",
            hint="pass what `build` returned, or this name",
        )
    is_folder = os.path.isdir(name)
    saved = "the folder there is not an OCI layout" if is_folder else "no archive at that path"
    raise ImageNotFound(
        f"there is no image {name} on this engine, and {saved}.",
        hint=f"`{PROGRAM} build` lists what can be built; "
        "`docker images` lists what the engine has",
    )


def find_image(client: docker.DockerClient, name: str) -> dict | None:
    """Return the engine's own description of the image with exactly this name or Id, or None.

    A name without a platform is ignored: a failed pull can leave such a name behind.
    """
    with translated(f"looking for {name}"):
        found = or_none(client.api.inspect_image, name)
    return found if found is not None and _is_called(found, name) and _is_image(found) else None


def has_image(client: docker.DockerClient, name: str) -> bool:
    """Return whether the engine has an image with exactly this name or Id."""
    return find_image(client, name) is not None


def _is_called(found: dict, name: str) -> bool:
    """Whether an image that was found has this name: Podman finds `x/busybox` by `busybox` too."""
    names = [_plain(tag) for tag in found.get("RepoTags") or []]
    is_id = "@" in name or name in found["Id"]
    return is_id or not names or _plain(name) in names


def _is_image(found: dict) -> bool:
    return bool(found.get("Os", "?") or found.get("Architecture", "?"))


def _plain(name: str) -> str:
    """A name in its short form; Podman calls what is only here `localhost/…`."""
    return canonical(name).removeprefix("localhost/")


def id_of(client: docker.DockerClient, name: str) -> str | None:
    """Return what the engine calls the Id of this image; None if it has no such image."""
    with translated(f"looking for {name}"):
        found = or_none(client.api.inspect_image, name)
    return found and found["Id"]


def labels_of(found: dict) -> dict[str, str]:
    """Return the labels in the engine's own description of an image."""
    return (found.get("Config") or {}).get("Labels") or {}


def image_history(client: docker.DockerClient, name: str) -> list[dict]:
    """Return the engine's history of an image, newest first, as `docker history` shows it."""
    with translated(f"reading the history of {name}"):
        return client.api.history(name)


@contextmanager
def post_build(client: docker.DockerClient, body, **parameters) -> Iterator[Iterator[dict]]:
    """Build with BuildKit (`version=2`), and yield the lines of the engine's reply.

    `body` is a context as a tar, or None where a session has the files. Leaving the block closes
    the connection, which cancels a build that still runs. `timeout=None`, because the SDK's own is
    one between chunks.
    """
    api = client.api
    parameters = {
        key: value for key, value in parameters.items() if value not in (None, {}, [], "")
    }
    for key in ("buildargs", "labels", "cachefrom", "outputs"):
        if key in parameters:
            parameters[key] = json.dumps(parameters[key])
    with translated("building"):
        response = api._post(
            api._url("/build"),
            data=body,
            params={"version": "2", "rm": "1", **parameters},
            headers={"Content-Type": "application/x-tar"} if body is not None else {},
            stream=True,
            timeout=None,
        )
        try:
            api._raise_for_status(response)
            yield json_lines(response)
        finally:
            response.close()


def import_rootfs(
    client,
    chunks,
    repository: str,
    tag: str,
    *,
    changes: list[str],
    message: str = "",
    platform: str | None = None,
) -> str:
    """Make an image of one layer from the chunks of a root file system's tar; its engine id.

    `message` is what its history says in place of an instruction. `platform` is another one than
    the engine's own. Docker 20.10 takes no notice of it.
    """
    params = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": changes}
    params |= {"message": message} if message else {}
    params |= {"platform": platform} if platform else {}
    _send(client, "/images/create", params, chunks, f"importing {repository}:{tag}")
    return inspect_image(client, f"{repository}:{tag}")["Id"]


def load_images(client: docker.DockerClient, chunks: Iterator[bytes]) -> None:
    """Load the images of an archive, as `docker load` does. Raises EngineFailed."""
    _send(client, "/images/load", {"quiet": "1"}, chunks, "loading images")


def _send(client, path: str, params: dict, chunks: Iterator[bytes], doing: str) -> None:
    """Send an archive to the engine, and wait for the end of its reply. Raises EngineFailed."""
    headers = {"Content-Type": "application/x-tar"}
    with translated(doing):
        _post(
            client,
            doing,
            client.api._url(path),
            params=params,
            data=chunks,
            headers=headers,
            timeout=None,
        )


def _post(client, doing: str, url: str, *, tell=None, **how) -> None:
    """Post, and read the reply to its end, each line to `tell`; leaving it ends the call.

    Raises EngineFailed for what the engine says is wrong.
    """
    api = client.api
    response = api._post(url, stream=True, **how)
    try:
        api._raise_for_status(response)
        for line in json_lines(response):
            if "error" in line:
                raise engine_failed(doing, line["error"])
            if tell is not None:
                tell(line)
    finally:
        response.close()


def pull(client: docker.DockerClient, reference: str, *, platform: str | None = None, tell=None):
    """Pull one image; `tell(line)` hears the engine's progress. Raises EngineFailed.

    Leaving it, however, ends the pull in the engine. The SDK's own would wait forever where a
    registry takes the question and says nothing.
    """
    doing, (name, tag) = f"pulling {reference}", split(reference)
    params = {"fromImage": name, "tag": tag, **({"platform": platform} if platform else {})}
    url = client.api._url("/images/create")
    _transfer(client, doing, url, params, name, tell)


def push(client: docker.DockerClient, reference: str, *, tell=None) -> None:
    """Push one image to the registry in its name; `tell(line)` hears the engine's progress.

    Leaving it, however, ends the push in the engine. Raises EngineFailed.
    """
    doing, (name, tag) = f"pushing {reference}", split(reference)
    url = client.api._url("/images/{0}/push", name)
    _transfer(client, doing, url, {"tag": tag}, name, tell, no_login=NO_LOGIN)


def _transfer(client, doing: str, url: str, params: dict, name: str, tell, no_login=None) -> None:
    """Have the engine talk to the registry of a name, with its login; silence has a limit."""
    with translated(doing), silence_told(doing, REGISTRY_SILENCE):
        headers = login_header(client.api, name) or no_login
        how = {"params": params, "headers": headers, "timeout": REGISTRY_SILENCE}
        _post(client, doing, url, tell=tell, **how)


def tag_image(client: docker.DockerClient, name: str, another: str) -> None:
    """Give an image another name. Raises EngineFailed."""
    repository, tag = split(another)
    with translated(f"naming {name} {another}"):
        client.api.tag(name, repository, tag)


@contextmanager
def silence_told(doing: str, seconds: float) -> Iterator[None]:
    """Turn a wait that came to its end into an error that says what was waited for."""
    try:
        yield
    except GONE as error:
        if why(error) != "no answer in time":
            raise
        said = f"the registry has said nothing for {seconds} s"
        raise engine_failed(doing, said) from error


def registry_has(client: docker.DockerClient, reference: str) -> bool:
    """Return whether a registry has this image for the engine. Costs a pull, so it is kept."""
    if not hasattr(client, "shiplight_registries_have"):
        client.shiplight_registries_have = set()
    known = client.shiplight_registries_have
    if reference not in known:
        with suppress(EngineFailed):
            ask_for_image(client, reference)
            known.add(reference)
    return reference in known


def ask_for_image(client: docker.DockerClient, reference: str) -> None:
    """Let the engine ask a registry for this image, which is a pull for it. Raises EngineFailed."""
    api, doing = client.api, f"asking a registry for {reference}"
    with translated(doing), silence_told(doing, REGISTRY_ANSWER):
        url, login = api._url("/distribution/{0}/json", reference), login_header(api, reference)
        api._raise_for_status(api._get(url, headers=login, timeout=REGISTRY_ANSWER))


def remember_image(client: docker.DockerClient, name: str) -> None:
    """Journal that this lab brought the image of this name here."""
    engine_id = inspect_image(client, name)["Id"]
    journal.write("image", name=name, engine_id=engine_id, engine=identity(client))


def remove_image(client: docker.DockerClient, name: str) -> bool:
    """Remove one image by name or id, never by force; whether it is gone."""
    try:
        with translated(f"removing {name}"), patience(client):
            return or_none(client.api.remove_image, name) is not None
    except EngineFailed:
        return False
