"""What a kit says of itself, in its first member: every file with its bytes and its SHA-256.

A kit is a tar archive that others may have carried around. Nothing of it is used before all of it
is what the manifest says, and the manifest names no place but one below a folder of its own.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from ..errors import UsageError

FORMAT, VERSION, NAME = "shiplight-kit", 1, "manifest.json"
MOST_BYTES = 1_000_000  # of a manifest
_MOST_MEMBERS, _MOST_MEMBER = 5_000, 10**12
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(?:/[A-Za-z0-9][A-Za-z0-9._+-]*){0,5}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9._:/+@-]{1,200}", re.ASCII)


@dataclass(frozen=True)
class Member:
    """One file of a kit."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a kit holds: for which lessons and which platform of images, bases by name, files."""

    lessons: tuple[str, ...]
    platform: str
    bases: tuple[str, ...]
    members: tuple[Member, ...]

    @property
    def bytes(self) -> int:
        """How much all files weigh together."""
        return sum(one.bytes for one in self.members)

    def has(self, name: str) -> bool:
        """Return whether the kit has a file of this name."""
        return any(one.name == name for one in self.members)

    def to_json(self) -> str:
        """Return the manifest as the kit holds it."""
        return json.dumps({"format": FORMAT, "version": VERSION} | asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Return what a manifest says. Raises UsageError for what `to_json` does not write."""
        try:
            said = json.loads(text)
            known = said.pop("format"), said.pop("version")
            members = [Member(**one) for one in said.pop("members")]
            lists = {name: tuple(said.pop(name)) for name in ("lessons", "bases")}
            found = cls(**lists, **said, members=tuple(members))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _refused("its manifest cannot be read") from error
        if known != (FORMAT, VERSION):
            raise _refused("it is of another version", hint="pack it again with this version")
        words = (found.platform, *found.lessons, *found.bases)
        if not all(isinstance(one, str) and _WORD.fullmatch(one) for one in words):
            raise _refused("its manifest has a name that no image and no lesson has")
        if len(members) > _MOST_MEMBERS or not all(map(_is_member, members)):
            raise _refused("its manifest names a file that no kit has")
        if len({one.name for one in members}) != len(members):
            raise _refused("its manifest names a file twice")
        folders = {str(above) for one in members for above in PurePosixPath(one.name).parents}
        if any(one.name in folders for one in members):
            raise _refused("its manifest has a file and a folder of one name")
        return found


def _is_member(one: Member) -> bool:
    return (
        isinstance(one.name, str)
        and _PATH.fullmatch(one.name) is not None
        and one.name != NAME
        and (not one.name.startswith("recordings/") or one.name.endswith((".json", ".zst")))
        and type(one.bytes) is int
        and 0 <= one.bytes <= _MOST_MEMBER
        and isinstance(one.sha256, str)
        and re.fullmatch("[0-9a-f]{64}", one.sha256, re.ASCII) is not None
    )


def _refused(why: str, *, hint: str = "ask for the kit again") -> UsageError:
    return UsageError(f"this is not a kit that can be used: {why}.", hint=hint)
