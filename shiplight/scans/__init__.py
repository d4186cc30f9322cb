"""Known vulnerabilities of an image: the scanner, its database, and what it reported.

Installs and downloads only inside `provide()`. What could not be scanned is unknown, never 0.
"""

from .comparing import FATES, Fate, ScanComparison, compare_scans
from .findings import OS, SEVERITIES, WORDS, Finding, PackageDatabase, ScanReport
from .judging import FAILED, PASSED, Judgement, Waiver, judge, read_waivers
from .running import REQUIREMENTS
from .scanning import package_list, prepare, scan, write_package_list
from .trivy import database_folder, has_scanner

__all__ = [
    "FAILED",
    "FATES",
    "OS",
    "PASSED",
    "REQUIREMENTS",
    "SEVERITIES",
    "WORDS",
    "Fate",
    "Finding",
    "Judgement",
    "PackageDatabase",
    "ScanComparison",
    "ScanReport",
    "Waiver",
    "compare_scans",
    "database_folder",
    "has_scanner",
    "judge",
    "package_list",
    "prepare",
    "read_waivers",
    "scan",
    "write_package_list",
]
