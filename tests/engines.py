"""Tries Ship Light on other engines, and writes down what came of it.

    python tests/engines.py sizes            one image, loaded into each: recordings/engines.json
    python tests/engines.py live [ENGINE…]   the live tests on each: README.md, “Engines tried”

The engines are those of other_engines.py and the machine's own. Linux, root, a few minutes.
"""

import argparse
import gzip
import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from other_engines import OTHERS, running

from shiplight import builds, cleaning, engine, sizes
from shiplight.store import LayerStore

LAB = "engines"
HERE = "here"
SIZES = ROOT / "recordings" / "engines.json"


@contextmanager
def engine_named(name: str, *, keep: bool) -> Iterator:
    """A client of the machine's own engine, or of another while it runs."""
    if name == HERE:
        yield engine.connect()
    else:
        with running(OTHERS[name], keep=keep) as client:
            yield client


# --- sizes -----------------------------------------------------------------------------------


def record_sizes(names: list[str], *, keep: bool) -> None:
    """Ask every engine for the size of one image, and write that beside what it really holds."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "first.tar"
        tag = save_first(archive)
        rows = []
        for name in names:
            with engine_named(name, keep=keep) as client:
                rows.append(sizes_on(client, archive, tag))
            print(json.dumps(rows[-1]), flush=True)
    for measure in ("unpacked_bytes", "reclaimable_bytes"):
        if len({row[measure] for row in rows}) != 1:
            raise SystemExit(f"{measure} differ between engines")
    SIZES.parent.mkdir(exist_ok=True)
    SIZES.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def save_first(archive: Path) -> str:
    """Build apps/first on the machine's engine and save it, its layers packed; its name."""
    client = engine.connect()
    tag = builds.build(client, str(ROOT / "apps" / "first")).tag
    with engine.export_image(client, tag) as chunks, tempfile.TemporaryFile() as saved:
        saved.writelines(chunks)
        saved.seek(0)
        pack_layers(saved, archive)
    return tag


def pack_layers(saved, archive: Path) -> None:
    """Write a saved image once more, with its layers packed by gzip, as a registry keeps them."""
    with tarfile.open(fileobj=saved) as given, tarfile.open(archive, "w") as packed:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))

        [image] = json.load(given.extractfile("manifest.json"))
        add("config.json", given.extractfile(image["Config"]).read())
        layers = [f"{number}.tar.gz" for number in range(len(image["Layers"]))]
        for name, path in zip(layers, image["Layers"], strict=True):
            add(name, gzip.compress(given.extractfile(path).read(), compresslevel=6, mtime=0))
        described = {"Config": "config.json", "RepoTags": image["RepoTags"], "Layers": layers}
        add("manifest.json", json.dumps([described]).encode())


def sizes_on(client, archive: Path, tag: str) -> dict:
    """What this engine says of the image, and what is measured; nothing known before is used."""
    with open(archive, "rb") as file:
        client.images.load(file)
    inspected = client.api.inspect_image(tag)
    [listed] = [found for found in client.api.images() if found["Id"] == inspected["Id"]]
    with tempfile.TemporaryDirectory() as folder:
        image = sizes.measure(client, tag, store=LayerStore(folder))
    return {
        "engine": image.setting.engine,
        "store": image.setting.store,
        "inspect_bytes": inspected["Size"],
        "list_bytes": listed["Size"],
        "unpacked_bytes": image.unpacked_bytes,
        "packed_bytes": image.packed_bytes,
        "packed_is_estimate": image.packed_is_estimate,
        "reclaimable_bytes": image.reclaimable_bytes,
        "when": image.setting.when,
    }


def main() -> None:
    """Read the command line; afterwards nothing of this lab is left on the machine's engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["sizes"])
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=f"of {[HERE, *OTHERS]}")
    parser.add_argument("--keep", action="store_true", help="keep their data for the next time")
    asked = parser.parse_args()
    if unknown := set(asked.engines) - {HERE, *OTHERS}:
        parser.error(f"no such engine: {sorted(unknown)}; there are {[HERE, *OTHERS]}")
    os.environ |= {"LAB_ID": LAB, "SHIPLIGHT_PROGRESS": "off"}
    try:
        record_sizes(asked.engines or [HERE, *OTHERS], keep=asked.keep)
    finally:
        cleaning.clean(engine.connect())


if __name__ == "__main__":
    main()
