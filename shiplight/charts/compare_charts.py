"""How two images differ, as tables and as charts: files, packages, and bytes by instruction.

Made of the parts of `frames` and `drawing`, from what `compare` returns.
"""

from ..image import CHANGED, FIRST, SAME, SECOND, WHERE, Comparison
from ..units import format_bytes, format_percent
from .drawing import add_bars, empty_chart, places
from .frames import short, table_of


def files(found: Comparison):
    """Return one row for each place, `only in the first` to `in both`: files and bytes."""
    rows = [
        {"where": _named(found, where), "files": found.count(where), "bytes": found.bytes(where)}
        for where in WHERE
    ]
    return table_of(rows, found).rename(columns={"bytes": "unpacked_bytes"})


def largest(found: Comparison, count: int = 10):
    """Return the files that differ by the most bytes, with their bytes in both images."""
    rows = [
        {
            "path": f"/{file.path}",
            "where": _named(found, file.where),
            "first_bytes": file.first_bytes,
            "second_bytes": file.second_bytes,
        }
        for file in found.files[:count]
    ]
    columns = ["path", "where", "first_bytes", "second_bytes"]
    return table_of(rows, found, columns=columns).astype(dict.fromkeys(columns[2:], "Int64"))


def packages(found: Comparison):
    """Return one row for each package that only one image has, or in another version."""
    columns = ["kind", "name", "where", "first_version", "second_version"]
    rows = [[p.kind, p.name, _named(found, p.where), *p[3:]] for p in found.packages]
    return table_of(rows, found, columns=columns)


def layers(found: Comparison):
    """Return one row for each layer: shared ones, then those of each image, base first."""
    rows = [
        {"where": _named(found, layer.where)}
        | {k: v for k, v in layer._asdict().items() if k != "where"}
        for layer in found.layers
    ]
    return table_of(rows, found, columns=["where", "instruction", "unpacked_bytes"])


def _named(found: Comparison, where: str) -> str:
    """`only in go/multi` for `only in the second`."""
    names = {FIRST: f"only in {short(found.first)}", SECOND: f"only in {short(found.second)}"}
    return names.get(where, where)


def differences(found: Comparison):
    """Draw the bytes of files that only one image has, that changed, and that both have."""
    table = files(found)
    before = (
        found.bytes(FIRST)
        + found.bytes(SAME)
        + sum(file.first_bytes for file in found.files if file.where == CHANGED)
    )
    share = format_percent(found.bytes(FIRST), before)
    figure = empty_chart(
        f"{share} of the bytes in {short(found.first)} are in files that "
        f"{short(found.second)} does not have",
        "unpacked bytes of all files that a container can see, by path",
        found.setting,
        rows=len(table),
    )
    add_bars(
        figure,
        labels=[
            f"{row.where}: {row.files:,} file{'' if row.files == 1 else 's'}"
            for row in table.itertuples()
        ],
        values=table["unpacked_bytes"],
        texts=[format_bytes(value) for value in table["unpacked_bytes"]],
        accent={0},
    )
    return figure


def instructions(found: Comparison):
    """Draw the bytes of each layer: those that both share, then each image's own."""
    table = layers(found)
    table = table[table["unpacked_bytes"] > 0].reset_index(drop=True)
    rows = places(list(table["where"]))
    own = [sum(r.unpacked_bytes for r in found.layers if r.where == w) for w in (FIRST, SECOND)]
    shared = f"{format_bytes(found.shared_bytes)} in layers" if found.shared_bytes else "no layer"
    figure = empty_chart(
        f"{short(found.first)} and {short(found.second)} share {shared}; "
        f"they add {format_bytes(own[0])} and {format_bytes(own[1])}",
        "unpacked bytes of each layer, by the instruction that created it",
        found.setting,
        rows=rows[-1] + 1 if rows else 0,
    )
    add_bars(
        figure,
        labels=[
            f"{row.where.removeprefix('only in ')} · {row.instruction}"
            for row in table.itertuples()
        ],
        values=table["unpacked_bytes"],
        texts=[format_bytes(value) for value in table["unpacked_bytes"]],
        accent=set(table.index[table["where"] == _named(found, SECOND)]),
        rows=rows,
    )
    return figure
