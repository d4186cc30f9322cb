"""Charts: each title is a finding computed from the data, each has its table in `frames`.

The only room that imports plotly. One accent marks what the title names. Labels stand above their
bars, so that a chart reads as well in a narrow window as in a wide one.
"""

import textwrap
from collections.abc import Sequence

import plotly.graph_objects as go

from . import frames
from .builds import Build
from .image import Image
from .setting import Setting
from .units import format_bytes, format_percent, format_ratio, format_seconds

ACCENT, GREY, INK, FOOTER = "#0072B2", "#8A929D", "#1F2933", "#6B7480"
ROW_PIXELS = 46
TITLE_WIDTH, SMALL_WIDTH, LABEL_WIDTH = 56, 88, 74


def before_after(*measured: Image, setting: Setting, names: Sequence[str] | None = None):
    """Unpacked bytes of images as horizontal bars, largest first; the title compares the ends."""
    table = frames.images(*measured, names=list(names) if names else None)
    table = table.sort_values("unpacked_bytes", ascending=False, ignore_index=True)
    large, small = table.iloc[0], table.iloc[-1]
    less = format_percent(large.unpacked_bytes - small.unpacked_bytes, large.unpacked_bytes or None)
    ratio = format_ratio(large.unpacked_bytes, small.unpacked_bytes)
    figure = _figure(
        f"{small['image']} is {less} smaller than {large['image']} ({ratio})",
        "unpacked bytes: what the image takes on disk",
        setting,
        rows=len(table),
    )
    _bars(
        figure,
        labels=table["image"],
        values=table["unpacked_bytes"],
        texts=[format_bytes(value) for value in table["unpacked_bytes"]],
        accent=len(table) - 1,
    )
    return figure


def waterfall(image: Image, *, setting: Setting, name: str | None = None):
    """What each instruction added, one bar after the other, base first.

    An outlined bar is what an instruction buried of earlier layers: it still ships.
    """
    table = frames.layers(image)
    top = int(table["unpacked_bytes"].idxmax())
    total = int(table["unpacked_bytes"].sum())
    share = format_percent(int(table["unpacked_bytes"][top]), total)
    source = _label(table["instruction"][top], 40)
    figure = _figure(
        f"{share} of {name or table_name(image)} comes from “{source}”",
        "unpacked bytes that each instruction added, base first; outlined: buried but shipped",
        setting,
        rows=len(table),
    )
    ends = table["unpacked_bytes"].cumsum()
    _bars(
        figure,
        labels=table["instruction"],
        values=table["unpacked_bytes"],
        starts=ends - table["unpacked_bytes"],
        texts=[f"+{format_bytes(value)}" for value in table["unpacked_bytes"]],
        accent=top,
    )
    buried = dict.fromkeys(table["layer"], 0)
    for item in image.buried:
        buried[item.buried_by] += item.bytes
    for row, count in buried.items():
        if count:
            _buried_bar(figure, row, count, end=int(ends[row] - table["unpacked_bytes"][row]))
    return figure


def timeline(build: Build, *, name: str | None = None):
    """The steps of a build over time; a step from the cache is an open circle."""
    table = frames.steps(build).dropna(subset=["seconds"])
    table = table[table["stage"].notna() | (table["seconds"] >= 0.2)].reset_index(drop=True)
    ran = table[~table["cached"]]
    name = name or f"{build.app}/{build.variant}"
    cached = int(table["cached"].sum())
    if len(ran) and cached < len(table):
        top = int(ran["seconds"].idxmax())
        spent = format_seconds(float(table["seconds"][top]))
        step = _label(_command(table["step"][top]), 40)
        title = f"“{step}” takes {spent} of {name}’s {format_seconds(build.seconds)}"
    else:
        top, title = -1, f"{name} comes from the cache in {format_seconds(build.seconds)}"
    figure = _figure(
        title,
        "seconds since the first step started; open circles are steps from the cache",
        build.setting,
        rows=len(table),
    )
    _bars(
        figure,
        labels=table["step"],
        values=table["seconds"].where(~table["cached"], 0.0),
        starts=table["start"],
        texts=[
            "cached" if row.cached else format_seconds(row.seconds) for row in table.itertuples()
        ],
        accent=top,
        unit="s",
    )
    _open_circles(figure, table)
    return figure


def table_name(image: Image) -> str:
    """The image's name as titles say it."""
    return frames.images(image)["image"][0]


# --- the parts that every chart is made of ---------------------------------------------------


def _figure(title: str, subtitle: str, setting: Setting, *, rows: int) -> go.Figure:
    """An empty chart with its title, subtitle and footer, and room for `rows` labelled bars."""
    lines = textwrap.wrap(title, TITLE_WIDTH)
    small = textwrap.wrap(subtitle, SMALL_WIDTH)
    foot = textwrap.wrap(str(setting), SMALL_WIDTH)
    top, bottom = 26 * len(lines) + 18 * len(small) + 22, 30 + 16 * len(foot)
    figure = go.Figure()
    figure.update_layout(
        height=top + bottom + ROW_PIXELS * rows,
        margin={"l": 24, "r": 24, "t": top, "b": bottom},
        paper_bgcolor="white",
        plot_bgcolor="white",
        showlegend=False,
        bargap=0,
        hovermode="closest",
        font={"family": "Helvetica, Arial, sans-serif", "size": 13, "color": INK},
        title={
            "text": "<br>".join(lines),
            "subtitle": {"text": "<br>".join(small), "font": {"size": 13, "color": FOOTER}},
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 14},
            "font": {"size": 19, "color": INK},
        },
    )
    figure.update_xaxes(visible=False, rangemode="tozero", fixedrange=True)
    figure.update_yaxes(visible=False, fixedrange=True, range=[rows - 0.5, -0.5])
    figure.add_annotation(
        text="<br>".join(foot), xref="paper", yref="paper", x=0, y=0, xanchor="left", yanchor="top",
        yshift=-14, showarrow=False, align="left", font={"size": 11.5, "color": FOOTER},
    )  # fmt: skip
    return figure


def _bars(figure, *, labels, values, texts, accent: int, starts=None, unit: str = "B") -> None:
    """One bar a row, its label above it and its value behind it."""
    starts = [0.0] * len(values) if starts is None else list(starts)
    ends = [start + value for start, value in zip(starts, values, strict=True)]
    figure.add_bar(
        x=list(values),
        y=list(range(len(values))),
        base=starts,
        orientation="h",
        width=0.4,
        offset=0.02,
        marker={"color": [ACCENT if row == accent else GREY for row in range(len(values))]},
        hovertext=[f"{label}<br>{text}" for label, text in zip(labels, texts, strict=True)],
        hoverinfo="text",
    )
    largest = max([*ends, 1e-9])
    figure.update_xaxes(range=[0, largest * 1.16])
    for row, (label, text) in enumerate(zip(labels, texts, strict=True)):
        figure.add_annotation(
            text=_label(label), x=0, y=row, xref="paper", xanchor="left", yanchor="bottom",
            yshift=-2, showarrow=False, align="left", font={"size": 12.5},
        )  # fmt: skip
        right = ends[row] > 0.86 * largest * 1.16
        figure.add_annotation(
            text=f"<b>{text}</b>" if row == accent else text, x=ends[row], y=row + 0.22,
            xanchor="right" if right else "left", xshift=-6 if right else 6, showarrow=False,
            font={"size": 12.5, "color": "white" if right else INK},
        )  # fmt: skip


def _buried_bar(figure, row: int, count: int, *, end: int) -> None:
    """The outlined bar of what the instruction of this row buried."""
    figure.add_bar(
        x=[count], y=[row], base=[max(0, end - count)], orientation="h", width=0.4, offset=0.02,
        marker={"color": "rgba(0,0,0,0)", "line": {"color": INK, "width": 1.5}},
        hovertext=[f"buries {format_bytes(count)} that still ship"], hoverinfo="text",
    )  # fmt: skip


def _open_circles(figure, table) -> None:
    cached = table[table["cached"]]
    figure.add_scatter(
        x=cached["start"], y=[row + 0.22 for row in cached.index], mode="markers",
        marker={"symbol": "circle-open", "size": 10, "color": GREY, "line": {"width": 2}},
        hovertext=cached["step"], hoverinfo="text",
    )  # fmt: skip


def _label(text: str, width: int = LABEL_WIDTH) -> str:
    """One line of at most `width` characters that plotly does not read as markup."""
    line = " ".join(str(text).split())
    line = line if len(line) <= width else line[: width - 1].rstrip() + "…"
    return line.replace("&", "&amp;").replace("<", "&lt;")


def _command(step: str) -> str:
    """`RUN go build` out of `[builder 6/6] RUN go build`."""
    return step.partition("] ")[2] or step
