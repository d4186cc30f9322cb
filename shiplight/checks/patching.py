"""Write a patch for mechanical fixes; keep a change only if its check then finds less.

Rules cannot decide which user, which base, or what a program needs; people have to.
"""

import difflib
import json
import re
from dataclasses import replace

from ..dockerfile import Dockerfile, parse
from ..errors import DockerfileError, UsageError
from ..units import visible, visible_line
from .checklist import Checklist, run
from .questions.outcomes import Place
from .reading.caches import fetching, folder_of
from .reading.masking import mask, masked_lines
from .reading.subject import Step, Subject, absolute

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NO_END = "\\ No newline at end of file\n"
_ENDS_AND_BYTES = re.compile("\r(?=\n)|[\udc80-\udcff]")  # CRLF, and what is not UTF-8
_PLAIN = re.compile(r"[\w./:@%+,=-]+")
# Which words are programs: paths, and these. What else begins a command may be the shell's own.
_PROGRAMS = (
    *("node", "npm", "npx", "python", "python3", "uvicorn", "gunicorn", "java", "ruby", "bundle"),
    *("php", "deno", "bun", "dotnet", "nginx", "caddy", "redis-server"),
)
_AT_ROOT = ("alpine", "debian", "ubuntu", "node", "python", "ruby", "rust", "scratch")
# Whose folder holds downloads alone: Go's holds programs as well, and Debian's images empty apt's.
_CACHES = ("npm", "yarn", "pip", "uv")


def patch(found: Checklist) -> str:
    """Return a unified diff that fixes a Dockerfile where rules can, "" where none can.

    Looks only at the text and builds nothing. Raises UsageError if the lines of the diff would
    repeat a secret or a character that a terminal obeys.
    """
    skip = {check for check in _FIXES if check not in {r.check.id for r in found.results}}
    now = run(replace(found.subject, built=None))
    for check, fix in _FIXES.items():
        if check not in skip:
            now = _fixed(now, check, fix)
    name = visible_line(found.file) + "\t" * (" " in found.file)  # `patch` ends names at blanks
    before, after = found.subject.read, now.subject.read
    texts = (_LINE.findall(read.text) for read in (before, after))
    lines = difflib.unified_diff(*texts, f"a/{name}", f"b/{name}")
    diff = "".join(x if x.endswith("\n") else f"{x}\n{_NO_END}" for x in lines)
    shown = _ENDS_AND_BYTES.sub("", diff)
    if visible(shown) != shown:
        what = f"a patch of {visible_line(found.file)} would send control characters."
        raise UsageError(what, hint="remove them from the Dockerfile: `check` shows where they are")
    if mask(diff) != diff or _shows_a_secret(before, after):
        hint = "fix what the check of secrets names first"
        what = f"a patch of {visible_line(found.file)} would repeat what looks like a secret."
        raise UsageError(what, hint=hint)
    return diff


def _shows_a_secret(before: Dockerfile, after: Dockerfile) -> bool:
    """Whether a diff has a secret that only a whole instruction tells, such as a key's middle."""
    texts = [_LINE.findall(read.text) for read in (before, after)]
    masked = [masked_lines(read) for read in (before, after)]
    hidden = [
        {
            at
            for at, (line, safe) in enumerate(zip(*both, strict=True))
            if _bare(line) != _bare(safe)
        }
        for both in zip(texts, masked, strict=True)
    ]
    for hunk in difflib.SequenceMatcher(None, *texts).get_grouped_opcodes():
        (_, i1, _, j1, _), (_, _, i2, _, j2) = hunk[0], hunk[-1]
        if not hidden[0].isdisjoint(range(i1, i2)) or not hidden[1].isdisjoint(range(j1, j2)):
            return True
    return False


def _bare(line: str) -> str:
    return line.removeprefix("\ufeff").strip()


def _fixed(found: Checklist, check: str, fix) -> Checklist:
    """The checklist after changing one check's places, where the change makes it pass."""
    changes = _changes(found, check, fix)
    while changes:
        candidate = _with_changes(found.subject, changes)
        left = {place.line for place in _places(candidate, check)} if candidate else set(changes)
        if not left & changes.keys():
            fails = [{r.check.id for r in each.results if r.counts} for each in (found, candidate)]
            return candidate if fails[1] <= fails[0] else found
        changes = {line: change for line, change in changes.items() if line not in left}
    return found


def _changes(found: Checklist, check: str, fix) -> dict[int, list[str]]:
    """The new lines of each instruction to change, by the number of its first one."""
    changes, lines = {}, found.subject.read.text.split("\n")
    steps = {step.line: step for step in found.subject.all_steps}
    for place in _places(found, check):
        step, old = steps.get(place.line), "\n".join(lines[place.line - 1 : place.end_line])
        new = fix(found.subject, step, old) if step and not step.instruction.heredocs else ""
        if new and new != old and old.count("\n") == new.count("\n"):
            changes[place.line] = new.split("\n")
    return changes


def _places(found: Checklist, check: str) -> list[Place]:
    results = [r for r in found.results if r.check.id == check and r.counts]
    return [p for r in results for p in r.outcome.places if p.line and p.accepted is None]


def _with_changes(subject: Subject, changes: dict[int, list[str]]) -> Checklist | None:
    lines = subject.read.text.split("\n")
    for line, new in changes.items():
        lines[line - 1 : line - 1 + len(new)] = new
    try:
        read = parse("\n".join(lines))
        return run(replace(subject, read=read, target=read.stages[subject.target.index]))
    except DockerfileError:
        return None


def _no_cache(subject: Subject, step: Step, text: str) -> str:
    text = re.sub(r"\bapk((?:[ \t]+-\S+)*)[ \t]+update[ \t]*&&[ \t]*(?=\S)(?!\\)", "", text)
    add = r"\bapk((?:[ \t]+-\S+)*)[ \t]+add\b(?![^&|;]*--no-(?:cache|network))"
    return re.sub(add, r"apk\1 add --no-cache", text)


def _absolute(subject: Subject, step: Step, text: str) -> str:
    """WORKDIR with its absolute folder; the base's folder is the root."""
    at_root = step.keyword == "WORKDIR" and subject.base(step.stage).name in _AT_ROOT
    written = re.fullmatch(r"(?i)(\s*WORKDIR\s+)([\w./-]+)(\s*)", text)
    if not at_root or not written:
        return ""
    return written[1] + absolute(step.workdir, written[2]) + written[3]


def _exec_form(subject: Subject, step: Step, text: str) -> str:
    """A program and its arguments in exec form, if they need no shell.

    With both ENTRYPOINT and CMD, it would change the arguments that one gets from the other.
    """
    words = step.instruction.value.split()
    both = subject.ending.entrypoint and subject.ending.cmd
    plain = all(map(_PLAIN.fullmatch, words)) and "=" not in words[0]
    if both or not plain or "\n" in text or not ("/" in words[0] or words[0] in _PROGRAMS):
        return ""
    return f"{step.keyword} {json.dumps(words)}" + "\r" * text.endswith("\r")


def _cache_mount(subject: Subject, step: Step, text: str) -> str:
    """A mount on the cache folder of each package manager, for root, who can write there."""
    user = step.expand(step.user).partition(":")[0] or subject.base(step.stage).user
    tools = dict.fromkeys(tool for tool, _ in fetching(step))
    folders = {tool: folder_of(subject, step, tool) for tool in tools}
    known = all(tool in _CACHES and not set("~*$") & set(folders[tool]) for tool in tools)
    if user not in ("root", "0") or not known:
        return ""
    mounts = " ".join(f"--mount=type=cache,target={folder}" for folder in folders.values())
    return re.sub(r"(?i)^(\s*RUN)\s", rf"\1 {mounts} ", text)


_FIXES = {
    "apk-cache": _no_cache,
    "workdir": _absolute,
    "signals": _exec_form,
    "cache-mounts": _cache_mount,
}
