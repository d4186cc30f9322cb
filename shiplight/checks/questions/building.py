"""Checks on how the image is built: stages, stripping, scanning, which stage is last."""

import json
import posixpath
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from ...setup import PROGRAM
from ..reading.folder import (
    context_copies,
    head_of,
    is_all,
    part_of,
    repository,
    table_of,
    text_of,
)
from ..reading.known import commands, numbers
from ..reading.layers import own_layers
from ..reading.programs import (
    Compiling,
    compiles_machine_code,
    compilings,
    has_compiler,
    installed,
    installed_by,
    is_named,
    removes_packages,
    shipped,
    staying,
)
from ..reading.scripts import script_text, scripts_run
from ..reading.shell import Command, last_command, parse
from ..reading.subject import Step, Subject, under
from .caching import needs_no_cache
from .outcomes import Outcome, at, at_target, failed, listed, not_applicable, passed, unseen
from .signals import entry_scripts

_TRIAL = re.compile(
    r"(?:^|[-_.])(?:(?:pr-?)?tests?\d*|testing|tester|dev|devel|development|debug|debugger|lint|linter|"
    r"e2e|devcontainer|local|ci|build|builder|compile|compiler|storybook|docs|bench|benchmarks?|"
    r"coverage|artifacts?|export)(?:$|[-_.])"
)


def separate_stages(subject: Subject) -> Outcome:
    """Check that programs are not compiled in the stage that ships.

    What compiles and removes its compiler again does it there, too.
    """
    here = [(found.step, found.command) for found in compilings(subject, subject.filling_steps)]
    here += [(found.step, found.command) for found in _by_scripts(subject)]
    here += _running(subject.filling_steps, [commands("extensions", "php")])
    starts = subject.ending.starts
    runs = [s for s in starts if any(_compiles_first(subject, c) for c in s.commands)]
    for_packages, others = _with_compilers(subject)
    if not here and for_packages:
        return failed(
            f"the final stage {subject.target.label} also compiles: a compiler stays for packages",
            [at(step, f"`{_short(command)}` may compile here") for step, command in for_packages],
            _PACKAGES_ELSEWHERE,
        )
    if here or runs:
        places = [at(step, f"`{_short(command)}` runs here") for step, command in here]
        return failed(
            f"the final stage {subject.target.label} also compiles",
            [*places, *(at(step, "compiles when it starts") for step in runs)],
            "compile in a separate stage, start a new one from the smallest base that runs the "
            "result, and fetch it with COPY --from",
        )
    if others:
        step, command = others[0]
        how = "a compiler comes and goes with it, or comes in a branch"
        why = f"whether `{_short(command)}` compiles: {how}"
        return unseen(why, _PACKAGES_ELSEWHERE, at(step, "may compile here"))
    own = subject.lineage(subject.target)
    elsewhere = [
        each for each in compilings(subject, subject.all_steps) if each.step.stage not in own
    ]
    if elsewhere:
        labels = [found.step.stage.label for found in elsewhere]
        return passed(f"compiled in {listed(labels)}, shipped from {subject.target.label}")
    copied = [(step, fetch) for step in subject.final_steps for fetch in subject.fetches(step)]
    if copied:
        return passed(
            f"the final stage copies what {listed(fetch.stage.label for _, fetch in copied)} made",
            *(at(step, "fetched") for step, _ in copied[:1]),
        )
    if unread := _unread_builds(subject, subject.filling_steps):
        return _may_compile(unread, subject)
    return not_applicable("the text shows nothing being compiled")


def _compiles_first(subject: Subject, command: Command) -> bool:
    """Whether a start compiles at each start: by itself, or by the script of package.json."""
    found = _of_package(subject, command)
    return any(map(_serves_sources, found)) or command.matches(["go run", "cargo run"])


def _of_package(subject: Subject, command: Command) -> list[Command]:
    """The commands of a script of package.json that a command runs; else that command."""
    if command.program not in ("npm", "yarn", "pnpm", "bun"):
        return [command]
    named = [word for word in command.arguments if word not in ("run", "run-script")][:1]
    folder = subject.ending.workdir
    text = script_text(subject, subject.final_steps, folder, f"{folder}/package.json")
    return list(parse(_script_in(text or "", *named)))


def _serves_sources(command: Command) -> bool:
    bare = command.program == "vite" and command.words[1:2] == command.options[:1]
    return bare or command.matches(commands("trials", "compile"))


def _script_in(text: str, name: str = "") -> str:
    """A script that a package.json has by that name; "" for none."""
    try:
        found = json.loads(text) if name and text else {}
    except (ValueError, RecursionError):
        return ""
    said = part_of(found, "scripts").get(name) if isinstance(found, dict) else ""
    return said if isinstance(said, str) else ""


def _by_scripts(subject: Subject) -> list[Compiling]:
    """What scripts of the context compile in the final stage, at the step that starts them."""
    filling = set(subject.filling_steps)
    return [
        replace(found, step=run.step)
        for run in scripts_run(subject)
        for found in (compilings(subject, [run.inside]) if run.inside else [])
        if run.step in filling
    ]


_BUILDS = re.compile(r"(?i)(?:^|[-_./])(?:build|compile|make|bootstrap)(?:[-_.]|$)")


def _unread_builds(subject: Subject, steps: Iterable[Step]) -> list[tuple[Step, str]]:
    """Scripts that are not here and run where a compiler is, in these steps; no installers."""
    steps = set(steps)
    unread = [run for run in scripts_run(subject) if run.inside is None and run.step in steps]
    unread = [(run.step, run.path) for run in unread if not _downloads(run.step, run.path)]
    stages = {step.stage.index: step.stage for step, _ in unread}
    compiling = {index for index, stage in stages.items() if has_compiler(subject, stage)}
    return [(step, path) for step, path in unread if step.stage.index in compiling]


def _downloads(step: Step, path: str) -> bool:
    name = posixpath.basename(path)
    fetches = (command for command in step.commands if command.program in ("curl", "wget"))
    return any(posixpath.basename(word) == name for c in fetches for word in c.words)


def _may_compile(unread: list[tuple[Step, str]], subject: Subject) -> Outcome:
    """The verdict on scripts that are not here, of which some are called as what builds."""
    named = [(step, path) for step, path in unread if _BUILDS.search(path.rpartition("/")[2])]
    places = [at(step, f"`{path}` may compile here") for step, path in named or unread]
    if named:
        what = f"the final stage {subject.target.label} has a compiler, and runs what builds"
        return failed(what, places, _BUILD_ELSEWHERE)
    paths = listed(path for _, path in unread)
    return unseen(f"whether {paths} compiles: a compiler is there", _BUILD_ELSEWHERE, *places)


_BUILD_ELSEWHERE = "if it compiles, run it in a separate stage, and COPY --from what it made"


_PACKAGES_ELSEWHERE = "install the packages in a separate stage, and COPY --from what they are"
_Commands = list[tuple[Step, Command]]


def _with_compilers(subject: Subject) -> tuple[_Commands, _Commands]:
    """Installs of packages beside a compiler of the distribution that stays, and of others that may
    compile: the compiler comes and goes in their instruction, or comes in one branch of an `if`.

    It stays in its layer where a later instruction removes it. Scripts of the context count as the
    RUNs that start them, and gems of machine code compile wherever a compiler is.
    """
    steps = _with_scripts(subject)
    tools = [commands("fetch", name) for name in _WITH_C]
    found = [each for each in steps if any(map(_compiles_c, installed(each)))]
    gone = [s for s in found if removes_packages(s) and not any(map(_compiles_c, staying(s)))]
    kept = [step for step in found if step not in gone]
    beside, alone = [], _running(gone, tools)
    if any(_compiles_c(name) for step in kept for name in _always_installed(step)):
        beside = _running(steps, tools)
    elif kept:
        alone = _running(steps, tools)
    elif not found and _compiles_gems(subject):
        beside = _running(steps, [commands("fetch", "bundler")])
    alone += _running(subject.filling_steps, [commands("extensions", "maybe")])
    return tuple([(steps[s], each) for s, each in pairs] for pairs in (beside[:3], alone))


def _with_scripts(subject: Subject) -> dict[Step, Step]:
    """The steps of the final stage, and its scripts as steps, each with the step that runs it."""
    filling = set(subject.filling_steps)
    runs = [run for run in scripts_run(subject) if run.inside and run.step in filling]
    return {step: step for step in subject.filling_steps} | {run.inside: run.step for run in runs}


def _always_installed(step: Step) -> list[str]:
    """The packages that a step installs in no branch of an `if`."""
    plain = (command for command in step.commands if not command.branch)
    return [name for command in plain for name in installed_by(step, command)]


_GEM = re.compile(r"(?m)^ {4}([\w-]+) \(([^)\n]{1,50})\)$")


def _compiles_gems(subject: Subject) -> bool:
    """Whether a base with a compiler gets gems of which Gemfile.lock says that they are sources."""
    lock = text_of(subject, "Gemfile.lock") if subject.final_base.compiler else None
    versions: dict[str, set[str]] = {}
    for name, version in _GEM.findall(lock or ""):
        versions.setdefault(name, set()).add(version)
    native = commands("extensions", "gems")
    return any(not any("-" in v for v in versions[name]) for name in native if name in versions)


_WITH_C = ("pip", "uv", "poetry", "pipenv", "pdm", "npm", "yarn", "pnpm", "bundler", "gem", "cpan")


def _compiles_c(package: str) -> bool:
    """Whether packages of an interpreter may need a package of the distribution to compile."""
    others = re.search(r"jdk|maven|gradle|^go$|golang", package)
    return is_named(package, commands("packages", "compilers")) and not others


def _running(steps: Iterable[Step], patterns: list[list[str]]) -> _Commands:
    """The commands of RUNs that match, without those that fetch a package manager."""
    return [
        (step, command)
        for step in steps
        for command in (step.commands if step.keyword == "RUN" else ())
        if any(map(command.matches, patterns)) and not needs_no_cache(command)
    ]


def _short(command) -> str:
    return " ".join(command.words[:3])


def production_last(subject: Subject) -> Outcome:
    """Check that a plain `docker build` builds the stage that is meant for production."""
    trials = _trials(subject)
    if len(subject.read.stages) == 1:
        if not trials:
            return not_applicable("there is one stage only")
        what = "the only stage starts a development server"
        return failed(what, [at(trials[0], "for development")], _PRODUCTION)
    if subject.target_named:
        return not_applicable(f"the stage {subject.target.label} was asked for")
    name = subject.target.name or ""
    tests = [
        step
        for step in subject.own_steps(subject.target)
        if any(command.matches(commands("tests", "run")) for command in step.commands)
    ]
    if _TRIAL.search(name):
        what = f"the last stage is called {name}: a plain `docker build` builds that one"
        return failed(what, [at_target(subject, "the last stage")], _LAST)
    if tests and tests[-1] is subject.ending.cmd and not _is_product(subject, tests[-1]):
        what = "the last stage runs tests, and a plain `docker build` builds that one"
        return failed(what, [at(tests[-1], "runs tests")], _LAST)
    if trials:
        what = "the last stage starts a development server, and a plain `docker build` builds it"
        return failed(what, [at(trials[0], "for development")], _LAST)
    return passed(f"the last stage is {subject.target.label}")


def _trials(subject: Subject) -> list[Step]:
    """What starts a development server: itself, by package.json, or as the end of a script."""
    starts = subject.ending.starts
    began = [(step, command) for step in starts for command in step.commands]
    ends = [last_command(text) for text in entry_scripts(subject) if text]
    began += [(starts[0], command) for command in ends if command]
    wanted = commands("trials", "start")
    return [
        step
        for step, command in began
        if any(one.matches(wanted) for one in (command, *_of_package(subject, command)))
    ]


def _is_product(subject: Subject, step: Step) -> bool:
    """Whether what a step starts was copied into the image: a linter's own image starts it."""
    copies = [s for s in subject.final_steps if s.keyword in ("COPY", "ADD")]
    landed = {posixpath.basename(step.landing(src)) for step in copies for src in step.sources}
    return any(command.program in landed for command in step.commands)


_PRODUCTION = "start what is meant for production, such as gunicorn, nginx or the built program"
_LAST = (
    "move the production stage to the end of the file; others are built with --target "
    f"(and check those with `{PROGRAM} check --target NAME`)"
)


def stripped(subject: Subject) -> Outcome:
    """Check that compiled programs ship without symbols and debug information."""
    if subject.built and subject.built.program:
        return _stripped_program(subject, subject.built.program)
    found = [each for each in shipped(subject) if each.native]
    unread = [] if found else _unread_builds(subject, _of_machines(subject))
    if unread := [path for _, path in unread if path.endswith("sh") or _BUILDS.search(path)]:
        paths = listed(unread)
        why = f"whether {paths} compiles, and strips: a compiler is there"
        return unseen(why, f"`{PROGRAM} check --build` inspects the program itself")
    if not found:
        return not_applicable("nothing that ships is compiled to machine code here")
    verdicts = [(each, _is_stripped(subject, each)) for each in found]
    bare = [each for each, verdict in verdicts if verdict is False]
    if bare:
        places = [at(each.step, f"`{_short(each.command)}`, not stripped") for each in bare]
        debug = " and debug information" if any(_has_debug(subject, each) for each in bare) else ""
        return failed(f"symbols{debug} ship", places, _strip_advice(bare[0]))
    if any(verdict is None for _, verdict in verdicts):
        step = next(each.step for each, verdict in verdicts if verdict is None)
        return unseen(
            "the Dockerfile does not show whether the program is stripped",
            f"`{PROGRAM} check --build` inspects the program itself",
            at(step, "compiled here"),
        )
    return passed("stripped while building", *(at(each.step, "stripped") for each, _ in verdicts))


def _of_machines(subject: Subject) -> list[Step]:
    """The steps of which something ships, from where machine code is made or in the last stage."""
    own = set(subject.filling_steps)
    return [
        step
        for step in subject.shipping
        if step in own or compiles_machine_code(subject, step.stage)
    ]


def _has_debug(subject: Subject, each: Compiling) -> bool:
    """Whether debug information is beside the symbols: cargo leaves it out of what it releases."""
    words = each.command.words
    if each.language == "go":
        return not re.search(r"(?<![\w-])-w\b", each.step.expand(" ".join(words)))
    if each.language == "rust":
        profile = "release" if "install" in words else _profile(words)
        base = subject.base(each.step.stage)
        release = numbers(base.tag.partition("-")[0])[:2] if base.name == "rust" else ()
        asked = part_of(table_of(subject, "Cargo.toml") or {}, "profile", profile).get("debug")
        return not profile or bool(asked) or (1,) < release < (1, 77)
    return any(re.match(r"-g(?!0)", word) for word in words)


def _stripped_program(subject: Subject, program) -> Outcome:
    spare = program.symbol_bytes + program.debug_bytes
    tree = subject.built.image.tree()
    if program.path in tree and tree[program.path][1] not in own_layers(subject):
        return not_applicable(f"/{program.path} came with the base")
    if program.stripped:
        return passed(f"/{program.path} has no symbol table and no debug information")
    place = at_target(subject, "not stripped", path=f"/{program.path}", bytes=spare)
    made = next((each for each in shipped(subject) if each.native), None)
    advice = _strip_advice(made) if made else "strip it before it is copied"
    return failed(f"/{program.path} contains symbols or debug information", [place], advice)


def _strip_advice(each: Compiling) -> str:
    return {
        "go": "go build -ldflags='-s -w'",
        "rust": "strip = true in [profile.release] of Cargo.toml, and cargo build --release",
    }.get(each.language, "link with -s, or run strip on the program before it is copied")


# tar's --strip-components, and --strip=1 for short, leave out folders.
_SAYS_STRIP = re.compile(
    r"--strip(?!-components|[ =]?[\"']?[\d$]|\w)|install-strip|-Wl,-s\b|-Wl,--strip-all"
)


def _is_stripped(subject: Subject, each: Compiling) -> bool | None:
    """True, False, or None where the Dockerfile does not say."""
    text = each.step.script
    if _SAYS_STRIP.search(text):
        return True
    said = None if each.decided_elsewhere and not _by_cmake(each.step) else _says(subject, each)
    if said is not True and subject.strips:
        return _by_strip(subject, each, said)
    return said


def _by_strip(subject: Subject, each: Compiling, said: bool | None) -> bool | None:
    """Whether one of the strip commands is for this program: for all, for its name, or the only."""
    others = {one.command for one in shipped(subject) if one.native} - {each.command}
    if not others:
        return True
    words = [posixpath.basename(word) for command in subject.strips for word in command.arguments]
    out = [after for before, after in pairwise(each.command.words) if before == "-o"]
    names = {posixpath.basename(path) for path in out}
    if any("*" in word or "$" in word for word in words) or not names:
        return None
    return True if names & set(words) else said


def _says(subject: Subject, each: Compiling) -> bool | None:
    """What the command itself says of symbols."""
    if each.language == "go":
        return _go_stripped(each.step, each)
    if each.language == "rust":
        return _rust_stripped(subject, each.step, each)
    if each.language == "crystal":  # --no-debug leaves the symbols
        return bool(re.search(r"--link-flags[= ]\S*\s*['\"]?-s\b", each.step.script))
    if each.command.matches(["cmake --build", "make", "ninja"]) and _by_cmake(each.step):
        return _cmake_strips(subject, each.step)
    if each.command.program in ("gcc", "g++", "cc", "c++", "clang", "clang++"):
        return True if "-s" in each.command.words else None if "-c" in each.command.words else False
    return None


def _by_cmake(step: Step) -> bool:
    """Whether a RUN has CMake write how its programs are linked."""
    return any(command.program == "cmake" for command in step.commands)


_CMAKE_STRIPS = re.compile(r"(?i)(?<![\w-])-s(?![\w-])|strip|-Wl,-s\b|include\(|MinSizeRel")


def _cmake_strips(subject: Subject, step: Step) -> bool | None:
    """False where neither the RUN nor the CMakeLists.txt of the context says so; None otherwise.

    What CMake links has symbols, whatever its build type is.
    """
    text = text_of(subject, "CMakeLists.txt")
    if text is None or not any(under(step.workdir, at) for at in _copied_to(subject, step)):
        return None
    return None if _CMAKE_STRIPS.search(text + step.script) else False


def _copied_to(subject: Subject, step: Step) -> list[str]:
    """Where the whole context is copied to in a step's stage."""
    copies = context_copies(subject.steps(step.stage))
    return [each.destination for each in copies if any(map(is_all, each.sources))]


_SETS = re.compile(r"""-X[ =]*['"]?[\w./-]+=(?:\$\([^)]*\)|\$\{[^}]*\}|[^\s'"])*['"]?""")


def _go_stripped(step: Step, each: Compiling) -> bool | None:
    """By what -ldflags has, or GOFLAGS; unknown with a variable that may be a flag.

    The value that -X gives to a variable of the program is no flag.
    """
    if "run" in each.command.arguments[:1]:
        return None
    words = each.command.words
    given = [b for a, b in pairwise(words) if re.fullmatch("--?ldflags", a)]
    given += [w.partition("=")[2] for w in words if re.match("--?ldflags=", w)]
    given += re.findall(r"-ldflags=([^'\"]*)", step.setting(each.command, "GOFLAGS") or "")
    flags = _SETS.sub("", step.expand(" ".join(given)))
    if re.search(r"(?<![\w-])-s\b", flags):  # -w alone leaves the symbol table
        return True
    return None if "$" in flags else False


_RUST_STRIPS = re.compile(
    r"PROFILE_\w+_STRIP=(?:true|symbols|debuginfo)|strip=(?:symbols|debuginfo)|link-arg=-s\b"
)


@lru_cache(maxsize=1)  # the commands of one step come one after the other
def _says_strip(step: Step) -> bool:
    return any(_RUST_STRIPS.search(f"{name}={value}") for name, value in step.values.items())


def _rust_stripped(subject: Subject, step: Step, each: Compiling) -> bool | None:
    words = each.command.words
    own = each.command.variables
    if _says_strip(step) or any(_RUST_STRIPS.search(f"{k}={v}") for k, v in own.items()):
        return True
    if "install" in words:
        return False  # what cargo installs has the profile of its own crate, which strips nothing
    profile = _profile(words)
    if not profile:
        return False
    manifest = table_of(subject, "Cargo.toml")
    if manifest is None:
        return None
    return _profile_strips(manifest, profile)


def _profile(words: tuple[str, ...]) -> str:
    """The profile that cargo builds with, "" for the one of developers."""
    text = " ".join(words)
    named = re.search(r"--profile[= ](\S+)", text)
    return named[1] if named else "release" if {"--release", "-r"} & set(words) else ""


def _profile_strips(manifest: dict, profile: str) -> bool:
    """Whether a profile strips, or the one that it inherits from."""
    for _ in range(5):
        own = part_of(manifest, "profile", profile)
        if "strip" in own:
            return own["strip"] not in (False, "none")
        profile = own.get("inherits", "")
    return False


# --- scanned ------------------------------------------------------------------------------------

_SCANNERS = re.compile(
    r"aquasecurity/trivy-action|trivy (?:\S+ ){0,30}?image\b|anchore/scan-action|"
    r"grype [\w$\"{./:-]+|"
    r"docker scout (?:cves|quickview)|docker/scout-action|snyk/actions/docker|snyk container|"
    r"Container-Scanning\.gitlab-ci\.yml|CS_IMAGE|clairctl|sysdiglabs/scan-action"
)
_CI = (
    *(
        ".github/workflows/*.yml",
        ".github/workflows/*.yaml",
        ".gitlab-ci.yml",
        ".circleci/config.yml",
    ),
    *("azure-pipelines.yml", "Jenkinsfile", ".drone.yml", "bitbucket-pipelines.yml", "Makefile"),
)
_MOST_FILES = 50


def scanned(subject: Subject) -> Outcome:
    """Check that the image is scanned: a Dockerfile does not show that, but CI files may."""
    later = "then let your CI do it, since advisories appear later"
    advice = f"`{PROGRAM} scan` after a build; {later}"
    folder = subject.context or (None if subject.alone else subject.path.parent)
    for root in dict.fromkeys([folder, repository(folder)] if folder else []):
        for path in [p for pattern in _CI for p in sorted(root.glob(pattern))][:_MOST_FILES]:
            if match := _SCANNERS.search(head_of(root, path)):
                where = path.relative_to(root).as_posix()
                return passed(f"{where} names {match[0]}; its result was not checked")
    return unseen("a Dockerfile does not show whether its image is scanned", advice)
