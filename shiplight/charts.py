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
TINY = 0.005  # shares of an image below this are drawn together
TITLE_WIDTH, SMALL_WIDTH, LABEL_WIDTH = 46, 70, 62


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
        accent={len(table) - 1},
    )
    return figure


def waterfall(
    image: Image, *, setting: Setting, base: Image | None = None, name: str | None = None
):
    """What each instruction added, one bar after the other, base first.

    With `base`, the image that it stands on, the title says how much of it was there before the
    Dockerfile's own first instruction. Neighbours that add next to nothing share a row. An
    outlined bar is what an instruction buried of earlier layers: it still ships.
    """
    name = name or table_name(image)
    own = len(base.layers) if base is not None else 0  # the first layer that is not the base's
    table = _folded(frames.layers(image), image, own)
    total = max(1, int(table["unpacked_bytes"].sum()))
    if base is not None:
        below = table["layer"] < own
        share = format_percent(base.unpacked_bytes, total)
        title = f"{share} of {name} was there before its own first instruction"
    else:
        below = table.index == int(table["unpacked_bytes"].idxmax())
        share = format_percent(int(table["unpacked_bytes"].max()), total)
        title = f"{share} of {name} comes from “{_label(table['instruction'][below].iloc[0], 40)}”"
    figure = _figure(
        title,
        "unpacked bytes that each instruction added, base first; outlined: buried but shipped",
        setting,
        rows=len(table),
    )
    starts = table["unpacked_bytes"].cumsum() - table["unpacked_bytes"]
    _bars(
        figure,
        labels=table["instruction"],
        values=table["unpacked_bytes"],
        starts=starts,
        texts=[f"+{format_bytes(value)}" for value in table["unpacked_bytes"]],
        accent=set(table.index[below]),
    )
    for row in table.index[table["buried_bytes"] > TINY * total]:
        _buried_bar(figure, row, int(table["buried_bytes"][row]), end=int(starts[row]))
    return figure


def _folded(table, image: Image, own: int):
    """The table of layers, with what each buries, and runs of tiny ones as one row each.

    A run ends where the base does, before layer `own`.
    """
    table["buried_bytes"] = 0
    for item in image.buried:
        table.loc[item.buried_by, "buried_bytes"] += item.bytes
    least = TINY * max(1, image.unpacked_bytes)
    tiny = (table["unpacked_bytes"] < least) & (table["buried_bytes"] < least)
    new = (tiny != tiny.shift()) | (table["layer"] == own)
    run = new.cumsum().where(tiny, -table["layer"] - 1)
    return table.groupby(run, sort=False, as_index=False).agg(
        {
            "layer": "first",
            "instruction": " · ".join,
            "unpacked_bytes": "sum",
            "buried_bytes": "sum",
        }
    )


def timeline(build: Build, *, name: str | None = None):
    """The steps of a build over time; a step from the cache is an open circle."""
    table = frames.steps(build).dropna(subset=["seconds"])
    table = table[table["stage"].notna() | (table["seconds"] >= 0.2)].reset_index(drop=True)
    name = name or f"{build.app}/{build.variant}"
    ran = table[~table["cached"] & ~table["step"].str.contains("] FROM ")]
    if len(ran):
        top = int(ran["seconds"].idxmax())
        spent = format_seconds(float(table["seconds"][top]))
        step = _label(_command(table["step"][top]), 40)
        title = f"“{step}” takes {spent} of {name}’s {format_seconds(build.seconds)}"
    else:
        top, title = -1, f"All of {name} comes from the cache, in {format_seconds(build.seconds)}"
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
        accent={top},
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
            "pad": {"t": 14 + 13 * (len(lines) - 1)},
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


def _bars(figure, *, labels, values, texts, accent: set[int], starts=None) -> None:
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
        marker={"color": [ACCENT if row in accent else GREY for row in range(len(values))]},
        hovertext=[f"{label}<br>{text}" for label, text in zip(labels, texts, strict=True)],
        hoverinfo="text",
    )
    largest = max([*ends, 1e-9])
    figure.update_xaxes(range=[0, largest * 1.02])
    for row, (label, text) in enumerate(zip(labels, texts, strict=True)):
        figure.add_annotation(
            text=_label(label), x=0, y=row, xref="paper", xanchor="left", yanchor="bottom",
            yshift=-2, showarrow=False, align="left", font={"size": 12.5},
        )  # fmt: skip
        inside = ends[row] - starts[row] > 0.2 * largest
        right = ends[row] > 0.9 * largest
        figure.add_annotation(
            text=f"<b>{text}</b>" if row in accent else text, x=ends[row], y=row + 0.22,
            xanchor="right" if right else "left", xshift=-9 if right else 9, showarrow=False,
            font={"size": 12.5, "color": "white" if right and inside else INK},
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
        hovertext=cached["step"], hoverinfo="text", cliponaxis=False,
    )  # fmt: skip


def _label(text: str, width: int = LABEL_WIDTH) -> str:
    """One line of at most `width` characters that plotly does not read as markup."""
    line = " ".join(str(text).split())
    line = line if len(line) <= width else line[: width - 1].rstrip() + "…"
    return line.replace("&", "&amp;").replace("<", "&lt;")


def _command(step: str) -> str:
    """`RUN go build` out of `[builder 6/6] RUN go build`."""
    return step.partition("] ")[2] or step
