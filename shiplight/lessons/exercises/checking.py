"""Look at what a learner built, and say that it is solved, or why not."""

from IPython.display import display

from ...builds import Build
from ...errors import UsageError
from ...recordings import Recorded
from ..lesson import Shown
from . import bases, go, node, python, rust, scans  # noqa: F401  each registers its checks
from .grading import ALL, Exercise


def every() -> list[Exercise]:
    """All exercises, in the order of their ids."""
    return [ALL[name] for name in sorted(ALL)]


def check(client, exercise_id: str, made: Build | None) -> None:
    """Look at what a learner built; show that it is solved, or raise CheckFailed with a hint.

    Nothing built yet is shown as open. Without an engine nothing can be built, and that is shown.
    """
    if exercise_id not in ALL:
        raise UsageError(f"there is no exercise {exercise_id}.", hint=f"one of {', '.join(ALL)}")
    if made is None:
        display(Shown(f"{exercise_id} is open: {ALL[exercise_id].task}", mark="○"))
    elif isinstance(client, Recorded):
        display(Shown(f"{exercise_id} needs an engine to look at what you built.", mark="○"))
    else:
        evidence = ALL[exercise_id].look(client, made)
        display(Shown(f"{exercise_id} is solved.", evidence))
