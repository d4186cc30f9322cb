"""Where the bytes of an image were born and how they went: a table, and flows through stages."""

from dataclasses import asdict, dataclass, field

from ..setting import Setting
from ..units import format_bytes, in_one_line

BASE, IMAGE, CONTEXT, STEP, AMBIGUOUS = "base", "image", "context", "instruction", "ambiguous"


@dataclass(frozen=True)
class Origin:
    """One place where bytes were born. `born_bytes` are `shipped_bytes` and `left_behind_bytes`.

    `kind` is base, image (that a COPY names), context, instruction or ambiguous; `stage` and `line`
    are None for what belongs to none. `mounted` are the stages and images that a RUN mounted,
    `outside` its cache mounts, which are in no layer. `vulnerabilities` are those that were found
    in what was born here, `shipped_vulnerabilities` those of them that ship from here; None is
    unknown, or not scanned.
    """

    kind: str
    stage: str | None
    instruction: str
    line: int | None
    born_bytes: int
    shipped_bytes: int
    mounted: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    vulnerabilities: int | None = None
    shipped_vulnerabilities: int | None = None

    @property
    def left_behind_bytes(self) -> int:
        """Bytes that were born here and are not in the final image."""
        return self.born_bytes - self.shipped_bytes

    @property
    def left_behind_vulnerabilities(self) -> int | None:
        """Vulnerabilities that were born here and do not ship from here; None is unknown."""
        return _difference(self.vulnerabilities, self.shipped_vulnerabilities)

    def row(self) -> dict:
        """Return the row of this place in a table."""
        return {
            "stage": self.stage,
            "instruction": self.instruction,
            "born_bytes": self.born_bytes,
            "shipped_bytes": self.shipped_bytes,
            "left_behind_bytes": self.left_behind_bytes,
        }


@dataclass(frozen=True)
class Flow:
    """Bytes of the origin number `origin` that went `through` these stages, and whether they ship.

    What was left behind ends in the stage that had it first.
    """

    origin: int
    through: tuple[str, ...]
    bytes: int
    ships: bool


@dataclass(frozen=True)
class Origins:
    """Where the bytes of an image were born, in the order of the Dockerfile, and how they went.

    `stages` are those that the target needs, the target last. `ran` are the steps that were not in
    the cache when the stages were built. `scanned_by` is empty where no scan was asked for;
    `vulnerabilities` are counted once each, and None where they are unknown: because of the stages
    and images in `unscanned`, whose packages could not be read.
    """

    name: str
    unpacked_bytes: int
    stages: tuple[str, ...]
    rows: tuple[Origin, ...]
    flows: tuple[Flow, ...] = field(repr=False)
    ran: tuple[str, ...] = ()
    vulnerabilities: int | None = None
    shipped_vulnerabilities: int | None = None
    scanned_by: str = ""
    unscanned: tuple[str, ...] = ()
    setting: Setting | None = field(default=None, repr=False, compare=False)

    @property
    def born_bytes(self) -> int:
        """Bytes that were born in all stages together."""
        return sum(row.born_bytes for row in self.rows)

    @property
    def left_behind_vulnerabilities(self) -> int | None:
        """Vulnerabilities of the stages that the image does not have; None is unknown."""
        return _difference(self.vulnerabilities, self.shipped_vulnerabilities)

    @in_one_line
    def __repr__(self) -> str:
        return (
            f"Origins {self.name}  {format_bytes(self.born_bytes)} born in {len(self.rows)} "
            f"places, {format_bytes(self.unpacked_bytes)} shipped"
        )

    def to_dict(self) -> dict:
        """Return the origins as JSON holds them."""
        return {
            "name": self.name,
            "unpacked_bytes": self.unpacked_bytes,
            "stages": list(self.stages),
            "rows": [
                asdict(row)
                | row.row()
                | {"left_behind_vulnerabilities": row.left_behind_vulnerabilities}
                for row in self.rows
            ],
            "flows": [asdict(flow) for flow in self.flows],
            "ran": list(self.ran),
            "vulnerabilities": self.vulnerabilities,
            "shipped_vulnerabilities": self.shipped_vulnerabilities,
            "left_behind_vulnerabilities": self.left_behind_vulnerabilities,
            "scanned_by": self.scanned_by,
            "unscanned": list(self.unscanned),
            "setting": self.setting and self.setting.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict) -> "Origins":
        """Return the origins that `to_dict` wrote."""
        names = set(Origin.__annotations__)
        lists = ("mounted", "outside")
        return cls(
            name=data["name"],
            unpacked_bytes=data["unpacked_bytes"],
            stages=tuple(data["stages"]),
            rows=tuple(
                Origin(**{k: tuple(v) if k in lists else v for k, v in row.items() if k in names})
                for row in data["rows"]
            ),
            flows=tuple(
                Flow(**flow | {"through": tuple(flow["through"])}) for flow in data["flows"]
            ),
            ran=tuple(data["ran"]),
            vulnerabilities=data.get("vulnerabilities"),
            shipped_vulnerabilities=data.get("shipped_vulnerabilities"),
            scanned_by=data.get("scanned_by", ""),
            unscanned=tuple(data.get("unscanned", ())),
            setting=Setting.from_dict(data["setting"]) if data.get("setting") else None,
        )


def _difference(all_of_them: int | None, part: int | None) -> int | None:
    return None if all_of_them is None or part is None else all_of_them - part
