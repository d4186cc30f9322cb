"""Charts: each title is a finding computed from the data, each has its table in `frames`.

The only package that imports plotly. One accent marks what the title names. Labels stand above
their bars, and every text fits where a notebook is NARROW pixels wide. A chart has no width of its
own and no ground: what is drawn reads on a light page and on a dark one.
"""

import logging
import re
import textwrap
from collections.abc import Sequence

import plotly.graph_objects as go
import plotly.io as pio

from ..setting import Setting
from ..units import one_line, visible_line

# On #ffffff and on #111111 alike: bars have a contrast of 3 at least, words of 4.3.
ACCENT, GREY, INK, FOOTER = "#0072B2", "#8A929D", "#737A83", "#787F88"
BAND, PALE, DARK = "rgba(128,138,150,0.14)", "#D5DAE0", "#1F2933"  # DARK: ink on PALE and GREY
CLEAR = "rgba(0,0,0,0)"
ROW_PIXELS = 46
NARROW, MARGIN = 490, 24  # pixels: of a notebook in a window of 620, and beside what is drawn
PICTURE = 600  # pixels: how wide a picture of a chart is shown, where nothing can draw it
TITLE_WIDTH, SMALL_WIDTH, LABEL_WIDTH = 45, 68, 66  # characters that fit into it
APART = 0.4  # rows between two groups
_CHARACTER = 0.53  # of the font's size: how wide one is, about
_UNIT = re.compile(r"(?<=\d) (?=(?:[kMG]?B|m?s|%)\b|%)")  # between a number and its unit
TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "showlegend": False,
        "bargap": 0,
        "hovermode": "closest",
        "modebar": {"bgcolor": CLEAR, "color": GREY, "activecolor": ACCENT},
        "font": {"family": "Helvetica, Arial, sans-serif", "size": 13, "color": INK},
        "xaxis": {"visible": False, "rangemode": "tozero", "fixedrange": True},
        "yaxis": {"visible": False, "fixedrange": True},
    }
)


class _OnWhite(type(pio.renderers["jpeg"])):
    """A JPEG has no transparent ground: without one of ours it would be black."""

    def to_mimebundle(self, figure: dict) -> dict:
        return super().to_mimebundle(
            figure | {"layout": figure["layout"] | {"paper_bgcolor": "white"}}
        )


def _set_up_renderers() -> None:
    """Charts as wide as the page, a mode bar with what works, pictures of twice the pixels."""
    for name in ("plotly_mimetype", "notebook", "notebook_connected", "browser"):
        pio.renderers[name].config = {
            "responsive": True,
            "displaylogo": False,
            "modeBarButtons": [["toImage"]],
        }
    pio.renderers["png"].width, pio.renderers["png"].scale = PICTURE, 2
    pio.renderers["jpeg"] = _OnWhite(width=PICTURE, scale=2)
    pio.renderers.default = pio.renderers.default  # which held the renderers of before
    # What a browser says last, as it ends, is no JSON; kaleido would log that into the cell.
    logging.getLogger("choreographer").setLevel(logging.CRITICAL)


_set_up_renderers()

_beside: dict[str, str] = {}  # what the next chart says beside its subtitle, by what it is about


def say_beside(about: str, text: str = "") -> None:
    """Let the next chart that is drawn say this too, behind its subtitle; "" takes it back."""
    _beside.pop(about, None)
    if text:
        head, colon, rest = text.partition(": ")  # no line breaks before what was guessed
        _beside[about] = head.replace(" ", "\u00a0") + colon.replace(" ", "\u00a0") + rest


# --- words ------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """Return a text that plotly shows as it is: neither as markup nor as a formula.

    >>> plain("cp $A <b> & $B")
    'cp &#36;A &lt;b> &amp; &#36;B'
    """
    return visible_line(str(text)).replace("&", "&amp;").replace("<", "&lt;").replace("$", "&#36;")


def labels_of(texts: Sequence[str], width: int = LABEL_WIDTH) -> list[str]:
    """Return one line for each text, and where two would be cut alike, what tells them apart.

    >>> labels_of(["RUN apt-get install git", "RUN apt-get install gcc", "CMD"], 17)
    ['RUN ap… git', 'RUN ap… gcc', 'CMD']
    >>> labels_of(["COPY /usr/local/lib/a/x1", "COPY /usr/local/lib/a/x2"], 17)
    ['COPY /…1', 'COPY /…2']
    """
    lines = [visible_line(" ".join(str(text).split())) for text in texts]
    shown = []
    for line in lines:
        alike = {other for other in lines if one_line(other, width) == one_line(line, width)}
        if len(alike) > 1:
            same = _common(alike)
            head, word = line[: width // 3 + 1].rstrip(), same.rfind(" ")
            line = f"{head}…{line[word if word >= len(head) else len(same) :]}"
        shown.append(one_line(line, width))
    return shown


def _common(texts: set[str]) -> str:
    """What all of these texts begin with."""
    first, last = min(texts), max(texts)
    length = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    return first[:length]


def wide(text: str, size: float = 12.5) -> float:
    """Return about how many pixels a text takes."""
    return len(text) * size * _CHARACTER


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
    lines = _wrapped(title, TITLE_WIDTH)
    small = _wrapped(" · ".join([subtitle, *_beside.values()]), SMALL_WIDTH)
    _beside.clear()
    foot = _wrapped(str(setting or "where and when this was measured is unknown"), SMALL_WIDTH)
    top, bottom = 26 * len(lines) + 18 * len(small) + 22, 30 + 16 * len(foot)
    figure = go.Figure()
    figure.update_layout(
        template=TEMPLATE,
        height=top + bottom + (ROW_PIXELS * rows if pixels is None else pixels),
        margin={"l": MARGIN, "r": MARGIN, "t": top, "b": bottom},
        title={
            "text": "<br>".join(lines),
            "subtitle": {"text": "<br>".join(small), "font": {"size": 13, "color": FOOTER}},
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 14 + 13 * (len(lines) - 1)},
            "font": {"size": 18, "color": INK},
        },
    )
    if rows:
        figure.update_yaxes(range=[rows - 0.5, -0.5])
    figure.add_annotation(
        text="<br>".join(foot), xref="paper", yref="paper", x=0, y=0, xanchor="left", yanchor="top",
        yshift=-14, showarrow=False, align="left", font={"size": 11.5, "color": FOOTER},
    )  # fmt: skip
    return figure


def _wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` characters, which no unit and no `·` begins."""
    whole = _UNIT.sub("\u00a0", text).replace(" · ", "\u00a0· ")
    return [plain(line) for line in textwrap.wrap(whole, width)]


def places(groups: Sequence) -> list[float]:
    """Return the place of each row, so that a gap is between two groups.

    >>> places(["cold", "cold", "edit"])
    [0.0, 1.0, 2.4]
    """
    found, place = [], 0.0
    for number, group in enumerate(groups):
        place += (APART if number and group != groups[number - 1] else 0.0) + (number > 0)
        found.append(round(place, 2))
    return found


def add_bars(
    figure,
    *,
    labels: Sequence[str],
    values: Sequence[float],
    texts: Sequence[str],
    accent: set[int],
    starts: Sequence[float] | None = None,
    rows: Sequence[float] | None = None,
    furthest: float = 0.0,
    label_width: int = LABEL_WIDTH,
) -> None:
    """Add a bar for each row, its label above it and its value behind it, or in it if cut off.

    `rows` are the places of the rows, one below the other unless `places` has others; `furthest` is
    a value that has to fit in, beyond all bars.
    """
    values = [float(value) for value in values]
    starts = [0.0] * len(values) if starts is None else [float(start) for start in starts]
    rows = list(range(len(values))) if rows is None else list(rows)
    figure.add_bar(
        x=values,
        y=rows,
        base=starts,
        orientation="h",
        width=0.4,
        offset=0.02,
        marker={"color": [ACCENT if row in accent else GREY for row in range(len(values))]},
        hovertext=[
            f"{plain(label)}<br>{plain(text)}" for label, text in zip(labels, texts, strict=True)
        ],
        hoverinfo="text",
    )
    ends = [start + value for start, value in zip(starts, values, strict=True)]
    largest = 1.02 * max([*ends, furthest, 1e-9])
    figure.update_xaxes(range=[0, largest])
    shown = labels_of(list(labels), label_width)
    for number, (row, label, text) in enumerate(zip(rows, shown, texts, strict=True)):
        figure.add_annotation(
            text=plain(label), x=0, y=row, xref="paper", xanchor="left", yanchor="bottom",
            yshift=-2, showarrow=False, align="left", font={"size": 12.5},
        )  # fmt: skip
        side = _beside_bar(starts[number], ends[number], largest, text)
        ink = {"inside": "white" if number in accent else DARK}.get(side, INK)
        figure.add_annotation(
            text=f"<b>{plain(text)}</b>" if number in accent else plain(text), y=row + 0.22,
            x=starts[number] if side == "before" else ends[number],
            xanchor="left" if side == "behind" else "right", xshift=9 if side == "behind" else -9,
            showarrow=False, font={"size": 12.5, "color": ink},
        )  # fmt: skip


def _beside_bar(start: float, end: float, largest: float, text: str) -> str:
    """Where a value fits on a narrow page: `behind` its bar, `inside` it, or `before` it."""
    pixel, room = (NARROW - 2 * MARGIN) / largest, wide(text) + 12
    if end * pixel + room <= NARROW - 2 * MARGIN + MARGIN:
        return "behind"
    return "inside" if (end - start) * pixel >= room else "before"
