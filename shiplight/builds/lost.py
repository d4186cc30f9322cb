"""Explain a missing file that was written to a cache mount, and is therefore in no layer."""

import posixpath
import re

from ..dockerfile import Dockerfile, Stage

_MISSED = re.compile(r"(?i)not found|no such file")


def in_a_cache_mount(read: Dockerfile, line: int | None, said: str) -> str:
    """Return advice if the missing file is below a cache mount of another RUN; else "".

    `line` is that of the failed step. Mounts on a path with a variable are ignored.
    """
    missed = "\n".join(each for each in said.splitlines() if _MISSED.search(each))
    mounts = [mount for stage in read.stages for mount in _mounts(stage)]
    own = {target for at, target, _ in mounts if at == line}
    for at, target, workdir in mounts:
        relative = posixpath.relpath(target, workdir)
        named = [target] if relative.startswith("..") else [target, relative]
        if target not in own and any(_has(missed, path) for path in named):
            return (
                f"{target} is a cache mount (line {at}), and files in a cache mount are not part "
                "of any layer: copy them to another folder in that RUN"
            )
    return ""


def _has(said: str, path: str) -> bool:
    """Whether the output names a path, or one below it."""
    return bool(re.search(rf"(?<![\w./-]){re.escape(path)}(?![\w.-])", said))


def _mounts(stage: Stage):
    """The line, folder and working directory of each cache mount of a stage."""
    workdir = "/"
    for instruction in stage.instructions:
        if instruction.keyword == "WORKDIR":
            workdir = posixpath.join(workdir, instruction.value)
        for mount in instruction.mounts:
            folder = posixpath.normpath(posixpath.join(workdir, mount.get("target", "/")))
            if mount["type"] == "cache" and folder != "/" and "$" not in folder:
                yield instruction.line, folder, workdir
