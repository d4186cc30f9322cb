"""Results as tidy tables: one DataFrame for every chart and for every question a lesson asks."""

import pandas as pd

from .builds import Build
from .containers import Probe
from .image import Image
from .units import format_bytes, format_seconds


def images(*measured: Image, names: list[str] | None = None) -> pd.DataFrame:
    """One row an image: bytes unpacked, packed and reclaimable, and its number of layers.

    Rows are in the order given; bytes are whole numbers, `packed_is_estimate` says of which kind.
    """
    rows = [
        {
            "image": name,
            "unpacked_bytes": image.unpacked_bytes,
            "packed_bytes": image.packed_bytes,
            "packed_is_estimate": image.packed_is_estimate,
            "reclaimable_bytes": image.reclaimable_bytes,
            "layers": len(image.layers),
        }
        for name, image in zip(names or [_short(i.name) for i in measured], measured, strict=True)
    ]
    return pd.DataFrame(rows)


def layers(image: Image) -> pd.DataFrame:
    """One row a layer, base first: what its instruction added, and what later ones buried of it."""
    return pd.DataFrame(
        {
            "layer": layer.index,
            "instruction": layer.instruction,
            "unpacked_bytes": layer.unpacked_bytes,
            "packed_bytes": layer.packed_bytes,
            "reclaimable_bytes": layer.reclaimable_bytes,
            "files": layer.files,
        }
        for layer in image.layers
    )


def steps(build: Build) -> pd.DataFrame:
    """One row a step in the order of starting; `start` and `seconds` count from the first start."""
    begun = [step for step in build.steps if step.started is not None]
    first = min((step.started for step in begun), default=0.0)
    return pd.DataFrame(
        {
            "step": " ".join(step.name.split()),
            "stage": step.stage,
            "line": step.line,
            "start": step.started - first,
            "seconds": step.seconds,
            "cached": step.cached,
        }
        for step in begun
    ).astype({"line": "Int64"})


def largest_files(image: Image, count: int = 10) -> pd.DataFrame:
    """The largest live files of an image: path, bytes, and the instruction that put them there."""
    live = [(entry, index) for entry, index in image.tree().values() if entry.kind == "file"]
    live.sort(key=lambda item: (-item[0].size, item[0].path))
    return pd.DataFrame(
        {
            "path": f"/{entry.path}",
            "unpacked_bytes": entry.size,
            "instruction": image.layers[index].instruction,
        }
        for entry, index in live[:count]
    )


def probes(*asked: Probe) -> pd.DataFrame:
    """One column a probe, one row a question; what could not be asked is `—`."""
    columns = {
        _short(probe.image): {
            "answers": probe.answered,
            **(probe.self_check or {}),
            "shell": probe.shell,
            "exit code after SIGTERM": probe.exit_code,
        }
        for probe in asked
    }
    return pd.DataFrame(columns, dtype=object).astype(object).where(lambda f: f.notna(), "—")


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table with bytes and seconds as people read them (text, for showing only)."""
    shown = frame.copy()
    for column in shown.columns:
        if str(column).endswith("_bytes"):
            shown[column] = [format_bytes(_known(value)) for value in shown[column]]
        elif column in ("seconds", "start"):
            shown[column] = [format_seconds(_known(value)) for value in shown[column]]
    return shown


def _known(value):
    return None if pd.isna(value) else value


def _short(name: str) -> str:
    """`go/multi` out of `shiplight/<lab>/go:multi`; other names as they are."""
    parts = name.split("/")
    return parts[2].replace(":", "/") if name.startswith("shiplight/") and len(parts) == 3 else name
