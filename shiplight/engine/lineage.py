"""Whose a record of the build cache is, told by what BuildKit reported of our builds.

A record is ours when it was made while a step of ours ran that fits its description, and there are
no more such records than steps, or no more that follow from ours. What fits no step is ours when it
follows from ours, and is the only one that was made while a step ran that nothing fits. A step that
came from the cache or failed has made none. And a record of ours was last used by a build of ours:
an engine lets go of what a build used when that ends, and of all of it within milliseconds. So one
that was let go of together with a record that is surely ours is ours too, and what somebody else
makes at the same moment, or uses later, is theirs. What is in doubt is not removed.
"""

import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from .disk import CacheRecord

EARLIER_SECONDS = 0.05  # by how much a record can be older than the step that it is made for
RELEASE_SECONDS = (-0.2, 1.0)  # when, after a build has ended, its records are let go of,
BROKEN_SECONDS = (-0.2, 10.0)  # the same, after a build that was broken off,
AT_ONCE_SECONDS = (-0.1, 0.3)  # and when they are as a rule;
TOGETHER_SECONDS = 0.01  # within which a build lets go of all that it alone has used
CONTEXT = ("[internal] load build context", "[internal] load .dockerignore")
BASE = re.compile("from local|pulled from")
MAKES = ("RUN ", "COPY ", "ADD ", "WORKDIR ")  # instructions that make a record
DOCKERFILE = "[internal] load build definition"

Places = set[tuple[str, int]]  # steps for which records compete: the kind of record, and which step


@dataclass(frozen=True)
class Ran:
    """One step of ours: when it ran, what it said, and when its build ended.

    That is unknown, and `build_end` None, where our process was killed.
    """

    start: float
    end: float
    texts: tuple[str, ...]
    build_end: float | None
    is_whole: bool = True

    def made(self, record: CacheRecord) -> bool:
        """Return whether this step ran when the record was made."""
        return self.start - EARLIER_SECONDS <= record.created <= self.end + EARLIER_SECONDS

    def let_go_at(self, used: float, within: tuple[float, float]) -> bool:
        """Return whether what this build used was let go of at that time.

        One that failed or was cancelled takes longer to end.
        """
        if self.build_end is None:
            return self.end <= used
        low, high = within if self.is_whole else BROKEN_SECONDS
        return low <= used - self.build_end <= high

    def fits(self, record: CacheRecord) -> bool:
        """Return whether the record is described as a result of this step."""
        return any(fits(record.description, text) for text in self.texts)


def of_builds(entries: Iterable[dict]) -> list[Ran]:
    """Return the steps of the builds that a journal lists.

    Those of a build that has no end in it, as its process was killed, are listed as they ended:
    the last entry has them all.
    """
    last = {entry.get("build") or number: entry for number, entry in enumerate(entries)}
    return [
        Ran(
            start,
            end,
            tuple(texts),
            entry["window"][1] if "window" in entry else None,
            "engine_id" in entry,
        )
        for entry in last.values()
        for start, end, *texts in entry.get("ran", [])
    ]


def ours(
    records: list[CacheRecord], steps: list[Ran], *, mounts: str = ""
) -> tuple[list[CacheRecord], list[CacheRecord]]:
    """Return the records that are ours, and those in doubt.

    In doubt is what was made while a step of ours ran and fits it, but may be somebody else's.
    `mounts` is the namespace of our cache mounts, in the description of engines that tell it.
    """
    named = f'with id "{mounts}/'
    found = {record.id for record in records if mounts and named in record.description}
    groups, doubt = list(_groups(records, steps)), set()
    for group, places in groups:
        count = len(places)
        likely = [record for record in group if _is_let_go_with_ours(record, steps)]
        at_once = [r for r in likely if _is_let_go_with_ours(r, steps, within=AT_ONCE_SECONDS)]
        if len(likely) > count and at_once:
            likely = at_once
        doubt |= {record.id for record in likely}
        if len(likely) <= count:
            found |= {record.id for record in likely}
        if len(likely) < count:  # what is missing may be what somebody used later
            doubt |= {record.id for record in group if record.uses > 1}
    groups += _unrecognised(records, steps, doubt)
    more = found
    while more:  # and what was let go of together with those, or follows from them
        moments = _moments([record for record in records if record.id in found], steps)
        more = set()
        for group, places in groups:
            more |= _let_go_together(group, places, steps, moments) - found
            if len(found.union(more).intersection(r.id for r in group)) == len(places):
                doubt -= {record.id for record in group} - found - more  # these are theirs
        open_ones = doubt - found
        for group, places in groups:
            more |= _following(group, len(places), steps, found, open_ones)
        found |= more
    return (
        [record for record in records if record.id in found],
        [record for record in records if record.id in doubt - found],
    )


def mounts_of(records: list[CacheRecord], steps: list[Ran], namespace: str) -> list[CacheRecord]:
    """Return the cache mounts in our namespace that these steps use, on engines that tell it."""
    named = f' with id "{namespace}/'
    texts = {text for step in steps for text in step.texts}
    return [
        record
        for record in records
        if named in record.description
        and any(fits(record.description.partition(named)[0], text) for text in texts)
    ]


def _unrecognised(
    records: list[CacheRecord], steps: list[Ran], fitting: set[str]
) -> list[tuple[list[CacheRecord], Places]]:
    """Return, for each step that no record fits, those that were made when it ran."""
    rest = [record for record in records if record.id not in fitting]
    recognised = [r for r in records if r.id in fitting and not r.description.startswith("cached")]
    return [
        ([record for record in rest if step.made(record)], {("", number)})
        for number, step in enumerate(steps)
        if step.texts[0].startswith(MAKES)
        and not any(step.made(r) and step.fits(r) for r in recognised)
    ]


def _moments(ours: list[CacheRecord], steps: list[Ran]) -> dict[float | None, list[float]]:
    """Return, by the end of a build of ours, when what surely that build alone used was let go."""
    moments: dict[float | None, list[float]] = {}
    for record in ours:
        ends = {step.build_end for step in steps if step.made(record) and step.fits(record)}
        if record.used and record.uses == 1 and len(ends) == 1:
            moments.setdefault(ends.pop(), []).append(record.used)
    return moments


def _let_go_together(
    group: list[CacheRecord],
    places: Places,
    steps: list[Ran],
    moments: dict[float | None, list[float]],
) -> set[str]:
    """Return those of a group that were let go of together with what a build of ours has made.

    None of a build, if there are more of them than steps of it in the group.
    """
    ours = set()
    builds = [steps[number].build_end for _, number in places]
    for end in set(builds):
        together = {
            record.id
            for record in group
            for at in moments.get(end, [])
            if record.uses == 1 and abs(record.used - at) <= TOGETHER_SECONDS
        }
        if len(together) <= builds.count(end):
            ours |= together
    return ours


def _following(
    group: list[CacheRecord], count: int, steps: list[Ran], found: set[str], doubt: set[str]
) -> set[str]:
    """Return those of a group that follow from ours, if there are no more than steps.

    None, as long as one follows from what is in doubt itself.
    """
    likely = [r for r in group if _is_let_go_with_ours(r, steps, within=AT_ONCE_SECONDS)]
    following = {record.id for record in likely if found.intersection(record.parents)}
    is_open = any(doubt.intersection(record.parents) for record in likely)
    return set() if is_open or len(following) > count else following - found


def _groups(
    records: list[CacheRecord], steps: list[Ran]
) -> Iterable[tuple[list[CacheRecord], Places]]:
    """Yield the records that compete for the same steps, and those steps, by kind and number.

    One step makes one record of a kind: its result, what was sent, or each of its cache mounts; a
    FROM makes one for each layer.
    """
    wanted: dict[str, Places] = {}
    for record in records:
        mount = record.description.partition(" from exec ")[0]
        kind = record.id if BASE.match(record.description) else mount if "cached" in mount else ""
        fitting = {
            (kind, number)
            for number, step in enumerate(steps)
            if step.made(record) and step.fits(record)
        }
        if fitting:
            wanted[record.id] = fitting
    by_id = {record.id: record for record in records}
    while wanted:
        first, places = wanted.popitem()
        group = [first]
        while more := [one for one, its in wanted.items() if its & places]:
            for one in more:
                places = places | wanted.pop(one)
            group += more
        yield [by_id[one] for one in group], places


def _is_let_go_with_ours(
    record: CacheRecord, steps: list[Ran], *, within: tuple[float, float] = RELEASE_SECONDS
) -> bool:
    """Whether a build of ours has used a record last: if only one has, the one that made it."""
    if not record.used:
        return True  # it is in use for the first time, or the engine does not tell
    if record.uses > 1 and record.description.startswith("cached mount"):
        return True  # in a namespace of this lab, so nobody else has used it
    users = steps if record.uses > 1 else [step for step in steps if step.made(record)]
    return any(step.let_go_at(record.used, within) for step in users)


def fits(description: str, text: str) -> bool:
    """Return whether an engine's description of a cache record is what it says of a step of ours.

    >>> fits("mount / from exec /bin/sh -c make -j --x", "RUN --mount=type=tmpfs make -j --x")
    True
    >>> fits("fileop target", "COPY . ."), fits("fileop target", "RUN make")
    (True, False)
    >>> fits("local source for context", "[internal] load build context")
    True
    """
    keyword, _, rest = text.partition(" ")
    seen = " ".join(description.split())
    if text.startswith(CONTEXT):
        return seen == "local source for context"
    if text.startswith(DOCKERFILE):
        return seen == "local source for dockerfile"
    if seen.endswith(f"] {' '.join(text.split())}"):
        return True
    if keyword == "FROM":
        return bool(BASE.match(seen))
    if keyword in ("COPY", "ADD", "WORKDIR"):
        return seen == "fileop target"
    if keyword != "RUN":
        return False
    command = _command(rest)
    runs = " from exec " in f" {seen}" and seen.endswith(f" {command}")
    return bool(command) and (runs or seen.endswith(f"RUN {command}"))


def _command(rest: str) -> str:
    """What a RUN instruction runs, without its options and the brackets of its exec form."""
    command = " ".join(itertools.dropwhile(lambda word: word.startswith("--"), rest.split()))
    try:
        words = json.loads(command)
    except (ValueError, RecursionError):
        return command
    is_exec = isinstance(words, list) and all(isinstance(word, str) for word in words)
    return " ".join(words) if is_exec else command


def bytes_of(records: Iterable[CacheRecord]) -> int:
    """Return the bytes of records that no image shares."""
    return sum(record.size for record in records if not record.shared)
