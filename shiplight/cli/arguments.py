"""What `./lab` can be told: its commands, their options and examples. Standard library only."""

import argparse
from pathlib import Path

from ..setup import PROGRAM

_EXAMPLES = f"""examples:
  {PROGRAM} up                        set up, get what lesson 01 needs, open JupyterLab
  {PROGRAM} test --live               run all tests; fail if any cannot run live
  {PROGRAM} build go                  build every variant of the Go app, and measure it
  {PROGRAM} measure golang:1.23       layers and bytes of any image
  {PROGRAM} measure go/single go/multi  how two images differ
  {PROGRAM} scan go/multi             known vulnerabilities of a variant that was built
  {PROGRAM} check .                   what to change in your own Dockerfile, and why
  {PROGRAM} clean                     remove what this lab made on the engine
"""

_SAVED = (
    "an archive may be a folder, which holds an OCI layout; NAME chooses one of several images, by "
    "its name, its tag or its id"
)


_DOCKERFILE = "a variant, a Dockerfile, or a folder with one"


def parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    top = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Learn Docker multi-stage builds by building, running and measuring them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, does: str, example: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=does,
            description=does[0].upper() + does[1:] + ".",
            epilog="example:" + "".join(f"\n  {PROGRAM} {line}" for line in example.splitlines()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument(
            "--no-engine",
            action="store_true",
            help="never install or start an engine, even as root on Debian or Ubuntu",
        )
        return command

    for group in (_learning, _images, _bases_and_engine, _lessons, _teaching, _cleaning):
        group(add)
    return top


def _learning(add) -> None:
    """Open the lessons, run the tests, say what is there, run lessons."""
    up = add(
        "up",
        "set up everything and open JupyterLab on the first lesson",
        "up --no-browser --port 8899",
    )
    up.add_argument(
        "--port", type=_port, help="port on 127.0.0.1 (default: the first free one from 8888)"
    )
    up.add_argument("--no-browser", action="store_true", help="only print the address")

    test = add("test", "run all tests: unit, live, notebooks", "test --live -- -k dockerfile")
    mode = test.add_mutually_exclusive_group()
    mode.add_argument("--live", action="store_true", help="fail if anything cannot run live")
    mode.add_argument(
        "--recorded", action="store_true", help="use no engine: run unit tests, replay lessons"
    )
    mode.add_argument("--unit", action="store_true", help="unit tests only")
    test.add_argument(
        "rest", nargs="*", metavar="PYTEST", help="more arguments for pytest, after --"
    )

    doctor = add("doctor", "check your setup: what is missing, and how to fix it", "doctor")
    _json(doctor)
    doctor.add_argument(
        "--report",
        action="store_true",
        help="print what you can paste into an issue, without names, paths and secrets",
    )

    run = add(
        "run", "execute lessons into out/, as notebooks and pages, and print their claims",
        "run 01\nrun ~/mine/01-go.ipynb",
    )  # fmt: skip
    run.add_argument(
        "lessons",
        nargs="*",
        metavar="LESSON|PATH",
        help="01, 01-go, or the path of any notebook, which runs in its own folder (default: all)",
    )
    _json(run)

    progress = add(
        "progress",
        "show which exercises are solved, and which comes next; or hand that to a teacher",
        "progress\nprogress --export /mnt/class --as blue-otter --follow",
    )
    _json(progress)
    progress.add_argument(
        "--export",
        nargs="?",
        const=Path(),
        type=Path,
        metavar="FILE|FOLDER",
        help="write it for a teacher, with no code, names or paths (default: into this folder)",
    )
    progress.add_argument(
        "--as",
        dest="pseudonym",
        metavar="PSEUDONYM",
        help="with --export: a pseudonym of your choice, which is kept (default: learner)",
    )
    _follow(progress, "with --export: write it again whenever it changes, until Ctrl-C")


def _images(add) -> None:
    """Build, measure, scan and check images."""
    build = add(
        "build",
        "build variants, or a folder with a Dockerfile, and measure them",
        "build go/multi --json",
    )
    build.add_argument(
        "what",
        nargs="?",
        metavar="APP[/VARIANT]",
        help="a variant, every variant of an app, or a folder (default: list what can be built)",
    )
    build.add_argument("-f", "--file", help="the Dockerfile in that folder (default: Dockerfile)")
    _stage(build, "build")
    build.add_argument("--no-cache", action="store_true", help="use no cache")
    _offers(build)
    build.add_argument(
        "--platform", metavar="OS/ARCH", help="the platform to build for, such as linux/arm64"
    )
    build.add_argument(
        "--cache-from",
        action="append",
        default=[],
        metavar="IMAGE|type=local,src=DIR",
        help="use the cache that is stored there",
    )
    build.add_argument(
        "--cache-to",
        action="append",
        default=[],
        metavar="type=registry,ref=IMAGE[,mode=max]|type=local,dest=DIR|type=inline",
        help="store this build's cache there",
    )
    build.add_argument("--output", metavar="DIR", help="write the files there and create no image")
    _json(build)

    measure = add(
        "measure",
        "show the layers and bytes of an image, a saved archive or an OCI layout, or how two of "
        "them differ; with --remote, read from a registry, without an engine and without a pull",
        "measure go/single go/multi\n"
        "measure image.tar\n"
        "measure two.tar:busybox:1.36 two.tar:busybox:1.37\n"
        "measure layout --platform linux/arm64\n"
        "measure --remote golang:1.23\n"
        "measure --remote golang:1.22 golang:1.23 --platform linux/arm64\n"
        "measure --remote golang:1.23 --platform linux/amd64,linux/arm64\n"
        "measure --remote busybox --deep\n"
        "measure go/multi --at-most 12MB\n"
        "measure go/multi --packed --baseline sizes.json",
    )
    measure.add_argument("image", metavar="APP/VARIANT|IMAGE|ARCHIVE[:NAME]", help=_SAVED)
    measure.add_argument(
        "other", nargs="?", metavar="OTHER", help="a second image, to compare it with"
    )
    measure.add_argument(
        "--remote",
        action="store_true",
        help="read index, manifests, configurations and attestations from the registry (or its "
        "mirror in SHIPLIGHT_MIRROR), with the logins of `docker login`; where pulls are limited, "
        "each of these counts as one; `docker://NAME` does the same for one image",
    )
    measure.add_argument(
        "--deep",
        action="store_true",
        help="with --remote: also stream the layers, for unpacked and reclaimable bytes; their "
        "contents are not written anywhere",
    )
    measure.add_argument(
        "--platform",
        metavar="OS/ARCH[,OS/ARCH]",
        help="of an archive, a layout or, with --remote, a registry: only this platform (default: "
        "this machine's; all platforms of one image in a registry, without --deep); two platforms "
        "are compared",
    )
    measure.add_argument(
        "--at-most",
        type=_bytes,
        metavar="SIZE",
        help="exit with 1, and name the largest instruction, where the image has more unpacked "
        "bytes than this, such as 90MB",
    )
    measure.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="exit with 1, and name the instruction that grew, where the image has more bytes than "
        "FILE says; written if it is not there, and rewritten as the image becomes smaller",
    )
    measure.add_argument(
        "--packed", action="store_true", help="with these two: packed bytes, as pulled"
    )
    _json(measure)

    origins = add(
        "origins",
        "build a multi-stage image stage by stage, and show where each byte that it ships was "
        "born, and what each stage leaves behind",
        "origins go/multi\norigins go/multi --scan",
    )
    origins.add_argument("what", metavar="APP/VARIANT|DIR", help="a variant, or a folder")
    origins.add_argument("-f", "--file", help="another Dockerfile in that folder")
    _stage(origins, "follow")
    origins.add_argument(
        "--scan",
        action="store_true",
        help="also scan every stage, and show which known vulnerabilities ship and which are left "
        "behind",
    )
    _offers(origins)
    _json(origins)

    graph = add(
        "graph",
        "draw the stages of a Dockerfile as SVG: which stage uses which",
        "graph apps/node/Dockerfile.multi > stages.svg",
    )
    graph.add_argument("path", metavar="APP/VARIANT|PATH", help=_DOCKERFILE)
    graph.add_argument(
        "--build",
        action="store_true",
        help="also build it, and show which stages ran, for how long, and which were cached",
    )
    _stage(graph, "draw")
    _offers(graph)

    margin = add(
        "margin",
        "build a Dockerfile, and show beside each line what it took, the bytes that were born "
        "there, those that ship, and what the checklist says",
        "margin node/multi --output margin.html",
    )
    margin.add_argument("path", metavar="APP/VARIANT|PATH", help=_DOCKERFILE)
    margin.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write it as a page that needs no network",
    )
    _stage(margin, "build")
    _offers(margin)

    why = add(
        "why",
        "say which steps the last successful build of a Dockerfile ran first, and what changed "
        "since the one before; needs no engine",
        "why go/multi",
    )
    why.add_argument("path", metavar="APP/VARIANT|PATH", help="what was built, by the same name")
    why.add_argument("-f", "--file", help="another Dockerfile in that folder")
    _json(why)

    scan = add(
        "scan",
        "show the known vulnerabilities of a variant, an image, a saved archive or an OCI layout, "
        "or which of them are gone, kept and new in another one",
        "scan go/single go/multi\n"
        "scan go/multi --sbom packages.spdx.json\n"
        "scan two.tar:busybox:1.36\n"
        "scan layout --platform linux/arm64\n"
        "scan go/multi --fail-on high --only-fixed --exceptions exceptions.toml",
    )
    scan.add_argument("image", metavar="APP/VARIANT|IMAGE|ARCHIVE[:NAME]", help=_SAVED)
    scan.add_argument(
        "other", nargs="?", metavar="OTHER", help="a second image, to compare it with"
    )
    scan.add_argument(
        "--platform",
        metavar="OS/ARCH",
        help="of an archive or a layout: this platform (default: this machine's)",
    )
    scan.add_argument(
        "--sbom",
        type=Path,
        metavar="FILE",
        help="also write its package list: SPDX if FILE ends in .spdx.json, else CycloneDX",
    )
    scan.add_argument(
        "--fail-on",
        choices=["critical", "high", "medium", "low", "unrated"],
        help="exit with 1 where a vulnerability of this severity or above is found, and with 2 "
        "where the scan could not read everything (default: 0 whatever is found)",
    )
    scan.add_argument(
        "--only-fixed", action="store_true", help="with --fail-on: count only what has a fix"
    )
    scan.add_argument(
        "--exceptions",
        type=Path,
        metavar="FILE",
        help="with --fail-on: vulnerabilities that do not count, in TOML; each [[exception]] has "
        "an id, a reason, the last day `until` which it holds, and perhaps a package",
    )
    scan.add_argument("--update", action="store_true", help="download the newest database first")
    _json(scan)
    check = add(
        "check",
        "check Dockerfiles against the checklist; without --build, only the text is read, and "
        "nothing is built or run",
        "check apps/go/Dockerfile.single --format json",
    )
    check.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a Dockerfile, a folder that contains Dockerfiles, a variant such as go/multi, or - "
        "for standard input",
    )
    check.add_argument("--build", action="store_true", help="also build it, and inspect the image")
    check.add_argument(
        "--context",
        metavar="DIR",
        help="the folder that a build sends (default: found automatically)",
    )
    _stage(check, "check")
    _offers(check)
    check.add_argument(
        "--skip", action="append", default=[], metavar="ID[,ID]", help="leave these checks out"
    )
    check.add_argument(
        "--fail-on",
        choices=["error", "warning", "note"],
        default="warning",
        help="the lowest severity that fails, with exit code 1 (default: warning)",
    )
    check.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="known failures, which do not count; if FILE is missing, this run counts all and "
        "writes it; it shrinks as failures are fixed",
    )
    output = check.add_mutually_exclusive_group()
    output.add_argument(
        "--format",
        choices=["text", "json", "sarif", "github"],
        help="how to print it (default: text); github: annotations of a workflow",
    )
    output.add_argument("--sarif", action="store_true", help="the same as --format sarif")
    output.add_argument(
        "--diff",
        action="store_true",
        help="print a patch instead, for what can be fixed by rule: `patch -p1` and `git apply` "
        "take it; read it first",
    )
    _json(output)


def _bases_and_engine(add) -> None:
    """Show or get base images; start, stop or show the private engine."""
    bases = add("bases", "show the base images, or get them all", "bases get")
    bases.add_argument("do", nargs="?", choices=["show", "get"], default="show")
    bases.add_argument("references", nargs="*", metavar="IMAGE", help="only these (default: all)")
    _json(bases)

    engine = add(
        "engine",
        "start, stop or show a private engine, if the machine has none",
        "engine start",
    )
    engine.add_argument("do", choices=["start", "stop", "status"])
    engine.add_argument(
        "--remove-data", action="store_true", help="with stop: also remove its images and cache"
    )
    engine.add_argument(
        "--remove-gone",
        action="store_true",
        help="with stop: instead, remove private engines whose checkout is gone, with their data",
    )
    _json(engine)


def _lessons(add) -> None:
    """Record lessons, or restore their originals."""
    record = add(
        "record",
        "run lessons live and record the results in recordings/",
        "record 01",
    )
    record.add_argument("lessons", nargs="*", metavar="LESSON")
    record.add_argument(
        "--replay", action="store_true", help="only store the outputs of a replay; needs no engine"
    )

    reset = add("reset", "restore the original lesson (keeps a copy of yours)", "reset 01")
    reset.add_argument("lessons", nargs="+", metavar="LESSON")


def _teaching(add) -> None:
    """See a class, and prepare one."""
    seen = add(
        "class",
        "show who is stuck on what, from a folder of what learners exported",
        "class /mnt/class --follow\nclass /srv/shiplight/*/class",
    )
    seen.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="the folder that a class shares, or a folder of each learner",
    )
    seen.add_argument(
        "--names", action="store_true", help="show pseudonyms, which are hidden by default"
    )
    seen.add_argument(
        "--page",
        type=Path,
        metavar="FILE",
        help="where the page for a projector is written (default: out/class.html)",
    )
    _follow(seen, "go on reading and writing the page, until Ctrl-C")
    _json(seen)

    solutions = add(
        "solutions",
        "print the answer key: task, hints and right answers of exercises, as Markdown",
        "solutions --all > answers.md\nsolutions 01.1",
    )
    solutions.add_argument("exercises", nargs="*", metavar="EXERCISE", help="such as 01.1")
    solutions.add_argument("--all", action="store_true", help="of every exercise")

    catch = add(
        "catch-up",
        "build what a learner would have before a lesson, and tell what the lessons before it show",
        "catch-up 03",
    )
    catch.add_argument("lesson", metavar="LESSON", help="the lesson to begin with, such as 03")
    catch.add_argument("--tell-only", action="store_true", help="build nothing; needs no engine")

    packed = add(
        "pack",
        "write a kit for a room without a network: base images of lessons, recordings, the "
        "scanner and its database, Python packages, and what RUN steps download",
        "pack 00 01 03 --packages --output class.tar\npack 00 01 --wheels linux/amd64,macos/arm64",
    )
    packed.add_argument("lessons", nargs="*", metavar="LESSON", help="(default: all)")
    packed.add_argument(
        "--output", type=Path, metavar="FILE", help="default: out/shiplight-kit.tar"
    )
    packed.add_argument(
        "--wheels",
        default="",
        metavar="OS/ARCH[,OS/ARCH]",
        help=f"also the Python packages of `{PROGRAM}` for these machines, with this Python",
    )
    packed.add_argument(
        "--packages",
        action="store_true",
        help="also what RUN steps download: builds the lessons' variants with nothing cached and "
        "the solutions of their exercises, and runs the lessons, through a proxy that records",
    )
    packed.add_argument(
        "--serve",
        type=Path,
        metavar="FILE",
        help="pack nothing; hand out this kit over HTTP, to everybody who can reach this machine",
    )
    packed.add_argument("--port", type=_port, default=8900, help="for --serve (default: 8900)")
    packed.add_argument("--weigh", action="store_true", help="only say what it will weigh")

    unpacked = add(
        "unpack",
        "verify a kit, all of it, and then load its base images, put its files in place, and let "
        "builds download from it",
        "unpack class.tar\nunpack http://192.168.1.7:8900/kit.tar --sha256 0123456789abcdef",
    )
    unpacked.add_argument("kit", metavar="FILE|URL", help="a kit, or where one is served")
    unpacked.add_argument(
        "--sha256", default="", metavar="DIGITS", help="what its SHA-256 begins with, for a URL"
    )

    is_ready = add(
        "ready",
        "check the day before a class whether this machine can run lessons; the last line is for "
        "your teacher, without names and paths",
        "ready 00 01 03",
    )
    is_ready.add_argument("lessons", nargs="*", metavar="LESSON", help="(default: all)")
    _json(is_ready)

    rehearsal = add(
        "rehearse",
        "check a teacher's machine for lessons: engine, disk, bases, recordings, port, pages",
        "rehearse 00 01 03\nrehearse 00 01 --kit class.tar",
    )
    rehearsal.add_argument("lessons", nargs="*", metavar="LESSON", help="(default: all)")
    rehearsal.add_argument("--kit", type=Path, metavar="FILE", help="also check that kit")
    _json(rehearsal)

    slides = add(
        "slides",
        "write a lesson as slides for a projector, its exercises as a second deck, into out/slides",
        "slides 01\nslides 00 01 03 --reveal ~/reveal.js/package",
    )
    slides.add_argument("lessons", nargs="+", metavar="LESSON")
    slides.add_argument(
        "--reveal",
        type=Path,
        metavar="FOLDER",
        help="a copy of reveal.js on this machine (default: npm gets it, once)",
    )


def _cleaning(add) -> None:
    """Remove what this lab made."""
    clean = add("clean", "remove what this lab made on the engine, and nothing else", "clean")
    clean.add_argument(
        "--all", action="store_true", help="remove what every lab made, not only this checkout"
    )
    _json(clean)


def _stage(command, verb: str) -> None:
    """The stage that is meant, and the arguments of its build."""
    command.add_argument("--target", help=f"the stage to {verb} (default: the last)")
    command.add_argument(
        "--build-arg", action="append", default=[], metavar="NAME=VALUE", dest="build_args"
    )


def _offers(command) -> None:
    """Secrets and ssh agents, in the words of `docker build`."""
    command.add_argument(
        "--secret",
        action="append",
        default=[],
        dest="secrets",
        metavar="id=NAME,src=FILE|env=VARIABLE",
        help="a secret for RUN --mount=type=secret,id=NAME; never kept in a layer, journal or log",
    )
    command.add_argument(
        "--ssh",
        action="append",
        default=[],
        metavar="default|ID=SOCKET",
        help="an ssh agent for RUN --mount=type=ssh",
    )


def _follow(command, does: str) -> None:
    command.add_argument("--follow", action="store_true", help=does)


def _json(command) -> None:
    command.add_argument("--json", action="store_true", help="print JSON on standard output")


def _bytes(text: str) -> int:
    from ..units import parse_bytes

    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (1 to 65535)")
    return int(text)
