"""Scripts that a script reads in a loop, whose names are not in its text: `. "$f"`, `source DIR/*`.

What they do counts as the script's own, and an exec of theirs is the end of it.
"""

import posixpath
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from .folder import cleaned, context_copies, is_folder, text_of
from .scripts import script_text
from .subject import Step, Subject, absolute, under

_BEGINS = r"(?m)(?:^|[;&|({)]|\b(?:do|then|else)\b)[ \t]*(?:\.|source)[ \t]+"
_BY_PATTERN = re.compile(_BEGINS + r"[^\s;&|#]{0,200}\*")
_BY_VARIABLE = re.compile(_BEGINS + r"[\"']?\$\{?(\w{1,50})\}?[\"']?(?=[\s;&|)]|\Z)")
_NAMES_EACH = re.compile(r"\bfor\s+(\w{1,50})\s+in\b|\bread\s+(?:-\w+\s+){0,3}(\w{1,50})")
_COMMENT = re.compile(r"(?m)^[ \t]*#.*")
_LOOP = re.compile(
    r"(?m)^[ \t]*for[ \t]+(?P<name>\w{1,50})[ \t]+in[ \t]+(?P<words>[^\n;]{1,500})[;\s]\s{0,50}"
    r"do\s{1,50}(?:\[[^\]\n]{1,100}\][ \t]*&&[ \t]*)?"
    r"(?:\.|source)[ \t]+[\"']?\$\{?(?P=name)\}?[\"']?"
    r"(?:[ \t]*\|\|[ \t]*(?:exit|return)\b[ \t]*\d*)?[;\s]\s{0,50}done\b"
)
_ODD = set("$`\"'{(?[")
_MOST_FILES, _MOST_TEXT = 100, 200_000


def reads_others(text: str) -> bool:
    """Return whether a script reads scripts that its text does not name.

    >>> reads_others('for f in /d/*; do . "$f"; done'), reads_others("source /d/*.sh")
    (True, True)
    >>> reads_others('. "$f"; . "$NVM_DIR/nvm.sh"; cp . *'), reads_others("for f in *; do $f; done")
    (False, False)
    """
    plain = _COMMENT.sub("", text)
    named = {name for match in _NAMES_EACH.finditer(plain) for name in match.groups() if name}
    variables = {match[1] for match in _BY_VARIABLE.finditer(plain)}
    return bool(_BY_PATTERN.search(plain) or named & variables)


def with_read(subject: Subject, text: str) -> str:
    """Return a script with what its loops read instead of them, where all of that is here."""
    if not reads_others(text):
        return text

    def instead(loop: re.Match) -> str:
        found = [_texts(subject, word) for word in loop["words"].split()]
        known = found and all(texts and all(texts) for texts in found)
        if known and sum(len(each) for texts in found for each in texts) > _MOST_TEXT:
            return loop[0]
        return "\n".join(each for texts in found for each in texts) if known else loop[0]

    return _LOOP.sub(instead, text)


def _texts(subject: Subject, word: str) -> list[str | None]:
    """The texts of what a word of a loop stands for, in the order of their names."""
    if _ODD & set(word) or not word.startswith("/"):
        return []
    folder, pattern = posixpath.split(word)
    if "*" not in word:
        return [script_text(subject, subject.final_steps, "/", word)]
    if "*" in folder or _is_filled_otherwise(subject, folder):
        return []
    found = {}
    for step in context_copies(subject.final_steps):
        found |= {posixpath.basename(name): name for name in _brought(subject, step, folder)}
    names = [name for name in sorted(found) if fnmatchcase(name, pattern)][: _MOST_FILES + 1]
    texts = [text_of(subject, found[name]) for name in names if not name.startswith(".")]
    return texts if len(texts) <= _MOST_FILES else []


def _is_filled_otherwise(subject: Subject, folder: str) -> bool:
    """Whether other things than copies from the context may be in a folder of the image."""
    return any(
        folder in step.script
        if step.keyword == "RUN"
        else under(folder, step.destination) or under(step.destination, folder)
        for step in subject.final_steps
        if step.keyword == "RUN" or (step.keyword in ("COPY", "ADD") and step.origin)
    )


def _brought(subject: Subject, step: Step, folder: str) -> Iterator[str]:
    """The files of the context that a COPY puts right into a folder of the image."""
    subject.compared.take(len(step.sources) * len(subject.sends.files))
    for source in step.sources:
        name = cleaned(source)
        if is_folder(subject, name or "."):
            if under(folder, step.destination):
                inside = folder[len(step.destination.rstrip("/")) :].lstrip("/")
                above = posixpath.join(name, inside).rstrip("/")
                yield from (f for f in subject.sends.files if posixpath.dirname(f) == above)
        elif set("*?[") & set(name):
            if absolute("/", step.destination) == folder:
                each = (f for f in subject.sends.files if f.count("/") == name.count("/"))
                yield from (f for f in each if fnmatchcase(f, name))
        elif posixpath.dirname(step.landing(source)) == folder:
            yield name
