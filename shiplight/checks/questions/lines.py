"""Checks on single instructions: installs, unset variables, and errors that go unnoticed."""

import re
from collections.abc import Iterator

from ...dockerfile import BadWord, Lexer, Stage, closest, split_words
from ..reading.caches import (
    fetches_index,
    leaves_index,
    leaves_lists,
    mounts_lists,
    removes_lists,
)
from ..reading.known import workdir_of
from ..reading.programs import APT, installed_by, verb
from ..reading.shell import Command, is_shell
from ..reading.subject import Step, Subject
from .outcomes import Outcome, at, failed, listed, not_applicable, passed, unseen


def _runs(steps) -> list[Step]:
    return [step for step in steps if step.keyword == "RUN"]


# --- packages -----------------------------------------------------------------------------------

_NO = r"\W{0,3}(?:0|false|no)\b"
_NO_RECOMMENDS = re.compile(
    rf"--no-install-recommends|--without-recommends|Install-Recommends={_NO}"
)
_CONFIGURED = re.compile(rf"Install-Recommends\b(?!=){_NO}")  # in a file, for all that follows


def recommends(subject: Subject) -> Outcome:
    """Check that apt installs only the named packages, without recommended ones.

    In a stage that does not ship they only cost time, in every build that installs them.
    """
    found = [each for stage in subject.needed for each in _by_apt(subject, stage)]
    if not found:
        return not_applicable("apt installs nothing")
    loose = [step for step, without in found if not without]
    if not loose:
        return passed("apt installs only what is named")
    filling = set(subject.filling_steps)
    ships = any(step in filling for step in loose)
    return failed(
        "apt also installs what the packages recommend"
        + ("" if ships else ": that does not ship, but takes time in every build"),
        [at(step, "without --no-install-recommends") for step in loose],
        "apt-get install --no-install-recommends, and name what you miss",
    )


def _by_apt(subject: Subject, stage: Stage) -> Iterator[tuple[Step, bool]]:
    """The RUNs of a stage that install by apt, and whether without what packages recommend."""
    configured = False
    for step in _runs(subject.steps(stage)):
        configured = configured or bool(_CONFIGURED.search(step.script))
        for command in step.commands if step.stage is stage else ():
            if command.program in APT and verb(command) == "install":
                options = step.expand(" ".join(command.words))
                yield step, bool(configured or _NO_RECOMMENDS.search(options))


def apk_cache(subject: Subject) -> Outcome:
    """Check that apk leaves no index in a layer that ships."""
    fetching = [step for step in _runs(subject.filling_steps) if fetches_index(step)]
    if not fetching:
        return not_applicable("apk adds nothing that ships")
    loose = [step for step in fetching if leaves_index(step)]
    if not loose:
        return passed("apk leaves no index behind")
    return failed(
        "apk leaves its index in the layer",
        [at(step, "apk without --no-cache") for step in loose],
        "apk add --no-cache, without `apk update`, which keeps an index whatever comes after it",
    )


def apt_update(subject: Subject) -> Outcome:
    """Check that package lists are fetched in the same instruction that installs packages."""
    alone, seen = [], False
    for step in _runs(subject.all_steps):
        if any(c.program in APT and verb(c) == "update" for c in step.commands):
            seen = True
            if not any(_uses_lists(command) for command in step.commands):
                alone.append(step)
    found = [(step, lists) for step, lists in _by_old_lists(subject) if lists not in alone]
    if alone or found:
        first, what = ("apt-get update runs alone", "later install")
        if not alone:
            first, what = (
                "packages are installed by lists of an earlier instruction",
                "new install",
            )
        places = [at(step, "update without install") for step in alone]
        places += [at(step, f"installs by the lists of line {old.line}") for step, old in found]
        return failed(
            f"{first}: a cached layer gives old lists to a {what}",
            places,
            "RUN apt-get update && apt-get install …, in one instruction",
        )
    if not seen:
        return not_applicable("apt fetches no lists")
    return passed("lists are fetched where packages are installed by them")


def _by_old_lists(subject: Subject) -> Iterator[tuple[Step, Step]]:
    """Each RUN that installs by the lists that an earlier one left, with that one."""
    left: dict[int | None, Step | None] = {}  # by each stage, for those that are based on it
    for stage in subject.needed:
        lists = left.get(subject.links[stage.index][0].source)
        for step in _runs(subject.own_steps(stage)):
            if lists and _installs_by_lists(step):
                yield step, lists
            if leaves_lists(step):
                lists = step
            elif removes_lists(step):
                lists = None
        left[stage.index] = lists


def _installs_by_lists(step: Step) -> bool:
    """Whether a RUN installs by lists before it fetches any, or starts what may do that."""
    for command in () if mounts_lists(step) else step.commands:
        if command.program in ("add-apt-repository", "apt-add-repository", ".", "source"):
            return False
        if command.program not in APT and _uses_lists(command):
            return False
        if command.program in APT and verb(command) == "update":
            return False
        if command.program in APT and any("/" not in n for n in installed_by(step, command)):
            return True
    return False


def _uses_lists(command: Command) -> bool:
    """Whether a command installs, or runs a script that may."""
    if command.program in APT:
        return verb(command) not in ("", "update", "clean", "autoclean", "autoremove")
    script = command.program.endswith(".sh") or command.words[0].startswith("./")
    return script or is_shell(command.program)


# --- variables ----------------------------------------------------------------------------------

_EXPANDED = ("ADD", "COPY", "ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
_ALWAYS = {
    *("PATH", "HOME", "HOSTNAME", "TERM", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "ALL_PROXY", "all_proxy"),
}
_PLATFORM = re.compile(r"(?:TARGET|BUILD)(?:PLATFORM|OS|ARCH|VARIANT)")
_OF_BASES = {  # what official images of a language set
    "dotnet": r"APP_UID|(?:DOTNET|NUGET)_\w+|ASPNET\w*",
    "java": r"(?:JAVA|JDK|MAVEN|GRADLE|CATALINA|TOMCAT|JETTY)_\w+|LD_LIBRARY_PATH",
    "go": r"GOPATH|GOLANG\w*|GOTOOLCHAIN",
    "node": r"NODE_VERSION|YARN_VERSION|BUN_\w+",
    "python": r"PYTHON_\w+|GPG_KEY|(?:CONDA|UV)_\w+",
    "ruby": r"(?:RUBY|GEM|BUNDLE)_\w+",
    "rust": r"(?:RUSTUP|CARGO)_\w+|RUST_VERSION",
    "php": r"(?:PHP|COMPOSER|APACHE)_\w+|PHPIZE_DEPS|GPG_KEYS",
}
_OF_SERVICES = re.compile(
    r"(?:NGINX|NJS|CUDA|NV|NVIDIA|CONDA|PG|HTTPD|REDIS|MONGO|COMPOSER|SWIFT|ELIXIR|OTP|DENO|BUN|UV|"
    r"MAVEN|GRADLE|CATALINA|TOMCAT|LC)_\w+|PKG_RELEASE|LANG|LD_LIBRARY_PATH|LIBRARY_PATH|PGDATA"
)


def variables(subject: Subject) -> Outcome:
    """Check that every variable that Docker expands is set by an ARG or an ENV."""
    found, unknown, used = [], [], False
    for step in subject.all_steps:
        for name in (*_unset(subject, step), *_unset_in_shell(subject, step)):
            known = _known_base(subject, step) or _PLATFORM.fullmatch(name)
            (found if known else unknown).append((step, name))
        used = used or "$" in _expanded(step)
    if found:
        names = list(dict.fromkeys(name for _, name in found))
        one = len(names) == 1
        return failed(
            f"{listed(f'${name}' for name in names)} {'is' if one else 'are'} not set there, and "
            f"{'becomes' if one else 'become'} nothing",
            [at(step, f"${name} is not set{_near(subject, step, name)}") for step, name in found],
            _declared(names),
        )
    if unknown:
        names = listed(f"${name}" for _, name in unknown)
        return unseen(
            f"whether the base sets {names}",
            "set it with ARG or ENV in this stage",
            at(unknown[0][0], names),
        )
    if used:
        return passed("every variable is set")
    return not_applicable("Docker expands no variable in the instructions after a FROM")


def _declared(names: list[str]) -> str:
    """What to do about variables; a default for a platform would be wrong on every other one."""
    platform = [name for name in names if _PLATFORM.fullmatch(name)]
    if platform:
        return f"ARG {platform[0]}, without a value, in this stage: the builder gives it one"
    return "declare it with ARG or ENV in this stage, or give it a default: ${NAME:-value}"


def _expanded(step: Step) -> str:
    """What of an instruction Docker puts variables into: its value and its flags."""
    flags = " ".join(step.instruction.flags)
    if step.keyword not in _EXPANDED:
        return flags if step.keyword == "RUN" else ""
    value = step.instruction.value
    return f"{flags} {value.partition('<<')[0] if step.instruction.heredocs else value}"


def _is_of_base(subject: Subject, step: Step, name: str) -> bool:
    """Whether the base may set a variable, by what its images usually set."""
    base = subject.base(step.stage)
    if base.language in _OF_BASES:
        own = re.fullmatch(_OF_BASES[base.language], name)
        return bool(own) or bool(re.fullmatch(r"LANG|LC_\w+|LD_LIBRARY_PATH", name))
    plain = base.name in ("scratch", "alpine", "debian", "ubuntu", "busybox")
    anyones = "|".join(_OF_BASES.values())
    return not plain and bool(_OF_SERVICES.fullmatch(name) or re.fullmatch(anyones, name))


def _unset(subject: Subject, step: Step) -> list[str]:
    """The names without a default that nothing in the text sets."""
    names: list[str] = []
    value = _expanded(step)

    def note(name: str) -> bool:
        names.append(name)
        return True

    try:
        Lexer(value, step.values, escape=step.escape, keep=note, room=step.room).words()
    except (BadWord, RecursionError):
        return []
    declared, used = step.values.keys() | _ALWAYS, _used(_IN_VALUE, value)
    return [
        name
        for name in dict.fromkeys(names)
        if re.fullmatch(r"[A-Za-z_]\w*", name)
        and name not in declared
        and name not in step.declared
        and not _is_of_base(subject, step, name)
        and name in used
    ]


def _unset_in_shell(subject: Subject, step: Step) -> list[str]:
    """The ARGs from before the first FROM that a RUN's shell uses, where no stage declares them."""
    if step.keyword != "RUN" or step.instruction.json:
        return []
    used = _used(_IN_SHELL, step.script)
    names = _global_names(subject)
    outer = (name for name in used if name in names or _PLATFORM.fullmatch(name))
    known = step.values.keys() | step.declared | _set_by(step)
    return [n for n in sorted(outer) if n not in known and not _is_of_base(subject, step, n)]


_WITHOUT_DEFAULT = r"\$(?:(?P<a>[A-Za-z_]\w*)|\{(?P<b>[A-Za-z_]\w*)(?:[#%/][^}]{0,300})?\})"
_IN_VALUE, _IN_SHELL = re.compile(_WITHOUT_DEFAULT), re.compile(rf"(?<!\\){_WITHOUT_DEFAULT}")


def _used(pattern: re.Pattern, text: str) -> set[str]:
    """The variables that a text uses without a default."""
    return {each["a"] or each["b"] for each in pattern.finditer(text)}


_ASSIGNS = re.compile(r"(?<![\w$])([A-Za-z_]\w*)\+?=")
_TAKES = re.compile(r"\b(?:read|for|export|local|declare)\s+((?:[\w-]+\s*+){1,6})")


def _set_by(step: Step) -> set[str]:
    """The variables that a RUN's shell sets itself."""
    taken = (word for match in _TAKES.finditer(step.script) for word in match[1].split())
    return {*_ASSIGNS.findall(step.script), *taken}


def _global_names(subject: Subject) -> set[str]:
    """The names of the ARGs before the first FROM, with a value or without."""
    if "global names" not in subject.found:
        given = (split_words(each.value, subject.read.escape) for each in subject.read.global_args)
        names = [word.partition("=")[0] for words in given for word in words]
        subject.found["global names"] = names
    return set(subject.found["global names"])


def _known_base(subject: Subject, step: Step) -> bool:
    """Whether the base is one whose variables are known: those that it sets are not asked for."""
    base = subject.base(step.stage)
    return bool(base.size or base.language)


def _near(subject: Subject, step: Step, name: str) -> str:
    if name in _global_names(subject):
        return f": an ARG before the first FROM needs ARG {name} in the stage too"
    near = closest(name, tuple(step.values))
    return f"; {near}" if near else ""


# --- pipes --------------------------------------------------------------------------------------

_CANNOT_FAIL = {
    *("echo", "printf", "yes", "true", ":", "ls", "dpkg", "awk", "sed", "grep", "egrep", "[", "[["),
    *("uname", "sort", "head", "tail", "env", "printenv", "id", "cut", "tr", "date", "test"),
    *("seq", "tee", "arch", "which", "set", "export", "apt-mark", "ldconfig", "scanelf", "du"),
    *("dpkg-query", "apt-cache", "pwd", "df", "wc", "uniq", "rev", "basename", "dirname", "read"),
    *("exit", "break", "continue", "sleep", "unset", "shift"),
}


def pipe_failures(subject: Subject) -> Outcome:
    """Check that a failing command before a pipe stops the build."""
    found, used = [], False
    for step in _runs(subject.all_steps):
        for left in (command for command in step.commands if command.piped):
            used = True
            if left.program not in _CANNOT_FAIL and not _fails_with_pipe(subject, step, left):
                found.append((step, left))
    if found:
        places = {(step, left.program): step for step, left in found}
        return failed(
            f"{listed(left.program for _, left in found)} may fail in a pipe, unseen by the build",
            [at(step, f"{program} | … without pipefail") for (_, program), step in places.items()],
            _pipefail(subject, found[0][0]),
        )
    return passed("no pipe hides a failure") if used else not_applicable("no pipe is used")


def _pipefail(subject: Subject, step: Step) -> str:
    """How to make a pipe fail with all of its parts, in a shell that the step's base has."""
    base = subject.base(step.stage)
    if base.libc == "musl" or base.name in _WITH_ASH:
        return 'SHELL ["/bin/ash", "-eo", "pipefail", "-c"], or set -o pipefail in the instruction'
    return 'SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it: sh may not know pipefail'


_WITH_ASH = ("busybox", "cgr.dev/chainguard/wolfi-base")  # and no bash


def _fails_with_pipe(subject: Subject, step: Step, left: Command) -> bool:
    """Whether the shell that runs a command of a step fails with every part of a pipe."""
    if re.search(r"\bpipefail\b", step.script + " ".join(step.instruction.json or ())):
        return True
    if left.own_shell:
        return False
    shell = None
    for each in subject.steps(step.stage):
        if each is step:
            break
        shell = each if each.keyword == "SHELL" else shell
    return bool(shell) and "pipefail" in shell.instruction.value


# --- folders ------------------------------------------------------------------------------------


def workdir(subject: Subject) -> Outcome:
    """Check that WORKDIR, and what is copied to a relative path, do not depend on the base."""
    found, open_ = [], []
    for stage in subject.needed:
        absolute = False
        for step in subject.steps(stage):
            own = step.stage is stage
            if step.keyword == "WORKDIR":
                relative = _is_relative(step.expand(step.instruction.value).strip("'\""))
                if own and relative and not absolute:
                    found.append(at(step, "relative to what the base sets"))
                absolute = absolute or not relative
            elif own and step.keyword in ("COPY", "ADD") and not absolute:
                if not _is_relative(step.paths[-1]):
                    continue
                folder = "/" if subject.filling(stage) else workdir_of(subject.base(stage))
                goes = f"it goes to {folder}" if folder else "the base decides where it goes"
                place = at(step, f"a relative destination without WORKDIR: {goes}")
                (found if folder else open_).append(place)
    if found:
        return failed("what a path is relative to is left to the base", found, _WORKDIR)
    if open_:
        why = "where relative paths lead: no WORKDIR says it, and that of the base is unknown"
        return unseen(why, _WORKDIR, *open_)
    if any(step.keyword == "WORKDIR" for step in subject.all_steps):
        return passed("every WORKDIR is absolute, or follows one that is")
    return not_applicable("nothing depends on a working folder")


def _is_relative(path: str) -> bool:
    return not re.match(r"/|\$|[A-Za-z]:", path)


_WORKDIR = "WORKDIR /app before it: an absolute path says where everything goes"
