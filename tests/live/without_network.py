"""Rehearse a room without a network: unpack a kit, build from it and run lessons, with no way out.

    python tests/live/without_network.py KIT [--variants] [--exercises] [--lessons] [--recorded]

The engine and every command live in a network namespace that has no route. First a build of the
same engine has to fail there without the kit, or nothing would be shown. `--variants` builds the
variants of the kit's lessons with nothing cached, `--exercises` has every solution of theirs
checked, `--lessons` runs them live, `--recorded` runs the tests that need no engine. Prints a line
of JSON for each part. Linux, root.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from own_engine import OwnEngine

from shiplight import engine, kit, lessons
from shiplight.errors import ShipLightError
from shiplight.kit import packages
from shiplight.lessons import needed_by, shelf

LAB = "noway"


class Room:
    """A machine without a network: an engine, and this lab's commands."""

    def __init__(self, own: OwnEngine):
        self._own = own

    def lab(self, *words: str, **environment: str) -> tuple[int, str]:
        """Run a command of `./lab` there; its exit code, and what it printed."""
        variables = {"DOCKER_HOST": self._own.url, "LAB_ID": LAB, "SHIPLIGHT_PROGRESS": "off"}
        done = subprocess.run(
            self._own.inside(sys.executable, "-m", "shiplight", *words),
            cwd=ROOT, env=os.environ | variables | environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout

    def shown(self, *words: str, **environment: str) -> bool:
        """Run a command, and print how it went; whether it succeeded."""
        began = time.monotonic()
        code, said = self.lab(*words, **environment)
        row = {"did": " ".join(words), "code": code, "seconds": round(time.monotonic() - began, 1)}
        print(json.dumps(row if code == 0 else row | {"said": said[-2000:]}), flush=True)
        return code == 0

    def routes(self) -> list[str]:
        """The routes of the room; none of them is the default one."""
        command = self._own.inside("ip", "route")
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()


def rehearse(file: Path, asked) -> bool:
    """Do all of it; whether nothing was missing."""
    manifest = kit.check_kit(file)
    chosen = [lesson for lesson in shelf.lessons() if lesson.stem in manifest.lessons]
    own = OwnEngine(size="")
    room = Room(own)
    try:
        own.start()
        assert not [route for route in room.routes() if route.startswith("default")]
        weighed = sum(m.bytes for m in manifest.members if m.name.startswith(packages.FOLDER))
        print(json.dumps({"kit": manifest.bytes, "packages": weighed}), flush=True)
        well = [room.shown("unpack", str(file))]
        if asked.variants:
            names = needed_by(*chosen).variants
            well += [not room.shown("build", names[0], "--no-cache", SHIPLIGHT_PACKAGES="network")]
            well += [room.shown("build", name, "--no-cache") for name in names]
        if asked.exercises:
            here = os.environ | {"DOCKER_HOST": own.url, "LAB_ID": LAB}
            command = own.inside(sys.executable, __file__, str(file), "--check-solutions")
            well.append(subprocess.run(command, cwd=ROOT, env=here).returncode == 0)
        if asked.lessons:
            ids = [lesson.stem[:2] for lesson in chosen]
            well += [room.shown("run", one, SHIPLIGHT_MODE="live") for one in ids]
        if asked.recorded:
            well.append(room.shown("test", "--recorded"))
        room.lab("clean")
        return all(well)
    finally:
        own.close()


def check_solutions(file: Path) -> bool:
    """Build and check every solution of the kit's lessons on this engine; whether all passed."""
    client, passed = engine.connect(), True
    for lesson in (one for one in shelf.lessons() if one.stem in kit.check_kit(file).lessons):
        for found, text in packages.solutions_of(lesson):
            began, row = time.monotonic(), {"exercise": found.id}
            try:
                made = lessons.answered(client, found, text, name=f"answer/{found.id}")
                lessons.check(client, found.id, made)
            except ShipLightError as error:
                passed, row = False, row | {"failed": error.message[:2000]}
            print(json.dumps(row | {"seconds": round(time.monotonic() - began, 1)}), flush=True)
    lessons.stop_index(client)
    return passed


def main() -> None:
    """Read the command line; the exit code says whether nothing was missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kit", type=Path)
    for part in ("variants", "exercises", "lessons", "recorded"):
        parser.add_argument(f"--{part}", action="store_true")
    parser.add_argument("--check-solutions", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.check_solutions:  # this script calls itself in the room
        sys.exit(0 if check_solutions(asked.kit) else 1)
    sys.exit(0 if rehearse(asked.kit.resolve(), asked) else 1)


if __name__ == "__main__":
    main()
