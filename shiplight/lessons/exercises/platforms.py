"""The checks of lesson 11: one Dockerfile for every platform, in which nothing is emulated."""

from ... import engine
from ...builds import Build, another, arguments, build
from ...catalogue import APPS
from ...dockerfile import parse, platforms_of
from ...errors import BaseNotAvailable, BuildFailed
from ...inspection import linked, measure, run_once
from .grading import ALL, exercise, last_line, refuse, refuse_idle

VERSION = "1.4"  # of the program in the start of 11.2


@exercise("11.1")
def _cross_compiled(client, made: Build) -> str:
    return _for_both_platforms(client, "11.1", made)[0]


@exercise("11.2")
def _argument_in_scope(client, made: Build) -> str:
    evidence, said = _for_both_platforms(client, "11.2", made)
    if f"version {VERSION}," not in said:
        refuse(
            "11.2",
            "the program has lost its version.",
            hint="another variable is declared where the builder cannot see it: which one?",
            found=last_line(said),
            expected=f"version {VERSION}",
        )
    return f"{evidence}, version {VERSION}"


def _for_both_platforms(client, exercise_id: str, made: Build) -> tuple[str, str]:
    """Build the Dockerfile for the engine's platform and another; return evidence and output.

    Raises CheckFailed where it needs emulation, or ships a program for another processor.
    """
    own = engine.described(client).platform
    other = another(own)
    _refuse_emulation(exercise_id, made, own, other)
    said = ""
    for platform in (other, own):
        built = _built(client, exercise_id, made, platform)
        try:
            _refuse_other_processor(client, exercise_id, built, platform)
            said = run_once(client, built) if platform == own else said
        finally:
            engine.remove_image(client, built.tag)
    if f"compiled for {own}" not in said:
        refuse(
            exercise_id,
            "the program no longer prints its platform.",
            hint="which program does the image start?",
            found=last_line(said),
        )
    return f"one Dockerfile, a program for {own} and one for {other}", said


def _refuse_emulation(exercise_id: str, made: Build, own: str, other: str) -> None:
    """Raise CheckFailed for a RUN in a stage for the other platform: emulated, it would work."""
    for stage, platform in platforms_of(parse(made.text), arguments(own, other)).items():
        run = next((one for one in stage.instructions if one.keyword == "RUN"), None)
        if run is not None and platform != own:
            refuse(
                exercise_id,
                "a RUN would execute programs of the other platform.",
                hint="which platform is each stage with a RUN for? Its FROM decides; "
                "the final stage is for the platform that is asked for",
                found=f"line {run.line}, in a stage for {platform}: {run.original.splitlines()[0]}",
                expected=f"only stages for {own} have a RUN",
            )


def _built(client, exercise_id: str, made: Build, platform: str) -> Build:
    app = ALL[exercise_id].app
    name = f"{app}/checked-{platform.rpartition('/')[2]}"
    try:
        return build(client, APPS / app, text=made.text, name=name, platform=platform)
    except (BuildFailed, BaseNotAvailable) as error:
        refuse(
            exercise_id,
            "it does not build for both platforms.",
            hint="build it with `platform=` yourself, and read the last lines of output",
            found=f"for {platform}: {error.message.partition(chr(10))[0]}",
        )


def _refuse_other_processor(client, exercise_id: str, built: Build, platform: str) -> None:
    image, wanted = measure(client, built), platform.rpartition("/")[2]
    refuse_idle(exercise_id, image)
    program = linked(client, built)
    if program is None:
        refuse(
            exercise_id,
            "the image starts no compiled program.",
            hint="what does the final stage copy, and what does its ENTRYPOINT name?",
            found=f"ENTRYPOINT {list(image.entrypoint)}",
        )
    if program.architecture != wanted:
        refuse(
            exercise_id,
            "the program is for another processor than its image.",
            hint="GOARCH tells the compiler: which value does it get in the stage that compiles, "
            "for each platform?",
            found=f"/{program.path} for {program.architecture}, in an image for {image.platform}",
        )
