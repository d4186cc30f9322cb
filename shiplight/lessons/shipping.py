"""The services of lesson 13, and what is asked of each: `shipping.toml`, and what was measured.

`shipped.toml` has the bytes of every right answer as measured on an engine, with the day;
`tests/exercises/measure_shipped.py` writes it. The smallest of each service gets all points.
"""

import tomllib
from functools import cache
from pathlib import Path

from ..errors import UsageError
from ..scoring import Limits
from ..setting import Setting

TOKEN = "made-up-5f0d3c7ab21e"  # opens nothing: a secret to look for
MAY_STAY = ("supported-bases",)  # the course keeps the article's bases
SHIPPED = Path(__file__).with_name("shipped.toml")


@cache
def services() -> dict[str, dict]:
    """Return the services by their language, in the order in which they are offered."""
    return tomllib.loads(Path(__file__).with_name("shipping.toml").read_text(encoding="utf-8"))


@cache
def shipped() -> dict:
    """Return what was measured, by language: `setting`, and `answers`, bytes by their name."""
    return tomllib.loads(SHIPPED.read_text(encoding="utf-8"))


def service(language: str) -> dict:
    """Return one service. Raises UsageError, with those that there are."""
    if language not in services():
        raise UsageError(
            f"there is no service in {language!r}.", hint=f"one of {', '.join(services())}"
        )
    return services()[language]


def limits_of(language: str) -> Limits:
    """Return what lesson 13 asks of the service in a language. Raises UsageError."""
    asked, known = service(language), shipped().get(language)
    return Limits(
        at_most=asked["at_most"],
        best=min(known["answers"].values()) if known else None,
        port=asked["port"],
        keeps=("ca_certificates",),
        edit=asked["edit"],
        may_stay=MAY_STAY,
        source=str(Setting(**known["setting"] | {"mode": "recorded"})) if known else "",
    )
