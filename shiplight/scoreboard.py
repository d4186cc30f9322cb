"""The scoreboard: every variant surveyed, and every claim of the article with its verdict.

How a claim is measured is a function here, marked with the claim's id; what decides whether it
holds is its row in `apps/catalogue.toml`. A claim that nobody measures, or a measure of no claim,
is an error that a test finds.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

from . import catalogue, recordings
from .bases import canonical, recipes
from .builds import Build, build
from .catalogue import ArticleClaim, Row
from .containers import probe
from .errors import ScannerMissing
from .image import Image
from .scans import scan
from .setting import Setting
from .sizes import measure


@dataclass(frozen=True)
class Surveyed:
    """One variant, built, measured, run and scanned.

    `cold_seconds` is one run's, and None where any step came from the cache; `unlike` is what its
    probe gave otherwise than its catalogue row expects; the counts of a scan are None where it
    could not run, or where the image has no package database.
    """

    app: str
    variant: str
    unpacked_bytes: int
    packed_bytes: int | None
    reclaimable_bytes: int
    cold_seconds: float | None
    unlike: dict
    vulnerabilities: int | None
    fixable: int | None
    severities: dict | None
    setting: Setting = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """`app/variant`, as people type it."""
        return f"{self.app}/{self.variant}"

    def to_dict(self) -> dict:
        """The row as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Surveyed":
        """The row that `to_dict` wrote."""
        return cls(**data | {"setting": Setting.from_dict(data["setting"])})


@dataclass(frozen=True)
class Verdict:
    """One claim of the article: what it says, what was measured, and whether it holds here."""

    id: str
    lesson: str
    says: str
    measured: float | bool | None
    verdict: str
    evidence: str
    why: str
    setting: Setting = field(repr=False, compare=False)

    def to_dict(self) -> dict:
        """The verdict as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Verdict":
        """The verdict that `to_dict` wrote."""
        return cls(**data | {"setting": Setting.from_dict(data["setting"])})


class Lab:
    """Builds, images, probes and scans of the catalogue's variants, each made once when asked."""

    def __init__(self, client):
        self.client = client
        self._builds: dict[str, Build] = {}
        self._images: dict[str, Image] = {}

    def build(self, name: str, **how) -> Build:
        """The variant `app/variant`, built; `how` as `builds.build` takes it."""
        key = f"{name} {sorted(how.items())}"
        if key not in self._builds:
            self._builds[key] = build(self.client, name, **how)
        return self._builds[key]

    def image(self, name: str, **how) -> Image:
        """The same, measured."""
        made = self.build(name, **how)
        if made.tag not in self._images:
            self._images[made.tag] = measure(self.client, made)
        return self._images[made.tag]

    def bytes(self, name: str, **how) -> int:
        """Its unpacked bytes."""
        return self.image(name, **how).unpacked_bytes

    def saved(self, large: str, small: str) -> float:
        """The share of `large` that `small` does without."""
        return 1 - self.bytes(small) / self.bytes(large)

    def base(self, reference: str) -> Image:
        """A base image, measured as it is here."""
        from .provide import provide

        [found] = provide(self.client, [reference])
        return measure(self.client, found.used)

    @cached_property
    def kind(self) -> str:
        """The kind of bases that the single-stage Go image stands on."""
        return self.build("go/single").setting.bases


# --- the survey ------------------------------------------------------------------------------


@recordings.replayed(Surveyed)
def survey(client, names: tuple[str, ...] = ()) -> tuple[Surveyed, ...]:
    """One row a variant of the catalogue, or for each of `names`; shows each build as it runs."""
    lab = Lab(client)
    return tuple(_surveyed(lab, row) for row in catalogue.rows() if not names or row.name in names)


def _surveyed(lab: Lab, row: Row) -> Surveyed:
    made, image = lab.build(row.name), lab.image(row.name)
    asked, found = probe(lab.client, made, port=row.port), _scanned(lab, made)
    cold = all(not step.cached for step in made.numbered_steps)
    return Surveyed(
        app=row.app,
        variant=row.variant,
        unpacked_bytes=image.unpacked_bytes,
        packed_bytes=image.packed_bytes,
        reclaimable_bytes=image.reclaimable_bytes,
        cold_seconds=round(made.seconds, 2) if cold else None,
        unlike={key: list(pair) for key, pair in asked.unlike(row.probe).items()},
        vulnerabilities=found and found.unique,
        fixable=found and found.fixable,
        severities=found and found.vulnerabilities,
        setting=made.setting,
    )


def _scanned(lab: Lab, made: Build):
    """The report of a scan that ran; None where there is no scanner, or it could not run."""
    try:
        found = scan(lab.client, made)
    except ScannerMissing:
        return None
    return found if found.status == "scanned" else None


# --- the claims ------------------------------------------------------------------------------

_MEASURES: dict[str, Callable[[Lab], tuple[float | bool | None, str]]] = {}


def measures(claim_id: str):
    """Mark a function `f(lab) -> (measured, evidence)` as the measure of this claim.

    `measured` is None where it could not be measured here, and the evidence says why.
    """

    def mark(function):
        _MEASURES[claim_id] = function
        return function

    return mark


def measured_claims() -> set[str]:
    """Ids of the claims that have a measure."""
    return set(_MEASURES)


@recordings.replayed(Verdict)
def verdicts(client, ids: tuple[str, ...] = ()) -> tuple[Verdict, ...]:
    """Every claim of the article (or those of `ids`) with its verdict on this machine."""
    lab = Lab(client)
    wanted = [claim for claim in catalogue.claims() if not ids or claim.id in ids]
    return tuple(_verdict(lab, claim) for claim in wanted)


def _verdict(lab: Lab, said: ArticleClaim) -> Verdict:
    measured, evidence = _MEASURES[said.id](lab)
    verdict = "could not be measured" if measured is None else said.verdict(measured)
    if said.base and lab.kind == "equivalent":
        verdict, published = catalogue.NOT_TESTABLE, recipes()[canonical(said.base)].published
        evidence += f"; published {published['date']}: {published.get('unpacked_bytes', '—')} B"
    setting = replace(lab.build("go/single").setting)
    return Verdict(
        id=said.id,
        lesson=said.lesson,
        says=said.says,
        measured=measured,
        verdict=verdict,
        evidence=evidence,
        why=said.why,
        setting=setting,
    )
