"""Time one way to build: cold, again without a change, and after an edit."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from os import PathLike, fspath
from statistics import median

from .. import progress, recordings
from ..engine import disk, journal
from ..setting import Setting
from ..units import format_seconds
from . import building
from .building import Build
from .cold import Cold

RUNS = 3  # of what a median is told


@dataclass(frozen=True)
class Times:
    """Seconds of the builds of one way, in order; `tag` is the image of the last one.

    `cold` is one run that started without cached layers or filled cache mounts; its first RUN
    began at `began`, in seconds since 1970 on the engine's clock.
    """

    way: str
    tag: str
    began: float
    cold: float
    unchanged: tuple[float, ...]
    edited: tuple[float, ...]
    setting: Setting | None = field(default=None, repr=False, compare=False)

    def runs(self) -> dict[str, tuple[float, ...]]:
        """Return the seconds by the case: cold, unchanged, after an edit."""
        return {"cold": (self.cold,), "unchanged": self.unchanged, "after an edit": self.edited}

    def to_dict(self) -> dict:
        """Return the times as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Times":
        """Return the times that `to_dict` wrote."""
        setting = Setting.from_dict(data["setting"]) if data.get("setting") else None
        lists = {name: tuple(data[name]) for name in ("unchanged", "edited")}
        return cls(**data | lists | {"setting": setting})


def _shown(result):
    """The table of runs that stays on the screen."""
    if not isinstance(result, Times):
        return None
    tasks = progress.Tasks(f"{result.way}: median seconds, {result.setting.mode}")
    for what, runs in result.runs().items():
        detail = spread(min(runs), max(runs), len(runs))
        tasks.rows[what] = {"state": "done", "since": 0, "seconds": median(runs), "detail": detail}
    return tasks.draw()


def spread(fastest: float, slowest: float, runs: int) -> str:
    """Return the range of the runs behind a median, in words.

    >>> spread(3, 5, 3), spread(38, 38, 1)
    ('3.00 s to 5.00 s in 3 runs', 'one run')
    """
    if runs == 1:
        return "one run"
    return f"{format_seconds(fastest)} to {format_seconds(slowest)} in {runs} runs"


def cold_build(client, name: str) -> tuple[Build, Cold]:
    """Build the variant `name`, and return the build with the seconds of a cold one.

    If this lab built the same cold before, and every step still comes from the cache, that time
    is used; otherwise it is built now with nothing cached.
    """
    known = building.cold_time(client, name)
    if known is not None:
        made = building.build(client, name, cache_namespace=known.namespace)
        if all(s.cached for s in made.numbered_steps if s.instruction.startswith("RUN ")):
            return made, known
    return building.build(client, name, no_cache=True), building.cold_time(client, name)


def own_cache(name: str) -> str:
    """Return a namespace for cache mounts inside this lab's, so that `./lab clean` finds them."""
    return journal.cache_namespace(name)


@recordings.replayed(Times, show=_shown)
def time_builds(
    client, folder: PathLike, text: str, *, way: str, edit: Callable[[], None], runs: int = RUNS
) -> Times:
    """Build a folder with a Dockerfile's `text`: once cold, then unchanged, then after each edit.

    Cold: no layer comes from the cache, and the cache mounts, which no other way shares, are
    emptied first. `edit()` changes a file of the folder, each time to contents it never had.
    """
    name = building.order(fspath(folder), text=text, name=way.replace("/", " ")).app
    tasks = progress.Tasks(f"{way}: measuring")

    def once(what: str, *, no_cache: bool = False) -> Build:
        tasks.begin(what)
        made = building.build(
            client,
            folder,
            text=text,
            name=f"timed/{name}",
            cache_namespace=own_cache(name),
            no_cache=no_cache,
            screen=tasks.screen,
        )
        tasks.end(what)
        return made

    with progress.Screen(tasks.draw) as screen:
        cold = once("cold", no_cache=True)
        unchanged = [once(f"unchanged, run {run + 1}").seconds for run in range(runs)]
        edited = list(_after_edits(once, edit, runs))
        result = Times(
            way=way,
            tag=cold.tag,
            began=_first_run(cold),
            cold=cold.seconds,
            unchanged=tuple(unchanged),
            edited=tuple(edited),
            setting=cold.setting,
        )
        screen.keep = _shown(result)
    return result


def _first_run(made: Build) -> float:
    """When the first RUN began; a FROM may have begun in an earlier build."""
    ran = [step for step in made.numbered_steps if step.instruction.startswith("RUN ")]
    return min((step.started for step in ran if step.started is not None), default=0.0)


def _after_edits(once, edit, runs: int) -> Iterator[float]:
    for run in range(runs):
        edit()
        yield once(f"after an edit, run {run + 1}").seconds


@recordings.replayed()
def cache_mounts(client, times: Times) -> dict[str, int]:
    """Return the bytes of the cache mounts that a timed cold build made, by path in the builder.

    An engine lists them without a name, so this takes those that were created during that build.
    Empty on Podman, which does not show its cache.
    """
    made = [
        record
        for record in disk.cache_records(client)
        if record.kind == "exec.cachemount"
        and times.began <= record.created <= times.began + times.cold
    ]
    return {record.description.split()[2]: record.size for record in made}
