"""Keep a baseline of known findings, whose number may only decrease.

It counts findings by file, check, instruction and path, not by line, so a finding that moves within
a file stays known. File names are relative to the baseline's folder, wherever the command runs.
Findings in it do not count. A run with the same `options` as the one that wrote it removes findings
that are gone.
"""

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from .. import files
from ..errors import UsageError
from .checklist import Checklist
from .questions.outcomes import FAILED, Place, Result

REASON = "known: it is in the baseline"
BUILD_ARG = "--build-arg"


@dataclass(frozen=True)
class Baseline:
    """The known count of each finding in each file, and the options of `check` that found them."""

    findings: dict[str, Counter]
    options: tuple[str, ...] = ()


def fingerprint(check_id: str, place: Place) -> str:
    """Return a key of a finding that stays the same when its file changes around it."""
    seen = f"{check_id}\n{place.instruction}\n{place.path}"
    return hashlib.sha256(seen.encode(errors="backslashreplace")).hexdigest()


def read(path: Path) -> Baseline | None:
    """Return a baseline, or None if there is no such file. UsageError if it is not one."""
    try:
        found = json.loads(files.read(path))
        known = {name: _counts(known) for name, known in found["findings"].items()}
        return Baseline(known, _options(found.get("options", [])))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        hint = "remove it, and the next run writes one"
        raise UsageError(f"{path} is not a baseline.", hint=hint) from problem


def _options(given: list[str]) -> tuple[str, ...]:
    if not isinstance(given, list) or any(type(option) is not str for option in given):
        raise ValueError(f"{given!r:.40} are no options")
    return tuple(given)


def _counts(known: dict[str, int]) -> Counter:
    if not isinstance(known, dict) or any(type(count) is not int for count in known.values()):
        raise ValueError(f"{known!r:.40} does not count findings")
    return Counter(known)


def findings(found: list[Checklist], path: Path) -> dict[str, Counter]:
    """Return the failures of each file, in the form of the baseline at `path`."""
    return {
        _name(each, path): Counter(
            fingerprint(result.check.id, place)
            for result in each.results
            if result.outcome.result == FAILED
            for place in result.outcome.places
            if place.accepted in (None, REASON)
        )
        for each in found
    }


def _name(found: Checklist, path: Path) -> str:
    """The name of a Dockerfile in the baseline at `path`."""
    file = Path(os.path.abspath(found.subject.path))
    return Path(os.path.relpath(file, os.path.abspath(path.parent))).as_posix()


def apply(found: Checklist, known: Baseline, path: Path) -> Checklist:
    """Return a checklist in which the baseline's findings are accepted, up to their count."""
    left = Counter(known.findings.get(_name(found, path), Counter()))
    return replace(found, results=tuple(_accepted(result, left) for result in found.results))


def _accepted(result: Result, left: Counter) -> Result:
    if result.outcome.result != FAILED or result.accepted is not None:
        return result
    places = []
    for place in result.outcome.places:
        key = fingerprint(result.check.id, place)
        if place.accepted is None and left[key] > 0:
            left[key] -= 1
            place = replace(place, accepted=REASON)
        places.append(place)
    reasons = [place.accepted for place in places]
    whole = "; ".join(dict.fromkeys(reasons)) if reasons and all(reasons) else None
    outcome = replace(result.outcome, places=tuple(places))
    return replace(result, outcome=outcome, accepted=whole)


def update(path: Path, now: Baseline, known: Baseline | None) -> str:
    """Write the baseline if there is none, or if it became smaller; say which, "" if neither.

    New findings are never added, and files that were not checked this time stay the same. A run
    with other options may not see every finding, so it removes none; nor does one with --build-arg,
    whose values are not stored.
    """
    if known is None:
        new, what = now, "is written, and counts from the next run on"
    else:
        less = {
            name: known.findings.get(name, Counter()) & counts
            for name, counts in now.findings.items()
        }
        new = replace(known, findings=known.findings | less)
        what = "is rewritten: some of its findings are gone"
        if _plain(new) == _plain(known):
            return ""
        if now.options != known.options or BUILD_ARG in now.options:
            how = " ".join(known.options) or "no options"
            return f"{path} stays as it is, though not all of it is seen: it was written with {how}"
    files.write(path, json.dumps(_plain(new), indent=1, sort_keys=True) + "\n")
    return f"{path} {what}"


def _plain(baseline: Baseline) -> dict:
    counts = {name: dict(+known) for name, known in baseline.findings.items() if +known}
    return {"findings": counts} | ({"options": baseline.options} if baseline.options else {})
