"""Charts: each title is a finding computed from the data, each has its table in `frames`.

Only this package imports plotly. One accent marks what the title names. Labels are above their
bars, so that a chart reads as well in a narrow window as in a wide one.
"""

import re
import textwrap

import plotly.graph_objects as go

from ..setting import Setting

ACCENT, GREY, INK, FOOTER = "#0072B2", "#8A929D", "#1F2933", "#6B7480"
BAND, PALE = "#F3F5F7", "#D5DAE0"
ROW_PIXELS = 46
TITLE_WIDTH, SMALL_WIDTH, LABEL_WIDTH = 46, 70, 62
_UNIT = re.compile(r"(?<=\d) (?=(?:[kMG]?B|m?s|%)\b|%)")  # between a number and its unit
TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "showlegend": False,
        "bargap": 0,
        "hovermode": "closest",
        "font": {"family": "Helvetica, Arial, sans-serif", "size": 13, "color": INK},
        "xaxis": {"visible": False, "rangemode": "tozero", "fixedrange": True},
        "yaxis": {"visible": False, "fixedrange": True},
    }
)


_beside: list[str] = []  # what the next chart says beside its subtitle


def say_beside(*texts: str) -> None:
    """Let the next chart that is drawn say this too, behind its subtitle: a guess, or nothing."""
    _beside[:] = texts


# --- the parts that every chart is made of ---------------------------------------------------


def empty_chart(
    title: str,
    subtitle: str,
    setting: Setting | str | None,
    *,
    rows: float = 0,
    pixels: int | None = None,
) -> go.Figure:
    """Return an empty chart with title, subtitle, footer, and space for `rows` labelled bars."""
    lines = textwrap.wrap(_UNIT.sub("\u00a0", title), TITLE_WIDTH)
    small = textwrap.wrap(" · ".join([subtitle, *_beside]), SMALL_WIDTH)
    _beside.clear()
    foot = textwrap.wrap(str(setting or "where and when this was measured is unknown"), SMALL_WIDTH)
    top, bottom = 26 * len(lines) + 18 * len(small) + 22, 30 + 16 * len(foot)
    figure = go.Figure()
    figure.update_layout(
        template=TEMPLATE,
        height=top + bottom + (ROW_PIXELS * rows if pixels is None else pixels),
        margin={"l": 24, "r": 24, "t": top, "b": bottom},
        title={
            "text": "<br>".join(lines),
            "subtitle": {"text": "<br>".join(small), "font": {"size": 13, "color": FOOTER}},
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 14 + 13 * (len(lines) - 1)},
            "font": {"size": 19, "color": INK},
        },
    )
    if rows:
        figure.update_yaxes(range=[rows - 0.5, -0.5])
    figure.add_annotation(
        text="<br>".join(foot), xref="paper", yref="paper", x=0, y=0, xanchor="left", yanchor="top",
        yshift=-14, showarrow=False, align="left", font={"size": 11.5, "color": FOOTER},
    )  # fmt: skip
    return figure


def add_bars(figure, *, labels, values, texts, accent: set[int], starts=None) -> None:
    """Add one bar for each row, with its label above it and its value behind it."""
    starts = [0.0] * len(values) if starts is None else list(starts)
    ends = [start + value for start, value in zip(starts, values, strict=True)]
    figure.add_bar(
        x=list(values),
        y=list(range(len(values))),
        base=starts,
        orientation="h",
        width=0.4,
        offset=0.02,
        marker={"color": [ACCENT if row in accent else GREY for row in range(len(values))]},
        hovertext=[f"{label}<br>{text}" for label, text in zip(labels, texts, strict=True)],
        hoverinfo="text",
    )
    largest = max([*ends, 1e-9])
    figure.update_xaxes(range=[0, largest * 1.02])
    for row, (label, text) in enumerate(zip(labels, texts, strict=True)):
        figure.add_annotation(
            text=one_line(label), x=0, y=row, xref="paper", xanchor="left", yanchor="bottom",
            yshift=-2, showarrow=False, align="left", font={"size": 12.5},
        )  # fmt: skip
        inside = ends[row] - starts[row] > 0.2 * largest
        right = ends[row] > 0.9 * largest
        figure.add_annotation(
            text=f"<b>{text}</b>" if row in accent else text, y=row + 0.22,
            x=starts[row] if right and not inside else ends[row],
            xanchor="right" if right else "left", xshift=-9 if right else 9, showarrow=False,
            font={"size": 12.5, "color": "white" if right and inside else INK},
        )  # fmt: skip


def one_line(text: str, width: int = LABEL_WIDTH) -> str:
    """One line of at most `width` characters that plotly does not read as markup."""
    line = " ".join(str(text).split())
    line = line if len(line) <= width else line[: width - 1].rstrip() + "…"
    return line.replace("&", "&amp;").replace("<", "&lt;")
