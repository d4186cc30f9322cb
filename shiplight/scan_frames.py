"""Tables of scans as lessons print them: one row an image, a package, or a fate.

Below each stand its setting, the scanner and the database. Unknown is `<NA>`, never 0.
"""

from collections.abc import Sequence

from . import frames
from .frames import _frame
from .scans import SEVERITIES, WORDS, Finding, ScanReport
from .setting import together


def source(reports: Sequence[ScanReport]) -> str:
    """The setting of those that were scanned, and every scanner and database."""
    scanned = [report for report in reports if report.setting]
    scanners = dict.fromkeys(report.scanned_by for report in scanned)
    setting = together(*(report.setting for report in scanned))
    return " · ".join([str(setting), *scanners]) if scanned else "no scan could run"


def _table(rows, columns: list[str], reports: Sequence[ScanReport], *, index=None):
    """A table of whole numbers and words, with the source of its reports below it."""
    table = _frame(rows, columns=columns, index=index)
    numbers = [c for c in columns if c not in ("package", "type", "installed", "where", "why")]
    table = table.astype(dict.fromkeys(numbers, "Int64"))
    table.attrs["setting"] = source(reports)
    return table


def by_severity(*reports: ScanReport, names: Sequence[str] | None = None):
    """One row an image: vulnerabilities of each severity, in all, fixable, and packages read.

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
    index = list(names or (frames.short(report.image) for report in reports))
    return _table(rows, [*words, "in all", "fixable", "packages read"], reports, index=index)


def by_package(report: ScanReport):
    """One row a package with known vulnerabilities, the most first, and where in the image it is.

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
    """One row a fate, `gone`, `kept` or `new`: how many vulnerabilities of each severity.

    Raises UsageError where the two cannot be compared.
    """
    each = frames.compared(before, after)
    rows = []
    for fate in ("gone", "kept", "new"):
        found = list(each["severity"][each["fate"] == fate])
        rows.append([*(found.count(severity) for severity in SEVERITIES), len(found)])
    columns = [*(WORDS[severity] for severity in SEVERITIES), "in all"]
    return _table(rows, columns, [before, after], index=["gone", "kept", "new"])
