"""The list of checks; reading their subject; applying the comments that accept findings."""

import errno
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path

from ..buildkit import opening
from ..dockerfile import Dockerfile, TooLarge, closest, parse, read_rules, split_words, stages
from ..errors import DockerfileError, UsageError
from ..units import format_bytes
from .questions.bases import one_suite, pinned_bases, smallest_base, supported_bases
from .questions.building import production_last, scanned, separate_stages, stripped
from .questions.caching import cache_mounts
from .questions.contents import dockerignore, only_needed
from .questions.dependencies import dev_dependencies
from .questions.developers import OF_WHAT_SHIPS, for_developers
from .questions.lines import (
    apk_cache,
    apt_update,
    pipe_failures,
    recommends,
    variables,
    workdir,
)
from .questions.linting import buildkit
from .questions.outcomes import FAILED, Check, Outcome, Place, Result, not_applicable, unseen
from .questions.reclaiming import reclaimable
from .questions.running import secrets, user
from .questions.signals import signals
from .questions.weighing import Weight, weigh
from .reading.folder import find_context, repository
from .reading.subject import Subject, usable_args
from .reading.walk import OF_OTHERS

MOST_BYTES, MOST_INSTRUCTIONS, MOST_VARIABLES = 300_000, 1000, 1000

CHECKS = (
    Check("separate-stages", "Build and runtime are separate", "01", "warning", separate_stages),
    Check("dev-dependencies", "No dev dependencies ship", "02", "warning", dev_dependencies),
    Check("smallest-base", "The base is the smallest that works", "05", "warning", smallest_base),
    Check("only-needed", "Only what is needed ships", "01", "warning", only_needed),
    Check("stripped", "Programs are stripped", "01", "note", stripped),
    Check("cache-mounts", "Package managers use a cache mount", "04", "note", cache_mounts),
    Check("scanned", "The image is scanned", "07", "note", scanned),
    Check("reclaimable", "No hidden bytes ship", "03", "warning", reclaimable),
    Check("dockerignore", "The build context is clean", "02", "warning", dockerignore),
    Check("user", "The program does not run as root", "01", "warning", user),
    Check("signals", "The program receives signals", "02", "warning", signals),
    Check("pinned-bases", "Base images are pinned", "05", "warning", pinned_bases),
    Check("supported-bases", "Base images are supported", "05", "error", supported_bases),
    Check("one-suite", "Builder and runtime are compatible", "05", "error", one_suite),
    Check("production-last", "The last stage is for production", "06", "warning", production_last),
    Check("secrets", "No secrets in Dockerfile or image", "08", "error", secrets),
    Check("recommends", "apt installs no recommended packages", "05", "note", recommends),
    Check("apk-cache", "apk leaves no index", "03", "note", apk_cache),
    Check("apt-update", "Package lists are not fetched alone", "04", "warning", apt_update),
    Check("variables", "Every variable is set", "06", "warning", variables),
    Check("pipes", "No pipe hides a failure", "06", "warning", pipe_failures),
    Check("workdir", "Working folders are absolute", "01", "warning", workdir),
    Check("buildkit", "BuildKit's linter has no warning", "06", "note", buildkit),
)  # fmt: skip
IDS = tuple(check.id for check in CHECKS)
LEVELS = ("error", "warning", "note")  # the most severe first

_ACCEPT = re.compile(r"accept\s+([\w-]+(?:\s*,\s*[\w-]+)*)(?:\s+because\s+(\S.*))?", re.IGNORECASE)
_OURS = re.compile(r"[ \t]*#[ \t]*shiplight:[ \t]*(.*?)[ \t\r]*")


@dataclass(frozen=True)
class Acceptance:
    """A comment that accepts a finding: at one instruction (its line), or in the whole file (0)."""

    id: str
    reason: str
    scope: int


@dataclass(frozen=True)
class Checklist:
    """The results in the order of the checklist, and remarks about the comments."""

    subject: Subject
    results: tuple[Result, ...]
    remarks: tuple[str, ...]

    @property
    def file(self) -> str:
        """The Dockerfile's name, relative to the current folder."""
        return shown(self.subject.path)

    @property
    def failed(self) -> bool:
        return any(result.counts for result in self.results)

    def fails(self, level: str) -> bool:
        """Return whether a check of that level or a more severe one failed, unless accepted."""
        severe = LEVELS[: LEVELS.index(level) + 1]
        return any(result.counts and result.check.level in severe for result in self.results)

    @cached_property
    def weight(self) -> Weight | None:
        """Where the bytes of the built image are; None where it was not built."""
        return weigh(self.subject) if self.subject.built else None

    def to_list(self) -> list[dict]:
        """Return the results as `./lab check --json` prints them.

        The weight of a built image is part of the row of the check `reclaimable`.
        """
        rows = [result.to_dict(self.file) for result in self.results]
        weight = self.weight.to_dict(self.file) if self.weight else None
        return [row | {"image": weight if row["id"] == "reclaimable" else None} for row in rows]


def shown(path: Path) -> str:
    """Return a path relative to the current folder, if it is below it."""
    absolute, here = Path(os.path.abspath(path)), Path.cwd()
    return (absolute.relative_to(here) if absolute.is_relative_to(here) else absolute).as_posix()


# --- reading ------------------------------------------------------------------------------------


def read_subject(
    path: str | os.PathLike,
    *,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    today: date | None = None,
    context: str | os.PathLike | None = None,
    text: bytes | None = None,
) -> Subject:
    """Read the Dockerfile at `path`, or in the folder at `path`, for the checks.

    `context` is the folder that a build sends; the default is the folder that contains the copied
    files. `text` replaces the file's text; then `path` is only a name, and there is no context.
    Reads text only. Raises UsageError if there is no file, DockerfileError if it cannot be read.
    """
    try:
        file = find_dockerfile(Path(os.path.expanduser(path))) if text is None else Path(path)
    except OSError as problem:  # a name too long
        why = problem.strerror
        raise UsageError(f"{path} cannot be read ({why}).", hint="check the path") from problem
    read = parse(_decoded(file, text) if text is not None else _text(file))
    count = len(read.global_args) + sum(len(stage.instructions) + 1 for stage in read.stages)
    if count > MOST_INSTRUCTIONS:
        raise DockerfileError(f"{file} has {count} instructions; {MOST_INSTRUCTIONS} are read.")
    count = sum(len(split_words(found.value, read.escape)) for found in _assigning(read))
    if count > MOST_VARIABLES:
        raise DockerfileError(f"{file} has {count} variables; {MOST_VARIABLES} are read.")
    arguments = usable_args(read, build_args or {})
    found = stages.stage_of(read, target)
    subject = Subject(file, read, arguments, found, bool(target), None, None, today or date.today())
    if context is None:
        folder = find_context(file, subject.all_steps) if text is None else None
    elif not (folder := Path(os.path.expanduser(context))).is_dir():
        raise UsageError(f"the context {context} is not a folder.", hint="name the folder to send")
    rules = read_rules(folder, file) if folder else None
    return replace(subject, context=folder, rules=rules, alone=text is not None)


def _assigning(read: Dockerfile) -> list:
    return [found for found in _instructions(read) if found.keyword in ("ARG", "ENV")]


_IS_DOCKERFILE = re.compile(
    r"(?i)(?:(?:docker|container)file(?:[._-][\w.-]+)?|[\w.-]+\.(?:docker|container)file)"
)
_NEVER = re.compile(r"(?i)\.(?:dockerignore|md|sh|py|go|js|ts|j2|tmpl|template|orig|bak)$")
MOST_FILES = 10_000


def find_dockerfiles(path: str | os.PathLike) -> list[str]:
    """Return the Dockerfiles that `path` means: itself, the one in a folder, or all below it.

    Walks a folder without one, except vendored and generated folders. Raises UsageError if there is
    none at all.
    """
    folder = Path(os.path.expanduser(path))
    own = [name for name in ("Dockerfile", "Containerfile") if (folder / name).is_file()]
    if own or not folder.is_dir():
        return [os.path.join(path, *own[:1])]
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in OF_OTHERS)
        found += [
            os.path.join(place, name)
            for name in sorted(names)
            if _IS_DOCKERFILE.fullmatch(name) and not _NEVER.search(name)
        ]
        if len(found) > MOST_FILES:
            raise UsageError(f"{path} has more than {MOST_FILES} Dockerfiles.", hint="name some")
    return found or [os.fspath(path)]


def find_dockerfile(path: Path) -> Path:
    """Return the Dockerfile that `path` is or contains. Raises UsageError without one."""
    if path.is_dir():
        for name in ("Dockerfile", "Containerfile"):
            if (path / name).is_file():
                return path / name
        others = sorted(
            each.name
            for each in path.iterdir()
            if re.search("(?i)dockerfile|containerfile", each.name)
            and each.is_file()
            and not each.name.endswith(".dockerignore")
        )
        hint = (
            f"name one: {', '.join(others[:8])}" if others else "name a Dockerfile, or its folder"
        )
        raise UsageError(f"the folder {path} has no Dockerfile.", hint=hint)
    if path.is_file():
        return path
    what = "is not an ordinary file" if path.exists() else "does not exist"
    raise UsageError(f"{path} {what}.", hint="name a Dockerfile, or a folder with one")


def _text(file: Path) -> str:
    root = repository(file.parent)
    try:
        data = opening.read(root, os.path.abspath(file), MOST_BYTES)
    except OSError as problem:
        if problem.errno == errno.EFBIG:
            raise DockerfileError(
                f"{file} is larger than {format_bytes(MOST_BYTES)}.", hint="is it a Dockerfile?"
            ) from problem
        hint = "name the file that it leads to" if problem.errno == errno.ELOOP else ""
        raise UsageError(f"{file} cannot be read ({problem.strerror}).", hint=hint) from problem
    return _decoded(file, data)


def _decoded(file: Path, data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise DockerfileError(f"{file} is larger than {format_bytes(MOST_BYTES)}.")
    if b"\0" in data:
        raise DockerfileError(f"{file} is not text.", hint="name a Dockerfile")
    # Engines take any bytes: a comment may be in Latin-1.
    return data.decode("utf-8-sig", "surrogateescape")


# --- running ------------------------------------------------------------------------------------


def run(subject: Subject, *, skip: Iterable[str] = ()) -> Checklist:
    """Run every check except those to skip, and apply the Dockerfile's accepting comments."""
    skip = tuple(skip)
    for name in skip:
        if name not in IDS:
            hint = closest(name, IDS) or f"the checks are {', '.join(IDS)}"
            raise UsageError(f"there is no check {name!r} to skip.", hint=hint)
    accepted, remarks = acceptances(subject.read)
    results = [
        accept(Result(check, outcome(check, subject)), accepted)
        for check in CHECKS
        if check.id not in skip
    ]
    unused = [
        f"the comment accepts {each.id}, which did not fail"
        for each in accepted
        if each.id not in skip
        and not any(r.check.id == each.id and _uses(r, each) for r in results)
    ]
    return Checklist(subject, tuple(results), (*remarks, *dict.fromkeys(unused)))


def outcome(check: Check, subject: Subject) -> Outcome:
    """Run one check on the subject. No check is for Windows images."""
    if any(subject.base(stage).windows for stage in subject.needed):
        return not_applicable("a Windows image")
    try:
        found = check.run(subject)
        return for_developers(subject, found) if check.id in OF_WHAT_SHIPS else found
    except TooLarge:
        return unseen(
            "the Dockerfile and its context have too much to compare",
            "list in .dockerignore what the image does not need",
        )


def _uses(result: Result, each: Acceptance) -> bool:
    return result.accepted is not None or any(
        place.accepted == each.reason for place in result.outcome.places
    )


def accept(result: Result, accepted: tuple[Acceptance, ...]) -> Result:
    """Return the result with the reasons that comments give for it."""
    reasons = {each.scope: each.reason for each in accepted if each.id == result.check.id}
    if result.outcome.result != FAILED or not reasons:
        return result
    places = tuple(_accepted(place, reasons) for place in result.outcome.places)
    said = [place.accepted for place in places] or [reasons.get(0)]
    whole = "; ".join(dict.fromkeys(said)) if all(said) else None
    return replace(result, outcome=replace(result.outcome, places=places), accepted=whole)


def _accepted(place: Place, reasons: dict[int, str]) -> Place:
    return replace(place, accepted=reasons.get(place.line or 0, reasons.get(0)))


def acceptances(read: Dockerfile) -> tuple[tuple[Acceptance, ...], tuple[str, ...]]:
    """Return the acceptances in a Dockerfile's comments, and remarks about invalid ones."""
    found, remarks = [], []
    instructions = _instructions(read)
    for number, line in enumerate(read.text.split("\n"), start=1):
        match = _OURS.fullmatch(line)
        if not match or _in_heredoc(instructions, number):
            continue
        said = _ACCEPT.fullmatch(match[1])
        if not said or not said[2]:
            remarks.append(f"line {number}: say `# shiplight: accept ID because REASON`")
            continue
        for name in re.split(r"\s*,\s*", said[1]):
            if name in IDS:
                found.append(Acceptance(name, said[2].strip(), _scope(instructions, number)))
            else:
                hint = closest(name, IDS)
                remarks.append(
                    f"line {number}: there is no check {name}" + (f"; {hint}" if hint else "")
                )
    return tuple(found), tuple(remarks)


def _instructions(read: Dockerfile) -> list:
    inside = [i for stage in read.stages for i in (stage.from_instruction, *stage.instructions)]
    return [*read.global_args, *inside]


def _in_heredoc(instructions: list, number: int) -> bool:
    for found in instructions:
        lines = sum(heredoc.content.count("\n") + 1 for heredoc in found.heredocs)
        if found.end_line - lines < number <= found.end_line:
            return True
    return False


def _scope(instructions: list, number: int) -> int:
    """The line of the instruction that a comment is in or above; 0 for the whole file."""
    for found in instructions:
        if number <= found.end_line:
            return 0 if found is instructions[0] and number < found.line else found.line
    return 0
