"""The checks of lesson 00, the first image, and of lesson 01, Go."""

import re
from collections.abc import Iterator
from math import prod

from ...builds import Build
from ...checks import Command, commands
from ...dockerfile import Instruction, Stage, needed_stages, parse
from ...image import Image
from ...inspection import file_in, linked, measure, run_once
from ...units import format_bytes
from .grading import (
    answering,
    exercise,
    last_line,
    own_files,
    own_layers,
    refuse,
    refuse_idle,
    refuse_root,
)

FIVE_MEGABYTES = 5_000_000
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"

# Where Go looks for time zones: /usr/share/zoneinfo and its like, or one packed file.
_ZONES = re.compile(r"(?:usr/share/|usr/share/lib/|etc/)zoneinfo/.+|usr/lib/locale/TZ/.+")
_REGIONS = ("Africa", "America", "Asia", "Australia", "Europe", "Pacific")
_ZIP = re.compile(r"(?:.*/)?zoneinfo\.zip")
_ZEROS = {"/dev/zero", "if=/dev/zero"}
_NOWHERE = re.compile(r"/dev/zero\b[^|;&\n]*?(?<!\d)>\s*/dev/null\b")  # and not 2>/dev/null
_AGAIN = re.compile(r"\b(?:for|while|until|xargs)\b")
_NUMBER = re.compile(r"(\d+)(k|kB|K|KiB|M|MiB|MB)?")
_TIMES = {"k": 1024, "K": 1024, "KiB": 1024, "kB": 1000, "M": 1 << 20, "MiB": 1 << 20, "MB": 10**6}
_SAY, _READ = ("echo", "printf", ":", "true"), ("cat", "cp", "dd", "head", "tail", "tee", "tr")


@exercise("00.1")
def _zeros_do_not_ship(client, made: Build) -> str:
    image = measure(client, made)
    if image.reclaimable_bytes:
        largest = max(image.buried, key=lambda item: item.bytes)
        refuse(
            "00.1",
            "something is deleted but still ships.",
            hint="which instruction writes, and which one deletes? "
            "Each instruction creates its own layer",
            found=f"/{largest.path}, {format_bytes(largest.bytes)}, hidden by a later layer",
            expected="no reclaimable bytes",
        )
    own = own_files(client, made, image)
    seen = [path for path, size in own.items() if "zero" in path or size >= 1_000_000]
    if seen:
        refuse(
            "00.1",
            "zeros or another large file ship, and every container sees them.",
            hint="delete them, or leave them behind in a stage: which instruction writes them?",
            found=f"/{seen[0]}, {format_bytes(own[seen[0]])}",
            expected="no such file in any layer",
        )
    read = parse(made.text)
    writing = [stage for stage in read.stages if any(_writing_zeros(stage))]
    if not writing:
        refuse("00.1", "no zeros are ever written.", hint="write them, and then delete them")
    written = [_zeros_of(one) for stage in writing for one in _writing_zeros(stage)]
    if None not in written and sum(written) < FIVE_MEGABYTES:
        refuse(
            "00.1",
            "fewer than five million zeros are written to a file.",
            hint="leave what is written as it is: the task is about where it goes afterwards",
            found=f"{sum(written):,} zeros",
        )
    _refuse_other_message(client, "00.1", made, image)
    seen = f"{format_bytes(image.unpacked_bytes)} unpacked, nothing hidden, no zeros in any layer"
    if not {stage.index for stage in writing} & {stage.index for stage in needed_stages(read)}:
        seen += "; nothing uses the stage that writes them, so BuildKit skipped it"
    return seen


@exercise("00.2")
def _bytes_that_nothing_packs(client, made: Build) -> str:
    image = measure(client, made)
    layers = own_layers(client, made, image)
    seen = sum(own_files(client, made, image).values())
    packed = sum(layer.packed_bytes for layer in layers)
    if seen < FIVE_MEGABYTES:
        refuse(
            "00.2",
            "a container does not see five million additional bytes.",
            hint="an instruction has to write them, and no later one may delete them",
            found=f"{format_bytes(seen)} in files of your own",
        )
    if packed < FIVE_MEGABYTES:
        refuse(
            "00.2",
            "the bytes get smaller when they are compressed.",
            hint="compression removes repetition: which bytes never repeat?",
            found=f"{format_bytes(packed)} packed, {format_bytes(seen)} unpacked",
        )
    _refuse_other_message(client, "00.2", made, image)
    return f"{format_bytes(seen)} of your own unpacked, and {format_bytes(packed)} packed"


def _refuse_other_message(client, exercise_id: str, made: Build, image: Image) -> None:
    """Raise CheckFailed where the first image no longer prints its message."""
    refuse_idle(exercise_id, image)
    if (said := run_once(client, made)) != "Build heavy, ship light.":
        refuse(
            exercise_id,
            "the message is gone.",
            hint="what does the image do when it runs?",
            found=last_line(said),
        )


def _writing_zeros(stage: Stage) -> Iterator[tuple[Instruction, Command]]:
    """Yield the commands of a stage that read zeros, rather than only saying their name."""
    for run in (one for one in stage.instructions if one.keyword == "RUN"):
        redirected = re.search(r"<\s*/dev/zero\b", run.value)
        for one in commands(run):
            named = _ZEROS.intersection(one.words) and one.program not in _SAY
            if named or (redirected and one.program in _READ):
                yield run, one


def _zeros_of(found: tuple[Instruction, Command]) -> int | None:
    """How many zeros a command of a RUN asks for; 0 if to no file, None if that is unknown."""
    run, one = found
    if _AGAIN.search(run.value):
        return None
    if "of=/dev/null" in one.words or _NOWHERE.search(run.value):
        return 0
    words = " ".join(one.words)
    if one.program == "dd":
        said = [re.search(rf"\b{name}=(\S+)", words) for name in ("bs", "count")]
    else:
        said = [re.search(r"(?:-c|--bytes)[ =]?(\S+)", words)]
    numbers = [each and _NUMBER.fullmatch(each[1]) for each in said]
    if not all(numbers):
        return None
    return prod(int(each[1]) * _TIMES.get(each[2], 1) for each in numbers)


@exercise("01.1")
def _not_root(client, made: Build) -> str:
    image = measure(client, made)
    user = image.user.partition(":")[0]
    if user in ("", "root"):
        refuse_root("01.1", image)
    if not user.isdigit() and not image.find("etc/passwd"):
        refuse(
            "01.1",
            "the user is given by name, and the image has no /etc/passwd to look it up in.",
            hint="where would `scratch` look up a name? A number needs no lookup",
            found=f"USER {image.user}",
        )
    asked = answering(client, "01.1", made)
    if asked["user_id"] == 0:
        refuse_root("01.1", image)
    _only_two_files("01.1", image)
    return f"it runs as user {asked['user_id']}"


@exercise("01.2")
def _with_zones(client, made: Build) -> str:
    image, asked = measure(client, made), answering(client, "01.2", made)
    if not asked["time_zones"]:
        refuse(
            "01.2",
            "the service does not find the time zone Europe/Paris.",
            hint="Go looks at the path in the variable ZONEINFO, at /usr/share/zoneinfo, "
            "where the toolchain was, and in the program itself",
        )
    if image.find("*/bin/go"):
        refuse(
            "01.2",
            "the image contains the compiler.",
            hint="the toolchain has all zones in one file: which one?",
            found=f"/{next(iter(image.find('*/bin/go')))}",
        )
    program = linked(client, made)
    if program and b"time/tzdata" in file_in(client, made.tag, program.path):
        refuse(
            "01.2",
            "the zones are inside the program, where `-tags timetzdata` puts them.",
            hint="the task asks for another way: can Go read them from a file in the image?",
            found=f"time/tzdata, compiled into /{program.path}",
        )
    needed = (CERTIFICATES, program.path if program else "")
    extra = sum(entry.size for path, (entry, _) in image.tree().items() if path not in needed)
    if extra > 1_000_000:
        refuse(
            "01.2",
            "the zones take more space than they need.",
            hint="the toolchain includes one compressed file with all zones",
            found=f"{format_bytes(extra)} beside the service and its certificates",
            expected="less than a megabyte more",
        )
    places = _zones_in(image)
    if not places.endswith(".zip") and (missing := _regions_missing(image)):
        refuse(
            "01.2",
            "only a part of the time zones ships.",
            hint="somebody in another part of the world looks for theirs: which one file has all?",
            found=f"none of {', '.join(missing)}",
        )
    return f"zones for {format_bytes(extra)}: {places}"


def _regions_missing(image: Image) -> list[str]:
    """Name the regions of which a folder of zones has none; none where a file has them all."""
    folder = image.env.get("ZONEINFO", "/none").strip("/") + "/"
    paths = [one for one in image.tree() if one.startswith(folder) or _ZONES.fullmatch(one)]
    if not paths:
        return []
    return [one for one in _REGIONS if not any(f"/{one}/" in path for path in paths)]


def _zones_in(image: Image) -> str:
    """Name the file that the zones come from, or their folder."""
    named = image.env.get("ZONEINFO", "").strip("/")
    for path in image.tree():
        if path == named or _ZIP.fullmatch(path):
            return f"/{path}"
        if _ZONES.fullmatch(path):
            return f"/{path.partition('/Europe')[0]}"
    return "files of the image"


def _only_two_files(exercise_id: str, image: Image) -> None:
    files = files_of(image)
    if len(files) > 2:
        refuse(
            exercise_id,
            "more than the two files ship.",
            hint="which files do your COPY instructions add?",
            found=", ".join(f"/{path}" for path in files[:5]),
        )


def files_of(image: Image) -> list[str]:
    """Everything that a container sees but folders: links count as the files that they are."""
    return [path for path, (entry, _) in image.tree().items() if entry.kind != "dir"]
