"""Turn BuildKit's status messages into steps that people read.

The engine's answer to a build contains `moby.buildkit.v1.StatusResponse` messages. A vertex appears
in several of them, and is merged by digest. A log message is a chunk of bytes, not a line.
"""

import base64
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field

from google.protobuf import message

from .messages import StatusResponse

LOG_TAIL_BYTES = 64 * 1024
LOG_TAIL_LINES = 20
MOST_WARNINGS = 1000
SHORTEST_SECRET = 6  # bytes

_STEP_NAME = re.compile(
    r"^\[(?:(?P<platform>[a-z0-9]+/[a-z0-9/]+) )?(?:(?P<stage>[^\]/]+?) )?"
    r"(?P<number>\d+)/(?P<total>\d+)\] (?P<instruction>.*)$",
    re.DOTALL,
)
_RUN_FLAGS = re.compile(r"(?<=\] RUN )(?:--\w+(?:=\S+)? )+")


def command_first(name: str) -> str:
    """Return a step's name in one line, a RUN without its flags, so that its command is visible.

    >>> command_first("[build 2/2] RUN --mount=type=bind,target=. --network=none go build")
    '[build 2/2] RUN go build'
    """
    return _RUN_FLAGS.sub("", " ".join(name.split()))


def counted(steps) -> str:
    """Count the steps of a Dockerfile, and those that came from the cache.

    If every instruction did, it says `all cached`: a FROM produces nothing to cache.
    """
    numbered = [step for step in steps if step.stage is not None]
    made = [step for step in numbered if not step.instruction.startswith("FROM ")]
    cached = sum(step.cached for step in numbered)
    wholly = bool(made) and all(step.cached for step in made)
    steps = "1 step" if len(numbered) == 1 else f"{len(numbered)} steps"
    return f"{steps}, {'all' if wholly else cached} cached"


@dataclass(frozen=True)
class Step:
    """One step of a build, as BuildKit names it: `[builder 2/6] WORKDIR /app`.

    `stage` is None for BuildKit's own work (loading, exporting); `started` is in seconds since
    1970 on the engine's clock; `seconds` is None until the step has ended; `line` is the step's
    line in the Dockerfile, if it is known.
    """

    name: str
    stage: str | None
    instruction: str
    started: float | None
    seconds: float | None
    cached: bool
    error: str
    log: tuple[str, ...]
    digest: str
    inputs: tuple[str, ...]
    line: int | None = None

    @property
    def label(self) -> str:
        """The name for one line: of a RUN, its command and not its mounts."""
        return command_first(self.name)

    @property
    def state(self) -> str:
        """One of `waiting`, `running`, `cached`, `done`, `failed`."""
        if self.error:
            return "failed"
        if self.cached:
            return "cached"
        if self.started is None:
            return "waiting"
        return "running" if self.seconds is None else "done"

    def to_dict(self) -> dict:
        """Return the step as JSON."""
        return asdict(self) | {"log": list(self.log), "inputs": list(self.inputs)}

    @classmethod
    def from_dict(cls, data: dict) -> "Step":
        """Return the step that `to_dict` wrote."""
        return cls(**data | {"log": tuple(data["log"]), "inputs": tuple(data["inputs"])})


@dataclass(frozen=True)
class Warned:
    """One warning of BuildKit's own linter, which newer engines send with a build.

    `rule` is its name, as `JSONArgsRecommended`; `text` says what is wrong, `detail` why; `line` is
    the Dockerfile's, None for the whole file.
    """

    rule: str
    text: str
    detail: str
    url: str
    line: int | None

    def to_dict(self) -> dict:
        """Return the warning as JSON holds it."""
        return asdict(self)


@dataclass
class _Vertex:
    """The state of one vertex so far."""

    name: str = ""
    inputs: tuple[str, ...] = ()
    cached: bool = False
    started: float | None = None
    completed: float | None = None
    error: str = ""
    log: bytearray = field(default_factory=bytearray)


class Trace:
    """Collects status messages; `steps()` returns the steps so far.

    Of `secrets`, whatever a step prints of them is `…`: the whole, a line, or their base64.
    """

    def __init__(self, secrets: Iterable[bytes] = ()):
        forms = {form for secret in secrets for form in _forms(secret)}
        self._secrets = re.compile(b"|".join(map(re.escape, sorted(forms, key=len, reverse=True))))
        self._vertices: dict[str, _Vertex] = {}
        self._warned: dict[Warned, None] = {}
        self._latest, self._heard = 0.0, time.monotonic()

    def now(self) -> float:
        """Return the time on the engine's clock, which can differ from ours and can jump.

        It is the last time in a message, plus the time since it arrived.
        """
        return self._latest + time.monotonic() - self._heard

    @property
    def ended(self) -> int:
        """How many steps have ended so far, for any reason."""
        return sum(vertex.completed is not None for vertex in self._vertices.values())

    def add(self, data: bytes) -> None:
        """Add one encoded StatusResponse. Raises ValueError if it is not valid."""
        try:
            status = StatusResponse.FromString(data)
        except message.DecodeError as error:
            raise ValueError(f"not a BuildKit status message: {error}") from error
        for news in status.vertexes:
            self._merge(news)
        for entry in status.logs:
            log = self._vertices.setdefault(entry.vertex, _Vertex()).log
            log += entry.msg
            del log[:-LOG_TAIL_BYTES]
        for warning in status.warnings[:MOST_WARNINGS]:
            if len(self._warned) < MOST_WARNINGS:
                self._warned[_warned(warning)] = None

    def warnings(self) -> tuple[Warned, ...]:
        """Return the linter's warnings, each once, in the order of their lines."""
        return tuple(sorted(self._warned, key=lambda one: (one.line or 0, one.rule, one.text)))

    def _merge(self, news) -> None:
        vertex = self._vertices.setdefault(news.digest, _Vertex())
        vertex.name = news.name or vertex.name
        vertex.inputs = tuple(news.inputs) or vertex.inputs
        vertex.cached = vertex.cached or news.cached
        vertex.error = news.error or vertex.error
        if news.HasField("started"):
            vertex.started = min(_seconds(news.started), vertex.started or float("inf"))
            vertex.completed = None
            self._hear(_seconds(news.started))
        if news.HasField("completed"):
            vertex.completed = _seconds(news.completed)
            self._hear(vertex.completed)

    def _hear(self, named: float) -> None:
        if named > self._latest:  # what is told again is no news
            self._latest, self._heard = named, time.monotonic()

    def steps(self) -> tuple[Step, ...]:
        """All steps heard of, in the order in which they started; those that wait come last.

        Cached steps of one chain start at the same moment: what a step needs comes before it.
        """
        depths: dict[str, int] = {}

        def depth(digest: str) -> int:
            if digest not in depths:
                depths[digest] = 0  # a circle, which no builder sends, ends here
                inputs = self._vertices[digest].inputs if digest in self._vertices else ()
                depths[digest] = 1 + max(map(depth, inputs), default=0)
            return depths[digest]

        named = [(digest, vertex) for digest, vertex in self._vertices.items() if vertex.name]
        named.sort(key=lambda item: (item[1].started is None, item[1].started or 0, depth(item[0])))
        return tuple(_step(digest, vertex, self._without_secrets) for digest, vertex in named)

    def _without_secrets(self, said: bytes) -> bytes:
        return self._secrets.sub("…".encode(), said) if self._secrets.pattern else said


def _forms(secret: bytes) -> Iterator[bytes]:
    """How a step may print a secret; what is too short would hide other words."""
    for form in (secret.strip(), *map(bytes.strip, secret.splitlines())):
        if len(form) >= SHORTEST_SECRET:
            yield from (form, base64.b64encode(form).rstrip(b"="))


_RULE = re.compile(r"(\w+): (.*?)(?: \(line \d+\))?", re.DOTALL)


def _warned(news) -> Warned:
    """A warning as it is sent: `Rule: text (line 3)`, its detail, its address, where it is."""
    short = news.short.decode("utf-8", "replace")
    rule, text = match.groups() if (match := _RULE.fullmatch(short)) else ("", short)
    detail = b" ".join(news.detail).decode("utf-8", "replace")
    lines = [place.start.line for place in news.ranges if place.start.line > 0]
    return Warned(rule, text, detail, news.url, min(lines, default=None))


def _seconds(timestamp) -> float:
    return timestamp.seconds + timestamp.nanos / 1e9


def _step(digest: str, vertex: _Vertex, without_secrets: Callable[[bytes], bytes]) -> Step:
    match = _STEP_NAME.match(vertex.name)
    ended = vertex.started is not None and vertex.completed is not None
    return Step(
        name=vertex.name,
        stage=(match["stage"] or "stage-0") if match else None,
        instruction=match["instruction"] if match else vertex.name,
        started=vertex.started,
        seconds=max(0.0, vertex.completed - vertex.started) if ended else None,
        cached=vertex.cached,
        error=without_secrets(vertex.error.encode()).decode(),
        log=tail(without_secrets(bytes(vertex.log))),
        digest=digest,
        inputs=vertex.inputs,
    )


def tail(log: bytes, lines: int = LOG_TAIL_LINES) -> tuple[str, ...]:
    """Return a log's last lines as a terminal would show them (`\\r` starts a line again).

    >>> tail(b"10 %\\r20 %\\ndone\\n")
    ('20 %', 'done')
    """
    text = log.decode("utf-8", "replace").replace("\r\n", "\n")
    shown = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return tuple(line for line in shown if line)[-lines:]
