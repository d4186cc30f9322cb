"""What a lesson needs beside the results themselves: its banner and its claims."""

import html

from IPython.display import display

from . import engine
from .builds import Build
from .catalogue import ArticleClaim
from .errors import ClaimFailed
from .units import format_bytes


class Banner:
    """What this notebook runs on: the last expression of a lesson's first cell."""

    def __init__(self, client):
        self.setting = engine.setting(client)
        self.engine = engine.describe(client)

    def __repr__(self) -> str:
        found = self.engine
        return (
            f"Live on {self.setting.when[:10]}: {found} ({found.source}) · {found.store} · "
            f"{found.platform}. Everything below is measured on this engine."
        )

    def _repr_html_(self) -> str:
        return (
            '<div style="border-left:4px solid #0072B2;padding:.4em .8em">'
            f"{html.escape(repr(self))}</div>"
        )


def claim(sentence: str, true: bool, evidence: str = "") -> None:
    """Show `✓ sentence` with its evidence; raise ClaimFailed where it is not `true` here."""
    if not true:
        raise ClaimFailed(
            f"not so on this machine: {sentence}" + (f"\n  Seen: {evidence}" if evidence else ""),
            hint="restart the kernel and run all cells; if it stays, tell the authors what you saw",
        )
    display(_Shown(sentence, evidence))


class _Shown:
    def __init__(self, sentence: str, evidence: str, *, mark: str = "✓"):
        self.sentence, self.evidence, self.mark = sentence, evidence, mark

    def __repr__(self) -> str:
        return f"{self.mark} {self.sentence}" + (f"\n  {self.evidence}" if self.evidence else "")

    def _repr_html_(self) -> str:
        shown = f"<b style='color:#0072B2'>{self.mark}</b> {html.escape(self.sentence)}"
        if self.evidence:
            shown += f"<br><span style='opacity:.75'>{html.escape(self.evidence)}</span>"
        return f"<div style='margin:.3em 0'>{shown}</div>"


def held_against(said: ArticleClaim, measured: float) -> None:
    """Show a figure of the article beside the measured one, and whether it holds here."""
    show = format_bytes if said.unit == "bytes" else (lambda share: f"{100 * share:.2f} %")
    display(
        _Shown(
            f"The article: {said.says}",
            f"measured {show(round(measured, 6) if said.unit == 'share' else measured)}, "
            f"the article’s figure {show(said.figure)}: {said.verdict(measured)}",
            mark="▸",
        )
    )


def clean_up(client, *builds: Build) -> None:
    """Remove the images of these builds; show what the engine says it got back."""
    before = engine.disk_usage(client)
    gone = [build.tag for build in builds if engine.remove_image(client, build.tag)]
    freed = max(0, before - engine.disk_usage(client))
    display(
        _Shown(
            f"Removed {len(gone)} images; {format_bytes(freed)} came back.",
            "The rest is build cache: `./lab clean` removes it too.",
            mark="▸",
        )
    )
