"""What others wrote is shown and obeyed by nobody, wherever it is shown."""

import io
import json
import unicodedata
from dataclasses import replace

import checking
import pytest
from command import lab
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from shiplight import charts, progress
from shiplight.buildkit import Step
from shiplight.charts import frames, readable
from shiplight.checks import print_checklist, to_sarif
from shiplight.cli import report
from shiplight.errors import BuildFailed, ShipLightError
from shiplight.image import Image
from shiplight.image.changes import Buried
from shiplight.image.model import Layer
from shiplight.lessons import pages
from shiplight.units import as_json, visible, visible_line

BAD = [
    *("\x1b]52;c;aGk=\x1b\\", "\x1b[2J", "\x07", "\x9b2J", "\r", "\x7f", "\x00", "\x85"),
    *("\u202e", "\u2066", "\u200e", "\u200f", "\u061c", "\u200b", "\u200d", "\u2060", "\ufeff"),
    *("\u2028", "\u2029", "\u00ad", "\udcff", "\ud800", "\ufff9", "\u3164", "\ufe0f"),
    *("\U000e0041", "\U000e0001", "\U000e0100", "\nFAKE: ok", "\x0b", "\x0c", "\x1c"),
]
ALL = "".join(BAD)


def seen(text: str) -> set[str]:
    """The characters of a text that a person would not see, ends of lines aside."""
    odd = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    unseen = {char for char in text if unicodedata.category(char) in odd - set("\n")}
    return (unseen | set(text) & set("\u3164\ufe0f\U000e0100")) - {"\n", "\t"}


@given(st.text())
def test_what_nobody_would_see_is_visible_and_the_rest_stays(text):
    shown = visible_line(text)
    assert seen(shown) == set() and "\n" not in shown
    assert seen(visible(text)) == set() and visible(text).encode() is not None
    plain = "".join(char for char in text if not seen(char) and char != "\n")
    assert not plain.isascii() or visible(plain) == plain


@pytest.mark.parametrize("text", ["go build ./…", "caf\u00e9 日本 ✓ → ≈ 12\u00a0MB", "a\tb", "🐳"])
def test_what_people_write_stays(text):
    assert visible_line(text) == text


@pytest.mark.parametrize(
    "text",
    ["::error::x", "::stop-commands::x", "a ##[add-mask]x", "::Warning file=a::x", "##vso[a]"],
)
def test_no_command_reaches_the_runner_of_a_ci(monkeypatch, text):
    monkeypatch.delenv("CI", raising=False)
    assert visible(text) == text
    monkeypatch.setenv("CI", "true")
    shown = visible(text)
    assert "##" not in shown and "::" + text[2:9] not in shown and visible(shown) == shown
    for other in ("std::error; a::b", "tests/x.py::test_y", "## Title", "::1"):
        assert visible(other) == other


STEP = Step(f"[a 1/2] RUN {ALL}", "a", "RUN", 100.0, None, False, "", (ALL,), "sha256:1", ())


@pytest.mark.parametrize("step", [STEP, replace(STEP, error=f"exit code: 1{ALL}", seconds=1.0)])
def test_a_builds_own_words_are_visible_live_and_in_what_stays(step):
    file = io.StringIO()
    table = progress.steps_table([step], title=f"Failed: {ALL}", now=103.0)
    Console(file=file, width=76).print(table)
    assert seen(file.getvalue()) == set() and "\nFAKE" not in file.getvalue()
    page = progress._Html(table)
    assert seen(repr(page)) == set() and seen(page._repr_html_()) == set()


def test_a_task_says_what_others_say_visibly():
    tasks, file = progress.Tasks(f"Getting {ALL}"), io.StringIO()
    tasks.begin(f"[red]{ALL}", ALL)
    Console(file=file, width=76).print(tasks.draw())
    assert seen(file.getvalue()) == set() and "FAKE" in file.getvalue()
    assert "\nFAKE" not in file.getvalue()


@pytest.mark.parametrize("kind", [ShipLightError, BuildFailed])
def test_an_error_forges_no_line_and_gives_no_orders(kind):
    said = str(kind(f"no image {ALL}", hint=ALL))
    assert seen(said) == set()
    assert all(line.startswith("  ") for line in said.split("\n")[1:])


def image(name: str, **more) -> Image:
    layer = Layer(0, "sha256:1", None, f"RUN {name}", 10, 5, True, 4, 1)
    config = {"User": name, "Env": [f"A={name}"], "Labels": {"x": float("nan")}}
    gone = (Buried(f"p{name}", 4, 0, 0, "removed"),)
    history, id_ = ((f"RUN {name}", 0),), "sha256:2"
    return Image(name, None, id_, f"linux/{name}", "", config, (layer,), history, gone)


def test_what_an_image_is_called_is_one_visible_line(capsys):
    odd = image(f"line1{ALL}")
    report.print_image(odd)
    said = capsys.readouterr().out + repr(odd) + repr(odd.layers[0])
    said += repr(readable(frames.images(odd))) + readable(frames.images(odd))._repr_html_()
    assert seen(said) == set() and "\nFAKE" not in said


def test_json_is_ascii_that_every_reader_takes():
    said = as_json(image(ALL).to_dict())
    assert said.isascii() and seen(said) == set()
    read = json.loads(said, parse_constant=pytest.fail)
    assert read["name"] == ALL and read["config"]["Labels"]["x"] is None


LINK = '<a href="https://evil.example">x</a><!--<script>&amp;'


def texts(figure) -> list[str]:
    """All texts of a figure that plotly reads as markup."""
    layout = figure.layout
    found = [layout.title.text, layout.title.subtitle.text, *(a.text for a in layout.annotations)]
    for trace in figure.data:
        for name in ("hovertext", "text", "labels"):
            value = getattr(trace, name, None)
            found += [value] if isinstance(value, str) else list(value if value is not None else ())
    return found


@pytest.mark.parametrize(
    "draw",
    [
        lambda one, two: charts.before_after(one, two),
        lambda one, two: charts.waterfall(one, name=one.name),
        lambda one, two: charts.savings({one.name: (one, two)}),
    ],
)
def test_a_charts_words_are_no_markup_for_plotly_and_end_no_script(draw):
    one, two = image(LINK + ALL), image("b" + LINK)
    figure = draw(one, two)
    for text in texts(figure):
        assert "<a" not in text and "<!--" not in text and "<script" not in text
        assert seen(text) == set()
    page = pages._chart(1, figure.to_plotly_json(), "cGlj")
    script = page.partition("<script>")[2].removesuffix("</script>")
    assert "<" not in script and 'alt="' in page and "<a " not in page


HOSTILE = 'FROM alpine:3.22\nCOPY . /a{0}\nENV API_TOKEN="x{0}"\nRUN apk update {0}\nCMD {0}\n'


def test_a_checklist_shows_what_a_dockerfile_says_and_obeys_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # so that no line of ours breaks inside the name
    odd = "".join(each for each in BAD if "\n" not in each and not "\ud7ff" < each < "\ue000")
    odd = odd.replace("\x00", "")
    folder = tmp_path / "f\x1b[2J\u202e\nFAKE: ok"
    folder.mkdir()
    found = checking.check(folder, HOSTILE.format(odd))
    print_checklist(found)
    said = capsys.readouterr().out
    assert seen(said) == set() and "\nFAKE" not in said
    sarif = json.loads(as_json(to_sarif(found)))
    assert all(seen(run["message"]["text"]) == set() for run in sarif["runs"][0]["results"])


def test_a_lone_surrogate_of_a_json_form_is_no_crash_anywhere(tmp_path, capsys):
    found = checking.check(
        tmp_path, 'FROM alpine\nCMD ["npm", "\\ud800", "start"]\nRUN ["\\udfff"]\n'
    )
    print_checklist(found)
    assert seen(capsys.readouterr().out) == set()
    assert as_json(to_sarif(found)).isascii() and as_json(found.to_list()).isascii()


def test_into_a_pipe_nothing_else_is_written(tmp_path):
    checking.write(tmp_path, "FROM alpine:3.22\nRUN apk update \x1b]0;x\x07 \u202e \x9b2J\n")
    done = lab("check", str(tmp_path))
    assert "apk update" in done.stdout and seen(done.stdout + done.stderr) == set()
