"""What a build shows of its steps, on terminals of any width."""

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from shiplight import progress
from shiplight.buildkit import Step

DONE = Step("[a 1/2] RUN make", "a", "RUN make", 100.0, 2.5, False, "", (), "sha256:1", ())
LONG = replace(DONE, name="[a 2/2] RUN " + "日本 " * 60, cached=True)
FAILED = replace(
    DONE, error="exit code: 1", log=("first", "a\tb", "x" * 200, "[bold]last", "日" * 90)
)


def shown(steps, width: int, **how) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width).print(progress.steps_table(steps, title="Building", **how))
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 40, 76, 200])
def test_every_line_has_its_time_at_the_right_and_is_cut_where_there_is_no_room(width):
    title, *lines = shown([DONE, LONG, FAILED], width)
    assert title == "Building" and len(lines) == 3 + progress.TAIL_LINES
    assert {cell_len(line) for line in lines} == {min(width, progress.WIDTH)}
    assert lines[0].endswith("     2.50 s") and lines[1].endswith("…     cached")


def test_a_step_that_runs_shows_its_time_and_last_words_and_what_is_hidden_is_counted():
    running = replace(DONE, seconds=None, log=("one", "two"))
    _, hidden, line, *tail = shown([DONE, LONG, running], 76, now=103.0, rows=1)
    assert hidden.strip() == "… 2 more" and line.endswith("3.00 s")
    assert [text.strip() for text in tail] == ["one", "two"]


def test_what_stays_is_shown_alike_as_text_and_as_html_however_often():
    page = progress._Html(progress.steps_table([DONE, FAILED], title="Built"))
    assert repr(page) == repr(page) and page._repr_html_() == page._repr_html_()
    assert "[bold]last" in repr(page) and "[bold]last" in page._repr_html_()
