"""Find the image that is meant in an archive: manifest.json, OCI indexes, names, platforms.

Works on anything with `get(path)`, None where there is no such file, and `json(path, what)`.
"""

import platform as machine
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..errors import ArchiveError, ImageUnclear
from ..references import canonical, familiar, read
from .model import platform_of
from .tarstream import MAX_UNPACKED

_HINT = "save the image again; do not use an archive from an unknown source"
_ID = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"^[a-z0-9+._-]+:[0-9a-zA-Z=_-]+$")
_IMAGE_CONFIGS = (
    None,
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "i686": "386"}
MAX_DEPTH = 4  # of indexes in indexes


@dataclass(frozen=True)
class Manifest:
    """One image for one platform: paths in the archive of its configuration and its layers."""

    names: tuple[str, ...]
    platform: str
    config: str
    layers: tuple[str, ...]

    @property
    def id(self) -> str:
        """The digest of its configuration, which engines use as its id; "" if it is unknown."""
        found = _ID.search(self.config)
        return f"sha256:{found[0]}" if found else ""

    def is_called(self, name: str) -> bool:
        """Return whether `name` is one of its names or the beginning of its id."""
        start = name.removeprefix("sha256:")
        is_id = len(start) >= 6 and self.id.startswith(f"sha256:{start}")
        return is_id or any(canonical(own) == canonical(name) for own in self.names)

    def is_tagged(self, tag: str) -> bool:
        """Return whether one of its names has this tag."""
        return any(read(own).tag == tag for own in self.names)


@dataclass(frozen=True)
class Descriptor:
    """A reference to another document: its digest and bytes; platform and `subject` may be "".

    `attests`: it is an attestation, of the image with the digest `subject`, or one statement of it.
    """

    digest: str
    size: int
    platform: str
    attests: bool
    subject: str
    predicate: str


def descriptors(document, key: str) -> list[Descriptor]:
    """Return the descriptors in a document under `key`: manifests, layers or config."""
    what = f"a document's {key}"
    found = _expect(document, dict, what).get(key) or []
    return [
        _descriptor(item, what)
        for item in ([found] if isinstance(found, dict) else _expect(found, list, what))
    ]


def _descriptor(item, what: str) -> Descriptor:
    notes = _expect(_expect(item, dict, what).get("annotations") or {}, dict, "annotations")
    size = _expect(item.get("size"), int, f"{what}, size")
    if not 0 <= size <= MAX_UNPACKED:
        raise ArchiveError(f"{what} claims {size:,} bytes.", hint=_HINT)
    return Descriptor(
        digest=digest_of_path(_path_of(item)),
        size=size,
        platform=_platform(item.get("platform")),
        attests=_is_attestation(item),
        subject=_expect(notes.get("vnd.docker.reference.digest") or "", str, "annotations"),
        predicate=_expect(notes.get("in-toto.io/predicate-type") or "", str, "annotations"),
    )


def path_of_digest(digest: str) -> str:
    """Return where a blob is in an archive.

    >>> path_of_digest("sha256:12"), digest_of_path("blobs/sha256/12")
    ('blobs/sha256/12', 'sha256:12')
    """
    return "blobs/" + digest.replace(":", "/", 1)


def digest_of_path(path: str) -> str:
    """Return the digest of the blob at a path of an archive."""
    return path.removeprefix("blobs/").replace("/", ":", 1)


def manifests(archive) -> list[Manifest]:
    """Return every image in the archive, each once, with all its names; empty if there is none."""
    tagged = list(_from_manifest_json(archive)) if archive.get("manifest.json") else []
    indexed = []
    if archive.get("index.json"):
        indexed = list(_from_index(archive, archive.json("index.json", "index.json"), (), 0))
    merged: dict[str, Manifest] = {}
    names: dict[str, dict[str, None]] = {}  # as an ordered set
    for found in indexed or tagged:
        merged.setdefault(found.config, found)
        names.setdefault(found.config, {}).update(dict.fromkeys(found.names))
    for found in tagged:
        names.get(found.config, {}).update(dict.fromkeys(found.names))
    return [replace(found, names=tuple(names[config])) for config, found in merged.items()]


def _from_manifest_json(archive):
    for item in _expect(archive.json("manifest.json", "manifest.json"), list, "manifest.json"):
        _expect(item, dict, "manifest.json")
        config = _expect(item.get("Config"), str, "manifest.json, Config")
        layers = _texts(item.get("Layers"), "manifest.json, Layers")
        names = _texts(item.get("RepoTags"), "manifest.json, RepoTags")
        yield Manifest(names, _platform_in(archive, config), config, layers)


def names_given(path: str, document) -> Iterator[str]:
    """Yield the names that a document of an archive gives to images; `path` says which one it is.

    They are those that an engine takes from it: `repositories` is the manifest.json of old ones.
    """
    if path == "manifest.json":
        for item in _expect(document, list, path):
            yield from _texts(_expect(item, dict, path).get("RepoTags"), "manifest.json, RepoTags")
    elif path == "repositories":
        for repository, tags in _expect(document, dict, path).items():
            yield from (f"{repository}:{tag}" for tag in _expect(tags, dict, path))
    else:
        for item in _expect(_expect(document, dict, path).get("manifests") or [], list, path):
            yield from _names_of(_expect(item, dict, path))


def _platform_in(archive, config: str) -> str:
    """The platform that a configuration names, if the archive contains it."""
    return _platform(archive.json(config, "the configuration")) if archive.get(config) else ""


def _from_index(archive, index, names: tuple[str, ...], depth: int):
    """The images in an index, without those of platforms that were not saved."""
    what = "an image index"
    described = _expect(_expect(index, dict, what).get("manifests") or [], list, what)
    present = [item for item in described if not _is_attestation(_expect(item, dict, what))]
    for item in present:
        path = _path_of(item)
        if archive.get(path) is None and len(present) > 1:
            continue
        document = _expect(archive.json(path, "a manifest"), dict, "a manifest")
        own = names or _names_of(item)
        if "manifests" in document:
            if depth == MAX_DEPTH:
                raise ArchiveError(f"indexes are nested more than {depth} deep.", hint=_HINT)
            yield from _from_index(archive, document, own, depth + 1)
        elif "config" in document and "layers" in document:
            yield from _from_manifest(archive, document, item, own)


def _from_manifest(archive, document: dict, item: dict, names: tuple[str, ...]):
    what = "a manifest"
    config = _expect(document["config"], dict, what)
    if config.get("mediaType") not in _IMAGE_CONFIGS:
        return  # something else that is kept like an image
    layers = [_expect(layer, dict, what) for layer in _expect(document["layers"], list, what)]
    path = _path_of(config)
    platform = _platform(item.get("platform")) or _platform_in(archive, path)
    yield Manifest(names, platform, path, tuple(_path_of(layer) for layer in layers))


def _is_attestation(item: dict) -> bool:
    annotations = _expect(item.get("annotations") or {}, dict, "annotations")
    is_unknown = _platform(item.get("platform")).startswith("unknown")
    return is_unknown or "vnd.docker.reference.type" in annotations


def _names_of(item: dict) -> tuple[str, ...]:
    annotations = _expect(item.get("annotations") or {}, dict, "annotations")
    names = [annotations[key] for key in _NAMES if isinstance(annotations.get(key), str)]
    return tuple(familiar(name) for name in names[:1])


def _path_of(item: dict) -> str:
    digest = _expect(item.get("digest"), str, "a digest")
    if not _DIGEST.match(digest):
        raise ArchiveError(f"{digest[:80]!r} is not a digest.", hint=_HINT)
    return path_of_digest(digest)


def _platform(described) -> str:
    described = _expect(described or {}, dict, "a platform")
    return platform_of({key: value for key, value in described.items() if isinstance(value, str)})


def choose(found: list[Manifest], *, name: str | None, platform: str | None) -> Manifest:
    """Choose an image by its name, its tag or its id, and by its platform.

    Raises ImageUnclear, which lists what there is. The only image is chosen for any platform.
    """
    if name is not None:
        fitting = [one for one in found if one.is_called(name)] or [
            one for one in found if one.is_tagged(name)
        ]
        if not fitting:
            raise _unclear(f"the archive contains no image {name}", found)
        found = fitting
    if platform and len(found) > 1:
        found = _for_platform(found, platform)
    if len({one.names for one in found if one.names}) > 1:
        raise _unclear("the archive contains several images", found)
    if len(found) > 1:
        found = _for_platform(found, host_platform())
    if len(found) > 1:
        raise _unclear(f"the archive contains several images for {found[0].platform}", found)
    return found[0]


def _for_platform(found: list[Manifest], wanted: str) -> list[Manifest]:
    """Those of a platform; of its family where none is exactly that. Raises ImageUnclear."""
    fitting = [one for one in found if one.platform == wanted] or [
        one for one in found if same_family(one.platform, wanted)
    ]
    if not fitting:
        there = tuple(sorted({one.platform or "unknown" for one in found}))
        raise ImageUnclear(
            f"the archive contains images for {', '.join(there)}, but none for {wanted}.",
            platforms=there,
        )
    return fitting


def host_platform() -> str:
    """Return the platform of images on this machine; containers are Linux everywhere."""
    name = machine.machine()
    return f"linux/{_MACHINES.get(name, name.lower())}"


def same_family(one: str, other: str) -> bool:
    """Return whether two platforms are equal, or one of them only lacks the variant."""
    one, other = f"{one}/", f"{other}/"
    return one != "/" and (one.startswith(other) or other.startswith(one))


def _unclear(what: str, found: list[Manifest]) -> ImageUnclear:
    """Lists images by name; by id those that have none, or share it on one platform."""
    same = Counter((one.names[:1], one.platform) for one in found)
    by_id = ((one.id[:19],) for one in found)
    names = {
        one.names if one.names and same[one.names[:1], one.platform] == 1 else its_id
        for one, its_id in zip(found, by_id, strict=True)
    }
    listed = sorted(map(", ".join, names))
    return ImageUnclear(
        f"{what}: {'; '.join(listed[:20])}{'; …' if len(listed) > 20 else ''}.",
        names=tuple(sorted(name[0] for name in names)),
    )


def checked_config(config, *, layers: int) -> dict:
    """Return an OCI configuration after checking the types of all parts that are used."""
    what = "the configuration"
    _expect(config, dict, what)
    diff_ids = _texts(_expect(config.get("rootfs"), dict, what).get("diff_ids"), what)
    if len(diff_ids) != layers:
        raise ArchiveError(
            f"the configuration lists {len(diff_ids)} layers, the manifest {layers}.",
            hint=_HINT,
        )
    for step in _expect(config.get("history") or [], list, what):
        for key in ("created_by", "comment"):
            _expect(_expect(step, dict, what).get(key) or "", str, what)
    for key in ("os", "architecture", "variant", "created"):
        _expect(config.get(key) or "", str, what)
    run = _expect(config.get("config") or {}, dict, what)
    for key in ("User", "WorkingDir", "StopSignal"):
        _expect(run.get(key) or "", str, what)
    for key in ("ExposedPorts", "Volumes", "Labels", "Healthcheck"):
        _expect(run.get(key) or {}, dict, what)
    for key in ("Env", "Entrypoint", "Cmd", "OnBuild", "Shell"):
        _texts(run.get(key), what)
    rootfs = {**config["rootfs"], "diff_ids": list(diff_ids)}
    return {**config, "rootfs": rootfs}


def _texts(value, what: str) -> tuple[str, ...]:
    return tuple(_expect(item, str, what) for item in _expect(value or [], list, what))


def _expect(value, kind: type, what: str):
    if not isinstance(value, kind):
        seen = type(value).__name__
        raise ArchiveError(f"{what}: expected {kind.__name__}, found {seen}.", hint=_HINT)
    return value
