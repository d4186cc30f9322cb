"""Pull one image: show progress, clean up after a failure, and explain it."""

from dataclasses import dataclass, field

from .. import engine, progress
from ..engine import journal
from ..errors import EngineFailed
from ..units import format_bytes

_STATES = {  # of a layer, by what engines call them
    "Pulling fs layer": "waiting",
    "Waiting": "waiting",
    "Downloading": "downloading",
    "Verifying Checksum": "downloading",
    "Download complete": "downloaded",
    "Extracting": "unpacking",
    "Pull complete": "here",
    "Already exists": "here",
}


def pull(client, name: str, tasks: progress.Tasks) -> None:
    """Pull one image and write it to the journal. Raises EngineFailed.

    A failed pull leaves no image of that name unless there was one before.
    """
    journal.ready()
    before, layers = engine.id_of(client, name), Layers()

    def tell(line: dict) -> None:
        layers.add(line)
        if said := str(layers):
            tasks.tell(name, said)

    try:
        engine.pull(client, name, tell=tell)
        if not engine.has_image(client, name):
            said = "it is here only in part"
            raise EngineFailed(f"the engine failed while pulling {name}: {said}", said=said)
    except EngineFailed:
        if before is None and engine.id_of(client, name) is not None:
            engine.remove_image(client, name)
        raise
    engine.remember_image(client, name)


@dataclass
class Layers:
    """The progress of a pull, from the lines that the engine sends."""

    states: dict[str, str] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)

    def add(self, line: dict) -> None:
        """Add one line; lines that are not about a layer are ignored."""
        state, layer = _STATES.get(line.get("status", "")), line.get("id")
        if state is None or layer is None:
            return
        self.states[layer] = state
        detail = line.get("progressDetail") or {}
        if line["status"] == "Downloading" and detail.get("total"):
            self.done[layer], self.total[layer] = detail.get("current", 0), detail["total"]
        elif state not in ("waiting", "downloading"):
            self.done[layer] = self.total.setdefault(layer, 0)

    def __str__(self) -> str:
        """Bytes of all layers, once all their sizes are known, and how many are unpacked.

        Engines report three layers at a time, so until then the number of layers is shown.
        """
        count, states = len(self.states), list(self.states.values())
        if not count:
            return ""
        if all(state in ("downloaded", "unpacking", "here") for state in states):
            return f"unpacking: {states.count('here')} of {count} layers done"
        came = sum(state in ("downloaded", "unpacking", "here") for state in states)
        read = format_bytes(sum(self.done.values()))
        if self.states.keys() <= self.total.keys():
            return f"{read} of {format_bytes(sum(self.total.values()))}"
        return f"{read}, {came} of {count} layers"
