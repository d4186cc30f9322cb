"""Read an image in a registry: its index, manifest and configuration, without its layers.

Its unpacked bytes are known only after the layers were read: `as_archive` streams them in the form
of a saved archive, so one reader, with its limits and digest checks, handles both.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from ..errors import ArchiveError
from ..references import Reference
from ..units import visible_line
from .archive import MAX_ALL_JSON, MAX_JSON
from .layouts import (
    Descriptor,
    Manifest,
    checked_config,
    descriptors,
    digest_of_path,
    manifests,
    path_of_digest,
    same_family,
)
from .model import Image, Layer, align, created_of, plain_config, platform_of
from .tarstream import END, member

MAX_DOCUMENTS = 300  # of one name: manifests, configurations and attestations
_HINT = "what this registry has under that name is damaged; tell whoever pushed it"
_NO_IMAGE = "it may hold something else than images under that name, such as a Helm chart"


class Source(Protocol):
    """A source of blobs and manifests: one repository of a registry."""

    def manifest(self, version: str) -> bytes:
        """Return the manifest or index of that tag or digest."""

    def head(self, version: str) -> Mapping[str, str]:
        """Return the headers with which a manifest would come."""

    def blob(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes of a blob as they come."""


@dataclass(frozen=True)
class Attestation:
    """A statement on how an image was made: both digests, and the types of its statements."""

    digest: str
    subject: str
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """An image as a registry has it. `digest` is that of the index, or of the only manifest.

    `images` has one image for each requested platform, `manifests` the digest of its manifest, by
    which it can be pulled; `platforms` lists all platforms in the registry.
    Unpacked bytes, reclaimable bytes and files are None: only the layers contain them.
    """

    name: str
    digest: str
    platforms: tuple[str, ...]
    images: tuple[Image, ...]
    manifests: tuple[str, ...]
    attestations: tuple[Attestation, ...]

    def to_dict(self) -> dict:
        """Return everything as JSON."""
        return {
            "name": self.name,
            "digest": self.digest,
            "platforms": list(self.platforms),
            "images": [
                image.to_dict() | {"digest": digest}
                for image, digest in zip(self.images, self.manifests, strict=True)
            ],
            "attestations": [dict(vars(one), kinds=list(one.kinds)) for one in self.attestations],
        }


@contextmanager
def asking(reference: Reference, login: tuple[str, str] | None = None, **how) -> Iterator[Source]:
    """Open the registry of an image, with a user's name and secret or anonymously.

    `silent` is the longest time without data, in seconds. Whatever fails in the block raises
    RegistryFailed, with a hint.
    """
    from . import registries  # requests takes 100 ms to load

    with registries.Registry(reference, login, **how) as registry:
        yield registry


def read_published(
    source: Source,
    name: str,
    version: str,
    platform: str | None = None,
    *,
    attestations: bool = True,
) -> Published:
    """Return the image that `source` has as `version`, for one platform if that is given.

    With `attestations=False` they are not fetched. Raises ArchiveError for damaged data and for
    anything that is not an image, and whatever `source` raises.
    """
    documents = _Documents(source, version, platform)
    found = documents.images()
    if not found:
        there = ", ".join(map(visible_line, documents.platforms)) or "no image"
        raise ArchiveError(
            f"{name} has no image for {platform or 'any platform'}: there is {there}.",
            hint="name one of these platforms" if documents.platforms else _NO_IMAGE,
        )
    return Published(
        name,
        documents.root,
        documents.platforms,
        tuple(_described(documents, one, name) for one in found),
        tuple(digest_of_path(documents.manifest_of[one.config]) for one in found),
        tuple(_attestations(documents)) if attestations else (),
    )


def as_archive(source: Source, version: str, platform: str | None = None) -> Iterator[bytes]:
    """Yield the image as an archive in the OCI layout, as it arrives; nothing is stored."""
    documents = _Documents(source, version, platform)
    for one in documents.images():
        documents.json(one.config, "the configuration")
        index = json.dumps(documents.index).encode()
        yield from member("index.json", [index], len(index))
        for path, data in documents.kept.items():
            yield from member(path, [data], len(data))
        for path in dict.fromkeys(one.layers):
            yield from member(path, documents.exactly(path), documents.size(path))
    yield END


class _Documents:
    """The documents of a version, by their paths in an archive, in the form `layouts` reads."""

    def __init__(self, source: Source, version: str, platform: str | None):
        self._source, self._platform = source, platform
        self._left, self._bytes = MAX_DOCUMENTS, MAX_ALL_JSON
        self._sizes: dict[str, int] = {}
        self._manifests: dict[str, Descriptor] = {}
        self._attesting: dict[Descriptor, None] = {}  # as an ordered set
        self.kept: dict[str, bytes] = {}
        self.manifest_of: dict[str, str] = {}  # the manifest's path by that of its configuration
        data = self._counted(source.manifest(version))
        self.root = _digest_of(data)
        algorithm, colon, _ = version.partition(":")
        if colon and version != _digest_of(data, algorithm):
            raise _damaged("the manifest", version)
        root = path_of_digest(self.root)
        self.kept[root] = data
        self.index = {"manifests": [{"digest": self.root, "size": len(data)}]}
        self.json(root, "the manifest")
        self._found = manifests(self)

    def images(self) -> list[Manifest]:
        """Return the images of the platform that was asked for, or all."""
        return [one for one in self._found if self._is_asked_for(one.platform)]

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms in all indexes, read or not; without an index, those that were found."""
        named = [one.platform for one in self._manifests.values() if not one.attests]
        found = [one.platform for one in self._found]
        return tuple(filter(None, dict.fromkeys([*named, *found])))

    @property
    def attesting(self) -> list[Descriptor]:
        """The attestations of the images that were read."""
        return [
            one for one in self._attesting if path_of_digest(one.subject or self.root) in self.kept
        ]

    def get(self, path: str) -> str | None:
        """Return whether this file exists and belongs to a requested platform."""
        one = self._manifests.get(path)
        other = one is not None and not self._is_asked_for(one.platform)
        return None if other or path == "manifest.json" else path

    def _is_asked_for(self, platform: str) -> bool:
        """Whether it may be the requested platform: equal except for a variant, or unknown."""
        wanted = self._platform
        return not (platform and wanted) or platform == wanted or same_family(platform, wanted)

    def json(self, path: str, what: str) -> dict | list:
        """Return the document at a path. Fetches it once and checks its digest."""
        if path == "index.json":
            return self.index
        if path not in self.kept:
            self.kept[path] = self._fetched(path, what)
        try:
            document = json.loads(self.kept[path])
        except (ValueError, RecursionError) as error:
            raise ArchiveError(f"{what} is not valid JSON: {path}.", hint=_HINT) from error
        if isinstance(document, dict):
            self._read(path, document)
        return document

    def size(self, path: str) -> int:
        """Return the bytes of a blob, as its manifest says."""
        return self._sizes[path]

    def exactly(self, path: str) -> Iterator[bytes]:
        """Yield a blob. Raises an error if it is not as long as its manifest says."""
        left = self.size(path)
        for chunk in self._source.blob(digest_of_path(path)):
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
        if left:
            more = "more bytes" if left < 0 else f"{left:,} bytes fewer"
            raise ArchiveError(
                f"the registry sent {more} of {digest_of_path(path)} than the manifest declares.",
                hint=_HINT,
            )

    def _read(self, path: str, document: dict) -> None:
        """Store the descriptors in the document at `path`."""
        for one in descriptors(document, "manifests"):
            self._manifests[path_of_digest(one.digest)] = one
            if one.attests:
                self._attesting[one] = None
        if "layers" not in document:
            return
        configs, layers = descriptors(document, "config"), descriptors(document, "layers")
        self._sizes |= {path_of_digest(one.digest): one.size for one in (*configs, *layers)}
        for one in configs:
            self.manifest_of.setdefault(path_of_digest(one.digest), path)

    def _fetched(self, path: str, what: str) -> bytes:
        digest = digest_of_path(path)
        if path in self._manifests:
            data = self._source.manifest(digest)
        elif self._sizes.get(path, 0) > MAX_JSON:
            raise ArchiveError(f"{what} has {self._sizes[path]:,} bytes.", hint=_HINT)
        else:
            data = b"".join(self.exactly(path))
        if _digest_of(self._counted(data)) != digest:
            raise _damaged(what, digest)
        return data

    def _counted(self, data: bytes) -> bytes:
        self._left, self._bytes = self._left - 1, self._bytes - len(data)
        if self._left < 0 or self._bytes < 0 or len(data) > MAX_JSON:
            said = "the registry's manifests for that name exceed the limit."
            raise ArchiveError(said, hint=_HINT)
        return data


def _digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """The digest; "" for algorithms that registries do not use, which equals no digest."""
    if algorithm not in ("sha256", "sha512"):
        return ""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def _damaged(what: str, digest: str) -> ArchiveError:
    return ArchiveError(f"{what} is damaged: its content is not {digest}.", hint=_HINT)


def _described(documents: _Documents, found: Manifest, name: str) -> Image:
    """Return an image from its manifest and its configuration; layer contents are None."""
    what = "the configuration"
    config = checked_config(documents.json(found.config, what), layers=len(found.layers))
    history = align(config.get("history") or [], len(found.layers))
    instructions = {index: instruction for instruction, index in history}
    layers = tuple(
        Layer(
            index=index,
            diff_id=diff_id,
            digest=digest_of_path(path),
            instruction=instructions[index],
            unpacked_bytes=None,
            packed_bytes=documents.size(path),
            packed_is_estimate=False,
            reclaimable_bytes=None,
            files=None,
        )
        for index, (path, diff_id) in enumerate(
            zip(found.layers, config["rootfs"]["diff_ids"], strict=True)
        )
    )
    return Image(
        name=name,
        engine_id=None,
        config_digest=digest_of_path(found.config),
        platform=found.platform or platform_of(config),
        created=created_of(config),
        config=plain_config(config.get("config") or {}),
        layers=layers,
        history=history,
        buried=(),
    )


def _attestations(documents: _Documents) -> Iterator[Attestation]:
    """Yield the attestations of the images that were read, with the types of their statements."""
    for one in documents.attesting:
        document = documents.json(path_of_digest(one.digest), "an attestation")
        kinds = (statement.predicate for statement in descriptors(document, "layers"))
        yield Attestation(one.digest, one.subject, tuple(dict.fromkeys(filter(None, kinds))))
