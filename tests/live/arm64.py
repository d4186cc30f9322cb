"""Variants built for linux/arm64 on amd64, emulated: on equivalents for arm64, measured and run.

`engines.py arm64` calls this. The emulator is registered only meanwhile, and everything that is
made is on an engine of its own.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import contracts
import emulating
from other_engines import EMULATED, OTHERS, running

from shiplight import builds, catalogue, dockerfile, engine
from shiplight.builds.bases import Recipe
from shiplight.builds.platforms import arguments
from shiplight.dockerfile import image_uses
from shiplight.errors import ShipLightError
from shiplight.inspection import measure, probe, programs, run_once
from shiplight.references import canonical
from shiplight.units import format_bytes, format_seconds

TRIED = ROOT / "recordings" / "arm64-tried.json"
PLATFORM = "linux/arm64"
CROSSED = "platforms/cross-rust"  # compiled for amd64 by a builder for arm64, as on a Mac
PLATFORMS, CROSS = ROOT / "apps" / "platforms", "Dockerfile.cross-rust"
VARIANTS = ["go/multi", "node/multi", "python/slimmest", "rust/static", CROSSED]  # the slowest last
LIMIT_SECONDS = 5400


def try_variants(names: list[str], *, keep: bool, written: Callable[[], None]) -> None:
    """Build each variant and record what came of it; `written` is called after each step.

    What is on the engine of an earlier run (`keep`) is not assembled again.
    """
    other = replace(OTHERS["28.5"], name=f"28.5{EMULATED}")
    with (
        tempfile.TemporaryDirectory() as folder,
        emulating.emulated(emulating.busybox(Path(folder))) as emulator,
        running(other, keep=keep) as client,
    ):
        about = engine.describe(client)
        on = {"engine": str(about), "store": about.store, "emulator": emulator}

        def note(kind: str, name: str, row: dict) -> None:
            print(json.dumps({name: row}, indent=1), flush=True)
            known = tried()
            when = datetime.now(UTC).isoformat(timespec="seconds")
            known[kind][name] = row | on | {"when": when}
            TRIED.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            written()

        for name in names:
            try:
                for recipe in recipes_of(bases_of(name)):
                    if not engine.has_image(client, recipe.equivalent):
                        note("bases", recipe.reference, assembled(client, recipe))
            except ShipLightError as error:
                note("variants", name, {"failed": _told(error)})
                continue
            command = other.inside(sys.executable, __file__, name)
            how = {"cwd": ROOT, "env": other.environment, "timeout": LIMIT_SECONDS}
            done = subprocess.run(command, stdout=subprocess.PIPE, **how)
            lost = {"failed": f"its script ended with exit code {done.returncode}"}
            note("variants", name, lost if done.returncode else json.loads(done.stdout))


def tried() -> dict[str, dict[str, dict]]:
    """What has been recorded, of bases and of variants, by name."""
    if TRIED.exists():
        return json.loads(TRIED.read_text(encoding="utf-8"))
    return {"bases": {}, "variants": {}}


def recipes_of(references: list[str]) -> list[Recipe]:
    """How these bases are assembled for arm64, and first those that they are based on."""
    found = {}
    for reference in references:
        recipe = builds.recipes()[canonical(reference)].on(PLATFORM)
        found |= {one.reference: one for one in recipes_of(recipe.needs)}
        found[recipe.reference] = recipe
    return list(found.values())


def assembled(client, recipe: Recipe) -> dict:
    """Assemble one equivalent, whose own bases are there, and compare it with its contract."""
    clock = time.monotonic()
    builds.provide_for(client, [recipe.reference], PLATFORM)
    seconds = time.monotonic() - clock
    inside = contracts.Inside(client, recipe.equivalent)
    promised = contracts.contract(recipe, inside.image.platform)
    return {
        "seconds": round(seconds, 1),
        "platform": inside.image.platform,
        "unpacked_bytes": inside.image.unpacked_bytes,
        "unlike": {part.__name__: part(inside, promised) for part in contracts.PARTS},
    }


def bases_of(name: str) -> list[str]:
    """The bases of a variant that are for arm64, each once."""
    row = catalogue.find(name) if name != CROSSED else None
    file = row.folder / row.dockerfile if row else PLATFORMS / CROSS
    read = dockerfile.parse(file.read_text(encoding="utf-8"))
    return list(dict.fromkeys(use.reference for use in image_uses(read)))


def result_of(name: str) -> dict:
    """Build a variant with nothing cached, measure it, read its programs, run it and ask it."""
    client = engine.connect()
    if name == CROSSED:
        return crossed(client)
    row = {}
    try:
        built = builds.build(client, name, platform=PLATFORM, no_cache=True)
        row["seconds"] = round(built.seconds, 1)
        image = measure(client, built)
        row |= {"platform": image.platform, "unpacked_bytes": image.unpacked_bytes}
        found = [one.architecture for one in programs(client, built, "/")]
        row["programs"] = {one: found.count(one) for one in sorted(set(found))}
        asked = probe(client, built)
        row |= {
            "answered": asked.answered,
            "seconds_to_answer": asked.seconds_to_answer,
            "exit_code": asked.exit_code,
            "unlike": asked.unlike(catalogue.find(name).probe),
        }
        if not asked.answered:
            row["failed"] = asked.last_words[-1] if asked.last_words else "it said nothing"
    except ShipLightError as error:
        row["failed"] = _told(error)
    return row


def crossed(client) -> dict:
    """Build for amd64 where BUILDPLATFORM is arm64, with nothing cached, and run the program."""
    known = arguments(PLATFORM, "linux/amd64")
    given = {name: value for name, value in known.items() if name.startswith("BUILD") and value}
    try:
        how = {"file": CROSS, "build_args": given, "name": CROSSED}
        built = builds.build(client, PLATFORMS, platform="linux/amd64", no_cache=True, **how)
        found = [one.architecture for one in programs(client, built, "/")]
        image = measure(client, built)
        return {
            "seconds": round(built.seconds, 1),
            "platform": image.platform,
            "unpacked_bytes": image.unpacked_bytes,
            "programs": {one: found.count(one) for one in sorted(set(found))},
            "said": run_once(client, built),
        }
    except ShipLightError as error:
        return {"failed": _told(error)}


def _told(error: ShipLightError) -> str:
    return " ".join(error.message.split())[:600]


def table() -> list[str]:
    """The rows of docs/engines.md, and why cells are empty."""
    bases, known = tried().values()
    variants = {name: known.get(name, {"failed": "not tried yet"}) for name in VARIANTS}
    lines = [
        "| equivalent for arm64 | assembled in | unpacked | unlike its contract |",
        "|---|---|---|---|",
    ]
    for name, row in bases.items():
        unlike = [" ".join(one.split()) for found in row["unlike"].values() for one in found]
        cells = _seconds(row), _bytes(row), ", ".join(f"`{one}`" for one in unlike) or "nothing"
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    lines += [
        "",
        "| variant | built in | unpacked | programs | `/healthz` |",
        "|---|---|---|---|---|",
    ]
    for name, row in variants.items():
        found = ", ".join(f"{count} for {kind}" for kind, count in row.get("programs", {}).items())
        lines.append(f"| {name} | {_seconds(row)} | {_bytes(row)} | {found} | {_answer(row)} |")
    places = {
        f"{row['engine']}, {row['store']}, by {row['emulator']} ({row['when'][:10]})"
        for row in [*bases.values(), *known.values()]
    }
    lines += ["", f"Emulated on {'; '.join(sorted(places)) or 'no engine yet'}."]
    notes = [f"- {name}: {row['failed']}" for name, row in variants.items() if "failed" in row]
    notes += [
        f"- {name}: `{question}` is {seen}, and {wanted} on amd64"
        for name, row in variants.items()
        for question, (wanted, seen) in row.get("unlike", {}).items()
    ]
    notes += [
        f"- {name}: compiled for amd64 by a builder for arm64; on amd64, it said `{row['said']}`"
        for name, row in variants.items()
        if "said" in row
    ]
    return [*lines, *(["", "What failed or was different:", "", *notes] if notes else [])]


def _seconds(row: dict) -> str:
    return format_seconds(row["seconds"]) if "seconds" in row else ""


def _bytes(row: dict) -> str:
    return format_bytes(row["unpacked_bytes"]) if "unpacked_bytes" in row else ""


def _answer(row: dict) -> str:
    if "answered" not in row:
        return ""
    if not row["answered"]:
        return "none"
    return f"after {format_seconds(row['seconds_to_answer'])}"


if __name__ == "__main__":  # where the ports of the engine can be reached
    print(json.dumps(result_of(*sys.argv[1:])))
