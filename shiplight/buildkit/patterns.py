"""Patterns of `.dockerignore` and of what BuildKit asks for, as moby/patternmatcher reads them."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .errors import BuildKitError


class BadPattern(BuildKitError):
    """Line `number` is not a pattern; `problem` says why."""

    def __init__(self, number: int, pattern: str, problem: str):
        super().__init__(f"bad pattern {pattern.strip()!r} ({problem})")
        self.number, self.pattern, self.problem = number, pattern, problem


@dataclass(frozen=True)
class Rule:
    """One line of a .dockerignore: what it matches, and whether it keeps that (`!`)."""

    keeps: bool
    pattern: re.Pattern
    parts: tuple[re.Pattern | None, ...] = field(repr=False)

    def reaches_into(self, folder: str) -> bool:
        """Whether something below `folder` can match; None matches anything."""
        names = folder.split("/")
        for name, part in zip(names, self.parts, strict=False):
            if part is None:
                return True
            if not part.fullmatch(name):
                return False
        return len(self.parts) > len(names)


_CLASS = re.compile(r"\[(\^?)((?:(?:\\.|[^\]\\-])(?:-(?:\\.|[^\]\\-]))?)+)\]", re.DOTALL)
_RANGE = re.compile(r"\\?(.)(?:-\\?(.))?", re.DOTALL)


def _regex(glob: str) -> re.Pattern:
    """A pattern in Go's `filepath.Match` syntax, and `**`, as a regular expression.

    `**` stands for any number of folders; first in a pattern without other wildcards it is any
    text, so `**.pyc` matches `a.pyc`. As in moby, `[^a]` matches a `/` too.
    """
    plain_tail = glob.startswith("**") and not re.search(r"[*?\[\]\\]", glob[2:])
    found, at = [], 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if glob.startswith("**", at - 1):
            at += 1
            slash = glob.startswith("/", at)
            at += slash
            last = at == len(glob) or (plain_tail and not slash)
            found.append(".*" if last else "(?:.*/)?")
        elif char in "*?":
            found.append("[^/]*" if char == "*" else "[^/]")
        elif char == "[":
            match = _CLASS.match(glob, at - 1)
            if not match:
                raise ValueError("a [ that no ] closes, or an empty or odd range")
            ranges = [f"{re.escape(a)}-{re.escape(b or a)}" for a, b in _RANGE.findall(match[2])]
            found.append(f"[{match[1]}{''.join(ranges)}]")
            at = match.end()
        elif char == "\\":
            if at == len(glob):
                raise ValueError("a \\ with nothing after it")
            found.append(re.escape(glob[at]))
            at += 1
        else:
            found.append(re.escape(char))
    return re.compile("".join(found), re.DOTALL)


def _rule(line: str) -> Rule | None:
    """Return the rule in a pattern; None in an empty one."""
    text = line.strip()
    keeps = text.startswith("!")
    glob = text[keeps:].strip()
    if not text:
        return None
    glob = glob and posixpath.normpath(glob).lstrip("/")
    if keeps and not glob:
        raise ValueError("nothing stands after the !")
    return Rule(keeps, _regex(glob), tuple(map(_part, glob.split("/"))))


def _part(glob: str) -> re.Pattern | None:
    """The regular expression for one folder of a pattern; None where it is not of one folder."""
    try:
        return None if "**" in glob else _regex(glob)
    except ValueError:  # a `/` inside of brackets
        return None


def ignore_rules(lines: Iterable[str]) -> tuple[Rule, ...]:
    """Return the rules in lines of a .dockerignore, in order. Raises BadPattern."""
    lines = (line.removesuffix("\r") for line in lines)
    return compiled("" if line.startswith("#") else line for line in lines)


def compiled(patterns: Iterable[str]) -> tuple[Rule, ...]:
    """Return the rules of patterns without comments, as BuildKit sends them. Raises BadPattern.

    The Docker SDK has a matcher too, which is not used: it follows one that moby withdrew as
    buggy (a parent folder is compared at one depth only), reads `[^a]` as a literal ^, takes a
    leading `/` of `!/a` literally, and always keeps a .dockerignore.
    """
    rules = []
    for number, line in enumerate(patterns, start=1):
        try:
            rules.append(_rule(line))
        except (ValueError, re.error) as problem:
            raise BadPattern(number, line, str(problem)) from None
    return tuple(rule for rule in rules if rule)


def apply_rules(
    rules: tuple[Rule, ...], path: str, folder_hits: tuple[bool, ...] = ()
) -> tuple[bool, tuple[bool, ...]]:
    """Whether `path` is excluded, and the rules that matched it or the folder that it is in.

    The last rule that matches wins. As in moby's MatchesUsingParentResults, a rule counts only
    where it would change the verdict so far: `!a` after `a/b` brings back no `a/b`.
    """
    excluded, hits = False, []
    for number, rule in enumerate(rules):
        hit = bool(folder_hits) and folder_hits[number]
        hit = hit or (rule.keeps == excluded and rule.pattern.fullmatch(path) is not None)
        excluded = not rule.keeps if hit else excluded
        hits.append(hit)
    return excluded, tuple(hits)


def may_hold_kept(rules: tuple[Rule, ...], folder: str, hits: tuple[bool, ...]) -> bool:
    """Whether a rule after the last that excludes `folder` can keep something inside it."""
    last = max(n for n, rule in enumerate(rules) if hits[n] and not rule.keeps)
    return any(rule.keeps and rule.reaches_into(folder) for rule in rules[last + 1 :])


def name_matcher(glob: str) -> re.Pattern | None:
    """Return what matches one name in a folder; None if `glob` is not a pattern."""
    try:
        return _regex(glob)
    except (ValueError, re.error):
        return None


def has_wildcards(name: str) -> bool:
    """Whether a name is a pattern: it has one of `*?[` that no backslash escapes."""
    return re.search(r"(?<!\\)(?:\\\\)*[*?\[]", name) is not None
