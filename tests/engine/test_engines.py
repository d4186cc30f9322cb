"""What every engine once answered and saved, read without one: steps and bytes are the same."""

import json
import lzma
import re
from xml.etree import ElementTree

import arm64
import pytest
from engines import NOT_OURS, TABLE, TABLES, held, pack_layers, with_table
from other_engines import OTHERS
from replay import FIXTURES, engine_of, recorded

from shiplight import builds, engine
from shiplight.errors import BuildFailed
from shiplight.image import read_image
from shiplight.references import canonical
from shiplight.setup import ROOT

SMALL = FIXTURES / "small"
HERE = (r"/images/.*/json", {"Id": "sha256:1", "RootFS": {"Layers": []}, "Config": {}})
ENGINES = sorted(path.name.split("-small")[0][8:] for path in FIXTURES.glob("archive-*"))
every_engine = pytest.mark.parametrize("name", ENGINES)


def replay(name: str, tmp_path, monkeypatch) -> builds.Build:
    """The build of fixtures/small by an engine that answers as that one did."""
    monkeypatch.setenv("SHIPLIGHT_BASES", "equivalent")
    with engine_of(tmp_path, (r"/build", recorded(f"answer-{name}")), HERE) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        return builds.build(engine.connect(), str(SMALL))


def saved(name: str):
    with lzma.open(FIXTURES / f"archive-{name}-small.tar.xz") as file:
        return read_image(file)


def test_every_engine_that_is_tried_has_its_fixtures():
    assert set(ENGINES) == {"20.10", "29.7-containerd", *OTHERS}  # no package has 29 yet


def test_the_table_of_engines_is_of_the_recorded_results():
    text = TABLE.read_text(encoding="utf-8")
    for mark in (mark for marks in TABLES.values() for mark in marks):
        assert text.count(mark) == 1
    assert with_table(text) == text


def test_what_was_not_reached_for_arm64_is_an_empty_cell_and_says_why(tmp_path, monkeypatch):
    about = {"engine": "Docker 1", "store": "graph driver x", "emulator": "QEMU 1"}
    about |= {"when": "2026-01-02T03:04:05+00:00"}
    whole = about | {"seconds": 61.04, "unpacked_bytes": 7_000_000, "platform": "linux/arm64"}
    unlike = {"files": ["/x"], "commands": []}
    asked = {"programs": {"arm64": 2}, "answered": True, "seconds_to_answer": 0.5}
    tried = {
        "bases": {"busybox": whole | {"unlike": {"files": []}}, "b": whole | {"unlike": unlike}},
        "variants": {
            "go/multi": whole | asked | {"unlike": {"exit_code": [0, 2]}},
            "node/multi": about | {"failed": "npm could not"},
            arm64.CROSSED: whole | {"programs": {"amd64": 1}, "said": "x"},
        },
    }
    monkeypatch.setattr(arm64, "TRIED", tmp_path / "tried.json")
    arm64.TRIED.write_text(json.dumps(tried))
    assert arm64.table()[2:] == [
        "| `busybox` | 61.0 s | 7.00 MB | nothing |",
        "| `b` | 61.0 s | 7.00 MB | `/x` |",
        "",
        "| variant | built in | unpacked | programs | `/healthz` |",
        "|---|---|---|---|---|",
        "| go/multi | 61.0 s | 7.00 MB | 2 for arm64 | after 500 ms |",
        "| node/multi |  |  |  |  |",
        "| python/slimmest |  |  |  |  |",
        "| rust/static |  |  |  |  |",
        "| platforms/cross-rust | 61.0 s | 7.00 MB | 1 for amd64 |  |",
        "",
        "Emulated on Docker 1, graph driver x, by QEMU 1 (2026-01-02).",
        "",
        "What failed or was different:",
        "",
        "- node/multi: npm could not",
        "- python/slimmest: not tried yet",
        "- rust/static: not tried yet",
        "- go/multi: `exit_code` is 2, and 0 on amd64",
        "- platforms/cross-rust: compiled for amd64 by a builder for arm64; on amd64, it said `x`",
    ]


def test_a_recipe_names_arm64_only_if_it_was_assembled_for_it():
    named = {k for k, one in builds.recipes().items() if "linux/arm64" in one.platforms}
    held = arm64.tried()["bases"]
    assert named == {canonical(one) for one in held}
    assert {row["platform"] for row in held.values()} == {"linux/arm64"}
    assert not [one for row in held.values() for found in row["unlike"].values() for one in found]


def test_what_a_base_is_based_on_is_assembled_before_it():
    names = [one.equivalent for one in arm64.recipes_of(arm64.bases_of("go/multi"))]
    last = ["buildpack-deps:bookworm-scm", "golang:1.23"]
    assert names == [f"shiplight/base/arm64/{one}" for one in ["debian:bookworm-slim", *last]]


def test_only_the_claims_of_cells_that_passed_held(tmp_path):
    sources = [
        "x = 1",
        'claim(\n    "a", x == 1)',
        'if x:\n    claim("b", True)\nheld_against("c", 2)',
        'claim("d", True)',
        'claim("e", True)',
    ]
    code = [{"cell_type": "code", "source": [source]} for source in sources]
    lesson = tmp_path / "00-x.ipynb"
    lesson.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": []}, *code]}))
    cases = "".join(
        f'<testcase name="Cell {number}">{said}</testcase>'
        for number, said in enumerate(["", "", "<failure/>", "<skipped/>"])
    )
    report = ElementTree.ElementTree(ElementTree.fromstring(f"<x>{cases}</x>"))
    assert held(lesson, report) == {"claims": 5, "held": 1, "other_cells": [2, 3, 4]}


@every_engine
def test_the_same_steps_come_in_the_same_stages_with_their_lines(name, tmp_path, monkeypatch):
    build = replay(f"{name}-small", tmp_path, monkeypatch)
    steps = {step.name.partition("]")[0]: step for step in build.numbered_steps}
    assert {place: (step.stage, step.line) for place, step in steps.items()} == {
        "[build 1/5": ("build", 2),
        "[build 2/5": ("build", 3),
        "[build 3/5": ("build", 4),
        "[build 4/5": ("build", 5),
        "[build 5/5": ("build", 8),
        "[stage-1 1/3": ("stage-1", 12),
        "[stage-1 2/3": ("stage-1", 13),
        "[stage-1 3/3": ("stage-1", 14),
    }
    texts = [steps[f"[build {number}/5"].instruction for number in range(1, 6)]
    assert re.match(r"FROM (docker\.io/)?shiplight/base/busybox:latest(@sha256:\w+)?$", texts[0])
    assert texts[1] == "WORKDIR /made" and texts[3] == "COPY word ."
    assert texts[4].startswith("RUN echo begun")


@every_engine
def test_what_came_from_the_cache_is_known_and_so_is_what_ran(name, tmp_path, monkeypatch):
    build = replay(f"{name}-small", tmp_path, monkeypatch)
    states = [step.state for step in build.numbered_steps if step.stage == "build"][1:]
    assert states == ["cached", "cached", "cached", "done"]
    [ran] = [step for step in build.numbered_steps if "echo begun" in step.instruction]
    assert ran.log[0].startswith("begun 1") and ran.seconds >= 0


@every_engine
def test_a_failure_is_blamed_on_its_step_and_line(name, tmp_path, monkeypatch):
    with pytest.raises(BuildFailed, match="last words") as failed:
        replay(f"{name}-small-failed", tmp_path, monkeypatch)
    assert failed.value.line == 8 and "exited with 7" in str(failed.value)
    assert failed.value.step.name.startswith("[build 5/5] RUN echo begun")


@every_engine
def test_a_saved_image_has_the_same_bytes_whoever_built_and_saved_it(name):
    image = saved(name)
    assert [layer.unpacked_bytes for layer in image.layers] == [100_015, 4, 0]
    assert [layer.reclaimable_bytes for layer in image.layers] == [11, 0, 0]
    assert (image.unpacked_bytes, image.reclaimable_bytes) == (100_019, 11)
    files = {path: entry.size for path, (entry, _) in image.tree().items() if entry.size}
    assert files.pop("hard", 0) + files.pop("large", 0) == 100_000, "one file with two names"
    assert files == {"loud": 4, "word": 4}


@every_engine
def test_layers_are_packed_on_a_containerd_store_and_estimated_elsewhere(name):
    image = saved(name)
    assert image.packed_is_estimate == ("containerd" not in name)
    estimate = saved("20.10").packed_bytes
    assert image.packed_bytes == pytest.approx(estimate, rel=0.15)


@pytest.mark.parametrize("name", ["28.5", "29.7-containerd"])
def test_a_saved_image_is_packed_once_wherever_it_was_saved(name, tmp_path):
    with lzma.open(FIXTURES / f"archive-{name}-small.tar.xz") as file:
        pack_layers(file, tmp_path / "packed.tar")
    with open(tmp_path / "packed.tar", "rb") as file:
        packed = read_image(file)
    assert [layer.unpacked_bytes for layer in packed.layers] == [100_015, 4, 0]
    assert not packed.packed_is_estimate


def test_what_is_not_tried_on_other_engines_is_there_to_be_left_out():
    assert all((ROOT / option.partition("=")[2]).is_file() for option in NOT_OURS)
