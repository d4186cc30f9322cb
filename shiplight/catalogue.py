"""The catalogue: every app and variant, and the article's claims, from `apps/catalogue.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import UsageError

APPS = Path(__file__).resolve().parents[1] / "apps"


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
    """A sentence of the article with a figure; `unit` is `bytes`, `share`, or `yes` for true.

    `upto` is the other end where the article gives a range. `base` names the base whose own size
    the sentence is about. `lesson` tests it, and `why` says why it comes out as it does.
    """

    id: str
    says: str
    figure: float
    unit: str
    upto: float | None = None
    base: str = ""
    lesson: str = ""
    why: str = ""

    def verdict(self, measured: float) -> str:
        """`holds`, `in part` (the right order, another figure), or `does not hold`.

        Bytes hold within 15 % of the figure, and in part within a factor of two; a share holds
        within one point, and in part within ten; what is true or not holds or does not.
        """
        low, high = self.figure, self.figure if self.upto is None else self.upto
        if self.unit == "yes":
            return "holds" if measured == self.figure else "does not hold"
        if self.unit == "share":
            off = max(low - measured, measured - high, 0)
            return "holds" if off <= 0.01 else "in part" if off <= 0.1 else "does not hold"
        if 0.85 * low <= measured <= 1.15 * high:
            return "holds"
        return "in part" if low / 2 <= measured <= high * 2 else "does not hold"


@cache
def _data() -> dict:
    return tomllib.loads((APPS / "catalogue.toml").read_text(encoding="utf-8"))


def rows() -> list[Row]:
    """Every variant, in the catalogue's order."""
    return [Row(**entry) for entry in _data()["variant"]]


def find(name: str) -> Row | None:
    """The row of `app/variant`; None where the name is none of the catalogue's apps.

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


def claim(claim_id: str) -> ArticleClaim:
    """One of the article's claims by its id."""
    for entry in _data()["claim"]:
        if entry["id"] == claim_id:
            return ArticleClaim(**entry)
    raise UsageError(f"the catalogue has no claim {claim_id!r}.")
