"""What variables expand to: as BuildKit expands them, and never more than a program could take."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiplight.dockerfile import Room, TooLarge, parse, stages
from shiplight.dockerfile.words import Lexer
from shiplight.errors import DockerfileError

TEN = "x" * 10


VALUES = {
    "repeated": "$A" * 10,
    "replaced": "${A//x/" + TEN + "}",
    "by default": "${Z:-" + "$A" * 10 + "}",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_made_of_values_are_refused_before_they_take_the_memory(value):
    lines = [f"ARG A{n}={value.replace('A', f'A{n - 1}')}" for n in range(1, 7)]
    read = parse("\n".join([f"ARG A0={TEN}", *lines, "FROM a:$A6"]))
    with pytest.raises(DockerfileError, match=r"line \d: its variables are too large to expand"):
        stages.image_uses(read)


def test_many_words_share_the_room_of_their_dockerfile():
    room, values = Room(100_000), {"A": "x" * 30_000}
    for _ in range(3):
        assert len(Lexer("$A", values, room=room).string()) == 30_000
    with pytest.raises(TooLarge):
        Lexer("$A", values, room=room).string()


def test_text_that_no_variable_makes_longer_has_any_length():
    text = "$A${unset}" * 50_000
    assert Lexer(text, {"A": "bc"}).string() == text.replace("$A", "bc")


def _matches(pattern: str, text: str) -> bool:
    glob = "".join({"*": ".*", "?": "."}.get(char, char) for char in pattern)
    return re.fullmatch(glob, text) is not None


@settings(max_examples=300, deadline=None)
@given(st.text("ab", max_size=7), st.text("ab*?", max_size=5))
def test_a_shell_pattern_cuts_as_trying_every_cut_does(value, pattern):
    def cut(how: str) -> str:
        return Lexer("${v" + how + pattern + "}", {"v": value}).string()

    places = range(len(value) + 1)
    ends = [n for n in places if _matches(pattern, value[:n])] or [0]
    begins = [n for n in places if _matches(pattern, value[n:])] or [len(value)]
    assert (cut("#"), cut("##")) == (value[min(ends) :], value[max(ends) :])
    assert (cut("%"), cut("%%")) == (value[: max(begins)], value[: min(begins)])


@settings(max_examples=300, deadline=None)
@given(st.text("ab", max_size=7), st.text("ab*?", min_size=1, max_size=5))
def test_a_shell_pattern_replaces_the_longest_match_at_the_first_place(value, pattern):
    found = Lexer("${v/" + pattern + "/-}", {"v": value}).string()
    spans = [
        (start, -end)
        for start in range(len(value) + 1)
        for end in range(start, len(value) + 1)
        if _matches(pattern, value[start:end])
    ]
    start, end = min(spans, default=(None, None))
    assert found == (value if start is None else f"{value[:start]}-{value[-end:]}")


def test_nothing_is_no_match_right_behind_another_as_in_go():
    assert Lexer("${v//*/x}", {"v": "abc"}).string() == "x"


@pytest.mark.parametrize("how", ["#", "##", "%", "%%", "/"])
def test_stars_that_compete_are_matched_at_once(how):
    value = "a" * 5000
    pattern = "*a" * 40 + "b" + "/" * (how == "/")
    assert Lexer("${v" + how + pattern + "}", {"v": value}).string() == value
