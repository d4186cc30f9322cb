"""Overlaying layers: what is live at the end, and every byte that is buried."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiplight.image.changes import Buried, Entry, overlay, unpacked_bytes

MB = 1_000_000


def file(path, size=MB, content="c", **more):
    return Entry(path, "file", size, content=content, **more)


def folder(path):
    return Entry(path, "dir", mode=0o755)


def whiteout(path):
    return Entry(path, "whiteout")


def opaque(path):
    return Entry(path, "opaque")


def hard_link(path, target):
    return Entry(path, "hardlink", link=target)


def symlink(path, target="elsewhere"):
    return Entry(path, "symlink", link=target)


def reclaimable(layers):
    return sum(item.bytes for item in overlay(layers).buried)


def hows(layers):
    return [(item.path, item.how) for item in overlay(layers).buried]


# The table of facts.md, section 8: files of 1 MB; the last case is a hint only (image.duplicates).
TABLE = {
    "file added, later rm": ([[file("f")], [whiteout("f")]], MB),
    "directory added, later rm -rf": ([[folder("d"), file("d/f")], [whiteout("d")]], MB),
    "opaque whiteout": ([[folder("d"), file("d/f")], [folder("d"), opaque("d")]], MB),
    "rewritten once": ([[file("f")], [file("f", content="other")]], MB),
    "chmod once": ([[file("f")], [file("f", mode=0o755)]], MB),
    "rewritten twice": ([[file("f", content=c)] for c in "abc"], 2 * MB),
    "same content at another path": ([[file("f")], [file("g")]], 0),
}


@pytest.mark.parametrize("case", TABLE)
def test_reclaimable_bytes_are_right_where_dives_are_not(case):
    layers, expected = TABLE[case]
    assert reclaimable(layers) == expected


def test_a_burial_names_the_layer_that_added_and_the_one_that_buried():
    layers = [[], [file("app")], [], [whiteout("app")]]
    assert overlay(layers).buried == (Buried("app", MB, 1, 3, "removed"),)


@pytest.mark.parametrize(
    ("layers", "how"),
    [
        ([[file("d/f")], [whiteout("d/f")]], "removed"),
        ([[file("d/e/f")], [whiteout("d")]], "directory removed"),
        ([[file("d/e/f")], [opaque("d")]], "opaque directory"),
        ([[file("d/f")], [opaque("")]], "opaque directory"),
        ([[file("f")], [file("f", content="new")]], "replaced"),
        ([[file("f")], [file("f", mode=0o600)]], "metadata only"),
        ([[file("d/f")], [file("d", size=1)]], "replaced"),
        ([[file("d/f")], [symlink("d")]], "replaced"),
        ([[file("d")], [folder("d")]], "replaced"),
        ([[file("d")], [file("d/f", size=0)]], "replaced"),
    ],
)
def test_how_content_is_buried(layers, how):
    assert [item.how for item in overlay(layers).buried] == [how]


def test_a_symlink_over_a_directory_hides_all_of_it():
    live = overlay([[folder("d"), file("d/f")], [symlink("d")]]).live
    assert set(live) == {"d"}


def test_a_directory_over_a_symlink_replaces_it():
    live = overlay([[symlink("d")], [folder("d"), file("d/f")]]).live
    assert live["d"][0].kind == "dir"
    assert live["d/f"][1] == 1


def test_a_directory_over_a_directory_merges():
    over = overlay([[folder("d"), file("d/f")], [folder("d"), file("d/g")]])
    assert set(over.live) == {"d", "d/f", "d/g"}
    assert over.buried == ()
    assert over.live["d"][1] == 1


@pytest.mark.parametrize("order", [1, -1])
def test_an_opaque_whiteout_spares_its_own_layer(order):
    above = [folder("d"), opaque("d"), file("d/new")][::order]
    over = overlay([[folder("d"), file("d/old")], above])
    assert set(over.live) == {"d", "d/new"}
    assert [item.path for item in over.buried] == ["d/old"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_whiteout_beside_new_content_of_that_directory_hides_only_what_is_below(order):
    above = [whiteout("d"), folder("d"), file("d/new")][::order]
    over = overlay([[folder("d"), file("d/old")], above])
    assert set(over.live) == {"d", "d/new"}
    assert [item.path for item in over.buried] == ["d/old"]


def test_a_whiteout_of_nothing_does_nothing():
    assert overlay([[file("f")], [whiteout("g"), opaque("h")]]).buried == ()


def test_hard_links_count_once_and_are_buried_with_their_last_name():
    base = [file("f"), hard_link("g", "f"), hard_link("h", "g")]
    assert unpacked_bytes(base) == MB
    assert reclaimable([base, [whiteout("f")]]) == 0
    assert reclaimable([base, [whiteout("f")], [whiteout("h")]]) == 0
    last = overlay([base, [whiteout("f")], [whiteout("h")], [whiteout("g")]]).buried
    assert last == (Buried("f", MB, 0, 3, "removed"),)


def test_the_last_name_of_a_hard_link_is_the_file():
    live = overlay([[file("f"), hard_link("g", "f")], [whiteout("f")]]).live
    assert live == {"g": (file("g"), 0)}


def test_a_hard_link_into_a_lower_layer_keeps_its_content_alive():
    assert reclaimable([[file("f")], [hard_link("g", "f")], [whiteout("f")]]) == 0


def test_a_path_that_comes_twice_in_one_layer_counts_twice_and_lives_once():
    layer = [file("f", content="a"), file("f", content="b")]
    assert unpacked_bytes(layer) == 2 * MB
    assert overlay([layer]).buried == (Buried("f", MB, 0, 0, "replaced"),)


def test_buried_again_after_coming_back():
    layers = [[file("f")], [whiteout("f")], [file("f")], [whiteout("f")]]
    assert hows(layers) == [("f", "removed"), ("f", "removed")]


# An independent, slow way to the same numbers: trees that are really copied and searched.

PATHS = ["a", "b", "a/b", "a/c", "b/c", "a/b/c", "a/b/d", "a/b/c/d"]
KINDS = ["file", "dir", "hardlink", "symlink", "whiteout", "opaque"]


@st.composite
def stacks(draw):
    entry = st.builds(
        lambda path, kind, size, link: Entry(
            path, kind, size if kind == "file" else 0, link=link if kind == "hardlink" else ""
        ),
        st.sampled_from(PATHS),
        st.sampled_from(KINDS),
        st.integers(1, 9),
        st.sampled_from(PATHS),
    )
    return draw(st.lists(st.lists(entry, max_size=6), max_size=5))


def slowly_without(tree, gone):
    return {
        path: at for path, at in tree.items() if path != gone and not path.startswith(f"{gone}/")
    }


def slowly_with(tree, entry, identity):
    """One entry laid over a tree of {path: (is a directory, identity of its content)}."""
    mine = identity if entry.kind == "file" else None
    if entry.kind == "hardlink":
        mine = tree.get(entry.link, (False, None))[1]
    is_folder = entry.kind == "dir"
    for path in list(tree):
        if entry.path.startswith(f"{path}/") and not tree[path][0]:
            tree = slowly_without(tree, path)
    if not is_folder or not tree.get(entry.path, (True,))[0]:
        tree = slowly_without(tree, entry.path)
    return {**tree, entry.path: (is_folder, mine)}


def slowly(layers):
    """What is live at the end, and (path, bytes, added by, buried by) of all that is not."""
    tree, born, alive_after = {}, {}, []
    for index, layer in enumerate(layers):
        for entry in layer:
            if entry.kind == "whiteout":
                tree = slowly_without(tree, entry.path)
            elif entry.kind == "opaque":
                tree = {p: at for p, at in tree.items() if not p.startswith(f"{entry.path}/")}
        for position, entry in enumerate(layer):
            if entry.kind not in ("whiteout", "opaque"):
                born[index, position] = entry
                tree = slowly_with(tree, entry, (index, position))
        alive_after.append({identity for _, identity in tree.values()})
    buried = [
        (
            entry.path,
            entry.size,
            added,
            next(i for i in range(added, len(layers)) if at not in alive_after[i]),
        )
        for at, entry in born.items()
        for added in [at[0]]
        if entry.kind == "file" and at not in alive_after[-1]
    ]
    return set(tree), sorted(buried)


@settings(max_examples=600, deadline=None)
@given(stacks())
def test_it_agrees_with_really_overlaying(layers):
    over = overlay(layers)
    live, buried = slowly(layers)
    assert set(over.live) == live
    assert sorted(item[:4] for item in over.buried) == buried


@settings(max_examples=300, deadline=None)
@given(stacks())
def test_unpacked_is_live_plus_reclaimable(layers):
    over = overlay(layers)
    live = sum(entry.size for entry, _ in over.live.values())
    assert sum(map(unpacked_bytes, layers)) == live + sum(item.bytes for item in over.buried)
