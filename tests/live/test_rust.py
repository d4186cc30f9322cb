"""Rust on a real engine: file times, cache mounts, and the dummy program that they can ship."""

import os
import time
import tomllib
from pathlib import Path

import pytest
import variants

from shiplight import builds, catalogue
from shiplight.inspection import measure, probing

YEARS_AGO = 1_600_000_000  # September 2020, older than anything that is built here
APP = catalogue.find("rust/fixed").folder

# What cargo does with file times, it does with any program: this one has one dependency, which
# takes cargo longer than the program itself, and is built by the Dockerfiles of the app.
PACKAGE = """[package]
name = "server"
version = "1.0.0"
edition = "2021"

[dependencies]
serde_json = { version = "1", default-features = false, features = ["std"] }
"""
MAIN = """use std::io::{Read, Write};

static TABLE: [u8; 1 << 20] = [7; 1 << 20]; // so that it is plainly more than an empty program

fn main() -> std::io::Result<()> {
    let table = std::hint::black_box(&TABLE).len();
    let body = serde_json::json!({"app": "SAYS", "table": table}).to_string();
    let length = body.len();
    for stream in std::net::TcpListener::bind("0.0.0.0:8080")?.incoming() {
        let mut stream = stream?;
        let _ = stream.read(&mut [0; 4096]);
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\\r\\nContent-Length: {length}\\r\\n\\r\\n{body}"
        );
    }
    Ok(())
}
"""


def locked(name: str) -> str:
    """The Cargo.lock of a package that needs one of the app's packages, out of the app's own."""
    whole = (APP / "Cargo.lock").read_text(encoding="utf-8")
    known = tomllib.loads(whole)["package"]
    every, needed = {package["name"]: package for package in known}, [name]
    every["serde"]["dependencies"].remove("serde_derive")  # a feature that only the app asks for
    for one in needed:
        needed += [other for other in every[one].get("dependencies", ()) if other not in needed]
    own = {"name": "server", "version": "1.0.0", "dependencies": [name]}
    text = whole.partition("\n[[package]]")[0]
    for package in sorted([own, *(every[one] for one in needed)], key=lambda one: one["name"]):
        text += "\n[[package]]\n"
        for key in ("name", "version", "source", "checksum"):
            text += f'{key} = "{package[key]}"\n' if key in package else ""
        if "dependencies" in package:
            text += "dependencies = [\n"
            text += "".join(f' "{other}",\n' for other in package["dependencies"]) + "]\n"
    return text


class Small:
    """A small service that can be edited, with cache mounts of its own that begin empty."""

    def __init__(self, client, variant: str, folder: Path):
        self.client, self.variant, self.folder = client, variant, folder
        self.namespace = f"rust-{variant}-{time.time_ns()}"
        (folder / "src").mkdir(parents=True)
        (folder / "Cargo.toml").write_text(PACKAGE)
        (folder / "Cargo.lock").write_text(locked("serde_json"))
        file = f"Dockerfile.{variant}"
        (folder / file).write_text((APP / file).read_text(encoding="utf-8"))
        self.edit("shiplight", YEARS_AGO)

    def edit(self, says: str, written: float | None = None) -> None:
        """Make the program say something else, in a file written now or at another time."""
        main = self.folder / "src/main.rs"
        main.write_text(MAIN.replace("SAYS", says) + f"// {time.time_ns()}\n")
        os.utime(main, (written or time.time(),) * 2)

    def build(self) -> builds.Build:
        return builds.build(
            self.client,
            str(self.folder),
            file=f"Dockerfile.{self.variant}",
            name=f"rust-copy/{self.variant}",
            cache_namespace=self.namespace,
        )

    def answer(self) -> str | None:
        """What the image that is built now says that it is; None where it never answers."""
        said = probing.answer_of(self.client, self.build().tag)
        return said and said["app"]


@pytest.fixture
def copied(client, tmp_path):
    return lambda variant: Small(client, variant, tmp_path / "app")


def compiled(build: builds.Build) -> set[str]:
    """The packages that cargo compiled in a build, by name."""
    lines = (line.split() for step in build.steps for line in step.log)
    return {words[1] for words in lines if words[:1] == ["Compiling"]}


def program_bytes(client, tag: str) -> int:
    return measure(client, tag).tree()["server"][0].size


@pytest.mark.parametrize("row", variants.LAST, ids=lambda row: row.name)
def test_every_variant_gives_the_probe_that_its_row_expects(client, row):
    variants.gives_what_its_row_expects(client, row)


def test_the_cached_pattern_ships_the_empty_program_and_later_a_stale_one(client, copied):
    app = copied("cached")
    build = app.build()
    probe = probing.probe(client, build.tag)
    assert (probe.answered, probe.exit_code, probe.last_words) == (False, 0, ()), probe
    empty = program_bytes(client, build.tag)
    app.edit("edited")
    assert app.answer() == "edited", "younger than the empty program, so it is compiled"
    assert 2 * empty < program_bytes(client, build.tag)
    app.edit("shiplight", YEARS_AGO)
    assert app.answer() == "edited", "older than the last build, so cargo sees no change"


def test_the_fixed_pattern_is_right_after_an_edit_back_and_an_edit_again(copied, not_on_podman):
    app = copied("fixed")
    app.edit("shiplight")  # as no test before: an engine may forget whose cache mounts a step used
    cold = compiled(app.build())
    assert app.answer() == "shiplight"
    app.edit("edited")
    warm = compiled(app.build())
    assert app.answer() == "edited"
    app.edit("shiplight", YEARS_AGO)
    assert app.answer() == "shiplight"
    app.edit("edited again", YEARS_AGO)
    assert app.answer() == "edited again"
    not_on_podman("has one cache mount of a name for all, so none begins empty")
    assert {"serde_json", "server"} <= cold and warm == {"server"}, (cold, warm)


def test_the_static_program_has_all_that_it_needs_from_scratch_in_ten_megabytes(client):
    build = builds.build(client, "rust/static")
    image = measure(client, build.tag)
    assert image.unpacked_bytes <= 10_000_000, image
    assert image.user == "65532:65532" and len(image.layers) == 1
    assert not image.find("*/libc.so*") and not image.find("*.rs")
    check = probing.probe(client, build.tag).self_check
    assert all(value for value in check.values()), check
