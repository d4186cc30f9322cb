"""A Dockerfile with its margin: what each line took, made and ships, and what the checklist says.

As text, in a notebook, and as a page of its own that needs nothing else. Secrets are masked, and
every text is escaped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from ...boxes import LITERAL
from ...buildkit import Step
from ...inspection import Origins
from ...setting import Setting
from ...units import format_bytes, format_seconds, visible, visible_line
from ..checklist import Checklist
from ..reading.masking import masked_lines


@dataclass(frozen=True)
class MarginLine:
    """One line of a Dockerfile: None is what an instruction does not have, or what is not known.

    Numbers stand at the first line of an instruction. `cached` says that its step did not run;
    `findings` are failed checks, `reasons` why it ran.
    """

    number: int
    text: str
    seconds: float | None = None
    cached: bool = False
    born_bytes: int | None = None
    shipped_bytes: int | None = None
    findings: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Margin:
    """The lines of one Dockerfile; `others` are bytes that no line made, and checks without one."""

    name: str
    lines: tuple[MarginLine, ...] = field(repr=False)
    others: tuple[str, ...] = field(repr=False, default=())
    setting: Setting | None = None

    def __repr__(self) -> str:
        heads = f"{'time':>9} {'born':>8} {'ships':>8}"
        rows = [f"{self.name}", f"{heads}  line"]
        for line in self.lines:
            time, born, ships = _cells(line)
            rows.append(f"{time:>9} {born:>8} {ships:>8}  {line.number:>4}  {visible(line.text)}")
            rows += [f"{'':>35}{note}" for _, note in _notes(line)]
        rows += [f"  {other}" for other in self.others]
        return "\n".join([*rows, str(self.setting or "")]).rstrip()

    def _repr_html_(self) -> str:
        """Return the table with its style, which reads on light and on dark."""
        return f"<div class='{LITERAL} margin'><style>{_CSS}</style>{self._table()}</div>"

    def page(self) -> str:
        """Return a page of its own: no scripts, no network, light and dark as the reader has it."""
        title = escape(visible_line(self.name))
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f"<title>{title}</title><style>{_PAGE}{_CSS}</style></head>"
            f'<body><h1>{title}</h1><div class="margin">{self._table()}</div></body></html>\n'
        )

    def _table(self) -> str:
        most = max((line.born_bytes or 0 for line in self.lines), default=0)
        rows = "".join(_row(line, most) for line in self.lines)
        others = "".join(f"<p>{escape(visible_line(other))}</p>" for other in self.others)
        source = f"<p>{escape(str(self.setting))}</p>" if self.setting else ""
        return (
            "<table><tr><th>time</th><th>born</th><th>ships</th><th>line</th><th></th></tr>"
            f"{rows}</table>{others}{source}"
        )


def margin(
    checked: Checklist,
    *,
    steps: tuple[Step, ...] = (),
    origins: Origins | None = None,
    reasons: Mapping[int, tuple[str, ...]] | None = None,
) -> Margin:
    """Return the Dockerfile that was checked with its margin.

    `steps` are those of a build of it, `origins` its bytes, `reasons` why lines ran again, without
    secrets. A line of which nothing is known has no number.
    """
    lines = dict(enumerate(masked_lines(checked.subject.read), 1))
    own = [step for step in steps if step.line in lines and step.stage is not None]
    by_line: dict[int, list[Step]] = {}
    for step in own:
        by_line.setdefault(step.line, []).append(step)
    rows = origins.rows if origins else ()
    born = {row.line: row for row in rows if row.line in lines}
    findings, without = _findings(checked)
    made = []
    for number, line in lines.items():
        its, row = by_line.get(number, []), born.get(number)
        ran = [step.seconds for step in its if not step.cached and step.seconds is not None]
        made.append(
            MarginLine(
                number,
                line,
                sum(ran) if ran else None,
                bool(its) and not ran,
                row.born_bytes if row else None,
                row.shipped_bytes if row else None,
                tuple(findings.get(number, ())),
                tuple((reasons or {}).get(number, ())),
            )
        )
    others = [
        f"{row.instruction}: {format_bytes(row.born_bytes)}, "
        f"{format_bytes(row.shipped_bytes)} of it ships"
        for row in rows
        if row.line not in lines
    ]
    return Margin(
        checked.file, tuple(made), tuple(others + without), origins.setting if origins else None
    )


def _findings(checked: Checklist) -> tuple[dict[int, list[str]], list[str]]:
    """The failed checks that nobody accepted: by the first line of their places, and without."""
    by_line: dict[int, list[str]] = {}
    without = []
    for result in checked.results:
        if not result.counts:
            continue
        places = [place for place in result.outcome.places if place.accepted is None]
        lines = dict.fromkeys(place.line for place in places if place.line is not None)
        said = f"{result.check.id}: {result.outcome.advice or result.outcome.evidence}"
        if not lines:
            without.append(said)
        for line in lines:
            by_line.setdefault(line, []).append(said)
    return by_line, without


def _cells(line: MarginLine) -> tuple[str, str, str]:
    """Time, bytes born and bytes that ship as they are read; empty where there is none."""
    time = "cached" if line.cached else "" if line.seconds is None else format_seconds(line.seconds)
    if line.born_bytes is None:
        return time, "", ""
    return time, format_bytes(line.born_bytes), format_bytes(line.shipped_bytes)


def _notes(line: MarginLine) -> list[tuple[str, str]]:
    notes = [("why", f"ran again: {visible_line(one)}") for one in line.reasons]
    return notes + [("check", f"! {visible_line(one)}") for one in line.findings]


def _row(line: MarginLine, most: int) -> str:
    time, born, ships = (escape(cell) for cell in _cells(line))
    bar = ""
    if line.born_bytes and most:
        wide = max(1, round(100 * line.born_bytes / most))
        part = round(100 * line.shipped_bytes / line.born_bytes)
        bar = f"<i style='width:{wide}%'><b style='width:{part}%'></b></i>"
    notes = "".join(f"<div class='{kind}'>{escape(note)}</div>" for kind, note in _notes(line))
    code = f"<code>{escape(visible(line.text), quote=False) or ' '}</code>{notes}"
    return (
        f"<tr><td class='time'>{time}</td><td>{born}{bar}</td><td class='ships'>{ships}</td>"
        f"<td class='line'>{line.number}</td><td class='text'>{code}</td></tr>"
    )


_PAGE = """
body { font: 16px/1.5 Helvetica, Arial, sans-serif; max-width: 70em; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.3em; overflow-wrap: anywhere; }
"""
_CSS = """
.margin table { border-collapse: collapse; width: 100%; }
.margin tr { background: none; }
.margin th { font-weight: normal; font-size: .8em; text-align: right; color: #787f88;
  padding: 0 .7em .3em 0; }
.margin td { text-align: right; vertical-align: top; white-space: nowrap; padding: 0 .7em 0 0;
  font-size: .85em; line-height: 1.6; font-variant-numeric: tabular-nums; border: 0; }
.margin td.text { text-align: left; width: 100%; white-space: normal; }
.margin td.line, .margin td.time, .margin p { color: #787f88; }
.margin td.ships { color: #3d8fd1; }
.margin p { font-size: .8em; margin: .4em 0; overflow-wrap: anywhere; }
.margin code { white-space: pre-wrap; overflow-wrap: anywhere; background: none; padding: 0;
  font-family: ui-monospace, Menlo, Consolas, monospace; }
.margin i { display: block; height: 3px; background: #8a929d; min-width: 1px; margin-left: auto; }
.margin i b { display: block; height: 3px; background: #0072B2; }
.margin .check, .margin .why { font-size: .95em; padding-left: 1.2em; overflow-wrap: anywhere; }
.margin .check { color: #d1495b; }
.margin .why { color: #3d8fd1; }
"""
