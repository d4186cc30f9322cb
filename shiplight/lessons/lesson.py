"""What a lesson needs apart from the results: its banner, its claims, and cleaning up."""

import os
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

from IPython.display import display

from .. import catalogue, engine, recordings
from ..boxes import ACCENT, QUIET, box, inline
from ..builds import Build, bases, order
from ..charts import short
from ..engine import cleaning, disk, journal
from ..errors import BuildFailed, ClaimFailed, UsageError
from ..image import Image
from ..units import format_bytes
from . import judging
from .exercises import Progress, guessed
from .shown import Shown

# When a page gets narrower, a chart that is too wide for a moment gets a scroll bar, and plotly
# takes what that leaves for the chart's height. After a reload there are pictures of charts, which
# keep the width that the page had. The style goes into the page's head, because JupyterLab takes
# outputs that cannot be seen out of the page.
_CHARTS_KEEP_THEIR_HEIGHT = (
    "<script>document.getElementById('shiplight') || document.head.append(Object.assign("
    "document.createElement('style'), {id: 'shiplight', textContent: "
    "'.jp-RenderedPlotly { overflow: hidden; } .plot-img { max-width: 100%; }'}));</script>"
)


class Banner:
    """What this notebook runs on, shown by the first cell of a lesson."""

    def __init__(self, client):
        self.recorded = isinstance(client, recordings.Recorded)
        self.setting = client.setting if self.recorded else engine.setting(client, bases="unknown")
        self.source = "" if self.recorded else f" ({engine.describe(client).source})"

    def __repr__(self) -> str:
        on = self.setting
        if self.recorded:
            return (
                f"Recorded: these results come from an earlier run ({on}). "
                "Run this cell to go live. Without a Docker engine the recording is replayed, and "
                "changes of your own cannot be built; ./lab doctor tells you what is missing."
            )
        return (
            f"Live on {on.when[:10]}: {on.engine}{self.source} · {on.store} · {on.platform}. "
            "Everything below is measured on this engine; each result names its base images."
        )

    def _repr_html_(self) -> str:
        edge = QUIET if self.recorded else ACCENT
        return box(inline(repr(self)), edge=edge) + _CHARTS_KEEP_THEIR_HEIGHT


def claim(sentence: str, true: bool, evidence: str = "", *, answers: str = "") -> None:
    """Show `✓ sentence` with its evidence; raise ClaimFailed if it is not `true` here.

    `answers` is the id of a question; your guess is then shown at the end of the evidence.
    """
    if not true:
        raise ClaimFailed(
            f"not true on this machine: {sentence}" + (f"\n  Seen: {evidence}" if evidence else ""),
            hint="restart the kernel and run all cells; if it persists, report what you saw",
        )
    display(Shown(sentence, "; ".join(filter(None, [evidence, answers and guessed(answers)]))))


def not_here(sentence: str, why: str | BuildFailed) -> None:
    """Show `○ sentence` with the reason why this engine cannot show whether it is true.

    `why` may be the error of a build that asks for what only other engines can do: another export
    of a cache, another Dockerfile frontend. Any other error is raised again.
    """
    if isinstance(why, BuildFailed):
        if why.hint not in (engine.NO_CACHE_EXPORT, engine.OLD_FRONTEND):
            raise why
        why = " ".join(why.hint.split())
    display(Shown(sentence, f"Not tested here: {why}", mark="○"))


_SHOWN = {
    "bytes": format_bytes,
    "share": lambda share: f"{100 * round(share, 6):.2f} %",
    "count": str,
    "yes": lambda true: "true" if true else "not true",
}


def held_against(claim_id: str, measured: float, *, of=None) -> None:
    """Compare a claim of the article with what was measured; show and note the verdict.

    `of` is the result that `measured` comes from; its setting is noted with the verdict. If the
    claim is about the size of a base image and `of` is an offline equivalent of it, that size
    cannot test the claim: the published figure, with its date, is compared instead.
    """
    said = catalogue.claim(claim_id)
    show = _SHOWN[said.unit]
    figure = show(said.figure) + ("" if said.upto is None else f" to {show(said.upto)}")
    stands_in = bool(said.base) and of is not None and bases.stands_in(of.name)
    published = bases.published(said.base) if stands_in else None
    if said.unit == "yes":
        seen = f"{show(measured)} here"
    elif published is None:
        seen = f"measured {show(measured)}"
    else:
        whose = "our rebuild" if published.get("rebuilt") else "published"
        seen = (
            f"{show(measured)} on an offline equivalent, which cannot test this; "
            f"{whose}: {show(published['unpacked_bytes'])} on {published['date']}"
        )
        measured = published["unpacked_bytes"]
    if said.unit != "yes":
        seen += f"; the article says {figure}"
    verdict = said.verdict(measured)
    noted, told = verdict, verdict
    if published is not None:
        noted, told = catalogue.NOT_TESTABLE, f"{verdict} by that figure; {catalogue.NOT_TESTABLE}"
    display(Shown(f"The article: {said.says}", f"{seen}: {told}", mark="▸"))
    client = recordings.connected()
    if client is not None:
        so_far = recordings.kind_so_far()
        here = engine.setting(client, bases=so_far) if of is None else of.setting
        judging.note(claim_id, seen, noted, here)


def day_of(client) -> date:
    """Return the date that a lesson refers to: today, or that of the recording it replays."""
    if isinstance(client, recordings.Recorded):
        return datetime.fromisoformat(client.setting.when).date()
    return datetime.now(UTC).date()


def copy_of(app: str, *, written: str | None = None) -> Path:
    """Make a fresh copy of an app's folder to edit; `apps/` itself does not change.

    `written`, a date or a time in ISO 8601 (UTC), becomes the modification time of every file.
    """
    copy = journal.folder("copies") / app
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(catalogue.APPS / app, copy)
    if written is not None:
        touch(copy, written)
    return copy


def edit(file: Path, old: str, new: str, *, written: str | None = None) -> None:
    """Replace the only occurrence of `old` by `new`; the file's time is now, or `written`.

    Raises UsageError if `old` does not occur exactly once.
    """
    text = file.read_text(encoding="utf-8")
    if text.count(old) != 1:
        found = f"{old!r} occurs {text.count(old)} times in {file.name}."
        raise UsageError(found, hint="quote more of the line, so that it occurs exactly once")
    file.write_text(text.replace(old, new), encoding="utf-8")
    if written is not None:
        touch(file, written)


def touch(path: Path, written: str) -> None:
    """Give a file, or a folder with all that is in it, this time: a day or an instant, in UTC."""
    instant = datetime.fromisoformat(written)
    seconds = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    for one in (path, *path.rglob("*")):
        os.utime(one, (seconds, seconds))


def clean_up(client, *made: Build | Image, yes: bool = False) -> None:
    """List these images (or the images of these builds), and those that you built as `mine`.

    With `yes` they are removed, and the space that the engine freed is shown. At the end, it shows
    how many exercises you have solved.
    """
    tags = [getattr(one, "tag", None) or one.name for one in made]
    own = [f"{name}:mine" for name in dict.fromkeys(tag.rpartition(":")[0] for tag in tags)]
    _clear(client, [*tags, *_stages_of(client, tags), *own], yes=yes)


def _stages_of(client, tags: list[str]) -> list[str]:
    """The images of stages that `origins` built one by one, for images of these names."""
    if isinstance(client, recordings.Recorded):
        return []
    apps = dict.fromkeys(tag.rpartition(":")[0].rpartition("/")[2] for tag in tags)
    built = [name for app in apps for name in cleaning.names_of_builds(client, app)]
    return [name for name in built if name.startswith(tuple(f"{tag}-stage-" for tag in tags))]


def clean_up_all(client, *, yes: bool = False) -> None:
    """List the images of every variant of the catalogue that this lab built; remove with `yes`."""
    _clear(client, [order(row.name).tag for row in catalogue.rows()], yes=yes)


def _clear(client, tags: list[str], *, yes: bool) -> None:
    replayed = isinstance(client, recordings.Recorded)
    if yes or replayed:
        _remove(client, tags)
    else:
        left = [tag for tag in dict.fromkeys(tags) if engine.has_image(client, tag)]
        names = ", ".join(short(tag) for tag in left)
        display(
            Shown(
                f"This lesson’s images are still here ({len(left)})."
                if left
                else "Everything is removed.",
                f"{names}. To remove them: add `yes=True` to this call." if left else "",
                mark="▸",
            )
        )
    if not replayed:
        display(Shown(Progress().sentence, "`./lab progress` lists all exercises.", mark="▸"))


def _remove(client, tags: list[str]) -> None:
    if isinstance(client, recordings.Recorded):
        display(
            Shown(
                "This run was recorded: it made no images, so there are none to remove.", mark="▸"
            )
        )
        return
    before = disk.Gauge(client)
    gone = [tag for tag in tags if engine.remove_image(client, tag)]
    shared = {order(row.name).tag for row in catalogue.rows()}  # with the scoreboard, at least
    records = cleaning.prune_cache_of(client, set(tags) - shared)
    display(
        Shown(
            f"Removed {len(gone)} image{'s' * (len(gone) != 1)} and {records} cache record"
            f"{'s' * (records != 1)}, freed {format_bytes(before.gained())}.",
            "What other lessons also need is still there; `./lab clean` removes that, too.",
            mark="▸",
        )
    )
