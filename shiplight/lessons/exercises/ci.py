"""The checks of lesson 12: what an edit leaves in the cache, and tests that gate the image."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ... import engine
from ...builds import Build, build
from ...catalogue import APPS
from ...engine import journal
from ...errors import BuildFailed
from ...inspection import search
from .grading import exercise, last_line, printed, refuse

SAID, TEST = "1.5 MB to move", "TestReport"  # what the program prints; the name of its test


@exercise("12.1")
def _packages_stay_cached(client, made: Build) -> str:
    _refuse_other_words(client, "12.1", made)
    with _copy() as folder:
        for _ in range(2):  # what the first one has to install, the second one finds
            source = folder / "src" / "report.py"
            source.write_text(f"{source.read_text(encoding='utf-8')}\n# {uuid.uuid4()}\n")
            ran = _ran(client, made, folder)
            again = [run for run in ran if run.startswith("RUN ") and "pip" in run]
            if not again:
                break
    if again:
        refuse(
            "12.1",
            "after an edit of the source, the packages are installed again.",
            hint="which files does the installation's step depend on, besides the lock file?",
            found=again[0].splitlines()[0],
            expected="that step comes from the cache",
        )
    return f"after an edit, {len(ran)} steps ran, and none of them installs packages"


@exercise("12.2")
def _tests_gate_the_image(client, made: Build) -> str:
    _refuse_other_words(client, "12.2", made)
    if shipped := search(client, made, TEST).found:
        refuse(
            "12.2",
            "the image contains the tests.",
            hint="what do the last stage, and the archive in it, have that only tests need?",
            found=shipped[0].where,
        )
    stopped = _stopped_by_a_test(client, made)
    if stopped is None:
        refuse(
            "12.2",
            "the image is built although a test fails.",
            hint="does the last stage need the step that runs the tests, and can that step fail?",
            found="with a test that expects something else, every step of the build succeeded",
        )
    return f"it has no tests, and a failing one stops the build: {stopped.message.splitlines()[0]}"


def _stopped_by_a_test(client, made: Build) -> BuildFailed | None:
    """Build the answer with a test that fails; return how that failed, None if it did not."""
    with _copy() as folder:
        tests = folder / "tests" / "test_report.py"
        tests.write_text(tests.read_text(encoding="utf-8").replace(SAID, "nothing"))
        try:
            _ran(client, made, folder)
        except BuildFailed as error:
            return error
    return None


@contextmanager
def _copy() -> Iterator[Path]:
    """A copy of the app, to edit; it goes with the block."""
    with journal.workplace() as folder:
        yield Path(shutil.copytree(APPS / "ci", folder / "ci"))


def _ran(client, made: Build, folder: Path) -> list[str]:
    """Build the answer in another folder; return the instructions that ran. Keeps no image."""
    built = build(client, folder, text=made.text, name="ci/checked")
    engine.remove_image(client, built.tag)
    return built.ran()


def _refuse_other_words(client, exercise_id: str, made: Build) -> None:
    """Raise CheckFailed where a container does not print what the program of the lesson prints."""
    said = printed(client, exercise_id, made)
    if said != SAID:
        refuse(
            exercise_id,
            "the image no longer prints what the program says.",
            hint="run `run_once(client, mine)`: what does the container print?",
            found=last_line(said),
            expected=SAID,
        )
