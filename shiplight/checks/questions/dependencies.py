"""The check on development dependencies, by package manager."""

import json
import re
from functools import lru_cache
from itertools import pairwise
from pathlib import PurePosixPath

from ..reading.caches import fetching, is_bare_yarn
from ..reading.folder import part_of, table_of, text_of
from ..reading.known import commands
from ..reading.scripts import makes, script_text
from ..reading.shell import Command
from ..reading.subject import Arrival, Step, Subject, absolute, under
from .needs import runs_tests
from .outcomes import Outcome, at, failed, listed, not_applicable, passed, unseen

_NODE = ("npm", "yarn", "pnpm", "bun")
_TOOLS = (*_NODE, "pip", "poetry", "uv", "pipenv", "pdm", "mix", "composer", "bundler")
_WITHOUT = {
    "npm": r"--omit[= ]dev|--production(?!=false)|--prod\b|--only[= ]prod",
    "poetry": r"--only[= ]|--without[= ]|--no-dev",
    "uv": r"--no-dev|--no-default-groups|--only-group|--no-group",
    "pdm": r"--prod\b|--production|--no-dev|--without",
    "mix": r"--only[= ]prod",
    "composer": r"--no-dev",
}
_SWITCHES = {
    "npm": (("NODE_ENV", "production"), ("NPM_CONFIG_OMIT", "dev"), ("npm_config_omit", "dev"),
            ("NPM_CONFIG_PRODUCTION", "true"), ("npm_config_production", "true")),
    "poetry": (("POETRY_WITHOUT", ""), ("POETRY_ONLY", "")),
    "uv": (("UV_NO_DEV", ""), ("UV_NO_DEFAULT_GROUPS", "")),
    "pdm": (),
    "mix": (("MIX_ENV", "prod"),),
    "composer": (("COMPOSER_NO_DEV", "1"),),
}  # fmt: skip
# What an installation does with them; NONE: the project's own file names none.
_INSTALLED, _LEFT_OUT, _NONE, _UNKNOWN = "installed", "left out", "none", "unknown"
_DEV_FILE = re.compile(
    r"(?:^|[-_./\[,])(?:dev|develop|development|tests?|testing|lint)(?:[-_.\],]|$)"
)
_PYTHON_HOMES = re.compile(
    r"venv|site-packages|\.local|^/usr/local(?:/lib|/bin)?/?$|^/install|/env\b"
)


def dev_dependencies(subject: Subject) -> Outcome:
    """Check that development dependencies are not in the final image."""
    found = []
    for step in subject.all_steps:
        for tool, command in _installs(step):
            found.append((step, tool, command, _treats(subject, step, tool, command)))
    made = [
        (run.step, tool, command)
        for run in makes(subject)
        for tool, command in (_installs(run.inside) if run.inside else ())
    ]
    if tests := _test_projects(subject):
        what = "a project of tests is built in the stage that ships"
        return failed(what, [at(step, f"`{name}`") for step, name in tests], _TESTS_ELSEWHERE)
    if not found and made:
        return _by_make(subject, made)
    if not found:
        return not_applicable("no package manager with development dependencies runs here")
    shipping = [each for each in found if each[3] in (_INSTALLED, _UNKNOWN)]
    shipping = [each for each in shipping if _ships(subject, *each[:3])]
    shipped = [each[:3] for each in shipping if each[3] == _INSTALLED]
    if shipped and all(_has_both_ways(each, found) for each in shipped):
        step, tool, _ = shipped[0]
        why = f"whether {tool} installs development dependencies: the instruction has both ways"
        return unseen(why, "install them in a stage of its own", at(step, f"`{tool}`, in an if"))
    if shipped:
        return failed(
            f"{listed(tool for _, tool, _ in shipped)} installs development dependencies, and they "
            "ship",
            [at(step, f"`{' '.join(command.words[:4])}`") for step, _, command in shipped],
            _ADVICE["npm" if shipped[0][1] in _NODE else shipped[0][1]],
        )
    if shipping:
        step, tool, command, _ = shipping[0]
        why = f"whether {tool} installs development dependencies: {_doubt(step, command)}"
        return unseen(why, _ADVICE["npm" if tool in _NODE else tool], at(step, f"`{tool}`"))
    if named := _named_in_files(subject, found):
        step, file, tools = named
        why = f"{file} names {listed(tools)}: whether that is for production is not said"
        return unseen(why, _ADVICE["pip"], at(step, file))
    if tools := _named_in_project(subject, found):
        why = f"pyproject.toml names {listed(tools)} beside what the project needs"
        return unseen(why, "move them to a group for development", at(found[0][0], "installs them"))
    if all(how == _NONE for *_, how in found):
        return not_applicable("the project has no development dependencies")
    if any(how in (_INSTALLED, _UNKNOWN) for *_, how in found):
        return passed(_STAY)
    by_file = [command for _, _, command, _ in found if _is_pip(command)]
    others = [tool for _, tool, command, _ in found if command not in by_file]
    said = [f"{listed(others)} leaves them out"] if others else []
    said += [f"pip installs what {_all_files(by_file)} names"] if by_file else []
    return passed("; ".join(said))


_TESTS_ELSEWHERE = "build and run the tests in a stage of their own"
_TEST_PROJECT = re.compile(r"(?:Tests?|(?:^|[/._-])tests?)\.(?:cs|fs|vb)proj$")


def _test_projects(subject: Subject) -> list[tuple[Step, str]]:
    """The test projects of .NET that the final stage builds, unless the image is there to test."""
    if runs_tests(subject):
        return []
    return [
        (step, word)
        for step in subject.filling_steps
        for command in (step.commands if step.keyword == "RUN" else ())
        if command.matches(["dotnet build", "dotnet publish"])
        for word in command.arguments
        if _TEST_PROJECT.search(word)
    ]


def _by_make(subject: Subject, made: list) -> Outcome:
    """The verdict on installations that a Makefile has, and that may or may not run."""
    if shipping := [each for each in made if _ships(subject, *each)]:
        step, tool, _ = shipping[0]
        why = f"whether make runs {tool}, and with development dependencies"
        return unseen(why, "write what `make` installs into the Dockerfile", at(step, "`make`"))
    return passed(_STAY)


_STAY = "development dependencies stay in stages that do not ship"


def _has_both_ways(shipped: tuple, found: list) -> bool:
    """Whether another branch of the same `if` installs without them."""
    step, tool, command = shipped
    return any(
        command.excludes(other)
        for at, by, other, how in found
        if how == _LEFT_OUT and at is step and by == tool
    )


def _is_pip(command: Command) -> bool:
    return command.program == "pip" or command.matches(["uv pip"])


def _all_files(installs: list[Command]) -> str:
    return listed(file for command in installs for file in _pip_files(command))


def _named_in_files(subject: Subject, found: list) -> tuple[Step, str, list[str]] | None:
    """The first requirement file with tools for developers that ships, and those tools."""
    read = set()
    for step, tool, command, _ in found:
        files = _pip_files(command) if _is_pip(command) else []
        folder, steps = _folder(step, command), subject.steps(step.stage)
        for file in files if _ships(subject, step, tool, command) else ():
            place = (step.stage.index, folder, step.expand(file))
            if place in read:
                continue
            read.add(place)
            text = script_text(subject, steps, *place[1:])
            lines = (line.partition("#")[0].strip() for line in (text or "").splitlines())
            names = [name for name in map(_package, lines) if name in _TEST_TOOLS]
            if names:
                return step, file, names
    return None


def _named_in_project(subject: Subject, found: list) -> list[str]:
    """The tools for developers among the dependencies of a pyproject.toml whose packages ship."""
    shipping = [
        tool for step, tool, command, _ in found
        if tool in ("uv", "pdm", "poetry") and not _is_pip(command)
        if _ships(subject, step, tool, command)
    ]  # fmt: skip
    table = table_of(subject, "pyproject.toml") or {} if shipping else {}
    said = part_of(table, "project").get("dependencies")
    names = [*part_of(table, "tool", "poetry", "dependencies")]
    names += map(str, said) if isinstance(said, list) else []
    return [name for name in map(_package, names) if name in _TEST_TOOLS]


def _package(requirement: str) -> str:
    """The name of the package that a line of requirements asks for, without its version."""
    return re.split(r"[=<>~!\[; ]", requirement)[0].lower()


_ADVICE = {
    "npm": "install with --omit=dev in the stage whose node_modules ships (pnpm: --prod)",
    "pip": "install the requirements of production only; test in a stage of its own",
    "poetry": "poetry install --only main",
    "uv": "uv sync --no-dev",
    "pipenv": "pipenv sync, without --dev",
    "pdm": "pdm install --prod",
    "mix": "mix deps.get --only prod, or ENV MIX_ENV=prod",
    "composer": "composer install --no-dev",
    "bundler": "ENV BUNDLE_WITHOUT=development:test before bundle install",
}


def _installs(step: Step) -> list[tuple[str, Command]]:
    """(tool, command) of each installation of a whole project's dependencies in a RUN."""
    if step.keyword != "RUN":
        return []
    found = [
        (tool, command)
        for tool in _TOOLS
        for command in step.commands
        if command.matches(commands("fetch", tool)) or (tool == "yarn" and is_bare_yarn(command))
    ]
    return [(tool, command) for tool, command in found if not _names_packages(tool, command)]


_TAKING = (
    *("--network-timeout", "--prefix", "-C", "--cwd", "--dir", "--registry", "--omit", "--filter"),
    *("-F", "--cache", "--loglevel", "--only"),
)


def _names_packages(tool: str, command: Command) -> bool:
    """Whether a command installs packages by name, or tools: those are chosen one by one."""
    if set(command.words) & {"-g", "--global", "--location=global"}:
        return True
    if command.matches(["composer global require", "composer create-project"]):
        return True
    verbs = {"ci", "install", "i", "clean-install", "fetch", "."}
    named = [word for word in command.arguments if word not in ({".", "./"} | verbs)]
    if tool in _NODE and named:
        if command.arguments[:2] == ("workspaces", "focus"):
            return False
        words = command.words
        after = {word for before, word in pairwise(words) if before in _TAKING}
        return bool([word for word in named if word not in after])
    by_pip = tool == "pip" or (tool == "uv" and command.matches(["uv pip install"]))
    return by_pip and not (_pip_files(command) or _test_tools(command))


_TEST_TOOLS = {
    *("pytest", "black", "flake8", "mypy", "pylint", "ruff", "isort", "tox", "coverage", "nox"),
    *("pytest-cov", "pre-commit", "ipdb", "pyright", "bandit", "pytest-xdist", "pytest-django"),
}


def _test_tools(command: Command) -> set[str]:
    """The packages for developers that pip installs by their names."""
    return set(map(_package, command.arguments)) & _TEST_TOOLS


def _is_product(subject: Subject, tools: set[str]) -> bool:
    """Whether an image is there to run such a tool: pip installs nothing else in it."""
    installs = [c for s in subject.filling_steps for tool, c in fetching(s) if tool == "pip"]
    named = {_package(word) for c in installs for word in c.arguments[1:]}
    return named <= tools | {"pip", "setuptools", "wheel"} and not any(map(_pip_files, installs))


def _pip_files(command: Command) -> list[str]:
    """What pip is told to install besides named packages: requirement files, the project itself."""
    words = command.words
    after = [b for a, b in pairwise(words) if a in ("-r", "--requirement", "-e")]
    joined = [w.partition("=")[2] for w in words if w.startswith(("--requirement=", "--editable="))]
    own = [w for w in command.arguments[1:] if w.startswith((".", "/"))]
    return [*after, *joined, *own]


def _treats(subject: Subject, step: Step, tool: str, command: Command) -> str:
    """What an installation does with development dependencies."""
    text = step.expand(" ".join(command.words))
    if _is_pip(command):
        files = _pip_files(command)
        tools = _test_tools(command)
        if tools and not files and _is_product(subject, tools):
            return _LEFT_OUT
        named = tools or any(_DEV_FILE.search(file) for file in files)
        return _INSTALLED if named else _LEFT_OUT
    if re.search(r"--(?:group|with|only-group)[= ]\S*\b(?:dev|test|lint)", text):
        return _INSTALLED
    if tool == "pipenv":
        return _INSTALLED if {"--dev", "-d"} & set(command.words) else _LEFT_OUT
    if tool == "bundler":
        return _treats_groups(subject, step, command)
    kind = "npm" if tool in _NODE else tool
    unknown = _set_by_shell(step, command)
    if not (unknown and tool in ("uv", "poetry", "pdm")) and _leaves_out(
        subject, step, tool, command, text
    ):
        return _LEFT_OUT
    if not _has_dev(subject, step, command, kind):
        return _NONE
    return _UNKNOWN if unknown else _INSTALLED


def _leaves_out(subject: Subject, step: Step, tool: str, command: Command, text: str) -> bool:
    """Whether options, variables or a configuration say so."""
    kind = "npm" if tool in _NODE else tool
    if "--include=dev" in text or "--include dev" in text:
        return False
    if re.search(_WITHOUT[kind], text) or (tool == "pnpm" and "-P" in command.words):
        return True
    # Bun installs them whatever these say: 1.4.5 did with NODE_ENV=production.
    for name, value in _SWITCHES[kind] if tool != "bun" else ():
        said = step.setting(command, name)
        if said is not None and (value in said):
            return True
    return tool in _NODE and _npm_configured(subject, step)


def _set_by_shell(step: Step, command: Command) -> list[str]:
    """The variables that stand for options, as `$f` in `uv sync $f`, and that the RUN sets."""
    pairs = pairwise(command.words)
    found = [re.match(r"\$\{?(\w+)", word) for before, word in pairs if before not in _TAKING]
    names = [match[1] for match in found if match]
    return [n for n in names if re.search(rf"(?:^|[\s;&|(]){n}\+?=", step.script)]


def _doubt(step: Step, command: Command) -> str:
    if command.program == "bundle":
        return "only the group development is left out, and no Gemfile is here"
    return f"the shell decides what ${_set_by_shell(step, command)[0]} is"


_DEV_GROUPS = {"development", "dev", "test", "tests", "lint"}
_GEM_GROUPS = re.compile(
    r"^\s*group[ (]([^\n]{0,200}?)\)?\s*(?:do\b|\{)|\bgroups?(?::|\s*=>)\s*(\[[^\]]{0,200}\]|:\w+)",
    re.MULTILINE,
)


def _treats_groups(subject: Subject, step: Step, command: Command) -> str:
    """What Bundler does with the groups of a Gemfile; a gem stays out if all of its groups do."""
    gone, text = _groups_left_out(subject, step, command), text_of(subject, "Gemfile")
    if gone is None:
        return _LEFT_OUT
    if text is None:
        both = {"development", "test"} - gone
        return _UNKNOWN if both == {"test"} else _INSTALLED if both else _LEFT_OUT
    groups = _dev_groups(text)
    if not groups:
        return _NONE
    return _LEFT_OUT if all(names <= gone for names in groups) else _INSTALLED


@lru_cache(maxsize=4)
def _dev_groups(gemfile: str) -> set[frozenset[str]]:
    """The groups, and sets of them, in which a Gemfile has gems for developers alone."""
    found = _GEM_GROUPS.findall(gemfile)
    said = {frozenset(re.findall(r"\w+", one or other)) for one, other in found}
    return {names for names in said if names and names <= _DEV_GROUPS}


def _groups_left_out(subject: Subject, step: Step, command: Command) -> set[str] | None:
    """The groups that Bundler is told to leave out; None where it is told which ones to install."""
    said = [step.setting(command, "BUNDLE_WITHOUT") or ""]
    configured = _configured(subject.steps(step.stage))
    if step.setting(command, "BUNDLE_ONLY") or any("only" in words for words in configured):
        return None
    said += [
        " ".join(words[words.index("without") + 1 :]) for words in configured if "without" in words
    ]
    option = re.search(r"--without[= ]([^-]+)", " ".join(command.words))
    said += [option[1]] if option else []
    return set(re.findall(r"\w+", step.expand(" ".join(said))))


@lru_cache(maxsize=64)
def _configured(steps: tuple[Step, ...]) -> list[tuple[str, ...]]:
    """The words of each command that configures Bundler."""
    found = (command.words for step in steps for command in step.commands)
    return [words for words in found if words[:2] == ("bundle", "config")]


def _npm_configured(subject: Subject, step: Step) -> bool:
    """Whether npm was told by its configuration to omit them, before or in this step."""
    said = [" ".join(c.words) for other in subject.steps(step.stage) for c in other.commands]
    pattern = r"npm (?:config )?set (?:\S+ )?(?:omit[= ]dev|production[= ]true|only[= ]prod)"
    return any(re.match(pattern, text) for text in said)


_COMPOSER = "composer.json"
_PROJECTS = {"npm": "package.json", "composer": _COMPOSER}
_MOST_ABOVE = 4  # folders that may hold a workspace


def _has_dev(subject: Subject, step: Step, command: Command, kind: str) -> bool:
    """Whether the project has development dependencies at all; True where its file is not here."""
    if kind == "mix":
        text = text_of(subject, "mix.exs")
        return text is None or bool(re.search(r"only:\s*(?:\[\s*)?:(?:dev|test)", text))
    if (name := _PROJECTS.get(kind)) and (text := _project(subject, step, command, name)):
        return _names_dev(text)
    found = table_of(subject, name or "pyproject.toml")
    return found is None or _has_dev_part(found)


def _project(subject: Subject, step: Step, command: Command, name: str) -> str | None:
    """The text of the project's file in the folder of the image that a command works in.

    That of the workspace where one is above it; None where it is unknown.
    """
    folder, before = _folder(step, command), []
    for each in subject.steps(step.stage):
        if each is step:
            break
        before += [each] if each.keyword in ("COPY", "ADD") else []

    def text_at(place: str) -> str | None:
        return script_text(subject, before, "/", place)

    text = text_at(f"{folder.rstrip('/')}/{name}")
    for above in PurePosixPath(folder).parents[:_MOST_ABOVE] if text and name != _COMPOSER else ():
        higher = text_at(f"{above}/{name}")
        if higher and '"workspaces"' in higher:
            return higher
        if text_at(f"{above}/pnpm-workspace.yaml"):
            return None
    return text


@lru_cache(maxsize=64)
def _names_dev(text: str) -> bool:
    """Whether a package.json or composer.json names some; True where it cannot be read."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return True
    return not isinstance(found, dict) or _has_dev_part(found)


def _has_dev_part(found: dict) -> bool:
    poetry = part_of(found, "tool", "poetry")
    keys = ("devDependencies", "require-dev", "workspaces", "dependency-groups")
    pdm = part_of(found, "tool", "pdm")
    return (
        any(map(found.get, keys))
        or bool(pdm.get("dev-dependencies") or part_of(found, "tool", "uv").get("dev-dependencies"))
        or any(map(poetry.get, ("group", "dev-dependencies")))
    )


def _undone(subject: Subject, arrival: Arrival, tool: str, command: Command) -> bool:
    """Whether the stage that they ship from prunes them, or installs once more without them."""
    steps, step = subject.steps(arrival.stage), arrival.step
    if steps.index(step) < _last_undoing(steps, tool):
        return True
    own = next((n for n, each in enumerate(step.commands) if each is command), len(step.commands))
    later = (each for each in step.commands[own:] if not each.excludes(command))
    return any(_undoes(step, each, tool) for each in later)


@lru_cache(maxsize=64)
def _last_undoing(steps: tuple[Step, ...], tool: str) -> int:
    """The place of the last step that prunes them; -1 where none does."""
    undoing = (
        n for n, step in enumerate(steps) if any(_undoes(step, c, tool) for c in step.commands)
    )
    return max(undoing, default=-1)


def _undoes(step: Step, command: Command, tool: str) -> bool:
    if tool in _NODE:
        if command.program not in _NODE:
            return False
        prunes = "prune" in command.words
        installs = command.matches(commands("fetch", command.program)) or is_bare_yarn(command)
        without = re.search(_WITHOUT["npm"], " ".join(command.words))
        production = step.setting(command, "NODE_ENV") == "production"
        return bool((prunes or installs) and without) or (prunes and production)
    return tool == "composer" == command.program and "--no-dev" in command.words


def _ships(subject: Subject, step: Step, tool: str, command: Command) -> bool:
    """Whether what an installation put down comes into the final image."""
    folder = _folder(step, command)
    for arrival in subject.arrivals:
        if arrival.step is not step or _undone(subject, arrival, tool, command):
            continue
        path = arrival.path
        if path == "/" or under(folder, path):
            return True
        if tool in _NODE and under(f"{folder}/node_modules", path):
            return True
        if tool == "mix" and under(f"{folder}/deps", path):
            return True
        if tool in ("pip", "poetry", "uv", "pipenv", "pdm") and _PYTHON_HOMES.search(path):
            return True
        if tool == "composer" and under(f"{folder}/vendor", path):
            return True
        if tool == "bundler" and "bundle" in path:
            return True
    return False


def _folder(step: Step, command: Command) -> str:
    """Where a command works: the step's folder, after every `cd` before it."""
    folder = step.workdir
    for other in step.commands:
        if other is command:
            break
        if other.program == "cd" and other.arguments:
            folder = absolute(folder, step.expand(other.arguments[0]))
    words = list(command.words)
    for option in ("--prefix", "-C", "--cwd", "--dir"):
        if option in words[:-1]:
            folder = absolute(folder, step.expand(words[words.index(option) + 1]))
    return folder
