"""Variants of the catalogue on a real engine, and which of them a lesson builds cold by itself.

Each is built cold once in a session, and everybody else finds it in the cache. So the tests of
`live/test_variants.py` come first, and those of what a lesson times anyway come last.
"""

from shiplight import catalogue
from shiplight.builds import cold_build
from shiplight.inspection import probing

BY_A_LESSON = ("rust/single", "rust/cached", "rust/fixed")
# By language in an order in which no lesson is at the same one at the same time: a build that meets
# a step of its own that just runs without the cache waits for that, and then it is not cached.
LANGUAGES = ("node", "python", "rust", "go")
FIRST = sorted(
    (row for row in catalogue.rows() if row.name not in BY_A_LESSON),
    key=lambda row: LANGUAGES.index(row.app),
)
LAST = [row for row in catalogue.rows() if row.name in BY_A_LESSON]


def gives_what_its_row_expects(client, row) -> None:
    """Build it cold, unless that was done: what rust/cached ships depends on its cache mounts."""
    build, _ = cold_build(client, row.name)
    probe = probing.probe(client, build.tag, port=row.port)
    assert probe.unlike(row.probe) == {}, probe
    assert not probe.answered or probe.stop_seconds < 3
