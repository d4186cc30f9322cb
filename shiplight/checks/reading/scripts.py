"""The texts of scripts and Makefiles that a Dockerfile copies, or that its instructions write."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import islice, pairwise

from ...dockerfile import TooLarge
from .folder import cleaned, context_copies, text_of
from .shell import is_shell
from .subject import Step, Subject, absolute, taken, under

_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_ECHO = re.compile(
    r"""\b(?:echo|printf)\s+(?:-\w+\s+)?("(?:\\.|[^"\\]){0,5000}"|'[^']{0,5000}')\s*(>{1,2})\s*([^\s;&|]+)"""
)
_CAT = re.compile(r"(?<![>\d&])>\s*([^\s;&|<>]+)")
_MOST_SCRIPTS = 50  # of one instruction
_MOST_HOPS = 20


def script_text(
    subject: Subject, steps: Iterable[Step], workdir: str, path: str, *, hops: int = _MOST_HOPS
) -> str | None:
    """Return the text of the script at `path`, or of that name in PATH; None if it is not here.

    `steps` are those that may have brought it, `workdir` is what a path is relative to, `hops`:
    through how many stages it may have come. None, too, where a Dockerfile has this look in too
    many places.
    """
    name, places = path.rpartition("/")[2], [absolute(workdir, path)]
    if "/" not in path:
        places += [f"{folder}/{name}" for folder in _PATH]
    for step in reversed(list(steps)):
        try:
            subject.tries.take(1 if step.keyword == "RUN" else len(step.paths))
        except TooLarge:
            return None
        written = _written(step) if step.keyword == "RUN" else {}
        if place := next((place for place in places if place in written), None):
            return written[place]
        if text := _copied(subject, step, places) or _of_stage(subject, step, places, hops):
            return text
    return None


def _of_stage(subject: Subject, step: Step, places: list[str], hops: int) -> str | None:
    """The text of a script that a COPY brings from another stage."""
    for fetch in subject.fetches(step) if step.keyword == "COPY" and hops else ():
        steps = subject.steps(fetch.stage)
        for path in (path for place in places if under(place, fetch.into)
                     for path in taken(fetch, place)):  # fmt: skip
            if text := script_text(subject, steps, "/", path, hops=hops - 1):
                return text
    return None


def _copied(subject: Subject, step: Step, places: list[str]) -> str | None:
    """The text of the file that a COPY from the context puts at one of these places."""
    if not context_copies([step]):
        return None
    for heredoc in step.instruction.heredocs:
        if step.destination in places:
            return heredoc.content
    for candidate in (c for s in step.sources for p in places for c in _sources_of(step, s, p)):
        if text := text_of(subject, cleaned(candidate)):
            return text
    return None


def _sources_of(step: Step, source: str, place: str) -> Iterator[str]:
    """The paths of the context that a COPY of `source` may bring to a place in the image."""
    into, (above, _, name) = step.destination, source.rstrip("/").rpartition("/")
    if place in (step.landing(source), absolute(into, name)):  # that may be a folder already
        yield source
    elif posixpath.dirname(place) == into and fnmatchcase(posixpath.basename(place), name):
        yield posixpath.join(above, posixpath.basename(place))
    if under(place, into):
        yield posixpath.join(source, place[len(into.rstrip("/")) :].lstrip("/"))


@lru_cache(maxsize=1024)
def _written(step: Step) -> dict[str, str | None]:
    """The files that a RUN writes by echo or a here-document, and their texts, None if in parts."""
    found = {}
    for heredoc in step.instruction.heredocs[:1]:
        if match := _CAT.search(step.instruction.value):
            found[absolute(step.workdir, step.expand(match[1]))] = heredoc.content
    for text, sign, path in _ECHO.findall(step.instruction.value):
        place = absolute(step.workdir, step.expand(path.strip("\"'")))
        plain = text[1:-1] if text[0] == "'" else re.sub(r'\\(["\\$`])', r"\1", text[1:-1])
        found[place] = None if sign == ">>" else plain.replace("\\n", "\n")
    return found


# --- make ---------------------------------------------------------------------------------------

_MOST_MAKES = 50  # of one Dockerfile
_VALUE = re.compile(r"^(?:export[ \t]+)?(\w+)[ \t]*[:?]?=[ \t]*([\w./-]+)[ \t]*$", re.MULTILINE)


def makes(subject: Subject) -> list[tuple[Step, Step | None]]:
    """Return each RUN that starts `make` on a Makefile of the context.

    With it, the step as if all recipes of that file were inline: which of them run is not known.
    None where the file is not here.
    """
    if "makes" not in subject.found:
        found = ((step, place) for step in subject.all_steps for place in _makefiles(step))
        subject.found["makes"] = list(_made(subject, islice(found, _MOST_MAKES)))
    return subject.found["makes"]


def _makefiles(step: Step) -> Iterator[str]:
    """Where the Makefiles of a RUN are."""
    folder, found = step.workdir, {}
    for command in step.commands if step.keyword == "RUN" else ():
        if command.program == "cd" and command.arguments:
            folder = absolute(folder, step.expand(command.arguments[0]))
        elif command.program == "make":
            said = dict(pairwise(command.words))
            place = posixpath.join(said.get("-C", ""), said.get("-f", "Makefile"))
            found[absolute(folder, step.expand(place))] = True
    yield from islice(found, _MOST_SCRIPTS)


def _made(
    subject: Subject, found: Iterable[tuple[Step, str]]
) -> Iterator[tuple[Step, Step | None]]:
    for step, place in found:
        steps = subject.steps(step.stage)
        copies = context_copies(steps[: steps.index(step)])
        copies = [each for each in copies if under(place, each.destination)]
        if text := script_text(subject, copies, "/", place):
            said = replace(step.instruction, value=_recipes(text), json=None, heredocs=())
            yield step, replace(step, instruction=said)
        elif copies and subject.context is None and not _generates(steps):
            yield step, None


def _generates(steps: Iterable[Step]) -> bool:
    """Whether Makefiles are written there, by cmake and the like: those download nothing."""
    names = ("cmake", "configure", "qmake", "perl")
    return any(command.program in names for step in steps for command in step.commands)


@lru_cache(maxsize=64)
def _recipes(makefile: str) -> str:
    """The commands of a Makefile, with variables that have one word as their value."""
    values = dict(_VALUE.findall(makefile))
    lines = makefile.replace("\\\n", " ").splitlines()
    text = "\n".join(line.lstrip("\t @+-") for line in lines if line.startswith("\t"))
    return re.sub(r"\$[({](\w+)[)}]", lambda it: values.get(it[1], it[0]), text)


# --- scripts ------------------------------------------------------------------------------------


def scripts_run(subject: Subject) -> list[tuple[Step, str, Step | None]]:
    """Return each script that a RUN of the final stage starts, with that step and its name.

    The last is the step as if the script were inline; None for a script that is not here, unless it
    is the system's or only sourced.
    """
    if "scripts" not in subject.found:
        subject.found["scripts"] = list(_scripts_run(subject))
    return subject.found["scripts"]


def _scripts_run(subject: Subject) -> Iterator[tuple[Step, str, Step | None]]:
    before: list[Step] = []
    for step in subject.filling_steps:
        if step.keyword == "RUN":
            started = dict.fromkeys(_script_of(command.words) for command in step.commands)
            for path, is_own in islice(filter(any, started), _MOST_SCRIPTS):
                text = script_text(subject, before, step.workdir, path)
                if text and "\0" not in text:
                    said = replace(step.instruction, value=text, json=None, heredocs=())
                    yield step, path, replace(step, instruction=said)
                elif is_own:
                    yield step, path, None
        if step.keyword in ("RUN", "COPY", "ADD"):
            before.append(step)


def _script_of(words: tuple[str, ...]) -> tuple[str, bool]:
    """The script that a command is, or that a shell is given or reads; "" for none.

    And whether it is the project's own, wherever it is: not the system's, and not only sourced.
    """
    word, *rest = words
    sourced = word in (".", "source")
    if sourced or is_shell(word):
        word = next((each for each in rest if not each.startswith("-")), "")
    if "$" in word or "://" in word or not ("/" in word or word.endswith((".sh", ".bash"))):
        return "", False
    system = (*(f"{folder}/" for folder in _PATH), "/etc/", "/opt/")
    return word, not (sourced or word.startswith(system))
