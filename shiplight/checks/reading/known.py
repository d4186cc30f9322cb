"""Look up public images and commands in dated data: `data/*.toml`.

Every lookup needs only a name. Unknown values are None or "", so that a check can say that it could
not tell.
"""

import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from ... import references

FOLDER = Path(__file__).resolve().parent / "data"

# Mirrors of Docker Hub, what proxies put before an official image's name, and the images that
# distributions have under their own names, at Amazon and in their own registries.
_MIRROR = re.compile(
    r"(?:registry\.(?:hub\.)?docker\.com/|mirror\.gcr\.io/|public\.ecr\.aws/docker/(?=library/)|"
    r"public\.ecr\.aws/(?:lts/(?=ubuntu$)|(\w+)/(?=(?:ubuntu|debian|amazonlinux)$)(?=\1$))|"
    r"(?:registry\.fedoraproject\.org|quay\.io/fedora)/(?=fedora(?:-minimal)?$)|"
    r"(?:quay\.io/)?rockylinux/(?=rockylinux$)|(?:quay\.io/almalinuxorg|almalinux)/(?=almalinux$)|"
    r"(?:container-registry\.oracle\.com/os|ghcr\.io/oracle)/(?=oraclelinux$)|"
    r"registry\.opensuse\.org/(?=opensuse/)|"
    r"\S*/dependency_proxy/containers/|(?=[^/]*[.:])[^/]+/(?:[^/]+/){0,4}?(?=library/)|"
    r"\$\{?\w+\}?/(?=library/))?(?:library/|(?:amd64|arm32v[5-7]|arm64v8|i386|mips64le|ppc64le|riscv64|s390x)/)?"
)
_WINDOWS = re.compile(r"nanoserver|windowsservercore|servercore|/windows(?:$|/)")
VERSION = re.compile(r"v?(\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class Known:
    """What is known from an image's name. `size` and the other fields: see data/images.toml.

    `libc` is glibc, musl or none; `suite` is the distribution's release, as (distribution, name).
    """

    reference: str
    name: str
    tag: str
    digest: str
    size: str = ""
    language: str = ""
    compiler: str = ""
    user: str = ""
    smaller: str = ""
    libc: str = ""
    suite: tuple[str, str] | None = None

    @property
    def windows(self) -> bool:
        return bool(_WINDOWS.search(self.name) or _WINDOWS.search(self.tag))

    @property
    def resolved(self) -> bool:
        """Whether all of the reference is known; an argument without a value may stand in it."""
        return "$" not in self.reference

    @property
    def glibc(self) -> tuple[int, ...] | None:
        """The version of its GNU C library, where the suite says it."""
        for row in data("suites")["suite"]:
            if self.suite and self.suite[0] == row["distribution"]:
                found = row["glibc"].get(self.suite[1])
                return tuple(map(int, found.split("."))) if found else None
        return None


@cache
def data(name: str) -> dict:
    """Read one of the data files."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def commands(table: str, kind: str | None = None):
    """Return patterns of commands: one list of a table, or the whole table."""
    found = data("commands")[table]
    return found[kind] if kind else found


def split(reference: str) -> tuple[str, str, str]:
    """Split a reference into (name, tag, digest); the name without Docker Hub's own.

    >>> split("docker.io/library/golang:1.23"), split("host:5000/a@sha256:12")
    (('golang', '1.23', ''), ('host:5000/a', '', 'sha256:12'))
    >>> split("public.ecr.aws/docker/library/node:24"), split("h.example/hub/library/node:24")
    (('node', '24', ''), ('node', '24', ''))
    >>> split("public.ecr.aws/lts/ubuntu:focal"), split("public.ecr.aws/debian/debian:12")
    (('ubuntu', 'focal', ''), ('debian', '12', ''))
    >>> split("registry.fedoraproject.org/fedora:43"), split("quay.io/rockylinux/rockylinux:9")
    (('fedora', '43', ''), ('rockylinux', '9', ''))
    """
    one = references.read(reference)
    return one.name[_MIRROR.match(one.name).end() :], one.tag, one.digest


@cache
def describe(reference: str) -> Known:
    """Return what is known about the image with this name.

    If it has only a digest, return what all variants of the image have in common.
    """
    name, tag, digest = split(reference)
    by_digest = bool(digest and not tag)
    row = _row(name, None if by_digest else tag) if "$" not in name else {}
    suite = _suite(name, tag)
    fields = {key: row.get(key, "") for key in ("size", "language", "compiler", "user", "smaller")}
    fields["language"] = fields["language"].replace("{name}", name)
    version = VERSION.search(tag)
    number = version[1].split(".")[0] if version else "21"
    fields["smaller"] = fields["smaller"].replace("{version}", number)
    libc = _libc(row, name, tag, suite)
    return Known(reference, name, tag, digest, **fields, libc=libc, suite=suite)


def workdir_of(image: Known) -> str:
    """Return the folder in which an image starts; "" if that is unknown.

    >>> workdir_of(describe("golang:1.26")), workdir_of(describe("php:8.4-fpm-alpine"))
    ('/go', '/var/www/html')
    """
    if "onbuild" in image.tag:  # these set their own
        return ""
    for row in data("images")["workdir"]:
        if any(fnmatchcase(image.name, known) for known in row["names"]):
            tag = image.tag or ("" if image.digest else "latest")
            if "tag" not in row or re.search(row["tag"], tag):
                return row["folder"]
    return ""


def _row(name: str, tag: str | None) -> dict:
    """The first row of a name and a tag; without a tag, what all rows of the name agree on."""
    rows = [
        row
        for row in data("images")["image"]
        if any(fnmatchcase(name, known) for known in row["names"])
        and (tag is None or re.search(row.get("tag", ""), tag))
    ]
    if tag is not None or not rows:
        return rows[0] if rows else {}
    return {key: it for key, it in rows[0].items() if all(row.get(key) == it for row in rows)}


def _suite(name: str, tag: str) -> tuple[str, str] | None:
    """The release that a name or tag says: by its own name, by number, or by what is usual."""
    if match := re.search(r"alpine-?(\d+\.\d+)", tag):
        return "alpine", match[1]
    if match := re.search(r"(?:^|[-_])(debian|ubuntu)-?(\d+(?:\.\d+)?)", tag):
        tag, name = f"{match[2]}-{tag}", match[1]
    version = VERSION.match(tag)
    if name == "alpine":
        return ("alpine", ".".join(version[1].split(".")[:2])) if version else None
    if name.startswith("gcr.io/distroless/") and (match := re.search(r"debian(\d+)$", name)):
        tag, version, name = match[1], VERSION.match(match[1]), "debian"
    for row in data("suites")["suite"]:
        for suite, number in row["names"].items():
            own = name.rpartition("/")[2] == row["distribution"] and version
            if re.search(rf"\b{suite}\b", tag) or (own and _same_release(version[1], number)):
                return row["distribution"], suite
    return None if "alpine" in tag else _usual_suite(name, tag)


def _same_release(version: str, number: str) -> bool:
    return version == number or version.startswith(f"{number}.")


def _usual_suite(name: str, tag: str) -> tuple[str, str] | None:
    match = re.fullmatch(r"v?(\d+(?:\.\d+)*)(?:-slim)?", tag)
    if not match:
        return None
    version = numbers(match[1])
    for row in data("suites")["default"]:
        low, high = numbers(row["from"]), numbers(row["to"])
        fits = len(version) >= len(low) if row.get("patches") else len(version) == len(low)
        if row["image"] == name and fits and low <= version[: len(low)] <= high:
            return "debian", row["suite"]
    return None


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers; () if it is not one."""
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d+(\.\d+)*", version) else ()


_INSIDE = {  # where the release of a language stands in a tag that begins with another number
    "java": r"(?:temurin|corretto|jdk|jre|openjdk|java)-?(\d+)",
    "python": r"python-?(\d+\.\d+)",
    "node": r"node-?(\d+)",
}
_COUNTED = {"python": 2, "ruby": 2, "dotnet": 2}  # numbers of a release; others have one


def release_of(image: Known, language: str) -> tuple[int, ...]:
    """Return the release of a language in an image's tag; () if there is none.

    >>> release_of(describe("maven:3.9-eclipse-temurin-21"), "java")
    (21,)
    """
    inside = re.search(_INSIDE.get(language, r"(?!)"), image.tag)
    builds = image.name in ("maven", "gradle", "sbt")
    first = VERSION.match(image.tag) if not builds else None
    match = inside or first
    if not match or image.language != language:
        return ()
    found, count = numbers(match[1]), _COUNTED.get(language, 1)
    return found[:count] if len(found) >= count else ()


_MUSL = ("alpine", "clux/muslrust", "messense/rust-musl-cross")
_GLIBC = (
    *(
        "debian",
        "ubuntu",
        "fedora",
        "fedora-minimal",
        "centos",
        "rockylinux",
        "almalinux",
        "amazonlinux",
    ),
    *("golang", "rust", "gcc", "buildpack-deps", "node", "python", "ruby", "lukemathwalker/*"),
    *("gcr.io/distroless/base*", "gcr.io/distroless/cc*", "gcr.io/distroless/python*"),
    *("gcr.io/distroless/nodejs*", "gcr.io/distroless/java*", "registry.access.redhat.com/ubi*"),
)


def _libc(row: dict, name: str, tag: str, suite) -> str:
    """glibc, musl, none, or "" where the name does not say."""
    if name == "scratch" or fnmatchcase(name, "gcr.io/distroless/static*"):
        return "none"
    if name in _MUSL or "alpine" in tag:
        return "musl"
    known = any(fnmatchcase(name, pattern) for pattern in _GLIBC) and (tag or row.get("size"))
    return "glibc" if known or (suite and suite[0] != "alpine") else ""
