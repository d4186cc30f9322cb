"""Getting base images onto the engine: found, pulled, or assembled, in that order.

A base is the official image that is already here; or an equivalent or a mirror's image that is
already here; or is pulled, from the mirror that SHIPLIGHT_MIRROR names or from its own registry;
or is assembled from packages. SHIPLIGHT_BASES=official, mirrored or equivalent asks for one kind
and no other.
"""

import re
from dataclasses import replace

from .. import engine, progress
from ..engine import journal
from ..errors import BaseNotAvailable, EngineFailed
from ..units import format_bytes
from .assembling import add_ca, assemble, building_name
from .bases import Base, Recipe, canonical, mirrored, recipes, wanted_kind


def provide(client, references, *, platform: str | None = None) -> list[Base]:
    """One Base for each of `references`, on the engine when this returns.

    Raises BaseNotAvailable, which says what was tried. Shows its progress.
    """
    wanted = list(dict.fromkeys(references))
    found = {reference: here(client, reference) for reference in wanted}
    if all(base and base.building == building_name(base) for base in found.values()):
        return list(found.values())
    tasks = progress.Tasks("Getting base images")
    with progress.Screen(tasks.draw) as screen:
        bases = [found[name] or _get(client, name, platform, tasks) for name in wanted]
        bases = [add_ca(client, base, tasks) for base in bases]
        screen.keep = tasks.draw()
    return bases


def here(client, reference: str) -> Base | None:
    """The base that is on the engine already, if its kind is allowed."""
    kind, recipe, mirror = wanted_kind(), recipes().get(canonical(reference)), mirrored(reference)
    candidates = [
        ("official", engine.tagged(reference)),
        ("equivalent", recipe.equivalent if recipe else None),
        ("mirrored", mirror),
    ]
    for candidate, name in candidates:
        if name and kind in (None, candidate) and (found := engine.find_image(client, name)):
            return _with_building(client, Base(reference, name, candidate), found)
    own = kind is not None and recipe is None and engine.has_image(client, reference)
    return Base(reference, reference, "official") if own else None


def _with_building(client, base: Base, under: dict) -> Base:
    """`base` with the image for stages that build, where that is here and stands on it."""
    name = building_name(base)
    over = engine.find_image(client, name) if name else None
    if over is None or over["RootFS"]["Layers"][:-1] != under["RootFS"]["Layers"]:
        return base
    return replace(base, building=name)


def _get(client, reference: str, platform: str | None, tasks: progress.Tasks) -> Base:
    """Pull the base, or assemble its equivalent."""
    kind, recipe, mirror = wanted_kind(), recipes().get(canonical(reference)), mirrored(reference)
    tried = []
    official = [("official", engine.tagged(reference))]
    pulls = [("mirrored", mirror)] if mirror and kind != "official" else official
    for candidate, name in pulls:
        if kind not in (None, candidate):
            continue
        tasks.begin(name, "pulling: waiting for its registry")
        try:
            _pull(client, name, platform, tasks)
        except EngineFailed as error:
            if "disk is full" in error.hint:
                raise
            tried.append(error.message)
            tasks.end(name, "cannot be pulled", state="cached")
            continue
        tasks.end(name, candidate)
        return Base(reference, name, candidate)
    if recipe is not None and kind in (None, "equivalent"):
        return Base(reference, assemble(client, recipe, tasks), "equivalent")
    raise _not_available(reference, recipe, tried)


def _pull(client, name: str, platform: str | None, tasks: progress.Tasks) -> None:
    """Pull one image, and journal it once it is here."""
    journal.ready()
    layers: dict[str, tuple[int, int]] = {}

    def tell(line):
        detail = line.get("progressDetail") or {}
        if line.get("status") == "Downloading" and detail.get("total"):
            layers[line["id"]] = (detail["current"], detail["total"])
            done, total = (sum(column) for column in zip(*layers.values(), strict=True))
            tasks.tell(name, f"{format_bytes(done)} of {format_bytes(total)}")

    engine.pull(client, name, platform=platform, tell=tell)
    engine.remember_image(client, name)


def _not_available(reference: str, recipe: Recipe | None, tried: list[str]) -> BaseNotAvailable:
    message = f"the base {reference} is not here"
    if tried:
        message += f", and it cannot be pulled: {_plainly(tried[-1].partition('pulling ')[2])}"
    hint = "check the spelling; where no registry answers, set SHIPLIGHT_MIRROR to one that does"
    if mirrored(reference):
        hint = "check the spelling, and SHIPLIGHT_MIRROR; without that, its own registry is asked"
    if recipe is not None:
        hint = f"an equivalent exists: SHIPLIGHT_BASES=auto allows it ({recipe.equivalent})"
    elif (near := _nearest(reference)) is not None:
        hint += f"; an equivalent exists for {near}"
    return BaseNotAvailable(message.rstrip(".") + ".", hint=hint)


def _plainly(said: str) -> str:
    """What an engine says of a registry, with what it means before it where that is not plain."""
    for signs, meaning in [
        (
            "invalid character '<'|text/html|not look like a TLS",
            "what answers there is no registry",
        ),
        ("(?i)HTTP 429|too ?many ?requests", "it has had too many requests from here"),
        ("HTTP 404", "nothing of that name is there"),
        ("(?i)status: 5|server error|bad gateway|service unavailable", "it is out of order"),
        ("Client.Timeout|[a-z] timeout|deadline exceeded|said nothing", "no answer comes in time"),
    ]:
        if re.search(signs, said):
            return f"{meaning}.\n  The engine says: {said}"
    return said


def _nearest(reference: str) -> str | None:
    """A recipe for another tag of the same image."""
    name = engine.split_reference(canonical(reference))[0]
    same = (known for known in recipes() if engine.split_reference(known)[0] == name)
    return next(same, None)
