"""Shell scripts as a reader of Dockerfiles sees them: the simple commands, in order.

Nothing is run and no variable is put in. What cannot be taken apart comes back as fewer commands,
never as an error: this reads other people's scripts to point at things, not to judge their syntax.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from .dockerfile import Instruction

_OPERATOR = re.compile(r"&&|\|\||;;|\|&|&>>?|[;&|\n(){}]")
_REDIRECT = re.compile(r"\d*(?:<<<|<<-?|<>|>>|>&|<&|>\||[<>])")
_PLAIN = re.compile(r"[^\s'\"\\$`;&|(){}<>#]+")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_KEYWORDS = frozenset(
    [
        "if",
        "then",
        "elif",
        "else",
        "fi",
        "for",
        "while",
        "until",
        "do",
        "done",
        "case",
        "esac",
        "in",
        "!",
        "time",
    ]
)
_WRAPPERS = frozenset(["sudo", "exec", "env", "command", "nice", "nohup", "eatmydata", "xvfb-run"])
_SHELLS = frozenset(("sh", "bash", "ash", "dash", "zsh"))
_DEEPEST = 8  # scripts within scripts; deeper ones are nobody's


@dataclass(frozen=True)
class Command:
    """One simple command: its words without quotes, and the variables set before it.

    `depth` is 0 for what stands in the script itself, more for what stands in `$(…)` or `sh -c`.
    """

    words: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict, hash=False)
    depth: int = 0

    @property
    def program(self) -> str:
        """The program's name without its folder and without a wrapper's ending (`mvnw` is mvn)."""
        name = self.words[0].rpartition("/")[2]
        return {"mvnw": "mvn", "gradlew": "gradle", "pip3": "pip"}.get(name, name)

    @property
    def options(self) -> tuple[str, ...]:
        return tuple(word for word in self.words[1:] if word.startswith("-"))

    @property
    def arguments(self) -> tuple[str, ...]:
        return tuple(word for word in self.words[1:] if not word.startswith("-"))

    def matches(self, patterns) -> bool:
        """Whether one of `patterns` (`npm ci`, `gradle *Jar`) names this command."""
        return any(self._matches(*pattern.split()) for pattern in patterns)

    def _matches(self, program: str, *wanted: str) -> bool:
        if not fnmatchcase(self.program, program):
            return False
        rest = iter(self.words[1:])
        return all(any(fnmatchcase(word, want) for word in rest) for want in wanted)


def commands(instruction: Instruction) -> tuple[Command, ...]:
    """The commands of a RUN, CMD or ENTRYPOINT, in the shell form, the JSON form or a heredoc."""
    if instruction.json is not None:
        return tuple(_unwrapped(list(instruction.json), {}, 0))
    found = tuple(parse(instruction.value))
    for heredoc in instruction.heredocs:
        words = found[0].words if found else ("sh",)
        if words[0].rpartition("/")[2] in _SHELLS and "-c" not in words:
            found += tuple(parse(heredoc.content))
    return found


def script(instruction: Instruction) -> str:
    """Everything that an instruction says: its value and its here-documents."""
    return "\n".join([instruction.value, *(heredoc.content for heredoc in instruction.heredocs)])


def parse(text: str, depth: int = 0) -> Iterator[Command]:
    """The simple commands of a script."""
    words, inner = [], []
    for kind, word in [*_tokens(text, inner), ("end", "")]:
        if kind == "word":
            words.append(word)
        else:
            yield from _command(words, depth)
            words = []
            if depth < _DEEPEST:
                for part in inner:
                    yield from parse(part, depth + 1)
            inner.clear()


def _command(words: list[str], depth: int) -> Iterator[Command]:
    while words and words[0] in _KEYWORDS:
        words = words[1:]
    variables = {}
    while words and (match := _ASSIGNMENT.fullmatch(words[0])):
        variables[match[1]] = match[2]
        words = words[1:]
    yield from _unwrapped(words, variables, depth)


def _unwrapped(words: list[str], variables: dict[str, str], depth: int) -> Iterator[Command]:
    """The command behind `sudo`, `env A=b` and the like, and the script behind `sh -c`."""
    while words and words[0].rpartition("/")[2] in _WRAPPERS:
        words = words[1:]
        while words and (words[0].startswith("-") or _ASSIGNMENT.fullmatch(words[0])):
            if match := _ASSIGNMENT.fullmatch(words[0]):
                variables = variables | {match[1]: match[2]}
            words = words[1:]
    if not words or not words[0]:
        return
    name = words[0].rpartition("/")[2]
    flag = next((i for i, word in enumerate(words) if re.fullmatch(r"-\w*c", word)), None)
    if name in _SHELLS and flag is not None and flag + 1 < len(words) and depth < _DEEPEST:
        yield from parse(words[flag + 1], depth + 1)
    elif re.fullmatch(r"python[\d.]*", name) and words[1:3] == ["-m", "pip"]:
        yield Command(("pip", *words[3:]), variables, depth)
    else:
        yield Command(tuple(words), variables, depth)


def _tokens(text: str, inner: list[str]) -> Iterator[tuple[str, str]]:
    """("word", its text) and ("end", "") in order; what stands in `$(…)` goes to `inner`."""
    at, word, skip = 0, None, False
    while at < len(text):
        rest = text[at]
        if rest == "#" and word is None:
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
            continue
        if match := (word is None or word.isdigit()) and _REDIRECT.match(text, at):
            at, word, skip = match.end(), None, True
            continue
        if rest.isspace() and rest != "\n":
            at += 1
        elif (match := _REDIRECT.match(text, at)) or (match := _operator(text, at, word)):
            at = match.end() if match.re is _OPERATOR else at
        else:
            piece, at = _piece(text, at, inner)
            word = (word or "") + piece
            continue
        if word is not None and not skip:
            yield "word", word
        skip = skip and word is None
        word = None
        if match and match.re is _OPERATOR:
            skip = False
            yield "end", ""
    if word is not None and not skip:
        yield "word", word


def _operator(text: str, at: int, word: str | None) -> re.Match | None:
    """The operator at `at`. A brace parts commands only where it stands alone."""
    match = _OPERATOR.match(text, at)
    if match and match.group() in "{}":
        alone = word is None and text[at + 1 : at + 2] in ("", " ", "\n", "\t", ";")
        return match if alone else None
    return match


def _piece(text: str, at: int, inner: list[str]) -> tuple[str, int]:
    """A part of a word without its quotes, and where it ends."""
    char = text[at]
    if char == "\\":
        return ("" if text[at + 1 : at + 2] == "\n" else text[at + 1 : at + 2]), at + 2
    if char == "'":
        end = text.find("'", at + 1)
        end = len(text) if end < 0 else end
        return text[at + 1 : end], end + 1
    if char == '"':
        found, at = "", at + 1
        while at < len(text) and text[at] != '"':
            if text[at] == "\\":
                found, at = found + text[at + 1 : at + 2], at + 2
            elif text[at] in "$`":
                piece, at = _expansion(text, at, inner)
                found += piece
            else:
                found, at = found + text[at], at + 1
        return found, at + 1
    if char in "$`":
        return _expansion(text, at, inner)
    match = _PLAIN.match(text, at)
    return (match.group(), match.end()) if match else (char, at + 1)


def _expansion(text: str, at: int, inner: list[str]) -> tuple[str, int]:
    """`$NAME`, `${…}`, `$(…)` or a backquoted command, as written, and where it ends."""
    if text[at] == "`":
        end = text.find("`", at + 1)
        end = len(text) if end < 0 else end
        inner.append(text[at + 1 : end])
        return text[at : end + 1], end + 1
    close = {"(": ")", "{": "}"}.get(text[at + 1 : at + 2])
    if not close:
        return "$", at + 1
    level, end, opening = 0, at + 1, text[at + 1]
    while end < len(text):
        level += (text[end] == opening) - (text[end] == close)
        end += 1
        if not level:
            break
    if opening == "(":
        inner.append(text[at + 2 : end - 1])
    return text[at:end], end
