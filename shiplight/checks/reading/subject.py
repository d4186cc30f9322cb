"""The subject of `./lab check`: one Dockerfile as steps, and which of their results ship.

A step is an instruction with the variables, folder and user that are in effect there. The final
stage is the target with everything it is based on; an arrival is a step of any stage whose results
are copied, with the part that is. Nothing is run.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from ...buildkit import Warned
from ...dockerfile import (
    GAP,
    BadWord,
    Dockerfile,
    Instruction,
    Lexer,
    Room,
    Rule,
    Stage,
    TooLarge,
    fail,
    ignore_rules,
    split_words,
    stages,
)
from ...errors import ContextError
from ...image import Image, Program
from ...units import shortened
from .inside import NOTHING_READ, Inside
from .known import Known, describe
from .shell import Command, commands, script
from .walk import Walk, walk

MOST_ARRIVALS = 2000
MOST_READ = 20_000_000  # bytes of all files of one context
MOST_LOOKS = 300_000
MOST_TRIES = 30_000
MOST_COMPARED = 2_000_000
_REFERENCE = re.compile(r"[\w.${}-]+(?::\d+)?(?:/[\w.${}-]+)*(?::[\w.${}-]+)?(?:@[\w:${}]+)?")
_NAMES = re.compile(r"\$\{?(\w+)")
PLATFORM = {
    f"{side}{part}": value
    for side in ("BUILD", "TARGET")
    for part, value in (("PLATFORM", "linux/amd64"), ("OS", "linux"), ("ARCH", "amd64"))
} | {"TARGETVARIANT": "", "BUILDVARIANT": ""}


@dataclass(frozen=True, eq=False)
class Step:
    """One instruction and what is in effect before it; `user` "" is the base's.

    `values` are the variables of ENV and ARG, with their values as far as the text says them.
    """

    stage: Stage
    instruction: Instruction
    workdir: str
    user: str
    escape: str = "\\"
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    declared: frozenset[str] = frozenset()  # by an ARG without a value
    room: Room = field(default_factory=Room, repr=False)

    @property
    def keyword(self) -> str:
        return self.instruction.keyword

    @property
    def line(self) -> int:
        return self.instruction.line

    @cached_property
    def commands(self) -> tuple[Command, ...]:
        """The commands of a RUN, CMD or ENTRYPOINT; none of other instructions."""
        runs = self.keyword in ("RUN", "CMD", "ENTRYPOINT")
        return commands(self.instruction) if runs else ()

    @cached_property
    def mounts(self) -> tuple[dict[str, str], ...]:
        """The --mount flags of a RUN; `type` is always there, `target` where one is said."""
        return tuple({"target": ""} | mount for mount in self.instruction.mounts)

    @property
    def script(self) -> str:
        return script(self.instruction)

    def setting(self, command: Command, name: str) -> str | None:
        """Return what a variable is worth to a command of this step; None if nothing sets it."""
        for of in (command.variables, self._exports):
            if name in of:
                return self.expand(of[name])
        return self.values.get(name)

    @cached_property
    def _exports(self) -> dict[str, str]:
        words = [word for c in self.commands if c.program == "export" for word in c.words[1:]]
        return dict(word.split("=", 1) for word in words if "=" in word)

    def expand(self, text: str) -> str:
        """Put the variables that have a known value into `text`."""
        return expand(text, self.values, self.escape, self.line, self.room)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Sources and destination of a COPY or ADD, as written but with variables put in."""
        given = self.instruction.json or GAP.split(self.instruction.value)
        return tuple(self.expand(path) for path in given)

    @property
    def sources(self) -> tuple[str, ...]:
        """What a COPY or ADD copies, without here-documents."""
        return tuple(path for path in self.paths[:-1] if not path.startswith("<<"))

    @property
    def destination(self) -> str:
        """Where a COPY or ADD copies to, as an absolute path."""
        return absolute(self.workdir, self.paths[-1])

    def landing(self, source: str) -> str:
        """Where a COPY puts a source that is a file; `--parents` keeps the folders above it."""
        if "--parents" in self.instruction.flags:
            return absolute(self.destination, source.rpartition("/./")[2].lstrip("/"))
        name = source.rstrip("/").rpartition("/")[2]
        folder = len(self.paths) > 2 or self.paths[-1].endswith(("/", "."))
        return absolute(self.destination, name) if folder else self.destination

    @property
    def origin(self) -> str | None:
        """What `--from` names; None for the context."""
        flags = (flag for flag in self.instruction.flags if flag.startswith("--from="))
        return next(flags, "=").partition("=")[2] or None

    @cached_property
    def excluded(self) -> tuple[Rule, ...]:
        """What `--exclude` keeps out of a COPY."""
        flags = [f.partition("=")[2] for f in self.instruction.flags if f.startswith("--exclude=")]
        try:
            return ignore_rules("\n".join(self.expand(flag) for flag in flags))
        except ContextError:
            return ()


@dataclass(frozen=True)
class Ending:
    """A stage's configuration at its end, each part with the step that set it, or None."""

    user: Step | None = None
    entrypoint: Step | None = None
    cmd: Step | None = None
    shell: Step | None = None
    workdir: str = "/"
    values: dict = field(default_factory=dict)

    @property
    def starts(self) -> tuple[Step, ...]:
        """The ENTRYPOINT and the CMD, those that there are."""
        return tuple(filter(None, (self.entrypoint, self.cmd)))


@dataclass(frozen=True)
class Fetch:
    """What a step copies from another stage: the paths there, and their destination here."""

    stage: Stage
    sources: tuple[str, ...]
    into: str


@dataclass(frozen=True)
class Arrival:
    """A step whose results are in the final image: all of them, or those under `path`.

    They come from `stage`: the step's own, or one that is based on it.
    """

    step: Step
    path: str
    stage: Stage


@dataclass(frozen=True)
class Built:
    """What a build of the subject gave: the image, its program (None: not known), files in it.

    `warnings` are those of BuildKit's linter.
    """

    image: Image
    program: Program | None = None
    inside: Inside = NOTHING_READ
    warnings: tuple[Warned, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A Dockerfile under check.

    `context` is the folder that a build would send, None if it is unknown; `rules` are those of its
    .dockerignore, None if it has none. `today` is the day on which support is checked. `alone`: it
    was given as text, without a folder.
    """

    path: Path
    read: Dockerfile
    build_args: Mapping[str, str]
    target: Stage
    target_named: bool
    context: Path | None
    rules: tuple[Rule, ...] | None
    today: date
    built: Built | None = None
    alone: bool = False

    @cached_property
    def links(self) -> dict[int, list[stages.Link]]:
        return stages.links_of(self.read, self.build_args)

    @cached_property
    def needed(self) -> tuple[Stage, ...]:
        """The stages that a build of the target runs."""
        return stages.needed_stages(self.read, self.target.index, self.build_args)

    def lineage(self, stage: Stage) -> tuple[Stage, ...]:
        """Return the stages that `stage` is based on, from the base up, itself last."""
        found = [stage]
        while (source := self.links[found[-1].index][0].source) is not None:
            found.append(self.read.stages[source])
        return tuple(reversed(found))

    @cached_property
    def _bases(self) -> dict[int, Known]:
        found = {}
        for index, (link, *_) in self.links.items():
            below = found.get(link.source) if link.source is not None else None
            found[index] = below or describe(link.reference)
        return found

    def base(self, stage: Stage) -> Known:
        """Return the external image whose files `stage` begins with in the end."""
        filling = self.filling(stage)
        return self.base(filling) if filling else self._bases[stage.index]

    def filling(self, stage: Stage) -> Stage | None:
        """Return the stage whose files all fill a `FROM scratch`: by COPY --from=… / /."""
        if self._bases[stage.index].name != "scratch":
            return None
        for step in self.steps(stage):
            for fetch in self.fetches(step):
                if fetch.into == "/" and "/" in fetch.sources:
                    return fetch.stage
        return None

    @property
    def final_base(self) -> Known:
        return self.base(self.target)

    @property
    def configured_by(self) -> Known:
        """The external image whose configuration holds: files that are copied bring none."""
        return self._bases[self.target.index]

    @cached_property
    def room(self) -> Room:
        """How much the variables of this Dockerfile may still expand to."""
        return Room()

    @cached_property
    def texts(self) -> dict[str, tuple[str | None, bool]]:
        """The files of the context that were read, and whether whole; None where they cannot be."""
        return {}

    @cached_property
    def sends(self) -> Walk:
        """What the context sends, as far as a bounded walk shows."""
        return Walk() if self.context is None else walk(self.context, self.rules or ())

    @cached_property
    def found(self) -> dict[str, list]:
        """What was looked for in all of the context or the text, once for all of its steps."""
        return {}

    @cached_property
    def unread(self) -> Room:
        """How many bytes of the context may still be read."""
        return Room(MOST_READ)

    @cached_property
    def looks(self) -> Room:
        """How often a step may still be compared with what another one added."""
        return Room(MOST_LOOKS)

    @cached_property
    def tries(self) -> Room:
        """In how many places the files that are named may still be looked for."""
        return Room(MOST_TRIES)

    @cached_property
    def compared(self) -> Room:
        """How often a part of a path may still be compared with what a step copies."""
        return Room(MOST_COMPARED)

    @cached_property
    def global_values(self) -> dict[str, str]:
        """What the ARGs before the first FROM are worth."""
        return stages.global_values(self.read, self.build_args)

    @cached_property
    def _walked(self) -> dict[int, tuple[tuple[Step, ...], Ending]]:
        """Each stage's own steps, and its ending."""
        walked = {}
        for stage in self.read.stages:
            source = self.links[stage.index][0].source
            before = walked[source][1] if source is not None and source in walked else Ending()
            triggers = stages.triggers_of(self.read, source)
            own = [found for found in stage.instructions if found.keyword != "ONBUILD"]
            walked[stage.index] = _walk(self, stage, [*triggers, *own], before)
        return walked

    def own_steps(self, stage: Stage) -> tuple[Step, ...]:
        """Return the steps of this stage alone, those that a base's ONBUILD adds first."""
        return self._walked[stage.index][0]

    def steps(self, stage: Stage) -> tuple[Step, ...]:
        """Return the steps of a stage and of what it is based on."""
        return tuple(step for each in self.lineage(stage) for step in self.own_steps(each))

    @cached_property
    def final_steps(self) -> tuple[Step, ...]:
        return self.steps(self.target)

    @cached_property
    def filling_steps(self) -> tuple[Step, ...]:
        """The steps whose files are all in the final stage."""
        filling = self.filling(self.target)
        return (*(self.steps(filling) if filling else ()), *self.final_steps)

    @cached_property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps of all stages that a build runs."""
        return tuple(step for stage in self.needed for step in self.own_steps(stage))

    @property
    def ending(self) -> Ending:
        return self._walked[self.target.index][1]

    def fetches(self, step: Step) -> tuple[Fetch, ...]:
        """Return what a step takes from other stages: by COPY, or from a mount by a cp or install.

        What a program reads from a mount in other ways is not known.
        """
        if step.keyword == "COPY" and step.origin:
            stage = self._named(step, "COPY", step.origin)
            sources = tuple(absolute("/", path) for path in step.sources)
            return (Fetch(stage, sources, step.destination),) if stage else ()
        found = []
        for mount in step.mounts if step.keyword == "RUN" else ():
            stage = self._named(step, "MOUNT", mount.get("from", ""))
            if stage and mount["type"] == "bind" and mount.get("target"):
                found += [Fetch(stage, *taken) for taken in _taken_from(step, mount)]
        return tuple(found)

    def _named(self, step: Step, kind: str, reference: str) -> Stage | None:
        """The stage that a COPY or a mount names; None for an image or the context."""
        for link in self.links[step.stage.index]:
            if (link.kind, link.line, link.reference) == (kind, step.line, reference):
                return None if link.source is None else self.read.stages[link.source]
        return None

    @cached_property
    def arrivals(self) -> tuple[Arrival, ...]:
        """Every step whose results ship: those of the final stage, and by COPY --from of others."""
        waiting, seen, found = [(self.target, "/")], set(), []
        while waiting and len(found) < MOST_ARRIVALS:
            stage, path = waiting.pop(0)
            if (stage.index, path) in seen:
                continue
            seen.add((stage.index, path))
            for step in self.steps(stage):
                found.append(Arrival(step, path, stage))
                for fetch in self.fetches(step):
                    waiting += [(fetch.stage, part) for part in taken(fetch, path)]
        return tuple(found)

    def ships(self, step: Step, path: str) -> bool:
        """Return whether what `step` put at `path` comes into the final image, all of it."""
        return any(arrival.step == step and under(path, arrival.path) for arrival in self.arrivals)

    @cached_property
    def strips(self) -> tuple[Command, ...]:
        """The commands that strip programs."""
        commands = (command for step in self.all_steps for command in step.commands)
        return tuple(c for c in commands if c.program.endswith(("strip", "upx")))

    @cached_property
    def shipping(self) -> frozenset[Step]:
        """Steps of which something may ship."""
        return frozenset(arrival.step for arrival in self.arrivals)


def _walk(
    subject: Subject, stage: Stage, instructions: list[Instruction], before: Ending
) -> tuple[tuple[Step, ...], Ending]:
    escape, values = subject.read.escape, before.values
    user = before.user.instruction.value if before.user else ""
    workdir, last, steps, declared = before.workdir, {}, [], frozenset()
    for instruction in instructions:
        step = Step(stage, instruction, workdir, user, escape, values, declared, subject.room)
        steps.append(step)
        keyword = instruction.keyword
        if keyword in ("ENV", "ARG"):
            # All of one instruction are given the values from before it.
            values = values | dict(_assigned(subject, instruction, values))
            if keyword == "ARG":
                declared |= {name for name, _ in _pairs(instruction, escape)}
        elif keyword == "WORKDIR":
            workdir = absolute(workdir, step.expand(instruction.value))
        elif keyword in ("USER", "ENTRYPOINT", "CMD", "SHELL"):
            user = instruction.value if keyword == "USER" else user
            last[keyword.lower()] = step
    kept = {"user": before.user, "entrypoint": before.entrypoint, "cmd": before.cmd}
    kept |= {"shell": before.shell} | last
    environment = {name: values[name] for name in _exported(steps) if name in values}
    return tuple(steps), Ending(**kept, workdir=workdir, values=before.values | environment)


def _exported(steps: list[Step]) -> set[str]:
    """The names that ENV sets: an ARG ends with its stage."""
    return {name for step in steps if step.keyword == "ENV" for name, _ in pairs_of(step)}


def pairs_of(step: Step) -> list[tuple[str, str | None]]:
    """Return (name, value as written) of an ENV, ARG or LABEL; None if an ARG has no default."""
    return _pairs(step.instruction, step.escape)


def _pairs(instruction: Instruction, escape: str) -> list[tuple[str, str | None]]:
    words = split_words(instruction.value, escape)
    if instruction.keyword != "ARG" and words and "=" not in words[0]:
        name, *rest = GAP.split(instruction.value, maxsplit=1)
        return [(name, rest[0] if rest else "")]
    parts = [word.partition("=") for word in words]
    return [(name, value if equals else None) for name, equals, value in parts]


def _assigned(
    subject: Subject, instruction: Instruction, values: dict[str, str]
) -> Iterator[tuple[str, str]]:
    for name, value in _pairs(instruction, subject.read.escape):
        if instruction.keyword == "ARG" and name in subject.build_args:
            yield name, subject.build_args[name]
        elif value is not None:
            escape, line = subject.read.escape, instruction.line
            yield name, expand(value, values, escape, line, subject.room)
        elif found := subject.global_values.get(name):
            yield name, found


def expand(text: str, values: Mapping[str, str], escape: str, line: int | None, room: Room) -> str:
    """Put known variables into `text`, without quotes; leave it if it cannot be read.

    DockerfileError where they are too large.
    """
    try:
        return Lexer(text, values, escape=escape, room=room).string()
    except TooLarge as large:
        raise stages.too_large(large, line) from None
    except (BadWord, RecursionError):
        return text


def absolute(workdir: str, path: str) -> str:
    """Return a path in an image, made absolute and plain."""
    joined = posixpath.normpath(posixpath.join(workdir, path))
    return joined if joined.startswith(("/", "$")) else f"/{joined}"


def under(path: str, folder: str) -> bool:
    """Return whether `path` is `folder` or inside it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def taken(fetch: Fetch, path: str) -> Iterator[str]:
    """Yield the paths of the source stage that a step brings under `path`."""
    into = fetch.into
    for origin in fetch.sources:
        if under(into, path):
            yield origin
        elif under(path, into):
            rest = path[len(into.rstrip("/")) :]
            yield origin.rstrip("/") + rest
            if rest.split("/")[1] == origin.rpartition("/")[2]:
                yield absolute("/", "/".join([origin, *rest.split("/")[2:]]))


_COPYING = ("cp", "install", "mv", "ln", "rsync")


def _taken_from(step: Step, mount: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What the commands of a RUN copy from a mount: paths of its source, and where they go."""
    target, source = absolute(step.workdir, mount["target"]), mount.get("source", "/")
    for command in step.commands:
        if command.program in _COPYING and len(command.arguments) > 1:
            *given, into = (absolute(step.workdir, step.expand(p)) for p in command.arguments)
            inside = [path[len(target.rstrip("/")) :] for path in given if under(path, target)]
            if inside:
                paths = (absolute("/", f"{source}/{path}") for path in inside)
                yield tuple(path.partition("*")[0].rstrip("/") or "/" for path in paths), into


def usable_args(read: Dockerfile, given: Mapping[str, str]) -> dict[str, str]:
    """Return the build arguments to read a Dockerfile with: `given`, and a usual platform.

    Where a base needs one that has no value, that is its own name. DockerfileError where a base
    names what is not declared.
    """
    arguments = PLATFORM | dict(given)
    for last in (False, True):
        values, room = stages.global_values(read, arguments), Room()
        for stage in read.stages:
            found = stages.expanded(stage.base, values, read.escape, stage.line, room)
            if _REFERENCE.fullmatch(found):
                continue
            if last:
                hint = "declare its arguments with ARG before the first FROM"
                problem = f"{shortened(stage.base)} expands to {shortened(found)!r}"
                raise fail(stage.line, f"{problem}, not an image name", hint=hint)
            unset = [name for name in _NAMES.findall(stage.base) if not values.get(name)]
            arguments |= {name: f"${{{name}}}" for name in unset}
    return arguments
