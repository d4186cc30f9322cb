"""Build images: `build()`, its timing, and the base images that it needs.

Uses the catalogue, Dockerfiles and the engine; does not inspect the images that it builds.
"""

from .assembling import unassembled
from .bases import (
    KINDS,
    kind_of,
    kind_of_image,
    published,
    recipe_of,
    recipes,
    stands_in,
    wanted_kind,
)
from .building import Build, build, image_name, order, recipe, why
from .joining import Index, join
from .mirrors import mirrored, named
from .platforms import another, arguments
from .providing import here, outdated, provide, provide_for, sources
from .pushing import Pushed, push
from .reasons import Reason, Why
from .refusals import Refusal, refusal
from .showing import DockerfileText
from .solving import solve
from .staging import Staged, build_stages
from .timing import Times, cache_mounts, cold_build, own_cache, spread, time_builds

__all__ = [
    "KINDS",
    "Build",
    "DockerfileText",
    "Index",
    "Pushed",
    "Reason",
    "Refusal",
    "Staged",
    "Times",
    "Why",
    "another",
    "arguments",
    "build",
    "build_stages",
    "cache_mounts",
    "cold_build",
    "here",
    "image_name",
    "join",
    "kind_of",
    "kind_of_image",
    "mirrored",
    "named",
    "order",
    "outdated",
    "own_cache",
    "provide",
    "provide_for",
    "published",
    "push",
    "recipe",
    "recipe_of",
    "recipes",
    "refusal",
    "solve",
    "sources",
    "spread",
    "stands_in",
    "time_builds",
    "unassembled",
    "wanted_kind",
    "why",
]
