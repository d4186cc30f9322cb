"""What is there, what is not, and what to do about it."""

import io
import platform
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from .. import dockerfile, engine, progress
from ..builds import (
    Refusal,
    here,
    mirrored,
    named,
    outdated,
    recipes,
    refusal,
    solve,
    unassembled,
    wanted_kind,
)
from ..dockerfile import read_sources
from ..engine import journal
from ..errors import EngineFailed, ShipLightError, UsageError
from ..inspection import run_once
from ..references import canonical, registry_of
from ..scans import trivy
from ..setup import PROGRAM
from ..units import format_bytes, format_seconds

NAMES = {"docker.io": "Docker Hub"}
ENOUGH_BYTES = 4_000_000_000
SAYS = b"a container of nothing runs\n"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `state` is `ok`, `problem`, or `note` (works without it)."""

    name: str
    state: str
    seen: str
    advice: str = ""


def examine() -> list[Finding]:
    """Return every finding, in the order in which one thing needs the other."""
    findings = [Finding("python", "ok", f"{platform.python_version()} in .venv")]
    try:
        client = engine.connect()
    except ShipLightError as error:
        findings.append(Finding("engine", "problem", error.message, error.hint))
        return [*findings, _scanner(), _mode(findings)]
    with progress.Screen(lambda: "Looking at the engine …"):
        findings += [
            *_engine(client),
            _disk(client),
            _left(client),
            _proof(client),
            *_origins(client),
            _scanner(client),
        ]
    return [*findings, _mode(findings)]


def to_dict(findings: list[Finding]) -> dict:
    """Return the findings as `./lab doctor --json` prints them."""
    return {
        "ready": all(finding.state != "problem" for finding in findings),
        "findings": [asdict(finding) for finding in findings],
    }


def _engine(client) -> list[Finding]:
    found = engine.describe(client)
    rootless = ", rootless" if found.rootless else ""
    memory = format_bytes(found.memory_bytes)
    return [
        Finding("engine", "ok", f"{found} (API {found.api_version}) on {found.platform}{rootless}"),
        Finding("endpoint", "ok", f"{found.endpoint} ({found.source})"),
        Finding("image store", "ok", found.store),
        Finding("resources", "ok", f"{found.cpus} CPUs, {memory} memory"),
    ]


def _disk(client) -> Finding:
    free = engine.describe(client).free_bytes
    if free is None:
        return Finding("disk", "note", "the engine’s disk cannot be seen from here")
    if free < ENOUGH_BYTES:
        return Finding(
            "disk",
            "problem",
            f"{format_bytes(free)} free; the lessons need up to {format_bytes(ENOUGH_BYTES)}",
            f"`{PROGRAM} clean` removes what this lab made; free some space on the engine's disk",
        )
    return Finding("disk", "ok", f"{format_bytes(free)} free")


def _left(client) -> Finding:
    """What this lab holds, on the engine and in its own folder."""
    held = engine.held(client)
    counted = [
        (held.images, "images"),
        (held.containers, "containers, networks and volumes"),
        (held.cache_records, "cache records"),
    ]
    things = ", ".join(f"{count} {what}" for count, what in counted if count) or "nothing"
    seen = (
        f"{things} ({format_bytes(held.engine_bytes)}) on the engine, "
        f"{format_bytes(held.file_bytes)} of caches in .lab"
    )
    advice = f"`{PROGRAM} clean` removes that" if things != "nothing" or held.file_bytes else ""
    return Finding("this lab", "note" if advice else "ok", seen, advice)


def _proof(client) -> Finding:
    """Build and run an image that holds one tiny program, made here byte by byte."""
    machine = engine.describe(client).platform.partition("/")[2].split("/")[0]
    if machine not in _PROGRAMS:
        return Finding("build and run", "note", f"no test program for {machine}; skipped")
    text = 'FROM scratch\nCOPY hello /hello\nENTRYPOINT ["/hello"]\n'
    tag = f"shiplight/{journal.lab_id()}/doctor:latest"
    try:
        with journal.workplace() as folder:
            program = folder / "hello"
            program.write_bytes(_PROGRAMS[machine](SAYS))
            program.chmod(0o755)
            sources = read_sources(folder, dockerfile="Dockerfile", dockerfile_text=text)
            solved = solve(
                client, sources, dockerfile.parse(text), tag=tag, title="doctor", screen=_silent
            )
        said = run_once(client, tag)
    except ShipLightError as error:
        return Finding("build and run", "problem", error.message, error.hint)
    finally:
        engine.remove_image(client, tag)
    if said != SAYS.decode().strip():
        return Finding("build and run", "problem", f"the container printed {said!r}")
    return Finding(
        "build and run",
        "ok",
        f"BuildKit built an image in {format_seconds(solved.seconds)} (sent by "
        f"{'a session' if solved.way == 'session' else f'tar: {solved.why}'}); it ran",
    )


def _silent(draw):
    """A screen that shows nothing."""
    return progress.Tasks("").screen(draw)


def _origins(client) -> list[Finding]:
    """Where bases would come from, and which are here already, as it was asked for."""
    try:
        return [*_registries(client, wanted_kind(), named()), _bases(client)]
    except UsageError as error:
        return [Finding("settings", "problem", error.message, error.hint)]


def _registries(client, kind: str | None, mirrors: dict[str, str]) -> list[Finding]:
    """Whether the bases that are not here can be pulled or assembled, as it was asked for."""
    if kind == "mirrored" and not mirrors:
        seen = "SHIPLIGHT_BASES=mirrored, and no mirror is named"
        return [Finding("mirror", "problem", seen, "set SHIPLIGHT_MIRROR")]
    if kind == "equivalent":
        return _equivalents(client)
    found = []
    for registry in dict.fromkeys(map(registry_of, recipes())):
        bases = [known for known in recipes() if registry_of(known) == registry]
        mirror = mirrored(bases[0]) if kind != "official" else None
        if kind == "mirrored" and mirror is None:
            found.append(_unmirrored(registry, bases))
            continue
        sources = [] if kind == "mirrored" else [(NAMES.get(registry, registry), registry)]
        if mirror:
            sources.insert(0, (f"mirror of {registry}", mirror.partition("/")[0]))
        asked = [(name, _refused(client, host)) for name, host in sources]
        found += _judged(asked, needed=_missing(client, bases, kind))
    return found


def _unmirrored(registry: str, bases: list[str]) -> Finding:
    """What it means that SHIPLIGHT_MIRROR names a mirror, and none for this registry."""
    seen = f"SHIPLIGHT_MIRROR names no mirror for it; {len(bases)} bases are not available"
    advice = f"add `{registry}=HOST[:PORT][/PREFIX]` to it"
    return Finding(f"mirror of {registry}", "problem", seen, advice)


def _equivalents(client) -> list[Finding]:
    """Whether the equivalents that are not here can be assembled; asks no registry of images."""
    lacking = [recipes()[known] for known in recipes() if here(client, known) is None]
    refused = [why for recipe in lacking if (why := unassembled(client, recipe))]
    if not refused:
        return []
    seen = f"{len(refused)} are not here and cannot be assembled: the first {refused[0]}"
    advice = "SHIPLIGHT_BASES=auto takes official images too"
    return [Finding("offline equivalents", "problem", seen, advice)]


def _refused(client, host: str) -> Refusal | None:
    """Why a registry does not answer the engine; None where it does. Costs no pull."""
    try:
        engine.ask_registry(client, host)
    except EngineFailed as error:
        return refusal(f"{host}/", error)
    return None


def _missing(client, bases: list[str], kind: str | None) -> list[str]:
    """The bases that are not here, and that this machine cannot assemble or must not."""
    return [
        known
        for known in bases
        if here(client, known) is None
        and (kind is not None or unassembled(client, recipes()[known]))
    ]


def _judged(asked: list[tuple[str, Refusal | None]], needed: list[str]) -> Iterator[Finding]:
    """One finding a registry; one that fails is a problem where no other source has its bases."""
    all_fail = all(refused is not None for _, refused in asked)
    for name, refused in asked:
        if refused is None:
            yield Finding(name, "ok", "answers")
        elif refused.is_login and name in NAMES.values():
            yield Finding(name, "ok", "answers, without a login")
        elif all_fail and needed:
            more = f"; {len(needed)} bases are not available without it"
            yield Finding(name, "problem", refused.short + more, refused.hint)
        else:
            advice = "not needed: the bases are here, or come from elsewhere"
            yield Finding(name, "note", refused.short, advice)


def _bases(client) -> Finding:
    """Which of the bases of `bases/` are on the engine."""
    found = [base for reference in recipes() if (base := here(client, reference)) is not None]
    if not found:
        return Finding("base images", "note", "none yet", f"`{PROGRAM} bases get` gets them")
    old = {base.reference for base in found if outdated(client, base)}
    kinds = {base.reference: "outdated" if base.reference in old else base.kind for base in found}
    seen = ", ".join(f"{canonical(reference)} ({kind})" for reference, kind in kinds.items())
    if old:
        advice = f"recipes have changed since: `{PROGRAM} bases get` makes those bases again"
        return Finding("base images", "note", seen, advice)
    return Finding("base images", "ok", seen)


def _scanner(client=None) -> Finding:
    """The scanner and its database; lessons but 07 do without."""
    try:
        scanner = trivy.find(client)
        return Finding("scanner", "ok", f"{scanner} ({scanner.source}), {trivy.database()}")
    except ShipLightError as error:
        return Finding("scanner", "note", error.message, error.hint)


def _mode(findings: list[Finding]) -> Finding:
    broken = [finding.name for finding in findings if finding.state == "problem"]
    if broken:
        return Finding("mode", "problem", f"lessons cannot run live ({', '.join(broken)})")
    return Finding("mode", "ok", "live: every lesson builds and measures on this engine")


# --- the smallest programs -------------------------------------------------------------------
# write(1, text, length); exit(0), as machine code behind one ELF header: a kernel needs no more.


def _amd64(text: bytes) -> bytes:
    code = b"".join(
        [
            b"\xb8\x01\x00\x00\x00\xbf\x01\x00\x00\x00",  # mov eax, 1; mov edi, 1
            b"\x48\x8d\x35\x10\x00\x00\x00",  # lea rsi, [rip + 16]
            b"\xba" + struct.pack("<I", len(text)) + b"\x0f\x05",  # mov edx, length; syscall
            b"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05",  # mov eax, 60; xor edi, edi; syscall
        ]
    )
    return _elf(0x3E, code + text)


def _arm64(text: bytes) -> bytes:
    words = [
        0xD2800020,  # mov x0, #1
        0x10000000 | (7 << 5) | 1,  # adr x1, 7 instructions on
        0xD2800002 | (len(text) << 5),  # mov x2, #length
        0xD2800808,  # mov x8, #64 (write)
        0xD4000001,  # svc #0
        0xD2800000,  # mov x0, #0
        0xD2800BA8,  # mov x8, #93 (exit)
        0xD4000001,  # svc #0
    ]
    return _elf(0xB7, struct.pack(f"<{len(words)}I", *words) + text)


def _elf(machine: int, code: bytes) -> bytes:
    """A 64-bit little-endian ELF executable of one segment that holds `code`."""
    base, header = 0x400000, 64 + 56
    size = header + len(code)
    file = io.BytesIO()
    file.write(b"\x7fELF\x02\x01\x01" + bytes(9))
    file.write(
        struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, base + header, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    )
    file.write(struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000))
    file.write(code)
    return file.getvalue()


_PROGRAMS = {"amd64": _amd64, "arm64": _arm64}
