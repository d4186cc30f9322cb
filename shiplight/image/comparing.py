"""Compare two images: their files, the packages that their paths name, and their layers.

Files are what a container sees, by path. Layers are compared by `diff_id`, so a layer that both
images have counts once. Packages are read from paths alone; a package manager that keeps its names
inside one file (apk) is reported as unread.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ..setting import Setting, together
from ..units import in_one_line
from .changes import Entry
from .model import Image

FIRST, SECOND, CHANGED, SAME = "only in the first", "only in the second", "changed", "in both"
WHERE = (FIRST, SECOND, CHANGED, SAME)

# How package managers name what they installed; the groups are a name and, where paths tell it, a
# version. What holds no path to tell them by is in _UNREAD.
_PACKAGES = {
    "debian": re.compile(
        r"var/lib/dpkg/(?:info/(?P<name>[^/:]+)(?::\w+)?\.list|status\.d/(?P<alone>[^/.]\S*))"
    ),
    "npm": re.compile(r"(?:.*/)?node_modules/(?P<name>(?:@[^/]+/)?[^/@.][^/]*)/package\.json"),
    "python": re.compile(
        r".*/(?:site|dist)-packages/(?P<name>[^/-]+)-(?P<version>[^/-]+)\.dist-info/METADATA"
    ),
    "go": re.compile(r".*/mod/cache/download/(?P<name>.+)/@v/(?P<version>[^/]+)\.zip"),
    "rust": re.compile(
        r".*/cargo/registry/src/[^/]+/(?P<name>[^/]+)-(?P<version>\d[^/]*)/Cargo\.toml"
    ),
}
_UNREAD = {"apk": "lib/apk/db/installed", "rpm": "var/lib/rpm/rpmdb.sqlite"}


class File(NamedTuple):
    """One path: which image has it, and its bytes in each; None if it is not there."""

    path: str
    where: str
    first_bytes: int | None
    second_bytes: int | None

    @property
    def bytes(self) -> int:
        """The larger of the two."""
        return max(self.first_bytes or 0, self.second_bytes or 0)


class Package(NamedTuple):
    """One package that paths name, with its versions; "" where the path has none."""

    kind: str
    name: str
    where: str
    first_version: str | None
    second_version: str | None


class SharedLayer(NamedTuple):
    """One layer of either image or of both."""

    where: str
    instruction: str
    unpacked_bytes: int | None
    packed_bytes: int | None = None


@dataclass(frozen=True)
class Comparison:
    """The differences of two images. `files` and `packages` list them; the rest is only counted.

    Files come with the most bytes first, layers base first: shared, then those of each image.
    `unread` lists package managers whose packages cannot be read from paths.
    """

    first: str
    second: str
    first_bytes: int
    second_bytes: int
    files: tuple[File, ...] = field(repr=False)
    same_files: int
    same_bytes: int
    packages: tuple[Package, ...] = field(repr=False)
    same_packages: int
    unread: tuple[str, ...]
    layers: tuple[SharedLayer, ...] = field(repr=False)
    setting: Setting | None = field(default=None, repr=False, compare=False)

    def count(self, where: str) -> int:
        """Count the files there."""
        if where == SAME:
            return self.same_files
        return sum(file.where == where for file in self.files)

    def bytes(self, where: str) -> int:
        """Add up their bytes; a changed file counts with its larger copy."""
        if where == SAME:
            return self.same_bytes
        return sum(file.bytes for file in self.files if file.where == where)

    @property
    def shared_bytes(self) -> int:
        """Bytes of the layers that both images have: stored once and pulled once."""
        return sum(layer.unpacked_bytes for layer in self.layers if layer.where == SAME)

    @in_one_line
    def __repr__(self) -> str:
        files = ", ".join(f"{self.count(where):,} {where}" for where in WHERE)
        return f"Comparison of {self.first} with {self.second}  files: {files}"

    def to_dict(self) -> dict:
        """Return the comparison as JSON."""
        rows = {key: [row._asdict() for row in getattr(self, key)] for key in _ROWS}
        more = {"shared_bytes": self.shared_bytes, "unread": list(self.unread)}
        return vars(self) | rows | more | {"setting": self.setting and self.setting.to_dict()}


_ROWS = ("files", "packages", "layers")


def compare(first: Image, second: Image, *, names: tuple[str, str] | None = None) -> Comparison:
    """Compare two images. Both need their file lists."""
    names = names or (first.name, second.name)
    files = list(_files(first.tree(), second.tree()))
    packages = list(_packages(first, second))
    same = [file for file in files if file.where == SAME]
    differ = [file for file in files if file.where != SAME]
    return Comparison(
        first=names[0],
        second=names[1],
        first_bytes=first.unpacked_bytes,
        second_bytes=second.unpacked_bytes,
        files=tuple(sorted(differ, key=lambda file: (-file.bytes, file.path))),
        same_files=len(same),
        same_bytes=sum(file.bytes for file in same),
        packages=tuple(package for package in packages if package.where != SAME),
        same_packages=sum(package.where == SAME for package in packages),
        unread=tuple(
            kind for kind, path in _UNREAD.items() if any(path in i.tree() for i in (first, second))
        ),
        layers=tuple(_layers(first, second)),
        setting=together(first.setting, second.setting),
    )


def _files(one: dict, other: dict) -> Iterator[File]:
    """Every path that is not a directory."""
    for path in sorted(one.keys() | other.keys()):
        before, after = (_entry(tree, path) for tree in (one, other))
        if before or after:
            sizes = [entry.size if entry else None for entry in (before, after)]
            yield File(path, _where(before, after), *sizes)


def _entry(tree: dict, path: str) -> Entry | None:
    entry = tree.get(path, (None, 0))[0]
    return entry if entry is not None and entry.kind != "dir" else None


def _where(before, after) -> str:
    """Where something is; if the images agree on every attribute, it is in both."""
    if before is None or after is None:
        return SECOND if before is None else FIRST
    return SAME if before == after else CHANGED


def packages(image: Image) -> dict[tuple[str, str], str]:
    """Return the packages that an image's paths name: {(kind, name): versions, "" if unknown}."""
    found: dict[tuple[str, str], set[str]] = {}
    for path in image.tree():
        for kind, pattern in _PACKAGES.items():
            if match := pattern.fullmatch(path):
                told = match.groupdict()
                name = told["name"] or told["alone"].removesuffix(".md5sums")
                found.setdefault((kind, name), set()).add(told.get("version") or "")
    return {key: ", ".join(sorted(versions)) for key, versions in found.items()}


def _packages(first: Image, second: Image) -> Iterator[Package]:
    before, after = packages(first), packages(second)
    for kind, name in sorted(before.keys() | after.keys()):
        versions = before.get((kind, name)), after.get((kind, name))
        yield Package(kind, name, _where(*versions), *versions)


def _layers(first: Image, second: Image) -> Iterator[SharedLayer]:
    """Layers that both have, then those of the first only, then those of the second only."""
    mine, theirs = ({layer.diff_id for layer in image.layers} for image in (first, second))
    sides = (
        (SAME, first, mine & theirs),
        (FIRST, first, mine - theirs),
        (SECOND, second, theirs - mine),
    )
    for where, image, chosen in sides:
        for layer in image.layers:
            if layer.diff_id in chosen:
                sizes = layer.unpacked_bytes, layer.packed_bytes
                yield SharedLayer(where, layer.instruction, *sizes)


@dataclass(frozen=True)
class LayerComparison:
    """Which layers two images share, by their diff_ids; no file was read."""

    first: str
    second: str
    layers: tuple[SharedLayer, ...] = field(repr=False)

    def packed_bytes(self, where: str) -> int | None:
        """Return the packed bytes of the layers there; None where one is unknown."""
        found = [layer.packed_bytes for layer in self.layers if layer.where == where]
        return None if None in found else sum(found)

    def to_dict(self) -> dict:
        """Return the comparison as JSON."""
        sums = {"first": FIRST, "second": SECOND, "shared": SAME}
        sizes = {f"{key}_packed_bytes": self.packed_bytes(where) for key, where in sums.items()}
        layers = [layer._asdict() for layer in self.layers]
        return {"first": self.first, "second": self.second} | sizes | {"layers": layers}


def compare_layers(first: Image, second: Image, *, names: tuple[str, str]) -> LayerComparison:
    """Compare two images by their layers alone; `first` and `second` are their names."""
    return LayerComparison(*names, tuple(_layers(first, second)))
