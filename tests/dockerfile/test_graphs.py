"""The graph of stages: what uses what, what is not needed, and that nothing lies on anything."""

import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
from test_dockerfile import GO, HEREDOCS, NODE

from shiplight import catalogue
from shiplight.builds import recipe
from shiplight.cli import commands
from shiplight.dockerfile import draw, parse
from shiplight.dockerfile.graphs import CHARACTER, LINE, PAD
from shiplight.errors import DockerfileError
from shiplight.setup import ROOT

MANY = "FROM scratch AS s0\n" + "".join(
    f"FROM s{n // 2} AS s{n}\nCOPY --from={n - 1} / /\nRUN --mount=from=s0,target=/x true\n"
    for n in range(1, 14)
)
STAR = "".join(f"FROM a{'b' * 50} AS s{n}\n" for n in range(9)) + "FROM scratch\n"
STAR += "".join(f"COPY --from=s{n} / /\n" for n in range(9))
FILES = sorted([*(ROOT / "apps").rglob("Dockerfile*"), *(ROOT / "shiplight").rglob("*.Dockerfile")])
TEXTS = [GO, NODE, HEREDOCS, MANY, STAR]
TEXTS += [path.read_text(encoding="utf-8") for path in FILES if path.suffix != ".dockerignore"]


def graph(text: str, **how):
    return draw(parse(text), **how)


def rectangles(found) -> list[tuple]:
    """(left, right, top, bottom, what) of each box and each label."""
    boxes = [(b.x, b.x + b.width, b.y, b.y + b.height, b.title) for b in found.boxes]
    labels = [
        (x, x + len(text) * CHARACTER, y - LINE * 0.75, y + 2, text)
        for text, x, y in found.labels()
    ]
    return boxes + labels


@pytest.mark.parametrize("text", TEXTS)
def test_boxes_and_labels_never_overlap_and_words_fit_their_box(text):
    found = graph(text)
    for a, b in combinations(rectangles(found), 2):
        assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2], (a, b)
    for box in found.boxes:
        assert max(len(box.title), len(box.below)) * CHARACTER + 2 * PAD <= box.width + 0.01
    picture = ET.fromstring(found.svg())
    width, height = float(picture.get("width")), float(picture.get("height"))
    assert all(
        r[0] >= 0 and r[1] <= width and r[2] >= 0 and r[3] <= height for r in rectangles(found)
    )


def test_each_stage_is_right_of_all_that_it_uses():
    found = graph(MANY)
    x = {box.stage: box.x + box.width for box in found.boxes}
    left = {box.stage: box.x for box in found.boxes}
    assert found.arrows and all(x[arrow.source] < left[arrow.target] for arrow in found.arrows)


def test_an_arrow_past_a_layer_runs_below_all_boxes():
    text = "FROM a AS base\nFROM base AS build\nRUN make\nFROM base\nCOPY --from=build x /\n"
    found = graph(text)
    [(arrow, lane)] = found.lanes().items()
    assert (arrow.source, arrow.target) == (0, 2)
    assert lane > max(box.y + box.height for box in found.boxes)
    assert f"{lane:g}H" in found.svg()
    assert len(set(graph(MANY).lanes().values())) == len(graph(MANY).lanes()) > 10


def test_arrows_say_how_a_stage_is_used():
    text = "FROM a AS b\nFROM b\nCOPY --from=b x /\nRUN --mount=from=b,target=/x true\n"
    [arrow] = graph(text).arrows
    assert (arrow.source, arrow.target, arrow.label) == (0, 1, "FROM, COPY, mount")


def test_what_the_target_does_not_need_is_not_needed():
    text = "FROM a AS b\nFROM b AS debug\nFROM scratch\nCOPY --from=b x /\n"
    assert [box.needed for box in graph(text).boxes] == [True, False, True]
    assert [box.needed for box in graph(text, target="debug").boxes] == [True, True, False]
    assert graph(text).svg().count('stroke-dasharray="4 3"') == 1


def test_names_of_strangers_stay_text():
    svg = graph("FROM a<script>&\u202e AS b\n").svg()
    assert "<script>" not in svg and "\u202e" not in svg
    ET.fromstring(svg)


def test_a_recipe_shows_its_graph_and_the_command_prints_it(capsys):
    found = recipe("go/multi").graph()
    assert found._repr_svg_() == found.svg() and [box.title for box in found.boxes] == [
        "builder", "stage-1",
    ]  # fmt: skip
    path = catalogue.find("go/multi").folder / "Dockerfile.multi"
    assert commands.main(["graph", str(path)]) == 0
    assert capsys.readouterr().out.strip() == found.svg().strip()


@pytest.mark.parametrize(
    ("text", "says"), [(None, "does not exist"), ("a" * 400_000, "is larger than 300 kB")]
)
def test_what_is_no_dockerfile_is_refused_in_a_sentence(tmp_path, capsys, text, says):
    if text:
        (tmp_path / "Dockerfile").write_text(text)
    assert commands.main(["graph", str(tmp_path / "Dockerfile")]) == 1
    told = capsys.readouterr().err
    assert says in told and len(told) < 500


def test_a_target_that_is_not_there_is_refused():
    with pytest.raises(DockerfileError, match="could not be found"):
        graph("FROM a AS b\n", target="c")
