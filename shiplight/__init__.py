"""Ship Light: Docker multi-stage builds, learned by building, measuring and proving them.

client = shiplight.connect()                  # the Docker SDK's own client, or a stand-in
build = shiplight.build(client, "go/multi")   # BuildKit, with live steps
image = shiplight.measure(client, build)      # layers and bytes, from the image itself

What only lessons need (banner, claims, exercises, clearing up) is in `shiplight.lessons`.
"""

from importlib import import_module

_HOMES = {
    "ask": "recordings",
    "build": "builds",
    "charts": "charts",
    "connect": "recordings",
    "frames": "charts.frames",
    "measure": "inspection",
    "probe": "inspection",
    "recipe": "builds",
    "scan": "scans",
    "scan_charts": "charts.scan_charts",
    "scan_frames": "charts.scan_frames",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    """Load a package when it is first asked for: `./lab --help` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f".{_HOMES[name]}", __name__)
    return home if _HOMES[name].split(".")[-1] == name else getattr(home, name)


def __dir__():
    return __all__
