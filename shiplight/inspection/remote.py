"""Asking a registry, or its mirror, for an image: no engine is needed, and nothing is pulled.

Credentials are those that `docker login` kept for the host that is asked, and no others.
"""

import os
from collections.abc import Callable
from contextlib import suppress

from .. import builds, engine, recordings
from ..errors import ArchiveError, RegistryFailed, UsageError
from ..image import (
    Image,
    LayerStore,
    Published,
    as_archive,
    asking,
    host_platform,
    read_image,
    read_published,
    renamed,
)
from ..references import Reference, read, registry_of

PREFIX = "docker://"


def is_remote(name: str | os.PathLike) -> bool:
    """Return whether a name means an image in a registry: `docker://golang:1.23`."""
    return isinstance(name, str) and name.startswith(PREFIX)


def published(name: str, *, platform: str | None = None) -> Published:
    """Return what a registry has under a name, for every platform or for the one that is given.

    Reads the index, manifests, configurations and attestations, and no layer; each manifest counts
    as a pull where a registry counts them. Raises UsageError, RegistryFailed, and ArchiveError for
    what is damaged.
    """

    def look(source, reference: Reference) -> Published:
        return read_published(source, str(reference), reference.version, platform)

    return _from_sources(name, look)


@recordings.replayed()
def in_registries(client, *references: str, platform: str | None = None) -> dict[str, int | None]:
    """Return the packed bytes that each image has in its registry, for `platform` or the engine's.

    None where the registry gives nothing. One that gives nothing at first is not asked again.
    """
    platform = platform or engine.described(client).platform
    found, answers = dict.fromkeys(references), {}
    for reference in references:
        registry = registry_of(reference)
        if answers.get(registry, True):
            with suppress(RegistryFailed, ArchiveError):
                found[reference] = published(reference, platform=platform).images[0].packed_bytes
            answers.setdefault(registry, found[reference] is not None)
    return found


def measured(name: str, store: LayerStore, *, platform: str | None, deep: bool, count) -> Image:
    """Return one image in a registry as it is for one platform; `deep` reads its layers too.

    They pass by as they come, and nothing of them is kept but the list of their files.
    """
    platform = platform or host_platform()

    def image(source, reference: Reference) -> Image:
        found = read_published(
            source, str(reference), reference.version, platform, attestations=False
        )
        shallow, digest = found.images[0], found.manifests[0]
        if not deep:
            return shallow
        if (known := store.image(digest)) is None:
            chunks = as_archive(source, digest)
            whole = read_image(chunks, platform=shallow.platform, known=store.get, progress=count)
            known = renamed(whole, shallow.name, digest)
            store.put_image(known)
        return renamed(known, shallow.name, None)

    return _from_sources(name, image)


def _from_sources(name: str, ask: Callable):
    """Ask the mirror that SHIPLIGHT_MIRROR names, then the registry itself, as a pull would."""
    plain = name.removeprefix(PREFIX)
    if not read(plain).is_valid:
        raise UsageError(f"{plain!r} is not the name of an image.", hint="NAME[:TAG][@DIGEST]")
    sources = [one for _, one in builds.sources(plain)]
    if not sources and builds.wanted_kind() == "mirrored":
        raise UsageError(
            f"SHIPLIGHT_BASES=mirrored, and no mirror is named for {registry_of(plain)}.",
            hint="name one in SHIPLIGHT_MIRROR, or take SHIPLIGHT_BASES=auto",
        )
    failed = None
    for reference in map(read, sources or [plain]):
        try:
            with asking(reference, engine.login(None, reference.host)) as source:
                return ask(source, reference)
        except RegistryFailed as error:
            failed = _both(failed, error)
    raise failed


def _both(first: RegistryFailed | None, error: RegistryFailed) -> RegistryFailed:
    if first is None:
        return error
    return RegistryFailed(f"{first.message}\n  Nor: {error.message}", hint=first.hint)
