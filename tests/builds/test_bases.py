"""Base images: their names, their kinds, and the Dockerfile that is sent."""

import shutil
from dataclasses import replace

import contracts
import pytest

from shiplight.builds import bases
from shiplight.builds.bases import Base
from shiplight.errors import UsageError


def test_an_unknown_kind_is_refused(monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "fancy")
    with pytest.raises(UsageError, match="equivalent"):
        bases.wanted_kind()


def test_a_set_of_bases_has_one_kind_or_is_mixed():
    official, equivalent = Base("a", "a", "official"), Base("b", "c", "equivalent")
    assert bases.kind_of([]) == "none"
    assert bases.kind_of([official, official]) == "official"
    assert bases.kind_of([official, equivalent]) == "mixed"


@pytest.mark.parametrize(
    ("name", "labels", "kind"),
    [
        ("shiplight/base/alpine:3.22", {"shiplight.bases": "official"}, "equivalent"),
        ("shiplight/lab/go:multi", {"shiplight.bases": "mirrored"}, "mirrored"),
        ("gcr.io/distroless/static-debian12", {}, "official"),
        ("golang:1.23@sha256:abc", {}, "official"),
        ("mirror.example/hub/library/busybox:latest", {}, "mirrored"),
        ("somebody/elses:1", {}, "unknown"),
    ],
)
def test_an_image_tells_the_kind_of_its_bases_by_label_or_by_name(name, labels, kind, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_MIRROR", "mirror.example/hub")
    assert bases.kind_of_image(name, labels) == kind


def test_every_recipe_stays_out_of_official_name_spaces():
    for recipe in bases.recipes().values():
        assert recipe.equivalent.startswith("shiplight/base/")
        assert set(recipe.needs) <= set(bases.recipes())
        assert (bases.FOLDER / recipe.recipe).is_dir()
        assert recipe.contract["paths"] and recipe.differs
        for download in recipe.downloads:
            assert len(download["sha256"]) == 64


def test_an_equivalent_for_another_platform_has_another_name_and_stands_on_others():
    known = bases.recipes()
    names = {recipe.equivalent for recipe in known.values()}
    for recipe in known.values():
        other = recipe.on("linux/arm64")
        assert other.equivalent not in names and bases.stands_in(other.equivalent)
        assert other.equivalent.endswith(recipe.equivalent.removeprefix("shiplight/base"))
        assert recipe.on(None) == recipe
        if "linux/arm64" in recipe.platforms:
            assert all("linux/arm64" in known[needed].platforms for needed in recipe.needs)


def test_a_contract_names_files_as_its_platform_does():
    golang, node = (bases.recipes()[name] for name in ("golang:1.23", "node:22-alpine"))
    assert contracts.contract(golang, "linux/amd64") == golang.contract
    go, found = (contracts.contract(one, "linux/arm64") for one in (golang, node))
    assert "/usr/local/go/pkg/tool/linux_arm64/link" in go["paths"]
    assert "/usr/local/go/src/runtime/race/race_linux_arm64.syso" in go["paths"]
    assert {"run": ["gcc", "-dumpmachine"], "prints": "aarch64-linux-gnu"} in go["commands"]
    assert "/usr/local/include/node/openssl/archs/linux-aarch64" in found["paths"]
    assert "/usr/local/include/node/openssl/archs/linux-x86_64" in found["absent"]
    assert "arm64" in [command["prints"] for command in found["commands"]]


def test_a_recipe_is_known_by_what_it_makes_and_by_its_bases(tmp_path, monkeypatch):
    """What is only said of an equivalent changes nothing in it."""
    recipe = bases.recipes()["golang:1.23"]
    known = bases.made_from(recipe)
    assert known == bases.made_from(replace(recipe, differs="x", contract={}, published={}))
    assert known != bases.made_from(replace(recipe, args={"X": "1"}))
    shutil.copytree(bases.FOLDER, tmp_path / "bases")
    monkeypatch.setattr(bases, "FOLDER", tmp_path / "bases")
    assert bases.made_from(recipe) == known
    for changed in ("golang", "buildpack-deps"):
        with open(tmp_path / "bases" / changed / "Dockerfile", "a", encoding="utf-8") as file:
            file.write("# another\n")
        assert bases.made_from(recipe) != known
        known = bases.made_from(recipe)
