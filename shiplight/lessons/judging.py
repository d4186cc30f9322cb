"""What became of the article's claims: each is measured in its lesson, and noted there.

A live lesson notes its verdicts in the lab's own folder, and, while it is recorded, beside its
recording. The scoreboard reads the lab's own first, and takes the recorded one where a lesson was
not run here: said per result.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .. import catalogue, files, recordings
from ..engine import journal
from ..setting import Setting

FILE = "verdicts.json"


@dataclass(frozen=True)
class Verdict:
    """One claim of the article, what was seen, and whether it holds.

    `seen` is None, and so is `setting`, where nobody has measured it yet.
    """

    claim: catalogue.ArticleClaim
    seen: str | None
    verdict: str
    setting: Setting | None

    @property
    def mode(self) -> str:
        """`measured 2026-11-25`, or `recorded` and its date, or `—`."""
        return f"{self.setting.mode} {self.setting.when[:10]}" if self.setting else "—"


def note(claim_id: str, seen: str, verdict: str, setting: Setting) -> None:
    """Remember a verdict of this lab, and in the recording that is being made, if one is."""
    folders = [journal.folder()]
    if os.environ.get("SHIPLIGHT_RECORD"):
        folders.append(Path(os.environ["SHIPLIGHT_RECORD"]).parent)
    # One lesson at a time. Where a recording is made is locked by who makes it, for it alone.
    with journal.writable(), files.alone(journal.folder()):
        for folder in folders:
            known = _read(folder)
            known[claim_id] = {"seen": seen, "verdict": verdict, "setting": setting.to_dict()}
            text = json.dumps(known, indent=1, ensure_ascii=False, sort_keys=True)
            files.write(folder / FILE, text + "\n", private=folder == journal.folder())


def verdicts(client) -> tuple[Verdict, ...]:
    """Return every claim of the article with its verdict, measured or recorded, by lesson.

    Without an engine (`client` is None, or replays) what was recorded counts alone.
    """
    known: dict[str, dict] = {}
    for folder in reversed(recordings.folders()):  # a better kind takes the place of a worse one
        known |= {name: _recorded(one) for name, one in _read(folder).items()}
    if client is not None and not isinstance(client, recordings.Recorded):
        known |= _read(journal.folder())
    return tuple(_verdict(claim, known.get(claim.id)) for claim in catalogue.claims())


def _verdict(claim: catalogue.ArticleClaim, known: dict | None) -> Verdict:
    if known is None:
        return Verdict(claim, None, f"run lesson {claim.lesson}", None)
    return Verdict(claim, known["seen"], known["verdict"], Setting.from_dict(known["setting"]))


def _recorded(one: dict) -> dict:
    return one | {"setting": asdict(replace(Setting.from_dict(one["setting"]), mode="recorded"))}


def _read(folder: Path) -> dict:
    """The verdicts that a folder has, without those that are damaged."""
    try:
        said = json.loads(files.read(folder / FILE))
    except (OSError, ValueError, RecursionError):
        return {}
    entries = said.items() if isinstance(said, dict) else ()
    return {name: one for name, one in entries if _is_verdict(one)}


def _is_verdict(one: object) -> bool:
    """Whether it is what `note` writes."""
    try:
        Setting.from_dict(one["setting"])
        said = [one["seen"], one["verdict"], *one["setting"].values()]
        return all(isinstance(text, str) for text in said)
    except (KeyError, TypeError, AttributeError):
        return False
