"""Dockerfiles, read as BuildKit reads them: instructions, stages, what each stage needs, and where.

The rules are those of BuildKit's own parser (moby/buildkit, frontend/dockerfile, 0.25), which the
tests compare with. `parse` refuses what BuildKit refuses to read; what only a build can find out (a
flag that some frontend lacks, a missing file) is not looked for.
"""

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from ..errors import DockerfileError
from .words import SPACE, BadWord, Lexer, split_words

_BUILDS = ("ADD", "ARG", "COPY", "ENV", "FROM", "ONBUILD", "RUN", "SHELL", "USER", "WORKDIR")
_STORES = ("CMD", "ENTRYPOINT", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "STOPSIGNAL")
KEYWORDS = (*_BUILDS, *_STORES, "VOLUME")
_KNOWN = {keyword.lower(): keyword for keyword in KEYWORDS}
_ARRAYS = ["ADD", "CMD", "COPY", "ENTRYPOINT", "HEALTHCHECK", "RUN", "SHELL", "VOLUME"]

_SPACES = re.compile(f"[{SPACE}]*")
GAP = re.compile(r"[\t\v\f\r ]+")
_DIRECTIVE = re.compile(
    rf"[{SPACE}]*#[{SPACE}]*([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*\Z"
)
_HEREDOC = re.compile(r"(\d*)<<(-?)[\t\n\f\r ]*([^<]+)", re.ASCII)
_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")


@dataclass(frozen=True)
class Heredoc:
    """One here-document: `content` as written, the tabs that `<<-` (`chomp`) drops still in it."""

    name: str
    content: str
    expand: bool
    chomp: bool


@dataclass(frozen=True)
class Instruction:
    """One instruction. `value` is what follows the flags; `trigger` is what an ONBUILD holds."""

    keyword: str
    value: str
    flags: tuple[str, ...]
    json: tuple[str, ...] | None
    heredocs: tuple[Heredoc, ...]
    line: int
    end_line: int
    original: str = field(repr=False)
    trigger: "Instruction | None" = None

    @property
    def mounts(self) -> tuple[dict[str, str], ...]:
        """The `--mount`s of a RUN by their keys: always with a `type`, and with a `target` if any.

        `src` is told as `source`, `dst` and `destination` as `target`; of two, the last counts. A
        key without a value is `true`.
        """
        return tuple(
            _mount(flag.removeprefix("--mount="))
            for flag in self.flags
            if self.keyword == "RUN" and flag.startswith("--mount=")
        )


def _mount(written: str) -> dict[str, str]:
    mount = {"type": "bind"}
    for part in written.split(","):
        key, equals, value = part.partition("=")
        key = key.strip().lower()
        mount[_SAME_KEYS.get(key, key)] = value if equals else "true"
    return mount


_SAME_KEYS = {"src": "source", "dst": "target", "destination": "target"}


@dataclass(frozen=True)
class Stage:
    """FROM up to the next FROM. `base` and `platform` are as written, `name` is in lower case."""

    index: int
    name: str | None
    base: str
    platform: str | None
    line: int
    from_instruction: Instruction = field(repr=False)
    instructions: tuple[Instruction, ...] = field(repr=False)

    @property
    def label(self) -> str:
        """The stage's name, or `stage-1` where it has none, as BuildKit prints it."""
        return self.name or f"stage-{self.index}"


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile that was read: its global ARGs, then its stages in order."""

    text: str = field(repr=False)
    escape: str
    syntax: str | None
    syntax_line: int | None
    global_args: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    def stage_at(self, line: int) -> Stage | None:
        """Return the stage that a line belongs to; None before the first FROM."""
        return next((stage for stage in reversed(self.stages) if stage.line <= line), None)


def fail(line: int | None, problem: str, *, hint: str = "") -> DockerfileError:
    where = "Dockerfile" if line is None else f"Dockerfile, line {line}"
    return DockerfileError(f"{where}: {problem}.", line=line, hint=hint)


def closest(word: str, known: list[str] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else ""


@dataclass(frozen=True)
class _Line:
    """An instruction's text with its continuation lines joined, and where each character was."""

    text: str
    places: tuple[int, ...]


def physical_lines(text: str) -> list[tuple[int, str]]:
    """Return (offset, text with its end) of each line, without a byte order mark."""
    lines = [(match.start(), match.group()) for match in re.finditer(r"[^\n]*\n|[^\n]+", text)]
    if text.startswith("\ufeff"):
        lines[0] = (1, lines[0][1][1:])
    return lines


def directives(lines: list[tuple[int, str]], start: int = 0) -> dict[str, tuple[int, str]]:
    """Return (line index, value) of each directive at the top; the first other line ends them."""
    found = {}
    for index, (_, line) in enumerate(lines[start:], start):
        match = _DIRECTIVE.match(line)
        if not match or (name := match[1].lower()) not in ("syntax", "escape", "check"):
            break
        if name in found:
            raise fail(index + 1, f"only one {name} parser directive can be used")
        found[name] = index, match[2]
    return found


def syntax_directive(lines: list[tuple[int, str]]) -> tuple[int, str] | None:
    """Return (line index, image) of the `# syntax=` in effect, which may follow a `#!` line."""
    start = 1 if lines and lines[0][1].startswith("#!") else 0
    index, value = directives(lines, start).get("syntax", (0, ""))
    return (index, value.split(" ")[0]) if value and lines[index][1].startswith("#") else None


def _escape(lines: list[tuple[int, str]]) -> str:
    index, value = directives(lines).get("escape", (0, "\\"))
    if value not in ("\\", "`"):
        raise fail(index + 1, f"invalid escape token '{value}' does not match ` or \\")
    return value


def _joined(lines: list[tuple[int, str]], index: int, escape: str) -> tuple[_Line | None, int]:
    """The instruction at line `index`, if one begins there, and the index of the line after it."""
    e = re.escape(escape)
    continued, first = re.compile(rf"(?<!{e}){e}[ \t]*\Z"), index
    joined, places, more = "", [], True
    while more and index < len(lines):
        start, line = lines[index]
        line = line.rstrip("\r\n")
        body = line[_SPACES.match(line).end() :]
        if index == first:
            start, line = start + len(line) - len(body), body
        index += 1
        if not body or body.startswith("#"):
            if index - 1 == first:
                return None, index
            continue
        end = continued.search(line)
        more, line = end is not None, line[: end.start()] if end else line
        joined += line
        places += range(start, start + len(line))
    return _Line(joined, tuple(places)), index


def _flag(line: str, at: int, escape: str) -> tuple[list[tuple[int, str]], int]:
    """The characters of the flag at `at`, unquoted, each with its place; and where it ends."""
    quote, found = "", []
    while at < len(line) and (quote or not _SPACES.fullmatch(line[at])):
        char = line[at]
        if char == escape:
            at += 1
            found += [(at, line[at])] if at < len(line) else []
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        else:
            found.append((at, char))
        at += 1
    return found, at


def parts(line: str, escape: str) -> tuple[str, list[list[tuple[int, str]]], int]:
    """Return (keyword, flags as `_flag` gives them, start of the value) of a joined line."""
    start = _SPACES.match(line).end()
    keyword = GAP.split(line[start:], 1)[0]
    flags, at = [], _SPACES.match(line, start + len(keyword)).end()
    while line.startswith("--", at):
        flag, at = _flag(line, at, escape)
        at = _SPACES.match(line, at).end()
        if len(flag) == 2:
            break
        flags.append(flag)
    return keyword, flags, at


def _strip(text: str) -> str:
    start = _SPACES.match(text).end()
    return text[start : len(text) - _SPACES.match(text[::-1]).end()]


def _no_constant(name: str):
    raise ValueError(f"{name} is not JSON")


def _array(keyword: str, value: str) -> tuple[str, ...] | None:
    """The JSON form's strings; None where this is not JSON, which makes it the shell form."""
    if keyword == "HEALTHCHECK":
        value = [*re.split(f"[{SPACE}]+", value, maxsplit=1), ""][1]
    if keyword not in _ARRAYS or not value.startswith("["):
        return None
    try:
        found = json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in found):
        raise BadWord("when using JSON array syntax, arrays must be comprised of strings only")
    return tuple(found)


def _heredocs(line: str) -> list[Heredoc]:
    """The here-documents that an instruction announces, their contents still empty."""
    if "<<" not in line:
        return []
    try:
        words = Lexer(line, quotes=True, escapes=True).words()
    except (BadWord, RecursionError):
        return []
    found = []
    for match in filter(None, map(_HEREDOC.fullmatch, words)):
        name = Lexer(match[3]).words()
        if len(name) == 1:
            raw = Lexer(match[3], quotes=True).string()
            expand = sum(map(raw.count, "'\"")) == sum(map(name[0].count, "'\""))
            found.append(Heredoc(name[0], "", expand, match[2] == "-"))
    return found


def _filled(
    heredocs: list[Heredoc], lines: list[tuple[int, str]], index: int
) -> tuple[list[Heredoc], int]:
    """The here-documents with their contents, and the index of the line after them."""
    filled = []
    for heredoc in heredocs:
        content = []
        while True:
            if index == len(lines):
                raise BadWord(f"unterminated heredoc: no line says {heredoc.name}")
            line = lines[index][1]
            index += 1
            bare = line.rstrip("\r\n")
            if (bare.lstrip("\t") if heredoc.chomp else bare) == heredoc.name:
                break
            content.append(line)
        filled.append(replace(heredoc, content="".join(content)))
    return filled, index


def _pairs_problem(keyword: str, value: str, escape: str) -> str:
    """What is wrong with an ENV or LABEL that sets something; nothing says ''."""
    words = split_words(value, escape)
    if words and "=" not in words[0]:
        return "" if GAP.search(value) else f"{keyword} must have two arguments"
    odd = [word for word in words if "=" not in word]
    if odd:
        return f'syntax error: can\'t find = in "{odd[0]}", must be of the form name=value'
    return ""


def _problem(instruction: Instruction, escape: str) -> str:
    """Why BuildKit would not take the instruction, in its words; '' where it would."""
    keyword, value = instruction.keyword, instruction.value
    if keyword not in KEYWORDS:
        return f"unknown instruction: {keyword}"
    if keyword in ("COPY", "ADD"):
        given = GAP.split(value) if instruction.json is None else instruction.json
        return f"{keyword} requires at least two arguments" if len(given) < 2 else ""
    if keyword == "FROM":
        words = GAP.split(value)
        if not value or (len(words) != 1 and (len(words) != 3 or words[1].lower() != "as")):
            return "FROM requires either one or three arguments"
        if len(words) == 3 and not _STAGE_NAME.fullmatch(words[2].lower()):
            return f'invalid name for build stage: "{words[2]}"'
    if keyword in ("WORKDIR", "USER", "STOPSIGNAL", "MAINTAINER") and not value:
        return f"{keyword} requires exactly one argument"
    if keyword not in ("RUN", "CMD", "ENTRYPOINT") and not value:
        return f"{keyword} requires at least one argument"
    if keyword == "SHELL" and not instruction.json:
        return "SHELL requires the arguments to be in JSON form"
    if keyword in ("ARG", "ENV", "LABEL"):
        words = split_words(value, escape)
        pairs = keyword == "ARG" or "=" in words[0]
        blank = pairs and any(word.startswith("=") for word in words)
        return f"{keyword} names can not be blank" if blank else ""
    if keyword == "ONBUILD" and instruction.trigger.keyword in ("FROM", "MAINTAINER"):
        return f"{instruction.trigger.keyword} isn't allowed as an ONBUILD trigger"
    return ""


def _instruction(text: str, escape: str) -> Instruction:
    """The instruction in a joined line: still without here-documents and line numbers."""
    word, flags, at = parts(text, escape)
    keyword, value = _KNOWN.get(word.lower(), word), _strip(text[at:])
    if keyword in ("ENV", "LABEL") and (problem := _pairs_problem(keyword, value, escape)):
        raise BadWord(problem)
    trigger = None
    if keyword == "ONBUILD" and value:
        if re.match(rf"onbuild(?:[{SPACE}]|\Z)", value, re.IGNORECASE):
            raise BadWord("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
        trigger = _instruction(value, escape)
    plain = tuple("".join(char for _, char in flag) for flag in flags)
    return Instruction(keyword, value, plain, _array(keyword, value), (), 0, 0, text, trigger)


@lru_cache(maxsize=8)
def instructions_of(text: str) -> tuple[tuple[Instruction, _Line], ...]:
    """Return each instruction of a Dockerfile, with its joined line."""
    return tuple(_instructions_of(text))


def _instructions_of(text: str) -> Iterator[tuple[Instruction, _Line]]:
    lines, index = physical_lines(text), 0
    escape = _escape(lines)
    while index < len(lines):
        start = index
        line, index = _joined(lines, index, escape)
        if line is None:
            continue
        try:
            found = _instruction(line.text, escape)
            inner, heredocs = found.trigger or found, []
            if inner.keyword in ("RUN", "COPY", "ADD") and inner.json is None:
                heredocs, index = _filled(_heredocs(line.text), lines, index)
        except BadWord as bad:
            raise fail(start + 1, str(bad)) from None
        original = "".join(line for _, line in lines[start:index]).rstrip("\r\n")
        place = {"line": start + 1, "end_line": index, "heredocs": tuple(heredocs)}
        trigger = found.trigger and replace(found.trigger, **place)
        found = replace(found, **place, original=original, trigger=trigger)
        if problem := _problem(found, escape):
            hint = "" if found.keyword in KEYWORDS else closest(found.keyword.upper(), KEYWORDS)
            raise fail(start + 1, problem, hint=hint)
        yield found, line


def _option(instruction: Instruction, name: str) -> str | None:
    prefix = f"--{name}="
    return next((f[len(prefix) :] for f in instruction.flags if f.startswith(prefix)), None)


def _stage(index: int, instructions: list[Instruction]) -> Stage:
    first, *rest = instructions
    words = GAP.split(first.value)
    name = words[2].lower() if len(words) == 3 else None
    platform = _option(first, "platform")
    return Stage(index, name, words[0], platform, first.line, first, tuple(rest))


def parse(text: str) -> Dockerfile:
    """Parse the Dockerfile in `text`. Raises DockerfileError if BuildKit would reject it."""
    lines = physical_lines(text)
    syntax = syntax_directive(lines)
    instructions = [instruction for instruction, _ in instructions_of(text)]
    if not instructions:
        raise fail(None, "file with no instructions", hint="begin with a FROM")
    starts = [i for i, found in enumerate(instructions) if found.keyword == "FROM"]
    first = starts[0] if starts else len(instructions)
    for found in instructions[:first]:
        if found.keyword != "ARG":
            problem = f"{found.keyword} is before the first FROM, where only ARG is allowed"
            raise fail(found.line, problem, hint="no build stage in current context")
    if not starts:
        raise fail(None, "there is no FROM, so there are no stages to build")
    ends = [*starts[1:], len(instructions)]
    return Dockerfile(
        text=text,
        escape=_escape(lines),
        syntax=syntax and syntax[1],
        syntax_line=syntax and syntax[0] + 1,
        global_args=tuple(instructions[:first]),
        stages=tuple(
            _stage(i, instructions[start:end])
            for i, (start, end) in enumerate(zip(starts, ends, strict=True))
        ),
    )
