"""Why a build ran steps again: what the last two successful builds of a Dockerfile were given.

The engine says which steps ran and not why. So each build keeps in this lab's own folder what it
was given: the text, what files of the context contain (as digests), the Ids of its bases. The first
steps that ran again are those that need no other step that ran; what they read has changed.
"""

import hashlib
import json
import math
import os
import posixpath
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import get_args, get_origin, get_type_hints

import zstandard

from .. import engine, files
from ..buildkit import Glob, Step
from ..dockerfile import (
    BadWord,
    Dockerfile,
    Instruction,
    Lexer,
    Link,
    Sources,
    Stage,
    links_of,
    parse,
    split_words,
)
from ..engine import journal
from ..errors import DockerfileError, ShipLightError, UsageError
from ..setup import PROGRAM
from ..units import format_seconds, in_one_line, one_line, visible_line
from .bases import Base

MOST_FILES, MOST_BYTES = 20_000, 500_000_000  # of a context that is compared
MOST_NAMED = 3
_KEYED = ("RUN", "COPY", "ADD", "WORKDIR", "ENV", "ARG", "USER", "SHELL")  # what later steps need
_VARIABLE = re.compile(r"\$\{?(\w+)")


@dataclass(frozen=True)
class Inputs:
    """What a build was given. `files` has digests by path; None where `unread` says why.

    `bases` has the Ids of images by the reference that the Dockerfile names; `build_args` digests.
    `platform` is what was asked for, if anything was.
    """

    when: float
    text: str
    build_args: dict[str, str]
    bases: dict[str, str]
    files: dict[str, str] | None
    platform: str | None = None
    no_cache: bool = False
    unread: str = ""


@dataclass(frozen=True)
class _Ran:
    """One step of a build, as it is kept; `own` steps are those of the Dockerfile."""

    line: int | None
    instruction: str
    cached: bool
    seconds: float | None
    digest: str
    inputs: list[str]
    own: bool


@dataclass(frozen=True)
class _Kept:
    """What the last build was given and did, and what the one before was given."""

    before: Inputs | None
    now: Inputs
    steps: list[_Ran]


@dataclass(frozen=True)
class Reason:
    """Why one step ran that needs no other step that ran, and how many had to run after it."""

    line: int
    instruction: str
    why: str
    after: int

    def __str__(self) -> str:
        rest = f"; {self.after} step{'s' * (self.after > 1)} that need it ran, too"
        text = one_line(self.instruction, 60)
        return f"line {self.line}, `{text}`, ran: {self.why}{rest * bool(self.after)}"


@dataclass(frozen=True)
class Why:
    """Why the last successful build of a Dockerfile ran steps: a reason for each that ran first.

    `ran` of its `steps` were not in the cache.
    """

    name: str
    reasons: tuple[Reason, ...]
    ran: int
    steps: int
    seconds: float
    first: bool = field(default=False)

    @in_one_line
    def __repr__(self) -> str:
        return f"Why {self.name}  {self.ran} of {self.steps} steps ran, {len(self.reasons)} first"

    def sentences(self) -> list[str]:
        """Return what to say of it, in the order of the Dockerfile."""
        if not self.steps:
            return ["it has no steps that the cache could have"]
        if not self.ran:
            return [f"all {self.steps} steps came from the cache"]
        said = [f"{self.ran} of {self.steps} steps ran, for {format_seconds(self.seconds)}"]
        if self.first:
            return [*said, "there is no earlier build of it here to compare with"]
        return said + [str(reason) for reason in self.reasons]

    def by_line(self) -> dict[int, tuple[str, ...]]:
        """Return the reasons for the margin of the Dockerfile; none after a first build."""
        return {} if self.first else {one.line: (one.why,) for one in self.reasons}

    def to_dict(self) -> dict:
        """Return it as JSON holds it."""
        return {**asdict(self), "reasons": [asdict(one) for one in self.reasons]}


# --- keeping ------------------------------------------------------------------------------------


def inputs_of(
    client,
    text: str,
    sources: Sources,
    bases: tuple[Base, ...],
    build_args: Mapping[str, str],
    *,
    platform: str | None = None,
    no_cache: bool = False,
) -> Inputs:
    """Return what a build is given, with a digest of every file; what cannot be read is unknown."""
    ids, digests, unread = {}, None, ""
    with suppress(ShipLightError):
        ids = {base.reference: engine.id_of(client, base.used) or "" for base in bases}
    try:
        context = sources.context()
        if len(context.entries) > MOST_FILES or context.unpacked_bytes > MOST_BYTES:
            unread = "the context is too large to be compared"
        else:
            digests = context.digests()
    except (ShipLightError, OSError):
        unread = "not all of the context could be read"
    arguments = {name: _digest(value) for name, value in build_args.items()}
    return Inputs(time.time(), text, arguments, ids, digests, platform, no_cache, unread)


def keep(place: str, given: Inputs, steps: tuple[Step, ...]) -> None:
    """Keep what the build of this place was given and did, beside what the one before was given.

    A lab whose folder cannot be written keeps nothing.
    """
    last = _kept(place)
    ran = [
        _Ran(
            one.line, one.instruction, one.cached, one.seconds, one.digest, list(one.inputs),
            one.stage is not None,
        )
        for one in steps
    ]  # fmt: skip
    kept = _Kept(last and last.now, given, ran)
    with suppress(ShipLightError, OSError):
        packed = zstandard.compress(json.dumps(asdict(kept)).encode())
        files.write(journal.cache("given") / _name(place), packed, private=True)


def place_of(folder: Path, dockerfile: str, tag: str) -> str:
    """Return what is the same for all builds of one Dockerfile under one name."""
    return "\0".join([os.path.realpath(folder / dockerfile), tag])


def _name(place: str) -> str:
    return hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()[:32] + ".json.zst"


def _kept(place: str) -> _Kept | None:
    """What the last successful build kept, if it is as `keep` wrote it; else None."""
    try:
        packed = files.read(journal.path("given") / _name(place))
        if zstandard.frame_content_size(packed) > files.MOST_BYTES:
            return None
        kept = _typed(_Kept, json.loads(zstandard.decompress(packed)))
        read, *_ = [parse(given.text) for given in (kept.now, kept.before) if given]
        are_whole = all(_is_whole(one, read) for one in kept.steps)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    except (ShipLightError, zstandard.ZstdError):
        return None
    return kept if are_whole else None


def _is_whole(step: _Ran, read: Dockerfile) -> bool:
    """Whether a step has a line of a stage, if any, and a number of seconds, if any."""
    has_line = step.line is None or read.stage_at(step.line) is not None
    return has_line and 0 <= (step.seconds or 0) < journal.MOST_SECONDS


def _typed(kind, value):
    """A value of JSON as a dataclass, or as what the fields of one are. Raises TypeError."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value is None and NoneType in kinds:
        return None
    outer, inner = get_origin(kinds[0]) or kinds[0], get_args(kinds[0])
    if is_dataclass(outer):
        fields = get_type_hints(outer)
        return outer(**{name: _typed(fields[name], value[name]) for name in value})
    if not isinstance(value, int | float if outer is float else outer):
        raise TypeError(f"expected {outer.__name__}, found {type(value).__name__}")
    if outer is list:
        return [_typed(inner[0], one) for one in value]
    if outer is dict:
        return {name: _typed(inner[1], one) for name, one in value.items()}
    return value


def _digest(text: str) -> str:
    return hashlib.sha256(str(text).encode(errors="surrogateescape")).hexdigest()[:16]


# --- comparing ----------------------------------------------------------------------------------


def why(place: str, name: str, mask: Callable[[str], str]) -> Why:
    """Return why the last successful build of a place ran what it ran. UsageError before any.

    `mask` removes secrets from texts of the Dockerfile, while they are whole.
    """
    kept = _kept(place)
    if kept is None:
        raise UsageError(
            f"no build of {name} was kept here.",
            hint=f"`{PROGRAM} build {name}`, then ask again after the next build",
        )
    two = kept.before and _two(kept.now, kept.before, mask)
    froms = {stage.line for stage in parse(kept.now.text).stages}
    own = [one for one in kept.steps if one.own and one.line not in froms | {None}]
    ran = [one for one in own if not one.cached]
    needs = _needs(kept.steps)
    names = {one.digest for one in ran}
    first = sorted((one for one in ran if not needs[one.digest] & names), key=lambda one: one.line)
    reasons = tuple(
        Reason(
            one.line,
            mask(one.instruction),
            mask(_why(one.line, two)) if two else "",
            sum(one.digest in needs[other.digest] for other in ran),
        )
        for one in first
    )
    seconds = sum(one.seconds or 0 for one in ran)
    return Why(name, reasons, len(ran), len(own), seconds, first=two is None)


def _needs(steps: list[_Ran]) -> dict[str, set[str]]:
    """For each step, all that it needs, itself not included."""
    inputs = {one.digest: one.inputs for one in steps}
    found = {}
    for start in inputs:
        seen, waiting = set(), list(inputs[start])
        while waiting:
            digest = waiting.pop()
            if digest not in seen:
                seen.add(digest)
                waiting += inputs.get(digest, ())
        found[start] = seen - {start}
    return found


@dataclass(frozen=True)
class _Two:
    """Two builds of one Dockerfile to compare, and what its stages use, where that is known."""

    now: Inputs
    before: Inputs
    read: Dockerfile
    old: Dockerfile
    links: Mapping[int, list[Link]]
    mask: Callable[[str], str]

    def quoted(self, text: str) -> str:
        return f"`{one_line(self.mask(text), 60)}`"


def _two(now: Inputs, before: Inputs, mask: Callable[[str], str]) -> _Two:
    read, links = parse(now.text), {}
    with suppress(DockerfileError):  # a name has a build argument in it, and those are not kept
        links = links_of(read)
    return _Two(now, before, read, parse(before.text), links, mask)


def _why(line: int, two: _Two) -> str:
    """What changed of all that the step of this line needs, also in the stages that it uses."""
    if two.now.no_cache:
        return "the build was told to use no cache"
    stages, seen = [(two.read.stage_at(line), line)], set()
    while stages:
        stage, last = stages.pop(0)
        if stage.index in seen:
            continue
        seen.add(stage.index)
        used = [
            link
            for link in two.links.get(stage.index, ())
            if link.kind == "FROM" or last in (link.line, math.inf)
        ]
        step = next((one for one in stage.instructions if one.line == last), None)
        found = (
            _text_changed(stage, last, two)
            or _base_changed(used, two)
            or (step and _files_changed(step, two))
            or _argument_changed(stage, last, two)
            or _platform_changed(stage, last, two)
        )
        if found:
            return found
        sources = [link.source for link in used if link.source is not None]
        stages += [(two.read.stages[source], math.inf) for source in sources]
    return "nothing that it reads here changed, but its result was not in the cache"


def _text_changed(stage: Stage, line: float, two: _Two) -> str:
    was = next((one for one in two.old.stages if one.label == stage.label), None)
    if was is None and stage.index < len(two.old.stages):
        was = two.old.stages[stage.index]
    if was is None:
        return f"stage {stage.label} is new"
    if (stage.base, stage.platform) != (was.base, was.platform):
        platform = f"--platform={was.platform} " if was.platform else ""
        return f"line {stage.line} was {two.quoted(f'FROM {platform}{was.base}')}"
    used = _arguments(stage, line, two.read)
    all_now, all_then = _keyed(stage, used, two.read), _keyed(was, used, two.old)
    own = [one for one in all_now if one.line <= line]
    whole, olds = ([_text_of(one) for one in found] for found in (all_now, all_then))
    texts = whole[: len(own)]
    at = next((n for n, text in enumerate(texts) if olds[n : n + 1] != [text]), None)
    if at is None:
        is_cut = line == math.inf and len(olds) > len(texts)
        return f"{two.quoted(olds[len(texts)])} in {stage.label} is gone" if is_cut else ""
    at_line = own[at].line
    where = "it" if at_line == line else f"line {at_line}, {two.quoted(texts[at])},"
    if at >= len(olds) or (texts[at] not in olds and olds[at] in whole[at:]):
        return f"{where} is new"
    if texts[at] in olds[at:]:
        return f"{two.quoted(olds[at])} before it is gone"
    return f"{where} was {two.quoted(olds[at])}"


def _keyed(stage: Stage, used: set[str], read: Dockerfile) -> list[Instruction]:
    """What later steps of a stage need: the global ARGs with the names `used`, and its own."""
    given = [one for one in read.global_args if used & dict(_defaults(one, read)).keys()]
    return given + [one for one in stage.instructions if one.keyword in _KEYED]


def _arguments(stage: Stage, line: float, read: Dockerfile) -> set[str]:
    """The arguments that a stage declares up to a line, that its FROM uses, and those in these."""
    used = set(_VARIABLE.findall(f"{stage.base} {stage.platform}"))
    for one in stage.instructions:
        if one.keyword == "ARG" and one.line <= line:
            used |= dict(_defaults(one, read)).keys()
    for one in reversed(read.global_args):
        for name, default in reversed(_defaults(one, read)):
            used |= set(_VARIABLE.findall(default)) if name in used else set()
    return used


def _defaults(argument: Instruction, read: Dockerfile) -> list[tuple[str, str]]:
    """The names that an ARG declares, each with its default, or with an empty one."""
    words = (word.partition("=") for word in split_words(argument.value, read.escape))
    return [(name, default) for name, _, default in words]


def _text_of(one: Instruction) -> str:
    words = " ".join([one.keyword, *one.flags, one.value]).split()
    bodies = [repr(document) for document in one.heredocs]
    return " ".join([*words, *bodies])


def _base_changed(used: list[Link], two: _Two) -> str:
    for link in used:
        ids = [given.bases.get(link.reference) for given in (two.now, two.before)]
        if link.source is None and all(ids) and ids[0] != ids[1]:
            return f"{link.reference} is another image than it was"
    return ""


def _files_changed(step: Instruction, two: _Two) -> str:
    now, before = two.now, two.before
    patterns = list(_context_paths(step, two.read.escape))
    if not patterns:
        return ""
    if now.files is None or before.files is None:
        unread = now.unread or before.unread or "the context was not read"
        return f"perhaps its files changed: {unread}"
    seen = now.files.keys() | before.files.keys()
    changed = sorted(
        path
        for path in seen
        if now.files.get(path) != before.files.get(path)
        and any(_is_in(path, pattern) for pattern in patterns)
    )
    words = [f"{visible_line(path)} {_fate(path, now, before)}" for path in changed]
    more = len(words) - MOST_NAMED
    return ", ".join(words[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _fate(path: str, now: Inputs, before: Inputs) -> str:
    if path not in before.files:
        return "is new"
    return "changed" if path in now.files else "is gone"


def _context_paths(step: Instruction, escape: str) -> Iterator[str]:
    """The patterns of what a step reads of the context; "" is all of it."""
    if step.keyword == "RUN":
        for mount in step.mounts:
            if mount["type"] == "bind" and "from" not in mount:
                yield mount.get("source", "")
        return
    if any(flag.startswith("--from=") for flag in step.flags):
        return
    if step.keyword in ("COPY", "ADD"):
        words = list(step.json) if step.json is not None else step.value.split()
        yield from (_without_quotes(word, escape) for word in words[:-1])


def _without_quotes(word: str, escape: str) -> str:
    """A word as BuildKit reads it, except that variables stay as they are written."""
    try:
        return Lexer(word, escape=escape).string()
    except BadWord:
        return word


def _is_in(path: str, pattern: str) -> bool:
    """Whether a path of the context is what a pattern of COPY means, or below it."""
    wanted = posixpath.normpath(posixpath.join("/", pattern)).strip("/")
    if not wanted or "$" in wanted:
        return True
    if not set("*?[") & set(wanted):
        return path == wanted or path.startswith(f"{wanted}/")
    try:
        return Glob(wanted).matches("/".join(path.split("/")[: wanted.count("/") + 1]))
    except ValueError:
        return True


def _argument_changed(stage: Stage, line: float, two: _Two) -> str:
    now, before = two.now.build_args, two.before.build_args
    names = sorted(_arguments(stage, line, two.read) & (now.keys() | before.keys()))
    changed = [name for name in names if now.get(name) != before.get(name)]
    return f"the build argument {changed[0]} has another value" if changed else ""


def _platform_changed(stage: Stage, line: float, two: _Two) -> str:
    """Whether a stage for the target's platform, or one that asks for it, is for another one.

    A stage that begins from another stage is for the platform of that one.
    """
    if two.now.platform == two.before.platform:
        return ""
    begins_here = all(link.source is None for link in two.links.get(stage.index, ())[:1])
    names = _arguments(stage, line, two.read)
    if stage.platform is None and begins_here:
        names.add("TARGETPLATFORM")
    was = visible_line(two.before.platform or "the engine's own platform")
    return f"it was for {was} before" if any(n.startswith("TARGET") for n in names) else ""
