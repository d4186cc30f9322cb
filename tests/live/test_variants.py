"""Every variant of the catalogue is built cold, and does what its row expects."""

import pytest
import variants

from shiplight import catalogue


@pytest.mark.parametrize("row", variants.FIRST, ids=lambda row: row.name)
def test_every_variant_gives_the_probe_that_its_row_expects(client, row):
    variants.gives_what_its_row_expects(client, row)


def test_no_variant_is_left_out():
    assert len(variants.FIRST) + len(variants.LAST) == len(catalogue.rows())
    assert [row.name for row in variants.LAST] == list(variants.BY_A_LESSON)
