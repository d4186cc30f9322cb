"""Which vulnerabilities were born where: those that ship, and those that are left behind.

A vulnerability counts once in each row, and once in all, so rows do not add up. Where a report that
a number comes from has none, the number is unknown, and never 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..scans import Finding, ScanReport
from .born import IMAGE, Origin, Origins

Place = int | tuple[int, str]  # a stage by its index, or an image by (stage, reference)


def with_scans(
    found: Origins,
    reports: Mapping[Place, ScanReport],
    labels: Mapping[int, str],
    row_of: Callable[[Place, Finding], int | None],
) -> Origins:
    """Return the origins with the vulnerabilities of each row, and of all together.

    `labels` has the names of the stages, the target last; `row_of` the row that has a finding.
    """
    target = list(labels)[-1]
    ids: dict[int | None, set[str]] = {}
    shipped: dict[int | None, set[str]] = {}
    for place, report in reports.items():
        for finding in report.findings:
            row = row_of(place, finding)
            ids.setdefault(row, set()).add(finding.id)
            if place == target:
                shipped.setdefault(row, set()).add(finding.id)
    ships_is_known = reports[target].covered

    def counted(number: int, row: Origin) -> Origin:
        is_known = all(report.covered for report in _sources(row, reports, labels))
        return replace(
            row,
            vulnerabilities=len(ids.get(number, ())) if is_known else None,
            shipped_vulnerabilities=len(shipped.get(number, ())) if ships_is_known else None,
        )

    names = {place: labels[place] if isinstance(place, int) else place[1] for place in reports}
    known = all(report.covered for report in reports.values())
    scanners = [report.scanned_by for report in reports.values() if report.status == "scanned"]
    return replace(
        found,
        rows=tuple(counted(number, row) for number, row in enumerate(found.rows)),
        vulnerabilities=len(set().union(*ids.values())) if known else None,
        shipped_vulnerabilities=reports[target].unique,
        scanned_by=" · ".join(dict.fromkeys(scanners)) or "no scan could run",
        unscanned=tuple(dict.fromkeys(names[at] for at, one in reports.items() if not one.covered)),
    )


def _sources(
    row: Origin, reports: Mapping[Place, ScanReport], labels: Mapping[int, str]
) -> list[ScanReport]:
    """The reports that the number of a row comes from: all, where no stage has it alone."""
    if row.stage is not None:
        return [reports[index] for index, label in labels.items() if label == row.stage]
    if row.kind == IMAGE:
        its = [at for at in reports if not isinstance(at, int) and row.instruction.endswith(at[1])]
        return [reports[at] for at in its]
    return list(reports.values())
