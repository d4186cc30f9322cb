"""Hide secrets: in a text that is shown, and in the lines of a Dockerfile.

What counts as one stands in `secretwords`.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from ...dockerfile import Dockerfile, parse
from ...errors import DockerfileError
from .secretwords import has_literal, is_value, may_be_secret, secrets_in

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# What ENV, ARG and LABEL give, to the end of the instruction: no shell reads it.
_GIVEN = re.compile(
    r"^[ \t]*(?i:ONBUILD[ \t]+)?(?i:ENV|LABEL|(?P<arg>ARG))[ \t]+(?P<all>(?:\\[\s\S]|[^\n\\])++)",
    re.M,
)
_NAME_VALUE = re.compile(r"(?P<name>[A-Za-z_]\w*)[ \t]+(?!=)(?P<value>[\s\S]+)")
_PAIR = re.compile(
    r"""(?<!\S)"?(?P<name>[\w.-]++)"?=(?P<value>"""
    r"""(?:\\[\s\S]|"(?:\\[\s\S]|[^"\\])*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\s"'\\])*+)"""
)
# What joins two lines into one instruction, with the comments in between.
_CONTINUATION = re.compile(r"[\\`][ \t]*\r?\n(?:[ \t]*(?:#[^\n]*)?\n)*")


@lru_cache(maxsize=2048)
def mask(text: str) -> str:
    """Replace everything in the text that looks like a secret by `…`.

    >>> mask("ENV DB_PASSWORD=hunter2 A=b"), mask("git clone https://me:s3cr3t@host/x")
    ('ENV DB_PASSWORD=… A=b', 'git clone https://me:…@host/x')
    """
    return _without(text, _spans(text), lambda secret: "…")


def masked_lines(read: Dockerfile) -> list[str]:
    """Return the lines of a Dockerfile, without their ends, with `…` for what is a secret in them.

    A secret is found in each line, and in each instruction, whose lines are joined for that.
    """
    lines = _LINE.findall(read.text.removeprefix("\ufeff"))
    for found in (
        *read.global_args,
        *(step for stage in read.stages for step in stage.instructions),
    ):
        place = slice(found.line - 1, found.end_line)
        lines[place] = _LINE.findall(_masked_instruction("".join(lines[place])))
    return [mask(line.rstrip("\r\n")) for line in lines]


def masked_text(text: str) -> str:
    """Return the text of a Dockerfile with `…` for its secrets, also where it cannot be parsed."""
    try:
        return "\n".join(masked_lines(parse(text)))
    except DockerfileError:
        return "\n".join(map(mask, mask(text).split("\n")))


def _masked_instruction(text: str) -> str:
    kept, done = [], 0
    for joint in _CONTINUATION.finditer(text):
        kept += range(done, joint.start())
        done = joint.end()
    kept += range(done, len(text))
    spans = [
        (kept[start], kept[end - 1] + 1)
        for start, end in _spans("".join(map(text.__getitem__, kept)))
        if start < end
    ]
    return _without(text, spans, lambda secret: re.sub(r"[^\r\n]+", "…", secret))


def _spans(text: str) -> list[tuple[int, int]]:
    """Where the secrets of a text stand."""
    return [(found.start, found.end) for found in secrets_in(text)] + [
        pair.span("value")
        for pair in _pairs(text)
        if may_be_secret(pair["name"], pair["value"])
        and (pair.re is _NAME_VALUE or is_value(pair["value"]) or has_literal(pair["value"]))
    ]


def _pairs(text: str) -> Iterator[re.Match]:
    """What a text of instructions says of variables and labels, in both forms."""
    for given in _GIVEN.finditer(text):
        place = given.span("all")
        pair = None if given["arg"] else _NAME_VALUE.match(text, *place)
        yield from [pair] if pair else _PAIR.finditer(text, *place)


def _without(text: str, spans: list[tuple[int, int]], instead: Callable[[str], str]) -> str:
    """The text with something else instead of each span; spans that overlap are one."""
    parts, done = [], 0
    for start, end in _apart(spans):
        parts += [text[done:start], instead(text[start:end])]
        done = end
    return "".join([*parts, text[done:]])


def _apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    apart: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if apart and start < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((start, end))
    return apart
