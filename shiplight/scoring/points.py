"""What is asked of an image, what was seen, and how many points that is. Needs no engine.

Only what is the same on every machine counts; seconds are shown. A service that does not answer
gets no points for anything else: what is missing from an image is easy to make small.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..setup import PROGRAM
from ..units import UNKNOWN, format_bytes, format_seconds, one_line

BUILDS, ANSWERS, BYTES = "builds", "answers", "bytes"
EDIT, FINDINGS, USER, SECRET = "edit", "findings", "user", "secret"
MOST = {BUILDS: 10, ANSWERS: 15, BYTES: 25, EDIT: 15, FINDINGS: 15, USER: 10, SECRET: 10}
NEAR = 1.05  # of the best bytes: up to there all points are given
PER_FINDING = 3  # points that each finding costs
UNREACHED = "no step ran again: nothing in the image is made from that file"
LOST = "it no longer finds"
STILL_RUNS = "no response, although it is still running"
NO_PROGRAM = "no response: the image has no ENTRYPOINT and no CMD"
DID_NOTHING = "no response: it exited with code 0 and printed nothing"
_WIDTH, _ALL_FINDINGS = 160, 1500  # characters of what was seen; of every check, with lines


@dataclass(frozen=True)
class Limits:
    """What is asked of an image, beside that it builds and its user is not root.

    `at_most` is its budget in unpacked bytes, and up to `best` it gets all points; `source` says
    where both come from. It has to answer on `port`, and its self-check still has to find what
    `keeps` names. `edit` is a source file of its folder, which is edited. None is not asked. Of
    failed checks, comments may accept those in `may_stay`, or any with None.
    """

    at_most: int | None = None
    best: int | None = None
    port: int | None = None
    keeps: tuple[str, ...] = ()
    edit: str | None = None
    may_stay: tuple[str, ...] | None = None
    source: str = ""


@dataclass(frozen=True)
class Seen:
    """What building an image and looking into it gave; None is what nobody looked at.

    `failure` says why it was not built, and `edit_failure` why not again after an edit. `again`
    are the instructions that ran again then, and `installs` those of them that installed
    dependencies once more. `exit_code` is that of a program that exited by itself; None without
    `still_running` is an image that starts none. `findings` are the failed checks, each with its
    lines, and `traces` the places of the secret.
    """

    failure: str = ""
    steps: int = 0
    seconds: float | None = None
    unpacked_bytes: int | None = None
    largest: str = ""
    answered: bool | None = None
    seconds_to_answer: float | None = None
    lost: tuple[str, ...] = ()
    still_running: bool = False
    exit_code: int | None = None
    last_words: str = ""
    again: tuple[str, ...] | None = None
    installs: tuple[str, ...] = ()
    seconds_again: float | None = None
    edit_failure: str = ""
    findings: tuple[str, ...] = ()
    user: str = ""
    user_id: int | None = None
    traces: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Row:
    """One criterion: what was asked, what was measured, whether it is met, and its points.

    `passed` and `points` are None where it was not asked.
    """

    id: str
    asked: str
    measured: str
    passed: bool | None
    points: int | None

    @property
    def most(self) -> int:
        """How many points the criterion gives at most."""
        return MOST[self.id]

    @property
    def worth(self) -> str:
        """`10 of 15`; `—` where it was not asked."""
        return UNKNOWN if self.points is None else f"{self.points} of {self.most}"


def rows_of(seen: Seen, limits: Limits) -> tuple[Row, ...]:
    """Return a row for each criterion, in the order of `MOST`."""
    return tuple(_rows(seen, limits))


def _rows(seen: Seen, limits: Limits) -> Iterator[Row]:
    built = f"{seen.steps} steps, {format_seconds(seen.seconds)}"
    yield _row(BUILDS, "it should build", seen.failure or built, not seen.failure)
    silent = bool(seen.failure) or (limits.port is not None and not seen.answered)
    for name, asked, measured, passed, points in (
        (ANSWERS, *_answers(seen, limits)),
        (BYTES, *_bytes(seen, limits)),
        (EDIT, *_edit(seen, limits)),
        (FINDINGS, *_findings(seen, limits)),
        (USER, *_user(seen)),
        (SECRET, *_secret(seen)),
    ):
        if not asked:
            yield Row(name, "not asked", UNKNOWN, None, None)
        elif seen.failure:
            yield Row(name, asked, "not built", False, 0)
        else:
            yield _row(name, asked, measured, passed, 0 if silent else points)


def _row(name: str, asked: str, measured: str, passed: bool, points: int | None = None) -> Row:
    """A row; all points for what passed, and none for the rest, unless they are given."""
    if points is None:
        points = MOST[name] if passed else 0
    width = _ALL_FINDINGS if name == FINDINGS else _WIDTH
    return Row(name, asked, one_line(measured, width), passed, points)


def _answers(seen: Seen, limits: Limits) -> tuple:
    if limits.port is None:
        return "", "", None, None
    asked = f"it should respond on port {limits.port}" + (
        f", and find {', '.join(limits.keeps)}" if limits.keeps else ""
    )
    if not seen.answered:
        return asked, _silence(seen), False, 0
    if seen.lost:
        return asked, f"{LOST} {', '.join(seen.lost)}", False, 0
    return asked, f"after {format_seconds(seen.seconds_to_answer)}", True, None


def _silence(seen: Seen) -> str:
    """What became of a program that gave no response."""
    if seen.exit_code is None and not seen.still_running:
        return NO_PROGRAM
    if seen.exit_code == 0 and not seen.last_words:
        return DID_NOTHING
    exited = f"no response: it exited with code {seen.exit_code}"
    state = STILL_RUNS if seen.still_running else exited
    return f"{state}; its last words: {seen.last_words or 'none'}"


def _bytes(seen: Seen, limits: Limits) -> tuple:
    if limits.at_most is None:
        return "", "", None, None
    asked = f"it should have at most {format_bytes(limits.at_most)}"
    if limits.best is not None:
        asked += f"; all points up to {format_bytes(_full(limits))}"
    count = seen.unpacked_bytes or 0
    points = bytes_points(count, limits)
    measured = format_bytes(count)
    if seen.largest and points < MOST[BYTES]:
        measured += f"; the largest layer: {seen.largest}"
    return asked, measured, count <= limits.at_most, points


def bytes_points(count: int, limits: Limits) -> int:
    """Return all points up to the best bytes, none beyond the budget, and linear between."""
    if count > limits.at_most:
        return 0
    full = _full(limits)
    if count <= full:
        return MOST[BYTES]
    return round(MOST[BYTES] * (limits.at_most - count) / (limits.at_most - full))


def _full(limits: Limits) -> int:
    best = limits.at_most if limits.best is None else round(NEAR * limits.best)
    return min(best, limits.at_most)


def _edit(seen: Seen, limits: Limits) -> tuple:
    if limits.edit is None:
        return "", "", None, None
    asked = f"an edit of {limits.edit} should install no dependencies again"
    if seen.edit_failure:
        return asked, f"it no longer builds: {seen.edit_failure}", False, 0
    again = seen.again or ()
    if not again:
        return asked, UNREACHED, False, 0
    measured = f"{len(again)} of {seen.steps} steps ran again in "
    measured += format_seconds(seen.seconds_again)
    if seen.installs:
        measured += f"; installed again: {'; '.join(seen.installs)}"
    return asked, measured, not seen.installs, None


def _findings(seen: Seen, limits: Limits) -> tuple:
    asked = f"`{PROGRAM} check --build` should find nothing"
    if limits.may_stay:
        asked += f" that no comment accepts (it may accept {', '.join(limits.may_stay)})"
    count = len(seen.findings)
    measured = f"{count}: {', '.join(seen.findings)}" if count else "none"
    return asked, measured, not count, max(0, MOST[FINDINGS] - PER_FINDING * count)


def _user(seen: Seen) -> tuple:
    number = "" if seen.user_id is None else f", UID {seen.user_id}"
    name = seen.user.partition(":")[0]
    root = seen.user_id == 0 or name in ("", "root") or (name.isdigit() and int(name) == 0)
    measured = f"USER {seen.user}{number}" if seen.user else "no USER, so root"
    return "it should not run as root", measured, not root, None


def _secret(seen: Seen) -> tuple:
    if seen.traces is None:
        return "", "", None, None
    asked = "the secret should be in no layer, history or variable"
    return asked, "; ".join(seen.traces) or "nowhere", not seen.traces, None
