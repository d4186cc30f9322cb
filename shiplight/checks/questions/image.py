"""What a built image shows: tools in it, bytes that are buried, and which instruction did it."""

import re
from collections import Counter, defaultdict
from collections.abc import Container
from functools import cache

from ...units import format_bytes
from ..reading.known import commands
from ..reading.subject import Built, Step, Subject
from .outcomes import Place, at, at_base, shown

MIN_BYTES = 1_000_000


def instructions_of_layers(subject: Subject) -> dict[int, Step]:
    """Return the step behind each layer that the Dockerfile itself added, without the base's.

    The history's last entries are the Dockerfile's own; Podman adds one for the labels that came
    with the build. Where keywords do not agree, the builder wrote something else and nothing is
    claimed.
    """
    history = subject.built.image.history
    steps = [step for step in subject.final_steps if step.keyword != "ONBUILD"]
    keywords = [step.keyword for step in steps]
    for extra in (0, 1):
        first, last = len(history) - len(steps) - extra, len(history) - extra
        added = [_keyword(text) for text, _ in history[last:]]
        own = history[max(first, 0) : last]
        if set(added) <= {"LABEL"} and [_keyword(text) for text, _ in own] == keywords:
            pairs = zip(steps, own, strict=True)
            return {index: step for step, (_, index) in pairs if index is not None}
    return {}


def _keyword(instruction: str) -> str:
    return instruction.split(" ", 1)[0].upper()


def _at_layer(subject: Subject, layer: int, found: str, **more) -> Place:
    steps = instructions_of_layers(subject)
    if layer in steps:
        return at(steps[layer], found, **more)
    if steps and layer < min(steps):
        return at_base(subject, found, **more)
    instruction = shown(subject.built.image.layers[layer].instruction)[:100]
    return Place(found, instruction=instruction, **more)


def missing_libraries(built: Built) -> list[str]:
    """Return what the program links and the image lacks: its loader's path, libraries' names."""
    tree, program = built.image.tree(), built.program
    names = {path.rpartition("/")[2] for path in tree}
    loader = [program.interpreter] if program.interpreter else []
    absent = [path for path in loader if path.rpartition("/")[2] not in names]
    return absent + [name for name in program.needed if name not in names]


_SHARED = ("", "usr", "usr/local", "opt", "opt/conda", "root")  # folders that are nobody's own


def tools_in(subject: Subject) -> list[Place]:
    """Compilers, their caches and version history in the image, each with its bytes and path.

    Each folder of its own is a place. Of a tool in a folder that is everybody's, as /usr, the
    program alone is counted: that much it is at least.
    """
    image, folders = subject.built.image, {}
    for row in commands("image"):
        found = sorted(image.find(row["marker"]).items(), key=lambda item: item[0].count("/"))
        for marker, (entry, layer) in found:
            folder = "/".join(marker.split("/")[: -row["up"] or None])
            folder = marker if folder in _SHARED else folder
            if entry.kind != "symlink" and _around(folder, folders) is None:
                folders[folder] = (row["what"], marker, layer)
    sizes = Counter()
    for path, (entry, _) in image.tree().items():
        sizes[_around(path, folders)] += entry.size
    return [
        _at_layer(subject, layer, what, path=f"/{marker}", bytes=sizes[folder])
        for folder, (what, marker, layer) in folders.items()
    ]


def _around(path: str, folders: Container[str]) -> str | None:
    """The one of `folders` that `path` is, or is inside."""
    while path and path not in folders:
        path = path.rpartition("/")[0]
    return path or None


def buried_in(subject: Subject) -> list[Place]:
    """Bytes that this Dockerfile's instructions bury or leave behind, by instruction."""
    image, own = subject.built.image, instructions_of_layers(subject)
    by_layers: dict[tuple[int, int], list] = defaultdict(list)
    for item in image.buried:
        if item.buried_by in own or not own:
            by_layers[item.added_by, item.buried_by].append(item)
    places = []
    for (added, buried), items in sorted(by_layers.items()):
        size, largest = sum(item.bytes for item in items), max(items, key=lambda item: item.bytes)
        if size >= MIN_BYTES:
            by = f"line {own[buried].line}" if buried in own else f"layer {buried}"
            what = f"{format_bytes(size)}, hidden in {by} ({largest.how})"
            places.append(_at_layer(subject, added, what, path=f"/{largest.path}", bytes=size))
    return places + _left(subject)


@cache
def _caches() -> tuple[list[str], re.Pattern]:
    """What may be left, and one pattern with a group for each."""
    found = commands("left")
    text = "|".join(f"({path})" for path in found.values())
    return list(found), re.compile(text.replace("~", r"(?:root|home/[^/]+)"))


def _left(subject: Subject) -> list[Place]:
    """Package lists and caches that are live in the image, and that this Dockerfile left."""
    own, (names, pattern) = instructions_of_layers(subject), _caches()
    sizes: dict[tuple[str, int], int] = defaultdict(int)
    paths: dict[tuple[str, int], str] = {}
    for path, (entry, layer) in subject.built.image.tree().items():
        if match := pattern.match(path):
            what = names[match.lastindex - 1]
            sizes[what, layer] += entry.size
            paths.setdefault((what, layer), f"/{path.rpartition('/')[0]}")
    return [
        _at_layer(subject, layer, what, path=paths[what, layer], bytes=size)
        for (what, layer), size in sorted(sizes.items())
        if size >= MIN_BYTES and (layer in own or not own)
    ]
