"""The picture of a multi-stage build: bytes flow from where they were born to what ships.

Drawn as bands of our own: plotly's Sankey trace draws a flow of a thousandth as nothing, and does
not tell where its nodes are, so that their labels could be kept apart.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from ..inspection import BASE, STEP, Origins
from ..units import format_bytes, one_line
from .drawing import ACCENT, FOOTER, GREY, INK, MARGIN, NARROW, empty_chart, plain, wide
from .tables import short

ROOM = NARROW - 2 * MARGIN  # pixels of a narrow page; all places are made for it
MOST_SOURCES = 8
HEIGHT = 260  # pixels that all bytes are high
THIN = 3  # pixels: what is thinner is a hairline
LINE, GAP, LABEL = 17, 12, 36  # pixels: of a line of text, between nodes, above a source
HEAD, SMALL = 26, 11  # pixels: above all nodes, and the font of what is said in addition
ENDS, LAST_STAGE = 0.975, 0.76
FIRST_STAGE = (0.62, 0.5, 0.44, 0.38, 0.34)  # by how many columns the stages have; more: the last
CURVE = 0.09  # of the width at least, between the name of a source and a stage
FLAT = 0.68  # of the way to the next column: how far a flow goes on beside the name of a stage
THICK = 0.014  # of a node, as part of the width
SHIPPED, LEFT = "ships", "left behind"
_MOUNTS = re.compile(r"(?<=^RUN )(?:--mount=\S+ +)+")
_BANDS = {True: "rgba(0,114,178,0.62)", False: "rgba(138,146,157,0.38)"}


@dataclass
class _Node:
    """A place of the picture: `y` is its upper end; `ins` and `outs` are used up from there."""

    x: float
    y: float = 0.0
    high: float = 0.0
    into: float = 0.0
    out: float = 0.0


@dataclass
class _Picture:
    """What flows between which nodes: bytes by (from, to, whether they ship)."""

    links: Counter = field(default_factory=Counter)
    nodes: dict[tuple, _Node] = field(default_factory=dict)
    scale: float = 0.0
    columns: list[float] = field(default_factory=list)  # where the stages stand

    @property
    def source_ends(self) -> float:
        """Where the names of sources end."""
        return self.columns[0] - CURVE

    def step(self) -> float:
        """Return how far the columns of stages are apart."""
        return self.columns[1] - self.columns[0] if len(self.columns) > 1 else ENDS - LAST_STAGE

    def thick(self, count: int) -> float:
        """Return how many pixels a flow takes; a hairline has room as well."""
        return max(count * self.scale, THIN)

    def is_thin(self, count: int) -> bool:
        return count * self.scale < THIN


def flow(found: Origins):
    """Draw how the bytes of all stages flow into the image, and what is left behind.

    At the left is where they were born, at the right what ships (in colour) and what does not.
    """
    if not found.born_bytes:
        title = f"{short(found.name)} ships no bytes"
        return empty_chart(title, "all of its files are empty", found.setting, pixels=4 * LINE)
    sources = _sources(found)
    picture = _Picture(_links(found, sources), scale=HEIGHT / max(found.born_bytes, 1))
    _place(found, picture, sources)
    high = max(node.y + node.high for node in picture.nodes.values()) + 2 * LINE + GAP
    thin = sum(picture.is_thin(count) for count in picture.links.values())
    pixels = int(high) + HEAD
    figure = empty_chart(_title(found), _subtitle(found, thin), found.setting, pixels=pixels)
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[int(high), -HEAD])
    for link in sorted(picture.links, key=lambda link: link[2]):  # what ships is drawn last
        _band(figure, picture, link)
    _mounts(figure, found, picture)
    _name_sources(figure, found, picture, sources)
    _name_stages_and_ends(figure, found, picture)
    _name_columns(figure, found, picture)
    return figure


def _title(found: Origins) -> str:
    name, left = short(found.name), found.born_bytes - found.unpacked_bytes
    if not left:
        return f"{name} ships all {format_bytes(found.born_bytes)} that its build makes"
    where = "in the stages that build it" if len(found.stages) > 1 else "in its one stage"
    return (
        f"{name} ships {format_bytes(found.unpacked_bytes)}; "
        f"{format_bytes(left)} stays behind {where}"
    )


def _subtitle(found: Origins, thin: int) -> str:
    said = "unpacked bytes of all files, from what made them through the stages, to scale"
    if thin:
        flows = "one flow" if thin == 1 else f"{thin} flows"
        said += f"; {flows} thinner than {THIN} pixels {'is a' if thin == 1 else 'are'} hairline"
        said += "s" * (thin > 1)
    if _mounted(found):
        said += "; a dashed line: a RUN reads a stage by a mount"
    return said


def _sources(found: Origins) -> dict[int, tuple]:
    """The node of each origin: its own, or that of all small ones where there are too many."""
    numbers = range(len(found.rows))
    large = sorted(
        numbers, key=lambda n: (-found.rows[n].shipped_bytes, -found.rows[n].born_bytes)
    )[: MOST_SOURCES // 2]
    others = sorted(set(numbers) - set(large), key=lambda n: -found.rows[n].born_bytes)
    kept = {*large, *others[: MOST_SOURCES // 2 - (len(numbers) > MOST_SOURCES)]}
    return {n: ("source", n if n in kept else "others") for n in numbers}


def _links(found: Origins, sources: dict[int, tuple]) -> Counter:
    links: Counter = Counter()
    for one in found.flows:
        end = ("end", SHIPPED if one.ships else LEFT)
        way = [sources[one.origin], *(("stage", label) for label in one.through), end]
        for here, there in pairwise(way):
            links[here, there, one.ships] += one.bytes
    return links


# --- places -------------------------------------------------------------------------------------


def _place(found: Origins, picture: _Picture, sources: dict[int, tuple]) -> None:
    """Give each node its place: sources by their stage, the last stage above the others."""
    last = found.stages[-1]
    ranks = {label: rank for rank, label in enumerate([last, *found.stages[:-1]])}

    def rank(node: tuple) -> tuple:
        ships = [link for link in picture.links if link[0] == node]
        first = min((ranks.get(there[1], len(ranks)) for _, there, _ in ships), default=0)
        return first, node[1] == "others", node[1] if node[1] != "others" else 0

    left = sorted(dict.fromkeys(sources.values()), key=rank)
    _stack(picture, left, 0.0, above=LABEL)
    columns = _columns(found, picture)
    first = FIRST_STAGE[min(len(columns), len(FIRST_STAGE)) - 1]
    step = (LAST_STAGE - first) / max(len(columns) - 1, 1)
    picture.columns = [first + number * step for number in range(len(columns))]
    for number, (x, labels) in enumerate(zip(picture.columns, columns, strict=True)):
        nodes = [("stage", label) for label in sorted(labels, key=ranks.get)]
        down = 0.0
        if last not in labels:
            down = _below_direct(picture, left, last)
            down += 2 * LINE * (number % 2) * _is_crowded(columns)  # else their names would touch
        _stack(picture, nodes, x, above=2 * LINE, start=down)
    ends = [("end", name) for name in (SHIPPED, LEFT)]
    ends = [end for end in ends if any(link[1] == end for link in picture.links)]
    _stack(picture, ends, ENDS, above=2 * LINE)
    low = max(node.y + node.high for node in picture.nodes.values())
    if len(ends) == 2:  # what is left behind goes below what ships
        node = picture.nodes[ends[1]]
        node.y = max(node.y, low - node.high)


def _is_crowded(columns: list) -> bool:
    """Whether names of stages do not fit beside each other, so that every second one is lower."""
    return len(columns) > 3


def _below_direct(picture: _Picture, left: list[tuple], last: str) -> float:
    """Where stages begin so that what goes past them, straight to the last one, is above."""
    direct = [node for node in left if (node, ("stage", last), True) in picture.links]
    lows = [
        picture.nodes[node].y + picture.thick(picture.links[node, ("stage", last), True])
        for node in direct
    ]
    return max(lows, default=LINE)


def _columns(found: Origins, picture: _Picture) -> list[list[str]]:
    """The stages from left to right: each behind those that it gets bytes from."""
    depth: dict[str, int] = {}
    mounts = _mounted(found)
    for label in found.stages:
        before = [here[1] for here, there, _ in picture.links if there == ("stage", label)]
        before += [name for name, stage in mounts if stage == label]
        depth[label] = 1 + max((depth.get(one, -1) for one in before if one != label), default=-1)
    depth[found.stages[-1]] = max(depth.values())
    used = {node[1] for link in picture.links for node in link[:2] if node[0] == "stage"}
    used |= {name for name, _ in mounts if name in depth}
    columns = [
        [name for name in depth if name in used and depth[name] == d]
        for d in range(max(depth.values()) + 1)
    ]
    return [labels for labels in columns if labels]


def _stack(picture: _Picture, nodes: list[tuple], x: float, *, above: int, start: float = 0):
    y = start
    for node in nodes:
        sums = [0.0, 0.0]
        for (here, there, _), count in picture.links.items():
            sums[0] += picture.thick(count) * (there == node)
            sums[1] += picture.thick(count) * (here == node)
        picture.nodes[node] = _Node(x, y + above, max(*sums, THIN))
        y += above + picture.nodes[node].high + GAP


# --- drawing ------------------------------------------------------------------------------------


def _band(figure, picture: _Picture, link: tuple) -> None:
    """Draw one flow: flat beside the name of its source or stage, then a curve; or a hairline."""
    here, there, ships = link
    count, (a, b) = picture.links[link], (picture.nodes[here], picture.nodes[there])
    thick = picture.thick(count)
    high, low = _slots(picture, link)
    x0 = picture.source_ends if here[0] == "source" else a.x + THICK
    if here[0] == "stage" and a.x < picture.columns[-1]:
        x0 = a.x + FLAT * picture.step()
    points = [step / 20 for step in range(21)]
    xs = [x0 + (b.x - x0) * t for t in points]
    ys = [high + (low - high) * t * t * (3 - 2 * t) for t in points]
    xs, ys = [a.x, *xs], [high, *ys]
    text = f"{plain(here[1])} → {plain(there[1])}: {format_bytes(count)}"
    if here[0] == "source":
        text = f"{format_bytes(count)} → {plain(there[1])}"
    if picture.is_thin(count):
        figure.add_scatter(
            x=xs, y=[y + thick / 2 for y in ys], mode="lines", hovertext=text, hoverinfo="text",
            line={"color": ACCENT if ships else GREY, "width": 1.5},
        )  # fmt: skip
        return
    figure.add_scatter(
        x=[*xs, *reversed(xs)], y=[*ys, *(y + thick for y in reversed(ys))], fill="toself",
        fillcolor=_BANDS[ships], mode="lines", line={"width": 0}, hoveron="fills", text=text,
        hoverinfo="text",
    )  # fmt: skip


def _slots(picture: _Picture, link: tuple) -> tuple[float, float]:
    """The upper edge of a flow at both of its nodes: what ships is above what does not."""

    def above(at: int, other: int) -> float:
        def order(one: tuple) -> tuple:
            return not one[2], picture.nodes[one[other]].y, one[other][1] == LEFT

        beside = [one for one in picture.links if one[at] == link[at]]
        return sum(picture.thick(picture.links[one]) for one in beside if order(one) < order(link))

    here, there = picture.nodes[link[0]], picture.nodes[link[1]]
    return here.y + above(0, 1), there.y + above(1, 0)


def _mounts(figure, found: Origins, picture: _Picture) -> None:
    """Draw a dashed line, without width, from each stage that a RUN of another one mounts."""
    for name, stage in sorted(_mounted(found)):
        a, b = picture.nodes.get(("stage", name)), picture.nodes.get(("stage", stage))
        if a is None or b is None or a is b:
            continue
        figure.add_scatter(
            x=[a.x + THICK, a.x + FLAT * picture.step(), b.x], mode="lines",
            y=[a.y + min(a.high, GAP) / 2] * 2 + [b.y + b.high / 2],
            line={"color": INK, "width": 1.2, "dash": "dash"}, hoverinfo="skip",
        )  # fmt: skip


def _mounted(found: Origins) -> set[tuple[str, str]]:
    """Which stage a RUN of which other stage mounts; images and the context are no stages."""
    pairs = {(name, row.stage) for row in found.rows for name in row.mounted}
    return {(name, stage) for name, stage in pairs if name in found.stages and name != stage}


def _name_sources(figure, found: Origins, picture: _Picture, sources: dict[int, tuple]) -> None:
    width = int(picture.source_ends * ROOM / wide("x")) - 4  # for its capitals
    its: dict[tuple, list] = {}
    for number, node in sources.items():
        its.setdefault(node, []).append(found.rows[number])
    for node, rows in its.items():
        born, ships = (sum(getattr(r, f"{k}_bytes") for r in rows) for k in ("born", "shipped"))
        said = f"{format_bytes(ships)} ships"
        if format_bytes(ships) == format_bytes(born):
            said = "all of it ships" if ships == born else "nearly all of it ships"
        said = f"{format_bytes(born)}, {said if ships else 'none of it ships'}"
        y = picture.nodes[node].y
        name = one_line(_name_of(node, rows), width)
        _say(figure, name, 0, y - LINE + 2, "left", False, ink=INK)
        _say(figure, said, 0, y - 1, "left", False, size=SMALL)


def _name_of(node: tuple, rows: list) -> str:
    """What a source is called: its instruction without mounts, or in words what is none."""
    name = rows[0].instruction if node[1] != "others" else f"{len(rows)} other places"
    is_instruction = rows[0].kind in (BASE, STEP) and node[1] != "others"
    return _MOUNTS.sub("", name) if is_instruction else name[0].upper() + name[1:]


def _name_stages_and_ends(figure, found: Origins, picture: _Picture) -> None:
    columns = picture.columns
    room = picture.step() * (1 + _is_crowded(columns)) * ROOM - 8
    for (kind, name), node in picture.nodes.items():
        if kind == "source":
            continue
        figure.add_shape(
            type="rect", x0=node.x, x1=node.x + THICK, y0=node.y, y1=node.y + node.high,
            line={"width": 0}, fillcolor=ACCENT if (kind, name) == ("end", SHIPPED) else GREY,
        )  # fmt: skip
        passed = {link: n for link, n in picture.links.items() if (kind, name) in link[:2]}
        if kind == "end":
            ships, y = name == SHIPPED, node.y
            if not ships:  # what comes to it comes from above
                y += node.high + 2 * LINE
            _say(figure, name, 1, y - LINE + 2, "right", ships, ink=INK, bold=True)
            _say(figure, format_bytes(sum(passed.values())), 1, y, "right", ships, ink=INK)
            continue
        next_one = next((x for x in columns if x > node.x), 1 - wide(SHIPPED) / ROOM - 0.02)
        its = (next_one - node.x) * ROOM if next_one >= columns[-1] else room
        text = one_line(name, max(3, int(its / wide("x")) - 1))
        ships = sum(n for link, n in passed.items() if link[0] == (kind, name) and link[2])
        _say(figure, text, node.x, node.y - LINE + 2, "left", False, ink=INK, bold=True)
        if name != found.stages[-1]:
            said = format_bytes(ships) if ships else "nothing"
            if wide(f"{said} ships", SMALL) < FLAT * picture.step() * ROOM:
                said += " ships"
            _say(figure, said, node.x, node.y - 1, "left", bool(ships), size=SMALL)


def _name_columns(figure, found: Origins, picture: _Picture) -> None:
    """Say above the nodes what each column is, for somebody who sees such a picture first."""
    first, last = picture.columns[0], picture.columns[-1]
    heads = {0.0: "what makes the bytes", first: "build stages", last: "last stage"}
    heads[1.0] = "image"
    for x, said in heads.items():
        _say(figure, said, x, -GAP, "right" if x == 1 else "left", False, size=SMALL)


def _say(figure, text, x, y, anchor, ships, *, ink=FOOTER, size=12.5, bold=False) -> None:
    """Write one line that ends above `y`."""
    figure.add_annotation(
        text=f"<b>{plain(text)}</b>" if bold else plain(text), x=x, y=y, xanchor=anchor,
        yanchor="bottom", showarrow=False, font={"size": size, "color": ACCENT if ships else ink},
        borderpad=0,
    )  # fmt: skip
