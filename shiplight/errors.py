"""Every error that Ship Light raises on purpose, in one tree.

    ShipLightError
    ├── EngineNotReachable     no engine answers, or not with these rights
    ├── EngineFailed           an engine answered, and what it was asked for failed
    ├── RegistryFailed         a registry does not give what it was asked for, or is not there
    ├── DockerfileError        the Dockerfile cannot be read; knows its line
    ├── ContextError           the files to send cannot be read or sent
    ├── BaseNotAvailable       a base is neither local, nor to be pulled, nor to be assembled
    ├── BuildFailed            a step of the build failed; knows the step and its line
    ├── BuildCancelled         the build was interrupted, and the engine was told
    ├── ImageNotFound          no image and no archive of that name
    ├── ArchiveError           an image archive is damaged, hostile, or no image archive
    │   └── ImageUnclear       an archive has several images, or platforms, and none is chosen
    ├── ProbeFailed            a container could not be started or asked
    ├── ScannerMissing         no scanner, or no database of vulnerabilities, is at hand
    ├── ScanFailed             the scanner ran, and gave no report
    ├── LabFolderFailed        this lab's own folder is full, or not ours to write
    ├── NotRecorded            no engine answers, and this call was not recorded
    ├── ClaimFailed            a sentence of a lesson turned out to be false here
    ├── CheckFailed            what a learner made for an exercise is not yet what it asks for
    └── UsageError             the command line or a call asks for what there is not

A message says what happened, where, and what was seen; `hint` says what to do next. Neither has the
password of an address. Where nobody catches one, IPython shows that and no traceback: in a notebook
a box, in a terminal its lines.
"""

import re
import traceback

from .boxes import WRONG, box, folded, inline, kernel_shell, verbatim
from .units import visible, without_passwords


class ShipLightError(Exception):
    """Base of the tree: `str(error)` is the message, and the hint on a line of its own."""

    hint_word = "Try"
    has_details = True  # whether where it was raised helps whoever reads it

    def __init__(self, message: str, *, hint: str = ""):
        self.message = without_passwords(message)
        self.hint = without_passwords(hint)
        super().__init__(self.message)
        self._shown_in = None  # the cell whose box is on the page already

    def __str__(self) -> str:
        hint = f"\n  {self.hint_word}: {self.hint}" if self.hint else ""
        # What others wrote into it gives no orders, and begins no line that looks like one of ours.
        return re.sub(r"\n(?! )", "\n  ", visible(self.message + hint))

    def _repr_pretty_(self, printer, cycle: bool) -> None:
        """How a notebook shows a caught one: as it would be printed."""
        printer.text(str(self))

    def _render_traceback_(self) -> list[str]:
        """What IPython prints of one that nobody caught: no traceback.

        In a notebook a box is displayed first, and one line is left, by which the cell has failed
        for every tool that runs notebooks.
        """
        shell = kernel_shell()
        if shell is None:
            return str(self).splitlines()
        if self._shown_in != shell.execution_count:  # IPython asks again, for its history
            self._shown_in = shell.execution_count
            shell.display_pub.publish({"text/plain": f"✗ {self}", "text/html": self._box()})
        return [f"{type(self).__name__}: {self.message.partition(chr(10))[0]}"]

    def _box(self) -> str:
        """What went wrong, what was seen and what to do next; where it was raised is folded."""
        first, _, rest = self.message.partition("\n")
        raised = "".join(traceback.format_exception(self)) if self.has_details else ""
        return box(
            f"<b style='color:{WRONG}'>✗</b> <b>{inline(first)}</b>",
            verbatim(rest) if rest else "",
            f"<i>{self.hint_word}:</i> {inline(self.hint)}" if self.hint else "",
            folded("Details", without_passwords(raised)) if raised else "",
            edge=WRONG,
        )


class EngineNotReachable(ShipLightError):
    """No engine answers at the endpoint, or this user may not ask it."""


class EngineFailed(ShipLightError):
    """The engine answered with an error, or stopped answering in mid-sentence.

    `said` is the engine's own part of the message; all of it where the engine said nothing.
    """

    def __init__(self, message: str, *, said: str = "", hint: str = ""):
        super().__init__(message, hint=hint)
        self.said = without_passwords(said) or self.message


class RegistryFailed(ShipLightError):
    """A registry that was asked without an engine cannot be reached, refuses, or sends nonsense."""


class DockerfileError(ShipLightError):
    """The Dockerfile cannot be read. `line` is 1-based; None where no line is to blame."""

    hint_word = "Look"

    def __init__(self, message: str, *, line: int | None = None, hint: str = ""):
        super().__init__(message, hint=hint)
        self.line = line


class ContextError(ShipLightError):
    """A file of the build context cannot be read or sent."""


class BaseNotAvailable(ShipLightError):
    """A base image is neither here, nor to be pulled, nor to be assembled."""


class BuildFailed(ShipLightError):
    """A step failed, on `line` of the Dockerfile (or None). `steps` are all that were heard of."""

    hint_word = "Look"

    def __init__(self, message: str, *, steps=(), line: int | None = None, hint: str = ""):
        super().__init__(message, hint=hint)
        self.steps = steps
        self.line = line

    @property
    def step(self):
        """The step that failed; None where the engine blamed none."""
        blamed = [s for s in self.steps if s.error and "cancel" not in s.error.lower()]
        return blamed[-1] if blamed else None


class BuildCancelled(ShipLightError):
    """The build was interrupted; the connection is closed and the engine has stopped it."""

    has_details = False


class ImageNotFound(ShipLightError):
    """Neither an image of that name on the engine nor an archive at that path."""


class ArchiveError(ShipLightError):
    """An image archive is truncated, inconsistent, hostile, or not an image archive."""


class ImageUnclear(ArchiveError):
    """An archive has several images or platforms, and not exactly one was asked for.

    `names` are behind the path what chooses one: `two.tar:busybox:1.36`; or else `platforms`.
    """

    def __init__(
        self, message: str, *, names: tuple[str, ...] = (), platforms: tuple[str, ...] = ()
    ):
        what = "name one behind the path" if names else "name one of these platforms"
        super().__init__(message, hint=f"{what}: {'; '.join((names or platforms)[:20])}")
        self.names, self.platforms = names, platforms


class ProbeFailed(ShipLightError):
    """A container could not be started, or never answered."""


class ScannerMissing(ShipLightError):
    """No scanner is at hand, or no database for it."""


class ScanFailed(ShipLightError):
    """The scanner failed, was killed, or returned something other than a report."""


class LabFolderFailed(ShipLightError):
    """This lab's own folder, `.lab/`, cannot be written: its disk is full, or it is not ours."""


class NotRecorded(ShipLightError):
    """No engine answers, and nothing was recorded for this call."""


class CheckFailed(ShipLightError):
    """An exercise is not solved yet. The hint says what is wrong, and not the fix.

    `mistake` names it in a sentence, without what was seen.
    """

    hint_word = "Hint"
    has_details = False  # the check's own lines would tell the answer

    def __init__(self, message: str, *, mistake: str = "", hint: str = ""):
        super().__init__(message, hint=hint)
        self.mistake = mistake or message


class ClaimFailed(ShipLightError):
    """A claim that a lesson makes is false on this machine."""

    has_details = False


class UsageError(ShipLightError):
    """A command or a call asks for something that does not exist."""
