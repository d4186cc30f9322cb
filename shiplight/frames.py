"""Results as tidy tables: one DataFrame for every chart and for every question a lesson asks.

`frame.attrs["setting"]` says where its numbers come from; `readable(frame)` prints it below them.
"""

import json
import re
from html import escape
from statistics import median

import pandas as pd

from .builds import Build, Times, bases
from .errors import UsageError
from .image import Image
from .inspection import Probe
from .scans import SEVERITIES, ScanReport
from .setting import Setting, together
from .setup import ROOT
from .units import UNKNOWN, format_bytes, format_percent, format_seconds

ENGINES = ROOT / "recordings" / "engines.json"


_NODE_PACKAGE = re.compile(r"app/(?:.*/)?node_modules/((?:@[^/]+/)?[^/.@][^/]*)/.+")


def _frame(rows, *results, **named) -> pd.DataFrame:
    """A table of rows that come from these results, whose setting it carries."""
    frame = pd.DataFrame(rows, **named)
    setting = together(*(result.setting for result in results))
    if setting is not None:
        frame.attrs["setting"] = setting
    return frame


def setting_of(frame: pd.DataFrame) -> Setting | None:
    """Where the numbers of a table of ours come from; None where nobody said."""
    return frame.attrs.get("setting")


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
    return _frame(rows, *measured)


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
    return _frame(rows, image)


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
    return _frame(rows, image, columns=["reclaimable_bytes", "files", "added_by", "buried_by"])


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
    return _frame(rows, *(image for pair in pairs.values() for image in pair))


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
    return _frame(rows, build).astype({"line": "Int64"})


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
    return _frame(rows, *measured)


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
    return _frame(rows, image)


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
    return _frame(rows, image, columns=["image", "path", "unpacked_bytes", "share"])


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
    return _frame(columns, *asked, dtype=object)


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
    return _frame(table, *rows).astype(dict.fromkeys(scanned, "Int64"))


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
    return _frame(table, *rows)


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
    return _frame(rows, *asked)


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
    return _frame(rows, image, columns=["package", "unpacked_bytes", "files"])


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
    return _frame(rows, *measured)


def rows(*results) -> pd.DataFrame:
    """One row a result, of those that say by `row()` what belongs into a table."""
    return _frame([result.row() for result in results], *results)


def engines() -> pd.DataFrame:
    """What engines said of one image, saved once and loaded into each: recorded, one row each."""
    return pd.DataFrame(json.loads(ENGINES.read_text(encoding="utf-8")))


def vulnerabilities(*reports: ScanReport, names: list[str] | None = None) -> pd.DataFrame:
    """One row an image and severity, worst first: vulnerabilities, how many have a fix, findings.

    A vulnerability counts once, with its worst severity. Unknown is `<NA>`, where a scan could not
    run or found no package database.
    """
    rows = []
    for name, report in zip(names or [short(r.image) for r in reports], reports, strict=True):
        worst = report.severities
        fixed = {finding.id for finding in report.findings if finding.fixed}
        for severity in SEVERITIES:
            ids = {one for one, its in worst.items() if its == severity}
            counts = (len(ids), len(ids & fixed), sum(f.id in ids for f in report.findings))
            known = counts if report.covered else (None,) * 3
            rows.append((name, severity, *known))
    columns = ["image", "severity", "vulnerabilities", "fixable", "findings"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:], "Int64"))


def findings(report: ScanReport) -> pd.DataFrame:
    """One row a finding, the worst first: what it is in, what fixes it, and what brought it."""
    columns = [
        *("id", "severity", "package", "source_package", "installed", "fixed", "status"),
        *("type", "where", "layer", "instruction"),
    ]
    order = {severity: rank for rank, severity in enumerate(SEVERITIES)}
    found = sorted(report.findings, key=lambda f: (order[f.severity], f.id, f.package, f.where))
    rows = [[getattr(finding, column) for column in columns] for finding in found]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "Int64"})


def origins(report: ScanReport, *, base: ScanReport | None = None) -> pd.DataFrame:
    """One row a layer, base first: the vulnerabilities in it, and those that no earlier one has.

    With `base`, the report of the image that it stands on, `part` says whose a layer is.
    """
    own, seen, rows = len(base.instructions) if base else 0, set(), []
    for index, instruction in enumerate(report.instructions):
        ids = {finding.id for finding in report.findings if finding.layer == index}
        counts = (len(ids), len(ids - seen)) if report.covered else (None, None)
        rows.append((index, instruction, "base" if index < own else "own", *counts))
        seen |= ids
    columns = ["layer", "instruction", "part", "vulnerabilities", "new"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[3:], "Int64"))


def compared(before: ScanReport, after: ScanReport) -> pd.DataFrame:
    """One row a vulnerability, worst first: whether it is `gone`, `kept` or `new` in the second.

    Raises UsageError where one is unknown, or another scanner or database was used for it.
    """
    for report in (before, after):
        if not report.covered:
            why = report.why or "the scanner found no package database in it"
            raise UsageError(f"the scan of {report.image} is unknown.", hint=why)
    if before.scanned_by != after.scanned_by:
        raise UsageError(
            f"{before.image} was scanned by {before.scanned_by}, {after.image} by "
            f"{after.scanned_by}.",
            hint="scan both again: only what one scanner says with one database can be compared",
        )
    old, new = before.severities, after.severities
    packages: dict[str, set[str]] = {}
    for finding in (*before.findings, *after.findings):
        packages.setdefault(finding.id, set()).add(finding.package)
    rows = [
        (one, severity, _fate(one in old, one in new), ", ".join(sorted(packages[one])))
        for one, severity in (old | new).items()
    ]
    rows.sort(key=lambda row: (SEVERITIES.index(row[1]), row[0]))
    return pd.DataFrame(rows, columns=["id", "severity", "fate", "packages"])


def _fate(before: bool, after: bool) -> str:
    return "kept" if before and after else "gone" if before else "new"


TEXT_WIDTH, HTML_WIDTH = 72, 240  # of a cell, at most; the frame keeps the whole text
_NUMBER = "text-align:right;white-space:nowrap"
_TEXT = "text-align:left;overflow-wrap:anywhere;min-width:5em"


class Readable:
    """A table for reading: bytes and seconds as people write them, text at the left."""

    def __init__(self, frame: pd.DataFrame):
        self.frame = frame
        self.shown = pd.DataFrame(
            {column: [_cell(column, value) for value in frame[column]] for column in frame.columns},
            index=frame.index,
        )

    def __repr__(self) -> str:
        table = self.shown.to_string(index=self._named(), max_colwidth=TEXT_WIDTH)
        return f"{table}\n{self._source()}".rstrip()

    def _source(self) -> str:
        return str(setting_of(self.frame) or "")

    def _named(self) -> bool:
        """Whether the rows have names, and not only numbers."""
        return not isinstance(self.frame.index, pd.RangeIndex)

    def _repr_html_(self) -> str:
        """HTML whose text MathJax leaves alone: instructions hold dollar signs."""
        names = [""] * self._named() + [_heading(column) for column in self.shown.columns]
        head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in names)
        rows = []
        for name, row in self.shown.iterrows():
            cells = ([f"<th style='text-align:left'>{escape(str(name))}</th>"]) * self._named()
            for column, text in row.items():
                right = pd.api.types.is_numeric_dtype(self.frame[column])
                style = _NUMBER if right else _TEXT
                cells.append(f"<td style='{style}'>{escape(_shortened(text, HTML_WIDTH))}</td>")
            rows.append(f"<tr>{''.join(cells)}</tr>")
        body, source = "".join(rows), escape(self._source())
        below = f"<div style='opacity:.7;font-size:90%;margin-top:.3em'>{source}</div>"
        table = f"<table class='tex2jax_ignore mathjax_ignore'><tr>{head}</tr>{body}</table>"
        return table + (below if source else "")


def readable(frame: pd.DataFrame) -> Readable:
    """The table as people read it; `frame` itself keeps its numbers."""
    return Readable(frame)


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def _heading(column) -> str:
    """`unpacked bytes` for `unpacked_bytes`."""
    return str(column).replace("_", " ")


def _cell(column, value) -> str:
    value = _known(value)
    if str(column).endswith("_bytes"):
        return format_bytes(value)
    if str(column) in ("seconds", "start") or str(column).endswith("_seconds"):
        return format_seconds(value)
    if column == "share":
        return format_percent(value, 1)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return UNKNOWN if value is None else str(value)


def _known(value):
    return None if pd.isna(value) else value


def short(name: str) -> str:
    """`go/multi` out of `shiplight/<lab>/go:multi`; other names as they are."""
    parts = name.split("/")
    return parts[2].replace(":", "/") if name.startswith("shiplight/") and len(parts) == 3 else name
