"""The scoreboard's survey: every variant of the catalogue, built, measured, run and scanned."""

from dataclasses import asdict, dataclass, field

from .. import catalogue, recordings
from ..builds import Build, cold_build
from ..catalogue import Row
from ..errors import ScannerMissing
from ..inspection import measure, probe
from ..scans import ScanReport, scan
from ..setting import Setting


@dataclass(frozen=True)
class Surveyed:
    """One variant, built, measured, run and scanned.

    `cold_seconds` is one run's, with nothing cached, now or earlier in this lab; `unlike` is what
    its probe gave otherwise than its catalogue row expects. `packages` is how many the scan read,
    and `vulnerabilities` and `fixable` count in these alone; all three are None where it could not
    run, or read no package.
    """

    app: str
    variant: str
    unpacked_bytes: int
    packed_bytes: int | None
    reclaimable_bytes: int
    cold_seconds: float
    unlike: dict
    vulnerabilities: int | None
    fixable: int | None
    packages: int | None
    setting: Setting = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """`app/variant`, as people type it."""
        return f"{self.app}/{self.variant}"

    def to_dict(self) -> dict:
        """Return the row as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Surveyed":
        """Return the row that `to_dict` wrote."""
        return cls(**data | {"setting": Setting.from_dict(data["setting"])})


@recordings.replayed(Surveyed)
def survey(client, app: str) -> tuple[Surveyed, ...]:
    """Survey an app, one row for each variant; build cold what was not built cold here yet.

    Shows each build as it runs.
    """
    return tuple(_surveyed(client, row) for row in catalogue.rows() if row.app == app)


def _surveyed(client, row: Row) -> Surveyed:
    made, cold = cold_build(client, row.name)
    image, asked = measure(client, made), probe(client, made, port=row.port)
    found = _scanned(client, made)
    return Surveyed(
        app=row.app,
        variant=row.variant,
        unpacked_bytes=image.unpacked_bytes,
        packed_bytes=image.packed_bytes,
        reclaimable_bytes=image.reclaimable_bytes,
        cold_seconds=round(cold.seconds, 2),
        unlike={key: list(pair) for key, pair in asked.unlike(row.probe).items()},
        vulnerabilities=found and found.unique,
        fixable=found and found.fixable,
        packages=found and found.packages,
        setting=made.setting,
    )


def _scanned(client, made: Build) -> ScanReport | None:
    """The report of a scan that ran; None where it could not, or there is no scanner.

    Where nothing may fall back, a scanner that is missing raises ScannerMissing.
    """
    try:
        found = scan(client, made)
    except ScannerMissing:
        if recordings.mode() == "live":
            raise
        return None
    return found if found.status == "scanned" else None
