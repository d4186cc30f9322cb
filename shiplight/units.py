"""Numbers as people read them: decimal units, three figures, `—` for what is unknown."""

import functools
import json
import math
import os
import re
import unicodedata

UNKNOWN = "—"

# Letters and marks by Unicode's word, that nothing shows: fillers, and selectors of variants.
_UNSEEN = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800}
_UNSEEN |= {0x3164, 0xFFA0, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
# What the runners of GitHub (and ##vso[ of Azure, ##teamcity[) obey in a line of a log.
_COMMANDS = "add-mask|add-matcher|add-path|debug|echo|endgroup|error|group|notice|remove-matcher"
_COMMANDS += "|save-state|set-env|set-output|stop-commands|warning"
_RUNNERS = re.compile(rf"#(?=#\w*\[)|:(?=:(?:{_COMMANDS})(?: |::))", re.IGNORECASE)


def visible(text: str) -> str:
    r"""Text from elsewhere as people may be shown it: what they would not see, as its number.

    That is what a terminal obeys, what turns a line around or has no width, and what cannot be
    written as UTF-8; in CI, also the first character of a command to its runner. Tabs and ends of
    lines stay.

    >>> visible("\x1b[2J\tcleared"), visible("\u202egnp.exe"), visible("a\u200bb")
    ('\\x1b[2J\tcleared', '\\u202egnp.exe', 'a\\u200bb')
    """
    if os.environ.get("CI") or os.environ.get("TF_BUILD"):
        text = _RUNNERS.sub(lambda found: f"\\x{ord(found[0]):x}", text)
    return "".join(map(_shown, text)) if _has_unseen(text) else text


def visible_line(text: str) -> str:
    r"""Return the same for what is one line: it stays one.

    >>> visible_line("image\nFAKE: all is well")
    'image\\nFAKE: all is well'
    """
    return visible(text).replace("\n", "\\n")


def shortened(text: str, width: int = 100) -> str:
    """Return `text`, or its beginning and an ellipsis: at most `width` characters.

    >>> shortened("COPY . .", 8), shortened("RUN go build", 8)
    ('COPY . .', 'RUN go…')
    """
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def one_line(text: str, width: int) -> str:
    """Return a text from elsewhere as one visible line of at most `width` characters."""
    return shortened(visible_line(" ".join(str(text).split())), width)


def escape(text: str) -> str:
    """Return one line from elsewhere for rich: no markup, and no order for the terminal."""
    from rich import markup  # what works before anything is installed uses this module too

    return markup.escape(visible_line(text))


# The user before a password, and the host after it: an address, or an image's name with them.
_ADDRESS = re.compile(r"(?<![^\s/'\"(])([^\s/:@'\"(]{0,256}):(?!//)[^\s/]{1,256}@(?!sha\d+:)")


def without_passwords(text: str) -> str:
    """Text without the passwords of its addresses.

    >>> without_passwords("tcp://me:s3cr3t@host:1 me:s3cr3t@host/x golang:1.23@sha256:ab")
    'tcp://me:…@host:1 me:…@host/x golang:1.23@sha256:ab'
    """
    return _ADDRESS.sub(r"\1:…@", text)


def in_one_line(method):
    """Decorate a `__repr__` in which others' words stand: what it returns is one visible line."""

    @functools.wraps(method)
    def shown(self) -> str:
        return visible_line(method(self))

    return shown


def _has_unseen(text: str) -> bool:
    if text.isascii():
        return not text.replace("\n", "").replace("\t", "").isprintable()
    return not all(map(_is_shown, text))


def _is_shown(char: str) -> bool:
    if char.isprintable():
        return ord(char) not in _UNSEEN
    return char in "\t\n" or unicodedata.category(char) == "Zs"


def _shown(char: str) -> str:
    return char if _is_shown(char) else char.encode("unicode_escape").decode()


def as_json(data, **how) -> str:
    """Return JSON in ASCII alone; a number that JSON does not have is null.

    >>> as_json({"image": "caf\u00e9", "size": float("nan")})
    '{"image": "caf\\\\u00e9", "size": null}'
    """
    try:
        return json.dumps(data, allow_nan=False, **how)
    except ValueError:
        return json.dumps(_finite(data), allow_nan=False, **how)


def _finite(data):
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data


def _three_figures(value: float) -> str:
    """Three significant figures without an exponent: 9.64, 96.4, 964, 9640."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _scaled(value: float, steps: list[tuple[float, str]]) -> str:
    """`value` in the largest unit in which it shows as at least 1."""
    for factor, unit in steps:
        if abs(value) >= factor * 0.9995:
            return f"{_three_figures(abs(value) / factor)} {unit}"
    raise AssertionError("the last step has to take everything")


def format_bytes(count: int | None) -> str:
    """Bytes in decimal units.

    >>> format_bytes(512), format_bytes(9_640_000), format_bytes(None)
    ('512 B', '9.64 MB', '—')
    """
    if count is None:
        return UNKNOWN
    sign = "−" if count < 0 else ""
    if abs(count) < 1000:
        return f"{sign}{abs(count)} B"
    return sign + _scaled(count, [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (0, "kB")])


_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}


def parse_bytes(text: str) -> int:
    """Return the bytes that somebody typed, in decimal units or in KiB, MiB, GiB.

    Raises ValueError for anything else.

    >>> parse_bytes("90MB"), parse_bytes("1.5 GiB"), parse_bytes("512")
    (90000000, 1610612736, 512)
    """
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([A-Za-z]*)", text.strip())
    if found is None or found[2].lower() not in _UNITS:
        raise ValueError(f"{text!r} is not a number of bytes, such as 90MB, 1.5GB or 64MiB")
    return round(float(found[1]) * _UNITS[found[2].lower()])


def format_seconds(seconds: float | None) -> str:
    """Format a duration: milliseconds below one second, minutes from two minutes on.

    >>> format_seconds(0.042), format_seconds(14.84), format_seconds(135)
    ('42 ms', '14.8 s', '2 min 15 s')
    """
    if seconds is None:
        return UNKNOWN
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{_three_figures(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def format_minutes(seconds: float | None) -> str:
    """Format how long somebody waits, in whole minutes.

    >>> format_minutes(59), format_minutes(754), format_minutes(7500), format_minutes(None)
    ('<1 min', '12 min', '2 h 5 min', '—')
    """
    if seconds is None:
        return UNKNOWN
    hours, minutes = divmod(int(seconds // 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else "<1 min"


def format_ratio(large: float | None, small: float | None) -> str:
    """Format how many times larger: `88.5×`; unknown if either is, or if `small` is 0.

    >>> format_ratio(885, 10), format_ratio(1, 0)
    ('88.5×', '—')
    """
    if large is None or not small:
        return UNKNOWN
    return f"{_three_figures(large / small)}×"


def format_percent(part: float | None, whole: float | None) -> str:
    """Format a share in whole percent; more than 99 but not all stays visible as `>99 %`.

    >>> format_percent(99, 100), format_percent(999, 1000), format_percent(0, 0)
    ('99 %', '>99 %', '—')
    """
    if part is None or not whole:
        return UNKNOWN
    share = 100 * part / whole
    if 99.5 <= share < 100:
        return ">99 %"
    if 0 < share < 0.5:
        return "<1 %"
    return f"{share:.0f} %"
