"""Watching an image's own health check: what the engine says of a container that runs it."""

import time
from dataclasses import dataclass, field

from .. import engine, recordings
from ..engine import journal
from ..errors import ProbeFailed
from ..setting import Kept, Setting
from ..units import in_one_line
from . import probing

MOST_SECONDS = 90.0  # a check that says nothing for so long is left alone


@dataclass(frozen=True)
class Health(Kept):
    """What came of an image's HEALTHCHECK: the engine's `status`, and what the last check `said`.

    The status is `healthy`, `unhealthy`, or `starting` where neither was known in time.
    """

    image: str
    status: str
    said: str
    setting: Setting | None = field(default=None, repr=False, compare=False)

    @in_one_line
    def __repr__(self) -> str:
        return f"Health {self.image}  {self.status}" + (f", said: {self.said}" if self.said else "")


@recordings.replayed(Health)
def health(client, what) -> Health:
    """Start a container of a build or image, wait for its health check, and remove it.

    Raises ProbeFailed if the image has no health check, or if the container ends before that.
    """
    image = getattr(what, "tag", what)
    config = engine.inspect_image(client, image).get("Config") or {}
    if (config.get("Healthcheck") or {}).get("Test") in (None, ["NONE"]):
        raise ProbeFailed(
            f"{image} has no health check.",
            hint='add one to its Dockerfile: HEALTHCHECK CMD ["PROGRAM", "ARGUMENT"]',
        )
    with probing.created(client, image) as container:
        container.start()
        found = _judged(container, image)
    bases = (config.get("Labels") or {}).get(journal.BASES, "unknown")
    return Health(image, *found, setting=engine.setting(client, bases=bases))


def _judged(container, image: str) -> tuple[str, str]:
    """The status as soon as it is known, and the output of the last check."""
    begun = time.monotonic()
    while True:
        container.reload()
        state = container.attrs["State"]
        # A program that ended is unhealthy to the engine, as if a check had failed.
        if state["Status"] != "running":
            words = container.logs(tail=1).decode("utf-8", "replace").strip()
            raise ProbeFailed(f"{image} ended before its health was known: {words}")
        seen = state.get("Health") or {"Status": "starting"}
        if seen["Status"] != "starting" or time.monotonic() - begun > MOST_SECONDS:
            said = seen["Log"][-1]["Output"] if seen.get("Log") else ""
            return seen["Status"], said.strip()
        time.sleep(0.2)
