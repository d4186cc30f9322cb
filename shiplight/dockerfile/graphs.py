"""The graph of a Dockerfile's stages as SVG, from its text alone.

Stages stand in layers, each to the right of all that it uses, so arrows go from left to right. What
the target does not need is grey.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from ..units import one_line, visible_line
from .parser import Dockerfile
from .stages import links_of, needed_stages

CHARACTER, LINE = 7.3, 16  # pixels: of the monospaced font, 12 px
BOX_HEIGHT, ACROSS, DOWN, MARGIN, PAD, TIP = 48, 60, 22, 12, 10, 14
MOST_CHARS = 34  # of a line in a box
_WORDS = {"FROM": "FROM", "COPY": "COPY", "MOUNT": "mount"}
_ACCENT, _GREY = "#0072B2", "#8A929D"


@dataclass(frozen=True)
class Box:
    """One stage, with what it begins from below its name, and where it stands, in pixels."""

    stage: int
    title: str
    below: str
    needed: bool
    x: float
    y: float
    width: float
    height: float


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
        height = max(box.y + box.height for box in self.boxes) + MARGIN
        ports = self._ports()
        drawn = [_arrow(self.boxes, arrow, ports[arrow]) for arrow in self.arrows]
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
) -> StageGraph:
    """Return the graph of all stages; those that `target` does not need are grey.

    Raises DockerfileError where BuildKit would not build the target.
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
                one_line(f"FROM {links[stage.index][0].reference}", MOST_CHARS),
            )
            for stage in stages
        }
        width = max(len(text) for pair in texts.values() for text in pair) * CHARACTER + 2 * PAD
        labels = [len(arrow.label) for arrow in arrows if layers[arrow.target] == layer]
        x += ACROSS + max(labels) * CHARACTER if labels else 0
        y = float(MARGIN)
        for stage in stages:
            into = sum(arrow.target == stage.index for arrow in arrows)
            high, is_needed = max(BOX_HEIGHT, (into + 1) * LINE), stage.index in needed
            boxes.append(Box(stage.index, *texts[stage.index], is_needed, x, y, width, high))
            y += high + DOWN
        x += width
    return StageGraph(tuple(boxes), arrows)


def _box(box: Box) -> str:
    ink = _ACCENT if box.needed else _GREY
    dash = "" if box.needed else ' stroke-dasharray="4 3"'
    return (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="6" '
        f'fill="none" stroke="{ink}" stroke-width="1.5"{dash}/>'
        f'<text x="{box.x + PAD:g}" y="{box.y + 20:g}" font-weight="bold" fill="{ink}">'
        f"{escape(visible_line(box.title))}</text>"
        f'<text x="{box.x + PAD:g}" y="{box.y + 37:g}" fill="{_GREY}">'
        f"{escape(visible_line(box.below))}</text>"
    )


def _arrow(boxes: tuple[Box, ...], arrow: Arrow, y2: float) -> str:
    """An arrow, flat under its word, that curves in the gap right behind where it begins."""
    by_stage = {box.stage: box for box in boxes}
    a, b = by_stage[arrow.source], by_stage[arrow.target]
    x0, y0, x2 = a.x + a.width, a.y + a.height / 2, b.x
    flat = x2 - TIP - len(arrow.label) * CHARACTER - 4
    middle = (x0 + flat) / 2
    return (
        f'<path d="M{x0:g} {y0:g}C{middle:g} {y0:g} {middle:g} {y2:g} {flat:g} {y2:g}H{x2:g}" '
        f'fill="none" stroke="{_GREY}" marker-end="url(#tip)"/>'
    )


def _label(text: str, x: float, y: float) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="12" fill="{_GREY}">{escape(text)}</text>'
