"""Where the bytes of a multi-stage image were born: its stages, built, measured and traced."""

import os
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import xxhash

from .. import progress, recordings, scans
from ..builds import Staged, build_stages
from ..dockerfile import Context
from ..errors import ScannerMissing
from ..image import Entry, Image, LayerStore
from ..scans import ScanReport
from . import measuring
from .born import Origins
from .exposure import Place
from .tracing import trace


@recordings.replayed(Origins)
def origins(
    client,
    what: str | os.PathLike,
    *,
    text: str | None = None,
    file: str | None = None,
    target: str | int | None = None,
    build_args: dict[str, str] | None = None,
    secrets: dict[str, str | os.PathLike] | None = None,
    ssh: str | tuple[str, ...] = (),
    scan: bool = False,
    store: LayerStore | None = None,
    screen=progress.Screen,
) -> Origins:
    """Return where each byte of an image was born, and which bytes its stages leave behind.

    `what` and the other arguments are those of `build`. Every stage that the target needs is built,
    from the cache where it can be, and measured; steps that were not cached are in `ran`. Bytes are
    those of all regular files of all layers; `tracing` has the rules. With `scan`, the known
    vulnerabilities of all stages are counted as well. Raises what `build` and `measure` raise, and
    AssertionError where the sums do not hold.
    """
    staged = build_stages(
        client, what, text=text, file=file, target=target, build_args=build_args, secrets=secrets,
        ssh=ssh, screen=screen,
    )  # fmt: skip
    outside = {key: name for key, name in staged.images.items() if key[1] != "MOUNT"}
    measured: dict[str, Image] = {}
    for name in [*(build.tag for build in staged.builds.values()), *outside.values()]:
        if name not in measured:
            measured[name] = measuring.measure(client, name, store=store)
    stages = {index: measured[build.tag] for index, build in staged.builds.items()}
    found = trace(
        staged.read,
        stages,
        {key: measured[name] for key, name in outside.items()},
        sent(staged.sources.context(), stages.values()),
        build_args=staged.build_args,
        scans=_scans(client, staged) if scan else None,
    )
    *_, last = staged.builds.values()
    return replace(found, name=last.name, ran=_ran(staged), setting=last.setting)


def sent(context: Context, images) -> Mapping[str, Entry]:
    """Return the files of a context by path, with what `measure` has for their content.

    Those that have the size of no file in these images are in none of them, and are left out.
    """
    sizes = {entry.size for image in images for part in image.contents for entry in part}
    found = {}
    for entry in context.entries[1:]:  # the first is the Dockerfile
        if entry.type == tarfile.REGTYPE and entry.unpacked_bytes in sizes - {0}:
            digest = xxhash.xxh3_128()
            for piece in context.content(entry):
                digest.update(piece)
            content = digest.hexdigest()
            found[entry.name] = Entry(entry.name, "file", entry.unpacked_bytes, content=content)
    return found


def _scans(client, staged: Staged) -> dict[Place, ScanReport]:
    """The reports on all stages, and on the images that a COPY names, each scanned once."""
    with suppress(ScannerMissing):  # then each report says that it is unknown
        scans.prepare(client)
    names: dict[Place, str] = {index: build.tag for index, build in staged.builds.items()}
    for (stage, kind, reference), name in staged.images.items():
        if kind == "COPY":
            names[stage, reference] = name
    reports = {name: scans.scan(client, name) for name in dict.fromkeys(names.values())}
    return {place: reports[name] for place, name in names.items()}


def _ran(staged: Staged) -> tuple[str, ...]:
    """The steps that were not in the cache, as the Dockerfile has them."""
    labels = {stage.line: stage.label for stage in staged.read.stages}
    ran = []
    for build in staged.builds.values():
        for step in build.numbered_steps:
            if not step.cached and step.line not in labels:
                ran.append(f"line {step.line}: {step.instruction}")
    return tuple(dict.fromkeys(ran))
