"""The checks of lesson 04, Rust."""

from ...builds import Build
from ...inspection import linked, measure, probe
from ...units import format_bytes, format_seconds
from .grading import answering, exercise, refuse


@exercise("04.1", "the article's Dockerfile with its dummy `main.rs`, fixed in a third way")
def _not_empty(client, made: Build) -> str:
    asked = probe(client, made)
    if not asked.answered and asked.exit_code == 0 and not asked.last_words:
        refuse(
            "04.1",
            "it is the dummy program.",
            hint="cargo compares file times with those of its last build, and of that build it "
            "knows one source file: which?",
            found="no word from it, and exit code 0",
        )
    answering(client, "04.1", made)
    if asked.shell:
        refuse("04.1", "the builder ships.", hint="which base does your last FROM name?")
    ran = [step.instruction for step in made.numbered_steps]
    if sum("cargo build" in one for one in ran) < 2 or any("touch " in one for one in ran):
        refuse(
            "04.1",
            "this is one of the two ways that the lesson has.",
            hint="keep both builds and all file times, and make cargo forget what it built",
            expected="two times `cargo build`, and no `touch`",
        )
    return f"it answers after {format_seconds(asked.seconds_to_answer)}"


@exercise("04.2", "the service from scratch, with every CA certificate that it trusted before")
def _rust_from_scratch(client, made: Build) -> str:
    image, program = measure(client, made), linked(client, made)
    if program is None or not program.static:
        refuse(
            "04.2",
            "the program asks for a loader and libraries.",
            hint="which variable of the lesson's static Dockerfile tells rustc how to link?",
            found=", ".join(program.needed) if program else "no program that the image starts",
        )
    if library := image.find("*/libc.so*"):
        refuse(
            "04.2",
            "a C library ships that nobody asks for.",
            hint="which base does your last FROM name?",
            found=f"/{next(iter(library))}",
        )
    asked = answering(client, "04.2", made)
    if not asked["ca_certificates"]:
        refuse(
            "04.2",
            "the service has no CA certificates.",
            hint="distroless had a file that scratch has not: where does the builder keep it?",
        )
    unpacked = format_bytes(image.unpacked_bytes)
    return f"{unpacked} unpacked, {asked['ca_certificates']} CA certificates"
