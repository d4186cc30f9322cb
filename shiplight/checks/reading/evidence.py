"""Get evidence from a real build: its image, and the program that the image starts."""

import posixpath
from collections.abc import Container
from dataclasses import replace

from ... import builds
from ...errors import NotRecorded
from ...image import Image
from ...inspection import files_in, measure, program_of
from .inside import NOTHING_READ, Inside, understood, wanted
from .layers import own_layers
from .subject import Built, Subject


def with_build(
    client, subject: Subject, build_args: dict[str, str] | None = None, *, secrets=None, ssh=()
) -> Subject:
    """Build the subject's Dockerfile under a name of this lab, and return both.

    Runs the Dockerfile's commands, with the secrets and agents that `builds.build` takes. Raises
    what `builds.build` raises.
    """
    folder = subject.context or subject.path.parent
    name = f"check-{folder.resolve().name}/{subject.path.name}"
    build = builds.build(
        client,
        str(folder),
        file=posixpath.relpath(subject.path.resolve().as_posix(), folder.resolve().as_posix()),
        name=name,
        target=subject.target.index if subject.target_named else None,
        build_args=build_args or {},
        secrets=secrets or {},
        ssh=ssh,
    )
    return with_image(client, subject, build)


def with_image(client, subject: Subject, build: builds.Build) -> Subject:
    """Return the subject with what a build of it gave: its image, and the program in that."""
    image = measure(client, build.tag)
    built = replace(subject, built=Built(image, program_of(client, image), warnings=build.warnings))
    inside = _inside(client, image, own_layers(built))
    return replace(built, built=replace(built.built, inside=inside))


def _inside(client, image: Image, layers: Container[int]) -> Inside:
    """What files in these layers tell; nothing in a replay, which has none of their contents."""
    try:
        files = files_in(client, image, wanted(image, layers))
        return understood(image, files)
    except NotRecorded:
        return NOTHING_READ
