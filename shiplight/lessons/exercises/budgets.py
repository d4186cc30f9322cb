"""The checks of lesson 09: what was learned, put together within a budget of bytes."""

from ...builds import Build
from ...inspection import measure
from ...units import format_bytes
from .grading import exercise, not_root, refuse

MOST_NODE, MOST_PYTHON = 150_000_000, 90_000_000  # the article's figure; the course's own


@exercise("09.1")
def _node_in_its_budget(client, made: Build) -> str:
    return _in_its_budget(client, "09.1", made, MOST_NODE)


@exercise("09.2")
def _python_in_its_budget(client, made: Build) -> str:
    return _in_its_budget(client, "09.2", made, MOST_PYTHON)


def _in_its_budget(client, exercise_id: str, made: Build, most: int) -> str:
    image = measure(client, made)
    if image.unpacked_bytes > most:
        largest = max(image.layers, key=lambda layer: layer.unpacked_bytes)
        refuse(
            exercise_id,
            "the image is over its budget.",
            hint="start with the largest layer: does the service use all of it?",
            found=f"{format_bytes(image.unpacked_bytes)}, "
            f"{format_bytes(largest.unpacked_bytes)} of them in “{largest.instruction}”",
            expected=f"at most {format_bytes(most)}",
        )
    user = not_root(client, exercise_id, made, image)
    return f"{format_bytes(image.unpacked_bytes)} of {format_bytes(most)}, and user {user}"
