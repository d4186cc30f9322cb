"""Where an image's bytes are: what its own layers carry for nothing, and its largest folders.

A pure function of the image, what was read inside it, and the Dockerfile. Every file of a layer is
given to one row at most, by the first rule that takes it, and a file with several names only where
all of them are taken; so the rows add up to bytes that can go. What the base brings is apart.
"""

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from ...image import Entry
from ...units import format_bytes
from ..reading.folder import part_of, table_of
from ..reading.known import commands
from ..reading.layers import instructions_of_layers, own_layers
from ..reading.subject import Subject
from .image import at_layer
from .outcomes import Place

LEAST_BYTES = 100_000  # of a row: less is not worth a line
HIDDEN, CACHE, ARCHIVE = "hidden", "cache", "archive"
_METADATA = "metadata only"  # `image.changes` says so of content that came again
_LEAST_COPY = 100_000  # of a file that is there twice under another name
_LEAST_TWIN = 1000  # of one that has the same name too
_MOST_FOLDERS = 8
_ALONE = 0.8  # what one folder has of all bytes around it, to stand for them


@dataclass(frozen=True)
class Row:
    """Bytes that can go: of which kind, where, in how many files, and what saves them.

    `place` has the line that brought them, their path in the image and their bytes.
    """

    kind: str
    place: Place
    files: int
    fix: str

    @property
    def bytes(self) -> int:
        return self.place.bytes

    def to_dict(self, file: str) -> dict:
        """Return the row as `./lab check --json` prints it."""
        place = self.place.to_dict(file)
        del place["accepted"]
        return {"kind": self.kind, **place, "files": self.files, "fix": self.fix}


@dataclass(frozen=True)
class Weight:
    """An image's unpacked bytes: `base_bytes` of them its base's, and what of its own can go.

    `rows` have most bytes first; `of_base` what is hidden in the base's layers, which no fix here
    saves; `folders` the largest ones of the image's own layers.
    """

    unpacked_bytes: int
    base_bytes: int
    rows: tuple[Row, ...]
    of_base: tuple[Row, ...]
    folders: tuple[Place, ...]

    @property
    def can_go_bytes(self) -> int:
        """What all fixes together save."""
        return sum(row.bytes for row in self.rows)

    def to_dict(self, file: str) -> dict:
        """Return everything as `./lab check --json` prints it."""
        folders = [place.to_dict(file) for place in self.folders]
        for place in folders:
            del place["accepted"]
        return {
            "unpacked_bytes": self.unpacked_bytes,
            "base_bytes": self.base_bytes,
            "can_go_bytes": self.can_go_bytes,
            "rows": [row.to_dict(file) for row in self.rows],
            "base_rows": [row.to_dict(file) for row in self.of_base],
            "folders": folders,
        }


@dataclass(frozen=True)
class Claim:
    """One file that a rule takes, or `bytes` of it. Those of equal rest become one row."""

    path: str
    layer: int
    bytes: int
    kind: str
    what: str
    fix: str


def weigh(subject: Subject) -> Weight:
    """Return where the bytes of a subject's built image are. Asserts that they add up."""
    view = _View(subject)
    claims: list[Claim] = []
    for rule in _RULES:
        for claim in rule(view):
            key = (claim.path, claim.layer)
            if key not in view.taken:
                view.taken.add(key)
                claims.append(claim)
    rows = _rows(subject, [c for c in claims if view.is_own(c.layer)])
    image = subject.built.image
    base = sum(each.unpacked_bytes for each in image.layers if not view.is_own(each.index))
    total = image.unpacked_bytes
    assert sum(row.bytes for row in rows) <= total - base, "a byte stands in two rows"
    of_base = _rows(subject, [c for c in claims if not view.is_own(c.layer)])
    return Weight(total, base, rows, of_base, _folders(view))


def _rows(subject: Subject, claims: list[Claim]) -> tuple[Row, ...]:
    groups: dict[tuple, list[Claim]] = defaultdict(list)
    for claim in claims:
        groups[claim.kind, claim.what, claim.fix, claim.layer].append(claim)
    rows = []
    for (kind, what, fix, layer), of in groups.items():
        size = sum(claim.bytes for claim in of)
        if size >= LEAST_BYTES:
            said = f"{format_bytes(size)}, {what}" if kind == HIDDEN else what
            path = f"/{_around([claim.path for claim in of])}"
            if kind == HIDDEN:
                path = f"/{max(of, key=lambda claim: claim.bytes).path}"
            place = at_layer(subject, layer, said, path=path, bytes=size)
            rows.append(Row(kind, place, len(of), fix))
    return tuple(sorted(rows, key=lambda row: (-row.bytes, row.kind, row.place.path)))


def _around(paths: list[str]) -> str:
    """The only file, or the folder that all are in."""
    if len(paths) == 1:
        return paths[0]
    return posixpath.commonpath([f"/{posixpath.dirname(path)}" for path in paths]).lstrip("/")


class _View:
    """The files of a built image, for the rules: `own` are live ones of its own layers.

    `taken` are the paths, with their layers, that rules have claimed so far.
    """

    def __init__(self, subject: Subject):
        self.taken: set[tuple[str, int]] = set()
        self.subject, self.image = subject, subject.built.image
        self.inside, self.steps = subject.built.inside, instructions_of_layers(subject)
        self.layers = own_layers(subject)
        self.tree = self.image.tree()
        self.names: dict[str, list[str]] = defaultdict(list)  # further ones, by the first
        for path, (entry, _) in self.tree.items():
            if entry.kind == "hardlink":
                self.names[entry.link].append(path)
        self.own = {
            path: (entry, layer)
            for path, (entry, layer) in self.tree.items()
            if entry.kind == "file" and entry.size and self.is_own(layer)
        }

    def is_own(self, layer: int) -> bool:
        """Return whether a layer is the Dockerfile's."""
        return layer in self.layers

    def by_path(self, test: Callable[[str], object]) -> Iterator[tuple[str, Entry, int]]:
        """Yield the own files that pass a test of their paths with all their names."""
        for path, (entry, layer) in self.own.items():
            if test(path) and all(map(test, self.names.get(path, ()))):
                yield path, entry, layer

    def is_copied(self, layer: int) -> bool:
        """Return whether a layer is a COPY or ADD from the build context."""
        step = self.steps.get(layer)
        return bool(step) and step.keyword in ("COPY", "ADD") and not step.origin

    def can_change(self, path: str) -> bool:
        """Return whether a file is of an own layer, and no package manager put it there."""
        if path not in self.own or self.names.get(path):
            return False
        step = self.steps.get(self.own[path][1])
        return not (_MANAGED.match(path) and step and step.keyword == "RUN")


# --- the rules ----------------------------------------------------------------------------------

_IN_PLACE = "delete it in the instruction that adds it, or mount it there (--mount=type=bind)"
_AT_ONCE = "write it once: do both in one instruction"
_BY_COPY = "COPY --chown or --chmod, or do it in the instruction that adds them"


def _hidden(view: _View) -> Iterator[Claim]:
    """What a later layer removed, replaced or copied for its owner or mode.

    A change of the base's files copies them into an own layer: there the copy can go. What an own
    layer removes or replaces of the base stays the base's.
    """
    by_layers: dict[tuple, list] = defaultdict(list)
    for item in view.image.buried:
        if view.is_own(item.buried_by):
            by_layers[item.added_by, item.buried_by].append(item)
    for (added, buried), items in sorted(by_layers.items()):
        largest = max(items, key=lambda item: item.bytes)
        by = f"line {view.steps[buried].line}" if buried in view.steps else f"layer {buried}"
        what = f"hidden in {by} ({largest.how})"
        for item in items:
            if not view.is_own(added) and _STATE.match(item.path):
                continue  # every run of a package manager writes it again
            fix = {_METADATA: _BY_COPY, "replaced": _AT_ONCE}.get(largest.how, _IN_PLACE)
            if item.how == _METADATA and not view.is_own(added):
                copies = f"copies of the base's files ({_METADATA})"
                yield Claim(item.path, buried, item.bytes, HIDDEN, copies, "do not change them")
            else:
                yield Claim(item.path, added, item.bytes, HIDDEN, what, fix)


_STATE = re.compile(
    r"var/(?:lib/(?:dpkg|apt|rpm|pacman)|cache/debconf)/|(?:usr/)?lib/(?:apk|sysimage)/"
)


@cache
def _patterns(table: str) -> tuple[list[str], re.Pattern]:
    """The names of a table of paths, and one pattern with a group for each."""
    found = commands(table)
    paths = [row if isinstance(row, str) else row["paths"] for row in found.values()]
    text = "|".join(f"({path})" for path in paths)
    return list(found), re.compile(text.replace("~", r"(?:root|home/[^/]+)"))


_NO_CACHE = "a cache mount on it (RUN --mount=type=cache), or delete it in the same instruction"


def _caches(view: _View) -> Iterator[Claim]:
    names, pattern = _patterns("left")
    for path, entry, layer in view.by_path(pattern.match):
        what = names[pattern.match(path).lastindex - 1]
        yield Claim(path, layer, entry.size, CACHE, what, _NO_CACHE)


_HISTORY = re.compile(r"(?:.*/)?\.(?:git|hg|svn)/.")


def _history(view: _View) -> Iterator[Claim]:
    for path, entry, layer in view.by_path(_HISTORY.match):
        copied = view.is_copied(layer)
        fix = "list it in .dockerignore" if copied else "delete it in the same instruction"
        yield Claim(path, layer, entry.size, "history", "version history", fix)


def _dev_packages(view: _View) -> Iterator[Claim]:
    yield from _of_node(view)
    yield from _of_python(view)


_NODE_ROOT = re.compile(r"((?:.*?/)?)node_modules/")


def _of_node(view: _View) -> Iterator[Claim]:
    """Packages that the lock file, or else package.json, has for development only.

    package.json names what is asked for alone, so the bytes are at least these.
    """
    roots = {match[1] for match in map(_NODE_ROOT.match, view.own) if match}
    fix = "npm ci --omit=dev, or its like, in the stage whose node_modules ships"
    what = "development packages of node_modules"
    for root in roots:
        name = posixpath.basename(root.rstrip("/"))
        for folder in dict.fromkeys(("", f"{name}/")):
            names = "|".join(map(re.escape, _dev_folders(view.subject, folder)))
            inside = re.compile(f"{re.escape(root)}(?:{names})/").match if names else lambda _: None
            found = list(view.by_path(inside))
            for path, entry, layer in found:
                yield Claim(path, layer, entry.size, "dev packages", what, fix)
            if found:
                break


def _dev_folders(subject: Subject, folder: str) -> list[str]:
    """The folders that only development needs, as a lock file or package.json says."""
    lock = part_of(table_of(subject, f"{folder}package-lock.json") or {}, "packages")
    found = [k for k, v in lock.items() if isinstance(v, dict) and v.get("dev") is True]
    if not lock:
        manifest = table_of(subject, f"{folder}package.json") or {}
        wanted = part_of(manifest, "dependencies")
        names = part_of(manifest, "devDependencies")
        found = [f"node_modules/{name}" for name in names if name not in wanted]
    return [name for name in found if name.startswith("node_modules/")]


_SITE = re.compile(r"((?:.*/)?)lib(?:64)?/python3[^/]*/(?:site|dist)-packages/([^/]+)(?:/|$)")
_BIN = re.compile(r"((?:.*/)?)bin/([^/]+)$")


def _of_python(view: _View) -> Iterator[Claim]:
    """Packages for developers in a site-packages, by their names, and their programs beside it."""
    tools = commands("dev_packages")
    found: set[tuple[str, str]] = set()  # (what stands before lib/, the name of a package)
    for path in view.own:
        match = _SITE.match(path)
        named = re.match(r"(.+?)-[^-]+\.dist-info$", match[2]) if match else None
        if named:
            found.add((match[1], re.sub(r"[-_.]+", "-", named[1]).lower()))
    there = {(where, name) for where, name in found if name in tools}
    modules = {
        (where, module): name
        for where, name in there
        for module in (*tools[name], name.replace("-", "_"))
    }
    modules |= {(where, f"{module}.py"): name for (where, module), name in modules.items()}
    programs = {(where, name) for where, name in there}

    def package(path: str) -> str | None:
        match = _SITE.match(path)
        if match:
            info = re.match(r"(.+?)-[^-]+\.dist-info$", match[2])
            name = info[1].lower().replace(".", "_").replace("-", "_") if info else match[2]
            return modules.get((match[1], name)) or modules.get((match[1], match[2]))
        match = _BIN.match(path)
        return match[2] if match and (match[1], match[2]) in programs else None

    fix = "install the requirements of production only; test in a stage of its own"
    for path, entry, layer in view.by_path(package):
        what = "packages for developers in site-packages"
        yield Claim(path, layer, entry.size, "dev packages", what, fix)


def _archives(view: _View) -> Iterator[Claim]:
    for path in view.inside.unpacked:
        if path in view.own and not view.names.get(path):
            entry, layer = view.own[path]
            copied = view.is_copied(layer)
            fix = "mount it (RUN --mount=type=bind), or let ADD unpack it"
            fix = fix if copied else "unpack it from a pipe, or delete it in the same instruction"
            yield Claim(path, layer, entry.size, ARCHIVE, "an archive beside its contents", fix)


def _spare(view: _View) -> Iterator[Claim]:
    """Tests, headers, documentation: what a running program does not open, by its path."""
    names, pattern = _patterns("spare")
    for path, entry, layer in view.by_path(pattern.match):
        what = names[pattern.match(path).lastindex - 1]
        row = commands("spare", what)
        copied = view.is_copied(layer)
        fix = "list it in .dockerignore" if copied else row["fix"]
        yield Claim(path, layer, entry.size, row["kind"], what, fix)
    for path, entry, layer in view.by_path(_OWN_TESTS.match):
        if view.is_copied(layer):
            yield Claim(path, layer, entry.size, "tests", "tests", "list them in .dockerignore")


_OWN_TESTS = re.compile(
    r"(?:(?!.*node_modules/).*/)?(?:(?:tests?|__tests__|e2e)/.|spec/(?:.*_spec\.|spec_helper\.))"
)
_BYTECODE = re.compile(r"(.*)__pycache__/([^/]+?)\.([\w-]+?)(?:\.opt-\d)?\.pyc$")


def _bytecode(view: _View) -> Iterator[Claim]:
    """Compiled Python that nothing loads: of another version than most, or without its source."""
    found = {path: match for path in view.own if (match := _BYTECODE.match(path))}
    by_tag = Counter(match[3] for match in found.values())
    usual = max(by_tag, key=lambda tag: (by_tag[tag], tag), default="")
    fix = "compile with the Python that ships, and list __pycache__ in .dockerignore"
    for path, entry, layer in view.by_path(found.__contains__):
        match = found[path]
        source = f"{match[1]}{match[2]}.py"
        twin = f"{match[1]}__pycache__/{match[2]}.{usual}.pyc"
        if source not in view.tree:
            what = "bytecode without its source, which Python does not load"
        elif match[3] != usual and twin in view.tree:
            what = f"bytecode twice, for {match[3]} too"
        elif ".opt-" in path and twin in view.tree:
            what = "bytecode twice, optimized too"
        else:
            continue
        yield Claim(path, layer, entry.size, "bytecode", what, fix)


_MANAGED = re.compile(r"(?:usr/(?!local/)|s?bin/|lib(?:64)?/)")
_PACKAGES = re.compile(r"(?:.*?/)?(?:node_modules|site-packages|dist-packages|gems)/")


def _twice(view: _View) -> Iterator[Claim]:
    """Files whose content stays under another path too: the first that no other rule takes.

    Two packages of one folder of packages may each need theirs, and nobody but a package manager
    can change what it put in its folders.
    """

    for size, paths in view.image.duplicates():
        if size < _LEAST_TWIN:
            continue
        staying = sorted(
            (path for path in paths if (path, view.tree[path][1]) not in view.taken),
            key=lambda path: (view.can_change(path), view.tree[path][1], path),
        )
        for path in filter(view.can_change, staying[1:]):
            first = staying[0]
            twin = posixpath.basename(path) == posixpath.basename(first)
            same = (m := _PACKAGES.match(path)) and first.startswith(m[0])
            if not same and (twin or size >= _LEAST_COPY):
                what = f"there twice, in /{_other_folder(path, first)} as well"
                fix = "copy it once, and link to it"
                yield Claim(path, view.own[path][1], size, "twice", what, fix)


def _other_folder(path: str, first: str) -> str:
    """The folder of `first` that stands for the one around `path`, equal names at the end aside."""
    mine, other = path.split("/"), first.split("/")
    while len(mine) > 2 and len(other) > 2 and mine[-1] == other[-1]:
        mine.pop()
        other.pop()
    if mine[-1] == other[-1]:
        other.pop()
    return "/".join(other)


def _symbols(view: _View) -> Iterator[Claim]:
    """Symbols and debug information in programs and libraries: these bytes of them alone.

    What a package came with is left aside: strip breaks libraries that were patched for a wheel.
    """
    for program in view.inside.programs:
        path = program.path
        if view.can_change(path) and program.strippable_bytes and not _PACKAGES.match(path):
            entry, layer = view.own[path]
            spare = min(program.strippable_bytes, entry.size)  # its headers may say anything
            what = "symbols and debug information"
            fix = "strip it, in the stage that builds it"
            yield Claim(path, layer, spare, "symbols", what, fix)


_RULES = (
    *(_hidden, _caches, _history, _dev_packages, _archives),
    *(_spare, _bytecode, _twice, _symbols),
)


# --- folders ------------------------------------------------------------------------------------

_SPLIT = {  # folders that are everybody's, and say nothing
    *("", "usr", "usr/local", "usr/lib", "usr/share", "usr/local/lib", "opt", "var", "var/lib"),
    *("home", "root", "srv", "lib"),
}


def _folders(view: _View) -> tuple[Place, ...]:
    """The largest folders of the own layers, each with the line that brought most of it."""
    sizes: Counter = Counter()
    layers: dict[str, Counter] = defaultdict(Counter)
    inside: dict[str, set[str]] = defaultdict(set)
    for path, (entry, layer) in view.own.items():
        child = path
        while child:
            folder = posixpath.dirname(child)
            inside[folder].add(child)
            sizes[child] += entry.size
            layers[child][layer] += entry.size
            child = folder
    waiting, found = [""], []
    while waiting:
        folder = waiting.pop()
        children = inside.get(folder, ())
        largest = max(children, key=lambda child: sizes[child], default="")
        if folder in _SPLIT:
            waiting += children
        elif children and sizes[largest] >= _ALONE * sizes[folder] and largest in inside:
            waiting.append(largest)
        elif sizes[folder] >= LEAST_BYTES:
            found.append(folder)
    places = []
    for folder in sorted(found, key=lambda each: (-sizes[each], each))[:_MOST_FOLDERS]:
        layer, size = layers[folder].most_common(1)[0]
        more = len(layers[folder]) - 1
        rest = f", the rest by {more} more" if more else ""
        what = f"{format_bytes(size)} by this line{rest}"
        places.append(at_layer(view.subject, layer, what, path=f"/{folder}", bytes=sizes[folder]))
    return tuple(places)
