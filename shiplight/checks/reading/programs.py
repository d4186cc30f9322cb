"""Find what a Dockerfile compiles, whether it ships, and what it links, from the text."""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import pairwise

from ...dockerfile import Stage
from .known import commands
from .scripts import makes, scripts_run
from .shell import Command
from .subject import Step, Subject, under

STATIC, GLIBC, MUSL = "static", "glibc", "musl"
_NATIVE = ("go", "rust", "c", "swift", "haskell", "crystal", "nim")
_LINKING_C = ("gcc", "g++", "gcc-c++", "clang", "build-essential", "build-base", "musl-dev")


@dataclass(frozen=True)
class Compiling:
    """A command that compiles a program. `links` is static, glibc, musl, or "" if unknown."""

    step: Step
    command: Command
    language: str
    links: str = ""

    @property
    def native(self) -> bool:
        """Whether it makes machine code rather than something for a virtual machine."""
        return self.language in _NATIVE

    @property
    def decided_elsewhere(self) -> bool:
        """Whether it is a Makefile or the like that says how."""
        return _is_runner(self.command)


_ASKS = {"--version", "-version", "-V", "--help", "-h", "-dumpversion", "-dumpmachine"}


def _only_asks(command: Command) -> bool:
    """Whether a command asks a program for something; an option with a value does not."""
    pairs = pairwise((*command.words, "-"))
    return any(word in _ASKS and after.startswith("-") for word, after in pairs)


@lru_cache(maxsize=4096)
def _language_of(command: Command) -> str:
    """The language that a command compiles; "" where it compiles nothing."""
    if _only_asks(command):
        return ""
    for language, patterns in commands("compile").items():
        if command.matches(patterns):
            return language
    return ""


def compilings(subject: Subject, steps) -> list[Compiling]:
    """Return everything that these steps compile, except tests."""
    found, by_stage = [], {}
    for step in steps:
        for command in step.commands if step.keyword == "RUN" else ():
            language = _language_of(command)
            if _is_runner(command) and not _only_asks(command):
                if step.stage.index not in by_stage:
                    by_stage[step.stage.index] = _compiled_in(subject, step.stage)
                language = by_stage[step.stage.index]
            if language:
                links = _links(subject, step, command, language)
                found.append(Compiling(step, command, language, links))
    return found


def _compiled_in(subject: Subject, stage: Stage) -> str:
    """The language that `make` and the like compile there: "" where the stage has no compiler."""
    base = subject.base(stage)
    if base.size == "toolchain" and base.language:
        return base.language
    may_be_named = has_compiler(subject, stage, "$*")  # by a variable, too
    return "c" if may_be_named or not base.size else ""


def has_compiler(subject: Subject, stage: Stage, *others: str) -> bool:
    """Return whether a stage has a compiler that its text shows, or a package like `others`."""
    compilers = [*commands("packages", "compilers"), *others]
    packages = (name for step in subject.steps(stage) for name in installed(step))
    return bool(subject.base(stage).compiler) or any(is_named(p, compilers) for p in packages)


def compiles_machine_code(subject: Subject, stage: Stage) -> bool:
    """Return whether a stage is there to compile it: by its base, or a package that it installs."""
    base = subject.base(stage)
    packages = [name for step in subject.steps(stage) for name in installed(step)]
    named = any(is_named(name, commands("packages", "compilers")) for name in packages)
    return named or (base.size == "toolchain" and base.language in _NATIVE)


def _is_runner(command: Command) -> bool:
    return command.matches(commands("runners", "run"))


def shipped(subject: Subject) -> list[Compiling]:
    """Return what is compiled in the final stage, or in a stage whose files ship.

    Scripts and Makefiles of the context are followed: what they compile is at the step's line.
    """
    if "shipped" not in subject.found:
        subject.found["shipped"] = _shipped(subject)
    return subject.found["shipped"]


def _shipped(subject: Subject) -> list[Compiling]:
    paths: dict[Step, list[str]] = {}
    for arrival in subject.arrivals:
        paths.setdefault(arrival.step, []).append(arrival.path)
    found = list(_by_steps(subject, paths))
    for run in scripts_run(subject):
        if run.inside and run.step in paths:
            found += [(each, run.step) for each in compilings(subject, [run.inside])]
    return [each for each, step in found if _may_ship(subject, each, paths[step])]


def _by_steps(subject: Subject, steps: Container[Step]) -> Iterator[tuple[Compiling, Step]]:
    """What the steps themselves compile: for `make`, what its recipes compile if they say so."""
    recipes, done = {run.step: run.inside for run in makes(subject) if run.inside}, set()
    for each in compilings(subject, [step for step in subject.all_steps if step in steps]):
        inside = recipes.get(each.step) if each.command.program == "make" else None
        if inside and (each.step.stage.index, inside.script) in done:
            continue
        done.add((each.step.stage.index, inside.script if inside else ""))
        found = compilings(subject, [inside]) if inside else []
        found = [one for one in found if one.native and not one.decided_elsewhere]
        yield from ((one, each.step) for one in found or [each])


_INSTALLING = {  # by its image: a command that puts programs elsewhere than into the working folder
    "golang": ("go install", ("GOBIN", "GOPATH"), "/go/bin"),
    "rust": ("cargo install", ("CARGO_HOME", "CARGO_INSTALL_ROOT"), "/usr/local/cargo/bin"),
}


def _may_ship(subject: Subject, each: Compiling, paths: list[str]) -> bool:
    """Whether a program may be at one of the paths that ship: unless it is known not to be."""
    name = subject.base(each.step.stage).name
    pattern, variables, folder = _INSTALLING.get(name, ("", (), ""))
    moved = any(each.step.setting(each.command, variable) for variable in variables)
    moved = moved or any(word.startswith("--root") for word in each.command.words)
    if moved or not pattern or not each.command.matches([pattern]):
        return True
    return any(under(folder, path) or under(path, folder) for path in paths)


def _links(subject: Subject, step: Step, command: Command, language: str) -> str:
    text, libc = _all_said(step), subject.base(step.stage).libc
    if _is_runner(command):
        return STATIC if language == "c" and _says_static(text) else ""
    if language == "go":
        return _go_links(subject, step, command, libc)
    if language == "rust":
        static = "-linux-musl" in text or "+crt-static" in text or libc == "musl"
        return STATIC if static else libc
    if language in ("elixir", "dotnet"):
        return _runtime_links(step, command, language, libc)
    if language == "c":
        if _says_static(text):
            return STATIC
        return libc if command.program not in ("cmake", "meson", "zig") else ""
    return ""


@lru_cache(maxsize=1)  # the commands of one step come one after the other
def _all_said(step: Step) -> str:
    """What a step says, and what is said to it by variables."""
    return step.script + " ".join(f"{k}={v}" for k, v in step.values.items())


@lru_cache(maxsize=1)
def _passes_static(step: Step) -> bool:
    return "-extldflags" in step.script and "-static" in step.script


def _says_static(text: str) -> bool:
    return "-static" in text.replace("-static-lib", "").replace("-static-pie", "-static")


def _runtime_links(step: Step, command: Command, language: str, libc: str) -> str:
    """What a release that contains its run time links: Erlang's, or that of .NET."""
    if language == "elixir":
        return libc if {"release", "release,"} & set(command.words) else ""
    words = " ".join(command.words)
    if re.search(r"--self-contained(?! false)|--sc\b|PublishAot=true|SelfContained=true", words):
        return MUSL if "linux-musl" in words else libc
    return ""


def _go_links(subject: Subject, step: Step, command: Command, libc: str) -> str:
    cgo = step.setting(command, "CGO_ENABLED")
    if cgo == "0" or _passes_static(step):
        return STATIC
    if libc == "musl":  # the image has no C compiler, and without one go does not use C
        has_c = any(p in _LINKING_C for s in subject.steps(step.stage) for p in installed(s))
        return MUSL if has_c else STATIC
    return libc if cgo == "1" else ""


_MANAGERS = {
    "pacman": ("-S", "-Sy", "-Syu", "-Syyu"),
    "conda": ("install",),
    "mamba": ("install",),
    "micromamba": ("install",),
    "apt-get": ("install",),
    "apt": ("install",),
    "aptitude": ("install",),
    "apk": ("add",),
    "dnf": ("install", "groupinstall", "group"),
    "microdnf": ("install",),
    "tdnf": ("install",),
    "yum": ("install", "groupinstall", "group"),
    "zypper": ("install", "in"),
}
_REMOVING = ("remove", "purge", "autoremove", "del", "erase", "rm")
_TAKING = {  # options of package managers that take the next word
    *("-t", "--virtual", "--repository", "-X", "-o", "--option", "-c", "--config-file"),
    *("--target-release", "--default-release", "-a", "--host-architecture"),
}
APT = ("apt-get", "apt", "aptitude")


def verb(command: Command, verbs: tuple[str, ...] = ()) -> str:
    """Return the subcommand of a package manager, or "".

    That is the first word that is neither an option nor the value of one; one of `verbs` may look
    like an option.

    >>> verb(Command(("apt-get", "-qq", "-o", "Acquire::Retries=3", "update")))
    'update'
    """
    return next(
        (
            word
            for before, word in pairwise(command.words)
            if word in verbs or not (word.startswith("-") or before in _TAKING)
        ),
        "",
    )


def installed(step: Step) -> tuple[str, ...]:
    """Return packages of the distribution that a step installs, without their versions."""
    return tuple(name for command in step.commands for name in installed_by(step, command))


def installed_by(step: Step, command: Command) -> list[str]:
    """Return packages of the distribution that one command of a step installs."""
    verbs = _MANAGERS.get(command.program, ())
    if not verbs or (said := verb(command, verbs)) not in verbs:
        return []
    packages = [_plain(step.expand(word)) for word in _packages(command, verbs)]
    if "group" in said:  # "Development Tools" is one name
        return [name.lower() for name in packages]
    return [name for package in packages for name in package.split()]


def _packages(command: Command, verbs: tuple[str, ...]) -> list[str]:
    """The words after the verb that name packages; not those that an option takes."""
    words = list(command.words[1:])
    words = words[next(i for i, word in enumerate(words) if word in verbs) + 1 :]
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not word.startswith("-") and before not in _TAKING
    ]


def is_named(name: str, patterns: list[str]) -> bool:
    """Return whether one of `patterns` names a package."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _plain(name: str) -> str:
    for sign in ("=", "~", "<", ">", ":", "@"):
        name = name.partition(sign)[0]
    return name


def removes_packages(step: Step) -> bool:
    """Return whether a step removes packages of the distribution."""
    return any(
        command.program in _MANAGERS and verb(command) in _REMOVING for command in step.commands
    )


def removed_packages(step: Step) -> list[str]:
    """Return the names, or patterns of names, of packages that a step removes."""
    return [
        step.expand(word)
        for command in step.commands
        if command.program in _MANAGERS and verb(command) in _REMOVING
        for word in _packages(command, _REMOVING)
    ]


def virtual_packages(step: Step) -> list[str]:
    """Return the names of apk's virtual packages that a step installs."""
    found = []
    for command in step.commands:
        words = list(command.words)
        if command.program == "apk" and "add" in words:
            found += [b for a, b in pairwise(words) if a in ("--virtual", "-t")]
            found += [w.partition("=")[2] for w in words if w.startswith("--virtual=")]
    return found


def staying(step: Step) -> list[str]:
    """Return the packages that a step installs and does not remove.

    Empty if a variable or a virtual package decides which are removed.
    """
    gone = removed_packages(step)
    if set(gone) & set(virtual_packages(step)) or any("$" in name for name in gone):
        return []
    unmarked = _unmarked(step)
    return [n for n in installed(step) if n not in unmarked and not is_named(n, gone)]


_EVERY = {".*", "*", ".", "^.*$"}  # patterns of apt-mark


def _unmarked(step: Step) -> set[str]:
    """The packages that apt removes because nothing needs them, once a step marks them `auto`."""
    manual: set[str] = set()
    automatic: set[str] = set()
    gone: set[str] = set()
    for command in step.commands:
        manual |= set(installed_by(step, command))
        names = set(command.arguments[1:])
        if command.matches(["apt-mark auto"]):
            every = names & _EVERY or any("$" in name for name in names)
            marked = manual if every else manual & names
            manual, automatic = manual - marked, automatic | marked
        elif command.matches(["apt-mark manual"]):
            manual, automatic = manual | (automatic & names), automatic - names
        elif command.program in APT and _removes_unneeded(command):
            gone |= automatic
    return gone


def _removes_unneeded(command: Command) -> bool:
    options = {"--auto-remove", "--autoremove"} & set(command.options)
    return verb(command) == "autoremove" or bool(options and verb(command) in _REMOVING)
