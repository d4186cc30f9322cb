"""What `./lab` does when it is called: which command that is, and how a failure is told."""

import errno
import os
import signal
import sys
from importlib import import_module
from importlib.util import find_spec

from ..setup import IS_CHECKOUT, PROGRAM, say
from .arguments import parser
from .shared import has_budget

_MODULES = {
    **dict.fromkeys(("up", "test", "run", "record", "progress", "reset"), "lesson_commands"),
    **dict.fromkeys(("build", "measure", "origins", "scan"), "image_commands"),
    **dict.fromkeys(("class", "solutions", "catch-up", "slides"), "classroom_commands"),
    **dict.fromkeys(("pack", "unpack", "ready", "rehearse"), "kit_commands"),
    **dict.fromkeys(("check", "graph", "margin", "why"), "dockerfile_commands"),
    **dict.fromkeys(("doctor", "bases", "engine", "clean"), "engine_commands"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code. Errors of ours are printed, not traced."""
    from ..errors import BuildCancelled, ShipLightError
    from ..units import visible_line

    for stream in (sys.stdout, sys.stderr):  # whose encoding need not have all of our signs
        stream.reconfigure(errors="backslashreplace")
    given = parser().parse_args(arguments)
    failed = 2 if _judges(given) else 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every `finally` runs
    try:
        name = _MODULES[given.command]
        if name in ("lesson_commands", "classroom_commands", "kit_commands"):
            _require_lessons(given)
        module = import_module(f".{name}", __package__)
        return getattr(module, f"do_{given.command.replace('-', '_')}")(given) or 0
    except BuildCancelled as error:
        say(str(error))
        return 130
    except ShipLightError as error:
        say(str(error))
        return failed
    except KeyboardInterrupt:
        print(file=sys.stderr)
        say("interrupted.")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except UnicodeEncodeError as error:
        say(visible_line(f"not UTF-8: {error.object}"))
        print("  Try: names of images, stages and files that are UTF-8", file=sys.stderr)
        return failed
    except OSError as error:
        say(visible_line(_what_failed(error)))
        hint = _FIXES.get(error.errno, "check the path, and whether you may use it")
        print(f"  Try: {hint}", file=sys.stderr)
        return failed


def _require_lessons(given) -> None:
    """UsageError where the package was installed without what lessons need, or without them."""
    from ..errors import UsageError

    try:
        installed = all(find_spec(name) for name in ("jupyterlab", "nbval", "pandas", "plotly"))
    except ImportError:
        installed = False
    if not installed:
        raise UsageError("what the lessons need is not installed.", hint="install shiplight[lab]")
    if not IS_CHECKOUT and not getattr(given, "lessons", None):
        raise UsageError(
            "the lessons are in a checkout of the repository, and this is none.",
            hint="clone it, and run `./lab up` there",
        )


def _judges(given) -> bool:
    """Whether 1 is what this command found, so that a failure of its own is something else."""
    return given.command in ("check", "scan") or (given.command == "measure" and has_budget(given))


_FULL = f"make room; `{PROGRAM} clean` gives back what this lab used"


_FIXES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: "a copy of this folder on a disk that can be written to",
    errno.EACCES: "with the right to read and to write there",
    errno.EPERM: "with the right to read and to write there",
}


def _what_failed(error: OSError) -> str:
    """What a system's error says: a full disk first, then the file and what is the matter."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    where = f"{error.filename}: " if error.filename else ""
    return f"{'a disk of this machine is full: ' * full}{where}{error.strerror or error}"
