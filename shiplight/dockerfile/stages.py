"""Stages of a Dockerfile: what a build of one needs, which images, and what becomes a step.

Images are replaced in the text that is sent (`map_images`), never on disk; lines keep their
numbers, so that a step can be traced to its line (`line_of_step`).
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import DockerfileError
from ..units import shortened
from .parser import (
    GAP,
    Dockerfile,
    Instruction,
    Stage,
    closest,
    directives,
    fail,
    instructions_of,
    parts,
    physical_lines,
    syntax_directive,
)
from .words import MOST_CHARS, BadWord, Lexer, Room, TooLarge, split_words

STEPS = ("RUN", "COPY", "ADD", "WORKDIR")
PLATFORM_ARGS = frozenset(
    f"{side}{part}"
    for side in ("BUILD", "TARGET")
    for part in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
) | {"TARGETSTAGE"}
_STEP = re.compile(r"\[(?:\S+/\S+ )?(?:([^\s/\]]+) )? *(\d+)/(\d+)\] (?:LINK )?(.*)", re.DOTALL)


@dataclass(frozen=True)
class ImageUse:
    """An image from outside that a stage uses: by a FROM, a COPY --from, or a RUN --mount."""

    reference: str
    kind: str
    stage: int
    line: int
    platform: str | None


@dataclass(frozen=True)
class Link:
    """A stage's use of an earlier stage (`source`), or of an image from outside (None).

    `kind` is FROM, COPY or MOUNT; the first link of a stage is its FROM.
    """

    kind: str
    reference: str
    source: int | None
    line: int


def expanded(
    text: str,
    values: Mapping[str, str],
    escape: str,
    line: int | None = None,
    room: Room | None = None,
) -> str:
    """Return `text` as a FROM would read it with these values: put in, and without quotes.

    The automatic platform arguments stay as written unless `values` has them. DockerfileError
    where BuildKit cannot process it, or where it becomes too large.
    """
    try:
        return Lexer(
            text, values, escape=escape, keep=PLATFORM_ARGS.__contains__, room=room
        ).string()
    except TooLarge as large:
        raise too_large(large, line) from None
    except (BadWord, RecursionError) as bad:
        problem = f"failed to process {shortened(text)!r}: {shortened(str(bad))}"
        raise fail(line, problem) from None


def too_large(large: TooLarge, line: int | None) -> DockerfileError:
    """Return the error for a line whose variables cannot be put in."""
    hint = f"no program can be given a variable of over {MOST_CHARS:,} characters"
    return fail(line, str(large), hint=hint)


def global_values(
    dockerfile: Dockerfile, build_args: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return what the ARGs before the first FROM are worth, in this build."""
    given, room = build_args or {}, Room()
    values = {name: value for name, value in given.items() if name in PLATFORM_ARGS}
    for instruction in dockerfile.global_args:
        for word in split_words(instruction.value, dockerfile.escape):
            name, equals, default = word.partition("=")
            if name in given:
                values[name] = given[name]
            elif equals:
                line = instruction.line
                values[name] = expanded(default, values, dockerfile.escape, line, room)
    return values


def resolve(dockerfile: Dockerfile, text: str, build_args: Mapping[str, str] | None = None) -> str:
    """Return `text` as a FROM reads it: with the global ARGs put in, and without quotes.

    The automatic platform arguments stay as written unless `build_args` has them.
    """
    return expanded(text, global_values(dockerfile, build_args), dockerfile.escape)


def _from_spans(keyword: str, flag: str) -> list[tuple[int, int]]:
    """Where in a flag of COPY, ADD or RUN the name of a stage or of an image stands."""
    if keyword in ("COPY", "ADD") and flag.startswith("--from="):
        return [(len("--from="), len(flag))]
    if keyword != "RUN" or not flag.startswith("--mount="):
        return []
    return [match.span(1) for match in re.finditer(r"(?i)(?<=[=,])from=([^,]+)", flag)]


def _source(dockerfile: Dockerfile, keyword: str, reference: str, line: int) -> int | None:
    """The stage that a COPY --from or a RUN --mount names: the last of that name, or by index."""
    if "$" in reference[:-1]:
        flag = "--mount from=" if keyword == "RUN" else "--from="
        hint = "name a stage with FROM and an ARG, and copy from that stage"
        raise fail(line, f"variables are not expanded in {flag}{reference}", hint=hint)
    if keyword != "RUN" and re.fullmatch(r"[+-]?\d+", reference, re.ASCII):
        if not 0 <= int(reference[:9]) < len(dockerfile.stages):
            raise fail(line, f"invalid stage index {reference}")
        return int(reference)
    names = {stage.name: stage.index for stage in dockerfile.stages if stage.name}
    return names.get(reference.lower())


def triggers_of(dockerfile: Dockerfile, base: int | None) -> list[Instruction]:
    """Return what the ONBUILDs of a base stage run in the stage that begins from it."""
    instructions = dockerfile.stages[base].instructions if base is not None else ()
    return [found.trigger for found in instructions if found.trigger]


def links_of(
    dockerfile: Dockerfile, build_args: Mapping[str, str] | None = None
) -> dict[int, list[Link]]:
    """Return what each stage uses, in order of its instructions; later stages are not refused."""
    values, names, links, room = global_values(dockerfile, build_args), {}, {}, Room()
    for stage in dockerfile.stages:
        base = expanded(stage.base, values, dockerfile.escape, stage.line, room)
        if not base:
            hint = "give its ARG a default before the first FROM, or pass the build argument"
            raise fail(stage.line, f"base name ({stage.base}) should not be blank", hint=hint)
        used = links[stage.index] = [Link("FROM", base, names.get(base), stage.line)]
        for found in [*triggers_of(dockerfile, names.get(base)), *stage.instructions]:
            kind = "MOUNT" if found.keyword == "RUN" else "COPY"
            for flag in found.flags:
                for start, end in _from_spans(found.keyword, flag):
                    source = _source(dockerfile, found.keyword, flag[start:end], found.line)
                    used.append(Link(kind, flag[start:end], source, found.line))
        if stage.name:
            names[stage.name] = stage.index
    return links


def _reach(links: dict[int, list[Link]], start: int, *, bases: bool = True) -> set[int]:
    """The stages that `start` needs, itself included; without `bases`, not by way of FROM."""
    found, waiting = set(), [start]
    while waiting:
        stage = waiting.pop()
        if stage not in found:
            found.add(stage)
            used = [link for link in links[stage] if bases or link.kind != "FROM"]
            waiting += [link.source for link in used if link.source is not None]
    return found


def _refuse_later(dockerfile: Dockerfile, links: dict[int, list[Link]], stages: set[int]) -> None:
    """DockerfileError where stages go round in a circle, or one of `stages` uses a later one."""
    later = [
        (dockerfile.stages[stage], link)
        for stage, used in links.items()
        for link in used
        if link.source is not None and link.source >= stage
    ]
    for stage, link in later:
        if stage.index in _reach(links, link.source, bases=False):
            raise fail(link.line, f"circular dependency detected on stage: {stage.label}")
    for stage, link in later:
        if stage.index in stages:
            verb = "mount" if link.kind == "MOUNT" else "copy"
            raise fail(
                link.line,
                f'cannot {verb} from stage "{link.reference}", it needs to be defined before'
                f' current stage "{stage.label}"',
                hint="move that stage up",
            )


def stage_of(dockerfile: Dockerfile, target: str | int | None = None) -> Stage:
    """Return the stage of that name (in any case) or index; the last one without a target."""
    if target is None or target == "":
        return dockerfile.stages[-1]
    wanted = str(target).lower()
    for stage in reversed(dockerfile.stages):
        if wanted in (stage.name, str(stage.index)):
            return stage
    known = ", ".join(stage.name or str(stage.index) for stage in dockerfile.stages)
    problem = f'target stage "{target}" could not be found; the stages are {known}'
    names = [stage.name for stage in dockerfile.stages if stage.name]
    raise fail(None, problem, hint=closest(wanted, names))


def name_of(dockerfile: Dockerfile, target: str | int | None) -> str | None:
    """Return the name by which BuildKit finds the target; None for the last stage.

    DockerfileError where the target has no name of its own, and another stage comes after it.
    """
    stage = stage_of(dockerfile, target)
    if stage is dockerfile.stages[-1]:
        return None
    if stage_of(dockerfile, stage.name) is not stage:
        problem = f"stage {stage.index} has no name of its own, and BuildKit builds by name only"
        raise fail(stage.line, problem, hint=f"give it one: FROM {stage.base} AS NAME")
    return stage.name


def stage_graph(
    dockerfile: Dockerfile, build_args: Mapping[str, str] | None = None
) -> dict[int, tuple[int, ...]]:
    """For each stage, the stages that it uses directly, in order."""
    links = links_of(dockerfile, build_args)
    _refuse_later(dockerfile, links, set(links))
    return {
        stage: tuple(sorted({link.source for link in used} - {None}))
        for stage, used in links.items()
    }


def needed_stages(
    dockerfile: Dockerfile,
    target: str | int | None = None,
    build_args: Mapping[str, str] | None = None,
) -> tuple[Stage, ...]:
    """Return the stages that a build of `target` runs, in the order of the Dockerfile."""
    links = links_of(dockerfile, build_args)
    needed = _reach(links, stage_of(dockerfile, target).index)
    _refuse_later(dockerfile, links, needed)
    return tuple(stage for stage in dockerfile.stages if stage.index in needed)


def platforms_of(
    dockerfile: Dockerfile, values: Mapping[str, str], target: str | int | None = None
) -> dict[Stage, str]:
    """Return the platform of each stage that a build of `target` runs.

    `values` has the build arguments and the automatic ones. A stage that begins from another stage
    is for the platform of that one, and any other one, unless its FROM says, for TARGETPLATFORM.
    """
    links, known = links_of(dockerfile, values), global_values(dockerfile, values)
    found: dict[int, str] = {}
    for stage in dockerfile.stages:
        said = stage.platform and expanded(stage.platform, known, dockerfile.escape, stage.line)
        source = links[stage.index][0].source
        found[stage.index] = said or found.get(source, values["TARGETPLATFORM"])
    return {stage: found[stage.index] for stage in needed_stages(dockerfile, target, values)}


def building_stages(
    dockerfile: Dockerfile,
    target: str | int | None = None,
    build_args: Mapping[str, str] | None = None,
) -> frozenset[int]:
    """Return the stages that build what the target's image gets, but whose layers it lacks.

    What one of them begins from counts with it. Where there are none, the stages that ship build.
    """
    links, last = links_of(dockerfile, build_args), stage_of(dockerfile, target).index
    needed = _reach(links, last)
    helpers = needed - _line_of_bases(links, last)
    builders = (_line_of_bases(links, stage) for stage in helpers or needed)
    return frozenset().union(*builders)


def _line_of_bases(links: dict[int, list[Link]], stage: int | None) -> frozenset[int]:
    """A stage, the stage that it begins from, and so on: where its layers come from."""
    found = set()
    while stage is not None:
        found.add(stage)
        stage = links[stage][0].source
    return frozenset(found)


def image_uses(
    dockerfile: Dockerfile,
    target: str | int | None = None,
    build_args: Mapping[str, str] | None = None,
) -> tuple[ImageUse, ...]:
    """Return the images from outside that a build of `target` uses, in order. `scratch` is none."""
    links, values = links_of(dockerfile, build_args), global_values(dockerfile, build_args)
    uses = []
    for stage in needed_stages(dockerfile, target, build_args=build_args):
        platform = stage.platform and expanded(
            stage.platform, values, dockerfile.escape, stage.line
        )
        for link in links[stage.index]:
            if link.source is None and link.reference != "scratch":
                place = platform if link.kind == "FROM" else None
                uses.append(ImageUse(link.reference, link.kind, stage.index, link.line, place))
    return tuple(uses)


# --- changing what is sent ----------------------------------------------------------------------


def _flag_references(text: str, escape: str, start: int = 0) -> Iterator[tuple[int, int, str]]:
    """(start, end, name) of each stage or image that the flags of a joined line name."""
    word, flags, at = parts(text[start:], escape)
    if word.upper() == "ONBUILD":
        yield from _flag_references(text, escape, start + at)
        return
    for flag in flags:
        plain = "".join(char for _, char in flag)
        for low, high in _from_spans(word.upper(), plain):
            if low < high:
                yield start + flag[low][0], start + flag[high - 1][0] + 1, plain[low:high]


def map_images(
    dockerfile: Dockerfile,
    mapping: Mapping[str, str],
    *,
    build_args: Mapping[str, str] | None = None,
    froms: Mapping[int, Mapping[str, str]] | None = None,
) -> str:
    """Return the text with images replaced: `mapping` maps resolved references to new ones.

    `froms` has, by stage, what goes before it in that stage's FROM.
    FROM, COPY --from and RUN --mount=from= are changed, in ONBUILD too; a stage's name, a comment
    and a here-document never. Every other character stays, and so does every line number.
    """
    bases = {
        used[0].line: (used[0], mapping | (froms or {}).get(stage, {}))
        for stage, used in links_of(dockerfile, build_args).items()
    }
    names = {stage.name for stage in dockerfile.stages}
    edits: dict[int, str] = {}
    for instruction, line in instructions_of(dockerfile.text):
        found = []
        base, new = bases.get(instruction.line, (None, mapping))
        if base:
            start = parts(line.text, dockerfile.escape)[2]
            end = start + len(GAP.split(instruction.value)[0])
            found = [(start, end, base.reference)] if base.source is None else []
        else:
            spans = _flag_references(line.text, dockerfile.escape)
            found = [span for span in spans if span[2].lower() not in names]
        for start, end, reference in found:
            if reference in new:
                cut = line.text[start:end]
                open_quote = "".join(quote for quote in "'\"" if cut.count(quote) % 2)
                edits |= dict.fromkeys(line.places[start:end], "")
                edits[line.places[end - 1]] = new[reference] + open_quote  # its last line stays
    return "".join(edits.get(place, char) for place, char in enumerate(dockerfile.text))


def with_names(dockerfile: Dockerfile) -> str:
    """Return the text with a name for each stage that has none, so that each can be a target.

    Every line keeps its number.
    """
    inserts = {}
    for instruction, line in instructions_of(dockerfile.text):
        stage = next((one for one in dockerfile.stages if one.line == instruction.line), None)
        if stage and stage.name is None and instruction.keyword == "FROM":
            name = f"stage-{stage.index}"  # what BuildKit calls it
            while name in dockerfile.text.lower():
                name += "-"
            end = line.places[len(line.text.rstrip()) - 1]
            inserts[end] = f" AS {name}"
    text = dockerfile.text
    return "".join(char + inserts.get(place, "") for place, char in enumerate(text))


def blank_syntax(dockerfile: Dockerfile | str) -> str:
    """Return the text without its `# syntax=`, with as many lines and the other directives.

    An empty line ends the directives, so it goes below the last of them, and they move up.
    """
    text = dockerfile if isinstance(dockerfile, str) else dockerfile.text
    lines = physical_lines(text)
    syntax = syntax_directive(lines)
    if syntax is None:
        return text
    start = 1 if lines[0][1].startswith("#!") else 0
    last = max(index for index, _ in directives(lines, start).values())
    bodies = [line.rstrip("\r\n") for _, line in lines]
    ends = [line[len(body) :] for (_, line), body in zip(lines, bodies, strict=True)]
    bodies.insert(last, bodies.pop(syntax[0]) and "")
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    return mark + "".join(body + end for body, end in zip(bodies, ends, strict=True))


# --- steps --------------------------------------------------------------------------------------


def step_instructions(
    stage: Stage,
    dockerfile: Dockerfile | None = None,
    *,
    build_args: Mapping[str, str] | None = None,
) -> tuple[Instruction, ...]:
    """Return the instructions that become BuildKit steps, in order, FROM first.

    BuildKit makes no step of `FROM scratch`, and none of a FROM that names a stage; the latter is
    known where the `dockerfile` is given.
    """
    base, source = stage.base, None
    if dockerfile is not None:
        link = links_of(dockerfile, build_args)[stage.index][0]
        base, source = link.reference, link.source
    pulled = base != "scratch" and source is None
    steps = tuple(found for found in stage.instructions if found.keyword in STEPS)
    return (stage.from_instruction, *steps) if pulled else steps


def line_of_step(dockerfile: Dockerfile, step_name: str) -> int | None:
    """Return the line of a BuildKit step such as `[build 2/5] RUN make`, or None.

    What the ONBUILDs of a base run has the line of the FROM. They come first, and only some of
    them count as steps, so where a stage has more steps than ours, the text decides.
    """
    match = _STEP.match(step_name)
    if not match:
        return None
    label, number, total, text = match[1], int(match[2]), int(match[3]), match[4]
    stages = [stage for stage in dockerfile.stages if stage.label == label]
    if not stages and label is None and len(dockerfile.stages) == 1:
        stages = dockerfile.stages
    if not stages:
        return None
    stage, keyword = stages[-1], text.split(" ", 1)[0].upper()
    if keyword in ("FROM", "ONBUILD"):
        return stage.line
    steps = [found for found in stage.instructions if found.keyword in STEPS]
    extra = total - len(steps)  # 1 for a FROM that is a step, more for the ONBUILDs of the base
    if number > total or extra < 0:
        return None
    ours = steps[max(0, number - 1 - extra) : number] if extra > 1 else steps[number - 1 - extra :]
    if number <= extra == 1 or not ours:
        return stage.line
    if extra <= 1:
        return ours[0].line
    best = max(ours, key=lambda found: _likeness(found, text))
    return best.line if number > extra or _likeness(best, text) > (True, 0.75) else stage.line


def _likeness(instruction: Instruction, text: str) -> tuple[bool, float]:
    """Whether a step's text has the instruction's keyword, and how much of the rest."""
    own = " ".join([instruction.keyword, *instruction.flags, instruction.value])
    alike = difflib.SequenceMatcher(None, own, text, autojunk=False).ratio()
    return text.upper().startswith(f"{instruction.keyword} "), alike
