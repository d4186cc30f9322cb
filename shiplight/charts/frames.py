"""Results as tidy tables: one DataFrame for every chart and for every question a lesson asks.

`frame.attrs["setting"]` says where its numbers come from; `readable(frame)` prints it below them.
"""

import json
import re
from statistics import median

import pandas as pd

from ..builds import Build, Times, bases
from ..image import Image
from ..inspection import Probe
from ..setup import ROOT
from .tables import readable as readable
from .tables import setting_of as setting_of
from .tables import short as short
from .tables import table_of

ENGINES = ROOT / "recordings" / "engines.json"


_NODE_PACKAGE = re.compile(r"app/(?:.*/)?node_modules/((?:@[^/]+/)?[^/.@][^/]*)/.+")


def images(*measured: Image, names: list[str] | None = None) -> pd.DataFrame:
    """One row an image: bytes unpacked, packed and reclaimable, and its number of layers.

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


def layers(image: Image) -> pd.DataFrame:
    """One row a layer, base first: what its instruction added, and what later ones buried of it."""
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
    """One row a pair of instructions of which one buried what the other made, most bytes first.

    `reclaimable_bytes` ship with what `added_by` made, and are hidden by what `buried_by` made.
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
    """One row a pair of images, before and after: bytes, and the share that is saved."""
    rows = [
        {
            "name": name,
            "before_bytes": before.unpacked_bytes,
            "after_bytes": after.unpacked_bytes,
            "share": 1 - after.unpacked_bytes / before.unpacked_bytes,
        }
        for name, (before, after) in pairs.items()
    ]
    return table_of(rows, *(image for pair in pairs.values() for image in pair))


def steps(build: Build) -> pd.DataFrame:
    """One row a step in the order of starting; `start` and `seconds` count from the first start."""
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


def build_times(*measured: Times) -> pd.DataFrame:
    """One row a case and way: median seconds, fastest, slowest, and how many runs that is of.

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
    """The largest live files of an image: path, bytes, and the instruction that put them there."""
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
    """Where the live bytes of an image are: at most about `count` folders and files, largest first.

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
    """One column a probe, one row a question; None is what could not be asked."""
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
    """One row a variant of the scoreboard: bytes, seconds of a cold build, vulnerabilities.

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
    """One row a claim of the article: what it says, whether that holds, what was seen, and why."""
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
    """One row a container: what it did when asked to stop, and the last that its server logged."""
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
    """One row a package in a `node_modules` below /app: bytes and files, most bytes first."""
    sizes: dict[str, list[int]] = {}
    for entry, _ in _live_files(image):
        if owner := _NODE_PACKAGE.fullmatch(entry.path):
            sizes.setdefault(owner[1], []).append(entry.size)
    rows = [
        {"package": name, "unpacked_bytes": sum(its), "files": len(its)}
        for name, its in sorted(sizes.items(), key=lambda item: (-sum(item[1]), item[0]))
    ]
    return table_of(rows, image, columns=["package", "unpacked_bytes", "files"])


def published(*measured: Image) -> pd.DataFrame:
    """One row a base: its unpacked bytes here, whose they are, and those published, with a date.

    What an offline equivalent weighs says nothing about the official image.
    """
    rows = []
    for image in measured:
        recipe = bases.recipe_of(image.name)
        told = recipe.published if recipe else {}
        rows.append(
            {
                "base": recipe.reference if recipe else image.name,
                "unpacked_bytes": image.unpacked_bytes,
                "of": "an offline equivalent" if bases.stands_in(image.name) else "the image",
                "published_bytes": told.get("unpacked_bytes"),
                "published_on": told.get("date"),
            }
        )
    return table_of(rows, *measured)


def rows(*results) -> pd.DataFrame:
    """One row a result, of those that say by `row()` what belongs into a table."""
    return table_of([result.row() for result in results], *results)


def engines() -> pd.DataFrame:
    """What engines said of one image, saved once and loaded into each: recorded, one row each."""
    return pd.DataFrame(json.loads(ENGINES.read_text(encoding="utf-8")))
