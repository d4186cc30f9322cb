"""Evidence from a real build: the image of what is checked, and the program that it starts."""

import posixpath
from dataclasses import replace

from ... import builds
from ...inspection import measure, program_of
from .subject import Built, Subject


def with_build(
    client, subject: Subject, build_args: dict[str, str] | None = None, *, secrets=None, ssh=()
) -> Subject:
    """Build the subject's Dockerfile under a name of this lab, and return both.

    Runs what the Dockerfile says, with the secrets and agents that `builds.build` takes. Raises
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
    image = measure(client, build.tag)
    return replace(subject, built=Built(image, program_of(client, image)))
