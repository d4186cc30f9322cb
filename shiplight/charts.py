"""Charts: each title is a finding computed from the data, each has its table in `frames`.

The only room that imports plotly. One accent marks what the title names. Labels stand above their
bars, so that a chart reads as well in a narrow window as in a wide one.
"""

import re
import textwrap
from collections.abc import Sequence

import plotly.graph_objects as go

from . import frames
from .builds import Build, Times, spread
from .image import Image
from .setting import Setting, together
from .units import format_bytes, format_percent, format_ratio, format_seconds

ACCENT, GREY, INK, FOOTER = "#0072B2", "#8A929D", "#1F2933", "#6B7480"
BAND, PALE = "#F3F5F7", "#D5DAE0"
ROW_PIXELS = 46
TINY = 0.005  # shares of an image below this are drawn together
TITLE_WIDTH, SMALL_WIDTH, LABEL_WIDTH = 46, 70, 62
TREEMAP_PIXELS = 380
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


def before_after(*measured: Image, names: Sequence[str] | None = None):
    """Unpacked bytes of images as horizontal bars, largest first; the title compares the ends."""
    table = frames.images(*measured, names=list(names) if names else None)
    table = table.sort_values("unpacked_bytes", ascending=False, ignore_index=True)
    large, small = table.iloc[0], table.iloc[-1]
    less = format_percent(large.unpacked_bytes - small.unpacked_bytes, large.unpacked_bytes or None)
    ratio = format_ratio(large.unpacked_bytes, small.unpacked_bytes)
    figure = _figure(
        f"{small['image']} is {less} smaller than {large['image']} ({ratio})",
        "unpacked bytes: what the image takes on disk",
        frames.setting_of(table),
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


def savings(pairs: dict[str, tuple[Image, Image]]):
    """Unpacked bytes before and after, a pair of dots a row; the title tells most and least."""
    table = frames.savings(pairs)
    table = table.sort_values("share", ascending=False, ignore_index=True)
    most, least = table.iloc[0], table.iloc[-1]
    figure = _figure(
        f"{format_percent(most.share, 1)} are saved with {most['name']}, "
        f"{format_percent(least.share, 1)} with {least['name']}",
        "unpacked bytes before (open) and after (full)",
        frames.setting_of(table),
        rows=len(table),
    )
    largest = float(table["before_bytes"].max())
    figure.update_xaxes(range=[0, 1.02 * largest])
    for row, (name, before, after, share) in enumerate(table.itertuples(index=False)):
        text = f"{format_bytes(before)} → {format_bytes(after)}, {format_percent(share, 1)} less"
        _pair(figure, row, before, after, ACCENT if row == 0 else GREY, f"{name}<br>{text}")
        _texts(figure, row, _label(name), f"<b>{text}</b>" if row == 0 else text)
    return figure


def _pair(figure, row: int, before: int, after: int, color: str, hover: str) -> None:
    """A line from the open dot of what was before to the full dot of what is after."""
    figure.add_scatter(
        x=[before, after], y=[row + 0.22] * 2, mode="lines+markers",
        line={"color": color, "width": 3}, cliponaxis=False,
        marker={"size": 13, "color": ["white", color], "line": {"color": color, "width": 3}},
        hovertext=hover, hoverinfo="text",
    )  # fmt: skip


def _texts(figure, row: int, left: str, right: str) -> None:
    """Two texts above the place of a row, at both of its ends."""
    for text, end in ((left, 0), (right, 1)):
        figure.add_annotation(
            text=text, x=end, y=row, xref="paper", xanchor=("left", "right")[end],
            yanchor="bottom", yshift=-2, showarrow=False, font={"size": 12.5},
        )  # fmt: skip


def waterfall(image: Image, *, base: Image | None = None, name: str | None = None):
    """What each instruction added, one bar after the other, base first.

    With `base`, the image that it stands on, the title says how much of it was there before the
    Dockerfile's own first instruction. Neighbours that add next to nothing share a row. An
    outlined bar is what an instruction buried of earlier layers: it still ships.
    """
    name = name or frames.short(image.name)
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
        image.setting,
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
    """The steps of a build over time, stage by stage; a step from the cache is an open circle.

    Each stage has a band of its own: steps that lie above each other in two bands ran in parallel.
    """
    table = _by_stage(frames.steps(build).dropna(subset=["seconds"]))
    name = name or build.name
    ran = table[~table["cached"] & ~table["step"].str.contains("] FROM ")]
    if len(ran):
        top = int(ran["seconds"].idxmax())
        spent = format_seconds(float(table["seconds"][top]))
        step = _label(_command(table["step"][top]), 40)
        title = f"“{step}” takes {spent} of {name}’s {format_seconds(build.seconds)}"
    else:
        top, title = -1, f"All of {name} comes from the cache, in {format_seconds(build.seconds)}"
    bands = table["stage"].nunique() > 1
    figure = _figure(
        title,
        "seconds since the first step started; open circles are steps from the cache"
        + ("; a band is a stage" if bands else ""),
        build.setting,
        rows=len(table),
    )
    if bands:
        _bands(figure, table["stage"])
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


def build_times(*measured: Times):
    """Median seconds of ways to build, case by case, each with its range.

    The title compares the quickest and the slowest way in the last case with their own first one.
    """
    table = frames.build_times(*measured)
    first, last = (table[table["case"] == table["case"].iloc[end]] for end in (0, -1))
    cold = dict(zip(first["way"], first["seconds"], strict=True))
    shares = {row.way: format_percent(row.seconds, cold[row.way]) for row in last.itertuples()}
    slow, quick = last["way"].iloc[0], last["way"].iloc[-1]
    figure = _figure(
        f"{table['case'].iloc[-1].capitalize()}, {quick} takes {shares[quick]} of its "
        f"{table['case'].iloc[0]} build; {slow} takes {shares[slow]}",
        "seconds from posting the context to the image: median, with its range",
        frames.setting_of(table),
        rows=len(table),
    )
    _bars(
        figure,
        labels=[
            f"{row.case}: {row.way}, {spread(row.fastest_seconds, row.slowest_seconds, row.runs)}"
            for row in table.itertuples()
        ],
        values=table["seconds"],
        texts=[format_seconds(seconds) for seconds in table["seconds"]],
        accent={len(table) - 1},
    )
    return figure


def _by_stage(table):
    """The Dockerfile's own steps and slow others, stage by stage, as their first one ran."""
    table = table[table["stage"].notna() | (table["seconds"] >= 0.2)].copy()
    table["stage"] = table["stage"].fillna("")
    named = table[table["stage"] != ""]
    ran = named[~named["cached"] & ~named["step"].str.contains("] FROM ")]
    first = [rows.groupby("stage")["start"].min() for rows in (ran, named)]
    table["begun"] = table["stage"].map(first[0].combine_first(first[1])).fillna(float("inf"))
    return table.sort_values(["begun", "stage", "start"], kind="stable", ignore_index=True)


def treemap(large: Image, small: Image, *, names: Sequence[str] | None = None):
    """Where the bytes of two images are, side by side and to one scale: area is bytes."""
    names = list(names or (frames.short(large.name), frames.short(small.name)))
    tables = [
        frames.parts(image, name=name) for image, name in zip((large, small), names, strict=True)
    ]
    totals = [int(table["unpacked_bytes"].sum()) for table in tables]
    top = tables[0].iloc[0]
    also = int(tables[1].loc[tables[1]["path"] == top["path"], "unpacked_bytes"].sum())
    of_it = f"{names[1]} has {'none of it' if not also else format_bytes(also) + ' of it'}"
    share = format_percent(top["unpacked_bytes"], totals[0])
    figure = _figure(
        f"{top['path']} is {share} of {names[0]}; {of_it}",
        f"area: bytes of the files in each image, to one scale; left {names[0]}, "
        f"{format_bytes(totals[0])}; right {names[1]}, {format_bytes(totals[1])}",
        together(large.setting, small.setting),
        pixels=TREEMAP_PIXELS,
    )
    for table, domain in zip(tables, _domains(*totals), strict=True):
        figure.add_trace(_tiles(table, top["path"], domain))
    return figure


def _domains(large: int, small: int) -> tuple[dict, dict]:
    """Two places in a figure whose areas are as the two numbers, each as high as it can be."""
    ratio = small / large if large else 0.0
    gap = 0.03
    if ratio > 0.38:  # side by side at full height
        width = (1 - gap) / (1 + ratio)
        return {"x": [0, width], "y": [0, 1]}, {"x": [width + gap, 1], "y": [0, 1]}
    width = 0.7
    right = min(1 - width - gap, (width * ratio) ** 0.5)
    height = width * ratio / right if right else 0.0
    return {"x": [0, width], "y": [0, 1]}, {
        "x": [width + gap, width + gap + right], "y": [1 - height, 1],
    }  # fmt: skip


def _tiles(table, accent: str, domain: dict) -> go.Treemap:
    total = max(1, int(table["unpacked_bytes"].sum()))
    return go.Treemap(
        labels=[_label(path) for path in table["path"]],
        ids=list(table["path"]),
        parents=[""] * len(table),
        values=list(table["unpacked_bytes"]),
        text=[format_bytes(size) for size in table["unpacked_bytes"]],
        customdata=[format_percent(size, total) for size in table["unpacked_bytes"]],
        texttemplate="%{label}<br>%{text}",
        hovertemplate="%{label}<br>%{text}, %{customdata}<extra></extra>",
        marker={
            "colors": [ACCENT if path == accent else PALE for path in table["path"]],
            "line": {"color": "white", "width": 2},
            "pad": {"t": 0, "l": 0, "r": 0, "b": 0},
        },
        textfont={"size": 13, "color": ["white" if p == accent else INK for p in table["path"]]},
        tiling={"pad": 0},
        pathbar={"visible": False},
        domain=domain,
        sort=True,
    )


# --- the parts that every chart is made of ---------------------------------------------------


def _figure(
    title: str,
    subtitle: str,
    setting: Setting | str | None,
    *,
    rows: float = 0,
    pixels: int | None = None,
) -> go.Figure:
    """An empty chart with its title, subtitle and footer, and room for `rows` labelled bars."""
    lines = textwrap.wrap(_UNIT.sub("\u00a0", title), TITLE_WIDTH)
    small = textwrap.wrap(subtitle, SMALL_WIDTH)
    foot = textwrap.wrap(
        str(setting or "where and when this was measured is not known"), SMALL_WIDTH
    )
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


def _bands(figure, stages) -> None:
    """A pale band behind every other stage, and the name of each at the right of its first row."""
    for number, (stage, rows) in enumerate(stages.groupby(stages, sort=False)):
        first, last = int(rows.index.min()), int(rows.index.max())
        if number % 2 == 0:
            figure.add_shape(
                type="rect", xref="paper", x0=-0.02, x1=1.02, y0=first - 0.5, y1=last + 0.5,
                fillcolor=BAND, line={"width": 0}, layer="below",
            )  # fmt: skip
        figure.add_annotation(
            text=f"<b>{_label(stage or 'BuildKit', 24)}</b>", x=1, xref="paper", y=first,
            xanchor="right", yanchor="bottom", yshift=-2, showarrow=False,
            font={"size": 12.5, "color": FOOTER}, bgcolor=BAND if number % 2 == 0 else "white",
        )  # fmt: skip


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
            text=f"<b>{text}</b>" if row in accent else text, y=row + 0.22,
            x=starts[row] if right and not inside else ends[row],
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
