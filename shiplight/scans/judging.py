"""Decide whether a scan passes: which severities count, with or without a fix, and exceptions.

An exception has a reason and a last day; from the next day on, the finding counts again. An image
that could not be read is unknown, and never passes.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from .. import files
from ..errors import UsageError
from .findings import SEVERITIES, WORDS, Finding, ScanReport

PASSED, FAILED, UNKNOWN = "passed", "failed", "unknown"
MOST_BYTES = 1_000_000  # of a file of exceptions
_FORM = """each exception looks like this (`package` may be left out):
       [[exception]]
       id = "CVE-2026-1234"
       package = "libc6"
       reason = "only reachable with a flag that this image does not set"
       until = 2027-01-31"""


@dataclass(frozen=True)
class Waiver:
    """One exception: a vulnerability that does not count until the end of the day `until`.

    `package` limits it to one package, by its own or its source's name; "" means every package.
    """

    id: str
    reason: str
    until: date
    package: str = ""

    def covers(self, finding: Finding) -> bool:
        """Return whether it applies to this finding, on any day."""
        names = ("", finding.package, finding.source_package)
        return self.id.upper() == finding.id.upper() and self.package in names

    def __str__(self) -> str:
        where = f" in {self.package}" if self.package else ""
        return f"{self.id}{where}: {self.reason}"


@dataclass(frozen=True)
class Judgement:
    """The verdict on a scan. `result` is `passed`, `failed` or `unknown`; `why` is the reason.

    `counted` are the findings that count, worst first; `waived` pairs a finding with the exception
    that covers it; `expired` are exceptions that would cover a finding but have ended; `unused`
    cover none. `unrated` vulnerabilities do not count, since they have no severity.
    """

    image: str
    fail_on: str
    only_fixed: bool
    result: str
    why: str = ""
    counted: tuple[Finding, ...] = field(default=(), repr=False)
    waived: tuple[tuple[Finding, Waiver], ...] = field(default=(), repr=False)
    expired: tuple[Waiver, ...] = ()
    unused: tuple[Waiver, ...] = ()
    unrated: int = 0

    @property
    def vulnerabilities(self) -> int:
        """How many vulnerabilities count; each one counts once."""
        return len({finding.id for finding in self.counted})

    def to_dict(self) -> dict:
        """Return the verdict as JSON."""
        plain = ("fail_on", "only_fixed", "result", "why", "vulnerabilities", "unrated")
        return {key: getattr(self, key) for key in plain} | {
            "counted": [finding.to_dict() for finding in self.counted],
            "waived": [_as_dict(waiver) | finding.to_dict() for finding, waiver in self.waived],
            "expired": [_as_dict(waiver) for waiver in self.expired],
            "unused": [_as_dict(waiver) for waiver in self.unused],
        }


def _as_dict(waiver: Waiver) -> dict:
    return vars(waiver) | {"until": waiver.until.isoformat()}


def judge(
    found: ScanReport,
    *,
    fail_on: str = "high",
    only_fixed: bool = False,
    waivers: Sequence[Waiver] = (),
    today: date | None = None,
) -> Judgement:
    """Judge a scan: it fails with a vulnerability of severity `fail_on` or above that counts.

    `fail_on` is critical, high, medium, low or unrated, which counts all; `only_fixed` ignores
    findings without a fix. `today` defaults to the current day in UTC. An image that was not
    scanned, or not completely, is unknown, unless what was read fails. Raises UsageError.
    """
    words = list(WORDS.values())
    if fail_on not in words:
        raise UsageError(f"{fail_on!r} is not a severity.", hint=f"one of {', '.join(words)}")
    today = today or datetime.now(UTC).date()
    valid = [waiver for waiver in waivers if today <= waiver.until]
    severe = [f for f in found.findings if f.fixed or not only_fixed]
    unrated = {f.id for f in severe if f.severity == "UNKNOWN" and fail_on != "unrated"}
    severe = [f for f in severe if SEVERITIES.index(f.severity) <= words.index(fail_on)]
    severe.sort(key=lambda f: (SEVERITIES.index(f.severity), f.id, f.package))
    covered = [(f, next((w for w in valid if w.covers(f)), None)) for f in severe]
    counted = tuple(finding for finding, waiver in covered if waiver is None)
    why = _unread(found)
    return Judgement(
        found.image,
        fail_on,
        only_fixed,
        result=FAILED if counted else UNKNOWN if why else PASSED,
        why=why,
        counted=counted,
        waived=tuple((finding, waiver) for finding, waiver in covered if waiver),
        expired=tuple(w for w in waivers if w not in valid and any(map(w.covers, counted))),
        unused=tuple(w for w in waivers if not any(map(w.covers, found.findings))),
        unrated=len(unrated - {f.id for f in severe}),
    )


def _unread(found: ScanReport) -> str:
    """Why a scan does not cover all of an image; "" if it does."""
    if found.status != "scanned":
        return found.why
    if found.unread:
        return f"the packages of {' and '.join(found.unread)} could not be read"
    return "" if found.covered else "there was no package database to look up"


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """Return the exceptions in a TOML file. Raises UsageError, which names what is wrong."""
    try:
        read = tomllib.loads(files.read(path, MOST_BYTES).decode())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", hint=_FORM) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}.", hint=_FORM) from error
    rows = read.pop("exception", [])
    if not isinstance(rows, list):
        raise UsageError(f"{path}: `exception` is not a list of tables.", hint=_FORM)
    if read:
        raise UsageError(f"{path} has more than exceptions: {', '.join(read)}.", hint=_FORM)
    return tuple(_waiver(row, f"{path}, exception {n}") for n, row in enumerate(rows, start=1))


def _waiver(row, where: str) -> Waiver:
    def wrong(what: str) -> UsageError:
        return UsageError(f"{where}: {what}.", hint=_FORM)

    if not isinstance(row, dict):
        raise wrong("it is not a table")
    if odd := row.keys() - {"id", "package", "reason", "until"}:
        raise wrong(f"{', '.join(sorted(odd))} is not a part of one")
    for key in ("id", "reason", *({"package"} & row.keys())):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise wrong(f"it has no {key}")
    until = row.get("until")
    try:
        until = date.fromisoformat(until) if isinstance(until, str) else until
    except ValueError:
        until = None
    if isinstance(until, datetime):
        until = until.date()
    if not isinstance(until, date):
        raise wrong("`until` is missing, or is not a date")
    return Waiver(row["id"].strip(), row["reason"].strip(), until, row.get("package", "").strip())
