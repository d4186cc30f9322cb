"""Try on every context of tests/wasteful.py whether the promised bytes are saved; print a table.

    python tests/live/bytes_saved.py [NAME …]

Builds each before and after its fix; needs an engine, its bases and the package registries. The
table is kept, with its date, in docs/your-own.md.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import wasteful

from shiplight import engine
from shiplight.checks import checklist, with_build
from shiplight.checks.questions.weighing import Weight
from shiplight.units import format_bytes


def weighed(client, context: wasteful.Wasteful, folder: Path, *, fixed: bool) -> Weight:
    """Return where the bytes of a context's image are, before or after the fix."""
    path = context.write(folder / ("after" if fixed else "before"), fixed=fixed)
    return checklist.run(with_build(client, checklist.read_subject(path))).weight


def main(names: list[str]) -> None:
    client = engine.connect()
    print("| context | before | promised | saved | promised : saved |\n|---|---|---|---|---|")
    for context in wasteful.ALL:
        if names and not any(name in context.name for name in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            before = weighed(client, context, Path(folder), fixed=False)
            after = weighed(client, context, Path(folder), fixed=True)
        saved = before.unpacked_bytes - after.unpacked_bytes
        sizes = map(format_bytes, (before.unpacked_bytes, before.can_go_bytes, saved))
        share = before.can_go_bytes / saved if saved else float("nan")
        print(f"| {context.name} | {' | '.join(sizes)} | {share:.3f} |", flush=True)
        for when, weight in (("before", before), ("after", after)):
            for row in weight.rows:
                where = f"{row.place.path} {row.place.found}"
                print(f"  {when} {row.kind} {row.bytes:,} {where}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
