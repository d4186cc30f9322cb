"""A class as one page for a projector: no script, nothing from elsewhere, and it renews itself.

A browser reads the page again by itself; whoever writes it goes on writing it. Every text in it is
escaped, and none of them is a learner's own but the pseudonym, where it is asked for.
"""

from datetime import datetime
from pathlib import Path

import jinja2

from .. import files
from ..lessons import exercises
from ..units import format_bytes, format_minutes
from .seeing import Class, Guessed, said_of

RENEWED_SECONDS = 5  # after which a browser reads the page again
_WIDTH, _MARGIN = 560, 12  # pixels of the line on which guesses are drawn
_TEMPLATE = Path(__file__).with_name("class.html.j2")


def write_page(seen: Class, path: Path, *, now: datetime) -> None:
    """Write the page, whole, in the place of the one that is there. `now` is what it is dated."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"bytes": format_bytes, "minutes": format_minutes}
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(
        path,
        template.render(
            seen=seen,
            exercises=exercises.every(),
            said_of=said_of,
            drawn=[(one, _drawn(one)) for one in seen.guessed],
            seconds=RENEWED_SECONDS,
            now=now.strftime("%H:%M:%S"),
            width=_WIDTH,
        ),
    )


def _drawn(one: Guessed) -> dict:
    """Where on the line the guesses and the measured value are, in pixels; and both of its ends."""
    values = [*one.guesses, *([] if one.measured is None else [one.measured])]
    low, high = min(values), max(values)

    def x(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(_MARGIN + share * (_WIDTH - 2 * _MARGIN), 1)

    return {
        "low": f"{low:,g}",
        "high": f"{high:,g}",
        "guesses": [x(guess) for guess in one.guesses],
        "measured": None if one.measured is None else x(one.measured),
    }
