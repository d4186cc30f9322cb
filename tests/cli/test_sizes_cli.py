"""`./lab measure` on archives that somebody else sent: a clear error, and nothing written."""

import json
import random

import factories
import pytest
from command import lab
from factories import file

GOOD = factories.legacy(factories.Image([[file("a", 1000)]]))


def measured(path, *words):
    return lab("measure", str(path), *words)


def test_an_archive_is_measured_without_any_engine(tmp_path):
    path = tmp_path / "good.tar"
    path.write_bytes(GOOD)
    done = lab("measure", str(path), "--json", DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode == 0 and json.loads(done.stdout)["unpacked_bytes"] == 1000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD[: len(GOOD) // 2],
        random.Random(1).randbytes(5000),
        b"\x1f\x8b\x08" + random.Random(2).randbytes(500),
        factories.legacy(factories.Image([[file("../../evil", 10)]]))[:-3000],
        b"FROM scratch\n",
    ],
    ids=["empty", "truncated", "random", "not really gzip", "cut short", "a Dockerfile"],
)
def test_what_is_no_whole_image_archive_is_refused_in_words(tmp_path, data):
    path = tmp_path / "bad.tar"
    path.write_bytes(data)
    before = set(tmp_path.parent.rglob("*"))
    done = measured(path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("lab: ") and "Try:" in done.stderr
    assert set(tmp_path.parent.rglob("*")) == before


def test_names_that_climb_out_are_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "climbs.tar"
    path.write_bytes(factories.legacy(factories.Image([[file("../../evil", 10)]])))
    done = measured(path)
    assert done.returncode == 1 and "leads outside" in done.stderr
    assert (
        not (tmp_path.parent / "evil").exists() and not (tmp_path.parent.parent / "evil").exists()
    )
