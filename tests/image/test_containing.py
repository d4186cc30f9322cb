"""Bytes are found in the files of a layer, wherever in it they are and however it is packed."""

import factories
import pytest
from factories import directory, file, symlink, whiteout

from shiplight.errors import ArchiveError
from shiplight.image import containing, has

WORD = b"t0ken-of-ann"
LAYER = factories.tar(
    [
        directory("etc"),
        file("etc/pip.conf", b"url = http://ann:" + WORD + b"@host\n"),
        file("etc/other", b"x" * 700_000 + WORD[:-1]),
        file("far", b"y" * 1_048_570 + WORD),
        file(f"named-{WORD.decode()}", b""),
        symlink("link", f"/home/{WORD.decode()}"),
        whiteout("gone"),
    ]
)
EXPECTED = ["etc/pip.conf", "far", f"named-{WORD.decode()}", "link"]


@pytest.mark.parametrize("packing", ["", "gzip", "gzip members", "zstd"])
@pytest.mark.parametrize("step", [7_001, 1 << 20])
def test_a_word_is_found_in_contents_names_and_links(packing, step):
    packed = factories.pack(LAYER, packing)
    blocks = [packed[start : start + step] for start in range(0, len(packed), step)]
    assert list(containing(blocks, WORD)) == EXPECTED


def test_a_word_that_two_pieces_share_is_found_and_half_of_it_is_not():
    for cut in range(len(WORD) + 1):
        assert has([b"a" + WORD[:cut], WORD[cut:] + b"z"], WORD)
        assert not has([b"a" + WORD[:cut], b"-" + WORD[cut:]], WORD) or cut in (0, len(WORD))
    assert has([bytes([byte]) for byte in WORD], WORD) and not has([], WORD)
    assert has([b"ab"], b"b") and not has([b"ab"], b"c")


def test_what_is_not_a_layer_is_refused():
    with pytest.raises(ArchiveError, match="not a tar header"):
        list(containing([b"not a layer" * 100], WORD))
