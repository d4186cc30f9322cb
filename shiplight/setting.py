"""Where and when a number was measured: every result carries its setting."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Setting:
    """The circumstances of one result.

    `bases` is `official`, `mirrored`, `equivalent` (assembled from packages), `mixed`, or `none`
    (from scratch, or not a build); `when` is ISO 8601 in UTC; `mode` is `measured` or `recorded`.
    """

    engine: str
    store: str
    platform: str
    bases: str
    when: str
    mode: str = "measured"

    def __str__(self) -> str:
        bases = {"equivalent": "offline equivalent bases", "none": "no bases"}.get(
            self.bases, f"{self.bases} bases"
        )
        when = f"{self.mode} {self.when[:10]}"
        return " · ".join([when, self.engine, self.store, self.platform, bases])

    def to_dict(self) -> dict:
        """The setting as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Setting":
        """The setting that `to_dict` wrote."""
        return cls(**data)
