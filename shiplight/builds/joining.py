"""One name for several platforms: an index over images that were built one by one.

An engine with a graph driver keeps one image under a name, so the index is written beside it: as an
OCI layout, a folder as `docker buildx build --output type=oci,tar=false` writes it.
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import engine, files, recordings
from ..engine import journal
from ..errors import UsageError
from ..image import add_image, files_of, meant, write_index
from .building import Build


@dataclass(frozen=True)
class Index:
    """An OCI layout in the folder `path`; `manifests` has the digest of each platform's image."""

    path: str
    manifests: dict[str, str]

    def to_dict(self) -> dict:
        """Return the index as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Index":
        """Return the index that `to_dict` wrote."""
        return cls(**data)


@recordings.replayed(Index)
def join(client, *builds: Build) -> Index:
    """Write the images of `builds`, each for another platform, as one OCI layout with one index.

    It is in this lab's own folder, in the place of the one before. Raises UsageError if two builds
    are for the same platform or there is none, ArchiveError, and EngineFailed.
    """
    if not builds:
        raise UsageError("there is no build to join.", hint="join(client, first, second)")
    place = journal.folder("copies") / "joined"
    with files.making(place) as part:
        part.mkdir(parents=True)
        described = [_saved(client, made.tag, part) for made in builds]
        found = {_platform(one): one["digest"] for one in described}
        if len(found) < len(described):
            names = ", ".join(_platform(one) for one in described)
            raise UsageError(
                f"an index has one image for each platform, and these are for {names}.",
                hint='build each with another `platform=`, such as "linux/arm64"',
            )
        write_index(part, described)
        shutil.rmtree(place, ignore_errors=True)
    return Index(str(place), found)


def _platform(described: dict) -> str:
    parts = described["platform"]
    return "/".join(filter(None, map(parts.get, ("os", "architecture", "variant"))))


def _saved(client, tag: str, layout: Path) -> dict:
    """Put an image of the engine into the layout; return how an index refers to it."""
    saved = layout / "image.tar"
    with engine.export_image(client, tag) as chunks, open(saved, "wb") as file:
        file.writelines(chunks)
    with files_of(saved) as exported:
        chosen = meant(exported, None, None)
        found = add_image(exported, chosen, layout)
    saved.unlink()
    names = ("os", "architecture", "variant")
    return found | {"platform": dict(zip(names, chosen.platform.split("/"), strict=False))}
