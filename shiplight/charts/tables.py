"""A table that carries where its numbers come from, and how people read it.

`frame.attrs["setting"]` says where its numbers come from; `readable(frame)` prints it below them.
"""

from html import escape

import pandas as pd

from ..boxes import LITERAL
from ..setting import Setting, together
from ..units import UNKNOWN, format_bytes, format_percent, format_seconds, shortened, visible_line


def table_of(rows, *results, **named) -> pd.DataFrame:
    """Return a table of rows that carries the setting of these results."""
    frame = pd.DataFrame(rows, **named)
    setting = together(*(result.setting for result in results))
    if setting is not None:
        frame.attrs["setting"] = setting
    return frame


def setting_of(frame: pd.DataFrame) -> Setting | None:
    """Return the setting of a table's numbers; None if it is unknown."""
    return frame.attrs.get("setting")


TEXT_WIDTH, HTML_WIDTH = 72, 240  # of a cell, at most; the frame keeps the whole text
_NUMBER = "text-align:right;white-space:nowrap"
_TEXT = "text-align:left;overflow-wrap:anywhere;min-width:5em"


class Readable:
    """A table for reading: bytes and seconds as people write them, text at the left."""

    def __init__(self, frame: pd.DataFrame):
        self.frame = frame
        self.shown = pd.DataFrame(
            {column: [_cell(column, value) for value in frame[column]] for column in frame.columns},
            index=frame.index,
        )

    def __repr__(self) -> str:
        table = self.shown.to_string(index=self._named(), max_colwidth=TEXT_WIDTH)
        return f"{table}\n{self._source()}".rstrip()

    def _source(self) -> str:
        return str(setting_of(self.frame) or "")

    def _named(self) -> bool:
        """Whether the rows have names, and not only numbers."""
        return not isinstance(self.frame.index, pd.RangeIndex)

    def _repr_html_(self) -> str:
        """HTML whose text MathJax leaves alone: instructions hold dollar signs."""
        names = [""] * self._named() + [_heading(column) for column in self.shown.columns]
        head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in names)
        rows = []
        for name, row in self.shown.iterrows():
            cells = (
                [f"<th style='text-align:left'>{escape(visible_line(str(name)))}</th>"]
            ) * self._named()
            for column, text in row.items():
                right = pd.api.types.is_numeric_dtype(self.frame[column])
                style = _NUMBER if right else _TEXT
                cells.append(f"<td style='{style}'>{escape(shortened(text, HTML_WIDTH))}</td>")
            rows.append(f"<tr>{''.join(cells)}</tr>")
        body, source = "".join(rows), escape(self._source())
        below = f"<div style='opacity:.7;font-size:90%;margin-top:.3em'>{source}</div>"
        table = f"<table class='{LITERAL}'><tr>{head}</tr>{body}</table>"
        return table + (below if source else "")


def readable(frame: pd.DataFrame) -> Readable:
    """Return the table as people read it; `frame` itself keeps its numbers."""
    return Readable(frame)


def _heading(column) -> str:
    """`unpacked bytes` for `unpacked_bytes`."""
    return str(column).replace("_", " ")


def _cell(column, value) -> str:
    value = _known(value)
    if str(column).endswith("_bytes"):
        return format_bytes(value)
    if str(column) in ("seconds", "start") or str(column).endswith("_seconds"):
        return format_seconds(value)
    if column == "share":
        return format_percent(value, 1)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return UNKNOWN if value is None else visible_line(str(value))


def _known(value):
    return None if pd.isna(value) else value


def short(name: str) -> str:
    """Shorten `shiplight/<lab>/go:multi` to `go/multi`; return other names as they are."""
    parts = name.split("/")
    return parts[2].replace(":", "/") if name.startswith("shiplight/") and len(parts) == 3 else name
