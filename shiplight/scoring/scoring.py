"""Build an image that is to ship, look at it in every way that counts, and score it."""

import os
import re
import stat
import tarfile
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from .. import engine, files, progress, recordings
from ..boxes import ACCENT, LITERAL, WRONG, inline
from ..buildkit import Step
from ..builds import Build, build, order
from ..checks import listed, mask, masked_text, read_subject, run, with_image
from ..dockerfile import Context, Instruction, parse, read_context
from ..engine import journal
from ..errors import BuildFailed, UsageError
from ..image import Image, instruction_of
from ..inspection import HISTORY, Found, measure, probe, search
from ..setting import Setting
from ..units import one_line, visible_line
from .page import page
from .points import Limits, Row, Seen, rows_of

TOKEN_ARGUMENT, TOKEN_SECRET = "TOKEN", "token"  # as what a build gets the secret, twice
_MARKS = {True: "✓", False: "✗", None: "–"}
_HIDDEN, _WIDTH = "<secret>", 50  # what stands for the secret; characters of a place of it
_INSTALLS = re.compile(
    r"\b(?:go (?:mod download|build|install|get)|(?:npm|pnpm|bun|yarn) (?:ci|i|install|fetch)|"
    r"pip3? (?:[^&|;]*? )?(?:install|wheel|download)|uv (?:sync|pip)|(?:poetry|bundle|composer|"
    r"pipenv) (?:install|sync)|cargo (?:build|fetch|install|chef)|mvn|gradlew?|dotnet restore)\b"
)
_COMPILES = re.compile(r"\b(?:go (?:build|install)|cargo (?:build|install))\b")
_FETCHED = re.compile(r"\bdownload(?:ing|ed)\b", re.IGNORECASE)  # as go, pip and cargo say it
_HASH = {".py", ".rb", ".sh", ".pl", ".r", ".toml", ".yml", ".yaml"}  # a comment begins with #


@dataclass(frozen=True)
class Score:
    """What became of an image: a row for each criterion. `limits` is what was asked.

    `digest` is that of its configuration; it, and the bytes, are None where it was not built.
    """

    name: str
    tag: str
    digest: str | None
    unpacked_bytes: int | None
    rows: tuple[Row, ...]
    text: str = field(default="", repr=False)
    limits: Limits = field(default_factory=Limits, repr=False)
    setting: Setting | None = field(default=None, repr=False, compare=False)

    @property
    def points(self) -> int:
        """How many points it has."""
        return sum(row.points for row in self.rows if row.points is not None)

    @property
    def most(self) -> int:
        """How many points there are for what was asked."""
        return sum(row.most for row in self.rows if row.points is not None)

    @property
    def passed(self) -> bool:
        """Whether everything that was asked is met."""
        return all(row.passed is not False for row in self.rows)

    def __getitem__(self, criterion: str) -> Row:
        """One row by its id."""
        return next(row for row in self.rows if row.id == criterion)

    @property
    def total(self) -> str:
        """`85 of 100 points`."""
        return f"{self.points} of {self.most} points"

    def __repr__(self) -> str:
        lines = [
            f"{_MARKS[row.passed]} {row.id:<9}{row.worth:>8}  {row.asked} → {row.measured}"
            for row in self.rows
        ]
        head = f"Score {self.name}  {self.total}"
        return "\n".join(map(visible_line, filter(None, [head, *lines, self.source])))

    @property
    def source(self) -> str:
        """Where its numbers come from, and those that its bytes were compared with."""
        best = self.limits.source and f"bytes for all points: {self.limits.source}"
        return "; ".join(filter(None, [str(self.setting or ""), best]))

    def _repr_html_(self) -> str:
        """Return the rows as a table. Every text is escaped."""
        cells = "".join(
            f"<tr><td style='color:{WRONG if r.passed is False else ACCENT}'>{_MARKS[r.passed]}"
            f"</td><td style='text-align:left'>{inline(r.id)}</td>"
            f"<td style='text-align:right;white-space:nowrap'>{r.worth}</td>"
            f"<td style='text-align:left'>{inline(r.asked)}</td>"
            f"<td style='text-align:left;overflow-wrap:anywhere'>{inline(r.measured)}</td></tr>"
            for r in self.rows
        )
        return (
            f"<div class='{LITERAL}'><b>{inline(self.name)}: {self.total}</b><table>{cells}</table>"
            f"<span style='opacity:.7;font-size:90%'>{inline(self.source)}</span></div>"
        )

    def report(self, path: str | os.PathLike) -> Path:
        """Write the score as a page of its own into a file; return its path."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        files.write(Path(path), page(self))
        return Path(path)

    def to_dict(self) -> dict:
        """Return the score as JSON, without secrets."""
        text = masked_text(self.text)
        return asdict(self) | {"text": text, "setting": self.setting and self.setting.to_dict()}

    @classmethod
    def from_dict(cls, data: dict) -> "Score":
        """Return the score that `to_dict` wrote."""
        setting = Setting.from_dict(data["setting"]) if data.get("setting") else None
        rows = tuple(Row(**row) for row in data["rows"])
        lists = {
            name: data["limits"][name] and tuple(data["limits"][name])
            for name in ("keeps", "may_stay")
        }
        limits = Limits(**data["limits"] | lists)
        return cls(**data | {"rows": rows, "limits": limits, "setting": setting})


@recordings.replayed(Score)
def score(
    client,
    what: str | os.PathLike,
    *,
    text: str | None = None,
    file: str | None = None,
    name: str | None = None,
    limits: Limits | None = None,
    token: str = "",
    build_args: dict[str, str] | None = None,
    secrets: dict[str, str | os.PathLike] | None = None,
) -> Score:
    """Build `what`, as `build` takes it, look at its image, and score it against the limits.

    `token` is a secret that must be nowhere in the image; the build gets it as the build argument
    `TOKEN` and as the secret `token`, and decides which one it uses. The edited source is a copy.
    A build that fails gets no points; everything else that `build` raises is raised here too, and
    UsageError where the file to edit is not there.
    """
    limits = limits or Limits()
    wanted = order(what, text=text, file=file, name=name)
    sent = _sent(wanted, limits)
    tasks = progress.Tasks(f"{wanted.app}: scoring")
    with journal.workplace() as place, progress.Screen(tasks.draw):
        given = _given(place, token, build_args, secrets)

        def built(folder: Path, tag: str) -> Build:
            return build(
                client, folder, text=wanted.text, file=wanted.dockerfile, name=tag,
                screen=tasks.screen, **given,
            )  # fmt: skip

        tasks.begin("build")
        try:
            made = built(wanted.folder, f"{wanted.app}/{wanted.variant}")
        except BuildFailed as error:
            seen = Seen(failure=_without(error.message, token), traces=() if token else None)
            on = engine.setting(client, bases="unknown")
            return _scored(wanted, None, seen, limits, on)
        tasks.end("build")
        tasks.begin("image")
        # Before `measure`, which then needs no export of its own.
        traces = _places(search(client, made, token).found, token) if token else None
        image = measure(client, made)
        seen = replace(_looked_at(client, made, image, wanted, limits, token), traces=traces)
        tasks.end("image")
        if sent:
            tasks.begin("edit")
            sent.copy_to(place / "copy")
            seen = _edited(client, seen, wanted, place / "copy", limits.edit, built, token)
            tasks.end("edit")
    return _scored(wanted, image, seen, limits, made.setting)


def _scored(wanted, image: Image | None, seen: Seen, limits: Limits, on: Setting) -> Score:
    return Score(
        name=f"{wanted.app}/{wanted.variant}",
        tag=wanted.tag,
        digest=image and image.config_digest,
        unpacked_bytes=image and image.unpacked_bytes,
        rows=rows_of(seen, limits),
        text=wanted.text,
        limits=limits,
        setting=on,
    )


def _sent(wanted, limits: Limits) -> Context | None:
    """What a build is sent, where a file of it is to be edited. Raises UsageError without that.

    Only an ordinary file is edited: behind a link there may be one that is no copy.
    """
    if limits.edit is None:
        return None
    sent = read_context(wanted.folder, dockerfile=wanted.dockerfile, dockerfile_text=wanted.text)
    if not any((one.name, one.type) == (limits.edit, tarfile.REGTYPE) for one in sent.entries[1:]):
        raise UsageError(
            f"a build of {wanted.folder} is sent no ordinary file {limits.edit}.",
            hint="name a source file by its path in this folder",
        )
    return sent


def _given(place: Path, token: str, build_args, secrets) -> dict:
    """What the build is given, as `build` takes it."""
    if not token:
        return {"build_args": build_args, "secrets": secrets}
    files.write(place / TOKEN_SECRET, token, private=True)
    return {
        "build_args": {TOKEN_ARGUMENT: token} | (build_args or {}),
        "secrets": {TOKEN_SECRET: place / TOKEN_SECRET} | (secrets or {}),
    }


def _looked_at(client, made: Build, image: Image, wanted, limits: Limits, token: str) -> Seen:
    largest = max(image.layers, key=lambda layer: layer.unpacked_bytes, default=None)
    seen = Seen(
        steps=len(made.own_steps()),
        seconds=made.seconds,
        unpacked_bytes=image.unpacked_bytes,
        largest=_without(largest.instruction, token) if largest else "",
        findings=_findings(client, made, wanted, limits),
        user=image.user,
    )
    if limits.port is None or not (image.entrypoint or image.cmd):
        return seen
    asked = probe(client, made, port=limits.port, briefly=True)
    return replace(
        seen,
        answered=asked.answered,
        seconds_to_answer=asked.seconds_to_answer,
        lost=tuple(name for name in limits.keeps if not asked[name]),
        still_running=asked.stop_seconds is not None,
        exit_code=asked.exit_code if asked.stop_seconds is None else None,
        last_words=_without(asked.last_error, token),
        user_id=asked["user_id"],
    )


def _places(found: tuple[Found, ...], token: str) -> tuple[str, ...]:
    """The kinds of places that have the secret, each with how many there are and the first one."""
    by_kind: dict[str, list[str]] = {}
    for one in found:
        where = instruction_of({"created_by": one.where}) if one.kind == HISTORY else one.where
        by_kind.setdefault(one.kind, []).append(one_line(_without(where, token), _WIDTH))
    return tuple(
        f"{kind}: {places[0]}" + (f" and {len(places) - 1} more" if len(places) > 1 else "")
        for kind, places in by_kind.items()
    )


def _findings(client, made: Build, wanted, limits: Limits) -> tuple[str, ...]:
    """The checks that failed, in the text or in the image, and may not stay."""
    subject = read_subject(
        wanted.folder / wanted.dockerfile,
        context=wanted.folder,
        text=wanted.text.encode("utf-8", "surrogateescape"),
    )
    found = []
    for result in run(with_image(client, subject, made)).results:
        may_stay = limits.may_stay is None or result.check.id in limits.may_stay
        if result.counts or (result.accepted is not None and not may_stay):
            places = [one for one in result.outcome.places if not (may_stay and one.accepted)]
            found.append(_located(result.check.id, {one.line for one in places if one.line}))
    return tuple(found)


def _located(check_id: str, lines: set[int]) -> str:
    """A failed check with its lines in the Dockerfile: `workdir (line 5)`."""
    if not lines:
        return check_id
    named = listed(map(str, sorted(lines)), most=3)
    return f"{check_id} ({'line' if len(lines) == 1 else 'lines'} {named})"


def _edited(client, seen: Seen, wanted, place: Path, source: str, built, token: str) -> Seen:
    """Add a line to a source file of a copy, build that, and see what ran again."""
    edited = place / source
    sign = "#" if edited.suffix.lower() in _HASH else "//"
    edited.chmod(edited.stat().st_mode | stat.S_IWUSR)
    for _ in range(2):  # what the first one has to put into an emptied mount, the second one finds
        with open(edited, "a", encoding="utf-8") as file:
            file.write(f"\n{sign} {uuid.uuid4()}\n")
        try:
            made = built(place, f"{wanted.app}/edited")
        except BuildFailed as error:
            return replace(seen, edit_failure=_without(error.message, token))
        engine.remove_image(client, made.tag)
        steps = made.own_steps()
        installs = installed_again(wanted.text, steps)
        if not _fills_mount(wanted.text, steps, installs):
            break
    again, installs = (
        tuple(_without(one, token) for one in part) for part in (made.ran(), installs)
    )
    return replace(seen, again=again, installs=installs, seconds_again=made.seconds)


def installed_again(text: str, steps: list[Step]) -> tuple[str, ...]:
    """Return the instructions that installed dependencies again, of the steps of a build.

    Of each stage the first one that installs anything counts: after it the rest finds them. One
    that compiles with a cache mount, and downloaded nothing, found them too.
    """
    lines = _instructions(text)
    first: dict[str, Step] = {}
    for step in steps:
        if step.instruction.startswith("RUN ") and _INSTALLS.search(step.instruction):
            first.setdefault(step.stage, step)
    return tuple(step.instruction for step in first.values() if not _kept(step, lines))


def _fills_mount(text: str, steps: list[Step], installs: tuple[str, ...]) -> bool:
    """Whether one of these compiled into a cache mount, where the next build would find that."""
    lines = _instructions(text)
    return any(step.instruction in installs and _compiles_in_mount(step, lines) for step in steps)


def _kept(step: Step, lines: dict[int, Instruction]) -> bool:
    """Whether the dependencies of a step came from a cache: its layer's, or that of a compiler."""
    found = _compiles_in_mount(step, lines) and not any(map(_FETCHED.search, step.log))
    return step.cached or found


def _compiles_in_mount(step: Step, lines: dict[int, Instruction]) -> bool:
    mounts = lines[step.line].mounts if step.line in lines else ()
    mounted = any(mount.get("type") == "cache" for mount in mounts)
    return mounted and bool(_COMPILES.search(step.instruction))


def _instructions(text: str) -> dict[int, Instruction]:
    """The instructions of a Dockerfile by their lines."""
    return {one.line: one for stage in parse(text).stages for one in stage.instructions}


def _without(said: str, token: str) -> str:
    """A text of the engine's without the secret."""
    return mask(said.replace(token, _HIDDEN) if token else said)
