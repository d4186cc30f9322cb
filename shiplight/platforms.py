"""The automatic platform arguments of a build, as BuildKit gives them their values."""


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
