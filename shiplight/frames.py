"""Results as tidy tables: one DataFrame for every chart and for every question a lesson asks."""

from html import escape

import pandas as pd

from .builds import Build
from .containers import Probe
from .errors import UsageError
from .findings import SEVERITIES, ScanReport
from .image import Image
from .units import UNKNOWN, format_bytes, format_seconds


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
        for name, image in zip(names or [_short(i.name) for i in measured], measured, strict=True)
    ]
    return pd.DataFrame(rows)


def layers(image: Image) -> pd.DataFrame:
    """One row a layer, base first: what its instruction added, and what later ones buried of it."""
    return pd.DataFrame(
        {
            "layer": layer.index,
            "instruction": layer.instruction,
            "unpacked_bytes": layer.unpacked_bytes,
            "packed_bytes": layer.packed_bytes,
            "reclaimable_bytes": layer.reclaimable_bytes,
            "files": layer.files,
        }
        for layer in image.layers
    )


def steps(build: Build) -> pd.DataFrame:
    """One row a step in the order of starting; `start` and `seconds` count from the first start."""
    begun = [step for step in build.steps if step.started is not None]
    first = min((step.started for step in begun), default=0.0)
    return pd.DataFrame(
        {
            "step": " ".join(step.name.split()),
            "stage": step.stage,
            "line": step.line,
            "start": step.started - first,
            "seconds": step.seconds,
            "cached": step.cached,
        }
        for step in begun
    ).astype({"line": "Int64"})


def largest_files(image: Image, count: int = 10) -> pd.DataFrame:
    """The largest live files of an image: path, bytes, and the instruction that put them there."""
    live = [(entry, index) for entry, index in image.tree().values() if entry.kind == "file"]
    live.sort(key=lambda item: (-item[0].size, item[0].path))
    return pd.DataFrame(
        {
            "path": f"/{entry.path}",
            "unpacked_bytes": entry.size,
            "instruction": image.layers[index].instruction,
        }
        for entry, index in live[:count]
    )


def probes(*asked: Probe) -> pd.DataFrame:
    """One column a probe, one row a question; None is what could not be asked."""
    columns = {
        _short(probe.image): {
            "answers": probe.answered,
            **(probe.self_check or {}),
            "shell": probe.shell,
            "runs with a read-only root": probe.read_only_root,
            "exit code after SIGTERM": probe.exit_code,
        }
        for probe in asked
    }
    return pd.DataFrame(columns, dtype=object)


def vulnerabilities(*reports: ScanReport, names: list[str] | None = None) -> pd.DataFrame:
    """One row an image and severity, worst first: vulnerabilities, how many have a fix, findings.

    A vulnerability counts once, with its worst severity. Unknown is `<NA>`, where a scan could not
    run or found no package database.
    """
    rows = []
    for name, report in zip(names or [_short(r.image) for r in reports], reports, strict=True):
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
        if report.status != "scanned":
            raise UsageError(f"the scan of {report.image} is unknown.", hint=report.why)
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


TEXT_WIDTH = 72  # of a cell, at most; the frame keeps the whole text
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
        return self.shown.to_string(index=self._named(), max_colwidth=TEXT_WIDTH)

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
                cells.append(f"<td style='{style}'>{escape(_shortened(text))}</td>")
            rows.append(f"<tr>{''.join(cells)}</tr>")
        body = "".join(rows)
        return f"<table class='tex2jax_ignore mathjax_ignore'><tr>{head}</tr>{body}</table>"


def readable(frame: pd.DataFrame) -> Readable:
    """The table as people read it; `frame` itself keeps its numbers."""
    return Readable(frame)


def _shortened(text: str) -> str:
    return text if len(text) <= TEXT_WIDTH else text[: TEXT_WIDTH - 1].rstrip() + "…"


def _heading(column) -> str:
    """`unpacked bytes` for `unpacked_bytes`."""
    return str(column).replace("_", " ")


def _cell(column, value) -> str:
    value = _known(value)
    if str(column).endswith("_bytes"):
        return format_bytes(value)
    if column in ("seconds", "start"):
        return format_seconds(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return UNKNOWN if value is None else str(value)


def _known(value):
    return None if pd.isna(value) else value


def _short(name: str) -> str:
    """`go/multi` out of `shiplight/<lab>/go:multi`; other names as they are."""
    parts = name.split("/")
    return parts[2].replace(":", "/") if name.startswith("shiplight/") and len(parts) == 3 else name
