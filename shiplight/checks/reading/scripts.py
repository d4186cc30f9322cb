"""The texts of scripts and Makefiles that a Dockerfile copies, or that its instructions write."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import accumulate, islice, pairwise

from ...dockerfile import Stage, TooLarge
from .folder import cleaned, context_copies, text_of
from .shell import Command, is_shell
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


# --- what a RUN starts -------------------------------------------------------------------------

_MOST_MAKES = 50  # of one Dockerfile
_MOST_OTHERS = 10  # scripts that one script starts
_MOST_TEXT = 100_000  # of a script or of recipes
_DECIDES = re.compile(r"(?m)^[ \t]*(?:function\s|[\w-]+[ \t]*\(\)|case\s)")


@dataclass(frozen=True)
class Started:
    """A script that a RUN starts, or make: `path` is its name as the RUN says it.

    `inside` is the step as if all of it were inline, None where it is not here. `certain`: nothing
    but an `if` decides which of its commands run.
    """

    step: Step
    path: str
    inside: Step | None
    certain: bool = False


def inlined(step: Step, text: str) -> Step:
    """Return a RUN as if it had these commands."""
    said = replace(step.instruction, value=text, json=None, heredocs=())
    return replace(step, instruction=said)


# --- make ---------------------------------------------------------------------------------------


def makes(subject: Subject) -> list[Started]:
    """Return each RUN that starts `make` on a Makefile of the context.

    It has the recipes of the targets that it names and of what these need, or else all of them.
    """
    if "makes" not in subject.found:
        found = ((step, *made) for step in subject.all_steps for made in _makefiles(step))
        subject.found["makes"] = list(_made(subject, islice(found, _MOST_MAKES)))
    return subject.found["makes"]


def _makefiles(step: Step) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where the Makefiles of a RUN are, each with the targets that are named."""
    folder, found = step.workdir, {}
    for command in step.commands if step.keyword == "RUN" else ():
        if command.program == "cd" and command.arguments:
            folder = absolute(folder, step.expand(command.arguments[0]))
        elif command.program == "make":
            said = dict(pairwise(command.words))
            place = posixpath.join(said.get("-C", ""), said.get("-f", "Makefile"))
            taken_by = {said.get(option) for option in ("-C", "-f", "-j")}
            named = [w for w in command.arguments if w not in taken_by and "=" not in w]
            found.setdefault(absolute(folder, step.expand(place)), []).extend(named or [""])
    yield from ((place, tuple(named)) for place, named in islice(found.items(), _MOST_SCRIPTS))


def _made(
    subject: Subject, found: Iterable[tuple[Step, str, tuple[str, ...]]]
) -> Iterator[Started]:
    for step, place, targets in found:
        steps = subject.steps(step.stage)
        copies = context_copies(steps[: steps.index(step)])
        copies = [each for each in copies if under(place, each.destination)]
        if text := script_text(subject, copies, "/", place):
            recipes, certain = _recipes(text, targets)
            yield Started(step, "make", inlined(step, recipes[:_MOST_TEXT]), certain)
        elif copies and subject.context is None and not _generates(steps):
            yield Started(step, "make", None)


def _generates(steps: Iterable[Step]) -> bool:
    """Whether Makefiles are written there, by cmake and the like: those download nothing."""
    names = ("cmake", "configure", "qmake", "perl")
    return any(command.program in names for step in steps for command in step.commands)


_VALUE = re.compile(
    r"^(?:export[ \t]+)?(\w+)[ \t]*[:?]?=[ \t]*([^\n#]{1,200}?)[ \t]*(?:#.*)?$", re.MULTILINE
)
_OPENS, _ENDS = re.compile(r"\s*ifn?(?:def|eq)\b"), re.compile(r"\s*endif\b")
_INCLUDES = re.compile(r"\s*[-s]?include\b")
_MAKES = re.compile(r"(?m)(?:^|[;&|]) *(?:\$[({]?MAKE[)}]?|make) ")


@lru_cache(maxsize=64)
def _recipes(makefile: str, targets: tuple[str, ...]) -> tuple[str, bool]:
    """The commands of a Makefile's targets, and True; or all that it has, and False.

    "" is the first target. Variables of one line are put in, once. What stands in a condition is
    not certain, nor is the first target below an include.
    """
    lines = makefile.replace("\\\n", " ").splitlines()
    depths = list(accumulate(bool(_OPENS.match(x)) - bool(_ENDS.match(x)) for x in lines))
    held = [
        "\n".join(x for x, d in zip(lines, depths, strict=True) if (d > 0) is by)
        for by in (False, True)
    ]
    always, chosen = (dict(_VALUE.findall(text)) for text in held)
    values = {name: value for name, value in always.items() if name not in chosen}
    lines = [re.sub(r"\$[({](\w+)[)}]", lambda it: values.get(it[1], it[0]), x) for x in lines]
    rules: dict[str, tuple[list[str], list[str]]] = {}  # what each target needs, and its recipe
    names: list[str] = []
    unsure: set[str] = set()
    for line, depth in zip(lines, depths, strict=True):
        if line.startswith("\t"):
            unsure |= set(names) if depth > 0 else set()
            for name in names:
                rules[name][1].append(line.lstrip("\t @+-"))
        elif _INCLUDES.match(line):
            unsure |= set() if any(name[0] not in ".%$" for name in rules) else {""}
        elif (said := line.partition("#")[0].partition(":"))[1] and not set("=;") & set(line):
            names = said[0].split()
            unsure |= set(names) if depth > 0 else set()
            for name in names:
                rules.setdefault(name, ([], []))[0].extend(said[2].strip(":").split())
    first = next((name for name in rules if name[0] not in ".%$"), None)
    wanted = [name or first for name in targets]
    if all(name in rules for name in wanted) and not unsure & set(targets):
        needed = _needed(rules, wanted)
        run = "\n".join(line for name in needed for line in rules[name][1])
        if not _MAKES.search(run) and not unsure & set(needed):
            return run, True
    return "\n".join(line.lstrip("\t @+-") for line in lines if line.startswith("\t")), False


def _needed(rules: dict[str, tuple[list[str], list[str]]], wanted: list[str]) -> list[str]:
    """The targets that make runs for those wanted, what they need before them."""
    waiting, run = list(reversed(wanted)), {}
    while waiting:
        name = waiting.pop()
        if name in rules and name not in run:
            run[name] = True
            waiting += reversed(rules[name][0])
    return list(reversed(run))


# --- scripts ------------------------------------------------------------------------------------


def scripts_run(subject: Subject) -> list[Started]:
    """Return each script that a RUN starts, with the scripts of the context that it starts itself.

    A stage that starts it in several RUNs has it once, in the first. One that is not here is there
    with None, unless it is the system's or only sourced.
    """
    if "scripts" not in subject.found:
        found = (each for stage in subject.needed for each in _scripts_run(subject, stage))
        subject.found["scripts"] = list(found)
    return subject.found["scripts"]


def _scripts_run(subject: Subject, stage: Stage) -> Iterator[Started]:
    before = [s for s in subject.steps(stage) if s.keyword in _BRINGING and s.stage is not stage]
    seen = set()
    for step in subject.own_steps(stage):
        if step.keyword == "RUN":
            started = dict.fromkeys(script_of(command) for command in step.commands)
            for path, is_own in islice(filter(any, started), _MOST_SCRIPTS):
                text = script_text(subject, before, step.workdir, path)
                if text and "\0" not in text:
                    if (path, text) in seen:
                        continue
                    seen.add((path, text))
                    yield _with_others(subject, before, step, path, text)
                elif is_own:
                    yield Started(step, path, None)
        if step.keyword in _BRINGING:
            before.append(step)


_BRINGING = ("RUN", "COPY", "ADD")


def _with_others(subject: Subject, before: list[Step], step: Step, path: str, text: str) -> Started:
    """A script with those that it starts, by their paths beside it or in the working folder."""
    folder = posixpath.dirname(absolute(step.workdir, path))
    texts, found = [text], (script_of(command)[0] for command in inlined(step, text).commands)
    for other in islice(dict.fromkeys(filter(None, found)), _MOST_OTHERS):
        for place in (step.workdir, folder):
            more = script_text(subject, before, place, other)
            if more and "\0" not in more and more not in texts:
                texts.append(more)
    whole = "\n".join(texts)[:_MOST_TEXT]
    return Started(step, path, inlined(step, whole), not _DECIDES.search(whole))


def script_of(command: Command) -> tuple[str, bool]:
    """Return the script that a command is, or that a shell is given or reads; "" for none.

    And whether it is the project's own, wherever it is: not the system's, and not only sourced.
    """
    word, *rest = command.words
    sourced = word in (".", "source")
    if sourced or is_shell(word):
        word = next((each for each in rest if not each.startswith("-")), "")
    if "$" in word or "://" in word or not ("/" in word or word.endswith((".sh", ".bash"))):
        return "", False
    if command.program in ("mvn", "gradle"):  # their wrappers download them, and no more
        return "", False
    system = (*(f"{folder}/" for folder in _PATH), "/etc/", "/opt/")
    return word, not (sourced or word.startswith(system))
