"""Checks on what ships: only what is needed, nothing for nothing, and what the context brings."""

import re

from ...units import format_bytes
from ..reading.folder import bytes_of, context_copies, ignored, is_all, kept, sent
from ..reading.known import commands
from ..reading.programs import installed, is_named, removes_packages, shipped
from ..reading.shell import Command
from ..reading.subject import Step, Subject, absolute, under
from .image import buried_in, tools_in
from .outcomes import Outcome, Place, at, at_base, failed, listed, not_applicable, passed, unseen

_SOURCES = re.compile(
    r"\.(?:go|rs|c|cc|cpp|h|java|kt|cs|csproj|swift|hs)$|^(?:src|cmd|internal|pkg)/?$"
)
_TESTS = ("test", "tests", "spec", "__tests__", "e2e")


def only_needed(subject: Subject) -> Outcome:
    """Check that the final image contains no compiler, sources, tests or history."""
    tools = tools_in(subject) if subject.built else []
    lines = {place.line for place in tools}
    named = [place for place in _compilers(subject) if place.line not in lines]
    if subject.built:  # what a base brings is seen in the image, or is not there
        named = [place for place in named if place.line not in _from_lines(subject)]
    places = [*tools, *named, *_sources(subject), *_extras(subject)]
    if places:
        what = listed(place.found for place in places)
        return failed(f"the final image ships more than it needs: {what}", places, _NEEDED)
    copies = [step for step in subject.final_steps if step.keyword in ("COPY", "ADD")]
    if any(is_all(s) for step in context_copies(copies) for s in step.sources):
        if subject.context is None:
            return unseen(
                "what `COPY . .` copies: the context is not available", "check it in its folder"
            )
        return passed("COPY . . copies no tests and no history, and there is no compiler")
    return passed("no compiler, and only named files are copied")


_NEEDED = (
    "leave it in the builder: start the last stage from a base without it, and COPY --from the "
    "results by name"
)


def _from_lines(subject: Subject) -> set[int]:
    return {stage.line for stage in subject.read.stages}


def _compilers(subject: Subject) -> list[Place]:
    base, places = subject.final_base, []
    patterns = [name for kind in commands("packages").values() for name in kind]
    if base.compiler and base.size in ("toolchain", "full"):
        places.append(at_base(subject, base.compiler))
    for step in subject.filling_steps:
        found = [name for name in installed(step) if is_named(name, patterns)]
        if found and not removes_packages(step):
            places.append(at(step, listed(found)))
    return places


def _sources(subject: Subject) -> list[Place]:
    """Copies of a compiled program's sources that end in the final image."""
    if not [each for each in shipped(subject) if each.language != "node"]:
        return []
    return [
        at(step, "sources")
        for step in context_copies(subject.shipping)
        if any(is_all(s) or _SOURCES.search(s.rpartition("/")[2]) for s in step.sources)
        and subject.ships(step, step.destination)
    ]


def _extras(subject: Subject) -> list[Place]:
    """Tests and history that a copy of the whole context takes along to the end."""
    return [
        at(step, listed(extra))
        for step in context_copies(subject.shipping)
        if (extra := sent(subject, *_TESTS, ".git", by=step))
        and any(is_all(s) for s in step.sources)
        and subject.ships(step, step.destination)
    ]


# --- the context --------------------------------------------------------------------------------

_UNWANTED = (
    *(".git", ".env", ".env.local", ".env.production", ".aws", ".ssh"),
    *("node_modules", ".venv", "venv", "__pycache__"),
)


def dockerignore(subject: Subject) -> Outcome:
    """Check that what sends the whole context leaves out what does not belong in an image."""
    copies = context_copies(subject.all_steps)
    whole = [s for s in copies if any(map(is_all, s.sources))]
    whole += [step for step in subject.all_steps if _mounts_all(step)]
    if not whole:
        if not [step for step in copies if step.sources]:
            return not_applicable("nothing is copied from the context")
        return passed("only named files are copied from the context")
    if subject.context is None:
        return unseen("the context of this Dockerfile is not available", "check it in its folder")
    unwanted = [(step, _unwanted(subject, whole, step)) for step in whole]
    if subject.rules is None:
        if all(step.excluded and not names for step, names in unwanted):
            return passed("--exclude leaves out what does not belong")
        return failed(
            "the whole context is copied, and there is no .dockerignore",
            [at(step, "the whole context") for step in whole],
            "write a .dockerignore with .git, .env*, what is installed and what is built",
        )
    if found := list(dict.fromkeys(name for _, names in unwanted for name in names)):
        return failed(
            f".dockerignore lets {listed(found)} through",
            [at(step, f"copies {listed(names)}") for step, names in unwanted if names],
            f"add to .dockerignore: {listed(name.partition(' ')[0] for name in found)}",
        )
    return passed(".dockerignore excludes everything that does not belong")


def _mounts_all(step: Step) -> bool:
    """Whether a RUN mounts the whole context: that sends it too."""
    bound = [m for m in step.mounts if m["type"] == "bind" and not m.get("from")]
    return any(is_all(mount.get("source", mount.get("src", ""))) for mount in bound)


def _unwanted(subject: Subject, whole: list[Step], step: Step) -> list[str]:
    """What one step sends that does not belong in an image; an exception names what does."""
    needs_git = any(c.program == "git" for step in subject.all_steps for c in step.commands)
    names = [name for name in _UNWANTED if not (needs_git and name == ".git")]
    found = [name for name in sent(subject, *names, by=step) if not kept(subject, name)]
    would_go = not ignored(subject, "node_modules") and not step.excluded
    if _is_node(subject, whole) and "node_modules" not in found and would_go:
        found.append("node_modules (once it is installed)")
    return found


def _is_node(subject: Subject, whole: list[Step]) -> bool:
    node = any(subject.base(step.stage).language == "node" for step in whole)
    return node and bytes_of(subject, "package.json") is not None


# --- bytes for nothing --------------------------------------------------------------------------

_LISTS = re.compile(r"/var/lib/apt/lists|/var/lib/apt\b|/var/lib/\*|dist-?clean")
_APK = re.compile(r"--no-cache|/var/cache/apk|/etc/apk/cache|apk cache clean")
_DNF = re.compile(r"clean all|/var/cache/(?:dnf|yum|libdnf)|/var/cache\b")
_SMALL = re.compile(
    r"\.(?:txt|json|toml|lock|sh|conf|cfg|ini|ya?ml|md|pem|crt|list|mod|sum)$|lock|^<<"
)
_SMALL_BYTES = 100_000


def reclaimable(subject: Subject) -> Outcome:
    """Check that no instruction ships bytes that a later one hides, package lists or caches."""
    if subject.built:
        places = buried_in(subject)
        if places:
            total = sum(place.bytes for place in places)
            what = f"{format_bytes(total)} of hidden files ship"
            return failed(what, places, _RECLAIM)
        return passed("less than 1 MB is hidden or left behind")
    places = [*_removed_later(subject), *_owner_later(subject)]
    for step in subject.final_steps:
        left = _left_behind(step) if step.keyword == "RUN" else []
        places += [at(step, what) for what in left]
    if places:
        what = listed(place.found for place in places)
        return failed(f"hidden bytes ship: {what}", places, _RECLAIM)
    return passed("no instruction adds files that a later one hides")


_RECLAIM = (
    "delete files in the instruction that adds them; mount what is needed only during a step (RUN "
    "--mount=type=bind,from=…, type=cache); use COPY --chown instead of a later chown"
)


def _left_behind(step: Step) -> list[str]:
    text, found = step.script, []
    targets = [mount.get("target", "") for mount in step.mounts if mount["type"] != "bind"]
    words = {(command.program, word) for command in step.commands for word in command.words[1:]}

    def mounted(path: str) -> bool:
        return any(target and under(path, target.rstrip("/")) for target in targets)

    apt = any((tool, "update") in words for tool in ("apt-get", "apt", "aptitude"))
    if apt and not _LISTS.search(text) and not mounted("/var/lib/apt/lists"):
        found.append("apt's package lists")
    apk = any(("apk", word) in words for word in ("update", "-U", "--update", "--update-cache"))
    if apk and not _APK.search(text) and not mounted("/var/cache/apk"):
        found.append("apk's index")
    dnf = any((tool, "install") in words for tool in ("dnf", "yum", "microdnf", "tdnf"))
    if (
        dnf
        and not _DNF.search(text)
        and not mounted("/var/cache/dnf")
        and not mounted("/var/cache/yum")
    ):
        found.append("dnf's metadata")
    return found + _caches(step, text)


def _caches(step: Step, text: str) -> list[str]:
    """The caches of package managers for languages that a RUN leaves in its layer."""
    found = []
    for tool, row in commands("caches").items():
        ran = [command for command in step.commands if command.matches(row["of"])]
        kept = [
            command
            for command in ran
            if not set(command.words) & {*row["unless"], "--no-index"}
            and not (row["environment"] and step.setting(command, row["environment"]))
        ]
        cleaned = re.search(
            rf"{tool} cache (?:clean|purge|rm)|\.cache\b|\.{tool}\b|--cache[= ]", text
        )
        if kept and not cleaned and not any(m["type"] == "cache" for m in step.mounts):
            found.append(f"{tool}'s cache")
    return found


def _removed_later(subject: Subject) -> list[Place]:
    """What an instruction copies or installs and a later one removes."""
    found, adding, installing = [], [], []
    for step in subject.final_steps:
        for path in _removed_paths(step):
            what = f"{path}, deleted again in line {step.line}"
            found += [at(each, what) for each in adding if _added(subject, each, path)]
        gone = _removed_packages(step)
        for earlier, names in installing if gone else ():
            if again := [name for name in names if name in gone]:
                found.append(at(earlier, f"{listed(again)}, deleted again in line {step.line}"))
        adding += [step] if step.keyword in ("COPY", "ADD") or _fetches(step) else []
        installing += [(step, names)] if (names := installed(step)) else []
    return found


def _fetches(step: Step) -> list[Command]:
    """The commands of a RUN that may put a file where they are told to."""
    return [command for command in step.commands if command.program in ("curl", "wget", "git")]


def _removed_paths(step: Step) -> list[str]:
    """The absolute paths that a RUN removes; a pattern's folder stands for it."""
    found, folder = [], step.workdir
    for command in step.commands:
        if command.program == "cd" and command.arguments:
            folder = absolute(folder, step.expand(command.arguments[0]))
        elif command.program == "rm":
            paths = [absolute(folder, step.expand(path)) for path in command.arguments]
            found += [path.removesuffix("/*") for path in paths if path != "/"]
    return found


def _removed_packages(step: Step) -> set[str]:
    return {
        word
        for command in step.commands
        if command.program in ("apt-get", "apt", "apk")
        and command.arguments[:1] in (("remove",), ("purge",), ("del",))
        for word in command.arguments[1:]
    }


def _added(subject: Subject, step: Step, path: str) -> bool:
    """Whether a step brought what is at `path`, and more than a few bytes of it."""
    if step.keyword == "RUN":
        words = [word for command in _fetches(step) for word in command.arguments]
        words = {absolute(step.workdir, step.expand(word)) for word in words}
        return path in words and path not in _removed_paths(step)
    if step.keyword not in ("COPY", "ADD"):
        return False
    for source in step.sources:
        name = source.rstrip("/").rpartition("/")[2]
        places = {step.destination, absolute(step.destination, name)}
        if any(under(place, path) for place in places) and _is_large(subject, step, source):
            return True
        inside = path.removeprefix(step.destination.rstrip("/") + "/")
        if is_all(source) and not step.origin and inside != path and sent(subject, inside):
            return _is_large(subject, step, inside)
    return False


def _is_large(subject: Subject, step: Step, source: str) -> bool:
    """Whether what is copied is worth a word: by its bytes where it is here, else by its name."""
    size = bytes_of(subject, source) if not step.origin else None
    return not _SMALL.search(source) if size is None else size >= _SMALL_BYTES


def _owner_later(subject: Subject) -> list[Place]:
    """A chown or chmod of what was copied in an earlier instruction: every file ships twice."""
    found, steps = [], subject.final_steps
    for index, step in enumerate(steps):
        for command in step.commands:
            changes = command.program in ("chown", "chmod") and re.search(
                r"^-\w*R|^--recursive", " ".join(command.options)
            )
            for path in command.arguments[1:] if step.keyword == "RUN" and changes else ():
                path = absolute(step.workdir, step.expand(path))
                copied = [s for s in steps[:index] if _copied_into(subject, s, path)]
                if path != "/" and copied:
                    lines = listed(f"line {each.line}" for each in copied)
                    found.append(at(step, f"{command.program} -R copies what {lines} added"))
    return found


def _copied_into(subject: Subject, step: Step, path: str) -> bool:
    if step.keyword not in ("COPY", "ADD") or any(
        f.startswith("--ch") for f in step.instruction.flags
    ):
        return False
    large = any(_is_large(subject, step, source) for source in step.sources)
    return large and under(step.destination, path)
