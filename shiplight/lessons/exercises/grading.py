"""What the checks of exercises are made of: the registry, refusing with a hint, asking a service.

A check is a function of a client and of what a learner made. It returns its evidence, or raises
CheckFailed with a hint: what is wrong, and not the fix. `exercises.toml` says what each asks for;
`solutions/` has right answers, the one that a learner is shown and others.
"""

import posixpath
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ... import catalogue, engine
from ...builds import Build, here, recipe
from ...errors import CheckFailed, EngineFailed, ProbeFailed
from ...image import Image, Layer
from ...inspection import Probe, measure, probe, run_once
from ...references import canonical
from ...units import one_line, shortened

HERE = Path(__file__).parent
MOST_FOUND = 500  # characters of what a check found: an answer can print anything
_NOT_STARTED = re.compile(r"exec:? \"?([./][^\s\":]+)\"?: .*no such file")


@dataclass(frozen=True)
class Exercise:
    """One exercise: what `exercises.toml` says of it, and its check."""

    id: str
    task: str
    level: str
    app: str
    start: str
    hints: tuple[str, str]
    look: Callable[[object, Build], str]
    port: int | None = None
    keeps: tuple[str, ...] = ()

    @property
    def takes_file(self) -> bool:
        """Whether the check reads and builds a Dockerfile, and not a build."""
        return self.id.startswith("08")

    @property
    def takes_score(self) -> bool:
        """Whether the check looks at a score, and not at a build."""
        return self.id.startswith("13")

    @property
    def start_text(self) -> str:
        """The Dockerfile that the lesson begins with."""
        return str(recipe(str(place_of(self.start))))

    def solutions(self) -> list[Path]:
        """Return every right answer that is kept: first the one that a learner is shown."""
        found = [*(HERE / "solutions").glob(f"{self.id}*.Dockerfile")]
        return sorted(found, key=lambda path: path.name.removesuffix(".Dockerfile"))


ALL: dict[str, Exercise] = {}


@cache
def _described() -> dict[str, dict]:
    text = (HERE / "exercises.toml").read_text(encoding="utf-8")
    return {entry["id"]: entry for entry in tomllib.loads(text)["exercise"]}


def place_of(name: str) -> str | Path:
    """Return `app/variant` as it is, and a folder or Dockerfile of `apps/` as its path."""
    path = catalogue.APPS / name
    return path if path.exists() else name


def exercise(exercise_id: str):
    """Mark a check `f(client, build) -> evidence` as that of the exercise of this id."""

    def mark(look):
        said = {"keeps": ()} | _described()[exercise_id]
        lists = {name: tuple(said[name]) for name in ("hints", "keeps")}
        ALL[exercise_id] = Exercise(**said | lists, look=look)
        return look

    return mark


def refuse(exercise_id: str, wrong: str, *, hint: str, found: str = "", expected: str = ""):
    """Raise CheckFailed in the house's form."""
    seen = f"\n  Found: {shortened(found, MOST_FOUND)}" if found else ""
    seen += f"\n  Expected: {expected}" if expected else ""
    raise CheckFailed(f"{exercise_id}: {wrong}{seen}", hint=hint, mistake=wrong)


def last_line(said: str) -> str:
    """Return the last line of what a container printed, however long and whatever it is.

    >>> last_line("hello\\nworld\\n"), last_line("")
    ('world', 'it printed nothing')
    """
    lines = said.strip().splitlines()
    return one_line(lines[-1], 80) if lines else "it printed nothing"


def asked(client, exercise_id: str, made: Build | str) -> Probe:
    """Probe what was built, on the port of its app, exposed or not.

    Raises CheckFailed where the image says nothing of what to start, and ProbeFailed where its port
    cannot be reached from here: nobody can say then what works.
    """
    refuse_idle(exercise_id, measure(client, made))
    found = probe(client, made, port=ALL[exercise_id].port, briefly=True)
    if found.answered is None:
        raise ProbeFailed(
            f"{exercise_id} cannot reach the service: this engine publishes its ports elsewhere.",
            hint="use an engine on this machine: `./lab doctor` lists those that it finds",
        )
    return found


def refuse_idle(exercise_id: str, image: Image) -> None:
    """Raise CheckFailed for an image that starts no program: an engine makes no container of it."""
    if not image.entrypoint and not image.cmd:
        refuse(
            exercise_id,
            "the image does not say which program to start.",
            hint="which instruction of your last stage names it?",
            found="no ENTRYPOINT and no CMD",
        )


def printed(client, exercise_id: str, made: Build) -> str:
    """Return what a container prints or why it fails. Raises CheckFailed if it starts nothing."""
    refuse_idle(exercise_id, measure(client, made))
    try:
        return run_once(client, made)
    except (EngineFailed, ProbeFailed) as error:
        return error.message


def answering(client, exercise_id: str, made: Build | str) -> Probe:
    """Probe what was built; raise CheckFailed where it does not answer, or lost what it had."""
    found = asked(client, exercise_id, made)
    refuse_silent(exercise_id, found, measure(client, made))
    refuse_lost(exercise_id, found)
    return found


def refuse_silent(exercise_id: str, found: Probe, image: Image) -> None:
    """Raise CheckFailed where the lesson's service did not answer: it ran, or why it ended."""
    if not found.answered:
        said = found.last_error or "it printed nothing"
        missing = _NOT_STARTED.search(said)
        if found.stop_seconds is not None:
            refuse_unreached(exercise_id, "the service no longer responds.", said)
        if found.exit_code == 0 and not found.last_error:
            said = "it exited with code 0 and printed nothing"
            refuse_ended(exercise_id, "the service no longer responds.", said)
        path = posixpath.normpath(posixpath.join("/", image.workdir, missing[1] if missing else ""))
        entry, _ = image.tree().get(path.lstrip("/"), (None, 0))
        if missing and entry and entry.kind == "symlink":
            refuse(
                exercise_id,
                "the service no longer responds.",
                hint="that file is a link: is what it points to in the image?",
                found=f"{path} is a link to {entry.link}",
            )
        if missing and entry:
            refuse(
                exercise_id,
                "the service no longer responds.",
                hint="that file is there, but not what has to run it: does the program need a "
                "dynamic loader, or does the script's first line name an interpreter?",
                found=said,
            )
        refuse(
            exercise_id,
            "the service no longer responds.",
            hint="what does this line of its output say? `probe(client, mine)` shows it too",
            found=said,
        )
    if found.self_check is None:
        refuse(
            exercise_id,
            "something responds, but it is not the lesson's service.",
            hint="which program does the image start?",
            found="no response at /selfcheck",
        )


def refuse_unreached(exercise_id: str, wrong: str, found: str):
    """Raise CheckFailed for a program that still runs, but gives no response."""
    refuse(
        exercise_id,
        wrong,
        hint="it was still running when it was asked: on which port and address does it listen? "
        "Only its own container reaches 127.0.0.1",
        found=found,
    )


def refuse_ended(exercise_id: str, wrong: str, found: str):
    """Raise CheckFailed for a program that exited without an error and without output."""
    refuse(
        exercise_id,
        wrong,
        hint="a service keeps running: which program does the image start, and from which source "
        "was it compiled? Lesson 04 shows a build that ships another program",
        found=found,
    )


def refuse_lost(exercise_id: str, found: Probe) -> None:
    """Raise CheckFailed where the service no longer finds what it found in the start's image."""
    if lost := [name for name in ALL[exercise_id].keeps if not found[name]]:
        refuse(
            exercise_id,
            "the service no longer finds something that it found before.",
            hint="compare `probe(client, mine)` with that of the image that you started from",
            found=", ".join(f"{name}: {found[name]}" for name in lost),
        )


def refuse_root(exercise_id: str, image: Image):
    """Raise CheckFailed for a service whose user is number 0, however that was written."""
    refuse(
        exercise_id,
        "the service still runs as root.",
        hint="a USER applies to its own stage only, and user 0 is root: "
        "which USER does the stage that becomes the image set?",
        found=f"USER {image.user or '(none)'}",
    )


def not_root(client, exercise_id: str, made: Build, image: Image) -> int:
    """Return the number of the user who runs a service. Raises CheckFailed for root."""
    if image.user.partition(":")[0] in ("", "root"):
        refuse_root(exercise_id, image)
    user = answering(client, exercise_id, made)["user_id"]
    if user == 0:
        refuse_root(exercise_id, image)
    return user


def own_files(client, made: Build, image: Image) -> dict[str, int]:
    """Return what a container sees that is not from a base: {path: bytes}; links, no folders."""
    own = {layer.diff_id for layer in own_layers(client, made, image)}
    return {
        path: entry.size
        for path, (entry, index) in image.tree().items()
        if entry.kind != "dir" and image.layers[index].diff_id in own
    }


def own_layers(client, made: Build, image: Image) -> list[Layer]:
    """Return the layers of an image that are not from a base, the lowest first."""
    below = set().union(*(_layers(client, reference) for reference in made.bases))
    return [layer for layer in image.layers if layer.diff_id not in below]


def stands_on(client, made: Build, image: Image, reference: str) -> bool:
    """Return whether the image begins with the layers of this base, by its official name."""
    used = [made.bases[one] for one in made.bases if canonical(one.partition("@")[0]) == reference]
    if not used:
        return False
    base = measure(client, used[0])
    return [layer.diff_id for layer in image.layers[: len(base.layers)]] == [
        layer.diff_id for layer in base.layers
    ]


def _layers(client, reference: str) -> set[str]:
    """The layers of a base that is here, and of the image that stands for it where RUN builds."""
    base = here(client, reference)
    names = [name for name in (base and base.used, base and base.building) if name]
    return {one for name in names for one in engine.inspect_image(client, name)["RootFS"]["Layers"]}
