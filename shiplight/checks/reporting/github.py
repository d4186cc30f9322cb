"""Write failures as annotations of GitHub Actions: one line of output for each place."""

from collections.abc import Iterator

from ...units import visible_line
from ..checklist import Checklist

_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}


def to_github(*checklists: Checklist) -> Iterator[str]:
    """Yield the workflow commands that show what failed beside its lines."""
    for found in checklists:
        for result in found.results:
            for place in result.outcome.places if result.counts else ():
                if place.accepted is not None:
                    continue
                what = f"{place.found} in {place.path}" if place.path else place.found
                message = f"{result.outcome.evidence}: {what}. Try: {result.outcome.advice}"
                line, last = place.line or 1, place.end_line or place.line or 1
                yield (
                    f"::{_LEVELS[result.check.level]} file={_property(found.file)},line={line},"
                    f"endLine={last},title={_property(result.check.id)}::{_data(message)}"
                )


def _data(text: str) -> str:
    return visible_line(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
