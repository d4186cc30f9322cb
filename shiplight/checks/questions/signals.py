"""The check on signals: whether the program itself is PID 1, or something that starts it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from ...units import shortened
from ..reading.known import commands
from ..reading.scripts import script_text
from ..reading.shell import (
    Command,
    ends_in_exec,
    is_shell,
    is_shell_script,
    last_command,
    parse,
    passes_on,
    plain_commands,
)
from ..reading.sourcing import reads_others, with_read
from ..reading.subject import Step, Subject
from .outcomes import Outcome, Place, at, failed, not_applicable, passed, shown, unseen


def signals(subject: Subject) -> Outcome:
    """Check that the program itself is PID 1 and receives the signals that stop it."""
    entry, cmd = subject.ending.entrypoint, subject.ending.cmd
    if (
        entry
        and cmd
        and _position(subject, cmd) < _position(subject, entry)
        and entry.stage is not cmd.stage
    ):
        cmd = None  # an ENTRYPOINT of a later stage takes the CMD of its base away
    present = [
        step for step in (entry, cmd) if step and (step.instruction.value or step.instruction.json)
    ]
    if not present:
        return _nothing_to_start(subject)
    for step in present:
        if step.instruction.json is None and not _ends_in_exec(step):
            if subject.ending.shell:
                return unseen("a shell that SHELL chose starts it", _EXEC, at(step, "shell form"))
            return failed(
                f"{step.keyword} in shell form: a shell is PID 1",
                [at(step, "shell form")],
                _EXEC,
            )
    started = list(_started(present))
    return _managed(subject, started) or _by_script(subject, started)


_EXEC = (
    'the exec form, CMD ["program", "argument"]; where a shell is needed, let it exec the program'
)


def _position(subject: Subject, step: Step) -> int:
    return subject.final_steps.index(step)


def _ends_in_exec(step: Step) -> bool:
    return ends_in_exec(step.instruction.value) is True


def _nothing_to_start(subject: Subject) -> Outcome:
    return not_applicable(
        f"neither CMD nor ENTRYPOINT: {subject.configured_by.reference}'s own entrypoint starts"
    )


@dataclass(frozen=True)
class _Started:
    """What an ENTRYPOINT or a CMD starts, behind an init that sends signals to a `group` or not."""

    step: Step
    words: tuple[str, ...]
    group: bool

    @property
    def script(self) -> str | None:
        """The script that a shell is given, or that looks like one by its name."""
        if is_shell(self.words[0]):
            rest = [word for word in self.words[1:] if not word.startswith("-")]
            return rest[0] if rest and self.inline is None else None
        return self.words[0] if _is_script(self.words[0]) else None

    @property
    def inline(self) -> str | None:
        """The commands that a shell is given by -c, -lc and the like; "" where they come later."""
        flags = [re.fullmatch(r"-\w*c", word) for word in self.words]
        found = [rest for flag, rest in zip(flags, (*self.words[1:], ""), strict=True) if flag]
        return found[0] if found and is_shell(self.words[0]) else None


def _started(present: list[Step]) -> Iterator[_Started]:
    """What is started: a CMD counts where it is not merely the arguments of a program."""
    group = False
    for step, later in zip_longest(present, present[1:]):
        words, sends = _without_init(step.instruction.json or ())
        group = group or sends
        if words:
            started = _Started(step, words, group)
            joined = later and is_shell(words[0]) and not (started.script or started.inline)
            if joined:
                started = replace(started, words=(*words, *(later.instruction.json or ())))
            yield started
            if joined or not started.script:
                break  # what follows are its arguments


def _managed(subject: Subject, started: list[_Started]) -> Outcome | None:
    """The verdict on a package manager, a development server or a shell as the first process."""
    for each in started:
        command = Command(each.words)
        if not each.group and command.matches(commands("processes", "start")):
            return failed(
                f"{command.program} is PID 1 and does not forward signals",
                [at(each.step, f"`{' '.join(command.words[:3])}`")],
                _OF_PACKAGES if command.program in ("npm", "yarn", "pnpm") else _DIRECTLY,
            )
        if each.inline is not None and not each.group and ends_in_exec(each.inline) is not True:
            place = at(each.step, " ".join(each.words[:2]))
            if stays := _stays(subject, each):
                return failed(stays, [place], _EXEC)
            return unseen("a shell starts it and has to forward signals", _EXEC, place)
    return None


_LAST_BLOCK = re.compile(r"(?:^|[\s;])(?:fi|done|esac)[\s;]*$")


def _stays(subject: Subject, each: _Started) -> str:
    """Why a shell with commands of its own is not replaced by the last of them; "" if it may be.

    dash, the sh of Debian and Ubuntu, never is. bash is, but not in an `if`; BusyBox is there, too.
    None of them is by a part of a pipe. (Tried on 2026-11-30: dash 0.5.12, bash 5.2, BusyBox 1.37.)
    """
    text, base = (each.inline or "").strip(), subject.final_base
    if not text or ends_in_exec(text) is None:
        return ""
    if re.search(r"(?<!&)&$", text):
        return "a shell starts it in the background, so the container ends at once"
    run = list(parse(text)) if "$(" not in text else []
    piped = len(run) > 1 and run[-2].piped
    by_dash = each.words[0].endswith("/sh") or each.words[0] == "sh"
    by_dash = by_dash and bool(base.suite) and base.suite[0] in ("debian", "ubuntu")
    large = base.size in ("slim", "full", "toolchain", "service") and base.libc != "musl"
    if by_dash or piped or (large and _LAST_BLOCK.search(text)):
        return "a shell stays PID 1 and waits for what it starts"
    return ""


_OF_PACKAGES = 'start what the script in package.json starts, as CMD ["node", "server.js"]'
_DIRECTLY = 'start the program itself, as CMD ["/app/server"], built or installed beforehand'


def _without_init(words: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """The words after an init, and whether that sends signals to a whole group of processes."""
    group = False
    while words and words[0]:
        if Command(words[:1]).matches(commands("inits", "group")):
            group = True
        elif not Command(words[:1]).matches(commands("inits", "plain")):
            break
        words = words[1:]
        while words and words[0].startswith("-"):
            group, words = group or words[0] == "-g", words[1:]
    return (words if words and words[0] else ()), group


def _is_script(word: str) -> bool:
    return word.endswith((".sh", ".bash", "entrypoint"))


def _by_script(subject: Subject, started: list[_Started]) -> Outcome:
    for each in started:
        text = _text_of(subject, each)
        if each.group or not (each.script or text):
            continue
        place = at(each.step, "a script")
        if text is None:
            why = "a script starts it that is not available here"
            return unseen(why, "its last line should exec", place)
        if passes_on(text):
            what = "the script that starts it ends in another one without exec: a shell stays PID 1"
            return failed(what, [place], _LAST_LINE)
        execs = ends_in_exec(text)
        if execs is not True and reads_others(text):
            what = "the script that starts it reads scripts that it does not name: one may exec"
            return unseen(what, _LAST_LINE, place)
        if execs is False:
            what = "the script that starts it never calls exec: a shell stays PID 1"
            return failed(what, [place], _LAST_LINE)
        if execs is None:
            what = "the script that starts it does not always end in exec: a shell may stay PID 1"
            return unseen(what, _LAST_LINE, place)
        last = last_command(text)
        if last and last.matches(commands("processes", "start")):
            what = f"the script that starts it ends in `exec {' '.join(last.words[:3])}`: "
            what += f"{last.program} is PID 1 and does not forward signals"
            return failed(what, [place], _DIRECTLY)
        if not _is_given(each, started) and (outcome := _without_arguments(text, place)):
            return outcome
    return passed("exec form", *(at(each.step, "exec form") for each in started[:1]))


def _is_given(each: _Started, started: list[_Started]) -> bool:
    """Whether a script gets arguments: in its own instruction, or by the CMD behind that."""
    inside = each.words.index(each.script) if each.script else 0
    return len(each.words) > inside + 1 or each is not started[-1]


_ARGUMENTS = ("$@", "${@}", "$*")


def _without_arguments(text: str, place: Place) -> Outcome | None:
    """The verdict on a script that ends in `exec "$@"` and gets nothing to start by that."""
    lines = (words for words in plain_commands(text) if words)
    *before, last = (words for words in lines if words[0] not in ("exit", "return"))
    branches = any(words[0] == "exec" for words in before)
    sets = any(words[0] == "set" and "--" in words for words in before)  # its own arguments
    run = [Command(tuple(words)) for words in before]
    run = [each for each in run if not each.matches(commands("services", "prepare"))]
    if len(last) != 2 or last[1] not in _ARGUMENTS or branches or sets or not run:
        return None
    said = f"`{shortened(shown(' '.join(run[-1].words[:3])))}` runs before that"
    what = f"there is no CMD that the script's exec could start, and {said}"
    if run[-1].matches(commands("services", "start")):
        return failed(f"{what}, below a shell", [place], _GIVEN)
    return unseen(what, _GIVEN, place)


_GIVEN = 'let CMD name the program, which `exec "$@"` starts'
_LAST_LINE = 'let its last line be exec "$@" or exec PROGRAM'


def entry_scripts(subject: Subject) -> list[str | None]:
    """Return the texts of scripts that ENTRYPOINT or CMD start; None for one that is not here."""
    steps = subject.ending.starts
    started = list(_started([step for step in steps if step.instruction.json]))
    texts = [(each, _text_of(subject, each)) for each in started]
    return [text for each, text in texts if each.script or text]


def _text_of(subject: Subject, started: _Started) -> str | None:
    """The text of the script that is started; of a file without such a name if it is one."""
    path = started.script or started.words[0]
    text = script_text(subject, subject.final_steps, subject.ending.workdir, path)
    if not text and started.script:
        images = commands("entrypoints").get(path.rpartition("/")[2], ())
        return 'exec "$@"' if subject.final_base.name in images else None
    text = with_read(subject, text) if text else text
    return text if text and (started.script or is_shell_script(text)) else None
