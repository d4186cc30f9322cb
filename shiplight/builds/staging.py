"""Build each stage that a target needs as an image of its own, all from one text."""

import os
from dataclasses import dataclass, field, replace

from .. import dockerfile, engine, progress
from ..dockerfile import stages
from . import bases, building, offers, platforms, solving
from .building import Build


@dataclass(frozen=True)
class Staged:
    """The stages of one Dockerfile that a target needs, each built by itself, the target last.

    `builds` has them by index; `images` has the name of every external image that was used, by
    stage, kind of use (FROM, COPY or MOUNT) and reference.
    """

    read: dockerfile.Dockerfile = field(repr=False)
    sources: dockerfile.Sources = field(repr=False)
    build_args: dict[str, str]
    builds: dict[int, Build]
    images: dict[tuple[int, str, str], str]


def build_stages(
    client,
    what: str | os.PathLike,
    *,
    text: str | None = None,
    file: str | None = None,
    target: str | int | None = None,
    build_args: dict[str, str] | None = None,
    secrets: dict[str, str | os.PathLike] | None = None,
    ssh: str | tuple[str, ...] = (),
    screen=progress.Screen,
) -> Staged:
    """Build every stage that `target` needs, in order: an image each. The arguments are `build`'s.

    Every build gets the same text with the same bases, so each step runs once. A stage without a
    name gets one in that text. Raises what `build` raises.
    """
    wanted = building.order(what, text=text, file=file)
    arguments, offer = build_args or {}, offers.read(secrets, ssh, None)
    given = building.given_of(client, wanted, target, arguments, offer=offer)
    known = platforms.arguments(engine.described(client).platform) | arguments
    mapped = dockerfile.parse(given.sources.text.decode("utf-8", "surrogateescape"))
    sent = dockerfile.parse(stages.with_names(mapped))
    sources = replace(given.sources, text=sent.text.encode("utf-8", "surrogateescape"))
    last, kind = stages.stage_of(given.read, target), bases.kind_of(given.bases)
    builds = {}
    for stage in stages.needed_stages(given.read, target, known):
        tag = wanted.tag if stage is last else f"{wanted.tag}-stage-{stage.index}"
        solved = solving.solve(
            client,
            sources,
            sent,
            tag=tag,
            title=f"{wanted.app}/{wanted.variant}, stage {stage.label}",
            target=stages.name_of(sent, stage.index),
            build_args=arguments,
            bases=kind,
            offer=offer,
            screen=screen,
        )
        builds[stage.index] = Build(
            app=wanted.app,
            variant=wanted.variant,
            tag=tag,
            engine_id=solved.engine_id,
            seconds=solved.seconds,
            steps=solved.steps,
            bases={base.reference: base.used for base in given.bases},
            setting=engine.setting(client, bases=kind),
            way=solved.way,
            remarks=given.remarks + solved.remarks,
            target=str(stage.index),
            text=wanted.text,
            build_args=arguments,
        )
    uses = zip(
        stages.image_uses(given.read, target, known),
        stages.image_uses(mapped, target, known),
        strict=True,
    )
    images = {(own.stage, own.kind, own.reference): used.reference for own, used in uses}
    return Staged(given.read, sources, known, builds, images)
