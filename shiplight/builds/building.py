"""Build a variant of the catalogue, or a folder with a Dockerfile."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .. import catalogue, dockerfile, engine, progress, recordings
from ..buildkit import Step, Warned, counted, opening
from ..dockerfile import StageGraph, StageRun, draw, read_sources, stages
from ..engine import journal
from ..errors import BaseNotAvailable, ContextError, DockerfileError, UsageError
from ..references import slug
from ..setting import Setting
from ..setup import PROGRAM
from ..units import format_seconds, in_one_line, one_line
from . import bases, caches, cold, offers, platforms, reasons, sending, solving
from .cold import Cold
from .providing import foreign, here, provide
from .showing import DockerfileText


@dataclass(frozen=True)
class Build:
    """One finished build. `tag` names the image; `seconds` run from the request to the image's id.

    `bases` maps each external image in the Dockerfile to the one that was used for it. `way` is how
    the files were sent: by a BuildKit `session`, as with `docker build`, or as a `tar`. `remarks`
    say where the build differs from the Dockerfile or the call, and why. With an `output` folder
    there is no image, and `engine_id` is None. `target` is the stage that was built, by its name
    or number; None for the last. `warnings` are those of BuildKit's linter, which
    engines before Docker 27 do not have.
    """

    app: str
    variant: str
    tag: str
    engine_id: str | None
    seconds: float
    steps: tuple[Step, ...]
    bases: dict[str, str]
    setting: Setting
    way: str = "tar"
    remarks: tuple[str, ...] = ()
    output: str | None = None
    warnings: tuple[Warned, ...] = ()
    target: str | None = None
    text: str = field(default="", repr=False, compare=False)
    build_args: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def numbered_steps(self) -> tuple[Step, ...]:
        """The Dockerfile's own steps, without BuildKit's loading and exporting."""
        return tuple(step for step in self.steps if step.stage is not None)

    @property
    def cached_steps(self) -> int:
        """How many of the Dockerfile's own steps came from the cache."""
        return sum(step.cached for step in self.numbered_steps)

    def ran(self, stage: str | None = None) -> list[str]:
        """Return the instructions that ran, of all stages or of one, without loading a base."""
        return [step.instruction for step in self.own_steps(stage) if not step.cached]

    def own_steps(self, stage: str | None = None) -> list[Step]:
        """Return the steps of its instructions, of all stages or of one, without FROM."""
        return [
            step
            for step in self.numbered_steps
            if stage in (None, step.stage) and not step.instruction.startswith("FROM ")
        ]

    @in_one_line
    def __repr__(self) -> str:
        return f"Build {self.tag}  {format_seconds(self.seconds)}, {counted(self.steps)}"

    @property
    def name(self) -> str:
        """`app/variant`, as people type it."""
        return f"{self.app}/{self.variant}"

    def graph(self) -> StageGraph:
        """Return the graph of its stages: what ran is filled, with its seconds; the rest is cached.

        A replayed build has no text; the variant's own is taken then. Raises UsageError where there
        is none.
        """
        row = next((row for row in catalogue.rows() if row.name == self.name), None)
        if not self.text and row is None:
            raise UsageError(
                f"the Dockerfile of {self.name} was not recorded.",
                hint="recipe(…).graph() draws the stages of a text",
            )
        read = dockerfile.parse(self.text or _read(row.folder, row.dockerfile))
        return draw(read, self.target, self.build_args, runs_of(read, self.steps))

    def to_dict(self) -> dict:
        """Return the build as JSON."""
        return {
            "app": self.app,
            "variant": self.variant,
            "tag": self.tag,
            "engine_id": self.engine_id,
            "seconds": round(self.seconds, 3),
            "cached_steps": self.cached_steps,
            "steps": [step.to_dict() for step in self.steps],
            "bases": self.bases,
            "way": self.way,
            "remarks": list(self.remarks),
            "output": self.output,
            "warnings": [warned.to_dict() for warned in self.warnings],
            "target": self.target,
            "setting": self.setting.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict) -> "Build":
        """Return the build that `to_dict` wrote."""
        return cls(
            **{
                key: data[key] for key in ("app", "variant", "tag", "engine_id", "seconds", "bases")
            },
            steps=tuple(Step.from_dict(step) for step in data["steps"]),
            setting=Setting.from_dict(data["setting"]),
            way=data.get("way", "tar"),
            remarks=tuple(data.get("remarks", ())),
            output=data.get("output"),
            warnings=tuple(Warned(**warned) for warned in data.get("warnings", ())),
            target=data.get("target"),
        )


def runs_of(read: dockerfile.Dockerfile, steps: tuple[Step, ...]) -> dict[int, StageRun]:
    """Return what a build did for each stage, by index; what it did not build is not in it.

    Loading a base is nothing that a stage runs.
    """
    runs: dict[int, list[Step]] = {}
    for step in steps:
        stage = None if step.line is None else read.stage_at(step.line)
        if step.stage is not None and stage is not None:
            runs.setdefault(stage.index, []).extend([step] * (step.line != stage.line))
    return {
        index: StageRun(
            sum(step.seconds or 0 for step in its if not step.cached),
            len(its),
            sum(step.cached for step in its),
        )
        for index, its in runs.items()
    }


@dataclass(frozen=True)
class Order:
    """A build to run: a folder, its Dockerfile and its text, and the names of the result."""

    folder: Path
    dockerfile: str
    text: str
    app: str
    variant: str

    @property
    def tag(self) -> str:
        """The image's name, which contains the lab's id so that it is unique."""
        return f"shiplight/{journal.lab_id()}/{self.app}:{self.variant}"

    @property
    def place(self) -> str:
        """What is the same for all builds of this Dockerfile under this name."""
        return reasons.place_of(self.folder, self.dockerfile, self.tag)


def _shown(result):
    """The output of a replayed build, as the live one left it on the screen."""
    if isinstance(result, Build):
        return solving.done_table(result.steps, result.name, result.seconds, "Recorded: built")
    steps = getattr(result, "steps", ())
    return progress.steps_table(steps, title="Recorded: the build failed") if steps else None


@recordings.replayed(Build, show=_shown)
def build(
    client,
    what: str | os.PathLike,
    *,
    text: str | None = None,
    file: str | None = None,
    name: str | None = None,
    target: str | int | None = None,
    build_args: dict[str, str] | None = None,
    platform: str | None = None,
    secrets: dict[str, str | os.PathLike] | None = None,
    ssh: str | tuple[str, ...] | dict[str, str | os.PathLike] | None = None,
    cache_from: tuple[str, ...] = (),
    cache_to: tuple[str, ...] = (),
    output: str | os.PathLike | None = None,
    cache_namespace: str | None = None,
    no_cache: bool = False,
    screen=progress.Screen,
) -> Build:
    """Build `what` on the engine with BuildKit, showing its steps as they run.

    `what` is `app/variant` from the catalogue, or the path of a folder or Dockerfile. `file` names
    another Dockerfile in that folder; `text` replaces the text of the Dockerfile; `name` is the
    name of the image. `secrets` maps the id in `RUN --mount=type=secret` to a file, or to
    `env:NAME` for a variable; `ssh` is `default`, or maps an id to an agent's socket.
    `cache_from` and `cache_to` name caches to use and to write, in the syntax of `docker buildx`
    (`type=registry,ref=NAME,mode=max`, `type=local,dest=FOLDER`). `platform` may be several
    platforms with commas, if the engine's image store supports that. `output` is a folder for the
    files of the last stage; no image is created then. `cache_namespace` keeps cache mounts of
    different builds apart. `screen(draw)` shows the steps.
    Raises BuildFailed with the step, its line and its last lines of output; BuildCancelled on
    Ctrl-C, once the connection is closed; UsageError for a missing secret; BaseNotAvailable,
    DockerfileError, ContextError, EngineFailed.
    """
    wanted, arguments = order(what, text=text, file=file, name=name), build_args or {}
    offer = offers.read(secrets, ssh, output)
    wider = sending.Wider(
        caches.to_of(_several(cache_to)),
        caches.from_of(_several(cache_from)),
        tuple(platform.split(",")) if platform else (),
    )
    given = given_of(client, wanted, target, arguments, wider.platforms, offer)
    key = cold.key(client, given, arguments, platform) if no_cache else ""
    remarks = given.remarks + wider.remarks
    native = () if platform else tuple(_native(given))
    noted = reasons.inputs_of(
        client,
        wanted.text,
        given.sources,
        native,
        arguments,
        platform=platform,
        no_cache=no_cache,
    )
    solved = solving.solve(
        client,
        given.sources,
        given.read,
        tag=wanted.tag,
        title=f"{wanted.app}/{wanted.variant}",
        target=given.stage,
        build_args=arguments,
        platform=platform,
        cache_namespace=cache_namespace,
        no_cache=no_cache,
        bases=bases.kind_of(given.bases),
        offer=offer,
        wider=wider,
        screen=screen,
    )
    reasons.keep(wanted.place, noted, solved.steps)
    if key:
        cold.remember(client, key, wanted.tag, solved.seconds, cache_namespace)
    return Build(
        app=wanted.app,
        variant=wanted.variant,
        tag=wanted.tag,
        engine_id=solved.engine_id,
        seconds=solved.seconds,
        steps=solved.steps,
        bases={base.reference: base.used for base in given.bases},
        setting=engine.setting(client, bases=bases.kind_of(given.bases)),
        way=solved.way,
        remarks=remarks + solved.remarks,
        output=os.path.abspath(offer.output) if offer.output else None,
        warnings=solved.warnings,
        target=given.stage,
        text=wanted.text,
        build_args=arguments,
    )


def given_of(
    client,
    wanted: Order,
    target: str | int | None = None,
    build_args: dict[str, str] | None = None,
    wanted_platforms: tuple[str, ...] = (),
    offer: offers.Offer = offers.NOTHING,
) -> cold.Given:
    """Return the inputs of a build: its text, its bases (all on the engine), its sources.

    Raises UsageError for a missing secret, before anything is pulled.
    """
    read = dockerfile.parse(wanted.text)
    native = engine.described(client).platform
    known = platforms.arguments(native, wanted_platforms[0] if wanted_platforms else None)
    known |= build_args or {}
    offers.refuse_missing(stages.needed_stages(read, target, known), offer)
    uses = stages.image_uses(read, target, known)
    try:
        provided = _provided(client, uses, wanted_platforms or (native,), native)
    except BaseNotAvailable as error:
        if misspelt := _misspelt(read, uses, error):
            raise misspelt from error
        raise
    mapped, remarks = bases.text_to_send(client, read, provided, known, target)
    sources = read_sources(wanted.folder, dockerfile=wanted.dockerfile, dockerfile_text=mapped)
    stage = stages.name_of(read, target)
    return cold.Given(wanted.text, read, stage, tuple(provided), sources, remarks)


def _provided(client, uses, wanted: tuple[str, ...], native: str) -> list[bases.Base]:
    """Get the bases for this engine's platform; of others, equivalents or what BuildKit pulls."""
    own, others = [], {}
    for use in uses:
        asked = {platforms.plain(one) for one in ((use.platform,) if use.platform else wanted)}
        if asked == {platforms.plain(native)}:
            own.append(use.reference)
        else:
            others.setdefault(use.reference, set()).update(asked)
    return provide(client, own) + [
        foreign(client, name, *asked if len(asked) == 1 else ())
        for name, asked in others.items()
        if name not in own
    ]


def _misspelt(read: dockerfile.Dockerfile, uses, failed: BaseNotAvailable):
    """The error for what is nearly the name of an earlier stage; None if it is not.

    Only what `failed` is about counts, and no name that only an image has: with a tag or a folder.
    """
    for use in (one for one in uses if f"the base {one.reference} " in failed.message):
        names = [stage.name for stage in read.stages[: use.stage] if stage.name]
        near = "" if re.search("[:/@]", use.reference) else dockerfile.closest(use.reference, names)
        if near:
            return BaseNotAvailable(
                f"no stage is called {use.reference} (line {use.line}), and no image can be pulled"
                " by that name.",
                hint=near,
            )
    return None


def _native(given: cold.Given) -> list[bases.Base]:
    """The bases that are on the engine: a stage for a platform of its own lets BuildKit pull."""
    foreigners = {stage.base for stage in given.read.stages if stage.platform}
    return [base for base in given.bases if base.reference not in foreigners]


def _several(texts: str | tuple[str, ...]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def cold_time(client, what: str) -> Cold | None:
    """Return the seconds of a build of `app/variant` with nothing cached; None if there was none.

    It had the same text, context and bases, on this engine, in this lab.
    """
    return cold.recall(client, cold.key(client, given_of(client, order(what))))


def order(
    what: str | os.PathLike,
    *,
    text: str | None = None,
    file: str | None = None,
    name: str | None = None,
) -> Order:
    """Resolve `what`: `app/variant` of the catalogue, or a folder or Dockerfile on disk.

    Raises UsageError for anything else, such as the result of a build.
    """
    what = _typed(what)
    if text is not None and not isinstance(text, str):
        raise UsageError(
            f"text is the text of a Dockerfile, not {one_line(repr(text), 40)}.",
            hint='begin with the text of another one: text = recipe("go/multi")',
        )
    row = None if file else catalogue.find(what)
    if row is not None:
        folder, file, app, variant = row.folder, row.dockerfile, row.app, row.variant
    else:
        folder, found = _on_disk(what, file)
        file = found if file or text is None else _named(folder, text, found)
        app, variant = _slug(folder.resolve().name), "latest"
    if name:
        app, slash, rest = name.partition("/")
        app, variant = _slug(app), _slug(rest) if slash else variant
    return Order(folder, file, text if text is not None else _read(folder, file), app, variant)


def _typed(what: str | os.PathLike) -> str:
    path = what.__fspath__() if isinstance(what, os.PathLike) else what
    if isinstance(path, str):
        return path
    raise UsageError(
        f"What to build is a name, a folder or a Dockerfile, not {type(what).__name__}.",
        hint='Write it as text, such as "go/multi" or "path/to/folder".',
    )


def why(
    what: str | os.PathLike, *, mask: Callable[[str], str], file: str | None = None
) -> reasons.Why:
    """Return why the last successful build of `what`, as `build` takes it, ran steps again.

    Needs no engine: the builds of this lab keep what they were given. `mask` replaces the secrets
    in an instruction (`checks.mask`). Raises UsageError where none was kept.
    """
    return reasons.why(order(what, file=file).place, os.fspath(what), mask)


def image_name(client, name: str) -> str:
    """Return the engine's name for `app/variant`, or for a base whose equivalent is here.

    Returns other names unchanged. Raises UsageError if the variant is not built yet.
    """
    if catalogue.find(name) is None:
        base = here(client, name)
        return base.used if base else name
    tag = order(name).tag
    if not engine.has_image(client, tag):
        raise UsageError(f"{name} is not built yet.", hint=f"{PROGRAM} build {name}")
    return tag


def _on_disk(what: str, file: str | None) -> tuple[Path, str]:
    """Folder and Dockerfile name of a path. Raises UsageError if there is nothing."""
    path = Path(os.path.expanduser(what or "(nothing)"))
    try:
        if path.is_file():
            return path.parent, file or path.name
        if path.is_dir():
            return path, file or "Dockerfile"
    except OSError as error:
        raise _unreadable(path, error) from error
    known, beside = [row.name for row in catalogue.rows()], []
    with suppress(OSError):
        beside = [str(one) for one in path.parent.iterdir() if one.is_dir()]
    near = dockerfile.closest(str(path), known + beside)
    if path.parts and path.parts[0] in (one.name for one in catalogue.APPS.iterdir()):
        near = f"the folder of that app is {os.path.relpath(catalogue.APPS / path.parts[0])}."
    raise UsageError(
        f"{path} is neither in the catalogue nor a folder.",
        hint=f"{near} Known are {', '.join(known)}; a folder works, too".strip(),
    )


def _named(folder: Path, text: str, otherwise: str) -> str:
    """The name of a Dockerfile with this text in a folder, so that the same is sent."""
    for path in (folder / otherwise, *sorted(folder.glob("Dockerfile.*"))):
        with suppress(OSError, ValueError):
            found = opening.read(folder, path.name, opening.MOST_DOCKERFILE)
            if found.decode("utf-8-sig") == text:
                return path.name
    return otherwise


def _unreadable(path: Path, error: OSError) -> ContextError:
    return ContextError(f"{path} cannot be read: {error.strerror}.", hint="check who owns it")


def _slug(name: str) -> str:
    if not (found := slug(name)):
        raise UsageError(f"{name!r} is not a valid image name.", hint="use letters and digits")
    return found


def _read(folder: Path, file: str) -> str:
    """The Dockerfile's text, byte for byte; bytes that are not UTF-8 are kept.

    Raises ContextError if there is none, with a list of the Dockerfiles in the folder.
    """
    try:
        text = read_sources(folder, dockerfile=file).text.decode("utf-8", "surrogateescape")
    except OSError as error:
        raise _unreadable(folder / file, error) from error
    if "\0" in text:
        raise DockerfileError(f"{folder / file} is not text.", hint="name a Dockerfile")
    return text


def recipe(what: str) -> DockerfileText:
    """Return the Dockerfile that `build(client, what)` uses; pass a changed copy as `text=`."""
    return DockerfileText(order(what).text)
