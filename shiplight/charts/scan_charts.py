"""Charts of scans: known vulnerabilities of images, and the instructions that added them.

Each names scanner and database in its last line.
"""

from collections.abc import Sequence

from ..scans import FATES, SEVERITIES, WORDS, ScanReport
from ..units import UNKNOWN, one_line
from . import scan_frames
from .drawing import INK, LABEL_WIDTH, add_bars, empty_chart, plain
from .scan_frames import source
from .tables import short

# One hue, from dark to light; an outline holds together what is pale or dark on a page.
RAMP = dict(zip(SEVERITIES, ("#00568F", "#2F86C1", "#74B2DB", "#B3D3EA", "#CDD3DA"), strict=True))


def vulnerabilities(*reports: ScanReport, names: Sequence[str] | None = None):
    """Draw the vulnerabilities of images, each counted once, as stacked bars, worst first.

    Images stay in the order given: before, then after. What is unknown has no bar and no 0.
    """
    table = scan_frames.vulnerabilities(*reports, names=list(names) if names else None)
    shown = list(zip(table["image"][:: len(SEVERITIES)], reports, strict=True))
    figure = empty_chart(
        _most_and_least(shown),
        "known vulnerabilities, each counted once",
        source(reports),
        rows=1.5 * len(reports),
    )
    largest = max(1, *(report.unique or 0 for report in reports))
    figure.update_xaxes(range=[0, largest * 1.15])
    for row, (name, report) in enumerate(shown):
        _severity_bar(figure, 1.5 * row + 0.4, plain(one_line(name, LABEL_WIDTH)), report)
    return figure


def _most_and_least(shown: list[tuple[str, ScanReport]]) -> str:
    """The title: what the images with most and with least have."""
    known = sorted((report.unique, name) for name, report in shown if report.covered)
    if not known:
        return "No packages could be read in " + ", ".join(name for name, _ in shown)
    read = {name: report.packages for name, report in shown}
    (least, small), (most, large) = known[0], known[-1]
    title = f"{large} has {most} known vulnerabilities in {read[large]} packages"
    if len(known) == 1:
        return title
    return f"{title}; {small} has {least} in the {read[small]} that could be read"


def _severity_bar(figure, y: float, name: str, report: ScanReport) -> None:
    """One image: its name, the severities in words beside their colours, and its bar."""
    counts = {severity: n for severity, n in (report.vulnerabilities or {}).items() if n}
    words = "  ".join(
        f'<span style="color:{RAMP[severity]}">■</span> {n} {WORDS[severity]}'
        for severity, n in counts.items()
    )
    why = report.why.partition("\n")[0] or "the scanner found no package database"
    none = "none" if report.covered else plain(one_line(why, LABEL_WIDTH))
    figure.add_annotation(
        text=f"<b>{name}</b><br>{words or none}",
        x=0, y=y, xref="paper", xanchor="left", yanchor="bottom", yshift=-2, showarrow=False,
        align="left", font={"size": 12.5},
    )  # fmt: skip
    start = 0
    for severity, n in counts.items():
        figure.add_bar(
            x=[n], y=[y], base=[start], orientation="h", width=0.4, offset=0.02,
            marker={"color": RAMP[severity], "line": {"color": INK, "width": 0.8}},
            hoverinfo="text", hovertext=[f"{name}<br>{n} {WORDS[severity]}"],
        )  # fmt: skip
        start += n
    figure.add_annotation(
        text=f"<b>{start if report.covered else UNKNOWN}</b>", x=start, y=y + 0.22, xanchor="left",
        xshift=9, showarrow=False, font={"size": 12.5},
    )  # fmt: skip


def origins(report: ScanReport, *, base: ScanReport | None = None, name: str | None = None):
    """Draw the vulnerabilities that each instruction introduced, base first.

    With `base`, the report of the image that it is based on, the title says how many it has.
    """
    table, total = scan_frames.origins(report, base=base), report.unique
    table = table[table["new"].fillna(0) > 0].reset_index(drop=True)
    name, brought = name or short(report.image), table["new"].astype(int)
    if table.empty:
        title = f"{name}: {UNKNOWN if total is None else 'no'} known vulnerabilities"
        return empty_chart(title, "no instruction added any", source([report]), rows=0)
    accent = table["part"] == "base" if base else table.index == brought.idxmax()
    what = "its base" if base else f"“{one_line(table['instruction'][accent].iloc[0], 40)}”"
    title = f"{brought[accent].sum()} of {total} known vulnerabilities in {name} come from {what}"
    figure = empty_chart(
        title,
        "known vulnerabilities, by the instruction that first introduced them",
        source([report]),
        rows=len(table),
    )
    add_bars(
        figure,
        labels=table["instruction"],
        values=brought,
        texts=[str(count) for count in brought],
        accent=set(table.index[accent]),
    )
    return figure


def compared(before: ScanReport, after: ScanReport, *, names: Sequence[str] | None = None):
    """Draw how many vulnerabilities of the first image are gone, kept or new in the second."""
    fates = scan_frames.compared(before, after)["fate"].value_counts()
    counts = [int(fates.get(fate, 0)) for fate in FATES]
    shown = scan_frames.vulnerabilities(before, after, names=list(names) if names else None)
    first, second = shown["image"].iloc[0], shown["image"].iloc[-1]
    figure = empty_chart(
        f"{counts[0]} of the {counts[0] + counts[1]} known vulnerabilities of {first} are gone",
        f"known vulnerabilities of {first} compared with {second}",
        source([before, after]),
        rows=3,
    )
    labels = [f"gone: only in {first}", "kept: in both", f"new: only in {second}"]
    add_bars(figure, labels=labels, values=counts, texts=[str(n) for n in counts], accent={0})
    return figure
