"""Build with BuildKit over the Docker SDK's connection: from a context to an image and its steps.

`client.images.build()` calls the classic builder, which has neither cache mounts nor parallel
stages. So we ask the same engine, over the same client, for a build with `version=2`.
"""

import base64
import re
import secrets
import time
from dataclasses import dataclass, replace

from .. import dockerfile, engine, progress
from ..buildkit import Step, Trace, Warned, counted
from ..dockerfile import Sources, stages
from ..engine import Transcript, journal
from ..errors import BuildCancelled, BuildFailed, EngineFailed
from ..setup import PROGRAM
from ..units import format_seconds
from . import network, offers, packages, sending
from .lost import in_a_cache_mount
from .offers import Offer

EXIT_CODE = re.compile(r"(?:exit code:|executor failed running .*:|exit status) (\d+)")
TOO_MANY, TRIES = "flightcontrol: exceeded retry timeout", 5  # of builds that want the same step


@dataclass(frozen=True)
class Solved:
    """A finished build. `engine_id` is None if it wrote a folder of files and no image.

    `way` is `session` or `tar`; `why` says why there was no session. `warnings` are the linter's.
    """

    engine_id: str | None
    seconds: float
    steps: tuple[Step, ...]
    way: str
    why: str
    warnings: tuple[Warned, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks on how the files were sent, if it was not the usual way."""
        return (f"the files were sent as a tar: {self.why}",) if self.why else ()


def solve(
    client,
    sources: Sources,
    read: dockerfile.Dockerfile,
    *,
    tag: str,
    title: str,
    target: str | None = None,
    build_args: dict[str, str] | None = None,
    platform: str | None = None,
    cache_namespace: str | None = None,
    no_cache: bool = False,
    bases: str = "none",
    labels: dict[str, str] | None = None,
    offer: Offer = offers.NOTHING,
    wider: sending.Wider = sending.NOTHING_WIDER,
    screen=progress.Screen,
) -> Solved:
    """Build `sources`, showing the steps as they run.

    `read` is the Dockerfile as its author wrote it; line numbers refer to it. Every base has to be
    on the engine already; `bases`, their kind, becomes a label of the image, as do `labels`.
    `screen(draw)` shows the progress.
    Raises BuildFailed, BuildCancelled, EngineFailed, ContextError.
    """
    namespace = cache_namespace or journal.cache_namespace()
    proxy = packages.proxy_on(client)
    through = proxy.build_args(client) if proxy else {}
    if proxy and proxy.records:  # what a cache mount already has would not be asked for
        namespace = f"{namespace}/{proxy.container[:12]}"
    parameters = {
        "t": tag if offer.output is None else None,
        "labels": journal.labels(tag) | {journal.BASES: bases} | (labels or {}),
        "target": target,
        "platform": platform,
        "nocache": "1" if no_cache else None,
        "cachefrom": wider.images,
        "buildargs": through | (build_args or {}) | {"BUILDKIT_CACHE_MOUNT_NS": namespace},
    }
    journal.ready()
    on = engine.identity(client)  # now: an engine that goes away in mid-build cannot be asked
    journal.write("begun", name=tag, engine=on)  # so that `clean` finds what a killed process made
    trace, began = Trace(offer.secrets.values()), time.monotonic()
    alone = f" · {network.AWAY}" if not proxy and network.away(client) else ""

    def draw():
        return progress.steps_table(
            trace.steps(),
            title=f"Building {title} · {format_seconds(time.monotonic() - began)}{alone}",
            now=trace.now(),
            rows=None if progress.in_notebook() else progress.terminal_rows(),
        )

    with screen(draw) as shown:
        try:
            for _ in range(TRIES):
                trace, engine_id = Trace(offer.secrets.values()), None
                try:
                    noted = _Noted(on, tag, read, trace)
                    with sending.sent(client, sources, offer, wider, **parameters) as sent:
                        engine_id, said = _follow(sent, trace, Transcript(read, trace), noted)
                finally:
                    noted.end(engine_id)
                    steps = _with_lines(trace.steps(), read)
                if TOO_MANY not in said:
                    break
        except KeyboardInterrupt as interrupt:
            raise BuildCancelled(
                f"the build of {title} was interrupted after "
                f"{format_seconds(time.monotonic() - began)};"
                " its connection is closed, so the engine stops it.",
                hint="build again: finished steps come from the cache",
            ) from interrupt
        seconds = time.monotonic() - began
        if said:
            shown.keep = progress.steps_table(steps, title=f"Failed: {title}")
            failed = _failed(said, steps, tag, sources.dockerfile, read)
            raise _not_in_the_kit(client, proxy, failed) if proxy else failed
        shown.keep = done_table(steps, title, seconds)
    return Solved(engine_id, seconds, steps, sent.way, sent.why, trace.warnings())


def _follow(
    sent: sending.Sent, trace: Trace, transcript: Transcript, noted: "_Noted"
) -> tuple[str | None, str]:
    """The image's id and "", or None and the engine's error message.

    Raises ContextError if files changed while they were sent.
    """
    engine_id = None
    for line in sent.lines:
        if "errorDetail" in line or "error" in line:
            detail = line.get("errorDetail") or {}
            said = detail.get("message") or str(line.get("error")) or "no reason"
            transcript.fail(said, time.time())
            sent.refuse_changed()
            return None, said
        if isinstance(line.get("stream"), str):
            transcript.add(line["stream"], time.time())
        elif line.get("id") == "moby.buildkit.trace":
            _add(trace, line.get("aux"))
            noted.steps()
        elif isinstance(line.get("aux"), dict) and "ID" in line["aux"]:
            engine_id = line["aux"]["ID"]
    if engine_id is None and not (sent.exported and sent.exported.done):
        raise EngineFailed(
            "the engine's reply ended before the build did.",
            hint=f"`{PROGRAM} doctor` tells you whether it is still running; then build again",
        )
    return engine_id, ""


def _add(trace: Trace, encoded) -> None:
    try:
        trace.add(base64.b64decode(encoded))
    except (ValueError, TypeError) as error:
        raise engine.not_an_answer(str(encoded).encode()) from error


def done_table(steps: tuple[Step, ...], title: str, seconds: float, mode: str = "Built"):
    """Return the table that stays on the screen after a build."""
    took = f"{mode} {title} in {format_seconds(seconds)} · {counted(steps)}"
    return progress.steps_table(steps, title=took)


def _with_lines(steps: tuple[Step, ...], read) -> tuple[Step, ...]:
    return tuple(replace(step, line=stages.line_of_step(read, step.name)) for step in steps)


def _failed(said: str, steps: tuple[Step, ...], tag: str, name: str, read) -> BuildFailed:
    """The error with the step, its line, its last lines of output, and where to look."""
    step = BuildFailed("", steps=steps).step
    if step is None:
        return BuildFailed(
            f"the engine could not build {tag}: {said}",
            steps=steps,
            hint=in_a_cache_mount(read, None, said) or _look(said),
        )
    code = EXIT_CODE.search(step.error)
    what = f"exited with {code[1]}" if code else f"failed: {_plain(step.error)}"
    after = f" after {format_seconds(step.seconds)}" if step.seconds is not None else ""
    where = f" ({name}, line {step.line})" if step.line else f" ({name})"
    message = f"step {' '.join(step.name.split())} {what}{after}{where}."
    if step.log:
        message += "\n  Last lines:\n" + "\n".join(f"    {line}" for line in step.log[-8:])
    seen = "\n".join([said, *step.log])
    hint = in_a_cache_mount(read, step.line, f"{step.error}\n{seen}")
    hint = hint or _look(seen, step.instruction)
    return BuildFailed(message, steps=steps, line=step.line, hint=hint)


def _not_in_the_kit(client, proxy: packages.Proxy, failed: BuildFailed) -> BuildFailed:
    """The same error with the URLs that the step asked the kit for in vain, if there are any."""
    step = failed.step
    missed = proxy.missed(client, step.started) if step and step.started else []
    if not missed:
        return failed
    message = f"{failed.message}\n  {packages.sentence(missed)}"
    return BuildFailed(message, steps=failed.steps, line=failed.line, hint=packages.HINT)


FOREIGN = (
    "is that program for another processor? Let its stage begin `FROM --platform=$BUILDPLATFORM`"
    " (lesson 11); a script needs a first line with `#!`"
)
NOT_UTF8 = (
    "a file name in the context is not UTF-8, and this engine takes no other: rename the file, or"
    " list it in .dockerignore; `LC_ALL=C.UTF-8 find . | grep -avx '.*'` shows such names"
)

GIT_REF = (
    "write a slash after the folder, `COPY path/name.git/ …`: BuildKit 0.13 takes a path that ends"
    " in .git for the address of a repository"
)


_NEWER_FLAG = re.compile(r"unknown flag: (?:--)?(?:link|exclude)\b", re.IGNORECASE)


_ON_THE_ENGINE = re.compile(  # where an engine has a layer's files
    r"(?<![^\s\"])/\S*/(?:overlay2|snapshots|fuse-overlayfs)/[^/\s]+/(?:merged|fs)(?=/)"
)


def _plain(error: str) -> str:
    """An error of the engine's without its own folders, and without saying the same twice."""
    error = error.replace("not found: not found", "not found")
    return _ON_THE_ENGINE.sub("", error).removeprefix("lstat ")


_NO_SOURCE = re.compile(r'"/[^"\n]*":? not found|lstat \S+: no such file')
_NO_SHELL = "stat /bin/sh: no such file"
_COMPILER = r"(?:[\w-]+-)?(?:gcc|g\+\+|cc|make)"
_NO_COMPILER = re.compile(
    rf"(?<![\w-]){_COMPILER}['\"`]?:? (?:command )?not found|not found: {_COMPILER}\b"
    rf"|'{_COMPILER}' failed: No such file|directory: '{_COMPILER}'"
    rf"|(?<![\w-]){_COMPILER}: No such file"
)


def _look_for_missing(said: str, instruction: str) -> str:
    """Where to look for what an instruction does not find; "" if its failure is another one."""
    if instruction.startswith(("COPY ", "ADD ")) and _NO_SOURCE.search(said):
        if "--from=" in instruction:
            return "does the stage or image that `--from` names have this path?"
        return "is it in the folder that is built, by this name? .dockerignore may leave it out"
    if instruction.startswith("RUN ") and _NO_SHELL in said:
        return (
            "this stage has no shell, and this RUN needs one: run it in another stage, and copy"
            " what it makes"
        )
    if instruction.startswith("RUN ") and _NO_COMPILER.search(said):
        return (
            "something has to be compiled, and this stage has no compiler: compile it in a stage"
            " that has one, and copy the result"
        )
    return ""


def _look(said: str, instruction: str = "") -> str:
    """The usual cause of a failure like this one."""
    if network.is_named_in(said):
        return network.LOOK
    if _NEWER_FLAG.search(said):
        return engine.OLD_FRONTEND
    if missing := _look_for_missing(said, instruction):
        return missing
    proxy = "a proxy's certificate is unknown inside the container: see docs/troubleshooting.md"
    for sign, advice in [
        ("unknown cache exporter", engine.NO_CACHE_EXPORT),
        ("Cache export is not supported", engine.NO_CACHE_EXPORT),
        ("multiple platforms feature", engine.NO_CACHE_EXPORT),
        ("exporting multiple references", engine.NO_CACHE_EXPORT),
        ("no space left", engine.DISK_FULL),
        ("invalid UTF-8", NOT_UTF8),
        ("parent snapshot", "the engine lost a layer while it stored the image: build again"),
        ("CERTIFICATE_VERIFY_FAILED", proxy),
        ("certificate signed by unknown", proxy),
        ("exec format error", FOREIGN),
        ("executable file not found", "is that program in this stage's base?"),
        ("can't be a git ref", GIT_REF),
        ("parse error", "the line that the engine names"),
        ("unknown instruction", "the line that the engine names; heredocs need engine 23 or later"),
        ("not found", "is it copied or installed before this line, and not in .dockerignore?"),
        (
            "no such file",
            "is it copied or made before this line, in this stage, and not in .dockerignore?",
        ),
    ]:
        if sign.lower() in said.lower():
            return advice
    return "the last lines above; `target=` builds the stage before this one, to look into it"


class _Noted:
    """The journal entries of one build, by which `clean` finds our image and cache records.

    Each step is written as soon as it has ended, in case this process is killed.
    """

    def __init__(self, on: str, tag: str, read, trace: Trace):
        self._where = {"name": tag, "engine": on, "build": secrets.token_hex(4)}
        self._read, self._trace, self._ended = read, trace, 0

    def steps(self) -> None:
        """Write the steps that have ended since the last call."""
        if self._trace.ended > self._ended:
            before, self._ended = self._ended, self._trace.ended
            ran = self._ran()
            if ran and before:  # the first are BuildKit's own, and come all at once
                journal.write("ran", to_disk=False, ran=ran, **self._where)

    def end(self, engine_id: str | None) -> None:
        """Write the image, all steps, and when the build ended on the engine's clock."""
        made = {"engine_id": engine_id} if engine_id else {}
        steps = self._trace.steps()
        spans = [(s.started, s.started + (s.seconds or 0)) for s in steps if s.started is not None]
        if spans:
            last = max(self._trace.now(), *(end for _, end in spans))
            made |= {"window": [min(start for start, _ in spans), last], "ran": self._ran()}
        journal.write("build", **self._where, **made)

    def _ran(self) -> list[list]:
        """Start and end of each step that made something, and its description.

        The step's name contains its build arguments; the description of a cache record does not.
        """
        own = [instruction for stage in self._read.stages for instruction in stage.instructions]
        written = {found.line: f"{found.keyword} {found.value}" for found in own}
        return [
            [
                step.started,
                step.started + step.seconds,
                *dict.fromkeys([step.instruction, written.get(step.line, step.instruction)]),
            ]
            for step in _with_lines(self._trace.steps(), self._read)
            if step.seconds is not None and not step.cached and not step.error
        ]
