"""The result of scanning one image: its findings, and the report that counts them.

A scan that could not run is *unknown*, and an image in which the scanner finds no package database
is *not covered*: neither has a number, and least of all 0.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace

from ..errors import ScanFailed, ShipLightError
from ..image import align
from ..setting import Setting
from ..units import UNKNOWN, in_one_line

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")  # the last: nobody rated it
WORDS = {severity: severity.lower() for severity in SEVERITIES} | {"UNKNOWN": "unrated"}
OS = "os-pkgs"  # Trivy's class of what dpkg, apk or rpm installed
OF_THE_LAYER = ("diff_id", "instruction")
KERNEL_HEADERS = "linux-libc-dev"


@dataclass(frozen=True)
class Finding:
    """One vulnerability in one package. `fixed` is the version without it, None if there is none.

    `kind` and `type` are the kind of package (`os-pkgs` of `debian`, `lang-pkgs` of `gobinary`);
    `where` is the file in the image, "" for packages of the operating system; `layer` and
    `instruction` added it, None and "" if that is unknown.
    """

    id: str
    severity: str
    package: str
    source_package: str
    installed: str
    fixed: str | None
    status: str
    kind: str
    type: str
    where: str
    layer: int | None
    diff_id: str
    instruction: str

    def to_dict(self) -> dict:
        """Return the finding as JSON holds it, its layer by its index."""
        return {key: value for key, value in vars(self).items() if key not in OF_THE_LAYER}

    @classmethod
    def from_dict(cls, data: dict, layers: list[dict]) -> "Finding":
        """Return the finding that `to_dict` wrote, of an image with these layers."""
        layer = layers[data["layer"]] if data["layer"] is not None else dict.fromkeys(OF_THE_LAYER)
        return cls(**data, **{key: layer[key] or "" for key in OF_THE_LAYER})


@dataclass(frozen=True)
class PackageDatabase:
    """Packages of one type that the scanner could read, and in how many places."""

    kind: str
    type: str
    places: int
    packages: int


@dataclass(frozen=True)
class ScanReport:
    """The result of scanning one image. Numbers are None if the scan gives none.

    `status` is `scanned` or `unknown`; `why` says why it could not run. Each vulnerability counts
    once; a finding is one vulnerability in one package. `instructions` and `diff_ids` belong to the
    layers, base first. `snapshot`: the database is frozen, and does not cover everything.
    `unread` lists systems that were recognized but whose packages could not be read.
    """

    image: str
    status: str
    findings: tuple[Finding, ...] = field(default=(), repr=False)
    package_databases: tuple[PackageDatabase, ...] = ()
    unread: tuple[str, ...] = ()
    instructions: tuple[str, ...] = field(default=(), repr=False)
    diff_ids: tuple[str, ...] = field(default=(), repr=False)
    scanner: str = ""
    database_date: str = ""
    snapshot: bool = False
    why: str = ""
    setting: Setting | None = field(default=None, compare=False)

    @property
    def covered(self) -> bool:
        """Whether the scan ran and found a package database: only then are there numbers."""
        return self.status == "scanned" and bool(self.package_databases)

    @property
    def severities(self) -> dict[str, str]:
        """Each vulnerability with its severity, the worst where packages differ; worst first."""
        worst: dict[str, str] = {}
        for severity in SEVERITIES:
            for finding in self.findings:
                if finding.severity == severity:
                    worst.setdefault(finding.id, severity)
        return worst

    @property
    def vulnerabilities(self) -> dict[str, int] | None:
        """How many vulnerabilities of each severity, worst first."""
        if not self.covered:
            return None
        found = list(self.severities.values())
        return {severity: found.count(severity) for severity in SEVERITIES}

    @property
    def unique(self) -> int | None:
        """How many vulnerabilities, each counted once."""
        return len(self.severities) if self.covered else None

    @property
    def fixable(self) -> int | None:
        """How many vulnerabilities have a fix in some package, so that an update helps."""
        fixed = {finding.id for finding in self.findings if finding.fixed}
        return len(fixed) if self.covered else None

    @property
    def finding_count(self) -> int | None:
        """How many findings: one vulnerability in five packages counts five times."""
        return len(self.findings) if self.covered else None

    @property
    def packages(self) -> int | None:
        """How many packages the scanner found."""
        if not self.covered:
            return None
        return sum(database.packages for database in self.package_databases)

    @property
    def os_level(self) -> "ScanReport":
        """The report on the operating system's packages; not covered if there are none."""
        return self._part(lambda kind: kind == OS)

    @property
    def in_programs(self) -> "ScanReport":
        """The report on all other packages: inside programs, or installed by languages."""
        return self._part(lambda kind: kind != OS)

    def _part(self, chosen: Callable[[str], bool]) -> "ScanReport":
        return replace(
            self,
            findings=tuple(f for f in self.findings if chosen(f.kind)),
            package_databases=tuple(d for d in self.package_databases if chosen(d.kind)),
            unread=self.unread if chosen(OS) else (),
        )

    def without_kernel_headers(self) -> "ScanReport":
        """Return the report without `linux-libc-dev`, which every kernel vulnerability affects."""
        kept = tuple(f for f in self.findings if not f.package.startswith(KERNEL_HEADERS))
        return replace(self, findings=kept)

    @property
    def scanned_by(self) -> str:
        """Scanner and database, as every table and chart shows them."""
        return scanned_by(self.scanner, self.database_date, self.snapshot)

    @in_one_line
    def __repr__(self) -> str:
        start = f"ScanReport {self.image}  "
        if self.status != "scanned":
            return f"{start}unknown: {' '.join(self.why.split())}"
        if not self.package_databases:
            return f"{start}no package database: nothing to look up · {self.scanned_by}"
        counts = ", ".join(f"{n} {WORDS[name]}" for name, n in self.vulnerabilities.items() if n)
        return (
            f"{start}{self.unique} vulnerabilities{f' ({counts})' if counts else ''}, "
            f"{self.fixable} fixable, {self.finding_count} findings, "
            f"{self.packages} packages · {self.scanned_by}"
        )

    def to_dict(self) -> dict:
        """Return the report as JSON; `rows` are the findings, with their layers by index."""
        return {
            "image": self.image,
            "status": self.status,
            "why": self.why,
            "vulnerabilities": self.vulnerabilities,
            "unique": self.unique,
            "fixable": self.fixable,
            "without_kernel_headers": self.without_kernel_headers().vulnerabilities,
            "findings": self.finding_count,
            "packages": self.packages,
            "package_databases": [asdict(database) for database in self.package_databases],
            "unread": list(self.unread),
            "scanner": self.scanner,
            "database_date": self.database_date,
            "snapshot": self.snapshot,
            "layers": [
                {"diff_id": diff_id, "instruction": instruction}
                for diff_id, instruction in zip(self.diff_ids, self.instructions, strict=True)
            ],
            "rows": [finding.to_dict() for finding in self.findings],
            "setting": self.setting and self.setting.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict) -> "ScanReport":
        """Return the report that `to_dict` wrote."""
        plain = ("image", "status", "why", "scanner", "database_date", "snapshot")
        layers = data["layers"]
        return cls(
            **{key: data[key] for key in plain},
            findings=tuple(Finding.from_dict(row, layers) for row in data["rows"]),
            package_databases=tuple(PackageDatabase(**d) for d in data["package_databases"]),
            unread=tuple(data.get("unread", ())),
            instructions=tuple(layer["instruction"] for layer in layers),
            diff_ids=tuple(layer["diff_id"] for layer in layers),
            setting=Setting.from_dict(data["setting"]) if data.get("setting") else None,
        )


def scanned_by(scanner: str, database_date: str, snapshot: bool) -> str:
    """Scanner and database in a few words."""
    of = " (lab snapshot)" if snapshot else ""
    return f"{scanner} · database {database_date[:10] or UNKNOWN}{of}"


def unknown(name: str, error: ShipLightError) -> ScanReport:
    """Return the report of a scan that could not run, with the reason."""
    return ScanReport(name, "unknown", why=str(error))


# --- reading what Trivy says -----------------------------------------------------------------


def read_report(said: dict, *, name: str) -> ScanReport:
    """Read a ScanReport from the JSON of `trivy image`, without database and setting.

    Raises ScanFailed if it is not valid.
    """
    try:
        metadata = said.get("Metadata", {})
        diff_ids = metadata.get("DiffIDs") or []
        history = metadata.get("ImageConfig", {}).get("history") or []
        made = {index: text for text, index in align(history, len(diff_ids)) if index is not None}
        instructions = tuple(made[index] for index in range(len(diff_ids)))
        results = said.get("Results") or []
        first = {diff_id: index for index, diff_id in reversed(list(enumerate(diff_ids)))}
        return ScanReport(
            image=name,
            status="scanned",
            findings=tuple(_findings(results, first, instructions)),
            package_databases=_package_databases(results),
            unread=_unread(metadata, results),
            instructions=instructions,
            diff_ids=tuple(map(_text, diff_ids)),
            scanner=f"Trivy {_text(said['Trivy']['Version'])}",
        )
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        problem = repr(error)[:200]
        raise ScanFailed(f"the scanner's report cannot be read: {problem}") from error


def _findings(results: list[dict], layers: dict[str, int], instructions) -> Iterable[Finding]:
    for result in results:
        sources = {p.get("ID"): p.get("SrcName") for p in result.get("Packages") or ()}
        for row in result.get("Vulnerabilities") or ():
            diff_id = (row.get("Layer") or {}).get("DiffID", "")
            layer, severity = layers.get(diff_id), row.get("Severity", "UNKNOWN")
            fixed, of_os = row.get("FixedVersion"), result["Class"] == OS
            where = "" if of_os else row.get("PkgPath") or result["Target"]
            yield Finding(
                id=_text(row["VulnerabilityID"]),
                severity=severity if severity in SEVERITIES else "UNKNOWN",
                package=_text(row["PkgName"]),
                source_package=_text(sources.get(row.get("PkgID")) or row["PkgName"]),
                installed=_text(row.get("InstalledVersion", "")),
                fixed=_text(fixed) if fixed else None,
                status=_text(row.get("Status", "unknown")),
                kind=_text(result["Class"]),
                type=_text(result["Type"]),
                where=_text(where),
                layer=layer,
                diff_id="" if layer is None else diff_id,
                instruction="" if layer is None else instructions[layer],
            )


def _text(value) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _package_databases(results: list[dict]) -> tuple[PackageDatabase, ...]:
    """What was read, in the scanner's order, one row for each type.

    The scanner recognizes Debian by its name alone: if it finds no package, it read nothing.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for result in results:
        if result.get("Class") in (OS, "lang-pkgs"):
            counts = found.setdefault((result["Class"], _text(result["Type"])), [])
            counts.append(len(result.get("Packages") or ()))
    return tuple(PackageDatabase(*key, len(n), sum(n)) for key, n in found.items() if sum(n))


def _unread(metadata: dict, results: list[dict]) -> tuple[str, ...]:
    """The system that the scanner recognized but found no packages of."""
    system = (metadata.get("OS") or {}).get("Family")
    told = [_text(r["Type"]) for r in results if r.get("Class") == OS]
    told = told or ([_text(system)] if system else [])
    read = {_text(r["Type"]) for r in results if r.get("Class") == OS and r.get("Packages")}
    return tuple(dict.fromkeys(kind for kind in told if kind not in read))
