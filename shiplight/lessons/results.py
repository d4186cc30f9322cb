"""The generated parts of RESULTS.md, README.md and docs/article.md, written from data.

Each part stands between markers and is rendered from what a real run left: variants and scoreboard
from the recording of the lesson that surveys them, the article's claims from the recorded verdicts,
benchmarks from `benchmarks/results.json`.
"""

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

from .. import files, recordings
from ..builds import Build, build, cold_build, own_cache
from ..catalogue import find
from ..engine import journal
from ..inspection import measure
from ..setting import Setting, together
from ..setup import ROOT
from ..units import UNKNOWN, format_bytes, format_percent, format_ratio, format_seconds
from . import shelf
from .judging import Verdict, verdicts
from .scoreboard import Surveyed

FILES = (ROOT / "RESULTS.md", ROOT / "README.md", ROOT / "docs" / "article.md")
BENCHMARKS = ROOT / "benchmarks" / "results.json"
NODE_RUNS = ("usr/local/bin/node", "*/lib*.so*", "lib64/ld-*")  # node, and what it loads


@dataclass(frozen=True)
class Reach:
    """What one variant had to reach: at most `most` bytes, unpacked, or that share of `says`.

    `unit` is `bytes` or `share`; `why` is what stands in the way where it is missed.
    """

    variant: str
    says: str
    measured: float
    most: float
    unit: str
    why: str
    setting: Setting = field(repr=False, compare=False)

    def to_dict(self) -> dict:
        """Return the reach as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Reach":
        """Return the reach that `to_dict` wrote."""
        return cls(**data | {"setting": Setting.from_dict(data["setting"])})


@dataclass(frozen=True)
class Benchmark:
    """One thing timed or weighed, `against` another in alternating pairs, or on its own ("").

    `unit` is what `most` and `measured` are in: `times` the other, seconds `more` than the other,
    `seconds` or `bytes`. `load` is the machine's mean load meanwhile, ours included.
    """

    what: str
    against: str
    unit: str
    most: float
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    load: float
    cpus: int
    why: str
    setting: Setting = field(repr=False, compare=False)

    @property
    def each(self) -> list[float]:
        """What each pair, or each run, came to."""
        if self.unit == "times":
            return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        if self.unit == "more":
            return [ours - theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        return list(self.ours)

    @property
    def measured(self) -> float:
        """The median of them."""
        return median(self.each)

    def to_dict(self) -> dict:
        """Return the benchmark as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Benchmark":
        """Return the benchmark that `to_dict` wrote."""
        runs = {key: tuple(data[key]) for key in ("ours", "theirs")}
        return cls(**data | runs | {"setting": Setting.from_dict(data["setting"])})


# --- what variants had to reach --------------------------------------------------------------


@recordings.replayed(Reach)
def reaches(client) -> tuple[Reach, ...]:
    """Measure each language's smallest variant against its limit, building what is missing."""
    linked = "what the compiler links into one program"
    return (
        _bundled(client),
        _weighed(client, "python/slimmest", 90e6, "the interpreter and its own library"),
        _weighed(client, "rust/static", 10e6, linked),
        _weighed(client, "go/hardened", 10e6, linked),
        _edited(client),
    )


def _weighed(client, name: str, most: float, why: str) -> Reach:
    image = measure(client, build(client, name))
    return Reach(name, "", image.unpacked_bytes, most, "bytes", why, image.setting)


def _bundled(client) -> Reach:
    """The bundled image as a multiple of the node program and what that loads, both live in it."""
    name = "node/bundled"
    image = measure(client, build(client, name))
    node = {path: entry for part in NODE_RUNS for path, (entry, _) in image.find(part).items()}
    share = round(image.unpacked_bytes / sum(entry.size for entry in node.values()), 4)
    says = "the node binary with the libraries that it loads"
    why = "certificates, time zones and the bundled server"
    return Reach(name, says, share, 1.15, "share", why, image.setting)


def _edited(client) -> Reach:
    """Seconds of a build after a one-line edit, as a share of the cold one: one run, a copy.

    With the cache mounts that the cold build filled. Where those are gone, both are built again.
    """
    row = find("rust/fixed")
    _, cold = cold_build(client, row.name)
    with journal.workplace() as parent:
        folder = shutil.copytree(row.folder, parent / "app")
        main, original = folder / "src" / "main.rs", (row.folder / "src" / "main.rs").read_text()
        how = {"file": row.dockerfile, "name": "rust/edited"}

        def edited(namespace: str) -> Build:
            main.write_text(f"{original}// {time.time_ns()}\n")
            return build(client, folder, cache_namespace=namespace, **how)

        warm = edited(cold.namespace)
        if _compiled(warm) > 1:
            namespace = own_cache(f"results-{time.time_ns()}")
            cold = build(client, folder, no_cache=True, cache_namespace=namespace, **how)
            warm = edited(namespace)
    says = "a cold build, after a one-line edit"
    why = "the program itself is compiled and linked again, however many dependencies are cached"
    share = round(warm.seconds / cold.seconds, 4)
    return Reach("rust/fixed", says, share, 0.25, "share", why, warm.setting)


def _compiled(made: Build) -> int:
    """How many packages cargo compiled."""
    return sum("Compiling" in line for step in made.numbered_steps for line in step.log)


def recorded() -> tuple[tuple[Surveyed, ...], tuple[Reach, ...]]:
    """Rows of the survey and reaches as the recordings have them; empty where they have none."""
    rows, reached = (), ()
    for path in recordings.sets():
        for entry in json.loads(path.read_text(encoding="utf-8"))["results"]:
            if entry["call"].split()[0] == "survey" and "result" in entry:
                rows += tuple(Surveyed.from_dict(row) for row in entry["result"])
            elif entry["call"] == "reaches" and "result" in entry:
                reached = tuple(Reach.from_dict(row) for row in entry["result"])
    return rows, reached


def benchmarks() -> tuple[Benchmark, ...]:
    """Return the benchmarks as they were last run; empty if they never were."""
    if not BENCHMARKS.exists():
        return ()
    return tuple(map(Benchmark.from_dict, json.loads(BENCHMARKS.read_text(encoding="utf-8"))))


# --- the files -------------------------------------------------------------------------------


def write() -> None:
    """Write the generated parts of every file; the text around them stays."""
    for file in FILES:
        files.write(file, with_parts(file.read_text(encoding="utf-8")))


def with_parts(text: str) -> str:
    """Return the text with its generated parts, those that it has markers for, as the data say."""
    rows, reached = recorded()
    parts = {
        "variants": lambda: variants_part(rows, reached),
        "scoreboard": lambda: scoreboard_part(rows),
        "benchmarks": lambda: benchmarks_part(benchmarks()),
        "claims": lambda: claims_part(verdicts(None)),
    }
    for name, part in parts.items():
        begin = f"<!-- {name}: shiplight/lessons/results.py writes this -->"
        end = f"<!-- {name}: up to here -->"
        if begin in text:
            before, rest = text.split(begin)
            text = f"{before}{begin}\n{part()}\n{end}{rest.split(end)[1]}"
    return text


def scoreboard_part(rows: Sequence[Surveyed]) -> str:
    """Return one line for each language: one stage, and the smallest image that works; Markdown."""
    lines = []
    for app in dict.fromkeys(row.app for row in rows):
        of_app = [row for row in rows if row.app == app and find(row.name).probe["answered"]]
        [single] = [row for row in of_app if row.variant == "single"]
        small = min(of_app, key=lambda row: row.unpacked_bytes)
        lines.append(
            (
                find(single.name).title.partition(",")[0],
                format_bytes(single.unpacked_bytes),
                f"{format_bytes(small.unpacked_bytes)} (`{small.name}`)",
                format_ratio(single.unpacked_bytes / small.unpacked_bytes, 1),
            )
        )
    head = ("language", "one stage", "smallest image that still works", "times smaller")
    return f"{_table(head, lines)}\n\n{_measured_on(row.setting for row in rows)}"


def _measured_on(settings: Iterable[Setting | None]) -> str:
    """Where all of it was measured, and from the first day to the last."""
    known = [setting for setting in settings if setting]
    found, last = together(*known), max((setting.when[:10] for setting in known), default="")
    first = found.when[:10] if found else ""
    return str(found) if first == last else str(found).replace(first, f"{first} to {last}", 1)


def claims_part(found: Sequence[Verdict]) -> str:
    """Return one line for each claim of the article, with its verdict; Markdown."""
    head = ("lesson", "the article says", "verdict", "what we saw", "why")
    names = {path.stem[:2]: path.name for path in shelf.lessons()}
    lines = (
        (
            f"[{one.claim.lesson}](../notebooks/{names[one.claim.lesson]})",
            one.claim.says,
            one.verdict,
            one.seen or UNKNOWN,
            one.claim.why,
        )
        for one in found
    )
    return f"{_table(head, lines)}\n\n{_measured_on(one.setting for one in found)}"


def variants_part(rows: Sequence[Surveyed], reached: Sequence[Reach]) -> str:
    """Return every variant, then what had to be reached; Markdown."""
    if not rows and not reached:
        return "Not recorded yet: `./lab record 09` records every variant."
    head = (
        "variant",
        "unpacked",
        "packed",
        "reclaimable",
        "cold build",
        "vulnerabilities",
        "probe",
    )
    table = _table(head, (_variant(row) for row in rows))
    goals = _table(("variant", "reach", "measured", "verdict"), map(_reached, reached))
    settings = _measured_on(row.setting for row in [*rows, *reached])
    note = (
        "A cold build is one run, with no layer and no cache mount to begin with: of the survey, "
        "or of a lesson\nthat timed the same build in this lab before."
    )
    return f"{table}\n\n{note}\n\n{goals}\n\n{settings}"


def _variant(row: Surveyed) -> tuple[str, ...]:
    found = UNKNOWN
    if row.vulnerabilities is not None:
        found = f"{row.vulnerabilities} in {row.packages} packages"
    sizes = (row.unpacked_bytes, row.packed_bytes, row.reclaimable_bytes)
    probe = f"unlike: {', '.join(row.unlike)}" if row.unlike else "as expected"
    cold = format_seconds(row.cold_seconds)
    return (row.name, *map(format_bytes, sizes), cold, found, probe)


def _reached(reach: Reach) -> tuple[str, ...]:
    if reach.unit == "bytes":
        says = f"at most {format_bytes(round(reach.most))}, unpacked"
        measured = format_bytes(round(reach.measured))
    else:
        says = f"at most {format_percent(reach.most, 1)} of {reach.says}"
        measured = format_percent(reach.measured, 1)
    return reach.variant, says, measured, _verdict(reach.measured, reach.most, reach.why)


def benchmarks_part(done: Sequence[Benchmark]) -> str:
    """Return one line for each benchmark; Markdown."""
    if not done:
        return "Not run yet: see benchmarks/README.md."
    head = ("what", "against", "ours", "theirs", "measured", "range", "reach", "load", "verdict")
    return f"{_table(head, map(_benchmark, done))}\n\n{_measured_on(one.setting for one in done)}"


def _benchmark(one: Benchmark) -> tuple[str, ...]:
    plain = format_bytes if one.unit == "bytes" else format_seconds
    whole = round if one.unit == "bytes" else float
    shown = {"times": _times, "more": _more}.get(one.unit, lambda x: plain(whole(x)))
    return (
        one.what,
        one.against or UNKNOWN,
        plain(whole(median(one.ours))),
        plain(whole(median(one.theirs))) if one.theirs else UNKNOWN,
        shown(one.measured),
        f"{shown(min(one.each))} to {shown(max(one.each))}",
        f"at most {shown(one.most)}",
        f"{one.load:.1f} on {one.cpus} CPUs",
        _verdict(one.measured, one.most, one.why),
    )


def _times(ratio: float) -> str:
    return format_ratio(ratio, 1)


def _more(seconds: float) -> str:
    return ("−" if seconds < 0 else "+") + format_seconds(abs(seconds))


def _verdict(measured: float, most: float, why: str) -> str:
    return "reached" if measured <= most else f"missed: {why}" if why else "missed"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
