"""The check on caches: whether what is fetched or compiled again is kept between builds."""

import re

from ..reading.caches import cache_targets, fetching, folder_of, has_cache, keeps_nothing
from ..reading.known import commands
from ..reading.scripts import makes, scripts_run
from ..reading.shell import Command
from ..reading.subject import Step, Subject
from .outcomes import Outcome, at, failed, listed, not_applicable, passed, unseen


def cache_mounts(subject: Subject) -> Outcome:
    """Check that fetching or compiling dependencies keeps its cache between builds.

    The packages of apt and dnf count, though experts differ on whether their mounts are worth it.
    apk's do not: `apk add --no-cache`, for which `apk_cache` asks, has no cache to mount.
    """
    inside, hidden = _in_scripts(subject)
    plain = ((s, tool, command) for s in subject.all_steps for tool, command in fetching(s))
    steps = [
        (step, tool, command)
        for step, tool, command in (*plain, *inside)
        if tool in commands("fetch") and not needs_no_cache(command)
        if not (tool == "nuget" and step in _restored(subject))
        if not (_is_global(command) and step not in subject.filling_steps)  # a tool that builds
        if not (tool == "deno" and subject.ships(step, folder_of(subject, step, tool)))  # it runs
    ]
    bare = {}
    if not steps and not hidden:
        return not_applicable("no package manager or compiler with a cache runs here")
    for step, tool, command in steps:
        if what := _lacks_cache(subject, step, tool, command):
            bare.setdefault(step, {})[tool] = what
    tools = [tool for lacking in bare.values() for tool in lacking]
    if not bare and hidden:
        what = " or ".join(dict.fromkeys(what for _, what in hidden))
        advice = "write what it downloads into the Dockerfile, with --mount=type=cache"
        return unseen(what, advice, *(at(step, "may download") for step, _ in hidden))
    if not bare:
        return passed(
            "every package manager and compiler has a cache mount", at(steps[0][0], "cache mount")
        )
    cooked = any(command.matches(["cargo chef cook"]) for _, _, command in steps)
    if cooked and set(tools) == {"cargo"}:
        return passed("cargo-chef keeps the dependencies in a separate layer")
    return failed(
        f"{listed(tools)} without a cache mount: when its "
        "layer is rebuilt, everything is downloaded again",
        [at(step, _lacking(lacking)) for step, lacking in bare.items()],
        "RUN --mount=type=cache,target=… on the folder where the tool keeps its cache, "
        "in every instruction that uses it",
    )


def _in_scripts(subject: Subject) -> tuple[list, list[tuple[Step, str]]]:
    """What scripts and Makefiles fetch, as those of RUNs; and the doubts, with their RUNs.

    There is doubt where not all of their commands run, or where they are not here.
    """
    sure, doubts = [], []
    for run in (*makes(subject), *scripts_run(subject)):
        by_make = run.path == "make"
        found = fetching(run.inside) if run.inside else ()
        certain = [(tool, each) for tool, each in found if run.certain and not each.branch]
        sure += [(run.inside, tool, each) for tool, each in certain]
        maybe = [tool for tool, each in found if (tool, each) not in certain]
        if cache_targets(run.step):
            continue
        if maybe:
            file = "its Makefile" if by_make else "it"
            doubts.append((run.step, f"whether {run.path} runs what {file} has of {listed(maybe)}"))
        elif by_make and run.inside is None:
            what = "whether make downloads anything: its Makefile is not available"
            doubts.append((run.step, what))
    return sure, doubts


def _lacking(tools: dict[str, str]) -> str:
    """What a RUN lacks; tools without any mount are named together."""
    bare = [tool for tool, what in tools.items() if what == _NO_MOUNT]
    said = [f"{listed(bare)} {_NO_MOUNT}"] if bare else []
    return "; ".join([*said, *(what for what in tools.values() if what != _NO_MOUNT)])


_NO_MOUNT = "without --mount=type=cache"


def _lacks_cache(subject: Subject, step: Step, tool: str, command: Command) -> str:
    """Why a command's cache is lost; "" if it is kept."""
    if not (targets := cache_targets(step)):
        return _NO_MOUNT
    if keeps_nothing(step, tool, command):
        return f"{tool} is told to keep no cache, so the mount stays empty"
    if has_cache(subject, step, tool, command):
        return ""
    return f"{tool} keeps its cache in {folder_of(subject, step, tool)}, not in {listed(targets)}"


_BOOTSTRAP = {
    *(
        "pip",
        "setuptools",
        "wheel",
        "poetry",
        "uv",
        "pipenv",
        "pdm",
        "hatch",
        "virtualenv",
        "build",
    ),
    *("npm", "pnpm", "yarn", "bun", "corepack", "bundler"),
}


def needs_no_cache(command: Command) -> bool:
    """Return whether a command fetches a package manager and no dependencies, or nothing."""
    words = set(command.words)
    if words & {"--no-index", "--offline"}:
        return True
    if command.program == "go" and any(re.search(r"\w@", word) for word in command.arguments):
        return True
    if command.program == "dotnet" and {"--no-restore"} & words:
        return True
    if not (command.program in ("pip", "gem") or _is_global(command)):
        return False
    verbs = {"add", "install", "i", "global"}
    names = {re.split(r"[=<>@~\[]", word)[0] for word in command.arguments if word not in verbs}
    return bool(names) and names <= _BOOTSTRAP


def _restored(subject: Subject) -> list[Step]:
    """The steps that find NuGet's packages in a layer below, where no mount kept them apart."""
    if "restored" not in subject.found:
        subject.found["restored"] = [
            after
            for stage in subject.needed
            for after in _after_restoring(subject.steps(stage))
            if after.stage is stage
        ]
    return subject.found["restored"]


def _after_restoring(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    for number, step in enumerate(steps, 1):
        if any(c.matches(["dotnet restore"]) for c in step.commands) and not cache_targets(step):
            return steps[number:]
    return ()


def _is_global(command) -> bool:
    """Whether a package manager of Node's installs programs for the whole image."""
    by_yarn = command.program == "yarn" and command.arguments[:1] == ("global",)
    return by_yarn or bool({"-g", "--global", "--location=global"} & set(command.words))
