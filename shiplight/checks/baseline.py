"""A baseline: what is known to fail, whose findings may only become fewer.

It counts findings by file, check, instruction and path, not by line, so that what moves within a
file stays known. What is in it does not count; what is gone is taken out of it.
"""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

from .. import files
from ..errors import UsageError
from .checklist import Checklist
from .questions.outcomes import FAILED, Place, Result

REASON = "known: it is in the baseline"


def fingerprint(check_id: str, place: Place) -> str:
    """Return what stays the same of a finding while its file changes around it."""
    seen = f"{check_id}\n{place.instruction}\n{place.path}"
    return hashlib.sha256(seen.encode(errors="backslashreplace")).hexdigest()


def read(path: Path) -> dict[str, Counter] | None:
    """Return a baseline, or None where there is no such file. UsageError for another one."""
    try:
        found = json.loads(files.read(path))
        return {name: Counter(known) for name, known in found["findings"].items()}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        hint = "remove it, and the next run writes one"
        raise UsageError(f"{path} is not a baseline.", hint=hint) from problem


def findings(found: list[Checklist]) -> dict[str, Counter]:
    """Return what fails in each file, as a baseline holds it."""
    return {
        each.file: Counter(
            fingerprint(result.check.id, place)
            for result in each.results
            if result.outcome.result == FAILED
            for place in result.outcome.places
            if place.accepted in (None, REASON)
        )
        for each in found
    }


def apply(found: Checklist, known: dict[str, Counter]) -> Checklist:
    """Return a checklist in which what the baseline knows is accepted, as often as it knows it."""
    left = Counter(known.get(found.file, Counter()))
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


def update(path: Path, found: list[Checklist], known: dict[str, Counter] | None) -> str:
    """Write the baseline where there is none, or where it became less; say which, "" if neither.

    What is new is never added: files that were not checked this time stay as they are.
    """
    now = findings(found)
    if known is None:
        new, what = now, "written"
    else:
        new = known | {name: known.get(name, Counter()) & counts for name, counts in now.items()}
        what = "" if _plain(new) == _plain(known) else "rewritten: some of its findings are gone"
    if what:
        files.write(path, json.dumps({"findings": _plain(new)}, indent=1, sort_keys=True) + "\n")
    return what and f"{path} is {what}"


def _plain(counts: dict[str, Counter]) -> dict[str, dict[str, int]]:
    return {name: dict(+known) for name, known in counts.items() if +known}
