"""Running what was built and asking it what still works: smaller but broken does not count."""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

from .. import engine, recordings
from ..builds import provide
from ..engine import journal
from ..errors import EngineFailed, ProbeFailed
from ..image import platform_inspected
from ..setting import Setting
from ..setup import PROGRAM
from ..units import UNKNOWN, format_seconds, in_one_line

ANSWER_SECONDS = 15.0
BUSY_SECONDS = 90.0  # the limit for a program that still computes: a busy machine starts it slowly
IDLE_NANOSECONDS = 10_000_000  # of CPU time between two readings: idle services use far less
STOP_SECONDS = 10  # between SIGTERM and SIGKILL
WORDS = 30  # lines of a log that are kept: Node prints ten behind what went wrong
_ERRORS = (  # signs of a line that names an error, the surest first; else the last line does
    re.compile(r"\b\w*(?:Error|Exception)\b:|^(?:panic|fatal)\b|panicked at", re.IGNORECASE),
    re.compile(r"\berror\b|cannot|can't|not found(?!\")|no such|denied|failed", re.IGNORECASE),
    re.compile(r"\S"),
)
HELPER = "busybox:latest"  # has a shell, ps, netstat and wget


@dataclass(frozen=True)
class Probe:
    """What a container of an image did when it was started, asked and stopped.

    `answered`: whether `/healthz` gave 200; None where the port cannot be reached from here.
    `seconds_to_answer` is from the start call to that 200. `self_check` is what `/selfcheck` says.
    `user` is the image's own setting, "" for root. `shell`: whether /bin/sh runs in it.
    `read_only_root`: whether it answers with a root file system that nobody can write to.
    `stop_seconds` is from SIGTERM to the exit with `exit_code`; 137 means it had to be killed, and
    both are of a program that ended by itself where it never answered. `last_words` are the last
    lines of its log. None is what could not be seen.
    """

    image: str
    answered: bool | None
    seconds_to_answer: float | None
    self_check: dict | None
    user: str
    shell: bool | None
    exit_code: int | None
    stop_seconds: float | None
    last_words: tuple[str, ...]
    read_only_root: bool | None = None
    setting: Setting | None = field(default=None, repr=False, compare=False)

    @property
    def last_error(self) -> str:
        """The last line of its log that names an error, or else its last line; "" for none."""
        for sign in _ERRORS:
            for line in reversed(self.last_words):
                if sign.search(line):
                    return line.strip()
        return ""

    def __getitem__(self, name: str):
        """One answer of the self-check by its name; None where there was none."""
        return (self.self_check or {}).get(name)

    @in_one_line
    def __repr__(self) -> str:
        if not self.answered or self.self_check is None:
            said = self.last_error or "nothing"
            state = {None: "could not be probed", False: "never answered", True: "answers"}[
                self.answered
            ]
            return f"Probe {self.image}  {state}, exit code {self.exit_code}, said: {said}"
        checks = ", ".join(f"{key} {value}" for key, value in self.self_check.items())
        return (
            f"Probe {self.image}  answered after {format_seconds(self.seconds_to_answer)}, "
            f"stopped in {format_seconds(self.stop_seconds)} with exit code {self.exit_code}; "
            f"shell {UNKNOWN if self.shell is None else self.shell}; {checks}"
        )

    def unlike(self, expected: dict) -> dict[str, tuple]:
        """Return differences from a catalogue row, as {question: (expected, seen)}; {} if none.

        `ca_certificates = true` asks for any at all: how many there are is the base's own matter.
        """
        seen = self.to_dict() | (self.self_check or {})
        if "ca_certificates" in seen:
            seen["ca_certificates"] = seen["ca_certificates"] > 0
        return {
            question: (wanted, seen.get(question))
            for question, wanted in expected.items()
            if seen.get(question) != wanted
        }

    def to_dict(self) -> dict:
        """Return the probe as JSON holds it."""
        return asdict(self) | {
            "last_words": list(self.last_words),
            "setting": self.setting and self.setting.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict) -> "Probe":
        """Return the probe that `to_dict` wrote."""
        setting = Setting.from_dict(data["setting"]) if data.get("setting") else None
        return cls(**data | {"last_words": tuple(data["last_words"]), "setting": setting})


@recordings.replayed(Probe)
def probe(
    client,
    what,
    *,
    port: int | None = None,
    command: list[str] | None = None,
    briefly: bool = False,
) -> Probe:
    """Start a container of a build or image, wait for `/healthz`, ask `/selfcheck`, stop it.

    `command` replaces the image's own command. The container's port (`port`, or else the one that
    the image exposes) is published on 127.0.0.1 only. The container is stopped with SIGTERM, and
    always removed. `briefly` asks only how the service answers: the program gets no time to heed
    SIGTERM, and `read_only_root` stays None. Raises ProbeFailed if no container can be created or
    no port is known, and ImageNotFound if there is no such image.
    """
    image = getattr(what, "tag", what)
    config = engine.inspect_image(client, image).get("Config") or {}
    port = port or _exposed(config, image)
    asked = _asked(client, image, port, command, 0 if briefly else STOP_SECONDS)
    if asked.answered and not briefly:
        asked = replace(asked, read_only_root=_runs_read_only(client, image, port, command))
    labels = config.get("Labels") or {}
    return replace(
        asked,
        user=config.get("User") or "",
        setting=engine.setting(client, bases=labels.get(journal.BASES, "unknown")),
    )


def _exposed(config: dict, image: str) -> int:
    """The first port that an image exposes. Raises ProbeFailed where it exposes none."""
    ports = sorted(int(name.partition("/")[0]) for name in config.get("ExposedPorts") or {})
    if not ports:
        raise ProbeFailed(
            f"{image} exposes no port, so it is unknown where to probe it.",
            hint="add EXPOSE to its Dockerfile, or name the port: probe(client, image, port=8080)",
        )
    return ports[0]


@recordings.replayed()
def answer_of(client, what, path: str = "/", *, port: int | None = None) -> dict | None:
    """Return the JSON that a container of a build or image serves at `path`, or None.

    Raises ProbeFailed where its port cannot be reached from here.
    """
    image = getattr(what, "tag", what)
    config = engine.inspect_image(client, image).get("Config") or {}
    port = port or _exposed(config, image)
    if not engine.is_local(client):
        raise ProbeFailed(
            f"{image} cannot be probed: the engine runs elsewhere and publishes its ports there.",
            hint=f"use an engine on this machine: `{PROGRAM} doctor` tells you which one is in use",
        )
    with created(client, image, ports=_published(port)) as container:
        clock = time.monotonic()
        if _start(container) or _wait(container, port, clock) is None:
            return None
        return _ask(container, port, path)


def _asked(client, image: str, port: int, command: list[str] | None, patience: int) -> Probe:
    local = engine.is_local(client)  # asked before the clock runs
    with created(client, image, ports=_published(port), command=command) as container:
        clock = time.monotonic()
        problem = _start(container)
        answered = _wait(container, port, clock) if local and not problem else None
        check = _ask(container, port, "/selfcheck") if answered else None
        running = not problem and _is_running(container)
        shell = _has_shell(container) if running else None
        stopping = time.monotonic()
        if running:
            with engine.translated(f"stopping {image}"):
                container.stop(timeout=patience)
        stopped = time.monotonic() - stopping
        container.reload()
        words = container.logs(tail=WORDS).decode("utf-8", "replace").strip().splitlines()
        return Probe(
            image=image,
            answered=False if problem else (answered is not None if local else None),
            seconds_to_answer=answered,
            self_check=check,
            user="",
            shell=shell,
            exit_code=container.attrs["State"]["ExitCode"],
            stop_seconds=stopped if running else None,
            last_words=tuple(words + ([problem] if problem else [])),
        )


def _is_running(container) -> bool:
    container.reload()
    return container.attrs["State"]["Status"] == "running"


@contextmanager
def created(client, image: str, **options) -> Iterator:
    """Create a container of this lab, not started; it goes with the block, however that ends."""
    with engine.translated(f"creating a container of {image}"):
        options |= of_its_platform(client, image)
        container = client.containers.create(image, labels=journal.made(), **options)
    try:
        with engine.translated(f"running {image}"):
            yield container
    finally:
        _remove(container, image)


def of_its_platform(client, image: str) -> dict[str, str]:
    """Return what makes a container of an image for another platform than the engine's; else {}.

    Without it, a containerd store looks for the image for the engine's own platform.
    """
    its = platform_inspected(engine.inspect_image(client, image))
    return {"platform": its} if its and its != engine.described(client).platform else {}


def _remove(container, image: str) -> None:
    """Remove it. Raises EngineFailed where it is left for `clean`."""
    try:
        engine.remove_container(container)
    except EngineFailed as error:
        raise EngineFailed(
            f"{error.message}\n  A container of {image} was left behind.",
            hint=f"`{PROGRAM} clean` removes it once the engine can be reached again",
        ) from error


def _published(port: int) -> dict:
    return {f"{port}/tcp": ("127.0.0.1", None)}


def _runs_read_only(client, image: str, port: int, command: list[str] | None) -> bool:
    """Whether a second container answers although its root file system is read-only."""
    options = {"ports": _published(port), "command": command, "read_only": True}
    with created(client, image, **options) as container:
        clock = time.monotonic()
        return not _start(container) and _wait(container, port, clock) is not None


def _start(container) -> str:
    """Start it; empty, or why the engine could not."""
    try:
        with engine.translated("starting it"):
            container.start()
    except EngineFailed as error:
        return error.message
    return ""


def _wait(container, port: int, clock: float) -> float | None:
    """Seconds from `clock` until `/healthz` answered; None if the container ends, or never does.

    A program that is still starting up, as its CPU time shows, gets more time than an idle one.
    """
    while (waited := time.monotonic() - clock) < BUSY_SECONDS:
        if not _is_running(container) or (waited >= ANSWER_SECONDS and not _computes(container)):
            return None
        if _ask(container, port, "/healthz") is not None:
            return time.monotonic() - clock
        time.sleep(0.02)
    return None


def _computes(container) -> bool:
    """Whether a container used the CPU within the last second or two; False if nobody tells."""
    read = container.stats(stream=False)
    now, before = (
        read.get(part, {}).get("cpu_usage", {}).get("total_usage", 0)
        for part in ("cpu_stats", "precpu_stats")
    )
    return before > 0 and now - before > IDLE_NANOSECONDS


def _ask(container, port: int, path: str) -> dict | None:
    """The JSON that the program answers at `path`; None where it does not (yet)."""
    bindings = container.attrs["NetworkSettings"]["Ports"].get(f"{port}/tcp")
    if not bindings:
        return None
    url = f"http://127.0.0.1:{bindings[0]['HostPort']}{path}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return None
    except ValueError as error:
        raise ProbeFailed(f"{url} answered, but not in JSON ({error}).") from error


def _has_shell(container) -> bool:
    """Whether /bin/sh runs in the container."""
    try:
        with engine.translated("looking for a shell"):
            return container.exec_run(["/bin/sh", "-c", "exit 0"]).exit_code == 0
    except EngineFailed:
        return False


@recordings.replayed()
def run_once(client, what) -> str:
    """Run a container of a build or image until it exits, and return what it printed.

    Raises ProbeFailed where it does not end, EngineFailed.
    """
    with created(client, getattr(what, "tag", what)) as container:
        container.start()
        return _words(container, getattr(what, "tag", what)).strip()


def _words(container, what: str) -> str:
    """All that it said, once it has ended. Raises ProbeFailed where it does not end."""
    if engine.exit_code(container, seconds=ANSWER_SECONDS) is None:
        raise ProbeFailed(
            f"{what} still runs after {ANSWER_SECONDS} s, although it should have exited.",
            hint="what does its last instruction start?",
        )
    return container.logs().decode("utf-8", "replace")


@recordings.replayed()
def beside(client, what, script: str, *, port: int | None = None) -> list[str]:
    """Run a shell script in a helper container beside a running one, and return its lines.

    That one is of a build or image, and needs no shell. The helper is busybox in its process and
    network namespaces: it sees the other's processes and ports, and its files in /proc/1/root.
    Both are removed whatever happens. Raises ProbeFailed where the other does not start.
    """
    image = getattr(what, "tag", what)
    [helper] = provide(client, [HELPER])
    config = engine.inspect_image(client, image).get("Config") or {}
    port = port or _exposed(config, image)
    with created(client, image, ports=_published(port)) as container:
        clock = time.monotonic()
        if problem := _start(container):
            raise ProbeFailed(f"{image} does not start: {problem}")
        _wait(container, port, clock)
        return _said(client, helper.used, script, f"container:{container.id}")


def _said(client, image: str, script: str, place: str) -> list[str]:
    """What a script says in a container that joins the namespaces of another, `place`."""
    options = {
        "command": ["/bin/sh", "-c", script],
        "pid_mode": place,
        "network_mode": place,
        "cap_add": ["SYS_PTRACE"],  # to look into /proc of another's processes
    }
    with created(client, image, **options) as container:
        container.start()
        return _words(container, "the script").splitlines()
