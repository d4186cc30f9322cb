"""Get base images onto the engine: find, pull, or assemble them, in that order.

First comes the official image if it is already on the engine; then an equivalent or a mirror's
image that is; then a pull, from the mirror in SHIPLIGHT_MIRROR and then from its own registry; and
last, assembling from packages. SHIPLIGHT_BASES=official, mirrored or equivalent allows only one
kind.
"""

from dataclasses import replace

from .. import engine, progress
from ..errors import BaseNotAvailable, BuildCancelled, EngineFailed, ShipLightError
from ..references import canonical, read, registry_of, tagged
from ..setup import PROGRAM
from .assembling import (
    add_ca,
    assemble,
    building_name,
    has_our_ca,
    is_outdated,
    unassembled,
)
from .bases import Base, Recipe, recipes, wanted_kind
from .mirrors import mirrored
from .pulling import pull
from .refusals import TOO_MANY, Refusal, refusal


def provide(client, references, *, renew: bool = False) -> list[Base]:
    """Get one Base for each of `references` onto the engine.

    With `renew`, equivalents whose recipe has changed are made again; those that cannot be made
    stay as they are. Raises BaseNotAvailable with what was tried. Shows its progress.
    """
    wanted = list(dict.fromkeys(references))
    found = {reference: here(client, reference) for reference in wanted}
    old = {name for name, base in found.items() if renew and base and outdated(client, base)}
    if not old and all(
        base and base.building == building_name(client, base) for base in found.values()
    ):
        return list(found.values())
    tasks = progress.Tasks("Getting base images")
    with tasks.showing():
        for name in wanted:
            if name in old:
                found[name] = _renewed(client, name, tasks)
            else:
                found[name] = found[name] or _get(client, name, tasks)
        return [add_ca(client, base, tasks) for base in found.values()]


def outdated(client, base: Base) -> bool:
    """Return whether a base is an equivalent that was made from another recipe than today's."""
    recipe = recipes().get(canonical(base.reference))
    return base.kind == "equivalent" and recipe is not None and is_outdated(client, recipe)


def _renewed(client, reference: str, tasks: progress.Tasks) -> Base:
    """The base made again from today's recipe; as it was where that fails."""
    recipe = recipes()[canonical(reference)]
    tasks.begin(recipe.equivalent, "its recipe has changed")
    try:
        assemble(client, recipe, tasks, renew=True)
    except BuildCancelled:
        raise
    except ShipLightError as error:
        why = error.message.partition("\n")[0]
        tasks.end(recipe.equivalent, f"kept, outdated: {why}", state="cached")
    return here(client, reference)


def provide_for(client, references, platform: str) -> list[Base]:
    """Assemble the equivalents of `references` for another platform than the engine's own.

    The machine has to run programs for that platform, emulated. Raises BaseNotAvailable.
    """
    tasks = progress.Tasks(f"Getting base images for {platform}")
    with tasks.showing():
        for recipe in (recipes()[canonical(name)].on(platform) for name in references):
            assemble(client, recipe, tasks)
        bases = [_assembled_for(client, name, platform) for name in references]
        return [add_ca(client, base, tasks) for base in bases]


def here(client, reference: str) -> Base | None:
    """Return the base that is already on the engine, if its kind is allowed."""
    kind, recipe = wanted_kind(), recipes().get(canonical(reference))
    candidates = [
        ("official", tagged(reference)),
        ("equivalent", recipe.equivalent if recipe else None),
        ("mirrored", mirrored(reference)),
    ]
    for candidate, name in candidates:
        if name and kind in (None, candidate) and (found := engine.find_image(client, name)):
            return _with_building(client, Base(reference, name, candidate), found)
    # What no recipe stands for may be somebody's own, which is of no other kind.
    own = kind is not None and _nearest(reference) is None and engine.has_image(client, reference)
    return Base(reference, tagged(reference), "official") if own else None


def _with_building(client, base: Base, under: dict) -> Base:
    """`base` with its image for stages that build, if that is on the engine and up to date.

    That image is based on `base` and has the current CA bundle.
    """
    name = building_name(client, base)
    over = engine.find_image(client, name) if name else None
    if over is None or over["RootFS"]["Layers"][:-1] != under["RootFS"]["Layers"]:
        return base
    return replace(base, building=name) if has_our_ca(client, over) else base


def foreign(client, reference: str, platform: str | None = None) -> Base:
    """Return a base for another platform: an equivalent that is here, or one that BuildKit pulls.

    `platform` is None where several are asked for, since an equivalent is for one.
    Raises BaseNotAvailable if SHIPLIGHT_BASES asks for a kind that no registry has.
    """
    if platform and (base := _assembled_for(client, reference, platform)):
        return base
    for candidate, name in sources(reference):
        return Base(reference, name, candidate)
    if _nearest(reference) is None and engine.has_image(client, reference):
        return Base(reference, tagged(reference), "official")
    hint = "SHIPLIGHT_BASES=auto or official lets the engine pull it"
    if wanted_kind() == "mirrored":
        hint = f"SHIPLIGHT_MIRROR names no mirror for {registry_of(reference)}; or {hint}"
    raise BaseNotAvailable(
        f"the base {reference} is needed for another platform than this engine's, and "
        f"SHIPLIGHT_BASES={wanted_kind()} allows no image from a registry for it.",
        hint=hint,
    )


def _assembled_for(client, reference: str, platform: str) -> Base | None:
    """The equivalent for another platform that is on the engine, if its kind is allowed."""
    recipe = recipes().get(canonical(reference))
    if recipe is None or wanted_kind() not in (None, "equivalent"):
        return None
    recipe = recipe.on(platform)
    found = engine.find_image(client, recipe.equivalent)
    base = Base(reference, recipe.equivalent, "equivalent", platform=platform)
    return _with_building(client, base, found) if found else None


def sources(reference: str) -> list[tuple[str, str]]:
    """Return kind and name of each image that may be pulled for a base, in order."""
    kind = wanted_kind()
    found = [("mirrored", mirrored(reference)), ("official", tagged(reference))]
    return [(one, name) for one, name in found if name and kind in (None, one)]


def _get(client, reference: str, tasks: progress.Tasks) -> Base:
    """Pull the base from its mirror or its own registry, or assemble its equivalent."""
    kind, recipe = wanted_kind(), recipes().get(canonical(reference))
    refused = []
    for candidate, name in sources(reference):
        tasks.begin(name, "pulling: waiting for its registry")
        try:
            pull(client, name, tasks)
        except EngineFailed as error:
            if "disk is full" in error.hint:
                raise
            refused.append(refusal(name, error))
            tasks.end(name, f"cannot be pulled: {refused[-1].short}", state="cached")
            continue
        tasks.end(name, candidate)
        return Base(reference, name, candidate)
    if recipe is not None and kind in (None, "equivalent"):
        try:
            return Base(reference, assemble(client, recipe, tasks), "equivalent")
        except BaseNotAvailable as error:
            if not refused:
                raise
            raise _not_available(client, reference, recipe, refused, error) from error
    raise _not_available(client, reference, recipe, refused)


def _not_available(
    client,
    reference: str,
    recipe: Recipe | None,
    refused: list[Refusal],
    failed: BaseNotAvailable | None = None,
) -> BaseNotAvailable:
    """The error with what was tried, why the first attempt failed, and what helps."""
    message = f"the base {reference} is not here"
    if refused:
        message += f", and {refused[0].name} cannot be pulled: {refused[0]}"
    for one in refused[1:]:
        message = message.rstrip(".") + f".\n  Nor from its own registry: {one.short}"
    if failed:
        message = message.rstrip(".") + f".\n  Nor assembled: {failed.message}"
    hints = [one.hint for one in refused[:1] if one.hint]
    if refused and refused[0].meaning == TOO_MANY and (left := _limit(client, refused[0].name)):
        message = message.rstrip(".") + f".\n  Its registry says: {left}"
    if wanted_kind() == "mirrored" and mirrored(reference) is None:
        hints.append(f"SHIPLIGHT_MIRROR names no mirror for {registry_of(reference)}")
    if recipe is not None and wanted_kind() is not None and not unassembled(client, recipe):
        hints.append(f"SHIPLIGHT_BASES=auto allows an offline equivalent ({recipe.equivalent})")
    elif recipe is None and (near := _nearest(reference)) is not None:
        hints.append(f"an offline equivalent exists for {near}")
    if failed and not hints:
        hints.append(failed.hint)
    hint = "; or ".join(hints) or f"check the spelling; `{PROGRAM} doctor` asks the registries"
    return BaseNotAvailable(message.rstrip(".") + ".", hint=hint)


def _limit(client, name: str) -> str:
    return str(engine.pull_limit(client, name) or "")


def _nearest(reference: str) -> str | None:
    """A recipe for another tag of the same image."""
    name = read(reference).name
    return next((known for known in recipes() if read(known).name == name), None)
