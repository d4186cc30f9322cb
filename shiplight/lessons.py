"""What a lesson needs beside the results themselves: its banner, its claims, and clearing up."""

import html

from IPython.display import display

from . import catalogue, engine, recordings
from .builds import Build
from .errors import ClaimFailed
from .units import format_bytes


class Banner:
    """What this notebook runs on: the last expression of a lesson's first cell."""

    def __init__(self, client):
        self.recorded = isinstance(client, recordings.Recorded)
        self.setting = client.setting if self.recorded else engine.setting(client, bases="unknown")
        self.source = "" if self.recorded else f" ({engine.describe(client).source})"

    def __repr__(self) -> str:
        on = self.setting
        if self.recorded:
            return (
                f"Recorded: no Docker engine is used here. Everything below was {on}, "
                "and is replayed; what you change needs an engine (`./lab doctor`)."
            )
        return (
            f"Live on {on.when[:10]}: {on.engine}{self.source} · {on.store} · {on.platform}. "
            "Everything below is measured on this engine; each result names its bases."
        )

    def _repr_html_(self) -> str:
        edge = "#8A929D" if self.recorded else "#0072B2"
        return (
            f'<div style="border-left:4px solid {edge};padding:.4em .8em">'
            f"{html.escape(repr(self))}</div>"
        )


def claim(sentence: str, true: bool, evidence: str = "") -> None:
    """Show `✓ sentence` with its evidence; raise ClaimFailed where it is not `true` here."""
    if not true:
        raise ClaimFailed(
            f"not so on this machine: {sentence}" + (f"\n  Seen: {evidence}" if evidence else ""),
            hint="restart the kernel and run all cells; if it stays, tell the authors what you saw",
        )
    display(Shown(sentence, evidence))


class Shown:
    """A sentence with its evidence, as lessons show it: text everywhere, HTML in a notebook."""

    def __init__(self, sentence: str, evidence: str = "", *, mark: str = "✓"):
        self.sentence, self.evidence, self.mark = sentence, evidence, mark

    def __repr__(self) -> str:
        return f"{self.mark} {self.sentence}" + (f"\n  {self.evidence}" if self.evidence else "")

    def _repr_html_(self) -> str:
        shown = f"<b style='color:#0072B2'>{self.mark}</b> {html.escape(self.sentence)}"
        if self.evidence:
            shown += f"<br><span style='opacity:.75'>{html.escape(self.evidence)}</span>"
        return f"<div style='margin:.3em 0'>{shown}</div>"


def held_against(claim_id: str, measured: float) -> None:
    """Show a figure of the article beside the measured one, and whether it holds here."""
    said = catalogue.claim(claim_id)
    show = format_bytes if said.unit == "bytes" else (lambda share: f"{100 * share:.2f} %")
    display(
        Shown(
            f"The article: {said.says}",
            f"measured {show(round(measured, 6) if said.unit == 'share' else measured)}, "
            f"the article’s figure {show(said.figure)}: {said.verdict(measured)}",
            mark="▸",
        )
    )


def clean_up(client, *builds: Build) -> None:
    """Remove the images of these builds; show what the engine says it got back."""
    if isinstance(client, recordings.Recorded):
        display(Shown("Nothing was built here, so there is nothing to remove.", mark="▸"))
        return
    before = engine.disk_usage(client)
    gone = [build.tag for build in builds if engine.remove_image(client, build.tag)]
    freed = max(0, before - engine.disk_usage(client))
    display(
        Shown(
            f"Removed {len(gone)} images; {format_bytes(freed)} came back.",
            "The rest is build cache: `./lab clean` removes it too.",
            mark="▸",
        )
    )
