"""The graph of stages: what uses what, what is not needed, and that nothing lies on anything."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations

import pytest
from test_dockerfile import GO, HEREDOCS, NODE

from shiplight import builds, catalogue
from shiplight.buildkit import Step
from shiplight.builds import Build, recipe
from shiplight.cli import commands, dockerfile_commands
from shiplight.dockerfile import draw, parse
from shiplight.dockerfile.graphs import _FILL, CHARACTER, LINE, PAD
from shiplight.errors import DockerfileError, UsageError
from shiplight.setting import Setting
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


def test_a_long_reference_keeps_its_name_and_tag():
    digest = "@sha256:" + "5" * 64
    found = graph(f"FROM docker.io/library/golang:1.26.5-alpine{digest} AS a\nFROM b{digest}\n")
    assert found.boxes[0].below.endswith("golang:1.26.5-alpine@…")
    assert found.boxes[1].below == "FROM b@…"


def test_a_recipe_shows_its_graph_and_the_command_prints_it(capsys):
    found = recipe("go/multi").graph()
    assert found._repr_svg_() == found.svg() and [box.title for box in found.boxes] == [
        "builder", "stage-1",
    ]  # fmt: skip
    path = catalogue.find("go/multi").folder / "Dockerfile.multi"
    for name in (str(path), "go/multi"):
        assert commands.main(["graph", name]) == 0
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


# --- after a build -------------------------------------------------------------------------------

BUILT = """FROM golang AS builder
COPY . .
RUN make
FROM golang AS tests
RUN test
FROM scratch
COPY --from=builder /x /x
"""


def step(line: int, seconds: float = 0.0, *, cached: bool = False) -> Step:
    return Step(
        name="[x 1/1] RUN", stage="x", instruction="RUN", started=1.0, seconds=seconds,
        cached=cached, error="", log=(), digest=str(line), inputs=(), line=line,
    )  # fmt: skip


def built(*steps: Step, target: str | None = None) -> Build:
    setting = Setting("Docker 1", "store", "linux/amd64", "official", "2026-11-29T10:00:00")
    return Build("app", "latest", "x", "id", 1.0, steps, {}, setting, target=target, text=BUILT)


def test_a_build_says_which_stage_ran_how_long_and_which_was_cached():
    first = step(1), step(2, cached=True), step(3, 12.34), step(7, 0.2)
    boxes = built(*first).graph().boxes
    assert [str(box.run) for box in boxes] == ["ran 12.3 s, 1 of 2 cached", "None", "ran 200 ms"]
    assert [box.needed for box in boxes] == [True, False, True]
    svg = built(*first).graph().svg()
    assert svg.count(f'fill="{_FILL}"') == 2 and "ran 12.3 s, 1 of 2 cached" in svg
    again = built(step(1), step(2, cached=True), step(3, cached=True), step(7, cached=True)).graph()
    assert [str(box.run) for box in again.boxes] == ["cached: 2 steps", "None", "cached: 1 step"]
    assert f'fill="{_FILL}"' not in again.svg()


def test_a_build_of_another_target_leaves_the_others_grey():
    made = built(step(4), step(5, 3.0), target="tests")
    assert [box.needed for box in made.graph().boxes] == [False, True, False]
    assert Build.from_dict(made.to_dict()).target == "tests"


def test_a_target_without_steps_of_its_own_is_needed_all_the_same():
    found = replace(built(step(2)), text="FROM golang AS a\nCOPY . .\nFROM a\nCMD x\n").graph()
    assert [box.needed for box in found.boxes] == [True, True]


def test_a_step_before_the_first_stage_is_of_no_stage():
    made = replace(built(step(1), step(3, 2.0)), text="ARG A=1\n\nFROM golang\nRUN make\n")
    assert [str(box.run) for box in made.graph().boxes] == ["nothing to run"]


def test_what_was_done_fits_its_box_too():
    found = built(step(2, cached=True), step(3, 7200), step(7, 0.2)).graph()
    for box in found.boxes:
        assert len(str(box.run or "")) * CHARACTER + 2 * PAD <= box.width + 0.01
        assert box.y + 37 + LINE < box.y + box.height or box.run is None


def test_a_replayed_build_of_a_variant_has_its_graph_and_of_another_text_says_so():
    known = replace(built(step(7)), app="go", variant="multi", text="")
    assert [box.title for box in known.graph().boxes] == ["builder", "stage-1"]
    with pytest.raises(UsageError, match="was not recorded"):
        replace(known, app="mine").graph()
    mine = replace(known, variant="latest", text=BUILT)  # built by the path of an app's folder
    assert len(mine.graph().boxes) == 3


def test_the_command_builds_where_it_is_asked_to(tmp_path, capsys, monkeypatch):
    (tmp_path / "Dockerfile").write_text(BUILT)
    asked = []

    def build(client, what, **named):
        asked.append(named["build_args"])
        return built(step(3, 9.0), step(7))

    monkeypatch.setattr(builds, "build", build)
    monkeypatch.setattr(dockerfile_commands, "connect", lambda given, to_make: None)
    assert commands.main(["graph", str(tmp_path), "--build", "--build-arg", "A=b"]) == 0
    assert "ran 9.00 s" in capsys.readouterr().out and asked == [{"A": "b"}]
