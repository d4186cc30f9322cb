"""Image archives of every layout, written in memory from a short description.

image = Image([[file("app", b"x" * 1000)], [whiteout("app")]])
data = legacy(image)            # or oci(image), oci(image, manifest_json=False), …
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import zstandard

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


class Item(NamedTuple):
    """One tar member of a layer."""

    path: str
    kind: bytes = tarfile.REGTYPE
    data: bytes = b""
    link: str = ""
    mode: int = 0o644


def file(path: str, data: bytes | int = b"", *, mode: int = 0o644) -> Item:
    """A file of these bytes, or of so many bytes that depend on its path."""
    if isinstance(data, int):
        data = (path.encode() * data)[:data]
    return Item(path, data=data, mode=mode)


def directory(path: str, *, mode: int = 0o755) -> Item:
    return Item(path, tarfile.DIRTYPE, mode=mode)


def hard_link(path: str, target: str) -> Item:
    return Item(path, tarfile.LNKTYPE, link=target)


def symlink(path: str, target: str) -> Item:
    return Item(path, tarfile.SYMTYPE, link=target)


def whiteout(path: str) -> Item:
    folder, slash, name = path.rpartition("/")
    return Item(f"{folder}{slash}.wh.{name}")


def opaque(path: str) -> Item:
    return Item(f"{path}/.wh..wh..opq" if path else ".wh..wh..opq")


def tar(items: Sequence[Item], *, format: int = tarfile.GNU_FORMAT) -> bytes:
    """A plain tar of these members, in this order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for item in items:
            info = tarfile.TarInfo(item.path)
            info.type, info.linkname, info.mode = item.kind, item.link, item.mode
            info.size = len(item.data)
            archive.addfile(info, io.BytesIO(item.data))
    return out.getvalue()


def pack(data: bytes, packing: str) -> bytes:
    """Plain (""), gzip, gzip of several members, or zstd of several frames."""
    half = len(data) // 2
    if packing == "gzip":
        return gzip.compress(data, mtime=0)
    if packing == "gzip members":
        return gzip.compress(data[:half], mtime=0) + gzip.compress(data[half:], mtime=0)
    if packing == "zstd":
        return zstandard.compress(data)
    if packing == "zstd frames":
        skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
        return zstandard.compress(data[:half]) + skippable + zstandard.compress(data[half:])
    return data


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def as_json(value) -> bytes:
    return json.dumps(value).encode()


@dataclass
class Image:
    """A description; `layers` are base first, each a list of items or ready-made tar bytes."""

    layers: list
    name: str = "example/app:1"
    config: dict = field(default_factory=dict)
    history: list | None = None
    platform: str = "linux/amd64"

    @property
    def tars(self) -> list[bytes]:
        return [layer if isinstance(layer, bytes) else tar(layer) for layer in self.layers]

    @property
    def config_json(self) -> bytes:
        os_name, architecture, *variant = self.platform.split("/")
        document = {
            "created": "2026-01-02T03:04:05Z",
            "os": os_name,
            "architecture": architecture,
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(t)}" for t in self.tars]},
        }
        if variant:
            document["variant"] = variant[0]
        if self.history is not None:
            document["history"] = self.history
        return as_json(document)


def archive(files: dict[str, bytes | str]) -> bytes:
    """A tar of files by path; text stands for a symbolic link to there."""
    return tar(
        [symlink(p, data) if isinstance(data, str) else file(p, data) for p, data in files.items()]
    )


def legacy_files(*images: Image) -> dict[str, bytes | str]:
    """`docker save` up to engine 24: a folder a layer, links where a layer comes again."""
    files: dict[str, bytes | str] = {}
    manifest, seen = [], {}
    for number, image in enumerate(images):
        paths = []
        for index, data in enumerate(image.tars):
            folder = sha256(f"{number}.{index}".encode())
            files[f"{folder}/VERSION"] = b"1.0"
            files[f"{folder}/json"] = as_json({"id": folder})
            first = seen.setdefault(data, folder)
            files[f"{folder}/layer.tar"] = data if first == folder else f"../{first}/layer.tar"
            paths.append(f"{folder}/layer.tar")
        config = f"{sha256(image.config_json)}.json"
        files[config] = image.config_json
        manifest.append({"Config": config, "RepoTags": [image.name], "Layers": paths})
    return {**files, "manifest.json": as_json(manifest), "repositories": b"{}"}


def legacy(*images: Image) -> bytes:
    return archive(legacy_files(*images))


def oci_files(
    *images: Image,
    packing: str | Sequence[str] = "",
    manifest_json: bool = True,
    nested: bool = False,
) -> dict[str, bytes]:
    """The OCI layout, as engine 25 and later save it; `nested` puts all below one inner index.

    `packing` is that of every layer, or one for each.
    """
    blobs: dict[str, bytes] = {}

    def add(data: bytes, media_type: str) -> dict:
        digest = sha256(data)
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    described, tagged = [], []
    for image in images:
        config = add(image.config_json, CONFIG_TYPE)
        kinds = [packing] * len(image.tars) if isinstance(packing, str) else packing
        packed = [pack(*layer) for layer in zip(image.tars, kinds, strict=True)]
        layers = [add(data, "application/x") for data in packed]
        manifest = as_json({"schemaVersion": 2, "config": config, "layers": layers})
        item = add(manifest, MANIFEST_TYPE)
        if nested:
            os_name, architecture, *_ = image.platform.split("/")
            item["platform"] = {"os": os_name, "architecture": architecture}
        else:
            item["annotations"] = {"io.containerd.image.name": f"docker.io/{image.name}"}
        described.append(item)
        path = "blobs/" + config["digest"].replace(":", "/")
        paths = ["blobs/" + layer["digest"].replace(":", "/") for layer in layers]
        tagged.append({"Config": path, "RepoTags": [image.name], "Layers": paths})
    if nested:
        described.append(add_attestation(add))
        inner = as_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": described})
        described = [add(inner, INDEX_TYPE)]
        described[0]["annotations"] = {"io.containerd.image.name": images[0].name}
    files = dict(sorted(blobs.items()))
    files["index.json"] = as_json({"schemaVersion": 2, "manifests": described})
    if manifest_json:
        files["manifest.json"] = as_json(tagged)
    return {**files, "oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}


def add_attestation(add) -> dict:
    """What BuildKit adds beside an image: a manifest for the platform unknown/unknown."""
    statement = add(as_json({"_type": "https://in-toto.io/Statement/v0.1"}), "application/x")
    config = add(as_json({"os": "unknown", "architecture": "unknown"}), CONFIG_TYPE)
    item = add(as_json({"config": config, "layers": [statement]}), MANIFEST_TYPE)
    item["platform"] = {"os": "unknown", "architecture": "unknown"}
    item["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    return item


def oci(*images: Image, **options) -> bytes:
    return archive(oci_files(*images, **options))


def tar_with_right_checksum(data: bytes) -> bytes:
    """The archive again, the checksum of its first header made right."""
    block = data[:148] + b" " * 8 + data[156:512]
    return data[:148] + f"{sum(block):06o}\0 ".encode() + data[156:]
