"""The checks of lesson 00, the first image, and of lesson 01, Go."""

from ...builds import Build
from ...inspection import measure, run_once
from ...units import format_bytes
from .grading import answering, exercise, refuse


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
            "the image contains the compiler.",
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
            "the image contains more than the two files.",
            hint="what do your COPY instructions bring?",
            found=", ".join(f"/{path}" for path in files[:5]),
        )
