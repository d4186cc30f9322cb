"""Tables and figures of every result: the only package with pandas and plotly.

Every chart has its table from the same frame. Measures nothing itself.
"""

from .build_charts import build_times, rebuilds, timeline
from .drawing import ACCENT, GREY, PICTURE, add_bars, empty_chart, places, say_beside
from .flow_charts import flow
from .image_charts import before_after, savings, treemap, waterfall
from .tables import readable, setting_of, short, table_of

__all__ = [
    "ACCENT",
    "GREY",
    "PICTURE",
    "add_bars",
    "before_after",
    "build_times",
    "empty_chart",
    "flow",
    "places",
    "readable",
    "rebuilds",
    "savings",
    "say_beside",
    "setting_of",
    "short",
    "table_of",
    "timeline",
    "treemap",
    "waterfall",
]
