"""Read patterns in `.dockerignore` and in BuildKit's requests, as moby/patternmatcher does."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .errors import BuildKitError
from .globs import Glob


class BadPattern(BuildKitError):
    """Line `number` is not a pattern; `problem` says why."""

    def __init__(self, number: int, pattern: str, problem: str):
        super().__init__(f"bad pattern {pattern.strip()!r} ({problem})")
        self.number, self.pattern, self.problem = number, pattern, problem


@dataclass(frozen=True)
class Rule:
    """One line of a .dockerignore: what it matches, and whether it keeps that (`!`)."""

    keeps: bool
    pattern: Glob
    parts: tuple[Glob | None, ...] = field(repr=False)

    def reaches_into(self, folder: str) -> bool:
        """Return whether something below `folder` can match; None matches anything."""
        names = folder.split("/")
        for name, part in zip(names, self.parts, strict=False):
            if part is None:
                return True
            if not part.matches(name):
                return False
        return len(self.parts) > len(names)


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
    return Rule(keeps, Glob(glob), tuple(map(_part, glob.split("/"))))


def _part(glob: str) -> Glob | None:
    """The pattern for one folder of a pattern; None if it is not for one folder."""
    try:
        return None if "**" in glob else Glob(glob)
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
        except ValueError as problem:
            raise BadPattern(number, line, str(problem)) from None
    return tuple(rule for rule in rules if rule)


def apply_rules(
    rules: tuple[Rule, ...], path: str, folder_hits: tuple[bool, ...] = ()
) -> tuple[bool, tuple[bool, ...]]:
    """Return whether `path` is excluded, and the rules that matched it or its folder.

    The last rule that matches wins. As in moby's MatchesUsingParentResults, a rule counts only
    where it would change the verdict so far: `!a` after `a/b` brings back no `a/b`.
    """
    excluded, hits = False, []
    for number, rule in enumerate(rules):
        hit = bool(folder_hits) and folder_hits[number]
        hit = hit or (rule.keeps == excluded and bool(rule.pattern.matches(path)))
        excluded = not rule.keeps if hit else excluded
        hits.append(hit)
    return excluded, tuple(hits)


def may_hold_kept(rules: tuple[Rule, ...], folder: str, hits: tuple[bool, ...]) -> bool:
    """Return whether a rule after the last one that excludes `folder` can keep a file in it."""
    last = max(n for n, rule in enumerate(rules) if hits[n] and not rule.keeps)
    return any(rule.keeps and rule.reaches_into(folder) for rule in rules[last + 1 :])


def name_matcher(glob: str) -> Glob | None:
    """Return a function that matches one name in a folder; None if `glob` is not a pattern."""
    try:
        return Glob(glob)
    except ValueError:
        return None


def has_wildcards(name: str) -> bool:
    """Return whether a name is a pattern: it has one of `*?[` that no backslash escapes."""
    return re.search(r"(?<!\\)(?:\\\\)*[*?\[]", name) is not None
