"""Exercises: the learner builds, and the check looks at the image built, not at the text typed.

Here are the checks of lessons 00 to 06; `scan_exercises` has those of 07 and 08. Solutions and
named wrong answers are in `tests/exercises/`, and each wrong answer has to meet its own hint.
"""

import json

from IPython.display import display

from . import catalogue
from .builds import Build
from .charts import frames
from .errors import UsageError
from .grading import ALL, Exercise, answering, exercise, refuse
from .inspection import follow, linked, measure, probe, run_once
from .lessons import Shown
from .recordings import Recorded
from .units import format_bytes, format_seconds


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


# --- 00 Check your machine ---------------------------------------------------------------------


@exercise("00.1", "the first image, its zeros written and deleted, and none of them shipped")
def _nothing_buried(client, made: Build) -> str:
    image = measure(client, made)
    if image.reclaimable_bytes:
        largest = max(image.buried, key=lambda item: item.bytes)
        refuse(
            "00.1",
            "something is buried, and ships.",
            hint="which instruction writes, and which one deletes? A layer is made after each",
            found=f"/{largest.path}, {format_bytes(largest.bytes)}",
            expected="no reclaimable bytes",
        )
    if not any("zeros" in instruction for instruction, _ in image.history):
        refuse("00.1", "no zeros were ever written.", hint="they are to be written, and deleted")
    if run_once(client, made) != "Build heavy, ship light.":
        refuse("00.1", "the message is gone.", hint="what does the image do when it runs?")
    return f"{format_bytes(image.unpacked_bytes)} unpacked, nothing buried"


# --- 01 Go ------------------------------------------------------------------------------------


@exercise("01.1", "the two-file image, run by a user who is not root")
def _not_root(client, made: Build) -> str:
    image = measure(client, made)
    user = image.user.partition(":")[0]
    if not user or user in ("0", "root"):
        refuse(
            "01.1",
            "the service still runs as root.",
            hint="a USER counts for the stage that it stands in: which one becomes the image?",
            found=f"USER {image.user or '(none)'}",
        )
    if not user.isdigit():
        refuse(
            "01.1",
            "the user is named, and nothing here knows the name.",
            hint="where would `scratch` look a name up? A number needs no looking up",
            found=f"USER {image.user}",
        )
    asked = answering(client, "01.1", made)
    _only_two_files("01.1", image)
    return f"it answers as user {asked['user_id']}"


@exercise("01.2", "the two-file image, with time zones, at less than a megabyte more")
def _with_zones(client, made: Build) -> str:
    image, asked = measure(client, made), answering(client, "01.2", made)
    if not asked["time_zones"]:
        refuse(
            "01.2",
            "the service still finds no time zone.",
            hint="Go looks at the path in the variable ZONEINFO, at /usr/share/zoneinfo, "
            "and into the program itself",
        )
    if image.find("usr/local/go/bin/go"):
        refuse(
            "01.2",
            "the compiler came along.",
            hint="the zones are one file of the toolchain: which?",
            found="/usr/local/go/bin/go",
        )
    needed = ("server", "etc/ssl/certs/ca-certificates.crt")
    extra = sum(entry.size for path, (entry, _) in image.tree().items() if path not in needed)
    if extra > 1_000_000:
        refuse(
            "01.2",
            "the zones weigh more than they need to.",
            hint="there is one packed file of all zones beside the toolchain",
            found=f"{format_bytes(extra)} beside the service and its certificates",
            expected="less than a megabyte more",
        )
    return f"zones for {format_bytes(extra)}"


def _only_two_files(exercise_id: str, image) -> None:
    files = [path for path, (entry, _) in image.tree().items() if entry.kind == "file"]
    if len(files) > 2:
        refuse(
            exercise_id,
            "more than the two files came along.",
            hint="what do your COPY instructions bring?",
            found=", ".join(f"/{path}" for path in files[:5]),
        )


# --- 02 Node ----------------------------------------------------------------------------------


@exercise("02.1", "the three-stage image, run by a user who is not root")
def _node_not_root(client, made: Build) -> str:
    image = measure(client, made)
    _only_what_runs("02.1", image)
    if image.user.partition(":")[0] in ("", "0", "root"):
        refuse(
            "02.1",
            "the service still runs as root.",
            hint="a USER counts for the stage that it stands in: which one becomes the image?",
            found=f"USER {image.user or '(none)'}",
        )
    return f"it answers as user {answering(client, '02.1', made)['user_id']}"


@exercise("02.2", "the bundle on node:22-alpine: one file of your own, and no node_modules")
def _bundle_on_alpine(client, made: Build) -> str:
    image = measure(client, made)
    if not image.find("usr/local/bin/npm"):
        refuse("02.2", "this is not node:22-alpine.", hint="keep the last FROM of the three stages")
    packages = frames.node_packages(image)
    if len(packages):
        refuse(
            "02.2",
            "packages came along beside the bundle.",
            hint="the bundle has what it uses of them inside: does anything need them still?",
            found=f"{len(packages)} packages, {packages['package'][0]} among them",
        )
    answering(client, "02.2", made)
    files = [path for path, (entry, _) in image.tree().items() if entry.kind == "file"]
    own = [path for path in files if path.startswith("app/")]
    if len(own) != 1:
        refuse(
            "02.2",
            "more than the bundle came along.",
            hint="copy the one file, and not the folder that it is in",
            found=", ".join(f"/{path}" for path in own[:5]),
        )
    size = image.tree()[own[0]][0].size
    return f"/{own[0]}, {format_bytes(size)}, answers"


def _only_what_runs(exercise_id: str, image) -> None:
    """CheckFailed where a dev dependency of the Node app is in an image."""
    package = json.loads((catalogue.APPS / "node" / "package.json").read_text(encoding="utf-8"))
    installed = set(frames.node_packages(image)["package"])
    if found := sorted(installed & set(package["devDependencies"])):
        refuse(
            exercise_id,
            "dev dependencies ship.",
            hint="from which stage do the packages of your last stage come?",
            found=", ".join(found),
        )


# --- 03 Python --------------------------------------------------------------------------------


@exercise("03.1", "the packages in a virtual environment of the builder, and wheels in no layer")
def _environment_copied(client, made: Build) -> str:
    image = measure(client, made)
    _no_compiler("03.1", image)
    live = [path for path in image.find("*.whl") if "/ensurepip/" not in path]  # the base's own
    hidden = [item.path for item in image.buried if item.path.endswith(".whl")]
    if live or hidden:
        refuse(
            "03.1",
            "wheels ship.",
            hint="which instruction brings them into the last stage? A later one only hides them",
            found=f"/{[*live, *hidden][0]}" + (", buried" if not live else ""),
            expected="no wheel in any layer",
        )
    if not image.find("*/pyvenv.cfg"):
        refuse(
            "03.1",
            "there is no virtual environment.",
            hint="`python -m venv` makes one: in which stage, and what do you copy of it?",
        )
    answering(client, "03.1", made)
    return f"{format_bytes(image.unpacked_bytes)} unpacked, no wheels, and it answers"


@exercise("03.2", "the service without its compiled package, on distroless, with no shell")
def _pure_on_distroless(client, made: Build) -> str:
    image = measure(client, made)
    _no_compiler("03.2", image)
    if image.find("*bin/sh"):
        refuse("03.2", "there is a shell.", hint="which base does your last FROM name?")
    if pip := image.find("*/pip/__init__.py"):
        refuse(
            "03.2",
            "pip came along.",
            hint="copy the folder that you installed into, and not the builder's own packages",
            found=f"/{next(iter(pip))}",
        )
    answering(client, "03.2", made)
    return f"{format_bytes(image.unpacked_bytes)} unpacked, no shell, no pip, and it answers"


def _no_compiler(exercise_id: str, image) -> None:
    """CheckFailed where a C compiler is in an image."""
    if compiler := image.find("*/cc1"):
        refuse(
            exercise_id,
            "the compiler ships.",
            hint="what does your last stage begin from?",
            found=f"/{next(iter(compiler))}",
        )


# --- 04 Rust ----------------------------------------------------------------------------------


@exercise("04.1", "the article's Dockerfile with its empty program, mended in a third way")
def _not_empty(client, made: Build) -> str:
    asked = probe(client, made)
    if not asked.answered and asked.exit_code == 0 and not asked.last_words:
        refuse(
            "04.1",
            "it is the empty program.",
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


@exercise("04.2", "the service from scratch, with all the authorities that it trusted before")
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
            "the service trusts no authority.",
            hint="distroless had a file that scratch has not: where does the builder keep it?",
        )
    return f"{format_bytes(image.unpacked_bytes)} unpacked, {asked['ca_certificates']} authorities"


# --- 05 Runtime bases ---------------------------------------------------------------------------


@exercise("05.1", "the Go service with its C library, on a base without a shell")
def _dynamic_without_a_shell(client, made: Build) -> str:
    program = linked(client, made)
    if program is None or not program.libc:
        refuse(
            "05.1",
            "the program asks for no C library.",
            hint="which setting of the build makes it static?",
            found="a static program" if program else "no program that the image starts",
        )
    asked = answering(client, "05.1", made)
    if asked.shell:
        refuse(
            "05.1",
            "there is a shell.",
            hint="which rows of the table have the C library, and no shell?",
            found="/bin/sh",
        )
    return f"{program.interpreter} is there, and no shell"


# --- 06 Debug a stage ---------------------------------------------------------------------------


@exercise("06.1", "the program that links libstdc++, with that library, and without a toolchain")
def _library_brought(client, made: Build) -> str:
    program = linked(client, made)
    if program is None or "libstdc++.so.6" not in program.needed:
        refuse(
            "06.1",
            "this program does not link the library any more.",
            hint="leave the program as it is, and repair what stands around it",
            found=", ".join(program.needed) if program else "no program that the image starts",
        )
    image, asked = measure(client, made), probe(client, made)
    if image.find("usr/local/go/bin/go"):
        refuse(
            "06.1", "the compiler ships.", hint="which base has the library without a toolchain?"
        )
    if not asked.answered:
        refuse(
            "06.1",
            "the program does not start.",
            hint="Read the last words again: is it still the same name that they miss?",
            found=asked.last_words[-1],
        )
    return f"it finds {', '.join(program.needed)}"


@exercise("06.2", "the service on alpine, where its C library is not")
def _other_libc(client, made: Build) -> str:
    image, program = measure(client, made), linked(client, made)
    if not image.find("lib/ld-musl-*"):
        refuse(
            "06.2",
            "this is not alpine.",
            hint="say that the base is given: what is left to change?",
        )
    loader = program.interpreter if program else ""
    if loader and not image.find(loader):
        refuse(
            "06.2",
            "the program asks for a loader that is not there.",
            hint="who wrote that loader, and does the program need one at all?",
            found=loader,
        )
    if loader and "musl" in follow(image, loader):
        refuse(
            "06.2",
            "the loader is that of another C library, under a false name.",
            hint="this runs until the program wants what the other one lacks. Needs it a loader?",
            found=f"{loader} is /{follow(image, loader)}",
        )
    answering(client, "06.2", made)
    return f"it answers, and asks for {loader or 'no loader'}"


@exercise("06.3", "the service from scratch, with the certificates that it misses")
def _certificates_brought(client, made: Build) -> str:
    image, asked = measure(client, made), answering(client, "06.3", made)
    files = [path for path, (entry, _) in image.tree().items() if entry.kind == "file"]
    if not asked["ca_certificates"]:
        refuse(
            "06.3",
            "the service still trusts no authority.",
            hint="where does a program look for them, and is the file there?",
            found=", ".join(f"/{path}" for path in files),
        )
    if len(files) > 2:
        refuse(
            "06.3",
            "more came along than it misses.",
            hint="one file is missing from the image as it was: which?",
            found=f"{len(files)} files",
        )
    return f"{asked['ca_certificates']} authorities"
