"""Rust on a real engine: file times, cache mounts, and the empty program that they can ship."""

import os
import shutil
import time
from pathlib import Path

import pytest

from shiplight import builds, catalogue
from shiplight.inspection import measure, probing

YEARS_AGO = 1_600_000_000  # September 2020, older than anything that is built here
SAYS = '"app": "shiplight"'


class Copy:
    """A copy of the app that can be edited, with cache mounts of its own that begin empty."""

    def __init__(self, client, variant: str, folder: Path):
        self.client, self.variant, self.folder = client, variant, folder
        self.namespace = f"rust-{variant}-{time.time_ns()}"
        shutil.copytree(catalogue.find(f"rust/{variant}").folder, folder)
        for path in folder.glob("src/*"):
            os.utime(path, (YEARS_AGO, YEARS_AGO))

    def edit(self, says: str, written: float | None = None) -> None:
        """Make the program say something else, in a file written now or at another time."""
        main = self.folder / "src/main.rs"
        original = (catalogue.find("rust/fixed").folder / "src/main.rs").read_text()
        assert SAYS in original
        main.write_text(original.replace(SAYS, f'"app": "{says}"') + f"// {time.time_ns()}\n")
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
    return lambda variant: Copy(client, variant, tmp_path / "app")


def program_bytes(client, tag: str) -> int:
    return measure(client, tag).tree()["server"][0].size


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


@pytest.mark.alone
def test_the_fixed_pattern_is_right_after_an_edit_back_and_an_edit_again(copied, not_on_podman):
    app = copied("fixed")
    app.edit("shiplight")  # as no test before: an engine may forget whose cache mounts a step used
    cold = app.build()
    assert app.answer() == "shiplight"
    app.edit("edited")
    warm = app.build()
    assert app.answer() == "edited"
    app.edit("shiplight", YEARS_AGO)
    assert app.answer() == "shiplight"
    app.edit("edited again", YEARS_AGO)
    assert app.answer() == "edited again"
    not_on_podman("has one cache mount of a name for all, so none begins empty")
    assert warm.seconds <= cold.seconds / 4, (warm, cold)


def test_the_static_program_has_all_that_it_needs_from_scratch_in_ten_megabytes(client):
    build = builds.build(client, "rust/static")
    image = measure(client, build.tag)
    assert image.unpacked_bytes <= 10_000_000, image
    assert image.user == "65532:65532" and len(image.layers) == 1
    assert not image.find("*/libc.so*") and not image.find("*.rs")
    check = probing.probe(client, build.tag).self_check
    assert all(value for value in check.values()), check
