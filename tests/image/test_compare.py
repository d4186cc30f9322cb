"""How two images differ: files, packages that paths name, and layers."""

import json
from dataclasses import replace

import factories
import pytest
from command import lab
from factories import directory, file, symlink, whiteout
from results import SETTING, image, texts, title_of

from shiplight.charts import compare_charts
from shiplight.image import CHANGED, FIRST, SAME, SECOND
from shiplight.image.comparing import compare, packages
from shiplight.setup import ROOT

BASE = [directory("etc"), file("etc/hosts", 30), file("bin/sh", 1000, mode=0o755)]
ONE = image(BASE, [file("app/main", 500), file("app/old", 70)], name="shiplight/lab1/go:one")
TWO = image(
    BASE,
    [file("app/main", b"x" * 500), file("app/new", 9), whiteout("etc/hosts")],
    name="shiplight/lab1/go:two",
)
FOUND = compare(ONE, TWO)


def where(found) -> dict[str, str]:
    return {each.path: each.where for each in found.files}


def test_files_are_in_one_image_in_the_other_or_changed():
    expected = {"app/main": CHANGED, "app/old": FIRST, "app/new": SECOND, "etc/hosts": FIRST}
    assert where(FOUND) == expected
    assert [each.path for each in FOUND.files] == ["app/main", "app/old", "etc/hosts", "app/new"]
    assert (FOUND.same_files, FOUND.same_bytes) == (1, 1000)
    assert [FOUND.count(place) for place in (FIRST, SECOND, CHANGED, SAME)] == [2, 1, 1, 1]
    assert [FOUND.bytes(place) for place in (FIRST, SECOND, CHANGED, SAME)] == [100, 9, 500, 1000]


def test_a_layer_that_both_have_counts_once():
    rows = [(layer.where, layer.unpacked_bytes) for layer in FOUND.layers]
    assert rows == [(SAME, 1030), (FIRST, 570), (SECOND, 509)]
    assert FOUND.shared_bytes == 1030


@pytest.mark.parametrize(
    "other",
    [file("a", 10, mode=0o600), file("a", b"0123456789"), symlink("a", "b")],
    ids=["mode", "content", "kind"],
)
def test_a_change_of_any_kind_is_a_change(other):
    assert where(compare(image([file("a", 10)]), image([other]))) == {"a": CHANGED}


def test_an_image_does_not_differ_from_itself_and_swapping_turns_it_around():
    same = compare(ONE, ONE)
    assert not same.files and not same.packages and same.shared_bytes == ONE.unpacked_bytes
    back = compare(TWO, ONE)
    swapped = {FIRST: SECOND, SECOND: FIRST, CHANGED: CHANGED}
    assert where(back) == {path: swapped[place] for path, place in where(FOUND).items()}


PATHS = {
    "var/lib/dpkg/info/libc6:amd64.list": ("debian", "libc6", ""),
    "var/lib/dpkg/info/libc6:amd64.md5sums": None,
    "var/lib/dpkg/status.d/tzdata": ("debian", "tzdata", ""),
    "var/lib/dpkg/status.d/tzdata.md5sums": ("debian", "tzdata", ""),
    "app/node_modules/@types/node/package.json": ("npm", "@types/node", ""),
    "app/node_modules/a/node_modules/b/package.json": ("npm", "b", ""),
    "app/node_modules/a/lib/package.json": None,
    "usr/lib/python3/dist-packages/pip-23.0.dist-info/METADATA": ("python", "pip", "23.0"),
    "go/pkg/mod/cache/download/golang.org/x/sys/@v/v0.1.0.zip": (
        "go",
        "golang.org/x/sys",
        "v0.1.0",
    ),
    "usr/local/cargo/registry/src/index-1/serde-json-1.0.2/Cargo.toml": (
        "rust",
        "serde-json",
        "1.0.2",
    ),
}


@pytest.mark.parametrize("path", PATHS)
def test_a_path_names_a_package(path):
    found = [
        (kind, name, version) for (kind, name), version in packages(image([file(path)])).items()
    ]
    assert found == ([PATHS[path]] if PATHS[path] else [])


def test_packages_come_go_and_change_their_version():
    def installed(*names):
        folder = "app/lib/python3/site-packages"
        return image([file(f"{folder}/{name}.dist-info/METADATA", 5) for name in names])

    found = compare(installed("a-1", "b-1", "c-1"), installed("b-2", "c-1", "d-1"))
    assert [(p.name, p.where, p.first_version, p.second_version) for p in found.packages] == [
        ("a", FIRST, "1", None), ("b", CHANGED, "1", "2"), ("d", SECOND, None, "1"),
    ]  # fmt: skip
    assert found.same_packages == 1


def test_a_package_manager_whose_names_no_path_tells_is_named():
    assert compare(image([file("lib/apk/db/installed", 5)]), ONE).unread == ("apk",)
    assert FOUND.unread == ()


def test_a_comparison_is_json_and_says_what_the_documentation_says():
    saved = json.loads(json.dumps(FOUND.to_dict()))
    assert saved["files"][1] == {
        "path": "app/old", "where": FIRST, "first_bytes": 70, "second_bytes": None,
    }  # fmt: skip
    assert saved["shared_bytes"] == 1030 and saved["setting"]["engine"] == SETTING.engine
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    assert all(f"`{field}`" in text for field in saved)


def test_the_charts_and_tables_say_the_same_numbers():
    table = compare_charts.files(FOUND)
    assert dict(zip(table["where"], table["unpacked_bytes"], strict=True)) == {
        "only in go/one": 100, "only in go/two": 9, "changed": 500, "in both": 1000,
    }  # fmt: skip
    assert title_of(compare_charts.differences(FOUND)).startswith("6 % of the bytes in go/one")
    named = compare(ONE, TWO, names=("before", "after"))
    assert "only in before: 2 files" in texts(compare_charts.differences(named))
    assert "only in after: 1 file" in texts(compare_charts.differences(named))
    figure = compare_charts.instructions(FOUND)
    assert "go/one and go/two share 1.03 kB in layers; they add 570 B" in title_of(figure)
    assert "go/two · RUN step 1" in texts(figure)
    assert list(compare_charts.largest(FOUND, 2)["path"]) == ["/app/main", "/app/old"]
    assert compare_charts.packages(FOUND).empty and len(compare_charts.layers(FOUND)) == 3


def test_images_without_a_file_are_drawn_too():
    empty = image([directory("a")], name="empty")
    found = compare(empty, replace(empty, setting=None))
    assert "0 %" in title_of(compare_charts.differences(found)) or "—" in title_of(
        compare_charts.differences(found)
    )
    compare_charts.instructions(found)


def test_two_archives_are_compared_without_any_engine(tmp_path):
    for name, size in (("a", 1000), ("b", 1500)):
        made = factories.Image([[file("same", 5)], [file(name, size)]])
        (tmp_path / f"{name}.tar").write_bytes(factories.legacy(made))
    paths = [str(tmp_path / "a.tar"), str(tmp_path / "b.tar")]
    done = lab("measure", *paths, "--json", DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {each["path"]: each["where"] for each in found["files"]} == {"a": FIRST, "b": SECOND}
    assert found["same_files"] == 1 and found["shared_bytes"] == 5
    shown = lab("measure", *paths, DOCKER_HOST="unix:///nowhere.sock")
    assert shown.returncode == 0 and "only in" in shown.stdout and "1.50 kB" in shown.stdout
