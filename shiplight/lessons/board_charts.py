"""Charts of the scoreboard: every variant beside its neighbours, one language after the other.

They are made of the parts of `charts`; unknown has no bar, and is written as `—`.
"""

from ..charts import add_bars, empty_chart, frames, places
from ..setting import together
from ..units import UNKNOWN, format_bytes, format_ratio, format_seconds
from .scoreboard import Surveyed


def sizes(rows: tuple[Surveyed, ...]):
    """Draw the unpacked bytes of every variant; the accent is the smallest of each language."""
    table = frames.survey(rows)
    ends = table.groupby("app", sort=False)["unpacked_bytes"].agg(["max", "min"])
    said = [
        f"{app.capitalize()} shrinks {format_ratio(row['max'], row['min'])}"
        for app, row in ends.iterrows()
    ]
    smallest = set(table.groupby("app", sort=False)["unpacked_bytes"].idxmin())
    title = said[0] + "".join(f", {one.replace(' shrinks', '')}" for one in said[1:])
    return _ranked(
        table,
        "unpacked_bytes",
        title,
        "unpacked bytes; dark: the smallest of each app",
        smallest,
        rows,
    )


def build_times(rows: tuple[Surveyed, ...]):
    """Draw the seconds of each variant's cold build; the accent is the longest."""
    table = frames.survey(rows)
    longest = int(table["cold_seconds"].idxmax())
    title = f"{table['variant'][longest]} has the slowest cold build"
    title += f": {format_seconds(float(table['cold_seconds'][longest]))}"
    subtitle = "seconds of a cold build (nothing cached), one run"
    return _ranked(table, "cold_seconds", title, subtitle, {longest}, rows)


def vulnerabilities(rows: tuple[Surveyed, ...]):
    """Draw each variant's known vulnerabilities, each counted once; the accent is the fewest.

    Each bar also says how many packages were read: what the scanner cannot read is not counted.
    """
    table = frames.survey(rows)
    known = table["vulnerabilities"].dropna()
    if known.empty:
        title, accent = "No scan could run here", set()
    else:
        most, fewest = int(known.idxmax()), int(known.idxmin())
        title = f"{table['variant'][most]} has {_found(table.loc[most], 'known vulnerabilities ')}"
        if most != fewest:
            title += f"; {table['variant'][fewest]} has {_found(table.loc[fewest])}"
        accent = {fewest}
    subtitle = "known vulnerabilities, each counted once, in the packages that the scanner read"
    return _ranked(table, "vulnerabilities", title, subtitle, accent, rows)


def _found(row, what: str = "") -> str:
    return f"{int(row['vulnerabilities'])} {what}in {int(row['packages'])} packages"


_TEXTS = {
    "unpacked_bytes": lambda row: format_bytes(int(row["unpacked_bytes"])),
    "cold_seconds": lambda row: format_seconds(row["cold_seconds"]),
    "vulnerabilities": _found,
}


def _ranked(table, column: str, title: str, subtitle: str, accent: set[int], rows):
    """One bar a variant, in the catalogue's order, the variants of each app together."""
    where = places(list(table["app"]))
    setting = together(*(row.setting for row in rows))
    figure = empty_chart(title, subtitle, setting, rows=where[-1] + 1)
    known = table[column].notna()
    add_bars(
        figure,
        labels=table["variant"],
        values=table[column].fillna(0),
        texts=[
            _TEXTS[column](row) if known[number] else UNKNOWN for number, row in table.iterrows()
        ],
        accent=accent,
        rows=where,
    )
    return figure
