"""The checks of lesson 13: a service that meets everything that is asked of it, by its score."""

from ...scoring import DID_NOTHING, LOST, STILL_RUNS, UNREACHED, Score
from .. import shipping
from .grading import exercise, refuse, refuse_ended, refuse_unreached


@exercise("13.1")
def _go_is_fit_to_ship(client, made: Score) -> str:
    return _fit_to_ship("13.1", made, "go")


@exercise("13.2")
def _python_is_fit_to_ship(client, made: Score) -> str:
    return _fit_to_ship("13.2", made, "python")


@exercise("13.3")
def _node_is_fit_to_ship(client, made: Score) -> str:
    return _fit_to_ship("13.3", made, "node")


@exercise("13.4")
def _rust_is_fit_to_ship(client, made: Score) -> str:
    return _fit_to_ship("13.4", made, "rust")


def _fit_to_ship(exercise_id: str, made: Score, language: str) -> str:
    """Refuse what is not met, the gravest first; return the points."""
    if made.limits != shipping.limits_of(language) or made["secret"].passed is None:
        refuse(
            exercise_id,
            "this score was made with other limits, or without the token.",
            hint="score the image with the limits of this service, and with its token: "
            f'`limits=limits_of("{language}"), token=TOKEN`',
            found=made.name,
        )
    if not made["builds"].passed:
        refuse(
            exercise_id,
            "the image does not build.",
            hint="which step failed, and what were its last lines?",
            found=made["builds"].measured,
        )
    if made["answers"].measured.startswith(LOST):
        refuse(
            exercise_id,
            "the service responds, but no longer finds a file that it needs.",
            hint="smaller but broken does not count: a builder has that file, so what does your "
            "last stage copy?",
            found=made["answers"].measured,
        )
    if made["answers"].measured == DID_NOTHING:
        refuse_ended(exercise_id, "the service no longer works.", made["answers"].measured)
    if made["answers"].measured.startswith(STILL_RUNS):
        refuse_unreached(exercise_id, "the service no longer works.", made["answers"].measured)
    if not made["answers"].passed:
        refuse(
            exercise_id,
            "the service no longer works.",
            hint="smaller but broken does not count: what does the program still need to run?",
            found=made["answers"].measured,
        )
    if not made["secret"].passed:
        refuse(
            exercise_id,
            "the token is in the image.",
            hint="which instruction writes it there, and does a later one only hide it?",
            found=made["secret"].measured,
        )
    if not made["user"].passed:
        refuse(
            exercise_id,
            "the image still runs as root.",
            hint="which USER does the last stage set?",
            found=made["user"].measured,
        )
    if not made["bytes"].passed:
        refuse(
            exercise_id,
            "the image is larger than its budget.",
            hint="which files of the largest layer does the service use?",
            found=made["bytes"].measured,
            expected=made["bytes"].asked,
        )
    if made["edit"].measured == UNREACHED:
        refuse(
            exercise_id,
            "an edit of the source changes nothing in the image.",
            hint="which instruction copies the source, and which one makes the service of it?",
            found=made["edit"].measured,
        )
    if not made["edit"].passed:
        refuse(
            exercise_id,
            "an edit of the source installs the dependencies again.",
            hint="what does that step depend on, and what has to be copied before it?",
            found=made["edit"].measured,
        )
    if not made["findings"].passed:
        refuse(
            exercise_id,
            "some checks fail.",
            hint="lesson 08 explains these checks; save your Dockerfile to a file, and "
            "`./lab check FILE` shows how to fix each one",
            found=made["findings"].measured,
        )
    return made.total
