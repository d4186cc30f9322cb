"""Exercises: the learner builds, and the check looks at the image built, not at the text typed.

A check is a function of a client and a Build that raises CheckFailed with a hint: what is wrong,
and not the fix. Solutions and named wrong answers are in `tests/exercises/`, and each wrong answer
has to meet its own hint.
"""

from collections.abc import Callable
from dataclasses import dataclass

from IPython.display import display

from .builds import Build
from .containers import probe, run_once
from .errors import CheckFailed, UsageError
from .lessons import Shown
from .recordings import Recorded
from .sizes import measure
from .units import format_bytes


@dataclass(frozen=True)
class Exercise:
    """One exercise: the id by which a lesson names it, what it asks for, and its check."""

    id: str
    task: str
    look: Callable[[object, Build], str]


_ALL: dict[str, Exercise] = {}


def exercise(exercise_id: str, task: str):
    """Mark a check `f(client, build) -> evidence` as that of the exercise of this id."""

    def mark(look):
        _ALL[exercise_id] = Exercise(exercise_id, task, look)
        return look

    return mark


def every() -> list[Exercise]:
    """All exercises, in the order of their ids."""
    return [_ALL[name] for name in sorted(_ALL)]


def check(client, exercise_id: str, made: Build | None) -> None:
    """Look at what a learner built; show that it is solved, or raise CheckFailed with a hint.

    Nothing built yet is shown as open. Without an engine nothing can be built, and that is shown.
    """
    if exercise_id not in _ALL:
        raise UsageError(f"there is no exercise {exercise_id}.", hint=f"one of {', '.join(_ALL)}")
    if made is None:
        display(Shown(f"{exercise_id} is open: {_ALL[exercise_id].task}", mark="○"))
    elif isinstance(client, Recorded):
        display(Shown(f"{exercise_id} needs an engine to look at what you built.", mark="○"))
    else:
        evidence = _ALL[exercise_id].look(client, made)
        display(Shown(f"{exercise_id} is solved.", evidence))


def refuse(exercise_id: str, wrong: str, *, hint: str, found: str = "", expected: str = ""):
    """Raise CheckFailed in the house's form."""
    seen = f"\n  Found: {found}" if found else ""
    seen += f"\n  Expected: {expected}" if expected else ""
    raise CheckFailed(f"{exercise_id}: {wrong}{seen}", hint=hint)


def answering(client, exercise_id: str, made: Build):
    """The probe of what was built; CheckFailed where it does not answer."""
    asked = probe(client, made)
    if asked.answered is False:
        refuse(
            exercise_id,
            "the service does not answer any more.",
            hint="look at `probe(client, mine)`: what did it say last?",
            found=asked.last_words[-1] if asked.last_words else "no word from it",
        )
    return asked


# --- 00 Check your machine ---------------------------------------------------------------------


@exercise("00.1", "the first image, its zeros written and deleted, and none of them shipped")
def _nothing_buried(client, made: Build) -> str:
    image = measure(client, made)
    if image.reclaimable_bytes:
        largest = max(image.buried, key=lambda item: item.bytes)
        refuse(
            "00.1",
            "something is buried, and ships.",
            hint="which instruction writes, and which one deletes? A layer is made after each",
            found=f"/{largest.path}, {format_bytes(largest.bytes)}",
            expected="no reclaimable bytes",
        )
    if not any("zeros" in instruction for instruction, _ in image.history):
        refuse("00.1", "no zeros were ever written.", hint="they are to be written, and deleted")
    if run_once(client, made) != "Build heavy, ship light.":
        refuse("00.1", "the message is gone.", hint="what does the image do when it runs?")
    return f"{format_bytes(image.unpacked_bytes)} unpacked, nothing buried"


# --- 01 Go ------------------------------------------------------------------------------------


@exercise("01.1", "the two-file image, run by a user who is not root")
def _not_root(client, made: Build) -> str:
    image = measure(client, made)
    user = image.user.partition(":")[0]
    if not user or user in ("0", "root"):
        refuse(
            "01.1",
            "the service still runs as root.",
            hint="a USER counts for the stage that it stands in: which one becomes the image?",
            found=f"USER {image.user or '(none)'}",
        )
    if not user.isdigit():
        refuse(
            "01.1",
            "the user is named, and nothing here knows the name.",
            hint="where would `scratch` look a name up? A number needs no looking up",
            found=f"USER {image.user}",
        )
    asked = answering(client, "01.1", made)
    _only_two_files("01.1", image)
    return f"it answers as user {asked['user_id']}"


@exercise("01.2", "the two-file image, with time zones, at less than a megabyte more")
def _with_zones(client, made: Build) -> str:
    image, asked = measure(client, made), answering(client, "01.2", made)
    if not asked["time_zones"]:
        refuse(
            "01.2",
            "the service still finds no time zone.",
            hint="Go looks at the path in the variable ZONEINFO, at /usr/share/zoneinfo, "
            "and into the program itself",
        )
    if image.find("usr/local/go/bin/go"):
        refuse(
            "01.2",
            "the compiler came along.",
            hint="the zones are one file of the toolchain: which?",
            found="/usr/local/go/bin/go",
        )
    needed = ("server", "etc/ssl/certs/ca-certificates.crt")
    extra = sum(entry.size for path, (entry, _) in image.tree().items() if path not in needed)
    if extra > 1_000_000:
        refuse(
            "01.2",
            "the zones weigh more than they need to.",
            hint="there is one packed file of all zones beside the toolchain",
            found=f"{format_bytes(extra)} beside the service and its certificates",
            expected="less than a megabyte more",
        )
    return f"zones for {format_bytes(extra)}"


def _only_two_files(exercise_id: str, image) -> None:
    files = [path for path, (entry, _) in image.tree().items() if entry.kind == "file"]
    if len(files) > 2:
        refuse(
            exercise_id,
            "more than the two files came along.",
            hint="what do your COPY instructions bring?",
            found=", ".join(f"/{path}" for path in files[:5]),
        )
