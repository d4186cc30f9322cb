"""Charts of the scoreboard: every variant beside its neighbours, one language after the other.

They are made of the parts of `charts`; unknown has no bar, and is written as `—`.
"""

from . import frames
from .charts import _bars, _figure
from .scoreboard import Surveyed
from .setting import together
from .units import UNKNOWN, format_bytes, format_ratio, format_seconds


def sizes(rows: tuple[Surveyed, ...]):
    """Unpacked bytes of every variant; the accent is the smallest of each language."""
    table = frames.survey(rows)
    ends = table.groupby("app", sort=False)["unpacked_bytes"].agg(["max", "min"])
    said = [f"{app} {format_ratio(row['max'], row['min'])}" for app, row in ends.iterrows()]
    smallest = set(table.groupby("app", sort=False)["unpacked_bytes"].idxmin())
    title = f"Smaller than one stage: {', '.join(said)}"
    return _ranked(
        table, "unpacked_bytes", title, "unpacked bytes; the smallest of each app", smallest, rows
    )


def build_times(rows: tuple[Surveyed, ...]):
    """Seconds of each variant's cold build; one that took a step from the cache has no bar."""
    table = frames.survey(rows)
    known = table["cold_seconds"].dropna()
    if known.empty:
        title, accent = "No build was cold: every variant took steps from the cache", set()
    else:
        top = int(known.idxmax())
        title = f"{table['variant'][top]} takes longest to build from nothing"
        title += f": {format_seconds(float(known[top]))}"
        accent = {top}
    return _ranked(
        table,
        "cold_seconds",
        title,
        "seconds of a build with nothing cached, one run",
        accent,
        rows,
    )


def vulnerabilities(rows: tuple[Surveyed, ...]):
    """Known vulnerabilities of each variant, each counted once; the accent is the fewest."""
    table = frames.survey(rows)
    known = table["vulnerabilities"].dropna()
    if known.empty:
        title, accent = "No scan could run here", set()
    else:
        most, fewest = int(known.idxmax()), int(known.idxmin())
        title = f"{table['variant'][fewest]} has {int(known[fewest])} known vulnerabilities"
        title += f", {table['variant'][most]} has {int(known[most])}"
        accent = {fewest}
    return _ranked(
        table, "vulnerabilities", title, "known vulnerabilities, each counted once", accent, rows
    )


_TEXTS = {
    "unpacked_bytes": lambda value: format_bytes(int(value)),
    "cold_seconds": format_seconds,
    "vulnerabilities": lambda value: str(int(value)),
}


def _ranked(table, column: str, title: str, subtitle: str, accent: set[int], rows):
    """One bar a variant, in the catalogue's order."""
    figure = _figure(title, subtitle, together(*(row.setting for row in rows)), rows=len(table))
    _bars(
        figure,
        labels=table["variant"],
        values=table[column].fillna(0),
        texts=[
            UNKNOWN if value != value else _TEXTS[column](value)  # only NaN is not itself
            for value in table[column]
        ],
        accent=accent,
    )
    return figure
