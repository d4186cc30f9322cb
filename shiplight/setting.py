"""Where and when a number was measured: every result carries its setting."""

from dataclasses import asdict, dataclass

from .units import visible_line


@dataclass(frozen=True)
class Setting:
    """The circumstances of one result.

    `bases` is `official`, `mirrored`, `equivalent` (assembled from packages), `mixed`, `none`
    (from scratch, or not a build) or `unknown` (an image that somebody else built); `when` is
    ISO 8601 in UTC; `mode` is `measured`, `recorded` or, of several together, `partly recorded`.
    """

    engine: str
    store: str
    platform: str
    bases: str
    when: str
    mode: str = "measured"

    def __str__(self) -> str:
        bases = {"equivalent": "offline equivalent bases", "none": "no bases", "unknown": ""}.get(
            self.bases, f"{self.bases} bases"
        )
        when = f"{self.mode} {self.when[:10]}"
        parts = [when, self.engine, self.store, self.platform, bases]
        return visible_line(" · ".join(part for part in parts if part))

    def to_dict(self) -> dict:
        """Return the setting as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Setting":
        """Return the setting that `to_dict` wrote. Raises TypeError for anything else."""
        if not all(isinstance(value, str) for value in data.values()):
            raise TypeError("a setting is text")
        return cls(**data)


class Kept:
    """A flat dataclass with a `setting` in it, as recordings keep it."""

    def to_dict(self) -> dict:
        """Return it as JSON holds it."""
        return asdict(self) | {"setting": self.setting and self.setting.to_dict()}

    @classmethod
    def from_dict(cls, data: dict):
        """Return what `to_dict` wrote."""
        setting = Setting.from_dict(data["setting"]) if data.get("setting") else None
        return cls(**data | {"setting": setting})


def together(*settings: Setting | None) -> Setting | None:
    """Return one setting for results shown together, as old as the oldest; None without any.

    What they share stays; engines, stores and platforms that differ are listed.
    """
    known = [setting for setting in settings if setting is not None]
    if not known:
        return None

    def all_of(name: str) -> str:
        return ", ".join(dict.fromkeys(getattr(setting, name) for setting in known))

    bases = {setting.bases for setting in known} - {"none", "unknown"}
    modes = {setting.mode for setting in known}
    return Setting(
        engine=all_of("engine"),
        store=all_of("store"),
        platform=all_of("platform"),
        bases=bases.pop() if len(bases) == 1 else "mixed" if bases else known[0].bases,
        when=min(setting.when for setting in known),
        mode=modes.pop() if len(modes) == 1 else "partly recorded",
    )
