"""Writing what a learner hands over: progress without code, without names, without paths."""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from .. import catalogue, engine, files
from ..builds import kind_of_image, order
from ..errors import ShipLightError, UsageError
from ..inspection import measure
from ..lessons import exercises, learned
from .record import (
    ENDING,
    ENGINE,
    IMAGES,
    MOST_SECONDS,
    MOST_TRIES,
    PSEUDONYM,
    STORE,
    UNNAMED,
    NotARecord,
    Record,
    Tried,
    Weighed,
    is_guess,
    weighed,
)

LOOK_SECONDS = 2  # between two looks at whether something has changed


def hand_over(target: Path, *, pseudonym: str | None = None, client=None) -> Path:
    """Write this lab's progress to a file, or into a folder; return where it is.

    `pseudonym` is kept for the next time. With a `client`, the images of lessons 00 and
    01 that are on its engine are measured too. Raises UsageError for a pseudonym that is none,
    LabFolderFailed and OSError.
    """
    handed = record(learned.handed_as(_checked(pseudonym)), client)
    path = target / handed.filename if target.is_dir() else target
    if not path.name.endswith(ENDING):
        raise UsageError(
            f"{target} is not a folder, and {path.name} does not end in {ENDING}.",
            hint=f"name the folder that your class shares, or a file such as otter{ENDING}",
        )
    with files.replacing(path, ours=True) as file:  # never through a link that somebody planted
        file.write(handed.to_json().encode())
    return path


def keep_handing_over(target: Path, *, pseudonym: str | None = None, client=None) -> Iterator[Path]:
    """Write the file, and again whenever an exercise or a guess has changed, until nobody asks."""
    learned.handed_as(_checked(pseudonym))  # so that the first writing changes nothing
    while True:
        written_for = _changed_at()
        yield hand_over(target, pseudonym=pseudonym, client=client)
        while _changed_at() == written_for:
            time.sleep(LOOK_SECONDS)


def _checked(pseudonym: str | None) -> str | None:
    if pseudonym is not None and not PSEUDONYM.fullmatch(pseudonym):
        raise UsageError(
            f"{pseudonym!r} cannot be a pseudonym.",
            hint="1 to 24 lower-case letters, digits and hyphens, such as blue-otter",
        )
    return pseudonym


def record(handed_as: tuple[str, str], client=None) -> Record:
    """Return what this lab hands over, under this pseudonym and random id."""
    pseudonym, own_id = handed_as
    now = datetime.now(UTC)
    tried = {
        found.id: _tried(learned.state(found.id), now)
        for found in exercises.every()
        if learned.state(found.id) != learned.State()
    }
    on, images = None, []
    with suppress(ShipLightError):  # progress is worth handing over without an engine too
        on = client and engine.describe(client)
        images = list(_weighed(client)) if client else []
    return Record(
        own_id,
        pseudonym,
        tried,
        dict(_numbers(learned.guesses())),
        engine=_known(ENGINE, re.sub(r"( \d+(?:\.\d+)+)\S*", r"\1", str(on))),
        store=_known(STORE, on.store) if on else "",
        images=tuple(images),
    )


def _tried(state: learned.State, now: datetime) -> Tried:
    named = exercises.mistakes()
    return Tried(
        tries=min(len(state.tries), MOST_TRIES),
        solved=state.solved is not None,
        mistakes=tuple(dict.fromkeys(m if m in named else UNNAMED for m in state.mistakes)),
        stuck_seconds=None if state.solved else _seconds_since(state.since, now),
        quiet_seconds=None if state.solved else _seconds_since(state.last, now),
    )


def _seconds_since(instant: str | None, now: datetime) -> int | None:
    """How long ago that was; None for what cannot be: before a clock was set, or none at all."""
    with suppress(ValueError, TypeError):
        seconds = max(0, round((now - datetime.fromisoformat(instant)).total_seconds()))
        return seconds if seconds <= MOST_SECONDS else None
    return None


def _numbers(guesses: dict[str, str]) -> Iterator[tuple[str, float]]:
    """The guesses that are numbers, without their units: words can have names in them."""
    for question, said in guesses.items():
        if exercises.questions().get(question):
            with suppress(ValueError):
                number = float(said.partition(" ")[0])
                if is_guess(number):
                    yield question, number


def _weighed(client) -> Iterator[Weighed]:
    """The images of lessons 00 and 01 that are on this engine, as far as a file may have them."""
    for name in IMAGES:
        folder = catalogue.APPS / name
        tag = order(str(folder) if folder.is_dir() else name).tag
        found = engine.find_image(client, tag)
        if found is None:
            continue
        image = measure(client, tag)
        with suppress(NotARecord):
            yield weighed(
                {
                    "name": name,
                    "bases": kind_of_image(image.name, image.labels),
                    "platform": image.platform,
                    "unpacked_bytes": image.unpacked_bytes,
                    "engine_bytes": found["Size"],
                }
            )


def _known(words: re.Pattern, text: str) -> str:
    return text if words.fullmatch(text) else ""


def _changed_at() -> int | None:
    with suppress(OSError):
        return learned.path().stat().st_mtime_ns
    return None
