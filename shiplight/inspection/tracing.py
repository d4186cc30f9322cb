"""Where each byte of an image was born: its files, followed back through the stages.

From measured images and a Dockerfile alone; `following` builds and measures them. These are the
rules, so that everything adds up:

- All files of all layers count, hidden ones too. A layer that several stages have counts once, by
  its diff_id, and belongs to the first of them.
- A file is born in a base, in the build context, or in the instruction that made it. A COPY makes
  nothing: its files are its source's, found by its paths first and by content second. What is in
  neither, as what an ADD downloads, is born there.
- A second copy of a file in the same image takes bytes again: it is born where it was copied.
- Where the content of a copied file stands in several places, and its path tells none of them, the
  file is given to none, but counted as ambiguous. Empty files and further names of a file have no
  bytes.
- What a RUN writes is born there, whatever it read: `mounted` names the stages that it mounted.
- A vulnerability is where the file was born in which the scanner found its package; one of the
  system's packages where that was installed, also if a COPY took its files and its database.
"""

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..buildkit import Glob
from ..dockerfile import STEPS, Dockerfile, Instruction, Link, Stage, links_of, triggers_of
from ..errors import UsageError
from ..image import Entry, Image
from ..scans import OS, Finding, ScanReport
from ..units import one_line
from .born import AMBIGUOUS, BASE, CONTEXT, IMAGE, STEP, Flow, Origin, Origins
from .exposure import Place, with_scans

_WILD = set("*?[")


def trace(
    read: Dockerfile,
    stages: Mapping[int, Image],
    images: Mapping[tuple[int, str, str], Image],
    context: Mapping[str, Entry],
    *,
    build_args: Mapping[str, str] | None = None,
    scans: Mapping[Place, ScanReport] | None = None,
) -> Origins:
    """Return where the bytes of the last of these stages were born.

    `stages` are the images of the stages that it needs, by index; `images` those from outside, by
    stage, kind of use (FROM or COPY) and reference; `context` the files that were sent, by path.
    `scans` has reports on stages, by index, and on images that a COPY names, by (stage, reference).
    Raises UsageError where an image was not made by this Dockerfile.
    """
    tracing = _Tracing(read, dict(sorted(stages.items())), images, context, build_args)
    for index in tracing.stages:
        tracing.follow(read.stages[index])
    found = tracing.result()
    if not scans:
        return found
    labels = {index: read.stages[index].label for index in stages}
    return with_scans(found, scans, labels, tracing.row_of)


@dataclass
class _Row:
    """One place of birth, while bytes are added to it."""

    kind: str
    stage: str | None
    instruction: str
    line: int | None
    born: int = 0
    shipped: int = 0
    mounted: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Layer:
    """The files of one layer as numbers: all of them, and the one behind each name."""

    files: list[int]
    names: dict[str, int]


EMPTY = 0  # the number of all empty files: they have no bytes to follow

# What the system's package managers keep, where an image has one of them.
_DATABASES = (
    *("var/lib/dpkg/status", "lib/apk/db/installed", "usr/lib/apk/db/installed"),
    *("var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite"),
)

Route = tuple[str, ...]


class _Tracing:
    """The files of all stages, each with a number: its bytes count once, where it was born.

    `has` has, by stage, the route of each file that is in its image.
    """

    def __init__(self, read, stages, images, context, build_args):
        self.read, self.stages, self.images = read, stages, images
        self.links = links_of(read, build_args)
        self.rows: dict[tuple, _Row] = {}
        self.born: list[tuple[tuple, Entry]] = [((), Entry("", "file"))]
        self.first: list[Route] = [()]
        self.known: dict[str, _Layer] = {}
        self.layers: dict[object, list[_Layer]] = {}
        self.owners: dict[str, tuple] = {}  # by a layer's diff_id, the row that it first came with
        self.numbers: dict[tuple, int] = {}  # of the rows, once they are sorted
        self.has: dict[int, dict[int, Route]] = {}
        self.workdirs: dict[int, str] = {}
        self.sources: dict[object, _Source] = {}
        self.sent = _Source(
            {path: self.bear((CONTEXT,), entry, ()) for path, entry in context.items()}, {}
        )

    # --- one stage --------------------------------------------------------------------------

    def follow(self, stage: Stage) -> None:
        """Number the files of one stage: what its base has, then layer by layer what is new."""
        index, image = stage.index, self.stages[stage.index].whole()
        image.tree()  # raises where the lists of its files were not kept
        base = self.links[index][0]
        self.has[index], self.layers[index] = {}, []
        if base.source is not None:
            below, workdir = self.stages[base.source], self.stages[base.source].workdir
            self.layers[index] = list(self.layers[base.source])
            routes = self.has[base.source]
            self.has[index] = {file: (*route, stage.label) for file, route in routes.items()}
        elif base.reference == "scratch":
            below, workdir = None, "/"
        else:
            below = self.images[index, "FROM", base.reference]
            workdir = below.workdir
            key = (BASE, index)
            self.row(key, BASE, stage.label, f"FROM {base.reference}", stage.line)
            for number, layer in enumerate(below.layers):
                self.enter(index, layer.diff_id, self.outside(below, number, key), key)
        start = 0 if below is None else len(below.layers)
        if below is not None:
            self.refuse_another_base(stage, image, below)
        for number, step in self.steps(stage, image, start):
            workdir = self.step(stage, image, number, step, workdir)

    def refuse_another_base(self, stage: Stage, image: Image, below: Image) -> None:
        own = [layer.diff_id for layer in image.layers]
        if own[: len(below.layers)] != [layer.diff_id for layer in below.layers]:
            raise UsageError(
                f"the image of stage {stage.label} does not begin with the layers of its base.",
                hint="build it again: its base has changed since",
            )

    def steps(self, stage: Stage, image: Image, start: int) -> Iterator[tuple]:
        """Yield (number of a layer or None, instruction) in order, those of ONBUILDs included.

        Each RUN, COPY and ADD makes a layer, a WORKDIR that is not `/` as well. What an image from
        outside has as ONBUILD comes first, and only the history has it.
        """
        triggers = triggers_of(self.read, self.links[stage.index][0].source)
        left = [one for one in [*triggers, *stage.instructions] if one.keyword in STEPS]
        found = []
        for number in range(len(image.layers) - 1, start - 1, -1):
            keyword = image.layers[number].instruction.partition(" ")[0]
            while left and left[-1].keyword != keyword and left[-1].keyword == "WORKDIR":
                found.append((None, left.pop()))
            if left and left[-1].keyword != keyword:
                raise UsageError(
                    f"the history of stage {stage.label} is not that of its Dockerfile: it has "
                    f"{image.layers[number].instruction!r} for line {left[-1].line}.",
                    hint="build it again, with BuildKit's own frontend",
                )
            found.append((number, left.pop() if left else None))
        if any(one.keyword != "WORKDIR" for one in left):
            raise UsageError(
                f"the image of stage {stage.label} has fewer layers than its Dockerfile makes.",
                hint="build it again, with BuildKit's own frontend",
            )
        found += [(None, one) for one in reversed(left)]
        yield from reversed(found)

    def step(self, stage: Stage, image: Image, number, step, workdir: str) -> str:
        """Number the files of one instruction's layer; return the folder that is current then."""
        told = image.layers[number].instruction if number is not None else ""
        keyword = step.keyword if step else told.partition(" ")[0]
        if keyword == "WORKDIR":
            words = told.split(" ", 1)[1:] if told else [step.value]
            workdir = posixpath.join(workdir, *words)
        if number is None:
            return workdir
        line = step.line if step else stage.line
        key = (STEP, stage.index, line, "" if step else told)
        text = told if step is None else " ".join([keyword, *step.flags, step.value])
        row = self.row(key, STEP, stage.label, " ".join(text.split()), line)
        diff_id, content = image.layers[number].diff_id, image.contents[number]
        layer, via = self.known.get(diff_id), {}
        if keyword in ("COPY", "ADD"):
            link = self.copied_from(stage, step)
            source = self.source(stage, link)
            via = self.has.get(link.source, {}) if link else {}
            if layer is None:
                layer = _Copy(self, stage, step, told, workdir, source).layer(content, key)
        else:
            row.mounted, row.outside = self.mounts(stage, step)
            layer = layer or self.made(content, key, (stage.label,))
        self.enter(stage.index, diff_id, layer, key, via)
        return workdir

    def copied_from(self, stage: Stage, step: Instruction | None) -> Link | None:
        """Return the stage or image that the --from of a COPY names; None for the context."""
        if step is None:
            return None
        used = self.links[stage.index][1:]
        return next((one for one in used if (one.kind, one.line) == ("COPY", step.line)), None)

    def source(self, stage: Stage, link: Link | None) -> "_Source":
        """Return where a COPY takes its files: the context, another stage, or an image."""
        if link is None:
            return self.sent
        at = link.source if link.source is not None else (stage.index, link.reference)
        if at not in self.sources:
            if link.source is not None:
                image = self.stages[link.source]
            else:
                image, key = self.images[stage.index, "COPY", link.reference], (IMAGE, at[1])
                self.row(key, IMAGE, None, f"image {link.reference}", None)
                self.layers[at] = [
                    self.outside(image, number, key) for number in range(len(image.layers))
                ]
            self.sources[at] = _source_of(image, self.layers[at])
        return self.sources[at]

    def mounts(self, stage: Stage, step: Instruction | None) -> tuple[tuple, tuple]:
        """Return the stages and images that a RUN mounts, and its cache mounts."""
        fields = step.mounts if step else ()
        links = [
            one for one in self.links[stage.index]
            if one.kind == "MOUNT" and step and one.line == step.line
        ]  # fmt: skip
        names = [
            self.read.stages[one.source].label if one.source is not None else one.reference
            for one in links
        ]
        if any(one["type"] == "bind" and "from" not in one for one in fields):
            names.append("the build context")
        caches = [one.get("target", "") for one in fields if one["type"] == "cache"]
        return tuple(dict.fromkeys(names)), tuple(dict.fromkeys(caches))

    # --- files and rows ---------------------------------------------------------------------

    def row(self, key, kind: str, stage: str | None, instruction: str, line: int | None) -> _Row:
        return self.rows.setdefault(key, _Row(kind, stage, instruction, line))

    def bear(self, key: tuple, entry: Entry, first: Route) -> int:
        """Return the number of a new file, which is born in the row of this key."""
        if not entry.size:
            return EMPTY
        self.born.append((key, entry))
        self.first.append(first)
        return len(self.born) - 1

    def made(self, entries, key: tuple, first: Route) -> _Layer:
        """Return the files of a layer, all of them new."""
        return _layer(entries, lambda entry: self.bear(key, entry, first))

    def outside(self, image: Image, number: int, key: tuple) -> _Layer:
        """Return the files of a layer from outside, the same for all images that have the layer."""
        diff_id = image.layers[number].diff_id
        if diff_id not in self.known:
            stage = self.rows[key].stage
            first = (stage,) if stage else ()
            self.known[diff_id] = self.made(image.whole().contents[number], key, first)
            self.owners[diff_id] = key
        return self.known[diff_id]

    def enter(self, index: int, diff_id: str, layer: _Layer, key: tuple, via=None) -> None:
        """Put a layer on top of a stage; what the stage has already is there a second time.

        `via` has the routes by which the files came to the stage that they were copied from.
        """
        label, has, via = self.read.stages[index].label, self.has[index], via or {}
        self.known.setdefault(diff_id, layer)
        self.owners.setdefault(diff_id, key)
        again = {}
        for file in layer.files:
            if file == EMPTY:
                continue
            if file in has:
                again[file] = self.bear(key, self.born[file][1], (label,))
                has[again[file]] = (label,)
            else:
                has[file] = (*via[file], label) if file in via else self.route(file, label)
        if again:
            layer = _Layer(
                [again.get(file, file) for file in layer.files],
                {path: again.get(file, file) for path, file in layer.names.items()},
            )
        self.layers[index].append(layer)

    def route(self, file: int, label: str) -> Route:
        """Return the stages that a file went through to be in a layer of this stage."""
        key = self.born[file][0]
        born_in = self.rows[key].stage if key[0] == STEP else None
        return (label,) if born_in in (None, label) else (born_in, label)

    # --- the result -------------------------------------------------------------------------

    def result(self) -> Origins:
        """Add it all up. Raises AssertionError where it does not: then a rule above is broken."""
        target, image = list(self.stages.items())[-1]
        self.row((CONTEXT,), CONTEXT, None, "the build context", None)
        self.row((AMBIGUOUS,), AMBIGUOUS, None, "content that stands in several places", None)
        taken = {file for has in self.has.values() for file in has}
        sums: Counter = Counter()
        for file in range(1, len(self.born)):
            key, entry = self.born[file]
            if key == (CONTEXT,) and file not in taken:
                continue  # no instruction took it: it is in no layer
            self.rows[key].born += entry.size
            route = self.has[target].get(file)
            ships = route is not None
            self.rows[key].shipped += entry.size * ships
            sums[key, route if ships else self.first[file], ships] += entry.size
        rows = sorted((item for item in self.rows.items() if item[1].born), key=self.order)
        self.numbers = numbers = {key: number for number, (key, _) in enumerate(rows)}
        _check(image, [row for _, row in rows], sums)
        return Origins(
            name=image.name,
            unpacked_bytes=image.unpacked_bytes,
            stages=tuple(self.read.stages[index].label for index in self.stages),
            rows=tuple(
                Origin(
                    row.kind, row.stage, row.instruction, row.line, row.born, row.shipped,
                    row.mounted, row.outside,
                )
                for _, row in rows
            ),
            flows=tuple(
                Flow(numbers[key], route, count, ships)
                for (key, route, ships), count in sorted(
                    sums.items(), key=lambda item: (numbers[item[0][0]], not item[0][2], item[0][1])
                )
            ),
        )  # fmt: skip

    def row_of(self, place: Place, finding: Finding) -> int | None:
        """Return the number of the row that has the package of a finding; None if it is unknown."""
        layers, owner = self.layers.get(place, []), self.owners.get(finding.diff_id)
        if finding.layer is None or finding.layer >= len(layers):
            return self.numbers.get(owner)
        paths = [finding.where.lstrip("/")]
        if finding.kind == OS and self.rows[owner].instruction.startswith(("COPY ", "ADD ")):
            paths = [*_DATABASES, f"var/lib/dpkg/status.d/{finding.package}"]
        names = layers[finding.layer].names
        file = next((names[path] for path in paths if names.get(path)), EMPTY)
        return self.numbers.get(self.born[file][0] or owner)

    def order(self, item: tuple[tuple, _Row]) -> tuple:
        """Sort the context and images first, then line by line, what is ambiguous last."""
        (kind, *rest), row = item
        rank = {CONTEXT: 0, IMAGE: 1, BASE: 2, STEP: 2, AMBIGUOUS: 3}[kind]
        return rank, rest[0] if rank == 2 else 0, row.line or 0, row.instruction


def _check(image: Image, rows: list[_Row], sums: Counter) -> None:
    name, shipped = image.name, sum(row.shipped for row in rows)
    if shipped != image.unpacked_bytes:
        raise AssertionError(
            f"the origins of {name} do not add up: {shipped:,} bytes shipped, and its layers have "
            f"{image.unpacked_bytes:,}"
        )
    for row in rows:
        if not 0 <= row.shipped <= row.born:
            raise AssertionError(
                f"the origins of {name} do not add up: of {row.born:,} bytes born in "
                f"{one_line(row.instruction, 60)}, {row.shipped:,} are shipped"
            )
    if sum(sums.values()) != sum(row.born for row in rows):
        raise AssertionError(f"the flows of {name} do not add up to the bytes that were born")


# --- where a COPY takes its files -----------------------------------------------------------------


@dataclass(frozen=True)
class _Source:
    """The files that a COPY can take, by path, and the symlinks on the way to them."""

    files: dict[str, int]
    links: dict[str, str]


def _source_of(image: Image, layers: list[_Layer]) -> _Source:
    files, links = {}, {}
    for path, (entry, number) in image.tree().items():
        if entry.kind in ("file", "hardlink"):
            files[path] = layers[number].names.get(path, EMPTY)
        elif entry.kind == "symlink":
            links[path] = entry.link
    return _Source(files, links)


def _layer(entries, number_of) -> _Layer:
    """The files of a layer as numbers; a hard link is a further name of its file."""
    files, names = [], {}
    for entry in entries:
        if entry.kind == "file":
            names[entry.path] = number_of(entry)
            files.append(names[entry.path])
    links = {entry.path: entry.link for entry in entries if entry.kind == "hardlink"}
    for path in links:
        names[path] = names.get(_end_of(links, path), EMPTY)
    return _Layer(files, names)


def _end_of(links: dict[str, str], path: str) -> str:
    """The path at the end of a chain of links; where they go round, one of them."""
    for _ in range(len(links)):
        if path not in links:
            break
        path = links[path]
    return path


class _Copy:
    """One COPY or ADD: which file of its source each file of its layer is."""

    def __init__(self, tracing, stage, step, told, workdir, source):
        self.tracing, self.stage, self.source = tracing, stage, source
        self.flags = step.flags if step else ()
        # An ADD unpacks and downloads, and a here-document is in no source.
        self.by_content = told.startswith("COPY ") and not (step and step.heredocs)
        *self.patterns, to = _words(step, told)
        self.to = posixpath.normpath(posixpath.join("/", workdir, to)).strip("/")
        self.contents: dict[tuple, list[int]] | None = None

    def layer(self, entries, key: tuple) -> _Layer:
        """Return the files of the layer that this made: its source's, or new ones."""
        self.taken, self.key = set(self.tracing.has[self.stage.index]), key
        files, folders = self._where()
        return _layer(entries, lambda entry: self._file(entry, files, folders))

    def _file(self, entry: Entry, files: dict[str, str], folders: list[tuple[str, str]]) -> int:
        if not entry.size:
            return EMPTY
        found = self._by_path(entry, files, folders)
        if found is None and self.by_content:
            found = self._by_content(entry)
        label = self.stage.label
        if found is None or found in self.taken:
            found = self.tracing.bear(self.key, entry, (label,))
        self.taken.add(found)
        if not self.tracing.first[found]:
            self.tracing.first[found] = (label,)
        return found

    def _by_path(self, entry, files, folders) -> int | None:
        paths = [files[entry.path]] if entry.path in files else []
        for to, folder in reversed(folders):
            if not to or entry.path.startswith(f"{to}/"):
                paths.append(posixpath.join(folder, entry.path[len(to) :].lstrip("/")))
        same = (self.source.files.get(self._resolved(path)) for path in paths)
        return next((file for file in same if file and self._alike(file, entry)), None)

    def _alike(self, file: int, entry: Entry) -> bool:
        other = self.tracing.born[file][1]
        return (other.size, other.content) == (entry.size, entry.content)

    def _by_content(self, entry: Entry) -> int | None:
        """A file of the source with this content: None without one, or an ambiguous new one."""
        if self.contents is None:
            self.contents = {}
            for file in dict.fromkeys(self.source.files.values()):
                other = self.tracing.born[file][1]
                self.contents.setdefault((other.size, other.content), []).append(file)
        found = self.contents.get((entry.size, entry.content), [])
        if len({self.tracing.born[file][0] for file in found}) > 1:
            return self.tracing.bear((AMBIGUOUS,), entry, (self.stage.label,))
        return next((file for file in found if file not in self.taken), next(iter(found), None))

    def _where(self) -> tuple[dict[str, str], list[tuple[str, str]]]:
        """{path in the layer: path in the source} of files, and (to, from) of folders' contents."""
        files: dict[str, str] = {}
        folders: list[tuple[str, str]] = []
        for pattern in self.patterns:
            for path in self._matches(pattern):
                real, name = self._resolved(path), posixpath.basename(path)
                to = posixpath.join(self.to, path) if "--parents" in self.flags else self.to
                if real in self.source.files:
                    files |= {to: real, posixpath.join(to, name): real}
                else:
                    folders.append((to, real))
        return files, folders

    def _matches(self, pattern: str) -> list[str]:
        """The paths of the source that a pattern of COPY means."""
        path = posixpath.normpath(posixpath.join("/", pattern)).strip("/")
        if not _WILD & set(path):
            return [path]
        try:
            matches = Glob(path).matches
        except ValueError:
            return []
        parts = path.count("/") + 1
        known = {"/".join(one.split("/")[:parts]) for one in self.source.files}
        return sorted(one for one in known if matches(one))

    def _resolved(self, path: str) -> str:
        """The path without symlinks on its way, as far as the source has them."""
        if not self.source.links or path in self.source.files:
            return path
        left, done = path.split("/"), ""
        for _ in range(1000):
            if not left:
                break
            done = posixpath.normpath(posixpath.join("/", done, left.pop(0))).strip("/")
            if done in self.source.links:
                to = posixpath.join("/", posixpath.dirname(done), self.source.links[done])
                left, done = posixpath.normpath(to).strip("/").split("/") + left, ""
        return "/".join([done, *left]) if left else done


def _words(step: Instruction | None, told: str) -> list[str]:
    """The paths of a COPY or ADD: as the history has them, with variables put in, if it can be."""
    words = [word for word in told.split(" ")[1:] if word and not word.startswith("--")]
    if step is None:
        return words if len(words) > 1 else ["", "/"]
    own = list(step.json) if step.json is not None else step.value.split()
    as_built = len(words) == len(own) and not words[0].startswith(("file:", "dir:", "multi:"))
    return words if as_built else own
