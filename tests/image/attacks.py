"""Hostile archives, made when asked for: each gives chunks, or a file, that `read_image` takes."""

import gzip
import io
import json
import tarfile
from functools import cache

import zstandard
from factories import (
    Image,
    Item,
    archive,
    as_json,
    directory,
    file,
    hard_link,
    legacy,
    legacy_files,
    sha256,
    symlink,
    tar,
)  # fmt: skip

SMALL = Image([[file("app", 3)]])
MIB = 1 << 20


def zeros(count: int) -> bytes:
    """A layer that is one file of so many zeros, as zstd, in frames of 64 MiB each."""
    head = tarfile.TarInfo("zeros")
    head.size = count
    return zstandard.compress(head.tobuf()) + zeros_of_64_mib() * (count // (64 * MIB))


@cache
def zeros_of_64_mib() -> bytes:
    return zstandard.compress(bytes(64 * MIB))


def zstd_bomb():
    """A layer of 100 GB of zeros in a few megabytes."""
    files = legacy_files(SMALL)
    [layer] = [path for path in files if path.endswith("layer.tar")]
    return io.BytesIO(archive({**files, layer: zeros(100 << 30)}))


def many_small_bombs():
    """1,000 files of 128 MiB: none is a bomb by itself."""
    files = {f"{number}": zeros(128 * MIB) for number in range(1000)}
    return io.BytesIO(archive(files | legacy_files(SMALL)))


def bomb_around_an_archive():
    """An archive with 100 GB of zeros after it, all of it in zstd."""
    return io.BytesIO(zstandard.compress(legacy(SMALL)) + zeros_of_64_mib() * 1600)


def raw(kind: bytes, data: bytes) -> bytes:
    """One extension header with its data."""
    head = tarfile.TarInfo("x")
    head.type, head.size = kind, len(data)
    return head.tobuf() + data + bytes(-len(data) % 512)


def small_pax_records():
    """Headers of 200,000 records each, before one directory."""
    layer = raw(b"x", b"5 a=\n" * 200_000) * 10 + tar([directory("d")])
    return io.BytesIO(legacy(Image([layer])))


def endless_pax_headers():
    """Header after header, and never a file."""
    header = raw(b"x", b"8 path=\n" * 1000)
    return (header * 10 for _ in range(200))


def deep_paths():
    """Paths of 2,048 directories each, all different."""
    longest = ["/".join([f"{number:04}", *["x"] * 2000]) for number in range(2000)]
    return io.BytesIO(legacy(Image([tar([Item(path) for path in longest])])))


def indexes_of_indexes():
    """Four indexes, each of which names the next one 10,000 times."""
    blobs = {}

    def add(document) -> dict:
        data = as_json(document)
        blobs[f"blobs/sha256/{sha256(data)}"] = data
        return {"digest": f"sha256:{sha256(data)}"}

    item = add({"config": add({}), "layers": []})
    for _ in range(4):
        item = add({"manifests": [item] * 10_000})
    return io.BytesIO(archive({**blobs, "index.json": as_json({"manifests": [item] * 2})}))


def one_image_many_times():
    """manifest.json names one image 60,000 times, each time by another name."""
    files = legacy_files(SMALL)
    [item] = json.loads(files["manifest.json"])
    names = [{**item, "RepoTags": [f"n:{number}"]} for number in range(15_000)]
    return io.BytesIO(archive({**files, "manifest.json": as_json([*names, *[item] * 15_000])}))


def one_layer_many_times():
    """An image of 1,000 layers, each the same one of 3,000 files."""
    layer = tar([file(f"f{number}") for number in range(3000)])
    return io.BytesIO(legacy(Image([layer] * 1000)))


def many_empty_lists():
    """8 MB of JSON that are 190 MB in Python."""
    files = legacy_files(SMALL)
    return io.BytesIO(archive({**files, "manifest.json": b"[" + b"[]," * 2_700_000 + b"[]]"}))


def history_without_end():
    return io.BytesIO(legacy(Image([[file("app", 3)]], history=[{"empty_layer": True}] * 250_000)))


def a_name_of_100_kB():
    return io.BytesIO(legacy(Image([tar([file("x" * 100_000)], format=tarfile.PAX_FORMAT)])))


def links_to_everywhere():
    """Links that lead out of the root, to themselves and to each other, and a device."""
    return io.BytesIO(
        legacy(
            Image(
                [
                    [
                        symlink("etc", "../../../../etc"), symlink("a", "b"), symlink("b", "a"),
                        symlink("self", "self"), hard_link("c", "c"), hard_link("d", "etc/shadow"),
                        Item("dev/sda", tarfile.BLKTYPE), Item("/etc/passwd", data=b"xxx"),
                    ]
                ]
            )
        )
    )  # fmt: skip


def many_files():
    """60,000 files of one byte in 600 directories, as gzip; 1,000,000 cost as much each."""
    paths = (f"usr/lib/d{number // 100:04}/file{number:06}" for number in range(60_000))
    return io.BytesIO(gzip.compress(legacy(Image([tar([file(p, b"x") for p in paths])])), 1))
