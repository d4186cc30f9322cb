"""Numbers as people read them: decimal units, three figures, `—` for what is unknown."""

import re

UNKNOWN = "—"

# What a terminal obeys, or what turns a line around; and what cannot be written as UTF-8.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Text from elsewhere as a terminal may show it: control characters as their numbers.

    >>> visible("\x1b[2J\tcleared")
    '\\x1b[2J\tcleared'
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


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


def format_seconds(seconds: float | None) -> str:
    """A duration: milliseconds below one second, minutes from two minutes on.

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


def format_ratio(large: float | None, small: float | None) -> str:
    """How many times larger: `88.5×`; unknown where either is, or where `small` is 0.

    >>> format_ratio(885, 10), format_ratio(1, 0)
    ('88.5×', '—')
    """
    if large is None or not small:
        return UNKNOWN
    return f"{_three_figures(large / small)}×"


def format_percent(part: float | None, whole: float | None) -> str:
    """A share in whole percent; more than 99 but not all stays visible as `>99 %`.

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
