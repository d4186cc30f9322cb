"""How charts look: on a narrow page, on a light and on a dark one, with any text in them."""

import html
import os
import re
import subprocess
import sys

import plotly.io as pio
import pytest
import results
from factories import file, whiteout
from test_frames import build

from shiplight import charts
from shiplight.builds import Times
from shiplight.charts import compare_charts, drawing
from shiplight.image import compare

LONG = "RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates "
PLAIN = re.compile(r"</?(?:b|br|i|span[^>]*)>")


FAST = Times("fast", "tag", 0.0, 40.0, (1.0, 0.5, 0.6), (5.0, 4.0, 8.0), results.SETTING)
SLOW = Times("slow", "tag", 0.0, 30.0, (0.7,), (33.0, 36.0, 47.0), results.SETTING)


def image(*sizes: int, name="shiplight/lab1/app:small"):
    return results.image(*([file(f"f{n}", size)] for n, size in enumerate(sizes)), name=name)


def every_chart() -> dict:
    large, small = image(900_000, 90_000), image(90_000)
    return {
        "before and after": charts.before_after(large, small, names=["before $A $B", "after <x>"]),
        "waterfall": charts.waterfall(large, base=small),
        "treemap": charts.treemap(image(90_000_000), small, names=["before $A $B", "after <x>"]),
        "savings": charts.savings({"a $A $B": (large, small)}),
        "timeline": charts.timeline(build()),
        "build times": charts.build_times(SLOW, FAST),
        "long labels": bars([LONG * 3 + "git", LONG * 3 + "gcc"], [5, 1]),
        "nearly full": bars("abcd", [100, 91, 85, 80], texts=["383 in 142 packages"] * 4),
    }  # fmt: skip


def bars(labels, values, *, texts=None):
    figure = charts.empty_chart("A title " * 20, "a subtitle " * 20, "a setting " * 20, rows=4)
    texts = texts or [str(value) for value in values]
    charts.add_bars(figure, labels=labels, values=values, texts=texts, accent={0})
    return figure


CHARTS = every_chart()
chart = pytest.mark.parametrize("figure", CHARTS.values(), ids=list(CHARTS))


def extent(figure, note) -> tuple[float, float]:
    """Where a text begins and ends on a narrow page, in pixels, its letters taken as wide ones."""
    room = drawing.NARROW - 2 * drawing.MARGIN
    lines = [PLAIN.sub("", line) for line in note.text.split("<br>")]
    width = max(len(html.unescape(line)) for line in lines)
    width *= 0.5 * note.font.size
    share = note.x if note.xref == "paper" else note.x / figure.layout.xaxis.range[1]
    at = drawing.MARGIN + share * room + (note.xshift or 0)
    return {"left": (at, at + width), "right": (at - width, at)}[note.xanchor]


def test_a_narrow_page_is_a_notebook_in_a_window_of_620_pixels():
    """Measured in JupyterLab 4, its sidebar closed: 489 pixels are left for what a cell shows."""
    assert drawing.NARROW <= 490


@chart
def test_no_text_is_cut_on_a_narrow_page(figure):
    for note in figure.layout.annotations:
        begin, end = extent(figure, note)
        assert begin >= 0 and end <= drawing.NARROW, (note.text, begin, end)
    title = figure.layout.title
    for text, size in ((title.text, 18), (title.subtitle.text, 13)):
        for line in text.split("<br>"):
            assert len(html.unescape(line)) * 0.52 * size <= drawing.NARROW - drawing.MARGIN, line


@chart
def test_a_chart_has_no_width_and_no_ground_of_its_own(figure):
    layout, template = figure.layout, figure.layout.template.layout
    assert layout.width is None
    assert template.paper_bgcolor == template.plot_bgcolor == drawing.CLEAR
    inks = {note.font.color for note in layout.annotations} | {layout.title.font.color}
    assert inks - {None, "white", drawing.DARK} <= {drawing.INK, drawing.FOOTER}


def luminance(color: str) -> float:
    parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("color", "page", "least"),
    [(ink, page, 4) for ink in (drawing.INK, drawing.FOOTER) for page in ("#ffffff", "#111111")]
    + [(bar, page, 3) for bar in (drawing.ACCENT, drawing.GREY) for page in ("#ffffff", "#111111")]
    + [("#ffffff", drawing.ACCENT, 4.5), (drawing.DARK, drawing.GREY, 4.5)]
    + [(drawing.DARK, drawing.PALE, 4.5)],
)
def test_colours_read_on_light_and_on_dark(color, page, least):
    bright, dim = sorted([luminance(color), luminance(page)], reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= least


@chart
def test_no_text_is_markup_or_a_formula(figure):
    shown = figure.to_json()
    assert "$" not in shown and "<x>" not in shown


def test_labels_that_would_be_cut_alike_show_what_differs():
    texts = [note.text for note in CHARTS["long labels"].layout.annotations]
    first, second = (text for text in texts if text.startswith("RUN"))
    assert first != second and first.endswith("git") and second.endswith("gcc")
    assert max(len(first), len(second)) <= drawing.LABEL_WIDTH + len("&amp;&amp;") * 3


def test_cases_stand_apart_and_several_runs_show_their_range():
    figure = CHARTS["build times"]
    assert list(figure.data[0].y) == [0, 1, 2.4, 3.4, 4.8, 5.8]
    spreads = [list(trace.x) for trace in figure.data if trace.type == "scatter"]
    assert spreads == [[0.5, 1.0], [33, 47], [4, 8]] and figure.layout.xaxis.range[1] >= 47


def test_layers_of_two_images_stand_apart():
    found = compare(image(5, name="a"), image(6, 7, name="b"))
    assert list(compare_charts.instructions(found).data[0].y) == [0, 1.4, 2.4]


def test_a_deletion_is_labelled_with_what_it_hides():
    deleted = results.image([file("zeros", 5_000_000)], [whiteout("zeros")])
    assert "hides 5.00 MB" in results.texts(charts.waterfall(deleted))


def test_the_mode_bar_has_only_what_works_and_pictures_have_twice_the_pixels():
    config = pio.renderers["plotly_mimetype"].config
    assert config["modeBarButtons"] == [["toImage"]] and config["responsive"]
    assert "plotlyServerURL" not in config
    assert pio.renderers["png"].scale == pio.renderers["jpeg"].scale == 2


def test_a_jpeg_which_cannot_be_transparent_is_on_white(monkeypatch):
    jpeg, drawn = pio.renderers["jpeg"], []
    monkeypatch.setattr(
        "plotly.io._base_renderers.to_image", lambda figure, **how: drawn.append(figure) or b""
    )
    figure = CHARTS["timeline"].to_dict()
    jpeg.to_mimebundle(figure)
    assert (
        drawn[0]["layout"]["paper_bgcolor"] == "white" and "paper_bgcolor" not in figure["layout"]
    )


def test_a_picture_that_a_lesson_stores_has_a_white_ground():
    """Also where the environment named the renderers before ours took their places."""
    code = (
        "import plotly.io as pio\nfrom shiplight.charts import drawing\n"
        "drawn = drawing.empty_chart('a', 'b', None, pixels=60).to_dict()\n"
        "pio._renderers.to_image = pio._base_renderers.to_image = lambda fig_dict, **more: "
        "fig_dict['layout']['paper_bgcolor'].encode()\n"
        "import base64\nmade = pio.renderers._build_mime_bundle(drawn)\n"
        "print(base64.b64decode(made['image/jpeg']).decode())"
    )
    named = {"PLOTLY_RENDERER": "plotly_mimetype+jpeg"}
    ran = [sys.executable, "-c", code]
    done = subprocess.run(ran, env=os.environ | named, capture_output=True, text=True, timeout=120)
    assert done.stdout == "white\n", done.stderr
