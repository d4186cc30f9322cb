"""Tries Ship Light on other engines, and writes down what came of it.

    python tests/live/engines.py sizes       one image, loaded into each: recordings/engines.json
    python tests/live/engines.py live [ENGINE…]  the live tests on each: docs/engines.md
    python tests/live/engines.py lessons [ENGINE…]  all lessons on each: docs/engines.md
                                     with `--only 07 09`, these lessons
                                     on `official`, on images that have Docker Hub's names
    python tests/live/engines.py paths       where images come from, tried by tests: docs/engines.md
    python tests/live/engines.py arm64 [VARIANT…]  built for arm64, emulated: docs/engines.md
    python tests/live/engines.py fixtures        answers and archives of each: tests/fixtures/

The engines are those of other_engines.py and the machine's own. Linux, root, a few minutes.
"""

import argparse
import gzip
import io
import json
import lzma
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

sys.path.insert(0, str(ROOT / "tests"))

import arm64
import guarded
from other_engines import OTHERS, running
from places import placed

from shiplight import builds, catalogue, dockerfile, engine, references
from shiplight.builds.bases import text_to_send
from shiplight.builds.providing import provide
from shiplight.dockerfile import image_uses, read_context
from shiplight.engine import cleaning
from shiplight.errors import EngineNotReachable
from shiplight.image import LayerStore
from shiplight.inspection import measure
from shiplight.units import format_bytes

LAB = "engines"
HERE, OFFICIAL = "here", "official"
ASKED_FOR = {"SHIPLIGHT_BASES": "official"}
SIZES = ROOT / "recordings" / "engines.json"
TRIED = ROOT / "recordings" / "engines-tried.json"
SMALL = ROOT / "tests" / "fixtures" / "small"
TABLE = ROOT / "docs" / "engines.md"
PATHS_TRIED = ROOT / "recordings" / "paths-tried.json"
LESSONS_TRIED = ROOT / "recordings" / "lessons-tried.json"
TABLES = {  # what stands around each table in docs/engines.md, by the command that fills it
    "live": ("<!-- tests/live/engines.py writes this -->", "<!-- up to here -->"),
    **{
        name: (f"<!-- tests/live/engines.py {name} writes this -->", f"<!-- up to here, {name} -->")
        for name in ("lessons", "paths", "arm64")
    },
}
ELSEWHERE = "not for this machine: "  # how reasons begin in conftest.py
TEST_SECONDS = 5400
NBVAL = ["--nbval-current-env", "--nbval-cell-timeout=900", "--timeout=900"]
CLAIM = re.compile(r"(?m)^ *(?:claim|held_against)\(")
GZIP = b"\x1f\x8b"
NOT_OURS = [  # of the machine, and not of its engine
    f"--ignore=tests/live/test_{name}.py"
    for name in ("assembled_bases", "disk", "faults", "kills", "official", "private_engine")
]


# Where images come from, by what stands for it here, on which engines, and which tests try it.
OFFICIAL_TESTS = "tests/live/test_official.py"
PATHS = {
    "official": (
        "stand-in images on a local registry that plays Docker Hub and gcr.io, with TLS and tokens",
        "another, graph driver and containerd store",
        [OFFICIAL_TESTS, "-k", "not mirror"],
    ),
    "mirrored": (
        "a local registry, whole, broken or lacking an image",
        "another (both stores), and the machine's own",
        [OFFICIAL_TESTS, "tests/live/test_assembled_bases.py", "-k", "mirror"],
    ),
    "arm64": (
        "an image from scratch, emulated by QEMU: not on arm64 hardware",
        "the machine's own",
        ["tests/live/test_arm64.py"],
    ),
    "without an engine": (
        "`./lab measure --remote`, on Debian's docker-registry and on one that fails as told",
        "none",
        ["tests/inspection/test_remote.py"],
    ),
}


@contextmanager
def engine_named(name: str, *, keep: bool) -> Iterator:
    """A client of the machine's own engine, or of another while it runs."""
    if name == HERE:
        yield engine.connect()
    else:
        with running(OTHERS[name], keep=keep) as client:
            yield client


# --- sizes -----------------------------------------------------------------------------------


def record_sizes(names: list[str], *, keep: bool) -> None:
    """Ask every engine for the size of one image, and write that beside what it really holds."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "first.tar"
        tag = save_first(archive)
        rows = []
        for name in names:
            with engine_named(name, keep=keep) as client:
                rows.append(sizes_on(client, archive, tag))
            print(json.dumps(rows[-1]), flush=True)
    for count in ("unpacked_bytes", "reclaimable_bytes"):
        if len({row[count] for row in rows}) != 1:
            raise SystemExit(f"{count} differ between engines")
    SIZES.parent.mkdir(exist_ok=True)
    SIZES.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    write_table()


def save_first(archive: Path) -> str:
    """Build apps/first on the machine's engine and save it, its layers packed; its name."""
    client = engine.connect()
    tag = builds.build(client, str(ROOT / "apps" / "first")).tag
    with engine.export_image(client, tag) as chunks, tempfile.TemporaryFile() as saved:
        saved.writelines(chunks)
        saved.seek(0)
        pack_layers(saved, archive)
    return tag


def pack_layers(saved, archive: Path) -> None:
    """Write a saved image once more, with its layers packed by gzip, as a registry keeps them."""
    with tarfile.open(fileobj=saved) as given, tarfile.open(archive, "w") as packed:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))

        [image] = json.load(given.extractfile("manifest.json"))
        add("config.json", given.extractfile(image["Config"]).read())
        layers = [f"{number}.tar.gz" for number in range(len(image["Layers"]))]
        for name, path in zip(layers, image["Layers"], strict=True):
            layer = given.extractfile(path).read()
            is_packed = layer[:2] == GZIP  # a containerd store saves layers as it keeps them
            add(name, layer if is_packed else gzip.compress(layer, compresslevel=6, mtime=0))
        described = {"Config": "config.json", "RepoTags": image["RepoTags"], "Layers": layers}
        add("manifest.json", json.dumps([described]).encode())


def sizes_on(client, archive: Path, tag: str) -> dict:
    """What this engine says of the image, and what is measured; nothing known before is used."""
    with open(archive, "rb") as file:
        client.images.load(file)
    inspected = client.api.inspect_image(tag)
    [listed] = [found for found in client.api.images() if found["Id"] == inspected["Id"]]
    with tempfile.TemporaryDirectory() as folder:
        image = measure(client, tag, store=LayerStore(folder))
    return {
        "engine": image.setting.engine,
        "store": image.setting.store,
        "inspect_bytes": inspected["Size"],
        "list_bytes": listed["Size"],
        "unpacked_bytes": image.unpacked_bytes,
        "packed_bytes": image.packed_bytes,
        "packed_is_estimate": image.packed_is_estimate,
        "reclaimable_bytes": image.reclaimable_bytes,
        "when": image.setting.when,
    }


# --- the live tests --------------------------------------------------------------------------


def try_all(names: list[str], *, keep: bool) -> None:
    """Run the live tests on each engine, and write down what passed; the rest stays as it was."""
    for name in names:
        with engine_named(name, keep=keep) as client:
            if name != HERE:
                bring(engine.connect(), client, bases_of_tests())
            result = asdict(engine.setting(client)) | run_tests(name)
            print(json.dumps(result, indent=1), flush=True)
            tried = json.loads(TRIED.read_text(encoding="utf-8")) if TRIED.exists() else {}
            tried[name] = result
            known = {name: tried[name] for name in (HERE, *OTHERS) if name in tried}
            TRIED.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            write_table()


def bases_of_tests() -> list[str]:
    """The bases that the tests build on."""
    texts = [(row.folder / row.dockerfile).read_text() for row in catalogue.rows()]
    texts += [path.read_text() for path in (ROOT / "tests" / "exercises").glob("*.Dockerfile")]
    parsed = [dockerfile.parse(text) for text in texts]
    uses = [
        use for read in parsed for stage in read.stages for use in image_uses(read, stage.index)
    ]
    return ["busybox", *(use.reference for use in uses)]


def bring(here, there, references: list[str]) -> None:
    """Load bases from one engine into another; the first has them, or gets them."""
    for base in provide(here, references):
        if not engine.has_image(there, base.used):
            print(f"loading {base.used}", flush=True)
            with engine.export_image(here, base.used) as chunks:
                there.api.load_image(chunks)


def run_tests(name: str) -> dict:
    """How many live tests passed on this engine, and which failed or were skipped, and why."""
    began = time.monotonic()
    tests = ["--numprocesses=2", "-m", "live", "tests", *NOT_OURS]
    report = reported(*way_to(name), tests)
    return outcomes(report) | {"seconds": round(time.monotonic() - began)}


def way_to(name: str) -> tuple:
    """How a program uses this engine: what its command is put into, and its environment."""
    if name == HERE:
        return lambda *command: command, {}
    return OTHERS[name].inside, OTHERS[name].environment


def reported(inside, environment: dict[str, str], arguments: list[str]) -> ElementTree.ElementTree:
    """The JUnit report of live tests, run where `inside` puts a command."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "--live", f"--junitxml={report}", *arguments]
        given = os.environ | environment | {"LAB_ID": f"test{os.getpid()}"}
        subprocess.run(inside(*command), cwd=ROOT, env=given, timeout=TEST_SECONDS)
        return ElementTree.parse(report)


# --- the lessons -----------------------------------------------------------------------------


def try_lessons(names: list[str], *, keep: bool, only: tuple[str, ...] = ()) -> None:
    """Run every lesson, or only some, on each engine; write down after each what held."""
    for name in names:
        if name == OFFICIAL:
            with official_place() as place:
                lessons_on(name, place.client, place.inside, place.environment | ASKED_FOR, only)
            continue
        with engine_named(name, keep=keep) as client:
            if name != HERE:
                bring(engine.connect(), client, builds.recipes())
            lessons_on(name, client, *way_to(name), only)


def lessons_on(name: str, client, inside, environment: dict[str, str], only=()) -> None:
    """Run the lessons where `inside` puts a command; the table is written after each."""
    for lesson in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if only and lesson.stem[:2] not in only:
            continue
        report = reported(inside, environment, [str(lesson), "--nbval-lax", *NBVAL])
        tried = json.loads(LESSONS_TRIED.read_text("utf-8"))
        row = tried.get(name, {"lessons": {}}) | asdict(engine.setting(client))
        row["lessons"][lesson.stem[:2]] = held(lesson, report)
        tried[name] = row
        print(name, lesson.stem, row["lessons"][lesson.stem[:2]], flush=True)
        known = {name: tried[name] for name in (HERE, *OTHERS, OFFICIAL) if name in tried}
        LESSONS_TRIED.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        write_table()


@contextmanager
def official_place() -> Iterator:
    """An engine that pulls all bases of the lessons by their own names, from stand-ins.

    Where a proxy opens TLS, those that stages build on know its certificate: a network like that
    has official images with it added, if RUN steps are to fetch anything.
    """
    here = engine.connect()
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder)
        program = guarded.program(storage)
        with placed("28.5-containerd", program, storage, storage / "place") as place:
            for base in provide(here, builds.recipes()):
                name = references.read(base.reference)
                print(f"putting {base.reference} into the registry", flush=True)
                with engine.export_image(here, base.building or base.used) as chunks:
                    place.images.put(b"".join(chunks), name.repository, name.version)
            yield place


def held(lesson: Path, report: ElementTree.ElementTree) -> dict:
    """How many claims a lesson makes, and how many are in cells that passed; the other cells.

    A claim that does not hold fails its cell. What did not run, since a cell before it timed out,
    did not hold either: it has no result, or one that says `skipped`.
    """
    cells = [c for c in json.loads(lesson.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    claims = [len(CLAIM.findall("".join(cell["source"]))) for cell in cells]
    passed = {
        int(case.get("name").split()[-1])
        for case in report.iter("testcase")
        if not any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
    }
    return {
        "claims": sum(claims),
        "held": sum(claims[number] for number in passed),
        "other_cells": [number for number in range(len(cells)) if number not in passed],
    }


def try_paths(names: list[str], *, keep: bool) -> None:
    """Run the tests of each way in which images come, and write their table."""
    for name in names:
        *_, tests = PATHS[name]
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *tests]
            subprocess.run(command, cwd=ROOT, timeout=TEST_SECONDS)
            found = outcomes(ElementTree.parse(report))
        when = datetime.now(UTC).isoformat(timespec="seconds")
        own, other = str(engine.describe(engine.connect())), OTHERS["28.5"].version
        tried = json.loads(PATHS_TRIED.read_text("utf-8")) if PATHS_TRIED.exists() else {}
        tried[name] = found | {"when": when, "engine": own, "other": other}
        known = {name: tried[name] for name in PATHS if name in tried}
        PATHS_TRIED.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    write_table()


def outcomes(report: ElementTree.ElementTree) -> dict:
    """What a JUnit report says of each test."""
    cases = list(report.iter("testcase"))
    said = {kind: {} for kind in ("failure", "error", "skipped")}
    for case in cases:
        for kind, found in said.items():
            if (element := case.find(kind)) is not None:
                told = element.get("message", "").partition("\n")[0].replace(str(ROOT), "…")
                found[case.get("name")] = told[:200]
    failed = said["failure"] | said["error"]
    passed = len(cases) - len(failed) - len(said["skipped"])
    return {"passed": passed, "failed": failed, "skipped": said["skipped"]}


# --- the table -------------------------------------------------------------------------------


def write_table() -> None:
    TABLE.write_text(with_table(TABLE.read_text(encoding="utf-8")), encoding="utf-8")


def with_table(text: str) -> str:
    """The text with its table of engines as the recorded results have it."""
    tried = json.loads(TRIED.read_text(encoding="utf-8"))
    asked = {(row["engine"], row["store"]): row for row in json.loads(SIZES.read_text("utf-8"))}
    lines = [
        "| engine | image store | live tests | unpacked | reclaimable | its own “size” |",
        "|---|---|---|---|---|---|",
    ]
    notes: dict[str, list[str]] = {}
    for row in tried.values():
        size = asked[row["engine"], row["store"]]
        own = dict.fromkeys(format_bytes(size[f"{call}_bytes"]) for call in ("inspect", "list"))
        exact = [f"{size[f'{kind}_bytes']:,} B" for kind in ("unpacked", "reclaimable")]
        cells = [row["engine"], row["store"], _passed(row), *exact, " or ".join(own)]
        lines.append(f"| {' | '.join(cells)} |")
        for why, tests in _reasons(row).items():
            several = f"{tests} test{'s' if tests > 1 else ''}"
            notes.setdefault(why, []).append(f"{row['engine']}, {row['store']} ({several})")
    if notes:
        lines += ["", "Skipped or failed, and why:", ""]
        lines += [f"- {why}: {'; '.join(engines)}" for why, engines in notes.items()]
    others = {"lessons": _lessons(), "paths": _paths(), "arm64": arm64.table()}
    for name, found in ({"live": lines} | others).items():
        text = _between(text, TABLES[name], found)
    return text


def _reasons(row: dict) -> dict[str, int]:
    """Why tests were skipped, and which failed, with how many there are."""
    said = [why.removeprefix(ELSEWHERE) for why in row["skipped"].values()]
    return Counter([*said, *(f"`{test}` failed" for test in row["failed"])])


def _lessons() -> list[str]:
    """How many claims of each lesson held on each engine; what did not run is an empty cell."""
    tried = json.loads(LESSONS_TRIED.read_text(encoding="utf-8"))
    if not tried:
        return ["The lessons have not been run on other engines yet."]
    numbers = sorted(path.stem[:2] for path in (ROOT / "notebooks").glob("*.ipynb"))
    lines = [f"| engine | image store | bases | {' | '.join(numbers)} |"]
    lines += ["|---" * (len(numbers) + 3) + "|"]
    failed = []
    for name, row in tried.items():
        found = [row["lessons"].get(number) for number in numbers]
        cells = [f"{one['held']} of {one['claims']}" if one else "" for one in found]
        images = "official names" if name == OFFICIAL else "equivalents"
        named = f"{row['engine']} ({row['when'][:10]})", row["store"], images
        lines.append(f"| {' | '.join([*named, *cells])} |")
        failed += [
            f"- {row['engine']}, {row['store']}: lesson {number}, code cells {one['other_cells']}"
            for number, one in row["lessons"].items()
            if one["other_cells"]
        ]
    return [*lines, *(["", "Cells that failed or did not run:", "", *failed] if failed else [])]


def _paths() -> list[str]:
    lines = ["| images | here that is | engines | tests |", "|---|---|---|---|"]
    for name, row in json.loads(PATHS_TRIED.read_text(encoding="utf-8")).items():
        here, engines, _ = PATHS[name]
        engines = engines.replace("the machine's own", row["engine"])
        engines = engines.replace("another", f"Docker {row['other']}")
        lines.append(f"| {name} | {here} | {engines} | {_passed(row)} |")
        lines += [f"| | {why} | | |" for why in _reasons(row)]
    return lines


def _between(text: str, marks: tuple[str, str], lines: list[str]) -> str:
    begin, end = marks
    block = "\n".join([begin, *lines, end])
    return re.sub(f"(?s){re.escape(begin)}.*{re.escape(end)}", lambda _: block, text)


def _passed(row: dict) -> str:
    passed = f"{row['passed']} passed"
    counts = [f"{len(row[kind])} {kind}" for kind in ("failed", "skipped") if row[kind]]
    return f"{', '.join([passed, *counts])} ({row['when'][:10]})"


# --- arm64 -----------------------------------------------------------------------------------


def try_arm64(names: list[str], *, keep: bool) -> None:
    """Build variants for linux/arm64, and write the table after each."""
    arm64.try_variants(names, keep=keep, written=write_table)


# --- fixtures --------------------------------------------------------------------------------


def write_fixtures(names: list[str], *, keep: bool) -> None:
    """What each engine answers to a build, and to one that fails; and the image it saves."""
    for name in names:
        with engine_named(name, keep=keep) as client:
            if name != HERE:
                bring(engine.connect(), client, ["busybox"])
            about = engine.describe(client)
            short = name if name != HERE else ".".join(about.version.split(".")[:2])
            for _ in range(2):
                answer, tag = answer_of(client, WHEN=str(time.time_ns()))
            failed, _ = answer_of(client, WHEN=str(time.time_ns()), FAIL="1")
            with engine.export_image(client, tag) as chunks:
                saved = b"".join(chunks)
            engine.remove_image(client, tag)
        for file, data in (
            (f"answer-{short}-small.jsonl", answer),
            (f"answer-{short}-small-failed.jsonl", failed),
            (f"archive-{short}-small.tar", saved),
        ):
            (SMALL.parent / f"{file}.xz").write_bytes(lzma.compress(data, preset=9))
            print(file, flush=True)


def answer_of(client, **build_args: str) -> tuple[bytes, str]:
    """The lines of the engine's answer to a build of fixtures/small, and the image's name."""
    text = (SMALL / "Dockerfile").read_text()
    read = dockerfile.parse(text)
    sent, _ = text_to_send(client, read, provide(client, ["busybox"]), build_args)
    context = read_context(SMALL, dockerfile="Dockerfile", dockerfile_text=sent)
    tag = f"shiplight/{LAB}/small:1"
    with engine.post_build(client, context.tar(), t=tag, buildargs=build_args) as lines:
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines), tag


COMMANDS = {
    "sizes": record_sizes,
    "live": try_all,
    "lessons": try_lessons,
    "paths": try_paths,
    "arm64": try_arm64,
    "fixtures": write_fixtures,
}


def main() -> None:
    """Read the command line; afterwards nothing of this lab is left on the machine's engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument(
        "engines",
        nargs="*",
        metavar="ENGINE",
        help=f"of {[HERE, *OTHERS]}; of paths, of {list(PATHS)}; of arm64, of {arm64.VARIANTS}",
    )
    parser.add_argument("--keep", action="store_true", help="keep their data for the next time")
    parser.add_argument("--only", nargs="+", metavar="LESSON", help="of lessons, such as 07")
    asked = parser.parse_args()
    own = {"paths": list(PATHS), "arm64": arm64.VARIANTS, "lessons": [HERE, *OTHERS, OFFICIAL]}
    there_are = own.get(asked.command, [HERE, *OTHERS])
    if unknown := set(asked.engines) - set(there_are):
        parser.error(f"not known: {sorted(unknown)}; there are {there_are}")
    some = {}
    if asked.only:
        if asked.command != "lessons":
            parser.error("--only is for lessons")
        numbers = {path.stem[:2] for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
        if unknown := set(asked.only) - numbers:
            parser.error(f"no such lessons: {sorted(unknown)}; there are {sorted(numbers)}")
        some = {"only": tuple(asked.only)}
    os.environ |= {"LAB_ID": LAB, "SHIPLIGHT_PROGRESS": "off"}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends too
    try:
        COMMANDS[asked.command](asked.engines or there_are, keep=asked.keep, **some)
    finally:
        with suppress(EngineNotReachable):  # arm64 and fixtures need none here
            cleaning.clean(engine.connect())


if __name__ == "__main__":
    main()
