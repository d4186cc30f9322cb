"""Score an image that is to ship: one row for each thing that is asked of it, with its evidence.

`points` decides what was seen is worth, and needs no engine; `scoring` builds and looks; `page`
writes the report. Knows no lesson: what is asked is given as `Limits`.
"""

from ..lazily import offered

__getattr__, __dir__, __all__ = offered(
    __name__,
    {
        "DID_NOTHING": "points",
        "LOST": "points",
        "MOST": "points",
        "Limits": "points",
        "Row": "points",
        "STILL_RUNS": "points",
        "Score": "scoring",
        "Seen": "points",
        "UNREACHED": "points",
        "points_of": "charting",
        "rows_of": "points",
        "score": "scoring",
    },
)
