"""The commands of lessons: up, test, run, record, progress and reset."""

import os
import subprocess
import sys
from contextlib import suppress

from ..setup import ROOT, say
from .shared import connect, connect_or_say, print_json

_KINDS = {
    "official": "official",
    "mirrored": "from your mirror",
    "equivalent": "offline equivalents, assembled from packages",
}
SUITE_BYTES = 24_000_000_000  # what a whole run was seen to take: see docs/maintaining.md


def do_up(given) -> int:
    from .. import builds, dockerfile, engine
    from ..builds import provide
    from ..dockerfile import stages
    from ..lessons import notebooks, shelf

    lesson = shelf.lessons()[0]
    notebooks.check_port(given.port)
    client = connect_or_say(given)
    if client is not None:
        needed = []
        for variant in ("go/single", "go/multi"):
            uses = stages.image_uses(dockerfile.parse(builds.recipe(variant)))
            needed += [use.reference for use in uses]
        found = provide(client, needed)
        kinds = " and ".join(sorted({_KINDS[base.kind] for base in found}))
        say(f"{engine.describe(client)} runs the lessons; base images of lesson 01: {kinds}")
    shelf.trust()
    return notebooks.serve(lesson, port=given.port, browser=not given.no_browser)


def do_test(given) -> int:
    from .. import recordings
    from ..builds import provide, recipes
    from ..engine import private
    from ..errors import EngineNotReachable

    command = [sys.executable, "-m", "pytest", "tests", "shiplight"]
    lessons = ["notebooks", "--nbval-current-env", "--nbval-cell-timeout=900"]
    if given.recorded:
        command += [*lessons, "--nbval"]
    elif not given.unit:
        try:
            may_start = not given.no_engine and recordings.mode() != "recorded"
            client = private.connect_or_start(may_start=may_start)
            command += [*lessons, "--nbval-lax"]
            if not given.rest:
                _say_if_too_full(client)
                if not sys.stderr.isatty():
                    say("getting the missing base images")
                provide(client, list(recipes()))  # here, where its progress is seen
        except EngineNotReachable as error:
            say(str(error))
            if given.live:
                return 1
            command += [*lessons, "--nbval"]
    command += [f"--{name}" for name in ("live", "recorded", "unit") if getattr(given, name)]
    if sys.platform == "linux" and not given.rest and "LAB_ID" not in os.environ:
        command.append("--numprocesses=2")  # each worker with a lab of its own
    # The tests start hundreds of processes: none compiles again what another one has compiled.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    return _run_to_its_end([*command, *given.rest], environment)


def _say_if_too_full(client) -> None:
    """Say beforehand where the engine's disk may become full before the last test."""
    from .. import engine
    from ..units import format_bytes

    free = engine.describe(client).free_bytes
    if free is not None and free < SUITE_BYTES:
        needed = f"all tests, with nothing there yet, need {format_bytes(SUITE_BYTES)}"
        say(f"{format_bytes(free)} free on the engine’s disk; {needed}")


def _run_to_its_end(command: list[str], environment: dict[str, str] | None = None) -> int:
    """Run a program that Ctrl-C reaches too, and let it clean up; a second one ends it."""
    interrupted = False
    with subprocess.Popen(command, cwd=ROOT, env=environment) as child:
        while child.poll() is None:
            try:
                child.wait()
            except KeyboardInterrupt:
                if interrupted:
                    child.terminate()
                interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return child.returncode


def do_run(given) -> int:
    from ..lessons import notebooks, shelf, verdicts
    from . import report

    paths = shelf.find(given.lessons, elsewhere=True)
    client = connect_or_say(given)
    runs = [notebooks.run(path) for path in paths]
    if given.json:
        print_json([report.run_to_dict(run) for run in runs])
    else:
        for run in runs:
            report.print_run(run)
        report.print_verdicts(verdicts(client))
    return 1 if any(run.failure for run in runs) else 0


def do_record(given) -> int:
    from ..engine import cleaning
    from ..lessons import notebooks, results, shelf
    from . import report

    runs = []
    for path in shelf.find(given.lessons):
        if not given.replay:
            # So that builds are stored as they are the first time.
            cleaning.prune_cache(connect(given, to_make=True))
        runs.append((notebooks.replay if given.replay else notebooks.record)(path))
    results.write()
    for run in runs:
        report.print_run(run)
    return 1 if any(run.failure for run in runs) else 0


def do_progress(given) -> int:
    from ..errors import UsageError
    from ..lessons import Progress

    if given.export is not None:
        return _hand_over(given)
    if given.pseudonym or given.follow:
        option = "--as" if given.pseudonym else "--follow"
        raise UsageError(f"{option} goes with --export.", hint="add --export FOLDER")
    found = Progress()
    if given.json:
        print_json(found.to_dict())
    else:
        print(found)
    return 0


def _hand_over(given) -> int:
    """Write progress for a teacher: once, or whenever it changes."""
    from .. import classroom
    from ..errors import ShipLightError

    client = None
    with suppress(ShipLightError):  # without an engine, no images are compared
        client = connect(given)
    how = {"pseudonym": given.pseudonym, "client": client}
    if not given.follow:
        print(_handed(classroom.hand_over(given.export, **how)))
        return 0
    for path in classroom.keep_handing_over(given.export, **how):
        print(_handed(path), flush=True)
    return 0


def _handed(path) -> str:
    return f"wrote {path}: which exercises are solved, mistakes by name, guesses; no code, no names"


def do_reset(given) -> int:
    from ..lessons import shelf

    for path in shelf.find(given.lessons):
        kept = shelf.reset(path)
        print(
            f"restored the original {path.name}" + (f"; your copy is {kept.name}" if kept else "")
        )
    return 0
