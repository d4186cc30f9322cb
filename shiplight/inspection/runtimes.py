"""Runtime bases: what each offers to a program, what runs on which, and which one to choose."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace

from .. import builds, catalogue, engine, progress, recordings
from ..builds import provide
from ..errors import UsageError
from ..image import Image, Program
from ..references import split
from ..setting import Setting
from . import copying, entrypoint, measuring, probing
from .probing import Probe

SCRATCH = "scratch"
BASES = (
    SCRATCH,
    "gcr.io/distroless/static-debian12",
    "gcr.io/distroless/base-debian12",
    "gcr.io/distroless/cc-debian12",
    "alpine:3.22",
    "debian:bookworm-slim",
    "debian:bookworm",
)
PROGRAMS = {"go-static": "go", "go-dynamic": "go", "rust-dynamic": "rust"}  # and whose app each is

_LIBRARY = re.compile(r"(?:usr/)?(?:local/)?lib\w*/(?:[\w]+-linux-\w+/)?([^/]+\.so[\w.]*)")
_MANAGERS = {"apt": "usr/bin/apt-get", "apk": "sbin/apk"}


@dataclass(frozen=True)
class Runtime:
    """What a base offers to a program that is built on it, as its files say.

    `libc` is glibc, musl or "" for none; `libraries` are the names of all shared libraries, the C
    library's among them; `package_manager` is apt, apk or "". `certificates` are the CA
    certificates that TLS trusts. `users` are the names in /etc/passwd. Versions are not looked at.
    `tag` is the image that was looked at, "" for scratch, which is none.
    """

    reference: str
    unpacked_bytes: int
    packed_bytes: int | None
    libc: str = ""
    libraries: tuple[str, ...] = field(default=(), repr=False)
    shell: bool = False
    package_manager: str = ""
    certificates: bool = False
    time_zones: bool = False
    tmp: bool = False
    users: tuple[str, ...] = ()
    tag: str = ""
    setting: Setting | None = field(default=None, repr=False, compare=False)

    def row(self) -> dict:
        """Return the row of this base in a table."""
        return {
            "base": short(self.reference),
            "unpacked_bytes": self.unpacked_bytes,
            "libc": self.libc or None,
            "libraries": len(self.libraries),
            "shell": self.shell,
            "package_manager": self.package_manager or None,
            "certificates": self.certificates,
            "time_zones": self.time_zones,
            "tmp": self.tmp,
            "users": len(self.users),
        }

    def to_dict(self) -> dict:
        """Return the runtime as JSON holds it."""
        return asdict(self) | {
            "libraries": list(self.libraries),
            "users": list(self.users),
            "setting": self.setting and self.setting.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict) -> "Runtime":
        """Return the runtime that `to_dict` wrote."""
        setting = Setting.from_dict(data["setting"]) if data.get("setting") else None
        lists = {name: tuple(data[name]) for name in ("libraries", "users")}
        return cls(**data | lists | {"setting": setting})


@dataclass(frozen=True)
class Try:
    """One program on one base: `tag` is the image made of both, `asked` what its container did."""

    program: str
    base: str
    tag: str
    asked: Probe
    setting: Setting | None = field(default=None, repr=False, compare=False)

    @property
    def probe(self) -> Probe:
        """What its container did, measured or recorded as this try was."""
        return replace(self.asked, setting=self.setting)

    @property
    def runs(self) -> bool:
        """Whether the program answered."""
        return bool(self.asked.answered)

    @property
    def failure(self) -> str:
        """The line that says why where it did not run; empty where it did."""
        return "" if self.runs else self.asked.last_error or "it printed nothing"

    def row(self) -> dict:
        """Return the row of this try in a table."""
        return {
            "program": self.program,
            "base": short(self.base),
            "runs": self.runs,
            "exit_code": self.asked.exit_code,
            "failure": self.failure or None,
        }

    def to_dict(self) -> dict:
        """Return the try as JSON holds it."""
        return {
            "program": self.program,
            "base": self.base,
            "tag": self.tag,
            "asked": self.asked.to_dict(),
            "setting": self.setting and self.setting.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict) -> "Try":
        """Return the try that `to_dict` wrote."""
        setting = Setting.from_dict(data["setting"]) if data.get("setting") else None
        return cls(**data | {"asked": Probe.from_dict(data["asked"]), "setting": setting})


def short(reference: str) -> str:
    """Shorten a base's name: `gcr.io/distroless/cc-debian12` to `distroless/cc`.

    >>> [short(reference) for reference in BASES[:2] + BASES[4:]]
    ['scratch', 'distroless/static', 'alpine', 'debian-slim', 'debian']
    """
    name, tag = split(reference)
    name = re.sub(r"^gcr\.io/|-debian\d+$", "", name)
    return f"{name}-slim" if tag.endswith("-slim") else name


@recordings.replayed(Runtime)
def look(client, reference: str) -> Runtime:
    """Return what a base offers. `scratch` is not an image: it offers nothing, in 0 bytes.

    Raises BaseNotAvailable where it can neither be pulled nor assembled.
    """
    if reference == SCRATCH:
        return Runtime(SCRATCH, 0, 0, setting=engine.setting(client))
    [base] = provide(client, [reference])
    image = measuring.measure(client, base.used)
    found = offered(reference, image)
    users = entrypoint.follow(image, "etc/passwd")
    if users:
        lines = copying.file_in(client, image.name, users).decode().splitlines()
        found = replace(found, users=tuple(line.partition(":")[0] for line in lines if line))
    return replace(found, setting=engine.setting(client, bases=base.kind))


def offered(reference: str, image: Image) -> Runtime:
    """Return what the files of an image offer; its users are in a file, and so not among it."""
    tree, inside = image.tree(), measuring.contents(image)
    names = {found[1] for path in tree if (found := _LIBRARY.fullmatch(path))}
    return Runtime(
        reference=reference,
        unpacked_bytes=image.unpacked_bytes,
        packed_bytes=image.packed_bytes,
        libc=next((libc for libc in ("glibc", "musl") if libc in inside), ""),
        libraries=tuple(sorted(names)),
        shell="shell" in inside,
        package_manager=next((name for name, path in _MANAGERS.items() if path in tree), ""),
        certificates="certificates" in inside,
        time_zones="time zones" in inside,
        tmp="tmp" in tree,
        tag=image.name,
    )


@recordings.replayed(Program)
def linked(client, what) -> Program | None:
    """Return the program that a build or image starts, and what it links, or None."""
    return entrypoint.program_of(client, measuring.measure(client, what))


@recordings.replayed(Try)
def try_on(client, program: str, *bases: str) -> tuple[Try, ...]:
    """Build one of PROGRAMS on each of these bases, and start, probe and stop it.

    Shows its progress. Raises what `build` and `probe` raise.
    """
    if program not in PROGRAMS:
        raise UsageError(f"there is no program {program!r}.", hint=f"one of {', '.join(PROGRAMS)}")
    provide(client, [base for base in bases if base != SCRATCH])
    tasks = progress.Tasks(f"Trying {program}")
    tries = []
    with progress.Screen(tasks.draw):
        for base in bases:
            tasks.begin(short(base))
            tries.append(_tried(client, program, base, tasks.screen))
            tasks.end(short(base), tries[-1].failure or "it runs")
    return tuple(tries)


def _tried(client, program: str, base: str, screen) -> Try:
    made = builds.build(
        client,
        catalogue.APPS / PROGRAMS[program],
        file=f"../bases/Dockerfile.{program}",
        name=f"bases/{program}-on-{short(base)}",
        build_args={"BASE": base},
        screen=screen,
    )
    asked = probing.probe(client, made)
    return Try(program, base, made.tag, asked, setting=made.setting)


def choose(
    runtimes: Iterable[Runtime],
    program: Program | None = None,
    *,
    libc: str = "",
    shell: bool = False,
    package_manager: bool = False,
    certificates: bool = False,
    time_zones: bool = False,
) -> Runtime:
    """Choose the base with the fewest unpacked bytes that has everything a program needs.

    A `program` as `linked` gives it says itself which C library and other libraries it needs;
    `libc`, glibc or musl, is for one that is not there yet. Raises UsageError where no base does.
    """
    libc = program.libc if program else libc
    needed = set(program.needed) if program else set()
    wanted = {
        "shell": shell,
        "package_manager": package_manager,
        "certificates": certificates,
        "time_zones": time_zones,
    }
    fit = [
        each
        for each in runtimes
        if libc in ("", each.libc)
        and needed <= set(each.libraries)
        and all(getattr(each, name) for name, need in wanted.items() if need)
    ]
    if not fit:
        asked = [libc, *sorted(needed), *(name for name, need in wanted.items() if need)]
        raise UsageError(
            f"none of these bases has {', '.join(filter(None, asked))}.",
            hint="ask for less, copy what is missing from a builder, or look at more bases",
        )
    return min(fit, key=lambda each: each.unpacked_bytes)
