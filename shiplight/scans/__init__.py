"""Known vulnerabilities of an image: the scanner, its database, and what it reported.

Installs and downloads only inside `provide()`. What could not be scanned is unknown, never 0.
"""

from .findings import SEVERITIES, WORDS, Finding, ScanReport
from .scanning import package_list, prepare, scan, write_package_list

__all__ = [
    "SEVERITIES",
    "WORDS",
    "Finding",
    "ScanReport",
    "package_list",
    "prepare",
    "scan",
    "write_package_list",
]
