"""Tools that an image needs: its start, its HEALTHCHECK or a compose file beside it names them."""

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import islice

from ..reading.folder import text_of
from ..reading.known import commands
from ..reading.scripts import script_of, script_text
from ..reading.shell import Command, parse
from ..reading.subject import Subject
from .signals import entry_scripts

# The packages of such tools, each with what a command that uses it looks like.
_TOOLS = {
    "netcat*": r"nc|netcat|ncat",
    "telnet": "telnet",
    "net-tools": r"netstat|ifconfig|route|arp",
    "sudo": "sudo",
    "openssh-server": "sshd|ssh start|ssh restart",
    "docker*": r"dockerd|docker\s+(?:build|compose|container|cp|create|events|exec|image|images|"
    r"info|inspect|kill|load|login|logs|network|ps|pull|push|restart|rm|rmi|run|save|service|"
    r"start|stats|stop|swarm|system|tag|version|volume)",
    "tcpdump": "tcpdump",
    "strace": "strace",
    "gdb": "gdb",
}
_FOLDERS = r"(?:/usr/local/bin/|(?:/usr)?/s?bin/)?"
_COMMENT = re.compile(r"(?m)(?:^|[ \t])#.*")
_COMPOSE = re.compile(r"(?:docker-)?compose[\w.-]{0,50}\.ya?ml")
_RUNS = re.compile(
    r"(?m)^(?P<indent>[ \t]*)(?:test|command|entrypoint):[^\n]*"
    r"(?:\n(?P=indent)[ \t]*(?:- |[ \t])[^\n]*)*"
)
_MOST_SCRIPTS, _MOST_COMPOSE, _MOST_NAMES, _MOST_TEXT = 20, 10, 1000, 100_000


def is_used(subject: Subject, package: str) -> bool:
    """Return whether the text of what starts, checks or composes the image uses a package."""
    known = [named for pattern, named in _TOOLS.items() if fnmatchcase(package, pattern)]
    if not known:
        return False
    if "started" not in subject.found:
        texts = (text[:_MOST_TEXT] for text in _texts(subject))
        subject.found["started"] = [_COMMENT.sub("", text) for text in texts]
    used = re.compile(rf"(?<![\w./$-]){_FOLDERS}(?:{known[0]})(?![\w./=:-])")
    return any(used.search(text) for text in subject.found["started"])


def runs_tests(subject: Subject) -> bool:
    """Return whether the image is there to run tests, by what it starts or by its name."""
    starts = subject.ending.starts
    run = any(c.matches(commands("tests", "run")) for step in starts for c in step.commands)
    return run or bool(re.search(r"(?i)test|e2e", subject.path.name + (subject.target.name or "")))


def _texts(subject: Subject) -> Iterator[str]:
    """What starts the image and what checks its health, with the scripts; and compose files."""
    for step in subject.ending.starts:
        yield " ".join(step.instruction.json or [step.instruction.value])
        yield from _scripts(subject, step.commands)
    for step in [step for step in subject.final_steps if step.keyword == "HEALTHCHECK"][-1:]:
        said = step.instruction.value.partition("CMD")[2].strip()
        yield said
        yield from _scripts(subject, parse(re.sub(r'["\[\],]', " ", said)))
    for text in filter(None, entry_scripts(subject)):
        yield text
        yield from _scripts(subject, parse(text))
    for name in islice(filter(_COMPOSE.fullmatch, _beside(subject)), _MOST_COMPOSE):
        text = (text_of(subject, name) or "")[:_MOST_TEXT]
        yield from (match[0] for match in _RUNS.finditer(text))


def _beside(subject: Subject) -> list[str]:
    """The names right in the context, whether a build is sent them or not."""
    if subject.context is None:
        return []
    try:
        return sorted(entry.name for entry in islice(subject.context.iterdir(), _MOST_NAMES))
    except OSError:
        return []


def _scripts(subject: Subject, run: Iterable[Command], again: bool = True) -> Iterator[str]:
    """The scripts that commands start, and those that these start."""
    paths = (script_of(command)[0] for command in run)
    for path in islice(dict.fromkeys(filter(None, paths)), _MOST_SCRIPTS):
        text = script_text(subject, subject.final_steps, subject.ending.workdir, path)
        if text and "\0" not in text:
            yield text
            yield from _scripts(subject, parse(text), again=False) if again else ()
