"""Charts of builds: the steps of one over time, and how long ways to build take."""

from collections.abc import Mapping

from ..buildkit import command_first
from ..builds import Build, Times, spread
from ..units import format_percent, format_seconds, one_line
from . import frames
from .drawing import (
    BAND,
    FOOTER,
    GREY,
    INK,
    LABEL_WIDTH,
    add_bars,
    empty_chart,
    places,
    plain,
)
from .tables import setting_of

STAGE_WIDTH = 16  # characters of a stage's name


def timeline(build: Build, *, name: str | None = None):
    """Draw the steps of a build over time, stage by stage; open circles are cached steps.

    Each stage has a band of its own: steps that overlap in time ran in parallel.
    """
    table = _by_stage(frames.steps(build).dropna(subset=["seconds"]))
    name = name or build.name
    ran = table[~table["cached"] & ~table["step"].str.contains("] FROM ")]
    if len(ran):
        top = int(ran["seconds"].idxmax())
        spent = format_seconds(float(table["seconds"][top]))
        step = one_line(_command(table["step"][top]), 40)
        title = f"“{step}” takes {spent} of {name}’s {format_seconds(build.seconds)}"
    else:
        top, title = (
            -1,
            f"Every step of {name} came from the cache, in {format_seconds(build.seconds)}",
        )
    bands = table["stage"].nunique() > 1
    figure = empty_chart(
        title,
        "seconds since the first step started; open circles: cached steps"
        + ("; each band is a stage" if bands else ""),
        build.setting,
        rows=len(table),
    )
    if bands:
        _bands(figure, table["stage"])
    add_bars(
        figure,
        labels=[command_first(step) for step in table["step"]],
        values=table["seconds"].where(~table["cached"], 0.0),
        starts=table["start"],
        texts=[
            "cached" if row.cached else format_seconds(row.seconds) for row in table.itertuples()
        ],
        accent={top},
        label_width=LABEL_WIDTH - bands * (STAGE_WIDTH + 2),
    )
    _open_circles(figure, table)
    return figure


def build_times(*measured: Times):
    """Draw the median seconds of ways to build, case by case, each with its range.

    The title compares the quickest and the slowest way in the last case with their own first one.
    """
    table = frames.build_times(*measured)
    first, last = (table[table["case"] == table["case"].iloc[end]] for end in (0, -1))
    cold = dict(zip(first["way"], first["seconds"], strict=True))
    shares = {row.way: format_percent(row.seconds, cold[row.way]) for row in last.itertuples()}
    slow, quick = last["way"].iloc[0], last["way"].iloc[-1]
    rows = places(list(table["case"]))
    figure = empty_chart(
        f"{table['case'].iloc[-1].capitalize()}, a build with {quick} takes {shares[quick]} of "
        f"its {table['case'].iloc[0]} time; with {slow}, {shares[slow]}",
        "seconds from start to image: bars are medians, lines the range of all runs",
        setting_of(table),
        rows=rows[-1] + 1,
    )
    add_bars(
        figure,
        labels=[
            f"{row.case}: {row.way}, {spread(row.fastest_seconds, row.slowest_seconds, row.runs)}"
            for row in table.itertuples()
        ],
        values=table["seconds"],
        texts=[format_seconds(seconds) for seconds in table["seconds"]],
        accent={len(table) - 1},
        rows=rows,
        furthest=float(table["slowest_seconds"].max()),
    )
    for place, row in zip(rows, table.itertuples(), strict=True):
        if row.runs > 1:
            _range(figure, place, row.fastest_seconds, row.slowest_seconds)
    return figure


def rebuilds(builds: Mapping[str, Build]):
    """Draw the seconds of builds after the same edit, in the order given, and what each ran again.

    `builds` has them by what each had to build with; the title compares the quickest of them with
    the first.
    """
    table = frames.rebuilds(builds)
    names, seconds = list(table["build"]), list(table["seconds"])
    quick = seconds.index(min(seconds))
    share = format_percent(seconds[quick], seconds[0])
    figure = empty_chart(
        f"With {names[quick]}, the build takes {share} of the time with {names[0]}",
        "seconds from start to image, one run each",
        setting_of(table),
        rows=len(table),
    )
    add_bars(
        figure,
        labels=names,
        values=seconds,
        texts=[
            f"{format_seconds(row.seconds)}, {row.ran} of {row.steps} steps ran"
            for row in table.itertuples()
        ],
        accent={quick},
    )
    return figure


def _range(figure, row: float, fastest: float, slowest: float) -> None:
    """A line from the quickest run to the slowest, below the bar of the median."""
    figure.add_scatter(
        x=[fastest, slowest], y=[row + 0.47] * 2, mode="lines+markers", hoverinfo="skip",
        line={"color": INK, "width": 1.5}, cliponaxis=False,
        marker={"symbol": "line-ns", "size": 7, "line": {"color": INK, "width": 1.5}},
    )  # fmt: skip


def _by_stage(table):
    """The Dockerfile's own steps and slow others, stage by stage, as their first one ran."""
    table = table[table["stage"].notna() | (table["seconds"] >= 0.2)].copy()
    table["stage"] = table["stage"].fillna("")
    named = table[table["stage"] != ""]
    ran = named[~named["cached"] & ~named["step"].str.contains("] FROM ")]
    first = [rows.groupby("stage")["start"].min() for rows in (ran, named)]
    table["begun"] = table["stage"].map(first[0].combine_first(first[1])).fillna(float("inf"))
    return table.sort_values(["begun", "stage", "start"], kind="stable", ignore_index=True)


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
            text=f"<b>{plain(one_line(stage or 'BuildKit', STAGE_WIDTH))}</b>",
            x=1, xref="paper", y=first, xanchor="right", yanchor="bottom", yshift=-2,
            showarrow=False, font={"size": 12.5, "color": FOOTER},
        )  # fmt: skip


def _open_circles(figure, table) -> None:
    cached = table[table["cached"]]
    figure.add_scatter(
        x=cached["start"], y=[row + 0.22 for row in cached.index], mode="markers",
        marker={"symbol": "circle-open", "size": 10, "color": GREY, "line": {"width": 2}},
        hovertext=[plain(step) for step in cached["step"]], hoverinfo="text", cliponaxis=False,
    )  # fmt: skip


def _command(step: str) -> str:
    """`RUN go build` out of `[builder 6/6] RUN --mount=… go build`."""
    return command_first(step).partition("] ")[2] or step
