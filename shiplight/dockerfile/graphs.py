"""The graph of a Dockerfile's stages as SVG: from its text alone, or with what a build of it did.

Stages stand in layers, each to the right of all that it uses, so arrows go from left to right. What
the target does not need is grey. After a build, what ran is filled and has its seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from ..units import format_seconds, one_line, visible_line
from .parser import Dockerfile
from .stages import links_of, needed_stages

CHARACTER, LINE = 7.3, 16  # pixels: of the monospaced font, 12 px
BOX_HEIGHT, ACROSS, DOWN, MARGIN, PAD, TIP = 48, 60, 22, 12, 10, 14
CURVE, LANE = ACROSS - TIP - 4, 10
MOST_CHARS = 34  # of a line in a box
_WORDS = {"FROM": "FROM", "COPY": "COPY", "MOUNT": "mount"}
_ACCENT, _GREY, _FILL = "#0072B2", "#8A929D", "rgba(0,114,178,0.18)"


@dataclass(frozen=True)
class StageRun:
    """What a build did for one stage: the seconds of its steps, how many they are and how many
    of them came from the cache.
    """

    seconds: float
    steps: int
    cached: int

    @property
    def is_cached(self) -> bool:
        """Whether nothing ran."""
        return self.cached == self.steps

    def __str__(self) -> str:
        if not self.steps:
            return "nothing to run"
        if self.is_cached:
            return f"cached: {self.steps} step{'s' * (self.steps > 1)}"
        of = f", {self.cached} of {self.steps} cached" if self.cached else ""
        return f"ran {format_seconds(self.seconds)}{of}"


@dataclass(frozen=True)
class Box:
    """One stage, with what it begins from below its name, and where it stands, in pixels.

    `run` is what a build did for it; None where nothing was built, or not this stage.
    """

    stage: int
    title: str
    below: str
    needed: bool
    x: float
    y: float
    width: float
    height: float
    run: StageRun | None = None


@dataclass(frozen=True)
class Arrow:
    """Which stage uses which, and how: FROM, COPY, mount, or several of them."""

    source: int
    target: int
    label: str


@dataclass(frozen=True)
class StageGraph:
    """Boxes and arrows of one Dockerfile; a notebook shows it as the picture."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    def svg(self) -> str:
        """Return the picture."""
        width = max(box.x + box.width for box in self.boxes) + MARGIN
        lows = [*self.lanes().values(), *(box.y + box.height for box in self.boxes)]
        height = max(lows) + MARGIN
        ports = self._ports()
        lanes = self.lanes()
        drawn = [_arrow(self.boxes, arrow, ports[arrow], lanes.get(arrow)) for arrow in self.arrows]
        drawn += [_box(box) for box in self.boxes]
        drawn += [_label(*place) for place in self.labels()]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" font-family="monospace" font-size="12">'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{_GREY}"/></marker>'
            f"</defs>{''.join(drawn)}</svg>\n"
        )

    _repr_svg_ = svg

    def labels(self) -> list[tuple[str, float, float]]:
        """Return the words at the arrows, with their left end and the middle of their line.

        They stand in the gap before the stage that an arrow leads to, one below the other.
        """
        left = {box.stage: box.x for box in self.boxes}
        return [
            (arrow.label, left[arrow.target] - TIP - len(arrow.label) * CHARACTER, y - 4)
            for arrow, y in self._ports().items()
        ]

    def lanes(self) -> dict[Arrow, float]:
        """Return how far down each arrow goes that would cross a layer: below all boxes."""
        box = {box.stage: box for box in self.boxes}
        layers = sorted({box.x for box in self.boxes})
        low = max(box.y + box.height for box in self.boxes)
        long = [
            arrow
            for arrow in self.arrows
            if layers.index(box[arrow.target].x) - layers.index(box[arrow.source].x) > 1
        ]
        return {arrow: low + (number + 1) * LANE for number, arrow in enumerate(long)}

    def _ports(self) -> dict[Arrow, float]:
        """Where each arrow meets its box: a line apart, around the middle."""
        found = {}
        for box in self.boxes:
            into = [arrow for arrow in self.arrows if arrow.target == box.stage]
            for number, arrow in enumerate(into):
                found[arrow] = box.y + box.height / 2 + (number - (len(into) - 1) / 2) * LINE
        return found


def draw(
    dockerfile: Dockerfile,
    target: str | int | None = None,
    build_args: Mapping[str, str] | None = None,
    runs: Mapping[int, StageRun] | None = None,
) -> StageGraph:
    """Return the graph of all stages; those that `target` does not need are grey.

    `runs` has what a build did for the stages that it built, by index. Raises DockerfileError where
    BuildKit would not build the target.
    """
    links = links_of(dockerfile, build_args)
    needed = {stage.index for stage in needed_stages(dockerfile, target, build_args)}
    used: dict[tuple[int, int], list[str]] = {}
    for stage, its in links.items():
        for link in its:
            if link.source is not None and link.source < stage:
                words = used.setdefault((link.source, stage), [])
                words += [_WORDS[link.kind]] * (_WORDS[link.kind] not in words)
    arrows = tuple(Arrow(*pair, ", ".join(words)) for pair, words in sorted(used.items()))
    layers: dict[int, int] = {}
    for stage in dockerfile.stages:
        before = [layers[arrow.source] for arrow in arrows if arrow.target == stage.index]
        layers[stage.index] = 1 + max(before, default=-1)
    boxes, x = [], float(MARGIN)
    for layer in range(max(layers.values()) + 1):
        stages = [stage for stage in dockerfile.stages if layers[stage.index] == layer]
        texts = {
            stage.index: (
                one_line(stage.label, MOST_CHARS),
                f"FROM {_short(links[stage.index][0].reference)}",
                str(runs[stage.index]) if runs and stage.index in runs else "",
            )
            for stage in stages
        }
        width = max(len(text) for pair in texts.values() for text in pair) * CHARACTER + 2 * PAD
        labels = [len(arrow.label) for arrow in arrows if layers[arrow.target] == layer]
        x += ACROSS + max(labels) * CHARACTER if labels else 0
        y = float(MARGIN)
        for stage in stages:
            into = sum(arrow.target == stage.index for arrow in arrows)
            run, is_needed = (runs or {}).get(stage.index), stage.index in needed
            high = max(BOX_HEIGHT + LINE * (run is not None), (into + 1) * LINE)
            title, below, _ = texts[stage.index]
            boxes.append(Box(stage.index, title, below, is_needed, x, y, width, high, run))
            y += high + DOWN
        x += width
    return StageGraph(tuple(boxes), arrows)


def _short(reference: str) -> str:
    """A reference without the digest behind its tag; where it is long, its end: name and tag.

    >>> _short("docker.io/library/golang:1.26.5-alpine@sha256:5e1c")
    '…brary/golang:1.26.5-alpine@…'
    """
    name, at, _ = visible_line(reference).partition("@")
    name, room = name + "@…" * bool(at), MOST_CHARS - len("FROM ")
    return name if len(name) <= room else "…" + name[1 - room :]


def _box(box: Box) -> str:
    ink = _ACCENT if box.needed else _GREY
    dash = "" if box.needed else ' stroke-dasharray="4 3"'
    fill = _FILL if box.run and not box.run.is_cached else "none"
    done = ""
    if box.run:
        done = (
            f'<text x="{box.x + PAD:g}" y="{box.y + 37 + LINE:g}" fill="{ink}">'
            f"{escape(str(box.run))}</text>"
        )
    return (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="6" '
        f'fill="{fill}" stroke="{ink}" stroke-width="1.5"{dash}/>{done}'
        f'<text x="{box.x + PAD:g}" y="{box.y + 20:g}" font-weight="bold" fill="{ink}">'
        f"{escape(visible_line(box.title))}</text>"
        f'<text x="{box.x + PAD:g}" y="{box.y + 37:g}" fill="{_GREY}">'
        f"{escape(visible_line(box.below))}</text>"
    )


def _arrow(boxes: tuple[Box, ...], arrow: Arrow, y2: float, lane: float | None) -> str:
    """An arrow that curves only in the gaps between layers, where no word is.

    One that goes past a layer has a `lane` of its own below all boxes.
    """
    by_stage = {box.stage: box for box in boxes}
    a, b = by_stage[arrow.source], by_stage[arrow.target]
    gap = max(box.x + box.width for box in boxes if box.x + box.width < b.x)
    x, y, path = a.x + a.width, a.y + a.height / 2, ""
    if lane is not None:
        path = _curve(x, y, x + CURVE, lane) + f"H{gap:g}"
        x, y = gap, lane
    path += _curve(x, y, gap + CURVE, y2)
    return (
        f'<path d="M{a.x + a.width:g} {a.y + a.height / 2:g}{path}H{b.x:g}" '
        f'fill="none" stroke="{_GREY}" marker-end="url(#tip)"/>'
    )


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = (x0 + x1) / 2
    return f"C{middle:g} {y0:g} {middle:g} {y1:g} {x1:g} {y1:g}"


def _label(text: str, x: float, y: float) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="12" fill="{_GREY}">{escape(text)}</text>'
