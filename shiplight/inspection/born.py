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
    `outside` its cache mounts, which are in no layer.
    """

    kind: str
    stage: str | None
    instruction: str
    line: int | None
    born_bytes: int
    shipped_bytes: int
    mounted: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    @property
    def left_behind_bytes(self) -> int:
        """Bytes that were born here and are not in the final image."""
        return self.born_bytes - self.shipped_bytes

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
    the cache when the stages were built.
    """

    name: str
    unpacked_bytes: int
    stages: tuple[str, ...]
    rows: tuple[Origin, ...]
    flows: tuple[Flow, ...] = field(repr=False)
    ran: tuple[str, ...] = ()
    setting: Setting | None = field(default=None, repr=False, compare=False)

    @property
    def born_bytes(self) -> int:
        """Bytes that were born in all stages together."""
        return sum(row.born_bytes for row in self.rows)

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
            "rows": [asdict(row) | row.row() for row in self.rows],
            "flows": [asdict(flow) for flow in self.flows],
            "ran": list(self.ran),
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
            setting=Setting.from_dict(data["setting"]) if data.get("setting") else None,
        )
