"""What Podman says while it builds, told as BuildKit would tell it.

Podman answers the same call with lines of text: `[1/2] STEP 2/5: RUN make`, `--> Using cache 3f…`,
`--> 9ab…`, and between them what the steps print. It has no clock, so the times are those at which
a line came; and it counts every instruction, where BuildKit counts those that make a layer.
"""

import re

from ..buildkit import StatusResponse, Trace
from ..dockerfile import STEPS, Dockerfile

_STEP = re.compile(r"(?:\[(?P<stage>\d+)/\d+\] )?STEP (?P<number>\d+)/\d+: (?P<text>.+)", re.DOTALL)
_COMMIT = re.compile(r"(?:\[\d+/\d+\] )?COMMIT .+")
_DONE = re.compile(r"--> ([0-9a-f]{8,}|Pushing cache .*)")


class Transcript:
    """Hears the text, and adds to a trace the steps of the Dockerfile that it is about."""

    def __init__(self, dockerfile: Dockerfile, trace: Trace):
        self._dockerfile, self._trace = dockerfile, trace
        self._begun = 0
        self._runs = False
        self._last: tuple[int, str] = (-1, "")  # stage and digest of the step heard of last

    def add(self, text: str, now: float) -> None:
        """Take in one line, or a piece of what a step prints, at `now` (seconds since 1970)."""
        line = text.rstrip("\n")
        if match := _STEP.fullmatch(line):
            self._end(now)
            self._begin(int(match["stage"] or 1) - 1, int(match["number"]), match["text"], now)
        elif _COMMIT.fullmatch(line):
            self._end(now)
        elif line.startswith("--> Using cache"):
            self._end(now, cached=True)
        elif _DONE.fullmatch(line):
            self._end(now)
        elif self._runs:
            self._tell(logs=[{"vertex": self._digest, "stream": 1, "msg": text.encode()}])

    def fail(self, message: str, now: float) -> None:
        """End the build with this message, and blame the step that runs."""
        self._end(now, error=message.strip())

    @property
    def _digest(self) -> str:
        return f"step {self._begun}"

    def _tell(self, **news) -> None:
        self._trace.add(StatusResponse(**news).SerializeToString())

    def _begin(self, index: int, number: int, text: str, now: float) -> None:
        name = step_name(self._dockerfile, index, number, text)
        if name is None:
            return
        before = [self._digest] if self._last == (index, self._digest) else []
        self._begun, self._runs = self._begun + 1, True
        self._last = (index, self._digest)
        vertex = {"digest": self._digest, "name": name, "inputs": before, "started": _stamp(now)}
        self._tell(vertexes=[vertex])

    def _end(self, now: float, *, cached: bool = False, error: str = "") -> None:
        if self._runs:
            news = {"cached": cached, "error": error, "completed": _stamp(now)}
            self._tell(vertexes=[{"digest": self._digest, **news}])
        self._runs = False


def step_name(dockerfile: Dockerfile, index: int, number: int, text: str) -> str | None:
    """Return BuildKit's name for instruction `number` (FROM is 1) of a stage, or None.

    A FROM is a step unless it names `scratch` or an earlier stage.
    """
    if not 0 <= index < len(dockerfile.stages):
        return None
    stage = dockerfile.stages[index]
    names = {"scratch"} | {earlier.name for earlier in dockerfile.stages[:index]}
    has_from = stage.base.lower() not in names
    counted = [1] * has_from + [
        place for place, found in enumerate(stage.instructions, 2) if found.keyword in STEPS
    ]
    if number not in counted:
        return None
    if number == 1:
        text = re.sub(r"\s+AS\s+\S+$", "", text, flags=re.IGNORECASE)
    label = f"{stage.label} " if stage.name or len(dockerfile.stages) > 1 else ""
    return f"[{label}{counted.index(number) + 1}/{len(counted)}] {text}"


def _stamp(seconds: float) -> dict:
    return {"seconds": int(seconds), "nanos": int(seconds % 1 * 1e9)}
