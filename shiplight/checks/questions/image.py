"""What a built image shows: tools in it, libraries it lacks, and which instruction made a layer."""

from collections import Counter
from collections.abc import Container

from ..reading.known import commands
from ..reading.layers import instructions_of_layers
from ..reading.subject import Built, Subject
from .outcomes import Place, at, at_base, shown


def at_layer(subject: Subject, layer: int, found: str, **more) -> Place:
    """Return the place of what is in a layer: its line, or the FROM whose image brought it."""
    steps = instructions_of_layers(subject)
    if layer in steps:
        return at(steps[layer], found, **more)
    if steps and layer < min(steps):
        return at_base(subject, found, **more)
    instruction = shown(subject.built.image.layers[layer].instruction)[:100]
    return Place(found, instruction=instruction, **more)


def missing_libraries(built: Built) -> list[str]:
    """Return what the program needs but the image lacks: its loader's path, library names."""
    tree, program = built.image.tree(), built.program
    names = {path.rpartition("/")[2] for path in tree}
    loader = [program.interpreter] if program.interpreter else []
    absent = [path for path in loader if path.rpartition("/")[2] not in names]
    return absent + [name for name in program.needed if name not in names]


_SHARED = ("", "usr", "usr/local", "opt", "opt/conda", "root")  # folders that are nobody's own


def tools_in(subject: Subject) -> list[Place]:
    """Find compilers, their caches and version history in the image, with bytes and path.

    Every separate folder is one place. For a tool in a shared folder such as /usr, only the program
    is counted, as a lower bound.
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
        at_layer(subject, layer, what, path=f"/{marker}", bytes=sizes[folder])
        for folder, (what, marker, layer) in folders.items()
    ]


def _around(path: str, folders: Container[str]) -> str | None:
    """The one of `folders` that `path` is, or is inside."""
    while path and path not in folders:
        path = path.rpartition("/")[0]
    return path or None
