"""Print a checklist for people: failures first, then one line for every other check."""

from collections import Counter

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from ...units import escape, format_bytes
from ..checklist import LEVELS, Checklist
from ..questions.outcomes import NOT_APPLICABLE, PASSED, UNSEEN, Place, Result
from ..questions.weighing import Weight
from ..reading.masking import mask

_MOST_PLACES = 5


def print_checklist(checklist: Checklist) -> None:
    """Print the checklist."""
    console, subject = Console(highlight=False), checklist.subject
    how = (
        f"built as {subject.built.image.name}"
        if subject.built
        else "text only: nothing was built or run"
    )
    stage = mask(f"stage {subject.target.label} on {subject.final_base.reference}")
    console.print(f"[bold]{escape(checklist.file)}[/]  {escape(stage)} [dim]({escape(how)})[/]")
    if subject.context and subject.context.resolve() != subject.path.resolve().parent:
        console.print(f"[dim]its context seems to be {escape(str(subject.context))}[/]")
    for result in checklist.results:
        if result.counts:
            _print_failed(console, result)
    console.print()
    for result in checklist.results:
        if result.accepted is not None:
            _print_line(console, "○", result, f"accepted: {result.accepted}")
    for kind, mark in ((UNSEEN, "?"), (PASSED, "✓"), (NOT_APPLICABLE, "–")):
        for result in checklist.results:
            if result.outcome.result == kind:
                _print_line(console, mark, result, result.outcome.evidence)
    console.print(f"\n{_summary(checklist)}")
    if checklist.weight:
        _print_weight(console, checklist.weight)


def _print_weight(console: Console, weight: Weight) -> None:
    """Print the largest folders, and what can go, most bytes first."""
    base = f"{format_bytes(weight.base_bytes)} of {format_bytes(weight.unpacked_bytes)}"
    console.print(f"\n[bold]Where the bytes are[/]  [dim]{base} came with the base[/]")
    _print_places(console, [(place, place.found) for place in weight.folders])
    if weight.of_base:
        console.print("\n[dim]Hidden, but in the base's layers, where no instruction saves it[/]")
        _print_places(console, [(row.place, row.fix) for row in weight.of_base])
    total = format_bytes(weight.unpacked_bytes)
    if not weight.rows:
        console.print(f"\nNothing of {total} can go, as far as paths and contents show")
        return
    console.print(
        f"\n[bold]{format_bytes(weight.can_go_bytes)} of {total} can go, in this order[/]"
    )
    _print_places(console, [(r.place, f"{r.place.found} → {r.fix}") for r in weight.rows])


def _print_places(console: Console, rows: list[tuple[Place, str]]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for place, text in rows:
        line = f"line {place.line}" if place.line else "–"
        what = f"{escape(place.path)}  [dim]{escape(text)}[/]"
        table.add_row(format_bytes(place.bytes), line, what)
    console.print(Padding(table, (0, 0, 0, 2)))


def print_summary(checklists: list[Checklist]) -> None:
    """Print several checklists: what failed in each file, by level, and a line of totals."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold")
    for level in LEVELS:
        table.add_column(f"{level}s", overflow="fold")
    for found in checklists:
        failed = [
            ", ".join(r.check.id for r in found.results if r.counts and r.check.level == level)
            for level in LEVELS
        ]
        table.add_row(escape(found.file), *(ids or "[dim]–[/]" for ids in failed))
    console.print(table)
    count = sum(found.failed for found in checklists)
    by_check = Counter(r.check.id for found in checklists for r in found.results if r.counts)
    most = ", ".join(f"{name} {number}" for name, number in by_check.most_common(3))
    console.print(
        f"\n{len(checklists)} Dockerfile{'s' * (len(checklists) != 1)} · "
        f"{count} with something that failed" + (f" · most often: {most}" if most else "")
    )


def _print_failed(console: Console, result: Result) -> None:
    console.print(f"\n[bold red]✗ {result.check.id}[/]  [bold]{result.check.title}[/]")
    _indented(console, escape(result.outcome.evidence))
    places = [place for place in result.outcome.places if place.accepted is None]
    for place in places[:_MOST_PLACES]:
        _indented(console, f"[dim]{escape(_where(place))}[/]")
    if len(places) > _MOST_PLACES:
        _indented(console, f"[dim]and {len(places) - _MOST_PLACES} more[/]")
    _indented(console, f"→ {escape(result.outcome.advice)} [dim](lesson {result.check.lesson})[/]")


def _where(place: Place) -> str:
    """`line 7  RUN go build · what was found · path, bytes`."""
    line = f"line {place.line}" if place.line else "base"
    parts = [f"{line}  {place.instruction}", place.found, place.path]
    parts.append(format_bytes(place.bytes) if place.bytes is not None else None)
    return " · ".join(part for part in parts if part)


def _print_line(console: Console, mark: str, result: Result, text: str) -> None:
    style = {"✓": "green", "?": "yellow"}.get(mark, "dim")
    console.print(
        f"[{style}]{mark}[/] {result.check.id:17} [dim]{escape(text)}[/]", soft_wrap=False
    )


def _indented(console: Console, text: str) -> None:
    console.print(Padding(text, (0, 0, 0, 2)))


def _summary(checklist: Checklist) -> str:
    results = checklist.results
    counts = {
        "failed": sum(result.counts for result in results),
        "accepted": sum(result.accepted is not None for result in results),
        "could not be seen": sum(result.outcome.result == UNSEEN for result in results),
        "passed": sum(result.outcome.result == PASSED for result in results),
        "not applicable": sum(result.outcome.result == NOT_APPLICABLE for result in results),
    }
    return " · ".join(f"{count} {what}" for what, count in counts.items() if count)
