"""A byte budget: at most so many bytes, or no more than a stored baseline, and what broke it."""

import json
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from .. import files
from ..errors import UsageError
from ..image import Image
from ..units import parse_bytes

_DAMAGED = "remove it, and the next run writes one"


@dataclass(frozen=True)
class Budget:
    """Whether an image keeps to its bytes, `unpacked` or `packed` ones by its `kind`.

    `at_most` and `before`, what the baseline has, are None where not given. Where it does not keep
    to them, `instruction` is what grew, by `instruction_bytes`, or, where nothing grew or nothing
    is known of before, the largest one with its bytes; `grew` says which. `said` tells what became
    of the baseline.
    """

    image: str
    kind: str
    bytes: int
    is_estimate: bool
    at_most: int | None
    before: int | None
    instruction: str = ""
    instruction_bytes: int = 0
    grew: bool = False
    said: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether the image has at most the bytes that it may have."""
        return all(self.bytes <= most for most in (self.at_most, self.before) if most is not None)

    def to_dict(self) -> dict:
        """Return everything as JSON holds it."""
        plain = {key: value for key, value in vars(self).items() if key not in ("image", "said")}
        return plain | {"is_kept": self.is_kept}


def keep_to(
    image: Image,
    *,
    at_most: int | str | None = None,
    baseline: Path | None = None,
    packed: bool = False,
) -> Budget:
    """Check an image against a budget: `at_most` bytes, or `"90MB"`, and a file with a baseline.

    A baseline that is not there is written; one that is there is rewritten where the image became
    smaller, and never where it grew. Unpacked bytes count, or `packed` ones. Raises UsageError,
    also where these bytes are not known or are not comparable.
    """
    kind = "packed" if packed else "unpacked"
    now = _described(image, kind)
    if isinstance(at_most, str):
        at_most = _parsed(at_most)
    before = _read(baseline) if baseline else None
    if before:
        _comparable(baseline, before, now)
    layers = _layers(now)
    total = sum(count for _, count in layers)
    known = _layers(before) if before else []
    limit = sum(count for _, count in known) if before else None
    said = ""
    if baseline and (limit is None or total < limit):
        files.write(baseline, json.dumps(now, indent=1) + "\n")
        said = f"{baseline} is {'written' if limit is None else 'rewritten: the image is smaller'}"
    found = Budget(
        image.name, kind, total, packed and image.packed_is_estimate, at_most, limit, said=said
    )
    return found if found.is_kept or not layers else _blamed(found, known, layers)


def _parsed(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def _blamed(found: Budget, known: list[tuple[str, int]], layers: list[tuple[str, int]]) -> Budget:
    grown = max(_growth(known, layers), key=lambda row: row[1]) if known else ("", 0)
    largest = max(layers, key=lambda row: row[1])
    instruction, count = grown if grown[1] > 0 else largest
    more = {"instruction": instruction, "instruction_bytes": count, "grew": grown[1] > 0}
    return Budget(**vars(found) | more)


def _growth(before: list[tuple[str, int]], now: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """By how much each instruction grew: those of the same text, or of the same place.

    Where another number of instructions stands in a place, the largest stands for all of them.
    """
    texts = [[text for text, _ in rows] for rows in (before, now)]
    grown = []
    for _, i, i_end, j, j_end in SequenceMatcher(None, *texts, autojunk=False).get_opcodes():
        old, new = before[i:i_end], now[j:j_end]
        if len(old) == len(new):
            pairs = zip(old, new, strict=True)
            grown += [(text, count - was) for (_, was), (text, count) in pairs]
        elif new:
            more = sum(count for _, count in new) - sum(count for _, count in old)
            grown.append((max(new, key=lambda row: row[1])[0], more))
    return grown or [("", 0)]


def _described(image: Image, kind: str) -> dict:
    """What a baseline keeps of an image: its bytes of one kind, since these alone are checked."""
    return {
        "image": image.name,
        "platform": image.platform,
        "kind": kind,
        "is_estimate": kind == "packed" and image.packed_is_estimate,
        "layers": [
            {"instruction": layer.instruction, "bytes": getattr(layer, f"{kind}_bytes")}
            for layer in image.layers
        ],
    }


def _layers(described: dict) -> list[tuple[str, int]]:
    """The instructions with their bytes. Raises UsageError where these are not known."""
    rows = [(row["instruction"], row["bytes"]) for row in described["layers"]]
    if any(count is None for _, count in rows):
        raise UsageError(
            f"the {described['kind']} bytes of {described['image']} are not known.",
            hint="--deep reads the layers of an image in a registry; --packed needs none of them",
        )
    return rows


def _read(path: Path) -> dict | None:
    """Return a baseline, None where there is none. Raises UsageError for anything else."""
    try:
        found = json.loads(files.read(path))
        rows = [(row["instruction"], row["bytes"]) for row in found["layers"]]
        right = isinstance(found["image"], str) and isinstance(found["platform"], str)
        right &= found["kind"] in ("packed", "unpacked") and isinstance(found["is_estimate"], bool)
        right &= all(isinstance(text, str) and _is_count(count) for text, count in rows)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise UsageError(f"{path} is not the baseline of an image.", hint=_DAMAGED) from error
    if not right:
        raise UsageError(f"{path} is not the baseline of an image.", hint=_DAMAGED)
    return found


def _is_count(value) -> bool:
    return type(value) is int and value >= 0


def _comparable(path: Path, before: dict, now: dict) -> None:
    if before["kind"] != now["kind"]:
        raise UsageError(
            f"{path} has {before['kind']} bytes, and {now['kind']} ones are to be checked.",
            hint="keep a baseline for each kind of bytes",
        )
    if before["platform"] != now["platform"]:
        raise UsageError(
            f"{path} is for {before['platform']}, but this image is for {now['platform']}.",
            hint="keep a baseline for each platform",
        )
    if before["is_estimate"] != now["is_estimate"]:
        raise UsageError(
            f"{path} and this image have packed bytes of two kinds: stored ones, and an estimate.",
            hint="measure both from a registry, or both from the same engine",
        )
