"""The chart of scores, criterion by criterion; it is made of the parts of `charts`."""

from ..charts import add_bars, empty_chart, places, table_of
from ..setting import together
from .points import MOST
from .scoring import Score


def table(*scores: Score):
    """Return one row for each criterion of each score: what it is, its points, and the most."""
    rows = [
        {"criterion": name, "image": one.name, "points": one[name].points, "most": one[name].most}
        for name in MOST
        for one in scores
    ]
    return table_of(rows, *scores)


def points_of(*scores: Score):
    """Draw the points of scores, criterion by criterion; the accent is what is fully met."""
    found = table(*scores)
    where = places(list(found["criterion"]))
    rows = [one[name] for name in MOST for one in scores]
    best = max(scores, key=lambda one: one.points)
    figure = empty_chart(
        f"{best.name} gets {best.total}",
        "points for each criterion; blue: all that there are",
        together(*(one.setting for one in scores)),
        rows=where[-1] + 1,
    )
    add_bars(
        figure,
        labels=list(found["criterion"] + ": " + found["image"]),
        values=found["points"].fillna(0),
        texts=[row.worth for row in rows],
        accent={number for number, row in enumerate(rows) if row.points == row.most},
        rows=where,
        furthest=max(MOST.values()),
    )
    return figure
