"""The checks of lesson 03, Python."""

from ...builds import Build
from ...inspection import measure
from ...units import format_bytes
from .grading import answering, exercise, not_root, refuse, stands_on

DISTROLESS = "gcr.io/distroless/python3-debian13:nonroot"


_SERVED = ("cffi", "fastapi", "uvicorn")  # packages of the service; the first one is compiled


@exercise("03.1")
def _environment_copied(client, made: Build) -> str:
    image = measure(client, made)
    _no_compiler("03.1", image)
    live = [path for path in image.find("*.whl") if "/ensurepip/" not in path]  # the base's own
    hidden = [item.path for item in image.buried if item.path.endswith(".whl")]
    if live or hidden:
        refuse(
            "03.1",
            "wheels ship.",
            hint="which instruction adds them to the last stage? A later one only hides them",
            found=f"/{[*live, *hidden][0]}" + (", hidden by a later layer" if not live else ""),
            expected="no wheel in any layer",
        )
    environments = [path.rpartition("/")[0] for path in image.find("*/pyvenv.cfg")]
    if not environments:
        refuse(
            "03.1",
            "there is no virtual environment.",
            hint="`python -m venv` creates one: in which stage, and which folder do you copy?",
        )
    inside = tuple(f"{folder}/" for folder in environments)
    served = [path for name in _SERVED for path in image.find(f"*/{name}/__init__.py")]
    if outside := [path for path in served if not path.startswith(inside)]:
        refuse(
            "03.1",
            "packages of the service are outside the virtual environment.",
            hint="which Python ran the pip that installed them?",
            found=f"/{outside[0]}",
            expected=f"/{environments[0]}/lib/…",
        )
    if not stands_on(client, made, image, "python:3.13-slim"):
        refuse(
            "03.1",
            "this is not python:3.13-slim.",
            hint="keep the base of the last stage: which one does your last FROM name?",
        )
    answering(client, "03.1", made)
    return f"{format_bytes(image.unpacked_bytes)} unpacked, no wheels, and the service responds"


@exercise("03.2")
def _pure_on_distroless(client, made: Build) -> str:
    image = measure(client, made)
    _no_compiler("03.2", image)
    if not stands_on(client, made, image, DISTROLESS):
        refuse(
            "03.2",
            "this is not gcr.io/distroless/python3-debian13:nonroot.",
            hint="which base does your last FROM name?",
        )
    if image.find("*bin/sh"):
        refuse("03.2", "there is a shell.", hint="where did your last stage get it from?")
    if pip := image.find("*/pip/__init__.py"):
        refuse(
            "03.2",
            "pip ships.",
            hint="copy the folder that you installed into, not the builder's own packages",
            found=f"/{next(iter(pip))}",
        )
    if compiled := image.find(f"*/{_SERVED[0]}/__init__.py"):
        refuse(
            "03.2",
            "the package that has to be compiled ships.",
            hint="two files name the packages of this service: in which one is nothing compiled?",
            found=f"/{next(iter(compiled))}",
        )
    not_root(client, "03.2", made, image)
    return (
        f"{format_bytes(image.unpacked_bytes)} unpacked, no shell, no pip, and the service responds"
    )


def _no_compiler(exercise_id: str, image) -> None:
    """CheckFailed where a C compiler is in an image."""
    if compiler := image.find("*/cc1"):
        refuse(
            exercise_id,
            "the compiler ships.",
            hint="which base does your last FROM name?",
            found=f"/{next(iter(compiler))}",
        )
