"""Two scans compared: which vulnerabilities are gone, which are kept, which are new."""

import re
from dataclasses import asdict, dataclass, field

from ..errors import UsageError
from ..units import in_one_line
from .findings import SEVERITIES, ScanReport

GONE, KEPT, NEW = FATES = ("gone", "kept", "new")


@dataclass(frozen=True)
class Fate:
    """What became of one vulnerability: `gone`, `kept` or `new`.

    `packages` have it in either image; `instruction` brought it first: into the second image, or
    where it is gone into the first. It is empty where that is not known.
    """

    id: str
    severity: str
    fate: str
    packages: tuple[str, ...]
    instruction: str

    @property
    def stage(self) -> str:
        """The stage or image that it was copied from; "" where the last stage brought it itself."""
        named = _FROM.search(self.instruction)
        return named[1] if named else ""


_FROM = re.compile(r"^(?:COPY|ADD) (?:--\S+ )*--from=(\S+)")


@dataclass(frozen=True)
class ScanComparison:
    """What became of each vulnerability of two images, worst first."""

    before: str
    after: str
    rows: tuple[Fate, ...] = field(repr=False)
    scanned_by: str

    def severities(self, fate: str) -> dict[str, int]:
        """Return how many vulnerabilities of each severity are `gone`, `kept` or `new`."""
        found = [row.severity for row in self.rows if row.fate == fate]
        return {severity: found.count(severity) for severity in SEVERITIES}

    def brought(self, fate: str) -> dict[tuple[str, str], int]:
        """Return how many of a fate each instruction brought, by its stage and text, most first."""
        found = [(row.stage, row.instruction) for row in self.rows if row.fate == fate]
        counts = {one: found.count(one) for one in dict.fromkeys(found)}
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    @in_one_line
    def __repr__(self) -> str:
        counts = ", ".join(f"{sum(self.severities(fate).values())} {fate}" for fate in FATES)
        return f"ScanComparison {self.before} → {self.after}  {counts} · {self.scanned_by}"

    def to_dict(self) -> dict:
        """Return the comparison as JSON holds it."""
        return {
            "before": self.before,
            "after": self.after,
            "counts": {fate: self.severities(fate) for fate in FATES},
            "rows": [asdict(row) | {"stage": row.stage} for row in self.rows],
            "scanned_by": self.scanned_by,
        }


def compare_scans(before: ScanReport, after: ScanReport) -> ScanComparison:
    """Return what became of each vulnerability of two images.

    Raises UsageError where a scan is unknown, or where scanner or database differ.
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
    brought = _brought(before) | _brought(after)
    rows = [
        Fate(one, severity, _fate(one in old, one in new), tuple(sorted(packages[one])),
             brought.get(one, ""))
        for one, severity in (old | new).items()
    ]  # fmt: skip
    rows.sort(key=lambda row: (SEVERITIES.index(row.severity), row.id))
    return ScanComparison(before.image, after.image, tuple(rows), after.scanned_by)


def _brought(report: ScanReport) -> dict[str, str]:
    """The instruction of the first layer that has each vulnerability."""
    known = [finding for finding in report.findings if finding.layer is not None]
    known.sort(key=lambda finding: -finding.layer)
    return {finding.id: finding.instruction for finding in known}


def _fate(before: bool, after: bool) -> str:
    return KEPT if before and after else GONE if before else NEW
