"""Base images: their names, their replacements, and the mapping in the text that is sent.

Dockerfiles name official images and stay as a reader would write them. Equivalents and a mirror's
images have their own names (`shiplight/base/...`); only the text that is sent contains them.
"""

import hashlib
import json
import os
import tomllib
import warnings
from dataclasses import dataclass, field, replace
from functools import cache

from .. import dockerfile, engine
from ..dockerfile import stages
from ..engine import journal
from ..errors import UsageError
from ..references import canonical
from ..setup import ROOT
from . import packages
from .mirrors import mirrored

FOLDER = ROOT / "bases"
KINDS = ("official", "mirrored", "equivalent")
EQUIVALENTS = "shiplight/base"  # the namespace of what is assembled


@dataclass(frozen=True)
class Recipe:
    """How to assemble an equivalent, and how to check it: one table of a `bases/*/base.toml`.

    `platform` is another one than the engine's own; None for that.
    """

    reference: str
    equivalent: str
    recipe: str
    kind: str
    platforms: tuple[str, ...]
    platform: str | None = None
    differs: str = ""
    builder: bool = False
    target: str | None = None
    args: dict = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    downloads: tuple[dict, ...] = ()
    published: dict = field(default_factory=dict)
    contract: dict = field(default_factory=dict)
    rootfs: dict = field(default_factory=dict)

    def on(self, platform: str | None) -> "Recipe":
        """Return the recipe for another platform than the engine's own; itself for None.

        Its image has a name of its own, so that neither of the two ever replaces the other.
        """
        if platform is None:
            return self
        name = self.equivalent.removeprefix(f"{EQUIVALENTS}/")
        named = f"{EQUIVALENTS}/{platform.partition('/')[2]}/{name}"
        return replace(self, platform=platform, equivalent=named)


@dataclass(frozen=True)
class Base:
    """A base on the engine: the name in the Dockerfile, and the image that is used for it.

    `building` is the image for stages that build, if it is a different one. `platform` is that of
    an equivalent that is for another platform than the engine's own.
    """

    reference: str
    used: str
    kind: str
    building: str | None = None
    platform: str | None = None


@cache
def recipes() -> dict[str, Recipe]:
    """Return every recipe by the official reference that it replaces."""
    found = {}
    for path in sorted(FOLDER.glob("*/base.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["base"]:
            entry["published"]["date"] = str(entry["published"]["date"])  # JSON has no dates
            found[canonical(entry["reference"])] = Recipe(recipe=path.parent.name, **entry)
    return found


def made_from(recipe: Recipe) -> str:
    """Return the digest of what an equivalent is made from: its recipe and those of its bases.

    What is only said of it (`contract`, `published`, `differs`) is no part of it.
    """
    folder = FOLDER / recipe.recipe
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    told = {
        "how": [recipe.kind, recipe.target, recipe.args, recipe.rootfs, recipe.downloads],
        "files": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if path.name != "base.toml"
        },
        "bases": [made_from(recipes()[needed]) for needed in recipe.needs],
    }
    return f"sha256:{hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()}"


def wanted_kind() -> str | None:
    """Return the kind that SHIPLIGHT_BASES asks for, or None if any will do."""
    asked = os.environ.get("SHIPLIGHT_BASES", "auto")
    if asked not in ("auto", *KINDS):
        raise UsageError(f"SHIPLIGHT_BASES is {asked!r}.", hint=f"auto, {', '.join(KINDS)}")
    return None if asked == "auto" else asked


def stands_in(name: str) -> bool:
    """Return whether an image with this name is an offline equivalent."""
    return name.startswith(f"{EQUIVALENTS}/")


def recipe_of(name: str) -> Recipe | None:
    """Return the recipe for an official image, by its own name or its equivalent's."""
    by_equivalent = {recipe.equivalent: recipe for recipe in recipes().values()}
    return by_equivalent.get(name) or recipes().get(canonical(name))


def published(reference: str) -> dict | None:
    """Return the size of the official image: bytes, source and date.

    With `rebuilt`, nobody publishes it: it is the size of our own image from the same packages.
    """
    recipe = recipe_of(reference)
    return recipe.published if recipe else None


def kind_of(provided: list[Base]) -> str:
    """Return the kind of a whole set: `none`, one kind, or `mixed`."""
    kinds = {base.kind for base in provided}
    return "none" if not kinds else kinds.pop() if len(kinds) == 1 else "mixed"


def kind_of_image(name: str, labels: dict[str, str]) -> str:
    """Return the kind of an image's bases; `unknown` if somebody else built it.

    Our images have a label with it; a base is recognized by its name.
    """
    if stands_in(name):
        return "equivalent"
    if journal.BASES in labels:
        return labels[journal.BASES]
    plain = canonical(name.partition("@")[0])
    mirrors = {canonical(mirror) for known in recipes() if (mirror := mirrored(known))}
    return "official" if plain in recipes() else "mirrored" if plain in mirrors else "unknown"


def text_to_send(
    client, read: dockerfile.Dockerfile, provided: list[Base], build_args, target: str | None = None
) -> tuple[str, tuple[str, ...]]:
    """Return the Dockerfile's text with its bases mapped, and remarks on other changes.

    Line numbers and the file on disk stay the same. A `# syntax=` line asks the engine for a
    frontend image: if that is neither on the engine nor can be pulled, a blank line is sent, and
    the engine's own frontend reads the file.
    """
    remarks: tuple[str, ...] = ()
    mapping = {base.reference: base.used for base in provided if base.used != base.reference}
    if read.syntax and not _can_have(client, read.syntax):
        remarks = (
            f"line {read.syntax_line}, `# syntax={read.syntax}`, is sent blank: its image is not "
            "here and no registry has it, so the engine's own frontend reads the Dockerfile",
        )
        warnings.warn(remarks[0], stacklevel=3)
        read = dockerfile.parse(stages.blank_syntax(read))
    building = {base.reference: base.building for base in provided if base.building}
    builders = stages.building_stages(read, target, build_args) if building else ()
    froms = dict.fromkeys(builders, building)
    if proxy := packages.proxy_on(client):
        remarks += () if proxy.records else (packages.FROM_KIT,)
        remarks += (packages.SHIPS_CA,) if stages.stage_of(read, target).index in builders else ()
    return stages.map_images(read, mapping, build_args=build_args, froms=froms), remarks


def _can_have(client, reference: str) -> bool:
    return engine.has_image(client, reference) or engine.registry_has(client, reference)
