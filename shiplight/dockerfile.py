"""Dockerfiles, read as BuildKit reads them: instructions, stages, what each stage needs, and where.

The rules are those of BuildKit's own parser (moby/buildkit, frontend/dockerfile, 0.25), which the
tests compare with. `parse` refuses what BuildKit refuses to read; what only a build can find out (a
flag that some frontend lacks, a missing file) is not looked for.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from .errors import DockerfileError

_BUILDS = ("ADD", "ARG", "COPY", "ENV", "FROM", "ONBUILD", "RUN", "SHELL", "USER", "WORKDIR")
_STORES = ("CMD", "ENTRYPOINT", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "STOPSIGNAL")
KEYWORDS = (*_BUILDS, *_STORES, "VOLUME")
_KNOWN = {keyword.lower(): keyword for keyword in KEYWORDS}
_ARRAYS = ["ADD", "CMD", "COPY", "ENTRYPOINT", "HEALTHCHECK", "RUN", "SHELL", "VOLUME"]
STEPS = ("RUN", "COPY", "ADD", "WORKDIR")
PLATFORM_ARGS = frozenset(
    f"{side}{part}"
    for side in ("BUILD", "TARGET")
    for part in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
) | {"TARGETSTAGE"}

# Go's idea of white space, in three sizes. Python's str.strip() takes \x1c to \x1f as well.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACES = re.compile(f"[{_SPACE}]*")
_GAP = re.compile(r"[\t\v\f\r ]+")
_DIRECTIVE = re.compile(
    rf"[{_SPACE}]*#[{_SPACE}]*([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*\Z"
)
_HEREDOC = re.compile(r"(\d*)<<(-?)[\t\n\f\r ]*([^<]+)", re.ASCII)
_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_STEP = re.compile(r"\[(?:\S+/\S+ )?(?:([^\s/\]]+) )? *(\d+)/(\d+)\] (?:LINK )?(.*)", re.DOTALL)


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


@dataclass(frozen=True)
class ImageUse:
    """An image from outside that a stage uses: by a FROM, a COPY --from, or a RUN --mount."""

    reference: str
    kind: str
    stage: int
    line: int
    platform: str | None


def _fail(line: int | None, problem: str, *, hint: str = "") -> DockerfileError:
    where = "Dockerfile" if line is None else f"Dockerfile, line {line}"
    return DockerfileError(f"{where}: {problem}.", line=line, hint=hint)


def _closest(word: str, known: list[str] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else ""


# --- words: quotes, escapes and variables -------------------------------------------------------


class _BadWord(ValueError):
    """Quotes or a substitution that do not close, or that BuildKit does not know."""


class _Lexer:
    """BuildKit's shell lexer. `keep(name)` says which unset variables stay as they are written;
    with `quotes` and `escapes`, those stay as well."""

    def __init__(
        self,
        text: str,
        values: Mapping[str, str] | None = None,
        *,
        escape: str = "\\",
        keep: Callable[[str], bool] = lambda name: True,
        quotes: bool = False,
        escapes: bool = False,
    ):
        self.text, self.at, self.values, self.escape = text, 0, values or {}, escape
        self.keep, self.quotes, self.escapes = keep, quotes, escapes

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def pieces(self, stop: str = "", escapes: bool | None = None) -> list[tuple[str, bool]]:
        """The text up to `stop`, in pieces, each with whether white space in it parts words."""
        before, self.escapes = self.escapes, self.escapes if escapes is None else escapes
        special = {"$": self.dollar, "'": self.single, '"': self.double, "<": self.arrow}
        found = []
        while (char := self.peek()) and char != stop:
            if char in special:
                found.append((special[char](), char == "$"))
            elif self.next() == self.escape:
                found.append(((char if self.escapes else "") + self.next(), False))
            else:
                found.append((char, True))
        if stop and not self.next():
            raise _BadWord(f"nothing closes it: {stop} is missing")
        self.escapes = before
        return found

    def string(self, stop: str = "", escapes: bool | None = None) -> str:
        return "".join(text for text, _ in self.pieces(stop, escapes))

    def words(self) -> list[str]:
        words = [""]
        for text, parts in self.pieces():
            first, *more = re.split(f"[{_SPACE}]", text) if parts else [text]
            words[-1] += first
            words += more
        return [word for word in words if word]

    def single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise _BadWord("nothing closes it: ' is missing")
        quoted, self.at = self.text[self.at : end + 1], end + 1
        return quoted if self.quotes else quoted[1:-1]

    def double(self) -> str:
        self.next()
        found = quote = '"' if self.quotes else ""
        while (char := self.peek()) != '"':
            if not char:
                raise _BadWord('nothing closes it: " is missing')
            if char == "$":
                found += self.dollar()
            elif self.next() != self.escape:
                found += char
            else:
                special = self.peek() in ('"', "$", self.escape)
                found += (char if self.escapes else "") + (self.next() if special else char)
        self.next()
        return found + quote

    def arrow(self) -> str:
        if not self.text.startswith("<<", self.at):
            return self.next()
        start, self.at = self.at, re.compile(r"<<[\t\r ]*").match(self.text, self.at).end()
        return self.text[start : self.at]

    def dollar(self) -> str:
        start = self.at
        self.next()
        if self.peek() != "{":
            name = self.name()
            if not name:
                return "$"
            unset = name not in self.values and self.keep(name)
            return self.text[start : self.at] if unset else self.values.get(name, "")
        self.next()
        if self.peek() in ("", "{", "}", ":"):
            raise _BadWord("bad substitution")
        name = self.name()
        found = self.substituted(name)
        unset = name not in self.values and self.keep(name)
        return self.text[start : self.at] if unset else found()

    def name(self) -> str:
        pattern = re.compile(r"\d+|[@*#?\-$!]|\w*")
        match = pattern.match(self.text, self.at)
        self.at = match.end()
        return match.group()

    def substituted(self, name: str) -> Callable[[], str]:
        """What will give the value of `${name…}`, read from after the name to the brace."""
        value, how = self.values.get(name), self.next()
        if how == "}":
            return lambda: value or ""
        if how == "/":
            return self.replaced(value or "")
        colon = how == ":"
        how = self.next() if colon else how
        if not how or (how in "#%" if colon else how not in "+-?#%"):
            raise _BadWord(f"unsupported modifier ({':' * colon}{how}) in substitution")
        word = self.string("}", escapes=how in "#%")
        missing = value is None or (colon and not value)
        return lambda: _substitution(name, how, value or "", word, missing)

    def replaced(self, value: str) -> Callable[[], str]:
        every = self.peek() == "/" and self.next()
        pattern, new = self.string("/", escapes=True), self.string("}", escapes=True)
        return lambda: re.sub(_glob(pattern), lambda _: new, value, count=0 if every else 1)


def _substitution(name: str, how: str, value: str, word: str, missing: bool) -> str:
    """`${name:-word}` and its relatives."""
    if how == "-":
        return word if missing else value
    if how == "+":
        return "" if missing else word
    if how == "?":
        if missing:
            raise _BadWord(f"{name}: {word or 'is not allowed to be unset or empty'}")
        return value
    if how not in "#%":
        raise _BadWord(f"unsupported modifier (:{how}) in substitution")
    greedy = word.startswith(how)
    pattern = re.compile(_glob(word[greedy:]), re.DOTALL)
    cuts = range(len(value) + 1)
    for cut in cuts if greedy == (how == "%") else reversed(cuts):
        if pattern.fullmatch(value[cut:] if how == "%" else value[:cut]):
            return value[:cut] if how == "%" else value[cut:]
    return value


def _glob(pattern: str) -> str:
    """A shell pattern as a regular expression."""
    wild = {"*": ".*", "?": "."}
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    return "".join(wild.get(part) or re.escape(part[-1]) for part in parts)


def split_words(value: str, escape: str = "\\") -> tuple[str, ...]:
    """The words of an ENV, LABEL or ARG value, split at white space, quotes and all."""
    e = re.escape(escape)
    double = rf'"(?:{e}.|[^"{e}])*(?:"|(?={e}?\Z))'
    word = rf"""(?:{e}.|'[^']*(?:'|\Z)|{double}|[^{_SPACE}'"{e}])+"""
    return tuple(re.findall(word, value, re.DOTALL))


# --- reading ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    """An instruction's text with its continuation lines joined, and where each character was."""

    text: str
    places: tuple[int, ...]


def _lines(text: str) -> list[tuple[int, str]]:
    """(offset, text with its end) of each line, without a byte order mark."""
    lines = [(match.start(), match.group()) for match in re.finditer(r"[^\n]*\n|[^\n]+", text)]
    if text.startswith("\ufeff"):
        lines[0] = (1, lines[0][1][1:])
    return lines


def _directives(lines: list[tuple[int, str]], start: int = 0) -> dict[str, tuple[int, str]]:
    """(line index, value) of each directive at the top; the first other line ends them."""
    found = {}
    for index, (_, line) in enumerate(lines[start:], start):
        match = _DIRECTIVE.match(line)
        if not match or (name := match[1].lower()) not in ("syntax", "escape", "check"):
            break
        if name in found:
            raise _fail(index + 1, f"only one {name} parser directive can be used")
        found[name] = index, match[2]
    return found


def _syntax(lines: list[tuple[int, str]]) -> tuple[int, str] | None:
    """(line index, image) of the `# syntax=` in effect, which may stand below a `#!` line."""
    start = 1 if lines and lines[0][1].startswith("#!") else 0
    index, value = _directives(lines, start).get("syntax", (0, ""))
    return (index, value.split(" ")[0]) if value and lines[index][1].startswith("#") else None


def _escape(lines: list[tuple[int, str]]) -> str:
    index, value = _directives(lines).get("escape", (0, "\\"))
    if value not in ("\\", "`"):
        raise _fail(index + 1, f"invalid escape token '{value}' does not match ` or \\")
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


def _parts(line: str, escape: str) -> tuple[str, list[list[tuple[int, str]]], int]:
    """(keyword, flags as `_flag` gives them, where the value starts) of a joined line."""
    start = _SPACES.match(line).end()
    keyword = _GAP.split(line[start:], 1)[0]
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
    raise ValueError(f"{name} is no JSON")


def _array(keyword: str, value: str) -> tuple[str, ...] | None:
    """The JSON form's strings; None where this is no JSON, which makes it the shell form."""
    if keyword == "HEALTHCHECK":
        value = [*re.split(f"[{_SPACE}]+", value, maxsplit=1), ""][1]
    if keyword not in _ARRAYS or not value.startswith("["):
        return None
    try:
        found = json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in found):
        raise _BadWord("when using JSON array syntax, arrays must be comprised of strings only")
    return tuple(found)


def _heredocs(line: str) -> list[Heredoc]:
    """The here-documents that an instruction announces, their contents still empty."""
    try:
        words = _Lexer(line, quotes=True, escapes=True).words()
    except (_BadWord, RecursionError):
        return []
    found = []
    for match in filter(None, map(_HEREDOC.fullmatch, words)):
        name = _Lexer(match[3]).words()
        if len(name) == 1:
            raw = _Lexer(match[3], quotes=True).string()
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
                raise _BadWord(f"unterminated heredoc: no line says {heredoc.name}")
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
        return "" if _GAP.search(value) else f"{keyword} must have two arguments"
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
        given = _GAP.split(value) if instruction.json is None else instruction.json
        return f"{keyword} requires at least two arguments" if len(given) < 2 else ""
    if keyword == "FROM":
        words = _GAP.split(value)
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
    word, flags, at = _parts(text, escape)
    keyword, value = _KNOWN.get(word.lower(), word), _strip(text[at:])
    if keyword in ("ENV", "LABEL") and (problem := _pairs_problem(keyword, value, escape)):
        raise _BadWord(problem)
    trigger = None
    if keyword == "ONBUILD" and value:
        if re.match(rf"onbuild(?:[{_SPACE}]|\Z)", value, re.IGNORECASE):
            raise _BadWord("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
        trigger = _instruction(value, escape)
    plain = tuple("".join(char for _, char in flag) for flag in flags)
    return Instruction(keyword, value, plain, _array(keyword, value), (), 0, 0, text, trigger)


def _read(text: str) -> Iterator[tuple[Instruction, _Line]]:
    """Each instruction of a Dockerfile, with its joined line."""
    lines, index = _lines(text), 0
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
        except _BadWord as bad:
            raise _fail(start + 1, str(bad)) from None
        original = "".join(line for _, line in lines[start:index]).rstrip("\r\n")
        place = {"line": start + 1, "end_line": index, "heredocs": tuple(heredocs)}
        trigger = found.trigger and replace(found.trigger, **place)
        found = replace(found, **place, original=original, trigger=trigger)
        if problem := _problem(found, escape):
            hint = "" if found.keyword in KEYWORDS else _closest(found.keyword.upper(), KEYWORDS)
            raise _fail(start + 1, problem, hint=hint)
        yield found, line


def _option(instruction: Instruction, name: str) -> str | None:
    prefix = f"--{name}="
    return next((f[len(prefix) :] for f in instruction.flags if f.startswith(prefix)), None)


def _stage(index: int, instructions: list[Instruction]) -> Stage:
    first, *rest = instructions
    words = _GAP.split(first.value)
    name = words[2].lower() if len(words) == 3 else None
    platform = _option(first, "platform")
    return Stage(index, name, words[0], platform, first.line, first, tuple(rest))


def parse(text: str) -> Dockerfile:
    """The Dockerfile in `text`. DockerfileError, with its line, where BuildKit would refuse it."""
    lines = _lines(text)
    syntax = _syntax(lines)
    instructions = [instruction for instruction, _ in _read(text)]
    if not instructions:
        raise _fail(None, "file with no instructions", hint="begin with a FROM")
    starts = [i for i, found in enumerate(instructions) if found.keyword == "FROM"]
    first = starts[0] if starts else len(instructions)
    for found in instructions[:first]:
        if found.keyword != "ARG":
            problem = f"{found.keyword} stands before the first FROM, where only ARG may"
            raise _fail(found.line, problem, hint="no build stage in current context")
    if not starts:
        raise _fail(None, "there is no FROM, so there are no stages to build")
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


# --- what a build of a target needs -------------------------------------------------------------


@dataclass(frozen=True)
class _Link:
    """A stage's use of an earlier stage (`source`), or of an image from outside (None)."""

    kind: str
    reference: str
    source: int | None
    line: int


def _resolved(text: str, values: Mapping[str, str], escape: str, line: int | None = None) -> str:
    try:
        return _Lexer(text, values, escape=escape, keep=PLATFORM_ARGS.__contains__).string()
    except (_BadWord, RecursionError) as bad:
        raise _fail(line, f"failed to process {text!r}: {bad}") from None


def _global_values(dockerfile: Dockerfile, build_args: Mapping[str, str] | None) -> dict[str, str]:
    """What the ARGs before the first FROM are worth, in this build."""
    given = build_args or {}
    values = {name: value for name, value in given.items() if name in PLATFORM_ARGS}
    for instruction in dockerfile.global_args:
        for word in split_words(instruction.value, dockerfile.escape):
            name, equals, default = word.partition("=")
            if name in given:
                values[name] = given[name]
            elif equals:
                values[name] = _resolved(default, values, dockerfile.escape, instruction.line)
    return values


def resolve(dockerfile: Dockerfile, text: str, build_args: Mapping[str, str] | None = None) -> str:
    """`text` as a FROM would read it: with the global ARGs put in, and without quotes.

    The automatic platform arguments stay as written unless `build_args` has them.
    """
    return _resolved(text, _global_values(dockerfile, build_args), dockerfile.escape)


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
        raise _fail(line, f"variables are not expanded in {flag}{reference}", hint=hint)
    if keyword != "RUN" and re.fullmatch(r"[+-]?\d+", reference, re.ASCII):
        if not 0 <= int(reference[:9]) < len(dockerfile.stages):
            raise _fail(line, f"invalid stage index {reference}")
        return int(reference)
    names = {stage.name: stage.index for stage in dockerfile.stages if stage.name}
    return names.get(reference.lower())


def _triggers(dockerfile: Dockerfile, base: int | None) -> list[Instruction]:
    """What the ONBUILDs of a base stage run in the stage that begins from it."""
    instructions = dockerfile.stages[base].instructions if base is not None else ()
    return [found.trigger for found in instructions if found.trigger]


def _links(dockerfile: Dockerfile, build_args: Mapping[str, str] | None) -> dict[int, list[_Link]]:
    """What each stage uses, in the order of its instructions. Later stages are not refused yet."""
    values, names, links = _global_values(dockerfile, build_args), {}, {}
    for stage in dockerfile.stages:
        base = _resolved(stage.base, values, dockerfile.escape, stage.line)
        if not base:
            hint = "give its ARG a default before the first FROM, or pass the build argument"
            raise _fail(stage.line, f"base name ({stage.base}) should not be blank", hint=hint)
        used = links[stage.index] = [_Link("FROM", base, names.get(base), stage.line)]
        for found in [*_triggers(dockerfile, names.get(base)), *stage.instructions]:
            kind = "MOUNT" if found.keyword == "RUN" else "COPY"
            for flag in found.flags:
                for start, end in _from_spans(found.keyword, flag):
                    source = _source(dockerfile, found.keyword, flag[start:end], found.line)
                    used.append(_Link(kind, flag[start:end], source, found.line))
        if stage.name:
            names[stage.name] = stage.index
    return links


def _reach(links: dict[int, list[_Link]], start: int, *, bases: bool = True) -> set[int]:
    """The stages that `start` needs, itself included; without `bases`, not by way of FROM."""
    found, waiting = set(), [start]
    while waiting:
        stage = waiting.pop()
        if stage not in found:
            found.add(stage)
            used = [link for link in links[stage] if bases or link.kind != "FROM"]
            waiting += [link.source for link in used if link.source is not None]
    return found


def _refuse_later(dockerfile: Dockerfile, links: dict[int, list[_Link]], stages: set[int]) -> None:
    """DockerfileError where stages go round in a circle, or one of `stages` uses a later one."""
    later = [
        (dockerfile.stages[stage], link)
        for stage, used in links.items()
        for link in used
        if link.source is not None and link.source >= stage
    ]
    for stage, link in later:
        if stage.index in _reach(links, link.source, bases=False):
            raise _fail(link.line, f"circular dependency detected on stage: {stage.label}")
    for stage, link in later:
        if stage.index in stages:
            verb = "mount" if link.kind == "MOUNT" else "copy"
            raise _fail(
                link.line,
                f'cannot {verb} from stage "{link.reference}", it needs to be defined before'
                f' current stage "{stage.label}"',
                hint="move that stage up",
            )


def stage_of(dockerfile: Dockerfile, target: str | int | None = None) -> Stage:
    """The stage of that name (in any case) or index; the last one where there is no target."""
    if target is None or target == "":
        return dockerfile.stages[-1]
    wanted = str(target).lower()
    for stage in reversed(dockerfile.stages):
        if wanted in (stage.name, str(stage.index)):
            return stage
    labels = [stage.label for stage in dockerfile.stages]
    problem = f'target stage "{target}" could not be found; the stages are {", ".join(labels)}'
    names = [stage.name for stage in dockerfile.stages if stage.name]
    raise _fail(None, problem, hint=_closest(wanted, names))


def stage_graph(
    dockerfile: Dockerfile, build_args: Mapping[str, str] | None = None
) -> dict[int, tuple[int, ...]]:
    """For each stage, the stages that it uses directly, in order."""
    links = _links(dockerfile, build_args)
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
    """The stages that a build of `target` runs, in the order of the Dockerfile."""
    links = _links(dockerfile, build_args)
    needed = _reach(links, stage_of(dockerfile, target).index)
    _refuse_later(dockerfile, links, needed)
    return tuple(stage for stage in dockerfile.stages if stage.index in needed)


def image_uses(
    dockerfile: Dockerfile,
    target: str | int | None = None,
    build_args: Mapping[str, str] | None = None,
) -> tuple[ImageUse, ...]:
    """The images from outside that a build of `target` uses, in order. `scratch` is none."""
    links, values = _links(dockerfile, build_args), _global_values(dockerfile, build_args)
    uses = []
    for stage in needed_stages(dockerfile, target, build_args=build_args):
        platform = stage.platform and _resolved(
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
    word, flags, at = _parts(text[start:], escape)
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
) -> str:
    """The text with images replaced: `mapping` goes from a reference as resolved to a new one.

    FROM, COPY --from and RUN --mount=from= are changed, in ONBUILD too; a stage's name, a comment
    and a here-document never. Every other character stays, and so does every line number.
    """
    bases = {used[0].line: used[0] for used in _links(dockerfile, build_args).values()}
    names = {stage.name for stage in dockerfile.stages}
    edits: dict[int, str] = {}
    for instruction, line in _read(dockerfile.text):
        found = []
        if base := bases.get(instruction.line):
            start = _parts(line.text, dockerfile.escape)[2]
            end = start + len(_GAP.split(instruction.value)[0])
            found = [(start, end, base.reference)] if base.source is None else []
        else:
            spans = _flag_references(line.text, dockerfile.escape)
            found = [span for span in spans if span[2].lower() not in names]
        for start, end, reference in found:
            if reference in mapping:
                cut = line.text[start:end]
                open_quote = "".join(quote for quote in "'\"" if cut.count(quote) % 2)
                edits |= dict.fromkeys(line.places[start:end], "")
                edits[line.places[end - 1]] = mapping[reference] + open_quote  # its last line stays
    return "".join(edits.get(place, char) for place, char in enumerate(dockerfile.text))


def blank_syntax(dockerfile: Dockerfile | str) -> str:
    """The text without its `# syntax=`, with as many lines, and its other directives in effect.

    An empty line ends the directives, so it goes below the last of them, and they move up.
    """
    text = dockerfile if isinstance(dockerfile, str) else dockerfile.text
    lines = _lines(text)
    syntax = _syntax(lines)
    if syntax is None:
        return text
    start = 1 if lines[0][1].startswith("#!") else 0
    last = max(index for index, _ in _directives(lines, start).values())
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
    """The instructions that become BuildKit steps, in order, FROM first.

    BuildKit makes no step of `FROM scratch`, and none of a FROM that names a stage; the latter is
    known where the `dockerfile` is given.
    """
    base, source = stage.base, None
    if dockerfile is not None:
        link = _links(dockerfile, build_args)[stage.index][0]
        base, source = link.reference, link.source
    pulled = base != "scratch" and source is None
    steps = tuple(found for found in stage.instructions if found.keyword in STEPS)
    return (stage.from_instruction, *steps) if pulled else steps


def line_of_step(dockerfile: Dockerfile, step_name: str) -> int | None:
    """The line of a BuildKit step such as `[build 2/5] RUN make`; None where none is to blame.

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
