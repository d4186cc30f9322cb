"""Write images as an OCI layout: a folder of blobs under their digests, and one index."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import ArchiveError
from .layouts import Manifest
from .saved import Files
from .tarstream import packing

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def add_image(files: Files, chosen: Manifest, layout: Path) -> dict:
    """Copy an image of an archive into a layout; return its descriptor. Raises ArchiveError."""
    paths = [chosen.config, *chosen.layers]
    if gone := [path for path in paths if files.get(path) is None]:
        raise ArchiveError(f"{gone[0]} is missing.", hint="save the image again")
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    made = {path: _blob(files.blocks(path), blobs) for path in dict.fromkeys(paths)}
    config, *layers = (made[path] for path in paths)
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
    manifest["config"] = config | {"mediaType": _CONFIG}
    return _blob([json.dumps(manifest).encode()], blobs) | {"mediaType": _MANIFEST}


def write_index(layout: Path, described: Sequence[dict]) -> None:
    """Write what makes a folder with images a layout: its index of their descriptors."""
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": list(described)}
    (layout / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")


def _blob(blocks: Iterable[bytes], blobs: Path) -> dict:
    """Write a blob under its digest; return its descriptor, as for a layer."""
    hashed, size, head, part = hashlib.sha256(), 0, b"", blobs / "part"
    with open(part, "wb") as file:
        for block in blocks:
            head, size = head or block[:512], size + len(block)
            hashed.update(block)
            file.write(block)
    part.replace(blobs / hashed.hexdigest())
    kind = packing(head)
    media = f"{_LAYER}+{kind}" if kind else _LAYER
    return {"mediaType": media, "digest": f"sha256:{hashed.hexdigest()}", "size": size}
