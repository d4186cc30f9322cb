"""A cache on disk for layers and images that were measured or scanned before.

A layer never changes under its diff_id, nor an image under its engine_id, nor a scan with one
scanner and one database, so nothing here goes stale. Each has one file: JSON, compressed by zstd
with a checksum, written whole or not at all. A file that is damaged or has another version counts
as missing; if the folder cannot be written, nothing is kept.
"""

import json
import os
import re
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import zstandard

from .. import files
from .changes import Entry
from .model import Image, LayerContent

MOST_UNPACKED = 1 << 30  # bytes of JSON; of two million files, it has fewer
# Of what is written here: how a layer is read, its packed bytes estimated, and a history read.
VERSIONS = {"layers": 3, "images": 4, "scans": 3}


class LayerStore:
    """The contents of layers by diff_id, and whole images by engine_id, in a folder."""

    def __init__(self, folder: str | os.PathLike, *, level: int = 3):
        self.folder, self.level = Path(folder), level
        self._estimated: set[str] = set()  # layers that are known to be here in full

    def get(self, diff_id: str) -> LayerContent | None:
        """Return the contents of a layer; None if they are not stored."""
        saved = self._read("layers", diff_id)
        if saved is None:
            return None
        with suppress(KeyError, TypeError, ValueError):
            content = LayerContent(diff_id, _rows(saved["columns"]), saved["packed_estimate"])
            if content.packed_estimate is not None:
                self._estimated.add(diff_id)
            return content
        return None

    def put(self, content: LayerContent) -> None:
        """Store a layer. One that was read compressed does not replace one with an estimate."""
        if content.diff_id in self._estimated:
            return
        if content.packed_estimate is not None or self.get(content.diff_id) is None:
            columns = list(zip(*content.entries, strict=True))
            saved = {"packed_estimate": content.packed_estimate, "columns": columns}
            self._write("layers", content.diff_id, saved)

    def image(self, engine_id: str) -> Image | None:
        """Return an image measured before, with its file lists; None if any part is missing."""
        saved = self._read("images", engine_id)
        if saved is None:
            return None
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            image = Image.from_dict(saved["image"])
            contents = [self.get(layer.diff_id) for layer in image.layers]
            if None not in contents:
                return replace(image, contents=tuple(content.entries for content in contents))
        return None

    def put_image(self, image: Image) -> None:
        """Store an image, under its engine_id if it has one, and its layers."""
        for layer, entries in zip(image.layers, image.contents, strict=True):
            estimate = layer.packed_bytes if layer.packed_is_estimate else None
            self.put(LayerContent(layer.diff_id, entries, estimate))
        if image.engine_id:
            self._write("images", image.engine_id, {"image": image.to_dict()})

    def scan(self, key: str) -> dict | None:
        """Return a stored scan by its key; None if there is none."""
        return self._read("scans", key)

    def put_scan(self, key: str, said: dict) -> None:
        """Store the result of a scan."""
        self._write("scans", key, said)

    def keep_only(self, diff_ids: set[str]) -> None:
        """Delete every layer except these."""
        kept = {self._path("layers", diff_id) for diff_id in diff_ids}
        for path in (self.folder / "layers").glob("*.zst"):
            if path not in kept:
                path.unlink()

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / kind / (re.sub(r"[^0-9A-Za-z]", "-", key)[:200] + ".json.zst")

    def _read(self, kind: str, key: str) -> dict | None:
        with suppress(OSError, zstandard.ZstdError, ValueError, MemoryError, RecursionError):
            packed = files.read(self._path(kind, key))
            if zstandard.frame_content_size(packed) > MOST_UNPACKED:
                return None
            saved = json.loads(zstandard.ZstdDecompressor().decompress(packed))
            is_ours = isinstance(saved, dict)
            if is_ours and (saved.pop("version", None), saved.pop("key", None)) == (
                VERSIONS[kind],
                key,
            ):
                return saved
        return None

    def _write(self, kind: str, key: str, saved: dict) -> None:
        text = json.dumps({"version": VERSIONS[kind], "key": key, **saved}, separators=(",", ":"))
        packed = zstandard.ZstdCompressor(level=self.level, write_checksum=True).compress(
            text.encode()
        )
        path = self._path(kind, key)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.replacing(path, ours=True) as file:
                file.write(packed)


_TYPES = tuple(Entry.__annotations__.values())


def _is_column(values: object, kind: type) -> bool:
    return isinstance(values, list) and set(map(type, values)) <= {kind}


def _rows(columns: list[list]) -> tuple[Entry, ...]:
    """The entries of a layer from their columns; equal values share one object."""
    if columns == []:
        return ()
    if len(columns) != len(_TYPES) or not all(map(_is_column, columns, _TYPES)):
        raise ValueError("not the columns that were written")
    paths, kinds, sizes, modes, *more = columns
    same: dict[int, int] = {}
    modes = [same.setdefault(mode, mode) for mode in modes]
    return tuple(map(Entry, paths, map(sys.intern, kinds), sizes, modes, *more))
