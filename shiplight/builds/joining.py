"""One name for several platforms: an index over images that were built one by one.

An engine with a graph driver keeps one image under a name, so the index is written beside it: as an
OCI layout, a folder as `docker buildx build --output type=oci,tar=false` writes it.
"""

import hashlib
import json
import shutil
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import engine, files, recordings
from ..engine import journal
from ..errors import UsageError
from ..image import packing
from .building import Build

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


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
    are for the same platform, and EngineFailed.
    """
    place = journal.folder("copies") / "joined"
    with files.making(place) as part:
        (part / "blobs" / "sha256").mkdir(parents=True)
        described = [_saved(client, made.tag, part) for made in builds]
        found = {_platform(one): one["digest"] for one in described}
        if len(found) < len(described):
            names = ", ".join(_platform(one) for one in described)
            raise UsageError(
                f"an index has one image for each platform, and these are for {names}.",
                hint='build each with another `platform=`, such as "linux/arm64"',
            )
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": described}
        (part / "index.json").write_text(json.dumps(index))
        (part / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
        shutil.rmtree(place, ignore_errors=True)
    return Index(str(place), found)


def _platform(described: dict) -> str:
    parts = described["platform"]
    return "/".join(filter(None, map(parts.get, ("os", "architecture", "variant"))))


def _saved(client, tag: str, layout: Path) -> dict:
    """Put an image of the engine into the layout; return how an index refers to it."""
    with tempfile.TemporaryFile(dir=layout) as file:
        with engine.export_image(client, tag) as chunks:
            file.writelines(chunks)
        file.seek(0)
        with tarfile.open(fileobj=file) as saved:
            [said] = json.load(saved.extractfile("manifest.json"))
            config = _blob(saved.extractfile(said["Config"]), layout, _CONFIG)
            layers = [_layer(saved.extractfile(path), layout) for path in said["Layers"]]
            settings = json.load(saved.extractfile(said["Config"]))
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(manifest).encode())
        found = _blob(file, layout, _MANIFEST)
    names = ("os", "architecture", "variant")
    return found | {"platform": {name: settings[name] for name in names if settings.get(name)}}


def _layer(file, layout: Path) -> dict:
    kind = packing(file.read(512))
    return _blob(file, layout, f"{_LAYER}+{kind}" if kind else _LAYER)


def _blob(file, layout: Path, kind: str) -> dict:
    """Copy a file into the layout under its digest; return its descriptor."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    path = layout / "blobs" / "sha256" / digest
    with path.open("wb") as target:
        shutil.copyfileobj(file, target)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": path.stat().st_size}
