"""Ship Light: learn Docker multi-stage builds by building, running and measuring them.

client = shiplight.connect()                  # the Docker SDK's own client, or a stand-in
build = shiplight.build(client, "go/multi")   # BuildKit, with live steps
image = shiplight.measure(client, build)      # layers and bytes, from the image itself

What only lessons need (banner, claims, exercises, clearing up) is in `shiplight.lessons`.
"""

from .lazily import offered

__getattr__, __dir__, __all__ = offered(
    __name__,
    {
        "ask": "recordings",
        "build": "builds",
        "charts": "charts",
        "connect": "recordings",
        "frames": "charts.frames",
        "measure": "inspection",
        "origins": "inspection",
        "probe": "inspection",
        "recipe": "builds",
        "scan": "scans",
        "scan_charts": "charts.scan_charts",
        "scan_frames": "charts.scan_frames",
    },
)
