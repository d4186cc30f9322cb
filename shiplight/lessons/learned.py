"""What a learner tried, solved and guessed: one small file of this lab, and nowhere else.

`learned.json` in the lab's own folder has a version, and for each exercise the tries (digests of
their texts), the mistakes that a check named, since when the last of them was named and when a try
was last refused, the day of the first right answer and its unpacked bytes; the guesses; what the
learner believes before and after; and the pseudonym of what is handed to a teacher. Deleting it
forgets everything; `./lab reset` and `./lab clean` keep it.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from .. import files
from ..engine import journal

FILE, VERSION = "learned.json", 1


@dataclass(frozen=True)
class State:
    """How far a learner is with one exercise: tries, mistakes met, and when it was solved, if.

    `since` is the instant at which the last mistake was first named, with no other one after it,
    and `last` that of the last refused try: ISO 8601, UTC; None where it is solved, or not known.
    """

    tries: tuple[str, ...] = ()
    mistakes: tuple[str, ...] = ()
    solved: str | None = None
    unpacked_bytes: int | None = None
    since: str | None = None
    last: str | None = None

    def to_dict(self) -> dict:
        """Return the state as JSON holds it."""
        return {
            "tries": list(self.tries),
            "mistakes": list(self.mistakes),
            "solved": self.solved,
            "unpacked_bytes": self.unpacked_bytes,
            "since": self.since,
            "last": self.last,
        }

    @classmethod
    def from_dict(cls, data: dict) -> "State":
        """Return the state that `to_dict` wrote."""
        lists = {name: tuple(data[name]) for name in ("tries", "mistakes")}
        return cls(**data | lists)


def state(exercise_id: str) -> State:
    """Return how far this lab's learner is with an exercise."""
    said = _read()["exercises"].get(exercise_id)
    return State.from_dict(said) if said else State()


def note_try(exercise_id: str, text: str, start: str, *, mistake: str) -> State:
    """Keep a try that was refused, and the mistake that was named; return the new state.

    A text counts once, and not where it is that of the start: spaces at the ends of lines, empty
    lines and comments make no difference.
    """
    with _changed() as said:
        old = State.from_dict(said["exercises"].get(exercise_id) or State().to_dict())
        one, tries = _digest(text), list(old.tries)
        if one != _digest(start) and one not in tries:
            tries.append(one)
        mistakes = (*(one for one in old.mistakes if one != mistake), mistake)
        now = _now()
        since = old.since if old.since and old.mistakes[-1:] == (mistake,) else now
        new = State(tuple(tries), mistakes, old.solved, old.unpacked_bytes, since, now)
        said["exercises"][exercise_id] = new.to_dict()
    return new


def note_solved(exercise_id: str, unpacked_bytes: int | None) -> State:
    """Keep that an exercise is solved; the first day stays, the bytes are those of the last."""
    with _changed() as said:
        old = State.from_dict(said["exercises"].get(exercise_id) or State().to_dict())
        new = State(old.tries, old.mistakes, old.solved or _today(), unpacked_bytes)
        said["exercises"][exercise_id] = new.to_dict()
    return new


def note_guess(question: str, guessed: str) -> None:
    """Keep what a learner guessed, in words, with the day; a later guess takes its place."""
    with _changed() as said:
        said["guesses"][question] = {"guess": guessed, "day": _today()}


def guesses() -> dict[str, str]:
    """Return every guess by the id of its question."""
    return {name: one["guess"] for name, one in _read()["guesses"].items()}


def note_beliefs(when: str, answers: list[bool | None]) -> None:
    """Keep what a learner believes, before the course or after it; with the day."""
    with _changed() as said:
        said.setdefault("beliefs", {})[when] = {"answers": answers, "day": _today()}


def beliefs() -> dict[str, list[bool | None]]:
    """Return the answers by when they were given."""
    return {when: one["answers"] for when, one in _read().get("beliefs", {}).items()}


def handed_as(pseudonym: str | None = None) -> tuple[str, str]:
    """Return the pseudonym and the random id under which progress is handed to a teacher.

    A pseudonym that is given is kept; without one it is the one that was kept, or `learner`.
    """
    known = _read().get("handed") or {}
    told = pseudonym or known.get("as") or "learner", known.get("id") or secrets.token_hex(4)
    if told != (known.get("as"), known.get("id")):
        with _changed() as said:
            said["handed"] = {"as": told[0], "id": told[1]}
    return told


def path() -> Path:
    """Return where the file is, there or not."""
    return journal.path(FILE)


def _digest(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    said = "\n".join(line for line in lines if line and not line.startswith("#"))
    return sha256(said.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read() -> dict:
    """The file's content; an empty one where it is missing, damaged, or of another version."""
    return _understood() or {"version": VERSION, "exercises": {}, "guesses": {}}


def _understood() -> dict | None:
    """The file's content; None where it is not what this version writes."""
    try:
        said = json.loads(files.read(path()))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("version") != VERSION:
        return None
    parts = (
        (said.get("exercises"), _is_state),
        (said.get("guesses"), _is_guess),
        (said.get("handed", {}), _is_text),
    )
    whole = all(isinstance(part, dict) and all(map(fits, part.values())) for part, fits in parts)
    return said if whole else None


def _is_state(one: object) -> bool:
    """Whether it is what `State.to_dict` returns, or returned before it had instants."""
    known = {field.name for field in fields(State)}
    if not isinstance(one, dict) or not known - {"since", "last"} <= set(one) <= known:
        return False
    listed = one["tries"], one["mistakes"]
    return (
        all(isinstance(part, list) and all(map(_is_text, part)) for part in listed)
        and all(isinstance(one.get(name), str | None) for name in ("solved", "since", "last"))
        and type(one["unpacked_bytes"]) in (int, type(None))
    )


def _is_guess(one: object) -> bool:
    return (
        isinstance(one, dict) and {"guess", "day"} <= set(one) and all(map(_is_text, one.values()))
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


@contextmanager
def _changed() -> Iterator[dict]:
    """The content to change; afterwards it is written whole, readable by its owner only.

    A file that was not understood is kept beside the new one. Raises LabFolderFailed.
    """
    folder = journal.folder()
    with journal.writable(), files.alone(folder):
        said, file = _read(), folder / FILE
        yield said
        if os.path.lexists(file) and _understood() is None:
            file.replace(file.with_suffix(".json.old"))
        text = json.dumps(said, indent=1, ensure_ascii=False, sort_keys=True)
        files.write(file, text + "\n", private=True)
