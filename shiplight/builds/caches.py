"""Read `--cache-to` and `--cache-from` in the syntax of `docker buildx`.

`--cache-to type=registry,ref=IMAGE,mode=max`, `--cache-from type=local,src=FOLDER`.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..buildkit import BuildKitError
from ..errors import UsageError


@dataclass(frozen=True)
class Cache:
    """One cache: `registry` (an image), `local` (a folder) or `inline` (in the image built)."""

    kind: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path | None:
        """The folder of a local cache."""
        if self.kind != "local":
            return None
        said = self.attributes.get("dest") or self.attributes["src"]
        return Path(os.path.realpath(os.path.expanduser(said)))

    def export(self) -> tuple[str, dict[str, str]]:
        """Return the attributes that let BuildKit write this cache."""
        place = {"dest": str(self.folder)} if self.folder else {}
        return self.kind, dict(self.attributes) | place

    def entry(self) -> dict | None:
        """Return the attributes that let BuildKit use this cache; None if the folder has none yet.

        Raises UsageError for a folder with other contents.
        """
        if self.folder is None:
            return {"Type": self.kind, "Attrs": dict(self.attributes)}
        try:
            digest = self._store().digest(self._tag)
        except BuildKitError as error:
            raise UsageError(error.message, hint="name the folder of a --cache-to") from error
        known = {"src": str(self.folder), "digest": digest}
        return {"Type": "local", "Attrs": dict(self.attributes) | known} if digest else None

    def done(self, answer: Mapping[str, str]) -> None:
        """Name the cache that was exported into the folder, as the exporter reported it."""
        if self.folder and (manifest := answer.get("cache.manifest")):
            self._store().put(json.loads(manifest), self._tag)

    def service(self) -> dict:
        """Return the content store that BuildKit writes and reads, by BuildKit's name for it."""
        return {f"local:{self.folder}": self._store()} if self.folder else {}

    @property
    def _tag(self) -> str:
        return self.attributes.get("tag", "latest")

    def _store(self):
        from ..buildkit import content  # grpclib takes 50 ms to load

        return content.LocalCache(self.folder)


def to_of(texts: Iterable[str]) -> tuple[Cache, ...]:
    """Return the caches of several `--cache-to`. Raises UsageError.

    >>> [cache.kind for cache in to_of(["type=registry,ref=host/app:cache,mode=max", "host/app"])]
    ['registry', 'registry']
    """
    needed = {"registry": "ref", "local": "dest", "inline": ""}
    return tuple(_read(text, "--cache-to", needed) for text in texts)


def from_of(texts: Iterable[str]) -> tuple[Cache, ...]:
    """Return the caches of several `--cache-from`. Raises UsageError.

    >>> from_of(["host/app", "type=local,src=cache"])[0].attributes
    {'ref': 'host/app'}
    """
    needed = {"registry": "ref", "local": "src"}
    return tuple(_read(text, "--cache-from", needed) for text in texts)


def _read(text: str, option: str, needed: Mapping[str, str]) -> Cache:
    """Read one cache; `needed` lists the required attributes by type."""
    said = dict(part.partition("=")[::2] for part in text.split(","))
    if "=" not in text:
        said = {"type": "registry", "ref": text}
    kind = said.pop("type", "registry")
    if kind not in needed or said.get("mode", "min") not in ("min", "max"):
        ways = [f"type={name}" + (f",{key}=…" if key else "") for name, key in needed.items()]
        raise UsageError(f"{option} {text!r} is not understood.", hint=" or ".join(ways))
    if needed[kind] and not said.get(needed[kind]):
        example = "HOST/NAME:TAG" if kind == "registry" else "FOLDER"
        hint = f"type={kind},{needed[kind]}={example}"
        raise UsageError(f"{option} {text!r} does not say where.", hint=hint)
    return Cache(kind, said)
