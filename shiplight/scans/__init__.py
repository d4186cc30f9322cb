"""Known vulnerabilities of an image: the scanner, its database, and what it reported.

Installs and downloads only inside `provide()`. What could not be scanned is unknown, never 0.
"""

from .findings import SEVERITIES, WORDS, Finding, ScanReport
from .judging import FAILED, PASSED, Judgement, Waiver, judge, read_waivers
from .scanning import package_list, prepare, scan, write_package_list

__all__ = [
    "FAILED",
    "PASSED",
    "SEVERITIES",
    "WORDS",
    "Finding",
    "Judgement",
    "ScanReport",
    "Waiver",
    "judge",
    "package_list",
    "prepare",
    "read_waivers",
    "scan",
    "write_package_list",
]
