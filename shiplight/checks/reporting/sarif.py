"""Write a checklist as SARIF 2.1.0, which code hosts show beside the lines of a Dockerfile.

Only failures are results: one for each place. A finding that a comment in the Dockerfile or a
baseline accepts is a suppressed result, with the reason.
"""

import os
from urllib.parse import quote

from ... import __name__ as tool
from ...units import visible
from ..baseline import REASON, fingerprint
from ..checklist import CHECKS, Checklist
from ..questions.outcomes import FAILED, Check, Place, Result

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def to_sarif(*checklists: Checklist) -> dict:
    """Return the log of one or several Dockerfiles as a JSON object."""
    results = [
        _result(checklist.file, result, place)
        for checklist in checklists
        for result in checklist.results
        if result.outcome.result == FAILED
        for place in result.outcome.places
    ]
    driver = {"name": tool, "rules": [_rule(check) for check in CHECKS]}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
        ],
    }


def _rule(check: Check) -> dict:
    return {
        "id": check.id,
        "shortDescription": {"text": check.title},
        "help": {"text": f"Lesson {check.lesson} explains it."},
        "defaultConfiguration": {"level": check.level},
    }


def _result(file: str, result: Result, place: Place) -> dict:
    check, outcome = result.check, result.outcome
    what = f"{place.found} in {place.path}" if place.path else place.found
    region = {"startLine": place.line or 1, "endLine": place.end_line or place.line or 1}
    found = {
        "ruleId": check.id,
        "ruleIndex": CHECKS.index(check),
        "kind": "fail",
        "level": check.level,
        "message": {"text": visible(f"{outcome.evidence}: {what}. Try: {outcome.advice}")},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(os.fsencode(file))},
                    "region": region,
                }
            }
        ],
        "partialFingerprints": {"shiplight/v1": fingerprint(check.id, place)},
    }
    if place.accepted:
        kind = "external" if place.accepted == REASON else "inSource"
        found["suppressions"] = [
            {"kind": kind, "status": "accepted", "justification": visible(place.accepted)}
        ]
    return found
