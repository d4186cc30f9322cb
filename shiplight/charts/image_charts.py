"""Charts of images: before and after, savings, a waterfall of instructions, treemaps."""

from collections.abc import Sequence

import plotly.graph_objects as go

from ..image import Image
from ..setting import together
from ..units import format_bytes, format_percent, format_ratio, one_line
from . import frames
from .drawing import (
    ACCENT,
    CLEAR,
    DARK,
    GREY,
    INK,
    LABEL_WIDTH,
    MARGIN,
    NARROW,
    PALE,
    add_bars,
    empty_chart,
    plain,
    wide,
)
from .tables import setting_of, short

LARGE_WIDTH, GAP = 0.7, 0.03  # of the figure: the larger of two images, and what parts them
TINY = 0.005  # shares of an image below this are drawn together
TREEMAP_PIXELS = 380


def before_after(*measured: Image, names: Sequence[str] | None = None):
    """Draw the unpacked bytes of images as bars, largest first; the title compares the ends."""
    measured = [image.whole() for image in measured]
    table = frames.images(*measured, names=list(names) if names else None)
    table = table.sort_values("unpacked_bytes", ascending=False, ignore_index=True)
    large, small = table.iloc[0], table.iloc[-1]
    less = format_percent(large.unpacked_bytes - small.unpacked_bytes, large.unpacked_bytes or None)
    ratio = format_ratio(large.unpacked_bytes, small.unpacked_bytes)
    figure = empty_chart(
        f"{small['image']} is {less} smaller than {large['image']} ({ratio})",
        "unpacked bytes: what the image takes on disk",
        setting_of(table),
        rows=len(table),
    )
    add_bars(
        figure,
        labels=table["image"],
        values=table["unpacked_bytes"],
        texts=[format_bytes(value) for value in table["unpacked_bytes"]],
        accent={len(table) - 1},
    )
    return figure


def savings(pairs: dict[str, tuple[Image, Image]]):
    """Draw what a second stage saves: unpacked bytes with one stage and with two, as dots.

    The title names the pair that saves most and the one that saves least.
    """
    table = frames.savings(pairs)
    table = table.sort_values("share", ascending=False, ignore_index=True)
    most, least = table.iloc[0], table.iloc[-1]
    figure = empty_chart(
        f"A second stage saves {format_percent(most.share, 1)} with {most['name']}, "
        f"{format_percent(least.share, 1)} with {least['name']}",
        "unpacked bytes with one stage (open) and two (filled)",
        setting_of(table),
        rows=len(table),
    )
    largest = float(table["before_bytes"].max())
    figure.update_xaxes(range=[0, 1.02 * largest])
    for row, (name, before, after, share) in enumerate(table.itertuples(index=False)):
        text = f"{format_bytes(before)} → {format_bytes(after)}, {format_percent(share, 1)} less"
        color = ACCENT if row == 0 else GREY
        _pair(figure, row, before, after, color, f"{plain(name)}<br>{plain(text)}")
        _texts(figure, row, one_line(name, 30), text, bold=row == 0)
    return figure


def _pair(figure, row: int, before: int, after: int, color: str, hover: str) -> None:
    """A line from the open dot of what was before to the full dot of what is after."""
    figure.add_scatter(
        x=[before, after], y=[row + 0.22] * 2, mode="lines+markers",
        line={"color": color, "width": 3}, cliponaxis=False,
        marker={
            "size": 13, "color": color, "symbol": ["circle-open", "circle"], "line": {"width": 3},
        },
        hovertext=hover, hoverinfo="text",
    )  # fmt: skip


def _texts(figure, row: int, left: str, right: str, *, bold: bool) -> None:
    """Two texts above the place of a row, at both of its ends."""
    for text, end in ((left, 0), (right, 1)):
        figure.add_annotation(
            text=f"<b>{plain(text)}</b>" if bold and end else plain(text),
            x=end, y=row, xref="paper", xanchor=("left", "right")[end],
            yanchor="bottom", yshift=-2, showarrow=False, font={"size": 12.5},
        )  # fmt: skip


def waterfall(image: Image, *, base: Image | None = None, name: str | None = None):
    """Draw what each instruction added, one bar after the other, base first.

    With `base`, the image that it is based on, the title says how much of it was there before the
    Dockerfile's own first instruction. Neighbours that add next to nothing share a row. An
    outlined bar is what an instruction buried of earlier layers: it still ships.
    """
    name = name or short(image.name)
    own = len(base.layers) if base is not None else 0  # the first layer that is not the base's
    table = _folded(frames.layers(image.whole()), image, own)
    total = max(1, int(table["unpacked_bytes"].sum()))
    whole = f"{name} ({format_bytes(total)})"
    if base is not None:
        below = table["layer"] < own
        share = format_percent(base.unpacked_bytes, total)
        title = f"{share} of {whole} comes from its base image"
    else:
        below = table.index == int(table["unpacked_bytes"].idxmax())
        share = format_percent(int(table["unpacked_bytes"].max()), total)
        title = (
            f"{share} of {whole} comes from “{one_line(table['instruction'][below].iloc[0], 40)}”"
        )
    hiding = table.index[table["buried_bytes"] > TINY * total]
    said = ["unpacked bytes that each instruction added, base first"]
    said += ["blue: the base image"] if base is not None else []
    said += ["outlined: hidden but shipped"] if len(hiding) else []
    figure = empty_chart(title, "; ".join(said), image.setting, rows=len(table))
    starts = table["unpacked_bytes"].cumsum() - table["unpacked_bytes"]
    add_bars(
        figure,
        labels=table["instruction"],
        values=table["unpacked_bytes"],
        starts=starts,
        texts=[_added_or_hidden(row, TINY * total) for row in table.itertuples()],
        accent=set(table.index[below]),
    )
    for row in hiding:
        _buried_bar(figure, row, int(table["buried_bytes"][row]), end=int(starts[row]))
    return figure


def _added_or_hidden(row, least: float) -> str:
    """`+5.00 MB`, or `hides 5.00 MB` where that is what the bar of a row is about."""
    if not row.unpacked_bytes and row.buried_bytes > least:
        return f"hides {format_bytes(row.buried_bytes)}"
    return f"+{format_bytes(row.unpacked_bytes)}"


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


def treemap(large: Image, small: Image, *, names: Sequence[str] | None = None):
    """Draw where the bytes of two images are, side by side at one scale: area is bytes."""
    names = list(names or (short(large.name), short(small.name)))
    tables = [
        frames.parts(image, name=name) for image, name in zip((large, small), names, strict=True)
    ]
    totals = [int(table["unpacked_bytes"].sum()) for table in tables]
    top = tables[0].iloc[0]
    share = format_percent(top["unpacked_bytes"], totals[0])
    figure = empty_chart(
        f"All files of {names[1]} take {format_bytes(totals[1])}, "
        f"those of {names[0]} {format_bytes(totals[0])}",
        f"area: bytes of each image’s files, at one scale; blue: {names[1]}; "
        f"{top['path']} alone is {share} of {names[0]}",
        together(large.setting, small.setting),
        pixels=TREEMAP_PIXELS,
    )
    domains = _domains(*totals)
    for table, domain, is_small in zip(tables, domains, (False, True), strict=True):
        figure.add_trace(_tiles(table, domain, accent=is_small))
    _name_below(figure, names[1], totals[1], domains[1])
    return figure


def _name_below(figure, name: str, total: int, domain: dict) -> None:
    """The name and the bytes of the smaller image below its tiles, where these have no room."""
    if domain["y"][0] < 0.1:
        return
    words = [one_line(name, 20), format_bytes(total)]
    left = wide(max(words, key=len)) < (1 - LARGE_WIDTH - GAP) * (NARROW - 2 * MARGIN)
    figure.add_annotation(
        text="<br>".join(map(plain, words)), xref="paper", yref="paper", showarrow=False,
        x=domain["x"][0] if left else 1, xanchor="left" if left else "right", y=domain["y"][0],
        yanchor="top", yshift=-6, align="left" if left else "right", font={"size": 12.5},
    )  # fmt: skip


def _domains(large: int, small: int) -> tuple[dict, dict]:
    """Two places in a figure whose areas are as the two numbers, each as high as it can be."""
    ratio = small / large if large else 0.0
    if ratio > 0.38:  # side by side at full height
        width = (1 - GAP) / (1 + ratio)
        return {"x": [0, width], "y": [0, 1]}, {"x": [width + GAP, 1], "y": [0, 1]}
    width = LARGE_WIDTH
    right = min(1 - width - GAP, (width * ratio) ** 0.5)
    height = width * ratio / right if right else 0.0
    return {"x": [0, width], "y": [0, 1]}, {
        "x": [width + GAP, width + GAP + right], "y": [1 - height, 1],
    }  # fmt: skip


def _tiles(table, domain: dict, *, accent: bool) -> go.Treemap:
    total = max(1, int(table["unpacked_bytes"].sum()))
    return go.Treemap(
        labels=[plain(one_line(path, LABEL_WIDTH)) for path in table["path"]],
        ids=list(table["path"]),
        parents=[""] * len(table),
        values=list(table["unpacked_bytes"]),
        text=[format_bytes(size) for size in table["unpacked_bytes"]],
        customdata=[format_percent(size, total) for size in table["unpacked_bytes"]],
        texttemplate="%{label}<br>%{text}",
        hovertemplate="%{label}<br>%{text}, %{customdata}<extra></extra>",
        marker={
            "colors": [ACCENT if accent else PALE] * len(table),
            "line": {"color": INK, "width": 1},
            "pad": {"t": 0, "l": 0, "r": 0, "b": 0},
        },
        textfont={"size": 13, "color": "white" if accent else DARK},
        tiling={"pad": 0},
        pathbar={"visible": False},
        domain=domain,
        sort=True,
    )


def _buried_bar(figure, row: int, count: int, *, end: int) -> None:
    """The outlined bar of what the instruction of this row buried."""
    figure.add_bar(
        x=[count], y=[row], base=[max(0, end - count)], orientation="h", width=0.4, offset=0.02,
        marker={"color": CLEAR, "line": {"color": INK, "width": 1.5}},
        hovertext=[f"hides {format_bytes(count)} that still ship"], hoverinfo="text",
    )  # fmt: skip
