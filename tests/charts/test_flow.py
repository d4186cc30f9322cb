"""The picture of a multi-stage build: to scale, with hairlines that it admits, and readable."""

from itertools import combinations

import pytest

from shiplight import charts
from shiplight.charts.drawing import ACCENT, MARGIN, NARROW, wide
from shiplight.charts.flow_charts import HEIGHT, SMALL
from shiplight.inspection import Flow, Origin, Origins

BUILDER, LAST = ("builder",), ("builder", "stage-1")


def origins(*rows: tuple[str, int, int], mounted=()) -> Origins:
    """Rows of a builder whose shipped bytes go to a last stage: (instruction, born, shipped)."""
    flows = []
    for number, (_, born, ships) in enumerate(rows):
        flows += [Flow(number, LAST, ships, True)] * bool(ships)
        flows += [Flow(number, BUILDER, born - ships, False)] * (born > ships)
    found = tuple(
        Origin("instruction", "builder", text, line, born, ships)
        for line, (text, born, ships) in enumerate(rows)
    )
    if mounted:
        found += (Origin("instruction", "stage-1", "RUN install", 20, 500, 500, mounted=mounted),)
        flows.append(Flow(len(rows), ("stage-1",), 500, True))
    ships = sum(row.shipped_bytes for row in found)
    return Origins("app/multi", ships, ("builder", "stage-1"), found, tuple(flows))


def in_a_row(*labels: str) -> Origins:
    """Stages each of which copies from the one before it, and makes something of its own."""
    rows, flows = [], []
    for number, label in enumerate(labels):
        text = f"RUN make --directory=/src/part{number} install"
        rows.append(Origin("instruction", label, text, number, 6 * 10**7, 2 * 10**7))
        flows.append(Flow(number, tuple(labels[number:]), 2 * 10**7, True))
        flows.append(Flow(number, (label,), 4 * 10**7, False))
    return Origins("chain", 2 * 10**7 * len(labels), labels, tuple(rows), tuple(flows))


LARGE = origins(("FROM golang", 6000, 1000), ("RUN go build", 4000, 3000))


def texts(figure) -> list[str]:
    return [each.text for each in figure.layout.annotations]


def bands(figure) -> dict[str, float]:
    """How many pixels each band is thick, by what is said of it."""
    found = {}
    for trace in figure.data:
        if trace.fill == "toself":
            half = len(trace.y) // 2
            found[trace.text] = round(trace.y[-1] - trace.y[0], 3)
            assert all(
                low - high == pytest.approx(found[trace.text])
                for high, low in zip(trace.y[:half], reversed(trace.y[half:]), strict=True)
            )
    return found


def test_bands_are_as_thick_as_their_bytes():
    found = bands(charts.flow(LARGE))
    assert found["builder → stage-1: 4.00 kB"] == pytest.approx(0.4 * HEIGHT)
    assert found["builder → left behind: 6.00 kB"] == pytest.approx(0.6 * HEIGHT)
    assert found["stage-1 → ships: 4.00 kB"] == pytest.approx(0.4 * HEIGHT)


def test_the_title_says_what_ships_of_what_was_born():
    figure = charts.flow(LARGE)
    title = figure.layout.title.text.replace("<br>", " ").replace("\u00a0", " ")
    assert title == ("app/multi ships 4.00 kB; 6.00 kB stays behind in the stages that build it")
    assert "hairline" not in figure.layout.title.subtitle.text


def test_a_flow_that_would_be_too_thin_is_a_line_and_the_subtitle_says_so():
    figure = charts.flow(origins(("FROM golang", 1_000_000, 100), ("RUN make", 500_000, 0)))
    said = figure.layout.title.subtitle.text.replace("<br>", " ").replace("\u00a0", " ")
    assert "3 flows thinner than 3 pixels are hairlines" in said
    lines = [trace.hovertext for trace in figure.data if trace.line.width == 1.5]
    assert len(lines) == 3 and "builder → stage-1: 100 B" in lines
    assert "100 B ships" in texts(figure) and "100 B" in texts(figure)


def test_many_places_are_drawn_as_one():
    figure = charts.flow(origins(*((f"RUN step {n}", 1000 + n, n % 2) for n in range(30))))
    assert "23 other places" in " ".join(texts(figure)).lower()


def test_a_stage_that_a_run_mounts_has_a_dashed_line_to_it():
    figure = charts.flow(origins(("RUN make", 9000, 0), mounted=("builder",)))
    assert [trace.line.dash for trace in figure.data].count("dash") == 1
    assert "a dashed line" in figure.layout.title.subtitle.text.replace("<br>", " ")


@pytest.mark.parametrize(
    "found",
    [
        LARGE,
        origins(("FROM golang", 10**9, 200), ("RUN " + "x" * 90, 10**8, 10**7)),
        origins(*((f"RUN step {n}", 10**n, 10 ** (n // 2)) for n in range(1, 12))),
        origins(("RUN make", 9000, 0), mounted=("builder",)),
        in_a_row("dependencies", "builder", "runtime"),
        in_a_row("dependencies", "build-frontend", "build-backend", "production-image"),
        in_a_row(*(f"stage-{number}" for number in range(7))),
    ],
)
def test_no_two_labels_touch_on_a_narrow_page(found):
    figure = charts.flow(found)
    boxes = []
    for each in figure.layout.annotations:
        if each.yref == "paper" or not each.text:
            continue
        size, room = each.font.size, NARROW - 2 * MARGIN
        width = wide(each.text.replace("<b>", "").replace("</b>", ""), size)
        left = each.x * room - width * {"left": 0, "right": 1}[each.xanchor]
        boxes.append((left, left + width, each.y - size, each.y, each.text))
        assert left >= -MARGIN and left + width <= room + MARGIN, each.text
    for a, b in combinations(boxes, 2):
        assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2], (a, b)


def test_the_name_that_buildkit_gives_a_last_stage_is_not_cut():
    assert "<b>stage-1</b>" in texts(charts.flow(LARGE))


def test_what_leaves_a_stage_goes_straight_on_beside_its_name():
    """A band that bends up at once goes through the words above it."""
    figure = charts.flow(in_a_row("builder", "runtime"))
    small = [one for one in figure.layout.annotations if one.font.size == SMALL]
    [name] = [one for one in small if one.x and one.text.startswith("20.0 MB")]
    end = name.x + wide(name.text, name.font.size) / (NARROW - 2 * MARGIN)
    [band] = [trace for trace in figure.data if trace.text == "builder → runtime: 20.0 MB"]
    assert band.x[1] >= end and band.y[0] == band.y[1] > min(band.y)


def test_a_mount_of_the_context_draws_no_line_and_promises_none():
    figure = charts.flow(origins(("RUN make", 9000, 0), mounted=("the build context",)))
    assert not [trace for trace in figure.data if trace.line.dash == "dash"]
    assert "dashed" not in figure.layout.title.subtitle.text


def test_the_name_of_the_last_stage_has_the_room_before_what_ships():
    said = texts(charts.flow(in_a_row("builder", "runtime")))
    assert "<b>runtime</b>" in said


def test_a_source_is_called_by_its_command_and_not_by_its_mounts():
    text = "RUN --mount=type=bind,target=. --mount=type=cache,target=/c cc --mount=x ."
    assert "RUN cc --mount=x ." in texts(charts.flow(origins((text, 900, 90))))


def test_what_ships_but_for_a_few_bytes_is_nearly_all():
    said = texts(charts.flow(origins(("RUN make", 10**9, 10**9 - 1), ("RUN x", 50, 50))))
    assert "1.00 GB, nearly all of it ships" in said and "50 B, all of it ships" in said


def test_each_column_says_what_it_is():
    said = texts(charts.flow(LARGE))
    assert {"what makes the bytes", "build stages", "last stage", "image"} <= set(said)
    assert {"<b>ships</b>", "<b>left behind</b>"} <= set(said)


def test_a_stage_with_the_name_of_an_end_is_a_stage():
    figure = charts.flow(in_a_row("ships", "runtime"))
    fills = [shape.fillcolor for shape in figure.layout.shapes]
    assert fills.count(ACCENT) == 1


def test_an_image_without_bytes_has_a_chart_that_says_so():
    assert "ships no bytes" in charts.flow(origins()).layout.title.text


def test_stages_in_a_long_row_are_all_drawn():
    labels = [f"s{number}" for number in range(120)]
    rows = [Origin("instruction", label, f"RUN {label}", 1, 100, 100) for label in labels]
    flows = [Flow(number, tuple(labels[number:]), 100, True) for number in range(120)]
    found = Origins("x", 12_000, tuple(labels), tuple(rows), tuple(flows))
    assert charts.flow(found).layout.title.text
