"""Where a word was found in images, as a table and as a chart."""

from collections.abc import Sequence

import pandas as pd

from ..inspection import Traces
from ..units import one_line
from .drawing import LABEL_WIDTH, add_bars, empty_chart
from .tables import short, table_of


def places(*searched: Traces, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Return one row for each place where the word was found, and one for an image without any."""
    rows = []
    for name, traces in zip(_names(searched, names), searched, strict=True):
        found = [{"found": one.kind, "where": one.where} for one in traces.found]
        rows += [{"image": name} | one for one in found or [{"found": None, "where": None}]]
    return table_of(rows, *searched, columns=["image", "found", "where"])


def leaks(*searched: Traces, names: Sequence[str] | None = None):
    """Draw in how many places of each image the word was found, in the order given."""
    shown, counts = _names(searched, names), [len(traces.found) for traces in searched]
    having = {row for row, count in enumerate(counts) if count}
    figure = empty_chart(
        f"{len(having)} of {len(counts)} images contain the token",
        "places in which it was found: configuration, history, files of every layer",
        table_of([], *searched).attrs.get("setting"),
        rows=len(counts),
    )
    add_bars(
        figure,
        labels=shown,
        values=counts,
        texts=[_said(traces) for traces in searched],
        accent=having,
    )
    return figure


def _names(searched: Sequence[Traces], names: Sequence[str] | None) -> list[str]:
    return [one_line(one, LABEL_WIDTH) for one in names or [short(t.image) for t in searched]]


def _said(traces: Traces) -> str:
    return f"{len(traces.found)}: {', '.join(traces.kinds())}" if traces else "none"
