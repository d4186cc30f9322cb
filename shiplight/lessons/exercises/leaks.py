"""The checks of lesson 10: a token that installs a package, and is nowhere afterwards."""

from ...builds import Build, build_stages
from ...errors import EngineFailed, ProbeFailed
from ...inspection import ENVIRONMENT, HISTORY, Found, measure, run_once, search
from .. import private_index
from .grading import exercise, refuse, refuse_idle


@exercise("10.1")
def _no_token_in_the_image(client, made: Build) -> str:
    _refuse_without_greeting(client, "10.1", made)
    layers = _refuse_token(client, "10.1", made, "the image")
    return f"it greets, and the token is in none of its {layers} layers, nor in its history"


@exercise("10.2")
def _no_token_in_any_stage(client, made: Build) -> str:
    _refuse_without_greeting(client, "10.2", made)
    given = private_index.given(client)
    staged = build_stages(client, given.pop("what"), text=made.text, **given)
    for number, stage in staged.builds.items():
        _refuse_token(client, "10.2", stage, f"stage {staged.read.stages[number].label}")
    return f"it greets, and the token is in none of its stages ({len(staged.builds)})"


def _refuse_without_greeting(client, exercise_id: str, made: Build) -> None:
    """Raise CheckFailed where a container does not print what the private package prints."""
    refuse_idle(exercise_id, measure(client, made))
    try:
        said = run_once(client, made)
    except (EngineFailed, ProbeFailed) as error:
        said = error.message
    if said != private_index.GREETING:
        refuse(
            exercise_id,
            "the private package does not greet.",
            hint="run `run_once(client, mine)`: what does the container print?",
            found=said.splitlines()[-1] if said else "it printed nothing",
            expected=private_index.GREETING,
        )


def _refuse_token(client, exercise_id: str, made: Build, where: str) -> int:
    """Raise CheckFailed where a token of this session is in an image; how many layers it has."""
    searched = [(search(client, made, one.token), one.token) for one in private_index.started()]
    for traces, token in searched:
        for found in traces.found:
            _refuse_found(exercise_id, f"the token is in {where}.", found, token)
    return searched[-1][0].layers


def _refuse_found(exercise_id: str, wrong: str, found: Found, token: str) -> None:
    seen = f"{found.kind}: {found.where}".replace(token, "<the token>")
    if found.kind == ENVIRONMENT:
        refuse(
            exercise_id,
            wrong,
            hint="everybody who may run the image can print its variables: what else reaches pip?",
            found=seen,
        )
    if found.kind == HISTORY:
        refuse(
            exercise_id,
            wrong,
            hint="`docker history` shows the build arguments of a RUN: what else reaches pip?",
            found=seen,
        )
    refuse(
        exercise_id,
        wrong,
        hint="a layer keeps what its instruction leaves behind: which one wrote that file?",
        found=seen,
    )
