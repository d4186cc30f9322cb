"""What BuildKit says while it builds, turned into steps that people read.

The engine's answer to a build carries `moby.buildkit.v1.StatusResponse` messages. Their field
numbers (BuildKit 0.8 to 0.32, https://github.com/moby/buildkit, api/services/control) are the table
below; the `protobuf` package decodes them. A vertex comes several times: its news are merged by
digest. A log message is a chunk of bytes, not a line.
"""

import re
import time
from dataclasses import asdict, dataclass, field

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

LOG_TAIL_BYTES = 64 * 1024
LOG_TAIL_LINES = 20

_STEP_NAME = re.compile(
    r"^\[(?:(?P<platform>[a-z0-9]+/[a-z0-9/]+) )?(?:(?P<stage>[^\]/]+?) )?"
    r"(?P<number>\d+)/(?P<total>\d+)\] (?P<instruction>.*)$",
    re.DOTALL,
)

# message: field → (number, type); "*" marks a repeated field.
_MESSAGES = {
    "Timestamp": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "Vertex": {
        "digest": (1, "string"),
        "inputs": (2, "string*"),
        "name": (3, "string"),
        "cached": (4, "bool"),
        "started": (5, "Timestamp"),
        "completed": (6, "Timestamp"),
        "error": (7, "string"),
    },
    "VertexStatus": {
        "ID": (1, "string"),
        "vertex": (2, "string"),
        "name": (3, "string"),
        "current": (4, "int64"),
        "total": (5, "int64"),
        "started": (7, "Timestamp"),
        "completed": (8, "Timestamp"),
    },
    "VertexLog": {"vertex": (1, "string"), "stream": (3, "int64"), "msg": (4, "bytes")},
    "VertexWarning": {"vertex": (1, "string"), "level": (2, "int64"), "short": (3, "bytes")},
    "StatusResponse": {
        "vertexes": (1, "Vertex*"),
        "statuses": (2, "VertexStatus*"),
        "logs": (3, "VertexLog*"),
        "warnings": (4, "VertexWarning*"),
    },
}


def _message_class(name: str):
    """The protobuf class of one message of the table above."""
    kinds = descriptor_pb2.FieldDescriptorProto
    scalars = {
        "int64": kinds.TYPE_INT64,
        "int32": kinds.TYPE_INT32,
        "string": kinds.TYPE_STRING,
        "bytes": kinds.TYPE_BYTES,
        "bool": kinds.TYPE_BOOL,
    }
    file = descriptor_pb2.FileDescriptorProto(
        name="shiplight/trace.proto", package="shiplight.trace", syntax="proto3"
    )
    for message_name, fields in _MESSAGES.items():
        described = file.message_type.add(name=message_name)
        for field_name, (number, kind) in fields.items():
            label = kinds.LABEL_REPEATED if kind.endswith("*") else kinds.LABEL_OPTIONAL
            added = described.field.add(name=field_name, number=number, label=label)
            kind = kind.rstrip("*")
            added.type = scalars.get(kind, kinds.TYPE_MESSAGE)
            if kind not in scalars:
                added.type_name = f".shiplight.trace.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"shiplight.trace.{name}"))


StatusResponse = _message_class("StatusResponse")


@dataclass(frozen=True)
class Step:
    """One step of a build, as BuildKit names it: `[builder 2/6] WORKDIR /app`.

    `stage` is None for BuildKit's own work (loading, exporting); `started` is in seconds since
    1970 on the engine's clock; `seconds` is None while the step has not ended; `line` is the
    step's line in the Dockerfile, where one is known.
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
        """The step as JSON holds it."""
        return asdict(self) | {"log": list(self.log), "inputs": list(self.inputs)}

    @classmethod
    def from_dict(cls, data: dict) -> "Step":
        """The step that `to_dict` wrote."""
        return cls(**data | {"log": tuple(data["log"]), "inputs": tuple(data["inputs"])})


@dataclass
class _Vertex:
    """What has been heard of one vertex so far."""

    name: str = ""
    inputs: tuple[str, ...] = ()
    cached: bool = False
    started: float | None = None
    completed: float | None = None
    error: str = ""
    log: bytearray = field(default_factory=bytearray)


class Trace:
    """Collects status messages; `steps()` says at any moment what is known."""

    def __init__(self):
        self._vertices: dict[str, _Vertex] = {}
        self._latest, self._heard = 0.0, time.monotonic()

    def now(self) -> float:
        """The time on the engine's clock, which need not be ours, and which may jump as ours may.

        It is the last time that the engine named, and what has passed since it did.
        """
        return self._latest + time.monotonic() - self._heard

    def add(self, data: bytes) -> None:
        """Take in one encoded StatusResponse. Raises ValueError where it is not one."""
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
        return tuple(_step(digest, vertex) for digest, vertex in named)


def _seconds(timestamp) -> float:
    return timestamp.seconds + timestamp.nanos / 1e9


def _step(digest: str, vertex: _Vertex) -> Step:
    match = _STEP_NAME.match(vertex.name)
    ended = vertex.started is not None and vertex.completed is not None
    return Step(
        name=vertex.name,
        stage=(match["stage"] or "stage-0") if match else None,
        instruction=match["instruction"] if match else vertex.name,
        started=vertex.started,
        seconds=max(0.0, vertex.completed - vertex.started) if ended else None,
        cached=vertex.cached,
        error=vertex.error,
        log=tail(bytes(vertex.log)),
        digest=digest,
        inputs=vertex.inputs,
    )


def tail(log: bytes, lines: int = LOG_TAIL_LINES) -> tuple[str, ...]:
    """The last lines of a log, as a terminal would show them (a `\\r` starts its line anew).

    >>> tail(b"10 %\\r20 %\\ndone\\n")
    ('20 %', 'done')
    """
    text = log.decode("utf-8", "replace").replace("\r\n", "\n")
    shown = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return tuple(line for line in shown if line)[-lines:]
