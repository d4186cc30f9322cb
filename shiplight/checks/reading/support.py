"""Look up the end of security support of an image, for every product in its name.

The data has a date of its own: `data/ends.json`, with corrections in `data/support.toml`. An image
that is in neither is unknown: neither supported nor unsupported.
"""

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import cache

from .known import FOLDER, VERSION, Known, data, numbers

_OLD = timedelta(days=183)


@dataclass(frozen=True)
class Part:
    """A product in an image's name, and the last day of its support.

    `last` is date.max if no last day is known yet, date.min if support ended on an unknown day, and
    None if the product is known but its release is not.
    """

    name: str
    last: date | None

    @property
    def end(self) -> str:
        """When it ended, in words."""
        return f"{self.name} ended" + (f" {self.last}" if self.last > date.min else "")


@cache
def _ends() -> dict:
    return json.loads((FOLDER / "ends.json").read_text(encoding="utf-8"))


def as_of() -> date:
    """Return the day of the data."""
    return date.fromisoformat(_ends()["as_of"])


def dated(today: date) -> str:
    """Return the day of the data in words, with a warning where it is older than half a year.

    >>> dated(date(2026, 9, 1)), dated(date(2030, 1, 1))[:56]
    ('dates of 2026-08-22', 'dates of 2026-08-22, which are older than half a year')
    """
    old = ", which are older than half a year" if today - as_of() > _OLD else ""
    return f"dates of {as_of()}{old}"


def outdated(today: date) -> str:
    """Return the warning in brackets where the data is older than half a year, else ""."""
    return f" ({dated(today)})" if today - as_of() > _OLD else ""


def parts_of(image: Known) -> tuple[Part, ...]:
    """Return every product in an image's name with its last day, the image itself first."""
    support = data("support")
    found = [Part(f"the image {image.name}", support["retired"].get(image.name))]
    if image.name.startswith("gcr.io/distroless/"):
        match = re.search(r"debian\d+$", image.name)
        last = support["distroless"].get(match[0], date.max) if match else None
        return (Part(f"distroless {match[0]}", last),) if match else ()
    own = _own(image)
    by_suite = image.suite and own == image.suite[0]  # debian:bookworm has no number
    if own and not by_suite and own not in support["rolling"]["products"]:
        release = _release(own, _OF_TEMPLATE.sub("", image.tag) if _is_dev(image) else image.tag)
        if image.digest and release in support["moving"].get(own, ()):
            release = ""  # the word moves on, these bytes do not
        name = image.name.rpartition("/")[2] if own != "dotnet" else own
        found.append(Part(f"{name} {release}".strip(), _last(own, release)))
    if image.suite:
        found.append(_suite_part(*image.suite))
    text = f"{image.name.partition('/')[2]}:{image.tag}"
    for row in support["within"]:
        for match in re.finditer(rf"(?<![a-z]){row['pattern']}(?!\d)", text):
            if row["product"] != own:
                number = row["product"] == "python" and re.sub(r"^3(\d)", r"3.\1", match[1])
                release = number or match[1]
                found.append(Part(f"{row['product']} {release}", _last(row["product"], release)))
    return tuple(dict.fromkeys(part for part in found if part.last or part is not found[0]))


# Before the release, images for dev containers may name that of their template: 1-3.12-bookworm.
_OF_TEMPLATE = re.compile(r"^(?:dev-)?(?:\d+(?:\.\d+){0,2}-(?=\d))?")


def _is_dev(image: Known) -> bool:
    return "devcontainers/" in image.name


def ended(image: Known, today: date) -> list[Part]:
    """Return the parts of an image that no longer have security support."""
    return [part for part in parts_of(image) if part.last and part.last < today]


def supported(image: Known) -> bool:
    """Return whether the data knows a last day of every product in an image's name.

    An unknown image stays unknown, whatever else its name contains.
    """
    parts = parts_of(image)
    known = bool(_own(image) or image.size or image.language)
    return known and bool(parts) and all(part.last for part in parts)


def is_rolling(image: Known) -> bool:
    """Return whether an image is a tool whose every release ends when the next one is out."""
    return _own(image) in data("support")["rolling"]["products"]


def _own(image: Known) -> str:
    """The product that an image's name is, "" where that is unknown."""
    products = _ends()["products"]
    for pattern, product in data("support")["products"].items():
        if fnmatchcase(image.name, pattern):
            return product
    plain = image.name.removeprefix("bitnami/")
    named = _by_image().get(image.name)
    return named or (plain if "/" not in plain and plain in products else "")


@cache
def _by_image() -> dict[str, str]:
    products = _ends()["products"].items()
    return {image: product for product, row in products for image in row["images"]}


def _release(product: str, tag: str) -> str:
    """The release that a tag begins with, by its number or its word."""
    if match := VERSION.match(tag.removeprefix("stream")):
        return match[1]
    words = data("support")["releases"].get(product, {})
    moving = data("support")["moving"].get(product, ())
    return next((number for word, number in words.items() if word in tag), "") or next(
        (word for word in moving if tag.split("-")[0] == word), ""
    )


def _suite_part(distribution: str, suite: str) -> Part:
    """The support of a distribution's release, which tags give by its name or its number."""
    rows = data("suites")["suite"]
    numbers = next((row["names"] for row in rows if row["distribution"] == distribution), {})
    number = numbers.get(suite, suite)
    product = {"alpine": "alpine-linux"}.get(distribution, distribution)
    name = suite if distribution in ("debian", "alpine") else number
    return Part(f"{distribution} {name}", _last(product, number))


def _last(product: str, release: str) -> date | None:
    """The last day of a release; of the newest that `8` may stand for, and of all below a first."""
    if not release:
        return None
    if release in data("support")["moving"].get(product, ()):
        return date.max
    own = data("support").get(product)
    ends = own or _ends()["products"].get(product, {}).get("ends", {})
    parts = release.split(".")
    longer = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    cycle = next((each for each in longer if each in ends), None)
    if cycle is None:
        newer = [each for each in ends if each.startswith(f"{release}.")]
        cycle = max(newer, key=numbers, default=None)
    if cycle is None:
        first = min((each for each in ends if numbers(each)), key=numbers, default=None)
        cycle = first if first and numbers(release) < numbers(first) else None
        last = _day(ends[cycle]) if cycle else None
        return last if last and last < as_of() else None
    return _day(ends[cycle])


def _day(end: str | bool | date) -> date:
    if isinstance(end, bool):
        return date.min if end else date.max
    return end if isinstance(end, date) else date.fromisoformat(end)
