"""Find the caches of package managers, and whether a RUN keeps them between builds."""

import re
from fnmatch import fnmatchcase
from functools import lru_cache

from .known import commands
from .shell import Command
from .subject import Step, Subject, absolute, under

_TOOLCHAINS = {"go": ("golang",), "cargo": ("rust", "lukemathwalker/cargo-chef")}


@lru_cache(maxsize=1000)  # the steps of one Dockerfile, which several checks ask for
def fetching(step: Step) -> tuple[tuple[str, Command], ...]:
    """Return (tool, command) of everything that a RUN downloads, or compiles with a cache."""
    if step.keyword != "RUN":
        return ()
    rows = commands("caches")
    patterns = {tool: row["of"] for tool, row in rows.items() if "of" in row}
    return tuple(
        (tool, command)
        for tool, wanted in (commands("fetch") | patterns).items()
        for command in step.commands
        if command.matches(wanted) or (tool == "yarn" and is_bare_yarn(command))
    )


def is_bare_yarn(command: Command) -> bool:
    """Return whether a command is `yarn` with nothing but options: then it installs."""
    named = [word for word in command.arguments if not word.isdigit()]
    return command.program == "yarn" and not named and "--version" not in command.words


def keeps_nothing(step: Step, tool: str, command: Command) -> bool:
    """Return whether a command has an option to keep no cache."""
    row = commands("caches")[tool]
    off = (step.setting(command, name) for name in row.get("off", []))
    return bool(set(command.words) & set(row.get("unless", []))) or any(off)


def hard_links(step: Step, tool: str) -> bool:
    """Return whether what a tool installs is hard links to its cache: both together ship once."""
    copied = commands("caches")[tool].get("copied")
    said = [step.script, *(f"{name}={value}" for name, value in step.values.items())]
    return bool(copied) and not any(re.search(copied, text) for text in said)


def cache_targets(step: Step) -> list[str]:
    """Return the folders of a RUN's cache mounts."""
    found = (mount.get("target", "") for mount in step.mounts if mount["type"] == "cache")
    return [absolute(step.workdir, step.expand(target)) for target in found if target]


def has_cache(subject: Subject, step: Step, tool: str, command: Command) -> bool:
    """Return whether a cache mount is on a folder where the tool keeps its cache."""
    return any(_is_kept(subject, step, tool, command, target) for target in cache_targets(step))


def folder_of(subject: Subject, step: Step, tool: str) -> str:
    """Return the folder on which a cache mount belongs."""
    first = _folders(subject, step, tool)[0]
    home = {"root": "/root"}.get(_user(subject, step), f"/home/{_user(subject, step)}")
    return absolute(step.workdir, first.replace("~", home or "~"))


def _is_kept(subject: Subject, step: Step, tool: str, command: Command, target: str) -> bool:
    if "$" in target:
        return True
    row = commands("caches")[tool]
    unwritten = (names for of, names in row.get("unused", {}).items() if command.matches([of]))
    unused = set().union(*unwritten)
    named = [step.setting(command, name) for name in row["by"] if name not in unused]
    folders = [each for each in _folders(subject, step, tool) if each not in unused]
    folders += [name for name in named if name]
    plain = _from_home(subject, step, target)
    if any(_meet(plain, absolute(step.workdir, folder)) for folder in folders if folder[0] != "~"):
        return True
    if any(_meet(plain, folder) for folder in folders if folder[0] == "~"):
        return True
    # Where an option or a configuration names the folder, it is right.
    return any(target.rstrip("/") in other.script for other in subject.steps(step.stage))


def _folders(subject: Subject, step: Step, tool: str) -> list[str]:
    row, base = commands("caches")[tool], subject.base(step.stage)
    return row["there"] if base.name in _TOOLCHAINS.get(tool, ()) else row["in"]


def _meet(one: str, other: str) -> bool:
    """Whether one folder is in the other; `*` stands for a name."""
    if "*" in other:
        return fnmatchcase(one, other) or fnmatchcase(one, f"{other}/*")
    if other.endswith("/target"):
        return under(one, other) or one.endswith("/target") or "/target/" in one
    return under(one, other) or under(other, one)


def _user(subject: Subject, step: Step) -> str:
    """Who runs a step: root, a name, or "" where that is not known."""
    user = step.expand(step.user).partition(":")[0]
    if not user:
        user = subject.base(step.stage).user
        return "root" if user in ("root", "steps down") else ""
    return "root" if re.fullmatch(r"root|[+-]?0+", user) else "" if user.isdigit() else user


def _from_home(subject: Subject, step: Step, target: str) -> str:
    """A folder with ~ for the home that it is in, if it is the user's."""
    user, home = _user(subject, step), step.values.get("HOME")
    pattern = {"root": "/root", "": "/root|/home/[^/]+"}.get(user, f"/home/{re.escape(user)}")
    pattern = f"{pattern}|{re.escape(home)}" if home else pattern
    return re.sub(rf"^(?:{pattern})(?=/|$)", "~", target)


# --- the lists of apt ---------------------------------------------------------------------------

_LISTS = re.compile(r"/var/lib/apt/lists|/var/lib/apt\b|/var/lib/\*|dist-?clean")
_UPDATE = re.compile(
    r"\b(?:apt-get|apt|aptitude)\b[^;&|\n]{0,200}\bupdate\b|deb\.nodesource\.com/setup|"
    r"packagecloud\.io/\S{0,200}script\.deb"
)


def leaves_lists(step: Step) -> bool:
    """Return whether a RUN leaves lists of packages in its layer: what it fetches, it keeps."""
    tools = {c.program for c in step.commands if "update" in c.words[1:]}
    fetched = [match.start() for match in _UPDATE.finditer(step.script)]
    removed = [match.start() for match in _LISTS.finditer(step.script)]
    scripts = any("://" in word for c in step.commands for word in c.words)
    runs = tools & {"apt-get", "apt", "aptitude"} or scripts
    stay = bool(runs and fetched) and fetched[-1] > max(removed, default=-1)
    return stay and not mounts_lists(step)


def removes_lists(step: Step) -> bool:
    """Return whether a RUN removes lists of packages."""
    return bool(_LISTS.search(step.script))


def mounts_lists(step: Step) -> bool:
    """Return whether the lists of packages that a RUN sees are outside its layer."""
    targets = (mount["target"].rstrip("/") for mount in step.mounts if mount["type"] != "bind")
    return any(target and under("/var/lib/apt/lists", target) for target in targets)


# --- the index of apk ---------------------------------------------------------------------------

_FETCHING = {"add", "update", "upgrade", "-U", "--update", "--update-cache"}
_INDEX = re.compile(r"/(?:var/cache|var/cache/apk|etc/apk/cache)(?:/|/\*.*|/APKINDEX.*)?")


def fetches_index(step: Step) -> bool:
    """Return whether a RUN fetches the index of apk, to keep it or not."""
    return any(_asks_for_index(command) for command in step.commands)


def leaves_index(step: Step) -> bool:
    """Return whether the index of apk is still there after a RUN, in its layer."""
    kept = [mount.get("target", "") for mount in step.mounts if mount["type"] != "bind"]
    for target in (absolute(step.workdir, step.expand(each)) for each in kept if each):
        if under("/var/cache/apk", target) or under("/etc/apk/cache", target):
            return False
    stays = False
    for command in step.commands:
        if _asks_for_index(command):
            stays = stays or "--no-cache" not in command.words
        elif _removes_index(command):
            stays = False
    return stays


def _removes_index(command: Command) -> bool:
    if command.program in ("rm", "find"):
        return any(_INDEX.fullmatch(word) for word in command.words)
    return command.matches(["apk cache clean"])


def _asks_for_index(command: Command) -> bool:
    asks = _FETCHING & set(command.words) and "--no-network" not in command.words
    return command.program == "apk" and bool(asks)
