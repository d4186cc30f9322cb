"""Making an image: `build()`, its timing, and the base images that it needs.

Knows the catalogue, Dockerfiles and the engine; does not know what is later asked of an image.
"""

from .bases import canonical, kind_of, mirrored, published, recipe_of, recipes, stands_in
from .building import Build, build, image_name, order, recipe
from .providing import here, provide
from .solving import solve
from .timing import Times, cache_mounts, cold_build, own_cache, spread, time_builds

__all__ = [
    "Build",
    "Times",
    "build",
    "cache_mounts",
    "canonical",
    "cold_build",
    "here",
    "image_name",
    "kind_of",
    "mirrored",
    "order",
    "own_cache",
    "provide",
    "published",
    "recipe",
    "recipe_of",
    "recipes",
    "solve",
    "spread",
    "stands_in",
    "time_builds",
]
