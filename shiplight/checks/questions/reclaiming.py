"""The check on bytes that ship for nothing: hidden by a later instruction, or left behind."""

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import PurePosixPath

from ...dockerfile import TooLarge
from ...units import format_bytes
from ..reading.caches import fetching, hard_links, has_cache, keeps_nothing, leaves_lists
from ..reading.folder import bytes_of, is_all, is_folder, sent
from ..reading.inside import READABLE
from ..reading.known import commands
from ..reading.programs import installed, is_named, removed_packages, virtual_packages
from ..reading.shell import Command, is_shell
from ..reading.subject import Step, Subject, absolute, under
from .outcomes import Outcome, Place, at, failed, listed, passed, unseen
from .weighing import ARCHIVE, CACHE, HIDDEN, weigh

_DNF = re.compile(r"clean all|/var/cache/(?:dnf|yum|libdnf)|/var/cache\b")
_SMALL = re.compile(
    r"\.(?:txt|json|toml|lock|sh|bash|conf|cnf|cfg|ini|ya?ml|xml|md|pem|crt|key|asc|gpg|list|mod|sum|"
    r"py|rb|pl|php|env|properties|template|tmpl|j2|service|repo|sources)$|(?:^|[-._])lock\b|^<<|"
    r"entrypoint|(?:^|/)(?:\.?\w*rc|Gemfile|Makefile|Procfile|Dockerfile|run|start|init|crontab)$|^/etc/"
)
_SMALL_BYTES = 100_000
_MOST_STEPS = 1000  # of one Dockerfile, whose answers are kept: each step meets every other one


def reclaimable(subject: Subject) -> Outcome:
    """Check that no instruction ships hidden bytes, package lists or caches.

    In the text, only `apk_cache` checks the index of apk.
    """
    if subject.built:
        if places := _reclaimable_in(subject):
            total = sum(place.bytes for place in places)
            what = f"{format_bytes(total)} of hidden files ship"
            return failed(what, places, _RECLAIM)
        return passed("less than 1 MB is hidden or left behind")
    try:
        places = [*_removed_later(subject), *_changed_later(subject), *_kept_archives(subject)]
    except TooLarge:
        return unseen("whether hidden bytes ship: too much is added and changed again", _RECLAIM)
    for step in subject.final_steps:
        left = _left_behind(subject, step) if step.keyword == "RUN" else []
        places += [at(step, what) for what in left]
    if places:
        what = listed(place.found for place in places)
        return failed(f"hidden bytes ship: {what}", places, _RECLAIM)
    return passed("no instruction adds files that a later one hides")


_LEAST_BYTES = 1_000_000  # of a row that fails


def _reclaimable_in(subject: Subject) -> list[Place]:
    """What is hidden or left behind in the image, in the order of the lines."""
    found = weigh(subject)
    rows = [row for row in (*found.rows, *found.of_base) if row.kind in (HIDDEN, CACHE, ARCHIVE)]
    places = [row.place for row in rows if row.bytes >= _LEAST_BYTES]
    return sorted(places, key=lambda place: (place.line or 0, place.path))


_RECLAIM = (
    "delete files in the instruction that adds them; mount what is needed only during a step (RUN "
    "--mount=type=bind,from=…, type=cache); use COPY --chown instead of a later chown"
)


def _left_behind(subject: Subject, step: Step) -> list[str]:
    text, found = step.script, []
    targets = [mount.get("target", "") for mount in step.mounts if mount["type"] != "bind"]
    words = {(command.program, word) for command in step.commands for word in command.words[1:]}

    def mounted(path: str) -> bool:
        return any(target and under(path, target.rstrip("/")) for target in targets)

    if leaves_lists(step):
        found.append("apt's package lists")
    dnf = any((tool, "install") in words for tool in ("dnf", "yum", "microdnf", "tdnf"))
    if (
        dnf
        and not _DNF.search(text)
        and not mounted("/var/cache/dnf")
        and not mounted("/var/cache/yum")
    ):
        found.append("dnf's metadata")
    return found + _caches(subject, step)


# What builds what it starts, and takes packages from its cache for that.
_COMPILING = {"gradle": "gradle", "mvn": "maven", "sbt": "sbt", "go": "go", "cargo": "cargo"}


def _caches(subject: Subject, step: Step) -> list[str]:
    """The caches of package managers that a RUN leaves in its layer, and no start needs."""
    found = []
    starts = subject.ending.starts
    needed = {_COMPILING.get(command.program) for each in starts for command in each.commands}
    for tool, command in fetching(step):
        if tool in needed:
            continue
        row = commands("caches")[tool]
        cleaned = row["cleaned"] and re.search(row["cleaned"], step.script)
        if not (what := row.get("leaves")) or cleaned or keeps_nothing(step, tool, command):
            continue
        if not has_cache(subject, step, tool, command) and not hard_links(step, tool):
            found.append(what)
    return list(dict.fromkeys(found))


# --- what a later instruction hides -------------------------------------------------------------


def _removed_later(subject: Subject) -> list[Place]:
    """What an instruction copies, fetches or installs and a later one removes or moves."""
    found, adding, installing = [], [], []
    for step in subject.final_steps:
        for path, how in _removed_paths(step).items():
            what = f"{path}, {how} in line {step.line}"
            found += [at(each, what) for each in adding if _added(subject, each, path)]
        gone = list(dict.fromkeys(removed_packages(step)))
        for earlier, names in installing if gone else ():
            subject.looks.take(len(names) * len(gone))
            again = [name for name in names if is_named(name, gone)]
            if again:
                found.append(at(earlier, f"{listed(again)}, deleted again in line {step.line}"))
        if pruned := _pruning(step):
            subject.looks.take(len(adding))
            whole = [each for each in adding if _is_whole_install(each, step)]
            what = f"packages that `{' '.join(pruned[0].words[:2])}` removes in line {step.line}"
            found += [at(each, what) for each in whole]
        adding += [step] if step.keyword in ("COPY", "ADD") or _brings(step) else []
        names = (*installed(step), *virtual_packages(step)) if step.keyword == "RUN" else ()
        installing += [(step, names)] if names else []
    return found


def _is_whole_install(step: Step, pruning: Step) -> bool:
    """Whether a RUN installs a project's packages that a later one prunes."""
    tools = {tool for tool, _ in fetching(step)} & {"npm", "yarn", "pnpm", "composer"}
    return bool(tools) and not _pruning(step) and step.workdir == pruning.workdir


@lru_cache(maxsize=_MOST_STEPS)
def _pruning(step: Step) -> tuple[Command, ...]:
    """The commands of a RUN that remove packages of a project again."""
    return tuple(c for c in step.commands if c.matches(commands("pruning", "again")))


def _brings(step: Step) -> list[Command]:
    """The commands of a RUN that put files where they are told to."""
    if step.keyword != "RUN":
        return []
    fetches = [command for command in step.commands if command.program in ("curl", "wget", "git")]
    return [*fetches, *(command for _, command in fetching(step))]


@lru_cache(maxsize=_MOST_STEPS)
def _fetched(step: Step) -> set[str]:
    """The paths that a RUN downloads to: those that it names, and the last parts of addresses."""
    found = set()
    for folder, command in _with_folders(step):
        if command.program not in ("curl", "wget", "git"):
            continue
        remote = command.program == "wget" or any(re.fullmatch(r"-\w*O", w) for w in command.words)
        for word in (step.expand(word) for word in command.arguments):
            if "://" in word:
                name = re.split(r"[?#]", word)[0].rstrip("/").rpartition("/")[2]
                named = command.program == "git" or remote
                found |= {absolute(folder, name.removesuffix(".git"))} if named and name else set()
                if command.program != "git" and named and name:
                    found.add(absolute(folder, name))
            else:
                found.add(absolute(folder, word))
    return found


def _with_folders(step: Step) -> Iterator[tuple[str, Command]]:
    """The commands of a RUN, each with the folder that it works in."""
    folder = step.workdir
    for command in step.commands if step.keyword == "RUN" else ():
        if command.program == "cd" and command.arguments:
            folder = absolute(folder, step.expand(command.arguments[0]))
        yield folder, command


@lru_cache(maxsize=_MOST_STEPS)
def _removed_paths(step: Step) -> dict[str, str]:
    """The absolute paths that a RUN removes or moves, and how; a pattern's folder stands for it."""
    found = []
    for folder, command in _with_folders(step):
        if command.program == "rm":
            paths = [(path, "deleted again") for path in command.arguments]
        elif command.program == "mv" and len(command.arguments) > 1:
            paths = [(path, "moved") for path in command.arguments[:-1]]
        else:
            continue
        whole = [(absolute(folder, step.expand(path)), how) for path, how in paths]
        found += [(path.removesuffix("/*"), how) for path, how in whole if path != "/"]
    return dict(reversed(found))  # the first way counts


def _is_gone(path: str, removed: Iterable[str]) -> bool:
    """Whether a path is one of those removed, is below one, or is what a pattern there matches.

    >>> _is_gone("/tmp/a.tgz", ["/tmp/a*"]), _is_gone("/tmp/b/a.tgz", ["/tmp/a*", "/*.tgz"])
    (True, False)
    """
    parts = path.split("/")
    for away in removed:
        given = away.split("/")
        if under(path, away) or (
            set("*?[") & set(away)
            and len(given) <= len(parts)
            and all(fnmatchcase(*pair) for pair in zip(parts, given, strict=False))
        ):
            return True
    return False


def _added(subject: Subject, step: Step, path: str) -> bool:
    """Whether a step brought what is at `path`, and more than a few bytes of it."""
    subject.looks.take(len(step.paths) if step.keyword in ("COPY", "ADD") else 1)
    if step.keyword == "RUN":
        brought = path in _fetched(step) and not _is_gone(path, _removed_paths(step))
        return brought and not _SMALL.search(path)
    if step.keyword not in ("COPY", "ADD"):
        return False
    for source in step.sources:
        places = {step.destination, step.landing(source)}
        if any(under(place, path) for place in places) and _is_large(subject, step, source):
            return True
        inside = path.removeprefix(step.destination.rstrip("/") + "/")
        if is_all(source) and not step.origin and inside != path and sent(subject, inside, by=step):
            return _is_large(subject, step, inside)
    return False


def _is_large(subject: Subject, step: Step, source: str) -> bool:
    """Whether what is copied is worth a word: by its bytes where it is here, else by its name."""
    size = bytes_of(subject, source) if not step.origin else None
    return not _SMALL.search(source) if size is None else size >= _SMALL_BYTES


_CHANGING = ("chown", "chmod", "chgrp", "setcap", "strip", "upx", "touch", "sed", "setfattr")


def _changed_later(subject: Subject) -> list[Place]:
    """A chown, chmod, strip and the like of what an earlier instruction added: it ships twice."""
    found, steps = [], subject.final_steps
    for index, step in enumerate(steps):
        for folder, command in _with_folders(step):
            if command.program not in _CHANGING:
                continue
            deep = re.search(r"(?:^|\s)(?:-\w*R|--recursive)", " ".join(command.options))
            if command.program == "sed" and not re.search(
                r"(?:^|\s)(?:-\w*i|--in-place)", " ".join(command.options)
            ):
                continue
            first = 0 if command.program in ("strip", "upx", "touch") else 1
            for given in command.arguments[first:]:
                path = absolute(folder, step.expand(given))
                adding = [s for s in steps[:index] if _added_into(subject, s, path, bool(deep))]
                if path != "/" and adding:
                    lines = listed(f"line {each.line}" for each in adding)
                    how = f"{command.program}{' -R' if deep else ''}"
                    found.append(at(step, f"{how} copies what {lines} added"))
    return found


def _added_into(subject: Subject, step: Step, path: str, deep: bool) -> bool:
    """Whether a step put something large at `path`, or with `deep` below it."""
    subject.looks.take(len(step.paths) if step.keyword in ("COPY", "ADD") else 1)
    if step.keyword == "RUN":
        if path in _fetched(step):
            return not _SMALL.search(path)
        subject.looks.take(len(_filled(step)))
        return deep and any(under(folder, path) for folder in _filled(step))
    if step.keyword not in ("COPY", "ADD"):
        return False
    if deep:  # --chown does not help: a chown copies a file whose owner stays the same, too
        large = any(_is_large(subject, step, source) for source in step.sources)
        return large and under(step.destination, path)
    return any(
        _is_large(subject, step, source)
        and path == step.landing(source)
        and not (is_all(source) or _is_folder(subject, step, source))
        for source in step.sources
    )


def _is_folder(subject: Subject, step: Step, source: str) -> bool:
    """Whether a COPY's source is known as a folder: in the context, or by what the stage says."""
    if not step.origin:
        return is_folder(subject, source)
    whole = absolute("/", source)
    said = [s for fetch in subject.fetches(step) for s in subject.steps(fetch.stage)]
    subject.looks.take(len(said))
    return source.endswith("/") or any(whole in _named_folders(each) for each in said)


@lru_cache(maxsize=_MOST_STEPS)
def _named_folders(step: Step) -> frozenset[str]:
    """The folders that a step makes, fills or works in, and those above them."""
    found = {step.workdir, *_filled(step)} - set(_fetched(step))
    for folder, command in _with_folders(step):
        if command.program == "mkdir":
            found |= {absolute(folder, step.expand(path)) for path in command.arguments}
    return frozenset(str(each) for path in found for each in (path, *PurePosixPath(path).parents))


_FILLING = ("npm", "yarn", "pnpm", "bun", "composer")


@lru_cache(maxsize=_MOST_STEPS)
def _filled(step: Step) -> tuple[str, ...]:
    """The folders that a RUN fills with packages, or with what it unpacks or clones there."""
    return tuple(dict.fromkeys(_filling(step)))


def _filling(step: Step) -> Iterator[str]:
    if step.keyword != "RUN":
        return
    into = {id(command) for tool, command in fetching(step) if tool in _FILLING}
    for folder, command in _with_folders(step):
        if id(command) in into and "-g" not in command.words:
            yield folder
        elif command.program == "git" and "clone" in command.words:
            last = command.arguments[-1]
            yield absolute(folder, last if "://" not in last else ".")
        elif command.matches(["python* -m venv", "virtualenv", "uv venv"]) and command.arguments:
            yield absolute(folder, step.expand(command.arguments[-1]))
        elif is_shell(command.program) or command.matches(_INSTALLERS):
            given = [after for option, after in _options(command) if option in _INTO]
            yield from (absolute(folder, step.expand(path)) for path in given)
    gone = _removed_paths(step)
    brought = (path for path in _fetched(step) if not _SMALL.search(path))
    yield from (path for path in brought if not _is_gone(path, gone))


_INSTALLERS = ("*.sh", "*.run", "tar", "bsdtar", "unzip", "pip", "conda", "mamba", "micromamba")
_INTO = {"-p", "-C", "-d", "-t", "--prefix", "--target", "--directory", "--dir", "--install-dir"}


def _options(command: Command) -> Iterator[tuple[str, str]]:
    """The options of a command with what they may take: the next word, or what is behind a `=`."""
    for word, after in zip(command.words, (*command.words[1:], ""), strict=True):
        option, equals, value = word.partition("=")
        if value or (not equals and after and not after.startswith("-")):
            yield option, value or after


_ARCHIVE = re.compile(rf"\.(?:{READABLE}|7z|jar\.gz|deb|rpm|apk)$")
_UNPACKING = ("tar", "unzip", "bsdtar", "7z", "7za", "dpkg", "rpm")


def _kept_archives(subject: Subject) -> list[Place]:
    """Archives that ship beside what they contained: unpacked, and never removed."""
    found, gone = [], {path for s in subject.final_steps for path in _removed_paths(s)}
    for index, step in enumerate(subject.final_steps):
        for folder, command in _with_folders(step):
            given = [absolute(folder, step.expand(word)) for word in command.arguments]
            for path in given if command.program in _UNPACKING else ():
                if not _ARCHIVE.search(path):
                    continue
                subject.looks.take(len(gone))
                if _is_gone(path, gone):
                    continue
                for each in subject.final_steps[: index + 1]:
                    fetched = each.keyword == "RUN" and path in _fetched(each)
                    if fetched or _added_into(subject, each, path, deep=False):
                        found.append(at(each, f"{path}, unpacked in line {step.line} and kept"))
    return found
