"""Tables of scans as lessons print them: one row an image, a package, or a fate.

Below each are its setting, the scanner and the database. Unknown is `<NA>`, never 0.
"""

from collections.abc import Sequence

import pandas as pd

from ..scans import FATES, SEVERITIES, WORDS, Finding, ScanReport, compare_scans
from ..setting import together
from .tables import short, table_of


def source(reports: Sequence[ScanReport]) -> str:
    """Return the setting of those that were scanned, and every scanner and database."""
    scanned = [report for report in reports if report.setting]
    scanners = dict.fromkeys(report.scanned_by for report in scanned)
    setting = together(*(report.setting for report in scanned))
    return " · ".join([str(setting), *scanners]) if scanned else "no scan could run"


def _table(rows, columns: list[str], reports: Sequence[ScanReport], *, index=None):
    """A table of whole numbers and words, with the source of its reports below it."""
    table = table_of(rows, columns=columns, index=index)
    numbers = [c for c in columns if c not in ("package", "type", "installed", "where", "why")]
    table = table.astype(dict.fromkeys(numbers, "Int64"))
    table.attrs["setting"] = source(reports)
    return table


def by_severity(*reports: ScanReport, names: Sequence[str] | None = None):
    """Return one row for each image: vulnerabilities by severity, total, fixable, packages.

    Each vulnerability counts once, with its worst severity.
    """
    words = [WORDS[severity] for severity in SEVERITIES]
    rows = [
        [
            *(report.vulnerabilities or dict.fromkeys(SEVERITIES)).values(),
            *(report.unique, report.fixable, report.packages),
        ]
        for report in reports
    ]
    index = list(names or (short(report.image) for report in reports))
    return _table(rows, [*words, "total", "fixable", "packages read"], reports, index=index)


def by_package(report: ScanReport):
    """Return one row for each package with known vulnerabilities, most first, and its place.

    `fixable` are those that another version of the package does not have.
    """
    found: dict[tuple[str, ...], list[Finding]] = {}
    for finding in report.findings:
        key = (finding.source_package, finding.type, finding.installed, finding.where)
        found.setdefault(key, []).append(finding)
    rows = [
        (*key, len({f.id for f in its}), len({f.id for f in its if f.fixed}))
        for key, its in found.items()
    ]
    rows.sort(key=lambda row: (-row[4], row))
    columns = ["package", "type", "installed", "where", "vulnerabilities", "fixable"]
    return _table(rows, columns, [report])


def fates(before: ScanReport, after: ScanReport):
    """Return one row for each fate (`gone`, `kept`, `new`): vulnerabilities by severity.

    Raises UsageError where the two cannot be compared.
    """
    each = compared(before, after)
    rows = []
    for fate in FATES:
        found = list(each["severity"][each["fate"] == fate])
        rows.append([*(found.count(severity) for severity in SEVERITIES), len(found)])
    columns = [*(WORDS[severity] for severity in SEVERITIES), "total"]
    return _table(rows, columns, [before, after], index=list(FATES))


def vulnerabilities(*reports: ScanReport, names: list[str] | None = None) -> pd.DataFrame:
    """Return one row for each image and severity, worst first: vulnerabilities, fixable, findings.

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
    """Return one row for each finding, worst first: its package, its fix, its instruction."""
    columns = [
        *("id", "severity", "package", "source_package", "installed", "fixed", "status"),
        *("type", "where", "layer", "instruction"),
    ]
    order = {severity: rank for rank, severity in enumerate(SEVERITIES)}
    found = sorted(report.findings, key=lambda f: (order[f.severity], f.id, f.package, f.where))
    rows = [[getattr(finding, column) for column in columns] for finding in found]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "Int64"})


def origins(report: ScanReport, *, base: ScanReport | None = None) -> pd.DataFrame:
    """Return one row for each layer, base first: its vulnerabilities, and those that are new.

    With `base`, the report of the image that it is based on, `part` says whose a layer is.
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
    """Return one row for each vulnerability, worst first: `gone`, `kept` or `new`.

    Raises UsageError where one is unknown, or another scanner or database was used for it.
    """
    rows = [
        (row.id, row.severity, row.fate, ", ".join(row.packages))
        for row in compare_scans(before, after).rows
    ]
    return pd.DataFrame(rows, columns=["id", "severity", "fate", "packages"])
