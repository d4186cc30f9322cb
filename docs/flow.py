"""Draw the README's first picture: where the bytes of node/multi come from, and which of them ship.

    python docs/flow.py     # docs/flow.png; needs Chromium, and an engine with the bases of 02

Every step comes from the cache where node/multi and its stages were built before.
"""

from pathlib import Path

from shiplight import charts, connect, origins

PICTURE = Path(__file__).with_name("flow.png")


def main() -> None:
    """Build the stages, follow their bytes, and write the picture; its ground is transparent."""
    figure = charts.flow(origins(connect(), "node/multi"))
    figure.write_image(PICTURE, width=charts.PICTURE, scale=2)


if __name__ == "__main__":
    main()
