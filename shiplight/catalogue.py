"""The catalogue: every app and variant, and the article's claims, from `apps/catalogue.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import UsageError
from .setup import IS_CHECKOUT, ROOT

APPS = ROOT / "apps"
HOLDS, IN_PART, DOES_NOT_HOLD = "holds", "partly", "does not hold"
NOT_TESTABLE = "not testable on equivalents"


@dataclass(frozen=True)
class Row:
    """One variant of one app. `probe` is what asking its container has to give."""

    app: str
    variant: str
    dockerfile: str
    title: str
    teaches: str
    port: int
    probe: dict

    @property
    def name(self) -> str:
        """`app/variant`, as people type it."""
        return f"{self.app}/{self.variant}"

    @property
    def folder(self) -> Path:
        """The app's folder, which is the build context."""
        return APPS / self.app


@dataclass(frozen=True)
class ArticleClaim:
    """A sentence of the article, in our words, and what decides whether it holds.

    `unit` is `bytes` or `share`, with the article's `figure`, or `yes`, of what is true (1) or not.
    `upto` is the other end where the article gives a range. `base` names the image whose own bytes
    the sentence is about: on an equivalent that cannot be tested, and the published figure of
    `bases/` stands beside it. `lesson` proves it, and `why` says why it comes out as it does.
    """

    id: str
    says: str
    figure: float
    unit: str
    upto: float | None = None
    base: str = ""
    lesson: str = ""
    why: str = ""

    def verdict(self, measured: float | bool) -> str:
        """Return `holds`, `partly` (the right direction, another figure), or `does not hold`.

        What is true or not holds or does not. Bytes hold within 15 % of the figure, and partly
        within a factor of two. A share (what is saved, say) holds within 15 % of the figure and of
        what it leaves, or within one point, and partly from half of it on.
        """
        low, high = self.figure, self.figure if self.upto is None else self.upto
        if self.unit == "yes":
            return HOLDS if measured == self.figure else DOES_NOT_HOLD
        if self.unit == "share":
            near = min(0.15 * low, max(0.01, 0.15 * (1 - high)))
            holds, in_part = low - near <= measured <= high + near, measured >= low / 2
        else:
            holds = 0.85 * low <= measured <= 1.15 * high
            in_part = low / 2 <= measured <= high * 2
        return HOLDS if holds else IN_PART if in_part else DOES_NOT_HOLD


@cache
def _data() -> dict:
    if not IS_CHECKOUT:
        return {"variant": [], "claim": []}  # a package has none: build a folder of your own
    return tomllib.loads((APPS / "catalogue.toml").read_text(encoding="utf-8"))


def rows() -> list[Row]:
    """Return every variant, in the catalogue's order."""
    return [Row(**entry) for entry in _data()["variant"]]


def find(name: str) -> Row | None:
    """Return the row of `app/variant`; None if the catalogue has no such app.

    Raises UsageError for an app of the catalogue with a variant that it does not have.
    """
    app, slash, variant = name.partition("/")
    known = [row for row in rows() if row.app == app]
    if not known or not slash or not variant or Path(name).exists():
        return None
    for row in known:
        if row.variant == variant:
            return row
    raise UsageError(
        f"{app} has no variant {variant!r}.", hint=f"one of {', '.join(r.name for r in known)}"
    )


def claims() -> list[ArticleClaim]:
    """Return every claim of the article, in the order of its lessons."""
    known = [ArticleClaim(**entry) for entry in _data()["claim"]]
    return sorted(known, key=lambda claim: claim.lesson)


def claim(claim_id: str) -> ArticleClaim:
    """Return one of the article's claims by its id."""
    for entry in _data()["claim"]:
        if entry["id"] == claim_id:
            return ArticleClaim(**entry)
    raise UsageError(f"the catalogue has no claim {claim_id!r}.")
