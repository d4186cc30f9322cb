"""Every exercise is tried on its solution, and on wrong answers that each meet their own hint."""

import re
from pathlib import Path

import pytest

from shiplight import builds, lessons
from shiplight.errors import CheckFailed, ScannerMissing, UsageError
from shiplight.lessons import exercises
from shiplight.scans import trivy
from shiplight.setup import ROOT

ANSWERS = ROOT / "tests" / "exercises"
APPS = {
    "00": str(ROOT / "apps" / "first"),
    "01": "go/multi",
    "02": "node/multi",
    "03": "python/multi",
    "04": "rust/fixed",
    "05": "go/multi",
    "06": "go/multi",
    "07": "go/multi",
}


def answer(client, path: Path):
    """What the answer in this file builds; in lesson 08, the file itself, beside its app."""
    if path.name.startswith("08"):
        mine = lessons.copy_of("go") / "Dockerfile.mine"
        mine.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        return mine
    if path.name.startswith("07"):
        try:
            trivy.provide(client)
        except ScannerMissing as error:
            pytest.skip(error.message)
    app = APPS[path.name[:2]]
    name = f"answer/{path.stem.replace('.', '-')}"
    return builds.build(client, app, text=path.read_text(encoding="utf-8"), name=name)


@pytest.mark.parametrize("path", sorted(ANSWERS.glob("*-solution*")), ids=lambda path: path.stem)
def test_a_solution_passes(client, path, capsys):
    exercises.check(client, path.name[:4], answer(client, path))
    assert "is solved" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted(ANSWERS.glob("*-wrong-*")), ids=lambda path: path.stem)
def test_a_wrong_answer_meets_its_own_hint(client, path):
    expected = re.match("# hint: (.+)", path.read_text(encoding="utf-8"))[1]
    with pytest.raises(CheckFailed) as failed:
        exercises.check(client, path.name[:4], answer(client, path))
    assert re.search(expected, failed.value.hint), failed.value


def test_every_exercise_has_a_solution_and_two_wrong_answers():
    for found in exercises.every():
        answers = [path.name for path in ANSWERS.glob(f"{found.id}-*")]
        assert any("-solution" in name for name in answers), found.id
        assert sum("-wrong-" in name for name in answers) >= 2, found.id


def test_what_is_not_built_yet_is_open_and_an_unknown_id_is_named(capsys):
    exercises.check(None, "01.1", None)
    assert "01.1 is open" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"no exercise 99\.1"):
        exercises.check(None, "99.1", None)
