"""The checks of lesson 10: a token that installs a package, and is nowhere afterwards."""

from ...builds import Build, build_stages, offers
from ...dockerfile import parse
from ...inspection import (
    CONFIGURATION,
    ENVIRONMENT,
    HISTORY,
    Found,
    measure,
    search_each,
)
from .. import private_index
from .grading import exercise, last_line, printed, refuse


@exercise("10.1")
def _no_token_in_the_image(client, made: Build) -> str:
    _refuse_without_greeting(client, "10.1", made)
    layers = _refuse_token(client, "10.1", made)
    return f"it greets, and the token is in none of its {layers} layers, nor in its history"


@exercise("10.2")
def _no_token_in_any_stage(client, made: Build) -> str:
    _refuse_without_greeting(client, "10.2", made)
    _refuse_other_secrets("10.2", made)
    was_running = private_index.is_running(client)
    given = private_index.given(client)
    try:
        staged = build_stages(client, given.pop("what"), text=made.text, **given)
        for number, stage in staged.builds.items():
            _refuse_token(client, "10.2", stage, stage=staged.read.stages[number].label)
    finally:
        if not was_running:
            private_index.stop_index(client)
    return f"it greets, and the token is in none of its stages ({len(staged.builds)})"


def _refuse_other_secrets(exercise_id: str, made: Build) -> None:
    """Raise CheckFailed where a step asks for a secret that the check does not give."""
    for stage in parse(made.text).stages:
        for run in stage.instructions:
            for kind, name, _ in offers.asked_for(run):
                if (kind, name) != ("secret", private_index.SECRET):
                    refuse(
                        exercise_id,
                        f"the check gives one secret, with the id `{private_index.SECRET}`.",
                        hint="which id does your mount have? `secrets=` gives the same one",
                        found=f"line {run.line} asks for {kind} {name!r}",
                    )


def _refuse_without_greeting(client, exercise_id: str, made: Build) -> None:
    """Raise CheckFailed where a container does not print what the private package prints."""
    said = printed(client, exercise_id, made)
    if said != private_index.GREETING:
        refuse(
            exercise_id,
            "the image does not print the greeting of the private package.",
            hint="run `run_once(client, mine)`: what does the container print?",
            found=last_line(said),
            expected=private_index.GREETING,
        )
    if not measure(client, made).find("*shiplight_greeting-*.dist-info/*"):
        refuse(
            exercise_id,
            "the package was not installed from the private index.",
            hint="pip leaves a folder `….dist-info` beside what it installs: did it install this?",
            found="no such folder in the image",
        )


def _refuse_token(client, exercise_id: str, made: Build, *, stage: str = "") -> int:
    """Raise CheckFailed where a token of this session is in an image; how many layers it has.

    `stage` names the stage that the image was built from, if it is not the one that ships.
    """
    tokens = [index.token for index in private_index.started()]
    searched = search_each(client, made, tokens)
    for traces, token in zip(searched, tokens, strict=True):
        for found in traces.found:
            _refuse_found(exercise_id, stage, found, token)
    return searched[-1].layers


def _refuse_found(exercise_id: str, stage: str, found: Found, token: str) -> None:
    seen = f"{found.kind}: {found.where}".replace(token, "<the token>")
    if found.kind == ENVIRONMENT:
        _refuse_place(
            exercise_id,
            stage,
            seen,
            hint="everybody who may run the image can print its variables: what else reaches pip?",
        )
    if found.kind == CONFIGURATION:
        _refuse_place(
            exercise_id,
            stage,
            seen,
            hint="`docker inspect` shows labels and commands: what else reaches pip?",
        )
    if found.kind == HISTORY:
        _refuse_place(
            exercise_id,
            stage,
            seen,
            hint="`docker history` shows the build arguments of a RUN: what else reaches pip?",
        )
    _refuse_place(
        exercise_id,
        stage,
        seen,
        hint="a layer keeps what its instruction leaves behind: which one wrote that file?",
    )


def _refuse_place(exercise_id: str, stage: str, seen: str, *, hint: str) -> None:
    if stage:
        where = f"in stage {stage}, {seen}"
        refuse(exercise_id, "the token is in one of the stages.", hint=hint, found=where)
    refuse(exercise_id, "the token is in the image.", hint=hint, found=seen)
