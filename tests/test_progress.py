"""What a build shows of its steps, on terminals of any width."""

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from shiplight import progress
from shiplight.buildkit import Step, counted

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
    assert {cell_len(line) for line in lines} == {min(width, progress.WIDEST)}
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


MOUNTED = replace(
    DONE,
    name="[build 2/2] RUN --mount=type=bind,target=. --mount=type=cache,target=/go/pkg/mod "
    "CGO_ENABLED=0 go build -o /server ./cmd/server",
)


@pytest.mark.parametrize("width", [60, 76, 120])
def test_a_run_shows_its_command_and_not_its_mounts(width):
    [_, line] = shown([MOUNTED], width)
    assert "RUN CGO_ENABLED=0 go build" in line and "--mount" not in line
    copied = replace(DONE, name="[stage-1 1/2] COPY --from=build --chmod=755 /server /")
    assert "COPY --from=build --chmod=755" in shown([copied], 76)[1]


def test_a_page_has_the_whole_command_and_cuts_it_where_it_is_narrow():
    page = progress._Html(progress.steps_table([MOUNTED, FAILED], title="Built <b>"))._repr_html_()
    assert "CGO_ENABLED=0 go build -o /server ./cmd/server" in page
    assert "text-overflow:ellipsis" in page and "Built &lt;b&gt;" in page and "2.50 s" in page


def test_a_build_that_is_wholly_cached_says_so():
    base = replace(DONE, name="[a 1/3] FROM x", instruction="FROM x", seconds=0.0)
    cached = replace(DONE, cached=True)
    assert counted([base, cached, cached]) == "3 steps, all cached"
    assert counted([base, cached, DONE]) == "3 steps, 1 cached"
    assert counted([base]) == "1 step, 0 cached"
