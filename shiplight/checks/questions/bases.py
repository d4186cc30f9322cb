"""Checks on base images: small, pinned, supported, and compatible with what is copied to them."""

import re

from ...dockerfile import closest, image_uses
from ...setup import PROGRAM
from ..reading.caches import fetching
from ..reading.folder import text_of
from ..reading.known import Known, describe, release_of
from ..reading.programs import GLIBC, STATIC, Compiling, compilings, installed, shipped
from ..reading.subject import Step, Subject
from ..reading.support import Part, dated, ended, is_rolling, outdated, parts_of, supported
from .image import missing_libraries
from .outcomes import (
    Outcome,
    Place,
    at,
    at_base,
    at_target,
    failed,
    listed,
    not_applicable,
    passed,
    unseen,
)

_DATA_ONLY = {"ca-certificates", "ca-certificates-bundle", "tzdata", "netbase", "apt-utils"}
_BUILD_HINT = f"`{PROGRAM} check --build` looks at what the program links"


def smallest_base(subject: Subject) -> Outcome:
    """Check that the final stage is based on the smallest base that runs the program."""
    base, name = subject.final_base, subject.final_base.reference
    if base.size == "toolchain":
        return _toolchain(subject, base)
    static = _only_static(subject)
    if static and _WITH_GLIBC.fullmatch(base.name):
        return failed(
            f"the program is static and needs no C library from {name}",
            [at_base(subject, "a C library that nothing uses")],
            "gcr.io/distroless/static-debian13",
        )
    if base.language == "elixir" and _runs_release(subject):
        return failed(
            f"a release contains Erlang, so it does not need the one in {name}",
            [at_base(subject, "Erlang, a second time")],
            "a plain debian:*-slim or alpine of the builder's suite",
        )
    if base.size in ("empty", "distroless", "small", "service"):
        return passed(f"the final stage is based on {name}")
    extras = {p for step in subject.filling_steps for p in installed(step)} - _DATA_ONLY
    if base.size in ("slim", "full") and not base.language and static:
        if extras:
            why = f"the program is static, but {listed(sorted(extras))} of {name} may be needed"
            return unseen(why, "if not, scratch or distroless/static is enough")
        return failed(
            f"the program is static and needs nothing from {name}",
            [at_base(subject, "a distribution that nothing uses")],
            "FROM scratch, gcr.io/distroless/static-debian13, or alpine where you want a shell",
        )
    if base.size == "full" and base.smaller:
        return failed(
            f"{name} is the full variant",
            [at_base(subject, f"full variant{_with(base)}")],
            f"{base.smaller}",
        )
    if base.size == "slim":
        return passed(f"the final stage is based on {name}")
    return unseen(f"whether something smaller than {name} would do", _BUILD_HINT)


_WITH_GLIBC = re.compile(r"gcr\.io/distroless/(?:base|base-nossl|cc)(?:-debian\d+)?")


def _runs_release(subject: Subject) -> bool:
    """Whether a release of Elixir ships, and no start asks for mix or Elixir themselves."""
    starts = subject.ending.starts
    asked = any(c.program in ("mix", "iex", "elixir", "erl") for s in starts for c in s.commands)
    made = (each.command.words for each in shipped(subject) if each.language == "elixir")
    return not asked and any({"release", "release,"} & set(words) for words in made)


def _with(base: Known) -> str:
    return f", with {base.compiler}" if base.compiler else ""


def _toolchain(subject: Subject, base: Known) -> Outcome:
    uses = [step for step in subject.final_steps if step.keyword in ("COPY", "ADD")]
    if not (base.compiler or uses or compilings(subject, subject.final_steps)):
        why = f"{base.reference} is a toolchain image, but nothing is built here: maybe on purpose"
        return unseen(why, "if it has to run a program, copy that to a smaller base")
    return failed(
        f"the final stage is based on {base.reference}, which is meant for compiling",
        [at_base(subject, f"contains {base.compiler or 'build tools'}")],
        base.smaller or _smaller(subject),
    )


def _smaller(subject: Subject) -> str:
    found = shipped(subject)
    if any(each.language == "go" for each in found):
        return (
            "CGO_ENABLED=0 makes the program static: FROM scratch or "
            "gcr.io/distroless/static-debian13 runs it"
        )
    if any(each.language in ("rust", "c") for each in found):
        return (
            "programs that link glibc run on gcr.io/distroless/cc-debian13 or debian:trixie-slim "
            "if the builder has that suite"
        )
    return "use a base with the runtime but without the tools, and copy the program into it"


def _only_static(subject: Subject) -> bool:
    """Whether all that is known to run here is static; a build says more than the text."""
    if subject.built and subject.built.program:
        return subject.built.program.static
    made = [each for each in shipped(subject) if each.language != "node"]
    return bool(made) and all(each.links == STATIC for each in made)


# --- pinned and supported -----------------------------------------------------------------------


def _uses(subject: Subject) -> list[tuple[Known, int]]:
    """Each image that a build uses: what is known of it, and the line that names it."""
    uses = image_uses(subject.read, subject.target.index, subject.build_args)
    return [(describe(use.reference), use.line) for use in uses]


def _at_line(subject: Subject, line: int, found: str):
    for stage in subject.read.stages:
        if stage.line == line:
            return at_from(stage, found)
    step = next(step for step in subject.all_steps if step.line == line)
    return at(step, found)


def at_from(stage, found: str):
    """Return the place of a stage's FROM."""
    return at(Step(stage, stage.from_instruction, "/", ""), found)


def pinned_bases(subject: Subject) -> Outcome:
    """Check that every image is named with a version or a digest."""
    uses = _uses(subject)
    if typos := [(base, line, near) for base, line in uses if (near := _near_stage(subject, base))]:
        return failed(
            f"there is no stage {listed(base.reference for base, _, _ in typos)}: it is taken for "
            "an image",
            [_at_line(subject, line, f"no such stage; {near}") for _, line, near in typos],
            typos[0][2],
        )
    if loose := _loose_syntax(subject):
        line = subject.read.syntax_line
        place = Place(f"{loose} has no version", line, line, f"# syntax={loose}")
        what = f"{loose}, which reads this file, may be a different program tomorrow"
        return failed(what, [place], "name its version: # syntax=docker/dockerfile:1")
    if not uses:
        return not_applicable("no external image is used")
    loose = [(base, line) for base, line in uses if base.resolved and _is_loose(base)]
    if loose:
        return failed(
            f"{listed(base.reference for base, _ in loose)} may be a different image tomorrow",
            [_at_line(subject, line, _why_loose(base)) for base, line in loose],
            "name a version (image:1.23-bookworm), or a digest for exactly the same bytes",
        )
    unknown = [base.reference for base, _ in uses if not base.resolved]
    if unknown:
        return unseen(
            f"{listed(unknown)} depends on a build argument without a value",
            "pass it with --build-arg",
        )
    return passed(f"{listed(base.reference for base, _ in uses)}: each has a version")


def _near_stage(subject: Subject, base: Known) -> str:
    """Which stage may be meant by the name of an image, "" where none is."""
    if base.size or base.language or re.search(r"[/:@$]", base.reference):
        return ""
    return closest(base.reference, [stage.name for stage in subject.read.stages if stage.name])


def _loose_syntax(subject: Subject) -> str:
    """The image of `# syntax=` if its name has no version."""
    base = describe(subject.read.syntax) if subject.read.syntax else None
    return base.reference if base and base.tag in ("", "latest") and not base.digest else ""


# The number of a distribution says nothing of the program: node:lts-alpine3.22 moves on. Alone, it
# is the version of an image that nobody here knows, which may be of that distribution.
_MOVING = re.compile(
    r"(?:latest|stable|edge|nightly|dev|devel|main|master|canary|snapshot|next)(?:$|[-_.])"
)
_OF_DISTRIBUTION = re.compile(r"(?<=-)(?:alpine|debian|ubuntu)-?\d[\d.]*")


def _is_loose(base: Known) -> bool:
    if base.digest:
        return False
    version = re.search(r"\d", _OF_DISTRIBUTION.sub("", f"-{base.tag}" if base.size else base.tag))
    moving = _MOVING.match(base.tag) and not re.search(r"\d\.\d", base.tag)
    if base.tag == "" or moving or not version:
        by_name = re.search(r"\d", base.name.rpartition("/")[2])
        named = by_name and base.name.startswith("gcr.io/distroless/")
        return not named and not _suite_only(base)
    return False


def _suite_only(base: Known) -> bool:
    """Whether the tag names a distribution's release and nothing more, as debian:bookworm-slim."""
    return bool(base.suite) and base.name in ("debian", "ubuntu", "buildpack-deps")


def _why_loose(base: Known) -> str:
    return f"tag {base.tag} has no version" if base.tag else "no tag, so latest"


def supported_bases(subject: Subject) -> Outcome:
    """Check that no image is past the end of its security support."""
    uses = _uses(subject)
    uses = [(base, line) for base, line in uses if not _near_stage(subject, base)]
    over = [(base, line, ended(base, subject.today)) for base, line in uses]
    over = [(base, line, what) for base, line, what in over if what]
    if over:
        return failed(
            f"security support has ended for {listed(p.name for _, _, what in over for p in what)}"
            f"{outdated(subject.today)}",
            [_at_line(subject, line, _when(what)) for _, line, what in over],
            "move to a supported version; this one does not get the fixes that exist",
        )
    if not uses:
        return not_applicable("no external image is used")
    days = dated(subject.today)
    files_of = {step.line for step in subject.all_steps if step.keyword == "COPY"}
    tools = [base for base, line in uses if line in files_of and is_rolling(base)]
    unknown = [base for base, _ in uses if base not in tools and not supported(base)]
    if not unknown:
        names = listed(base.reference for base, _ in uses if base not in tools or supported(base))
        if not names:
            return not_applicable(
                f"{listed(base.reference for base in tools)}: only files of tools"
            )
        return passed(f"{names}: supported on {subject.today.isoformat()} ({days})")
    known = {p.name for base in unknown for p in parts_of(base) if p.last}
    some = f", of which only {listed(sorted(known))} is known to be supported" if known else ""
    return unseen(
        f"until when {listed(base.reference for base in unknown)} gets security fixes{some}"
        f"{outdated(subject.today)}",
        "look it up, and put its version into the tag",
    )


def _when(what: list[Part]) -> str:
    return listed(part.end for part in what)


# --- one suite ----------------------------------------------------------------------------------


def one_suite(subject: Subject) -> Outcome:
    """Check that the stage that runs a program has the C library that it was linked against."""
    final = subject.final_base
    if subject.built and subject.built.program:
        if foreign := _for_another_processor(subject):
            return foreign
        if subject.built.program.static:
            return passed(f"/{subject.built.program.path} is static")
        if absent := missing_libraries(subject.built):
            return failed(
                f"/{subject.built.program.path} links {listed(absent)}, which is not in the image",
                [at_target(subject, "missing", path=path) for path in absent],
                "use the builder's suite for the last stage, or link it statically",
            )
    own = set(subject.lineage(subject.target)) | {subject.filling(subject.target)}
    moved = [each for each in shipped(subject) if each.step.stage not in own]
    if newer := next((v for each in moved if (v := _newer_release(subject, each, final))), None):
        return newer
    moved = [each for each in moved if each.links or each.native]
    moved.sort(key=lambda each: subject.base(each.step.stage).reference == final.reference)
    for each in moved:
        if each.links and each.links != STATIC:
            return _linked(subject, each, final)
    if moved and all(each.links == STATIC for each in moved):
        return passed("the program is static")
    if moved and final.libc in ("none", "musl") and subject.base(moved[0].step.stage).libc == GLIBC:
        return unseen(
            f"whether the program links glibc, which {final.reference} does not have",
            f"CGO_ENABLED=0 for Go, or `{PROGRAM} check --build`"
            if moved[0].language == "go"
            else _BUILD_HINT,
            at(moved[0].step, "compiled here"),
        )
    return _packages_moved(subject, final) if not moved else _same(subject, moved[0].step, final)


_ALSO_RUNS = {"amd64": ("386",), "arm64": ("arm",)}  # in 32 bits


def _for_another_processor(subject: Subject) -> Outcome | None:
    """The verdict on a program that its header says is for another processor than the image."""
    program, platform = subject.built.program, subject.built.image.platform
    wanted = platform.split("/")[1] if "/" in platform else ""
    runs = ("", wanted, *_ALSO_RUNS.get(wanted, ()))
    if not wanted or program.architecture in runs:
        return None
    return failed(
        f"/{program.path} is compiled for {program.architecture}, but the image is for {platform}",
        [at_target(subject, f"for {program.architecture}", path=program.path)],
        "compile for TARGETARCH, declared by an ARG without a default in the stage that compiles",
    )


def _newer_release(subject: Subject, each: Compiling, final: Known) -> Outcome | None:
    """The verdict on a program for a newer Java or .NET than the one that runs it."""
    builder, kind = subject.base(each.step.stage), each.language
    if kind not in ("java", "dotnet") or kind != final.language:
        return None
    made, runs = release_of(builder, kind), release_of(final, kind)
    told = _target_release(subject, kind)
    if not made or not runs or (told or made) <= runs:
        return None
    name = {"java": "Java", "dotnet": ".NET"}[kind]
    why = "" if told else ", and nothing that is here asks for an older one"
    return failed(
        f"built for {name} {'.'.join(map(str, told or made))} on {builder.reference}{why}, but "
        f"{final.reference} has {'.'.join(map(str, runs))}",
        [at(each.step, f"compiled with {builder.reference}"), at_base(subject, "older")],
        "name the same release on both sides",
    )


def _target_release(subject: Subject, kind: str) -> tuple[int, ...] | None:
    """The release that a project's file asks for, where the file is here."""
    if kind == "java":
        text = "".join(text_of(subject, name) or "" for name in _JAVA_FILES)
        match = re.search(
            r"<(?:maven\.compiler\.(?:release|target)|java\.version|release)>\s*(?:1\.)?(\d+)|"
            r"(?:sourceCompatibility|targetCompatibility|languageVersion|jvmTarget|jvmToolchain)\D{0,40}(?:1\.)?(\d+)",
            text,
        )
        return (int(match[1] or match[2]),) if match else None
    files = [] if subject.context is None else sorted(subject.context.glob("**/*.csproj"))[:20]
    texts = (text_of(subject, path.relative_to(subject.context).as_posix()) for path in files)
    found = [
        m for text in texts for m in re.findall(r"<TargetFramework>net(\d+)\.(\d+)", text or "")
    ]
    return max(((int(a), int(b)) for a, b in found), default=None)


_JAVA_FILES = (
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "app/build.gradle",
    "app/build.gradle.kts",
)


def _linked(subject: Subject, each: Compiling, final: Known) -> Outcome:
    builder = subject.base(each.step.stage)
    if _brings_libraries(subject):
        return unseen("libraries are copied by hand", _BUILD_HINT)
    if final.libc and final.libc != each.links:
        missing = "has no C library" if final.libc == "none" else f"has {final.libc}"
        return failed(
            f"built against {each.links} on {builder.reference}, but {final.reference} {missing}",
            [at(each.step, f"links {each.links}"), at_base(subject, missing)],
            "build it static (a musl target, +crt-static), or use the builder's suite",
        )
    return _same(subject, each.step, final)


def _same(subject: Subject, step: Step, final: Known) -> Outcome:
    """The verdict for two stages with the same kind of C library."""
    builder = subject.base(step.stage)
    if builder.reference == final.reference and "$" not in final.reference:
        return passed(f"both stages are based on {final.reference}")
    if builder.glibc and final.glibc:
        if builder.glibc > final.glibc:
            old, new = (".".join(map(str, each.glibc)) for each in (final, builder))
            return failed(
                f"{builder.reference} has glibc {new}, {final.reference} has {old}",
                [at(step, f"links glibc {new}"), at_base(subject, f"glibc {old}")],
                "name the same suite on both sides",
            )
        return passed(f"{builder.reference} and {final.reference} are compatible")
    if builder.libc == final.libc == "musl":
        return passed("both stages have musl")
    return unseen(
        f"{builder.reference} or {final.reference} does not name its suite",
        "name the same suite on both sides, as in rust:1.90-trixie and debian:trixie-slim",
    )


def _brings_libraries(subject: Subject) -> bool:
    copies = [step for step in subject.final_steps if step.keyword == "COPY" and step.origin]
    return any(re.search(r"/lib|ld-|\.so", path) for step in copies for path in step.sources)


_PACKAGES = re.compile(
    r"node_modules|(?:site|dist)-packages|venv|/install|/wheels|vendor|bundle|/gems|^/usr/local$|"
    r"/\.next/standalone$|/\.output(?:/server)?$|^/usr/local/(?:lib|bin)|\.local|^/root$|^/app$|^/opt|^/srv|^/code|^/usr/src|/env$"
)


def _packages_moved(subject: Subject, final: Known) -> Outcome:
    """Packages of an interpreter that come from another base may hold machine code."""
    fetched = [(s, f) for s in subject.final_steps for f in subject.fetches(s)]
    for step, fetch in fetched:
        builder = subject.base(fetch.stage)
        holds = any(_PACKAGES.search(path) for path in fetch.sources)
        if not holds or builder.language not in ("node", "python", "ruby"):
            continue
        if not _installs_there(subject, fetch.stage, builder.language):
            continue
        if builder.reference != final.reference and (verdict := _packages(subject, step, builder)):
            return verdict
    if fetched:
        return passed("nothing that is copied needs the C library of another base")
    return not_applicable("nothing is copied from one base to another")


def _installs_there(subject: Subject, stage, language: str) -> bool:
    """Whether packages of a language are installed in a stage, or in what it is based on."""
    tools = {"node": ("npm", "yarn", "pnpm", "bun"), "ruby": ("bundler", "gem")}.get(
        language, ("pip", "uv", "poetry", "pipenv", "pdm")
    )
    return any(tool in tools for step in subject.steps(stage) for tool, _ in fetching(step))


def _packages(subject: Subject, step: Step, builder: Known) -> Outcome | None:
    """The verdict on an interpreter's packages that another image runs."""
    final = subject.final_base
    made, runs = release_of(builder, builder.language), release_of(final, builder.language)
    places = [at(step, f"from {builder.reference}"), at_base(subject, "runs them")]
    if final.language == builder.language and made and runs and made != runs:
        what = f"packages of {builder.reference} are copied to {final.reference}"
        if builder.language == "node":
            return unseen(f"{what}: compiled parts may not load", _SAME_RELEASE, places[0])
        return failed(f"{what}, which does not find them", places, _SAME_RELEASE)
    if builder.libc and final.libc and builder.libc != final.libc:
        return unseen(
            f"packages for {builder.libc} are copied to {final.libc}: compiled parts break",
            "install them on the base that they run on",
            places[0],
        )
    if builder.glibc and final.glibc and builder.glibc > final.glibc:
        versions = [".".join(map(str, each.glibc)) for each in (builder, final)]
        what = f"packages built on glibc {versions[0]} are copied to {versions[1]}"
        if any("--no-binary" in s.script for s in subject.all_steps):
            return failed(f"{what}, and they are compiled there", places, _SAME_RELEASE)
        return unseen(f"{what}: what was compiled there breaks", _SAME_RELEASE, places[0])
    return None


_SAME_RELEASE = (
    "name the same release and suite on both sides, as in python:3.13 and python:3.13-slim"
)
