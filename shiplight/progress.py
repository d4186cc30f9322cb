"""Progress that a person likes to watch: one renderer (rich) for terminals and notebooks.

A `Screen` shows something that changes and collapses into what stays. In a terminal it draws on
standard error, so that `--json` on standard output stays clean; in a notebook it updates one
output; elsewhere, and with SHIPLIGHT_PROGRESS=off, it shows only what stays.
"""

import html
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from .boxes import ACCENT, QUIET, WRONG, kernel_shell
from .buildkit import Step
from .units import format_seconds, visible, visible_line

REFRESH_SECONDS = 0.2  # a person sees that it lives
TAIL_LINES = 4
WIDTH = 76  # columns of what a notebook keeps as text
WIDEST = 120  # columns, at most: a time stays near what took it
TIME_WIDTH = 10

_MARKS = {
    "waiting": ("·", QUIET),
    "running": ("▸", ACCENT),
    "cached": ("○", QUIET),
    "done": ("●", ""),
    "failed": ("✗", f"bold {WRONG}"),
}


def in_notebook() -> bool:
    """Return whether this process is a Jupyter kernel."""
    return kernel_shell() is not None


class Screen:
    """Shows `draw()` again and again until the block ends; then `keep` is what stays.

    With `keep=None` nothing stays. `draw` must be quick and must not raise.
    """

    def __init__(self, draw: Callable[[], RenderableType]):
        self.draw = draw
        self.keep: RenderableType | None = None
        self.is_plain = False  # neither drawn meanwhile nor turned off

    def __enter__(self) -> "Screen":
        live = os.environ.get("SHIPLIGHT_PROGRESS", "on") != "off"
        if in_notebook():
            self._show = _Notebook(self.draw, live)
        else:
            self._show = _Terminal(self.draw, live and sys.stderr.isatty())
            self.is_plain = live and not sys.stderr.isatty()
        self._show.begin()
        return self

    def __exit__(self, *failed) -> None:
        self._show.end(self.keep)


class _Terminal:
    def __init__(self, draw, live: bool):
        self.console = Console(stderr=True, highlight=False)
        self.live = live and Live(
            console=self.console,
            get_renderable=draw,
            refresh_per_second=1 / REFRESH_SECONDS,
            transient=True,
        )

    def begin(self) -> None:
        if self.live:
            self.live.start()

    def end(self, keep) -> None:
        if self.live:
            self.live.stop()
        if keep is not None:
            self.console.print(keep)


class _Notebook:
    def __init__(self, draw, live: bool):
        self.draw, self.is_live = draw, live
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._refresh, daemon=True)

    def begin(self) -> None:
        if self.is_live:
            from IPython.display import display

            self.handle = display(_Html(self.draw()), display_id=True)
            self.thread.start()

    def _refresh(self) -> None:
        while not self.over.wait(REFRESH_SECONDS):
            self.handle.update(_Html(self.draw()))

    def end(self, keep) -> None:
        from IPython.display import display

        if not self.is_live:
            if keep is not None:
                display(_Html(keep))
            return
        self.over.set()
        self.thread.join()
        self.handle.update(_Html(keep if keep is not None else Text("")))


class _Html:
    """A renderable as a notebook shows it, on whatever background the theme has."""

    def __init__(self, renderable: RenderableType):
        self.renderable = renderable

    def _console(self) -> Console:
        return Console(
            record=True, file=io.StringIO(), width=WIDTH, force_jupyter=False,
            color_system="truecolor", force_terminal=True, highlight=False,
        )  # fmt: skip

    def _repr_html_(self) -> str:
        if isinstance(self.renderable, _Lines):
            return self.renderable.to_html()
        console = self._console()
        console.print(self.renderable)
        return console.export_html(inline_styles=True, code_format=_FRAME.replace("{css}", ""))

    def __repr__(self) -> str:
        console = self._console()
        console.print(self.renderable)
        return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def steps_table(
    steps: Iterable[Step], *, title: str, now: float | None = None, rows: int | None = None
) -> RenderableType:
    """Return the steps as a table; with `now`, running steps show their time and log tail.

    At most the last `rows` steps are shown, where that is given.
    """
    shown = [step for step in steps if step.stage is not None or _telling(step)]
    lines = []
    hidden = len(shown) - rows if rows is not None and len(shown) > rows else 0
    if hidden:
        lines.append(((" ", ""), (f"… {hidden} more", QUIET), ("", "")))
    for step in shown[hidden:]:
        mark, style = _MARKS[step.state]
        text_style = QUIET if step.state in ("cached", "waiting") else style
        lines.append(((mark, style), (step.label, text_style), _time(step, now)))
        if step.state == "failed" or (now is not None and step.state == "running"):
            tail = step.log[-TAIL_LINES:]
            lines += [((" ", ""), (f"  {line}", QUIET), ("", "")) for line in tail]
    return _Lines(visible_line(title), lines)


class _Lines:
    """A title, and lines of a mark, a text that is cut where there is no room, and a time.

    As a `Table` would show them, without its search for the best widths: these are known. As HTML
    a page decides how wide they are, and where a text is cut.
    """

    def __init__(self, title: str, lines: list[tuple[tuple[str, str], ...]]):
        self.title, self.lines = title, lines

    def __rich_console__(self, console, options):
        yield Text(self.title, style="bold")
        room = max(1, min(options.max_width, WIDEST) - 1 - TIME_WIDTH - 2)
        for mark, (text, style), end in self.lines:
            text = visible_line(text).expandtabs(8)
            if cell_len(text) > room:
                text = set_cell_size(text, room - 1) + "…"
            gap = " " * (room - cell_len(text) + 1 + TIME_WIDTH - cell_len(end[0]))
            line = Text.assemble(mark, " ", (text, style), gap, end)
            yield from (*line.render(console), Segment.line())

    def to_html(self) -> str:
        """Return the lines, as wide as the page, up to WIDEST; lines even without styles."""
        rows = [f"<b style='white-space:pre-wrap'>{html.escape(visible(self.title))}</b>"]
        for (mark, style), (text, text_style), (end, end_style) in self.lines:
            parts = (
                _span(mark or " ", style, "width:1ch"),
                _span(text.expandtabs(8), text_style, _CUT),
                _span(end, end_style),
            )
            rows.append(f'<div style="display:flex;gap:1ch">{" ".join(parts)}</div>')
        return _FRAME.format(css=f"max-width:{WIDEST}ch", code="".join(rows))


_CUT = "flex:1;overflow:hidden;text-overflow:ellipsis"
_FRAME = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:1.4;margin:0;padding:0;{css};'
    "font-size:var(--jp-code-font-size,13px);"
    'font-family:var(--jp-code-font-family,monospace)">{code}</pre>'
)


def _span(text: str, style: str, css: str = "") -> str:
    """A text in a style of rich's, such as `bold #d1495b`, as HTML."""
    color = style.removeprefix("bold").strip()
    styles = [css, f"color:{color}" if color else "", "font-weight:bold" * ("bold" in style)]
    said = ";".join(filter(None, styles))
    shown = html.escape(visible(text), quote=False)
    return f'<span style="{said}">{shown}</span>' if said else f"<span>{shown}</span>"


def _telling(step: Step) -> bool:
    """Whether one of BuildKit's own steps is worth a line: it takes long, or it failed."""
    slow = step.seconds is None or step.seconds >= 0.5
    return bool(step.error) or (slow and step.started is not None)


def _time(step: Step, now: float | None) -> tuple[str, str]:
    if step.state == "cached":
        return "cached", QUIET
    if step.state == "running" and now is not None:
        return format_seconds(max(0.0, now - step.started)), ACCENT
    return format_seconds(step.seconds) if step.started is not None else "", ""


def terminal_rows() -> int:
    """Return how many steps fit on the terminal beside what else is shown."""
    return max(6, Console(stderr=True).size.height - 3 * TAIL_LINES)


class Tasks:
    """A few named tasks with a state and a line of detail each: the preparation of a machine."""

    def __init__(self, title: str):
        self.title = title
        self.rows: dict[str, dict] = {}
        self.inner: Callable[[], RenderableType] | None = None
        self.is_told = False

    @contextmanager
    def screen(self, draw: Callable[[], RenderableType]) -> Iterator[SimpleNamespace]:
        """Open a Screen inside this one: `draw()` is shown below the tasks, and then disappears."""
        self.inner = draw
        try:
            yield SimpleNamespace(keep=None)
        finally:
            self.inner = None

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Show the tasks while the block lasts, and as they ended.

        Where nothing is drawn meanwhile, a line tells of each that begins and of each that ends.
        """
        with Screen(self.draw) as screen:
            self.is_told = screen.is_plain
            try:
                yield
            finally:
                told, self.is_told = self.is_told, False
            screen.keep = None if told else self.draw()

    def begin(self, name: str, detail: str = "") -> None:
        """Begin the task, or take it up again."""
        self.rows[name] = {"state": "running", "detail": detail, "since": time.monotonic()}
        self._tell(name)

    def _tell(self, name: str) -> None:
        if self.is_told:
            row = self.rows[name]
            took = f" ({format_seconds(row['seconds'])})" if "seconds" in row else ""
            mark = _MARKS[row["state"]][0]
            print(f"{mark} {name}: {row['detail']}{took}", file=sys.stderr, flush=True)

    def tell(self, name: str, detail: str) -> None:
        """Something new about a running task."""
        self.rows[name]["detail"] = detail

    def end(self, name: str, detail: str = "", *, state: str = "done") -> None:
        """End the task; `state` is one of those of a step."""
        row = self.rows[name]
        row.update(state=state, detail=detail)
        row["seconds"] = time.monotonic() - row["since"]
        self._tell(name)

    def draw(self) -> RenderableType:
        """Return the tasks as they are now."""
        table = Table.grid(padding=(0, 1))
        for name, row in list(self.rows.items()):
            mark, style = _MARKS[row["state"]]
            seconds = row.get("seconds", time.monotonic() - row["since"])
            said = visible_line(row["detail"])
            detail = Text(said, style=QUIET, no_wrap=True, overflow="ellipsis")
            table.add_row(
                Text(mark, style=style), Text(visible_line(name)), format_seconds(seconds), detail
            )
        inner = self.inner
        parts = [Text(visible_line(self.title), style="bold"), table] + ([inner()] if inner else [])
        return Group(*parts)
