"""Push the image of a build to a registry, under the name that it has there."""

import time
from dataclasses import dataclass, field

from .. import engine, progress, recordings
from ..engine import journal
from ..errors import UsageError
from ..references import HUB, read
from ..setting import Kept, Setting
from ..units import format_seconds
from .building import Build


@dataclass(frozen=True)
class Pushed(Kept):
    """An image in a registry: its `name` there, and how many `seconds` the push took."""

    name: str
    seconds: float
    setting: Setting | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"Pushed {self.name} in {format_seconds(self.seconds)}"


@recordings.replayed(Pushed)
def push(client, made: Build, name: str) -> Pushed:
    """Push the image of a build to the registry in `name` (`HOST:PORT/NAME:TAG`), with its login.

    A name that the engine did not have before is there only until it is pushed. Raises UsageError
    for a name without a registry and for what is no build with an image, and EngineFailed.
    """
    _refuse(made, name)
    is_new = engine.id_of(client, name) is None
    journal.ready()
    engine.tag_image(client, made.tag, name)
    if is_new:
        engine.remember_image(client, name)  # so that `clean` finds what a killed process leaves
    tasks, began = progress.Tasks(f"Pushing {made.name}"), time.monotonic()

    def tell(line: dict) -> None:
        if line.get("id") and line.get("status"):
            tasks.tell(name, f"{line['id']}: {line['status']} {line.get('progress', '')}".strip())

    try:
        with progress.Screen(tasks.draw):
            tasks.begin(name, "waiting for its registry")
            engine.push(client, name, tell=tell)
    finally:
        if is_new:
            engine.remove_image(client, name)
    return Pushed(name, round(time.monotonic() - began, 3), made.setting)


def _refuse(made: Build, name: str) -> None:
    """Raise UsageError for what cannot be pushed, before anything is named or sent."""
    if not hasattr(made, "tag"):
        raise UsageError(
            f"{made!r} is not a build.", hint="pass what `build` returns, such as `made`"
        )
    if made.output is not None:
        raise UsageError(
            f"{made.name} was built into a folder, so there is no image to push.",
            hint="build it without `output=`",
        )
    found = read(name)
    if not found.is_valid or found.digest:
        raise UsageError(
            f"{name!r} is not a name to push to.", hint="HOST:PORT/NAME:TAG, in lower-case letters"
        )
    if found.registry == HUB:
        raise UsageError(
            f"{name!r} names no registry of its own, so it would go to Docker Hub.",
            hint="put the registry before it: HOST:PORT/NAME:TAG",
        )
