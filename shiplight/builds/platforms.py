"""The automatic platform arguments of a build, with the values that BuildKit sets."""


def arguments(build: str, target: str | None = None) -> dict[str, str]:
    """Return `BUILDPLATFORM`, `TARGETARCH` and so on, for `os/arch[/variant]`.

    >>> arguments("linux/amd64", "linux/arm/v7")["TARGETVARIANT"]
    'v7'
    """
    found = {}
    for side, platform in (("BUILD", build), ("TARGET", target or build)):
        system, _, rest = platform.partition("/")
        architecture, _, variant = rest.partition("/")
        found |= {
            f"{side}PLATFORM": platform,
            f"{side}OS": system,
            f"{side}ARCH": architecture,
            f"{side}VARIANT": variant,
        }
    return found


def another(platform: str) -> str:
    """Return a platform that an engine of this one has to be asked for.

    >>> another("linux/amd64"), another("linux/arm64")
    ('linux/arm64', 'linux/amd64')
    """
    return "linux/amd64" if plain(platform) == "linux/arm64" else "linux/arm64"


_ALSO = {"x86_64": "amd64", "aarch64": "arm64", "arm64/v8": "arm64"}


def plain(platform: str) -> str:
    """Return the normalized name of a platform.

    >>> plain("linux/arm64/v8"), plain("Linux/x86_64")
    ('linux/arm64', 'linux/amd64')
    """
    system, _, rest = platform.lower().partition("/")
    return f"{system}/{_ALSO.get(rest, rest)}"
