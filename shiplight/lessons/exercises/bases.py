"""The checks of lessons 05 and 06: bases that a program runs on, and what it misses on others."""

from ...builds import Build
from ...image import Program
from ...inspection import follow, linked, measure
from ...units import format_bytes
from .go import files_of
from .grading import answering, asked, exercise, refuse, refuse_idle, refuse_lost, refuse_silent

MOST_BESIDE = 10_000_000  # bytes: the official alpine is smaller, and every Debian larger


def _started(client, exercise_id: str, made: Build) -> Program:
    """The program of machine code that the image starts. Raises CheckFailed if there is none."""
    image = measure(client, made)
    refuse_idle(exercise_id, image)
    program = linked(client, made)
    if program is None:
        refuse(
            exercise_id,
            "the image starts no compiled program.",
            hint="which file do ENTRYPOINT and CMD name, and is it in the image?",
            found=" ".join([*image.entrypoint, *image.cmd]),
        )
    return program


@exercise("05.1")
def _dynamic_without_a_shell(client, made: Build) -> str:
    program = _started(client, "05.1", made)
    if not program.libc:
        refuse(
            "05.1",
            "the program links no C library.",
            hint="which setting of the build makes it static?",
            found="a static program",
        )
    probed = asked(client, "05.1", made)
    refuse_silent("05.1", probed, measure(client, made))
    if probed.shell:
        refuse(
            "05.1",
            "there is a shell.",
            hint="which rows of the table have the C library and no shell?",
            found="/bin/sh",
        )
    refuse_lost("05.1", probed)
    return f"{program.interpreter} is there, and no shell"


@exercise("05.2")
def _small_with_a_shell(client, made: Build) -> str:
    image, program = measure(client, made), linked(client, made)
    probed = answering(client, "05.2", made)
    if not probed.shell:
        refuse(
            "05.2",
            "there is no shell.",
            hint="which rows of the table have one, and which image contains only tools?",
            found="no /bin/sh",
        )
    served = image.tree()[program.path][0].size if program else 0
    beside = image.unpacked_bytes - served
    if beside > MOST_BESIDE:
        refuse(
            "05.2",
            "the base is larger than it has to be.",
            hint="sort the table of this lesson by its bytes: which is the first with a shell?",
            found=f"{format_bytes(beside)} beside the program",
            expected=f"at most {format_bytes(MOST_BESIDE)}",
        )
    return f"a shell, and {format_bytes(beside)} beside the program"


@exercise("06.1")
def _library_brought(client, made: Build) -> str:
    program = _started(client, "06.1", made)
    if "libstdc++.so.6" not in program.needed:
        refuse(
            "06.1",
            "this program no longer links the library.",
            hint="leave the program as it is, and fix the image around it",
            found=", ".join(program.needed) or "a static program",
        )
    image, probed = measure(client, made), asked(client, "06.1", made)
    if compiler := {**image.find("*/bin/go"), **image.find("*/cc1plus")}:
        refuse(
            "06.1",
            "the compiler ships.",
            hint="which base has the library without a toolchain?",
            found=f"/{next(iter(compiler))}",
        )
    if not probed.answered:
        refuse(
            "06.1",
            "the program does not start.",
            hint="read its last line of output again: is the same library still missing?",
            found=probed.last_error or "it printed nothing",
        )
    refuse_lost("06.1", probed)
    return f"it finds {', '.join(program.needed)}"


@exercise("06.2")
def _other_libc(client, made: Build) -> str:
    image, program = measure(client, made), linked(client, made)
    if not image.find("lib/ld-musl-*"):
        refuse(
            "06.2",
            "this is not alpine.",
            hint="suppose the base is fixed: what else can you change?",
        )
    loader = program.interpreter if program else ""
    if loader and not image.find(loader):
        refuse(
            "06.2",
            "the program asks for a loader that is not there.",
            hint="whose C library has that loader, and does the program need a loader at all?",
            found=loader,
        )
    if loader and "musl" in follow(image, loader):
        refuse(
            "06.2",
            "the loader is that of another C library, under a false name.",
            hint="this works until the program calls something that musl lacks. "
            "Does it need a loader at all?",
            found=f"{loader} is /{follow(image, loader)}",
        )
    answering(client, "06.2", made)
    return f"the service responds, and needs {loader or 'no loader'}"


@exercise("06.3")
def _certificates_brought(client, made: Build) -> str:
    image, probed = measure(client, made), answering(client, "06.3", made)
    files = files_of(image)
    if not probed["ca_certificates"]:
        refuse(
            "06.3",
            "the service still finds no CA certificates.",
            hint="where does a program look for them, and is the file there?",
            found=", ".join(f"/{path}" for path in files[:5]),
        )
    if len(files) > 2:
        refuse(
            "06.3",
            "the image contains more than the service needs.",
            hint="only one file was missing from the original image: which one?",
            found=f"{len(files)} files and links, " + ", ".join(f"/{path}" for path in files[:3]),
        )
    return f"{probed['ca_certificates']} CA certificates"
