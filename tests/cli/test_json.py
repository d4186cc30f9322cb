"""docs/json.md and what commands print: the fields described are those that are there."""

import re

import pytest
import results
from factories import file

from shiplight.builds import Build
from shiplight.checks import read_subject, run
from shiplight.checks.questions.outcomes import Place
from shiplight.checks.questions.weighing import Row, Weight
from shiplight.cli import report
from shiplight.errors import ScannerMissing
from shiplight.image import compare
from shiplight.inspection import keep_to
from shiplight.lessons import Progress
from shiplight.scans import findings, judge
from shiplight.setup import ROOT

DOC = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
IMAGE = results.image([file("server", 1000)])
BUILD = Build(
    app="go", variant="multi", tag="shiplight/lab1/go:multi", engine_id="sha256:1", seconds=1.0,
    steps=(), bases={}, setting=results.SETTING,
)  # fmt: skip
UNSCANNED = findings.unknown("x", ScannerMissing("there is none"))
PRINTED = {
    "measure X": lambda: report.image_to_dict(IMAGE, keep_to(IMAGE)),
    "measure A B": compare(IMAGE, IMAGE).to_dict,
    "build APP": lambda: report.build_to_dict(BUILD, IMAGE),
    "scan X": lambda: report.scan_to_dict(UNSCANNED, judge(UNSCANNED)),
    "check PATH": lambda: run(read_subject(ROOT / "apps/go/Dockerfile.single")).to_list()[0],
}


@pytest.mark.parametrize("command", PRINTED)
def test_the_fields_of_a_command_are_those_that_are_described(command):
    section = DOC.partition(f"## `./lab {command} --json`")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(PRINTED[command]()), "each once"


def test_the_fields_of_a_budget_are_described():
    [line] = [line for line in DOC.splitlines() if line.startswith("| `budget` |")]
    assert all(f"`{field}`" in line for field in keep_to(IMAGE).to_dict())


def test_the_fields_of_a_verdict_are_described():
    [line] = [line for line in DOC.splitlines() if line.startswith("| `verdict` |")]
    assert all(f"`{field}`" in line for field in judge(UNSCANNED).to_dict())


def test_the_fields_of_what_can_go_are_described():
    [line] = [line for line in DOC.splitlines() if line.startswith("| `image` | `null`")]
    found = Weight(1, 0, (), (), ())
    assert all(f"`{field}`" in line for field in found.to_dict("Dockerfile"))
    row = Row("cache", Place("x"), 1, "y").to_dict("Dockerfile")
    described = DOC.partition("## `./lab check PATH")[2]
    assert all(f"`{field}`" in described for field in row)


def test_every_check_is_described_in_its_order():
    listed = DOC.partition("always in this order: ")[2].partition(".\n")[0]
    found = run(read_subject(ROOT / "apps/go/Dockerfile.single")).to_list()
    assert [name.strip("`") for name in listed.split(", ")] == [one["id"] for one in found]


def test_the_fields_of_a_build_and_of_progress_are_described():
    for name in BUILD.to_dict().keys() - {"app", "variant", "setting"}:
        assert f"`{name}`" in DOC.partition("`./lab build APP --json`")[2].partition("\n## ")[0]
    [line] = [line for line in DOC.splitlines() if line.startswith("- `./lab progress --json`")]
    progress = Progress().to_dict()
    for name in [*progress, *progress["exercises"][0]]:
        assert f"`{name}`" in line, name
