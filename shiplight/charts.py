"""Charts: each title is a finding computed from the data, each has its table in `frames`.

The only room that imports plotly. One accent marks what the title names. Labels stand above their
bars, so that a chart reads as well in a narrow window as in a wide one.
"""

import textwrap
from collections.abc import Sequence

import plotly.graph_objects as go

from . import frames
from .builds import Build
from .findings import SEVERITIES, WORDS, ScanReport
from .image import Image
from .setting import Setting
from .units import UNKNOWN, format_bytes, format_percent, format_ratio, format_seconds

ACCENT, GREY, INK, FOOTER = "#0072B2", "#8A929D", "#1F2933", "#6B7480"
ROW_PIXELS = 46
TINY = 0.005  # shares of an image below this are drawn together
RAMP = dict(zip(SEVERITIES, ("#08306B", ACCENT, "#5BA3D0", "#A9CFE5", "#D9DEE3"), strict=True))
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


def vulnerabilities(*reports: ScanReport, names: Sequence[str] | None = None):
    """Vulnerabilities of images, each counted once, one stacked bar an image, the worst first.

    Images stay in the order given: before, then after. What is unknown has no bar and no 0.
    """
    table = frames.vulnerabilities(*reports, names=list(names) if names else None)
    shown = list(zip(table["image"][:: len(SEVERITIES)], reports, strict=True))
    figure = _figure(
        _most_and_least(shown),
        "known vulnerabilities, each counted once",
        _scanned_by(reports),
        rows=1.5 * len(reports),
    )
    largest = max(1, *(report.unique or 0 for report in reports))
    figure.update_xaxes(range=[0, largest * 1.15])
    for row, (name, report) in enumerate(shown):
        _severity_bar(figure, 1.5 * row + 0.4, _label(name), report)
    return figure


def _most_and_least(shown: list[tuple[str, ScanReport]]) -> str:
    """The title: what the images with most and with least have."""
    known = sorted((report.unique, name) for name, report in shown if report.covered)
    if not known:
        return "Nothing is known of " + ", ".join(name for name, _ in shown)
    (least, small), (most, large) = known[0], known[-1]
    title = f"{small} has {least} known vulnerabilities"
    return f"{title}; {large} has {most}" if len(known) > 1 else title


def _severity_bar(figure, y: float, name: str, report: ScanReport) -> None:
    """One image: its name, the severities in words beside their colours, and its bar."""
    counts = {severity: n for severity, n in (report.vulnerabilities or {}).items() if n}
    words = "  ".join(
        f'<span style="color:{RAMP[severity]}">■</span> {n} {WORDS[severity]}'
        for severity, n in counts.items()
    )
    why = report.why.partition("\n")[0] or "the scanner found no package database"
    figure.add_annotation(
        text=f"<b>{name}</b><br>{words or ('none' if report.covered else _label(why))}",
        x=0, y=y, xref="paper", xanchor="left", yanchor="bottom", yshift=-2, showarrow=False,
        align="left", font={"size": 12.5},
    )  # fmt: skip
    start = 0
    for severity, n in counts.items():
        figure.add_bar(
            x=[n], y=[y], base=[start], orientation="h", width=0.4, offset=0.02,
            marker={"color": RAMP[severity]}, hoverinfo="text",
            hovertext=[f"{name}<br>{n} {WORDS[severity]}"],
        )  # fmt: skip
        start += n
    figure.add_annotation(
        text=f"<b>{start if report.covered else UNKNOWN}</b>", x=start, y=y + 0.22, xanchor="left",
        xshift=9, showarrow=False, font={"size": 12.5},
    )  # fmt: skip


def origins(report: ScanReport, *, base: ScanReport | None = None, name: str | None = None):
    """What each instruction brought: vulnerabilities that no earlier layer has, base first.

    With `base`, the report of the image that it stands on, the title says how many came with it.
    """
    table, total = frames.origins(report, base=base), report.unique
    table = table[table["new"].fillna(0) > 0].reset_index(drop=True)
    name, brought = name or frames.vulnerabilities(report)["image"][0], table["new"].astype(int)
    if table.empty:
        title = f"{name}: {UNKNOWN if total is None else 'no'} known vulnerabilities"
        return _figure(title, "no instruction brought any", _scanned_by([report]), rows=0)
    accent = table["part"] == "base" if base else table.index == brought.idxmax()
    what = "its base" if base else f"“{_label(table['instruction'][accent].iloc[0], 40)}”"
    title = f"{brought[accent].sum()} of {total} known vulnerabilities in {name} come from {what}"
    figure = _figure(
        title,
        "known vulnerabilities that no earlier layer has, by instruction that brought any",
        _scanned_by([report]),
        rows=len(table),
    )
    _bars(
        figure,
        labels=table["instruction"],
        values=brought,
        texts=[str(count) for count in brought],
        accent=set(table.index[accent]),
    )
    return figure


def compared(before: ScanReport, after: ScanReport, *, names: Sequence[str] | None = None):
    """How many vulnerabilities of the first are gone in the second, kept, or new there."""
    fates = frames.compared(before, after)["fate"].value_counts()
    counts = [int(fates.get(fate, 0)) for fate in ("gone", "kept", "new")]
    shown = frames.vulnerabilities(before, after, names=list(names) if names else None)
    first, second = shown["image"].iloc[0], shown["image"].iloc[-1]
    figure = _figure(
        f"{counts[0]} of the {counts[0] + counts[1]} known vulnerabilities of {first} are gone",
        f"known vulnerabilities, {first} against {second}",
        _scanned_by([before, after]),
        rows=3,
    )
    labels = [f"gone: only in {first}", "kept: in both", f"new: only in {second}"]
    _bars(figure, labels=labels, values=counts, texts=[str(n) for n in counts], accent={0})
    return figure


def _scanned_by(reports: Sequence[ScanReport]) -> str:
    """The footer: the setting of those that have one, and every scanner and database."""
    settings = [str(report.setting) for report in reports if report.setting][:1]
    scanners = dict.fromkeys(report.scanned_by for report in reports if report.setting)
    return " · ".join([*settings, *scanners]) or "no scan could run"


def table_name(image: Image) -> str:
    """The image's name as titles say it."""
    return frames.images(image)["image"][0]


# --- the parts that every chart is made of ---------------------------------------------------


def _figure(title: str, subtitle: str, setting: Setting | str, *, rows: float) -> go.Figure:
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
