"""Results to draw and to tabulate: images made from archives, and what a figure shows."""

import json
from dataclasses import replace

import factories

from shiplight.image import Image, read_image, renamed
from shiplight.setting import Setting

SETTING = Setting("Docker 1", "graph driver x", "linux/amd64", "equivalent", "2026-11-23T10:00:00")


def image(*layers, name="shiplight/lab1/app:small") -> Image:
    """A real image, by way of an archive."""
    history = [{"created_by": f"RUN step {n} $HOME <b>"} for n in range(len(layers))]
    made = factories.Image(list(layers), history=history)
    found = read_image([factories.legacy(made)])
    return replace(renamed(found, name, None), setting=SETTING)


def title_of(figure) -> str:
    """The title of a figure, as one line."""
    return figure.layout.title.text.replace("<br>", " ").replace("\u00a0", " ")


def texts(figure) -> str:
    """Every word that a figure shows."""
    return json.dumps(json.loads(figure.to_json())["layout"], ensure_ascii=False)
