"""Follow the bytes of every variant, and write their sums to docs/origins.md.

    python docs/origins.py    # needs an engine with all bases; compiles what is not in the cache

`origins` itself refuses a table whose sums differ from the image that was measured.
"""

from pathlib import Path

from shiplight import catalogue, connect
from shiplight.inspection import Origins, origins
from shiplight.units import one_line

PAGE = Path(__file__).with_suffix(".md")
HEAD = """# Where the bytes of every variant were born

For each variant: the unpacked bytes of all stages that its image needs, each layer counted once.
In each row, born = shipped + left behind, and shipped is what `measure` counts in the image.
`ambiguous` are bytes that could come from several places.
`./lab origins go/multi` shows one by instruction. `python docs/origins.py` writes this page.

| variant | stages | born | shipped | left behind | ambiguous | ships most of all |
| --- | --- | --- | --- | --- | --- | --- |
"""


def row(found: Origins) -> str:
    """Return one row of the table, in bytes."""
    ambiguous = sum(one.born_bytes for one in found.rows if one.kind == "ambiguous")
    most = max(found.rows, key=lambda one: one.shipped_bytes)
    born, ships = found.born_bytes, found.unpacked_bytes
    cells = (
        found.name,
        f"{len(found.stages)}",
        *(f"{number:,}" for number in (born, ships, born - ships, ambiguous)),
        f"{most.shipped_bytes:,} by `{one_line(most.instruction, 60)}`",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Follow all variants, one after another, and write the page."""
    client, rows = connect(), []
    for variant in catalogue.rows():
        found = origins(client, variant.name)
        rows.append(row(found))
        print(rows[-1], flush=True)
    text = HEAD + "\n".join(rows) + f"\n\n{found.setting}\n"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
