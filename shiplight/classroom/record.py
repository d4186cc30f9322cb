"""What one learner hands to a teacher: a small JSON file with no code, no names and no paths.

Files come from others, by whatever way a room has, and so nothing is believed that is not exactly
what `Record.to_json` writes. Of the words in a file only the pseudonym is the learner's own; a
mistake is one of the sentences that checks have, or unnamed, and the rest are words of this list.
"""

import json
import re
from dataclasses import asdict, dataclass, fields

from ..builds import KINDS
from ..lessons import exercises
from ..units import one_line

FORMAT, VERSION = "shiplight-progress", 1
ENDING = ".shiplight.json"
MOST_BYTES = 64_000  # of a file; one with everything solved has 6 kB
PSEUDONYM = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?", re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)
UNNAMED = ""  # a mistake that has no sentence of its own: what a check says of a learner's file
MOST_SECONDS, MOST_TRIES = 10**8, 10_000
_MOST_IMAGE_BYTES, _MOST_GUESSED = 10**14, 1e12
IMAGES = ("first", "go/single", "go/multi")  # of lessons 00 and 01: engines are compared on them
_BASES = (*KINDS, "mixed", "none", "unknown")
_DRIVERS = (
    "aufs|btrfs|devicemapper|fuse-overlayfs|native|nydus|overlay|overlay2|overlayfs|stargz"
    "|vfs|windowsfilter|zfs"
)
ENGINE = re.compile(r"(?:Docker|Podman) \d{1,3}(?:\.\d{1,3}){1,2}(?: rootless)?", re.ASCII)
STORE = re.compile(rf"graph driver (?:{_DRIVERS})|containerd store \((?:{_DRIVERS})\)")
_PLATFORM = re.compile(
    r"(?:linux|windows)/(?:386|amd64|arm|arm64|loong64|mips64le|ppc64le|riscv64|s390x)(?:/v\d)?",
    re.ASCII,
)


class NotARecord(ValueError):
    """A file is not what `Record.to_json` writes; its message says in which way."""


@dataclass(frozen=True)
class Tried:
    """How far a learner is with one exercise.

    `stuck_seconds` have passed since the last of the `mistakes` was first named, `quiet_seconds`
    since a try was last refused, when the file was written; None where it is solved, or not known.
    """

    tries: int
    solved: bool
    mistakes: tuple[str, ...] = ()
    stuck_seconds: int | None = None
    quiet_seconds: int | None = None


@dataclass(frozen=True)
class Weighed:
    """An image on a learner's engine: its own bytes, and what the engine calls its size."""

    name: str
    bases: str
    platform: str
    unpacked_bytes: int
    engine_bytes: int


@dataclass(frozen=True)
class Record:
    """What one learner hands over. `engine` and `store` are "" where none was reached."""

    id: str
    pseudonym: str
    exercises: dict[str, Tried]
    guesses: dict[str, float]
    engine: str = ""
    store: str = ""
    images: tuple[Weighed, ...] = ()

    @property
    def filename(self) -> str:
        """What the file is called where only a folder is named."""
        return f"{self.pseudonym}-{self.id}{ENDING}"

    def to_json(self) -> str:
        """Return the text of the file."""
        said = {"format": FORMAT, "version": VERSION} | asdict(self)
        return json.dumps(said, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: bytes) -> "Record":
        """Return what a file says. Raises NotARecord for anything that `to_json` does not write."""
        try:
            said = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise NotARecord("it is not JSON, or damaged") from error
        if not isinstance(said, dict) or said.pop("format", None) != FORMAT:
            raise NotARecord("it is not progress that somebody handed over")
        version = said.pop("version", None)
        if version != VERSION or isinstance(version, bool):
            seen = version if type(version) is int and 0 <= version < 10**6 else "unknown"
            raise NotARecord(f"its format has version {seen}; this reads version {VERSION}")
        _has_fields(said, cls, "the file")
        _fits(_is_match(said["id"], _ID), "id")
        _fits(_is_match(said["pseudonym"], PSEUDONYM), "pseudonym")
        for name, known in (("engine", ENGINE), ("store", STORE)):
            _fits(said[name] == "" or _is_match(said[name], known), name)
        _fits(isinstance(said["exercises"], dict), "exercises")
        _fits(isinstance(said["guesses"], dict), "guesses")
        _fits(isinstance(said["images"], list), "images")
        tried = {name: _tried(name, one) for name, one in said["exercises"].items()}
        for question, number in said["guesses"].items():
            _fits(bool(exercises.questions().get(question)), f"guess {one_line(question, 20)}")
            _fits(is_guess(number), f"guess {question}")
        images = tuple(map(weighed, said["images"]))
        _fits(len({one.name for one in images}) == len(images), "an image that is there twice")
        return cls(**said | {"exercises": tried, "images": images})


def _tried(name: str, said: object) -> Tried:
    shown = f"exercise {one_line(name, 20)}"
    _fits(name in {one.id for one in exercises.every()}, shown)
    _has_fields(said, Tried, shown)
    _fits(_is_count(said["tries"], MOST_TRIES) and isinstance(said["solved"], bool), shown)
    mistakes = said["mistakes"]
    _fits(isinstance(mistakes, list), shown)
    known = exercises.mistakes() | {UNNAMED}
    _fits(all(isinstance(one, str) and one in known for one in mistakes), f"a mistake of {shown}")
    _fits(len(set(mistakes)) == len(mistakes), f"a mistake that is there twice in {shown}")
    for when in ("stuck_seconds", "quiet_seconds"):
        _fits(said[when] is None or _is_count(said[when], MOST_SECONDS), shown)
    return Tried(**said | {"mistakes": tuple(mistakes)})


def weighed(said: object) -> Weighed:
    """Return the image that a file has like this. Raises NotARecord for one that no lab weighs."""
    _has_fields(said, Weighed, "an image")
    _fits(said["name"] in IMAGES and said["bases"] in _BASES, "an image")
    _fits(_is_match(said["platform"], _PLATFORM), "an image")
    counts = said["unpacked_bytes"], said["engine_bytes"]
    _fits(all(_is_count(count, _MOST_IMAGE_BYTES) for count in counts), "an image")
    return Weighed(**said)


def is_guess(value: object) -> bool:
    """Return whether a file may have this number as a guess; it has no NaN."""
    return type(value) in (int, float) and 0 <= value <= _MOST_GUESSED


def _has_fields(said: object, kind: type, where: str) -> None:
    wanted = {field.name for field in fields(kind)}
    _fits(isinstance(said, dict) and set(said) == wanted, f"the fields of {where}")


def _fits(true: object, what: str) -> None:
    if not true:
        raise NotARecord(f"{what} cannot be what this program writes")


def _is_match(value: object, known: re.Pattern) -> bool:
    return isinstance(value, str) and bool(known.fullmatch(value))


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _once(pairs: list[tuple]) -> dict:
    """The object of these pairs; a name that is there twice could be read in two ways."""
    said = dict(pairs)
    if len(said) != len(pairs):
        raise ValueError("a name is there twice")
    return said


def _no_number(text: str):
    raise ValueError(f"{text} is not a number of JSON")
