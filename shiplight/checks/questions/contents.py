"""Checks on the contents of the image, and on the files that the context adds."""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice

from ...dockerfile import apply_rules
from ...setup import PROGRAM
from ..reading.folder import (
    bytes_of,
    cleaned,
    context_copies,
    copied,
    ignored,
    is_all,
    kept,
    repository,
    sent,
    text_of,
)
from ..reading.known import Known, commands
from ..reading.programs import is_named, shipped, staying
from ..reading.scripts import Started, scripts_run
from ..reading.secretfiles import is_of_tests, secret_files, unread_files
from ..reading.subject import Step, Subject, under
from ..reading.walk import MOST_NAMES
from .image import tools_in
from .needs import is_used, runs_tests
from .outcomes import Outcome, Place, at, at_base, failed, listed, not_applicable, passed, unseen
from .running import unread_secrets

_SOURCES = re.compile(
    r"\.(?:go|rs|c|cc|cpp|h|java|kt|cs|csproj|swift|hs)$|^(?:src|cmd|internal|pkg)/?$"
)
_TESTS = ("test", "tests", "spec", "__tests__", "e2e")
_TESTS_BELOW = {"test", "tests", "__tests__", "e2e"}  # spec may be of an API there


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
    if outcome := _unseen_compiler(subject):
        return outcome
    copies = [step for step in subject.final_steps if step.keyword in ("COPY", "ADD")]
    if whole := [step for step in context_copies(copies) if any(map(is_all, step.sources))]:
        if subject.context is None:
            return unseen(
                "what `COPY . .` copies: the context is not available", "check it in its folder"
            )
        if outcome := _unseen_history(subject, whole):
            return outcome
        some = "" if subject.sends.whole else f", of {MOST_NAMES:,} names that were looked at"
        what = f"COPY . . copies no tests and no history{some}"
        return passed(f"{what}, and there is no compiler{_unread(subject)}")
    return passed(f"no compiler{_unread(subject)}, and only named files are copied")


_NEEDED = (
    "leave it in the builder: start the last stage from a base without it, and COPY --from the "
    "results by name"
)


def _unseen_compiler(subject: Subject) -> Outcome | None:
    """Return that nobody can say whether the base brings a compiler, or needs the one it has."""
    base = subject.final_base
    if subject.built or not (base.compiler or _is_unknown(base)):
        return None
    why = f"whether {base.reference} contains a compiler"
    if base.compiler:
        why = f"{base.reference} contains {base.compiler}, and has no variant without"
    return unseen(why, f"`{PROGRAM} check --build` looks into the image")


def _is_unknown(base: Known) -> bool:
    return not (base.size or base.language)


def _from_lines(subject: Subject) -> set[int]:
    return {stage.line for stage in subject.read.stages}


def _compilers(subject: Subject) -> list[Place]:
    base, places = subject.final_base, []
    patterns = [name for kind in commands("packages").values() for name in kind]
    if base.compiler and (base.size == "toolchain" or base.smaller):
        places.append(at_base(subject, base.compiler))
    for step in subject.filling_steps:
        found = [name for name in staying(step) if is_named(name, patterns)]
        if found := [name for name in found if not is_used(subject, name)]:
            places.append(at(step, listed(found)))
    for run in _scripts(subject):
        found = staying(run.inside) if run.inside else []
        found = [name for name in found if is_named(name, patterns)]
        if found := [name for name in found if not is_used(subject, name)]:
            places.append(at(run.step, f"{listed(found)} of {run.path}"))
    return places


def _scripts(subject: Subject) -> list[Started]:
    """The scripts that run in the final stage."""
    filling = set(subject.filling_steps)
    return [run for run in scripts_run(subject) if run.step in filling]


def _unread(subject: Subject) -> str:
    """The scripts that run and are not here, in words: they may install anything."""
    names = [run.path for run in _scripts(subject) if run.inside is None]
    return f" that the text shows ({listed(names)} could not be read)" if names else ""


def _shipping_copies(subject: Subject) -> list[Step]:
    """The copies from the context of which something may ship, in the order of their stages."""
    return [step for step in context_copies(subject.all_steps) if step in subject.shipping]


def _sources(subject: Subject) -> list[Place]:
    """Copies of sources that end in the final image beside what is compiled from them.

    Those of a front end only where a builder's whole folder ships: many programs for Node are run
    from their sources.
    """
    made = shipped(subject)
    own, any_of = subject.lineage(subject.target), any(each.language != "node" for each in made)
    builders = {each.step.stage for each in made if each.language == "node"}
    above = {stage for builder in builders for stage in subject.lineage(builder)} - set(own)
    return [
        at(step, "sources")
        for step in _shipping_copies(subject)
        if any_of or step.stage in above
        if any(is_all(s) or _SOURCES.search(s.rpartition("/")[2]) for s in step.sources)
        and subject.ships(step, step.destination)
    ]


def _extras(subject: Subject) -> list[Place]:
    """Tests and history that are copied from the context to the end."""
    return [
        at(step, listed(extra))
        for step in _shipping_copies(subject)
        if (extra := _extra(subject, step)) and subject.ships(step, step.destination)
    ]


def _extra(subject: Subject, step: Step) -> list[str]:
    """The tests and the history that a step copies: with the whole context, or by name."""
    if any(map(is_all, step.sources)):
        return [*sent(subject, *_TESTS, ".git", by=step), *_tests_below(subject, step)]
    if runs_tests(subject):
        return []
    plain = [cleaned(source.removesuffix("*")) for source in step.sources]
    named = [name for name in plain if name.rpartition("/")[2] in _TESTS_BELOW]
    named = [name for name in named if bytes_of(subject, name) is None]
    return named + [n for n in _tests_below(subject, step) if not any(under(n, p) for p in named)]


def _tests_below(subject: Subject, step: Step) -> list[str]:
    """The outermost folders of tests that a step copies from below the root of the context."""
    if "tests" not in subject.found:
        folders = [name for name in subject.sends.folders if "/" in name]
        named = (name for name in folders if name.rpartition("/")[2] in _TESTS_BELOW)
        inside = re.compile(rf"(?:^|/)(?:{'|'.join(_TESTS)})/")
        subject.found["tests"] = [name for name in named if not inside.search(name)]
    return copied(subject, subject.found["tests"], by=step)


# --- the context --------------------------------------------------------------------------------

_UNWANTED = (
    *(".env", ".env.local", ".env.production", ".aws", ".ssh"),
    *("node_modules", ".venv", "venv", "__pycache__"),
)


def dockerignore(subject: Subject) -> Outcome:
    """Check that a copy of the whole context leaves out files that do not belong in an image.

    And so a copy of a folder.
    """
    copies = context_copies(subject.all_steps)
    whole = [s for s in copies if any(map(is_all, s.sources))]
    whole += [step for step in subject.all_steps if _mounts_all(step)]
    if not whole:
        if not [step for step in copies if step.sources]:
            return not_applicable("nothing is copied from the context")
        if below := [(step, found) for step in copies if (found := _below(subject, step))]:
            names = list(dict.fromkeys(name for _, found in below for name in found))
            none = subject.rules is None
            guard = "there is no .dockerignore" if none else ".dockerignore lets that through"
            return failed(
                f"copied folders may contain {listed(names)}, and {guard}",
                [at(step, f"copies {listed(found)}") for step, found in below],
                f"add to .dockerignore: {listed(name.partition(' ')[0] for name in names)}",
            )
        return passed("only named files and folders are copied from the context")
    if subject.context is None:
        return unseen("the context of this Dockerfile is not available", "check it in its folder")
    alike = {step.excluded: step for step in whole}
    by_rules = {rules: _unwanted(subject, whole, step) for rules, step in alike.items()}
    unwanted = [(step, by_rules[step.excluded]) for step in whole]
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
    unread = [name for name in unread_files(subject) if not kept(subject, name)]
    if outcome := unread_secrets(subject, whole, unread):
        return outcome
    if outcome := _unseen_history(subject, whole):
        return outcome
    some = "" if subject.sends.whole else f" among the first {MOST_NAMES:,} names of the context"
    return passed(f".dockerignore excludes everything that does not belong{some}")


def _unseen_history(subject: Subject, whole: list[Step]) -> Outcome | None:
    """Return that these copies may send history; None where .git is here, is left out or wanted.

    A .git above the context is out of reach for a build.
    """
    folder = subject.context
    there = (folder / ".git").exists() or repository(folder) != folder
    if there or ignored(subject, ".git") or _asks_history(subject):
        return None
    sending = [step for step in whole if not apply_rules(step.excluded, ".git")[0]]
    why = "whether history is sent: there is no .git here, and .dockerignore does not exclude it"
    places = [at(step, "the whole context") for step in sending[:1]]
    return unseen(why, "add to .dockerignore: .git", *places) if sending else None


_OF_HISTORY = ["describe", "rev-parse", "rev-list", "log", "show", "status", "diff", "name-rev",
               "branch", "tag", "symbolic-ref", "shortlog", "submodule"]  # fmt: skip


def _asks_history(subject: Subject) -> bool:
    """Whether a step asks git for the history of the context; that of a clone is another one."""
    asking, steps = [f"git {word}" for word in _OF_HISTORY], subject.all_steps
    clone = ["git clone", "git init"]
    cloned = {step.stage.index for step in steps if any(c.matches(clone) for c in step.commands)}
    return any(
        command.matches(asking)
        for step in steps
        if step.stage.index not in cloned
        for command in step.commands
    )


def _mounts_all(step: Step) -> bool:
    """Whether a RUN mounts the whole context: that sends it too."""
    bound = [m for m in step.mounts if m["type"] == "bind" and not m.get("from")]
    return any(is_all(mount.get("source", "")) for mount in bound)


def _unwanted(subject: Subject, whole: list[Step], step: Step) -> list[str]:
    """What one step sends that does not belong in an image; an exception names what does."""
    found = [] if _asks_history(subject) else sent(subject, ".git", by=step)
    names = dict.fromkeys([*_by_name(subject), *secret_files(subject)])
    found += _together(name for name in copied(subject, names, by=step) if not kept(subject, name))
    would_go = not ignored(subject, "node_modules") and not step.excluded
    there = {"node_modules", "**/node_modules"} & set(found)
    if _is_node(subject, whole) and not there and would_go:
        found.append(f"node_modules{_ONCE}")
    return found + ([] if "**/node_modules" in found else _modules(subject, step))


def _below(subject: Subject, step: Step) -> list[str]:
    """What the folders that a step copies send, and that does not belong in an image."""
    wanted = {cleaned(source) for source in step.sources}
    names = dict.fromkeys([*_by_name(subject), *secret_files(subject)])
    found = copied(subject, (name for name in names if name not in wanted), by=step)
    return [*_together(found), *_modules(subject, step)]


_ONCE = " (once it is installed)"
_MOST_PROJECTS = 50  # of Node's, in one context


def _modules(subject: Subject, step: Step) -> list[str]:
    """The folders below which npm and the like will install packages, and that a step copies then.

    A pattern without `**/` in .dockerignore holds for the top of the context alone.
    """
    if "modules" not in subject.found:
        files = [name for name in subject.sends.files if name.endswith("/package.json")]
        folders = [
            name.removesuffix("package.json") + "node_modules"
            for name in islice((name for name in files if not is_of_tests(name)), _MOST_PROJECTS)
            if "ependencies" in (text_of(subject, name) or "")
        ]
        there = set(subject.sends.folders)
        subject.found["modules"] = [
            each for each in folders if each not in there and not ignored(subject, each)
        ]
    found = _together(copied(subject, subject.found["modules"], by=step))
    return [name + _ONCE for name in found]


def _by_name(subject: Subject) -> list[str]:
    """What the context sends, anywhere in it, that does not belong in an image by its name.

    What a COPY names does.
    """
    if "unwanted" not in subject.found:
        sends = [*subject.sends.files, *subject.sends.folders]
        named = [name for name in sends if name.rpartition("/")[2] in _UNWANTED]
        wanted = {cleaned(s) for step in context_copies(subject.all_steps) for s in step.sources}
        subject.found["unwanted"] = [n for n in named if not (is_of_tests(n) or n in wanted)]
    return subject.found["unwanted"]


def _together(names: Iterable[str]) -> list[str]:
    """The names; of several folders or files that are called the same, the pattern for all.

    >>> _together([".env", "a/node_modules", "b/c/node_modules"])
    ['.env', '**/node_modules']
    """
    names = list(names)
    counts = Counter(name.rpartition("/")[2] for name in names)
    lasts = ((name, name.rpartition("/")[2]) for name in names)
    return list(dict.fromkeys(f"**/{last}" if counts[last] > 1 else name for name, last in lasts))


def _is_node(subject: Subject, whole: list[Step]) -> bool:
    node = any(subject.base(step.stage).language == "node" for step in whole)
    return node and bytes_of(subject, "package.json") is not None
