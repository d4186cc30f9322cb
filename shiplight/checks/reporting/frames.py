"""Show the checklist as tables: the result of each check, and its place in the Dockerfile."""

from ...charts import table_of
from ..checklist import CHECKS, Checklist

ARTICLE = tuple(check.id for check in CHECKS[:7])  # the article's own seven points, in its order


def questions():
    """Return one row for each check: its question, its source, and its lesson."""
    rows = [
        {
            "check": check.id,
            "asks for": check.title,
            "of": "the article" if check.id in ARTICLE else "ours",
            "lesson": check.lesson,
        }
        for check in CHECKS
    ]
    return table_of(rows)


def results(found: Checklist):
    """Return one row for each check that applies: its result and evidence."""
    rows = [
        {"check": r.check.id, "result": _said(r), "evidence": r.outcome.evidence}
        for r in found.results
        if r.outcome.result != "does not apply"
    ]
    return table_of(rows, *_built(found), columns=["check", "result", "evidence"])


def places(found: Checklist, check_id: str = ""):
    """Return one row for each place where something failed (of one check, or of all).

    `line` is of the Dockerfile, `path` and bytes are of the built image.
    """
    rows = [
        {
            "check": result.check.id,
            "line": place.line,
            "found": place.found,
            "path": place.path,
            "unpacked_bytes": place.bytes,
        }
        for result in found.results
        if result.counts and check_id in ("", result.check.id)
        for place in result.outcome.places
    ]
    columns = ["check", "line", "found", "path", "unpacked_bytes"]
    table = table_of(rows, *_built(found), columns=columns)
    return table.astype({"line": "Int64", "unpacked_bytes": "Int64"})


def against(found: dict[str, Checklist]):
    """Return one row for each check, one column for each Dockerfile."""
    columns = {
        name: {result.check.id: _said(result) for result in checklist.results}
        for name, checklist in found.items()
    }
    return table_of(columns, *(each for one in found.values() for each in _built(one)))


def _said(result) -> str:
    return "accepted" if result.accepted is not None else result.outcome.result


def _built(found: Checklist) -> list:
    """The image that a checklist looked into, if it was built."""
    return [found.subject.built.image] if found.subject.built else []
