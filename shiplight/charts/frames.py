"""Results as tidy tables: one DataFrame for every chart and for every question a lesson asks.

`frame.attrs["setting"]` says where its numbers come from; `readable(frame)` prints it below them.
"""

import json
import re
from collections.abc import Mapping
from statistics import median

import pandas as pd

from ..builds import Build, Times, bases
from ..image import Image
from ..inspection import Origins, Probe
from ..references import canonical
from ..setup import ROOT
from .tables import readable as readable
from .tables import setting_of as setting_of
from .tables import short as short
from .tables import table_of

ENGINES = ROOT / "recordings" / "engines.json"


_NODE_PACKAGE = re.compile(r"app/(?:.*/)?node_modules/((?:@[^/]+/)?[^/.@][^/]*)/.+")


def images(*measured: Image, names: list[str] | None = None) -> pd.DataFrame:
    """Return one row for each image: its unpacked, packed and reclaimable bytes, its layers.

    Rows are in the order given; bytes are whole numbers, `packed_is_estimate` says of which kind.
    """
    rows = [
        {
            "image": name,
            "unpacked_bytes": image.unpacked_bytes,
            "packed_bytes": image.packed_bytes,
            "packed_is_estimate": image.packed_is_estimate,
            "reclaimable_bytes": image.reclaimable_bytes,
            "layers": len(image.layers),
        }
        for name, image in zip(names or [short(i.name) for i in measured], measured, strict=True)
    ]
    return table_of(rows, *measured)


def origins(found: Origins) -> pd.DataFrame:
    """Return one row for each place where bytes were born, in the order of the Dockerfile.

    `born_bytes` are `shipped_bytes`, which are in the image, and `left_behind_bytes`. Where the
    stages were scanned, `vulnerabilities` follow, each counted once in a row; unknown is `<NA>`.
    """
    table = table_of([row.row() for row in found.rows], found)
    if found.scanned_by:
        for name in _VULNERABILITIES:
            counts = [getattr(row, name) for row in found.rows]
            table[name] = pd.array(counts, dtype="Int64")
        table.attrs["setting"] = f"{found.setting} · {found.scanned_by}"
    return table


_VULNERABILITIES = (
    "vulnerabilities",
    "shipped_vulnerabilities",
    "left_behind_vulnerabilities",
)


def layers(image: Image) -> pd.DataFrame:
    """Return one row for each layer, base first: bytes added, and bytes hidden by later layers."""
    rows = [
        {
            "layer": layer.index,
            "instruction": layer.instruction,
            "unpacked_bytes": layer.unpacked_bytes,
            "packed_bytes": layer.packed_bytes,
            "reclaimable_bytes": layer.reclaimable_bytes,
            "files": layer.files,
        }
        for layer in image.layers
    ]
    return table_of(rows, image)


def buried(image: Image) -> pd.DataFrame:
    """Return one row for each pair of instructions of which one hid what the other added.

    Most bytes first. `reclaimable_bytes` ship with `added_by`, and `buried_by` hides them.
    """
    pairs: dict[tuple[int, int], list[int]] = {}
    for item in image.buried:
        pairs.setdefault((item.added_by, item.buried_by), []).append(item.bytes)
    rows = [
        {
            "reclaimable_bytes": sum(sizes),
            "files": len(sizes),
            "added_by": image.layers[added].instruction,
            "buried_by": image.layers[later].instruction,
        }
        for (added, later), sizes in sorted(pairs.items(), key=lambda pair: -sum(pair[1]))
    ]
    return table_of(rows, image, columns=["reclaimable_bytes", "files", "added_by", "buried_by"])


def savings(pairs: dict[str, tuple[Image, Image]]) -> pd.DataFrame:
    """Return one row for each pair of images, before and after: bytes, and the share saved."""
    rows = [
        {
            "name": name,
            "before_bytes": before.whole().unpacked_bytes,
            "after_bytes": after.whole().unpacked_bytes,
            "share": 1 - after.unpacked_bytes / before.unpacked_bytes,
        }
        for name, (before, after) in pairs.items()
    ]
    return table_of(rows, *(image for pair in pairs.values() for image in pair))


def steps(build: Build) -> pd.DataFrame:
    """Return one row for each step, in order; `start` counts from the first step's start."""
    begun = [step for step in build.steps if step.started is not None]
    first = min((step.started for step in begun), default=0.0)
    rows = [
        {
            "step": " ".join(step.name.split()),
            "stage": step.stage,
            "line": step.line,
            "start": step.started - first,
            "seconds": step.seconds,
            "cached": step.cached,
        }
        for step in begun
    ]
    return table_of(rows, build).astype({"line": "Int64"})


def rebuilds(builds: Mapping[str, Build]) -> pd.DataFrame:
    """Return one row for each build: its seconds, and how many of its steps ran.

    The FROM of a stage does not count as a step here.
    """
    rows = [
        {
            "build": name,
            "seconds": made.seconds,
            "steps": len(made.own_steps()),
            "ran": len(made.ran()),
            "cached": len(made.own_steps()) - len(made.ran()),
        }
        for name, made in builds.items()
    ]
    return table_of(rows, *builds.values())


def build_times(*measured: Times) -> pd.DataFrame:
    """Return one row for each case and way: median, fastest and slowest seconds, and runs.

    Case by case, as they were measured, and in each the slowest way first.
    """
    rows = []
    for case in measured[0].runs():
        runs = [(times.way, times.runs()[case]) for times in measured]
        for way, seconds in sorted(runs, key=lambda item: -median(item[1])):
            row = {"case": case, "way": way, "seconds": median(seconds)}
            row |= {"fastest_seconds": min(seconds), "slowest_seconds": max(seconds)}
            rows.append(row | {"runs": len(seconds)})
    return table_of(rows, *measured)


def _live_files(image: Image):
    """(entry, index of its layer) of every regular file that a container sees."""
    return [(entry, index) for entry, index in image.tree().values() if entry.kind == "file"]


def largest_files(image: Image, count: int = 10) -> pd.DataFrame:
    """Return the largest live files of an image: path, bytes, and the instruction that added it."""
    live = sorted(_live_files(image), key=lambda item: (-item[0].size, item[0].path))
    rows = [
        {
            "path": f"/{entry.path}",
            "unpacked_bytes": entry.size,
            "instruction": image.layers[index].instruction,
        }
        for entry, index in live[:count]
    ]
    return table_of(rows, image)


def parts(image: Image, count: int = 8, *, name: str | None = None) -> pd.DataFrame:
    """Return where an image's live bytes are: about `count` folders and files, largest first.

    The largest folder is opened again and again, until there are enough parts; what is less than a
    fiftieth of the image is drawn together as `the rest`. Every byte is in one row.
    """
    below: dict[str, int] = {}
    children: dict[str, set[str]] = {}
    for entry, _ in _live_files(image):
        path = f"/{entry.path}"
        while True:
            below[path] = below.get(path, 0) + entry.size
            if path == "/":
                break
            above = path.rpartition("/")[0] or "/"
            children.setdefault(above, set()).add(path)
            path = above
    total = below.get("/", 0)
    rest = _opened(below, children, count, least=total / 50)
    shown = sorted(rest.items(), key=lambda item: (-item[1], item[0]))
    rows = [
        {
            "image": name or short(image.name),
            "path": path,
            "unpacked_bytes": size,
            "share": size / total if total else None,
        }
        for path, size in shown
    ]
    return table_of(rows, image, columns=["image", "path", "unpacked_bytes", "share"])


THE_REST = "the rest"


def _opened(below: dict, children: dict, count: int, *, least: float) -> dict[str, int]:
    """Parts that add up to everything: folders opened, largest first, while there are too few."""
    parts, small = {"/": below.get("/", 0)}, 0
    while folders := [path for path in parts if path in children]:
        path = max(folders, key=lambda folder: (parts[folder], folder))
        large = [child for child in children[path] if below[child] >= least]
        if len(parts) - 1 + len(large) > count or (not large and len(parts) > 1):
            break
        size = parts.pop(path)
        parts |= {child: below[child] for child in large}
        small += size - sum(below[child] for child in large)
    return {path: size for path, size in parts.items() if size} | (
        {THE_REST: small} if small else {}
    )


def probes(*asked: Probe, names: list[str] | None = None) -> pd.DataFrame:
    """Return one column for each probe, one row for each question; None if it is unknown."""
    columns = {
        name: {
            "answers": probe.answered,
            **(probe.self_check or {}),
            "shell": probe.shell,
            "runs with a read-only root": probe.read_only_root,
            "exit code after SIGTERM": probe.exit_code,
        }
        for name, probe in zip(names or [short(p.image) for p in asked], asked, strict=True)
    }
    return table_of(columns, *asked, dtype=object)


def survey(rows) -> pd.DataFrame:
    """Return one row for each variant: bytes, seconds of a cold build, vulnerabilities.

    `vulnerabilities` and `fixable` count in the `packages` that the scan read; unknown is NA.
    """
    columns = ("unpacked_bytes", "packed_bytes", "reclaimable_bytes", "cold_seconds")
    scanned = ("vulnerabilities", "fixable", "packages")
    table = [
        {"variant": row.name, "app": row.app}
        | {column: getattr(row, column) for column in (*columns, *scanned)}
        | {"probe": "as expected" if not row.unlike else ", ".join(row.unlike)}
        for row in rows
    ]
    return table_of(table, *rows).astype(dict.fromkeys(scanned, "Int64"))


def verdicts(rows) -> pd.DataFrame:
    """Return one row for each claim of the article: what it says, verdict, evidence and reason."""
    table = [
        {
            "lesson": row.claim.lesson,
            "the article says": row.claim.says,
            "verdict": row.verdict,
            "seen": row.seen,
            "why": row.claim.why,
            "source": row.mode,
        }
        for row in rows
    ]
    return table_of(table, *rows)


def stops(*asked: Probe, names: list[str] | None = None) -> pd.DataFrame:
    """Return one row for each container: how it stopped, and the last message it logged."""
    rows = [
        {
            "container": name,
            "answers": probe.answered,
            "exit_code": probe.exit_code,
            "seconds": probe.stop_seconds,
            "last_message": next(filter(None, map(_message, reversed(probe.last_words))), None),
        }
        for name, probe in zip(names or [short(p.image) for p in asked], asked, strict=True)
    ]
    return table_of(rows, *asked)


def _message(line: str) -> str | None:
    """The message of a line of a log in JSON; None where it is no such line."""
    try:
        return json.loads(line).get("msg")
    except (ValueError, AttributeError):
        return None


def node_packages(image: Image) -> pd.DataFrame:
    """Return one row for each package in a `node_modules` below /app, most bytes first."""
    sizes: dict[str, list[int]] = {}
    for entry, _ in _live_files(image):
        if owner := _NODE_PACKAGE.fullmatch(entry.path):
            sizes.setdefault(owner[1], []).append(entry.size)
    rows = [
        {"package": name, "unpacked_bytes": sum(its), "files": len(its)}
        for name, its in sorted(sizes.items(), key=lambda item: (-sum(item[1]), item[0]))
    ]
    return table_of(rows, image, columns=["package", "unpacked_bytes", "files"])


def published(
    *measured: Image, in_registries: Mapping[str, int | None] | None = None
) -> pd.DataFrame:
    """Return one row for each base: unpacked bytes here and of the official image, with a date.

    The size of an offline equivalent says nothing about the official image. Where a registry
    answered, `official_packed_bytes` has what it sends of each reference in `in_registries`.
    """
    packed = {canonical(name): count for name, count in (in_registries or {}).items()}
    answered, rows = any(packed.values()), []
    for image in measured:
        recipe = bases.recipe_of(image.name)
        told = recipe.published if recipe else {}
        whose = "rebuilt by us" if told.get("rebuilt") else "published"
        reference = recipe.reference if recipe else image.name
        on = "an offline equivalent" if bases.stands_in(image.name) else "the image"
        sent = {"official_packed_bytes": packed.get(canonical(reference))} if answered else {}
        rows.append(
            {
                "base": reference,
                "unpacked_bytes": image.unpacked_bytes,
                "measured_on": on,
                "official_bytes": told.get("unpacked_bytes"),
                "official_from": whose if told else None,
                "official_date": told.get("date"),
                **sent,
            }
        )
    return table_of(rows, *measured)


def rows(*results) -> pd.DataFrame:
    """Return one row for each result that has a `row()`."""
    return table_of([result.row() for result in results], *results)


def engines() -> pd.DataFrame:
    """Return the recorded sizes of one image, saved once and loaded into several engines.

    `when` is the day, in UTC, on which an engine was asked.
    """
    rows = json.loads(ENGINES.read_text(encoding="utf-8"))
    return pd.DataFrame([row | {"when": row["when"][:10]} for row in rows])
