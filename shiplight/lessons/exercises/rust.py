"""The checks of lesson 04, Rust."""

from hashlib import sha256

from ... import engine
from ...buildkit import Step
from ...builds import Build, build, own_cache
from ...inspection import Probe, linked, measure
from ...units import format_bytes, format_seconds
from .grading import answering, asked, exercise, refuse, refuse_lost, refuse_silent


@exercise("04.1")
def _not_empty(client, made: Build) -> str:
    probed = asked(client, "04.1", made)
    _refuse_dummy(probed)
    refuse_silent("04.1", probed, measure(client, made))
    if probed.shell:
        refuse("04.1", "the builder ships.", hint="which base does your last FROM name?")
    ran = [step.instruction for step in made.numbered_steps]
    if sum("cargo build" in one for one in ran) < 2 or any("touch " in one for one in ran):
        refuse(
            "04.1",
            "this is one of the two ways that the lesson shows.",
            hint="keep both builds and all file times, and make cargo forget what it built",
            expected="`cargo build` twice, and no `touch`",
        )
    refuse_lost("04.1", probed)
    if not compiled_last(made.numbered_steps):
        cold = _built_cold(client, made)
        try:
            _refuse_dummy(asked(client, "04.1", cold))
        finally:
            engine.remove_image(client, cold.tag)
    return f"the service responds after {format_seconds(probed.seconds_to_answer)}"


def _refuse_dummy(probed: Probe) -> None:
    if not probed.answered and probed.exit_code == 0 and not probed.last_words:
        refuse(
            "04.1",
            "the image contains the dummy program.",
            hint="cargo compares file times with the time of its last build. "
            "Which source file did that build compile?",
            found="it printed nothing, and exited with 0",
        )


def compiled_last(steps: list[Step]) -> bool:
    """Return whether the last `cargo build` of these steps compiled the service, in this build.

    So it did where its step ran and says `Compiling server` as often as it runs cargo, which says
    that once at most each time.
    """
    last = [step for step in steps if "cargo build" in step.instruction][-1]
    said = sum("Compiling server " in line for line in last.log)
    return not last.cached and said >= last.instruction.count("cargo build")


def _built_cold(client, made: Build) -> Build:
    """Build an answer that compiled nothing on cache mounts that no other answer has filled.

    Those of the lab may hold the service as an earlier answer compiled it, and then every answer
    ships it. Another id of a mount runs the steps that have it again.
    """
    cache = own_cache(f"checked-{sha256(made.text.encode()).hexdigest()[:12]}")
    return build(client, "rust/cached", text=made.text, name="rust/checked", cache_namespace=cache)


@exercise("04.2")
def _rust_from_scratch(client, made: Build) -> str:
    image, program = measure(client, made), linked(client, made)
    if program is None or not program.static:
        refuse(
            "04.2",
            "the program needs a loader and libraries.",
            hint="which variable of the lesson's static Dockerfile tells rustc how to link?",
            found=", ".join(program.needed) if program else "no program that the image starts",
        )
    if library := image.find("*/libc.so*"):
        refuse(
            "04.2",
            "a C library ships that the program does not use.",
            hint="which base does your last FROM name?",
            found=f"/{next(iter(library))}",
        )
    probed = answering(client, "04.2", made)
    if not probed["ca_certificates"]:
        refuse(
            "04.2",
            "the service finds no CA certificates.",
            hint="distroless has a file that scratch lacks: where is it in the builder?",
        )
    unpacked = format_bytes(image.unpacked_bytes)
    return f"{unpacked} unpacked, {probed['ca_certificates']} CA certificates"
