"""Classes to look at: many learners made from a few, who met their mistakes in earnest."""

from dataclasses import replace
from pathlib import Path

from shiplight.classroom import Record
from shiplight.classroom.record import Weighed

ENGINES = [
    ("Docker 20.10.24", "graph driver overlay2", 4_261_550),
    ("Docker 29.1.2", "containerd store (overlayfs)", 6_411_902),
    ("Podman 5.4.1", "graph driver overlay", 4_516_302),
]


def made_from(learners: list[Record], count: int) -> list[Record]:
    """So many more learners: each is one of these on one of three engines, with other guesses."""
    made = []
    for number in range(count):
        like = learners[number % len(learners)]
        engine, store, size = ENGINES[number // len(learners) % len(ENGINES)]
        guesses = {name: guess * (1 + number % 7) for name, guess in like.guesses.items()}
        images = (Weighed("first", "equivalent", "linux/amd64", 4_261_562, size),)
        made.append(
            replace(
                like, id=f"{number * 2_654_435_761 % 2**32:08x}", pseudonym=f"made-{number}",
                guesses=guesses, engine=engine, store=store, images=images,
            )
        )  # fmt: skip
    return made


def hand_in(folder: Path, *learners: Record) -> None:
    """Put what these learners hand over into a folder."""
    for one in learners:
        (folder / one.filename).write_text(one.to_json(), encoding="utf-8")
