"""Rehearse a room without a network: unpack a kit, build from it and run lessons, with no way out.

    python tests/live/without_network.py KIT [--laptop] [--variants] [--exercises] [--lessons]
                                             [--recorded]

The engine and every command live in a network namespace that has no route. `--laptop` sets up a
fresh clone there with the kit's Python packages, and opens JupyterLab. `--variants` builds the
variants of the kit's lessons with nothing cached, and first one without the kit, which has to
fail. `--exercises` has every solution of theirs checked, `--lessons` runs them live, `--recorded`
runs the tests that need no engine. Prints a line of JSON for each part. Linux, root.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from own_engine import OwnEngine

from shiplight import engine, kit, lessons
from shiplight.errors import ShipLightError
from shiplight.kit import packages
from shiplight.lessons import needed_by, shelf

LAB, PORT = "noway", 8917
ASK = f"""
import time, urllib.request
for _ in range(240):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:{PORT}/api").read().decode())
        break
    except OSError:
        time.sleep(0.5)
else:
    raise SystemExit("nothing responded in two minutes")
"""  # JupyterLab's version, as soon as its server responds


class Room:
    """A machine without a network: an engine, and this lab's commands."""

    def __init__(self, own: OwnEngine):
        self._own = own

    def begun(self, *command: str, folder: Path = ROOT, **environment: str) -> subprocess.Popen:
        """Begin a command there, in a folder."""
        variables = {"DOCKER_HOST": self._own.url, "LAB_ID": LAB, "SHIPLIGHT_PROGRESS": "off"}
        return subprocess.Popen(
            self._own.inside(*command),
            cwd=folder, env=os.environ | variables | environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def lab(self, *words: str, **environment: str) -> tuple[int, str]:
        """Run a command of `./lab` there; its exit code, and what it printed."""
        process = self.begun(sys.executable, "-m", "shiplight", *words, **environment)
        said, _ = process.communicate()
        return process.returncode, said

    def shown(self, *words: str, **environment: str) -> bool:
        """Run a command, and print how it went; whether it succeeded."""
        began = time.monotonic()
        code, said = self.lab(*words, **environment)
        return show(" ".join(words), began, code, said)

    def routes(self) -> list[str]:
        """The routes of the room; none of them is the default one."""
        command = self._own.inside("ip", "route")
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()


def show(did: str, began: float, code: int, said: str) -> bool:
    """Print how a part went, and the end of what it printed if it failed; whether it succeeded."""
    row = {"did": did, "code": code, "seconds": round(time.monotonic() - began, 1)}
    print(json.dumps(row if code == 0 else row | {"said": said[-2000:]}), flush=True)
    return code == 0


def set_up(room: Room, file: Path) -> bool:
    """Set up a laptop that has nothing but a clone and the kit; whether JupyterLab opens there."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        clone = Path(home) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        subprocess.run(["tar", "-xf", str(file), "-C", home, "wheels"], check=True)
        [packages_here] = Path(home, "wheels").glob("linux-*")
        alone = {"HOME": home, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(packages_here)}
        unpacking = room.begun("./lab", "unpack", str(file), folder=clone, **alone)
        said, _ = unpacking.communicate()
        if not show("unpack on a fresh clone", began, unpacking.returncode, said):
            return False
        began = time.monotonic()
        server = room.begun("./lab", "up", "--no-browser", f"--port={PORT}", folder=clone, **alone)
        try:
            asking = room.begun(sys.executable, "-c", ASK)
            said, _ = asking.communicate()
            return show("up on a fresh clone", began, asking.returncode, said)
        finally:
            server.terminate()  # SIGINT is ignored where this script runs in the background
            server.communicate()


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
        well = [set_up(room, file)] if asked.laptop else []
        well.append(room.shown("unpack", str(file)))
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
    for part in ("laptop", "variants", "exercises", "lessons", "recorded"):
        parser.add_argument(f"--{part}", action="store_true")
    parser.add_argument("--check-solutions", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.check_solutions:  # this script calls itself in the room
        sys.exit(0 if check_solutions(asked.kit) else 1)
    sys.exit(0 if rehearse(asked.kit.resolve(), asked) else 1)


if __name__ == "__main__":
    main()
