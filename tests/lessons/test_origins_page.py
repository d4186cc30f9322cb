"""docs/origins.md has every variant, and its sums hold."""

from shiplight import catalogue
from shiplight.setup import ROOT


def test_every_variant_is_there_and_its_bytes_add_up():
    text = (ROOT / "docs" / "origins.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split(" | ")] for line in text.split("\n| ")[3:]]
    assert [row[0] for row in rows] == [variant.name for variant in catalogue.rows()]
    for row in rows:
        born, shipped, left_behind, ambiguous = (int(cell.replace(",", "")) for cell in row[2:6])
        assert born == shipped + left_behind and ambiguous <= born, row
