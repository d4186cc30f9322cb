"""What a teacher prepares: slides without a network, the answer key, and catching up."""

import base64
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import nbformat
import pytest

from shiplight import classroom
from shiplight.classroom import catching_up, slides
from shiplight.cli import commands
from shiplight.errors import UsageError
from shiplight.lessons import exercises, needed_by, shelf
from shiplight.references import canonical
from shiplight.setup import ROOT

LESSONS = shelf.lessons()
GO = next(path for path in LESSONS if path.stem == "01-go")


@pytest.fixture
def reveal(tmp_path) -> Path:
    """A folder that has the files of reveal.js that a deck needs."""
    for name in slides.NEEDED:
        (tmp_path / "reveal" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "reveal" / name).write_text(f"/* {name} */")
    return tmp_path / "reveal"


def test_a_deck_is_made_of_the_lesson_and_loads_nothing_from_elsewhere(tmp_path, reveal):
    deck = classroom.write_slides(GO, tmp_path / "out", reveal=reveal)
    text = deck.path.read_text(encoding="utf-8")
    loaded = re.findall(r'<(?:script|link|img)[^>]*? (?:src|href)="([^"]{1,200})', text)
    inside = [one for one in loaded if not one.startswith("data:image/jpeg;base64,")]
    assert len(inside) < len(loaded) and len(inside) == 4
    for name in inside:
        assert (deck.path.parent / name).is_file(), name
    assert "What is left with two stages?" in text and deck.slides > 10
    assert "✓ The image contains exactly two files." in text.replace("</b>", "")


def test_exercises_guesses_to_type_and_clean_up_are_not_among_the_slides(tmp_path, reveal):
    deck = classroom.write_slides(GO, tmp_path / "out", reveal=reveal)
    words = re.sub("<[^>]+>", "", deck.path.read_text(encoding="utf-8"))
    assert "Your guess?" in words and "guess(" not in words
    assert "clean_up(" not in words and "Exercise 01.2" not in words and "In practice" in words
    apart = re.sub("<[^>]+>", "", deck.exercises.read_text(encoding="utf-8"))
    assert "Exercise 01.2" in apart and "What is left with two stages?" not in apart


def test_every_lesson_becomes_a_deck_with_a_slide_for_each_heading(tmp_path, reveal):
    for lesson in LESSONS:
        text = classroom.write_slides(lesson, tmp_path, reveal=reveal).path.read_text("utf-8")
        cells = nbformat.read(lesson, as_version=4).cells
        texts = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        headings = re.findall("^## .+", texts, re.MULTILINE)
        in_deck = [one for one in headings if not one.startswith(slides.EXERCISES)]
        assert len(re.findall("<h2[ >]", text)) == len(in_deck) < text.count("<section"), (
            lesson.stem
        )


def test_a_folder_that_is_not_reveal_js_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"it has no dist/reveal\.js"):
        classroom.write_slides(GO, tmp_path, reveal=tmp_path)


def packed(**contents: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, text in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("package/dist/link.js")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return file.getvalue()


def test_a_package_of_another_digest_is_not_unpacked(tmp_path):
    with pytest.raises(UsageError, match="its digest is another one"):
        slides.unpack(packed(**{"package/dist/reveal.js": "x"}), tmp_path / "reveal")
    assert not list(tmp_path.iterdir())


def test_of_a_package_only_files_of_a_deck_are_unpacked_and_none_outside(tmp_path):
    names = ["package/dist/reveal.js", "package/dist/../../../out.js", "package/js/index.js"]
    archive = packed(**dict.fromkeys(names, "x"))
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    slides.unpack(archive, tmp_path / "reveal", sha512=digest)
    found = [
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    ]
    assert found == ["reveal/dist/reveal.js"]


def test_without_npm_a_copy_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("shiplight.engine.journal.path", tmp_path.joinpath)
    monkeypatch.setenv("LAB_CACHES", "")
    monkeypatch.setattr(slides.shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="neither is npm"):
        slides.reveal_folder()


def test_the_answer_key_has_every_right_answer_and_every_hint(capsys):
    assert commands.main(["solutions", "--all"]) == 0
    text = capsys.readouterr().out
    for found in exercises.every():
        assert f"## {found.id} ({found.level})" in text and all(
            hint in text for hint in found.hints
        )
        for path in found.solutions():
            assert path.read_text(encoding="utf-8").rstrip("\n") in text


def test_the_answers_of_one_exercise_are_printed_alone_and_none_without_asking(capsys):
    assert commands.main(["solutions", "01.1"]) == 0
    assert re.findall(r"^## (\S+)", capsys.readouterr().out, re.MULTILINE) == ["01.1"]
    assert commands.main(["solutions"]) == 1 and commands.main(["solutions", "99.9"]) == 1
    said = capsys.readouterr().err
    assert "solutions takes exercises, or --all" in said and "no exercise '99.9'" in said


def test_catching_up_builds_what_lessons_before_build_and_gets_the_bases_of_this_one(monkeypatch):
    built, provided = [], []
    monkeypatch.setattr(catching_up, "build", lambda client, what: built.append(what))
    monkeypatch.setattr(catching_up, "provide", lambda client, wanted: provided.extend(wanted))
    python = next(path for path in LESSONS if path.stem == "03-python")
    classroom.catch_up(None, python)
    assert built[:3] == ["go/single", "go/multi", "go/hardened"] and "node/multi" in built
    assert not [name for name in built if name.startswith(("python", "rust"))]
    assert "python:3.13-slim" in provided and "golang:1.23" not in provided
    before = classroom.missed_before(python)
    assert [one.lesson for one in before] == ["00-first", "01-go", "02-node"]


def test_catching_up_tells_what_the_lessons_before_prove(capsys):
    assert commands.main(["catch-up", "02", "--tell-only"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "✓ The image contains exactly two files." in said and "○ open: 01.1" in said
    assert "Next" not in said and "Node" not in said
    assert commands.main(["catch-up", "00", "--tell-only"]) == 0
    assert capsys.readouterr().out == "No lesson comes before it.\n"


def used(said) -> set[str]:
    """The official names of all bases that builds in a recording were based on."""
    found = set()
    if isinstance(said, dict):
        if isinstance(said.get("bases"), dict):
            found |= set(map(canonical, said["bases"]))
        for one in said.values():
            found |= used(one)
    elif isinstance(said, list):
        for one in said:
            found |= used(one)
    return found


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_needs_every_base_that_its_recorded_run_used(lesson):
    recording = ROOT / "recordings" / "equivalent" / f"{lesson.stem}.json"
    said = json.loads(recording.read_text(encoding="utf-8"))
    assert used(said) <= set(needed_by(lesson).bases) and needed_by(lesson).bases


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_scans_if_its_recorded_run_did(lesson):
    recording = ROOT / "recordings" / "equivalent" / f"{lesson.stem}.json"
    results = json.loads(recording.read_text(encoding="utf-8"))["results"]
    called = {one["call"].split()[0] for one in results}
    assert needed_by(lesson).scans == bool(called & {"prepare", "_scanned"})


def test_the_bases_that_lesson_05_tries_and_the_variants_of_the_scoreboard_are_needed():
    by_name = {path.stem[:2]: path for path in LESSONS}
    tried = needed_by(by_name["05"]).bases
    assert {"alpine:3.22", "debian:bookworm", "rust:1.82"} <= set(tried)
    assert {"rust/static", "node/multi"} <= set(needed_by(by_name["09"]).variants)
