"""The names of images: their registry, their repository, their tag and digest. Asks nobody.

The rules are those of github.com/distribution/reference, which Docker uses: what stands before the
first slash is a registry if it has a dot or a port, is `localhost`, or has a capital letter; all
else is on Docker Hub, whose official images are below `library/`.
"""

import re
from dataclasses import dataclass

HUB = "docker.io"
HUB_HOST = "registry-1.docker.io"  # which speaks for it
HUB_NAMES = (HUB, "index.docker.io", HUB_HOST)

LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PORT = r":[0-9]{1,5}"
HOST = rf"(?:localhost|{LABEL}(?:\.{LABEL})+|\[[0-9a-fA-F:]+\]|{LABEL}(?={_PORT}))(?:{_PORT})?"
PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_DIGEST = r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}"


@dataclass(frozen=True)
class Reference:
    """One image's name, taken apart; `tag` and `digest` are "" where it has none.

    `repository` is as its registry has it: `library/golang`.
    """

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """The name without tag and digest, as people write it: `golang`, `gcr.io/distroless/cc`."""
        if self.registry != HUB:
            return f"{self.registry}/{self.repository}"
        official = re.fullmatch(r"library/([^/]+)", self.repository)
        return official[1] if official else self.repository

    @property
    def host(self) -> str:
        """The host that answers for the registry."""
        return HUB_HOST if self.registry == HUB else self.registry

    @property
    def version(self) -> str:
        """What a registry is asked for: the digest, or else the tag, or else `latest`."""
        return self.digest or self.tag or "latest"

    @property
    def is_valid(self) -> bool:
        """Whether registries and engines take it as a name at all."""
        return bool(
            re.fullmatch(HOST, self.registry)
            and re.fullmatch(rf"{PART}(?:/{PART})*", self.repository)
            and re.fullmatch(rf"(?:{_TAG})?", self.tag)
            and re.fullmatch(rf"(?:{_DIGEST})?", self.digest)
        )

    def __str__(self) -> str:
        """The short form under which two spellings of one image meet."""
        tag = f":{self.tag}" if self.tag else "" if self.digest else ":latest"
        return self.name + tag + (f"@{self.digest}" if self.digest else "")


def read(reference: str) -> Reference:
    """Take a reference apart; nothing is refused.

    >>> read("busybox")
    Reference(registry='docker.io', repository='library/busybox', tag='', digest='')
    >>> str(read("docker.io/library/golang:1.23")), read("host:5000/a@sha256:1").digest
    ('golang:1.23', 'sha256:1')
    """
    name, tag, digest = parts(reference)
    registry, slash, path = name.partition("/")
    if not slash or not _is_registry(registry):
        registry, path = HUB, name
    if registry in HUB_NAMES:
        registry, path = HUB, path if "/" in path or not path else f"library/{path}"
    return Reference(registry, path, tag, digest)


def _is_registry(first: str) -> bool:
    return bool(re.search(r"[.:A-Z]", first)) or first == "localhost"


def slug(name: str) -> str:
    """Return a name as images and tags can have it; "" if nothing of it can stay.

    >>> slug("one_stage"), slug("!")
    ('one-stage', '')
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def canonical(reference: str) -> str:
    """Return the short form under which two spellings of one image meet.

    >>> canonical("docker.io/library/golang:1.23"), canonical("busybox")
    ('golang:1.23', 'busybox:latest')
    """
    return str(read(reference))


def familiar(name: str) -> str:
    """Return a name as people write it, with a tag or digest only where it has one.

    >>> familiar("docker.io/library/busybox"), familiar("index.docker.io/me/mine:1")
    ('busybox', 'me/mine:1')
    """
    plain = parts(name)[0]
    return read(plain).name + name[len(plain) :]


def registry_of(reference: str) -> str:
    """Return the registry that a reference names: `docker.io` where it names none.

    >>> registry_of("golang:1.23"), registry_of("me/mine"), registry_of("gcr.io/distroless/cc")
    ('docker.io', 'docker.io', 'gcr.io')
    """
    return read(reference).registry


def parts(reference: str) -> tuple[str, str, str]:
    """Return name, tag and digest as they are written; "" for what is left out.

    >>> parts("host:5000/a/b:c@sha256:1"), parts("golang")
    (('host:5000/a/b', 'c', 'sha256:1'), ('golang', '', ''))
    """
    plain, _, digest = reference.partition("@")
    name, colon, tag = plain.rpartition(":")
    return (name, tag, digest) if colon and "/" not in tag else (plain, "", digest)


def split(reference: str) -> tuple[str, str]:
    """Return the name as it is written, and its digest or else its tag, as engines want them.

    >>> split("golang"), split("host:5000/a/b:c"), split("golang:1@sha256:1")
    (('golang', 'latest'), ('host:5000/a/b', 'c'), ('golang', 'sha256:1'))
    """
    name, tag, digest = parts(reference)
    return name, digest or tag or "latest"


def tagged(reference: str) -> str:
    """Return the reference with `:latest` where it has neither tag nor digest.

    Left out, an engine reads it as `:latest` in one call and as every tag in another.

    >>> tagged("busybox"), tagged("host:5000/a"), tagged("busybox@sha256:1")
    ('busybox:latest', 'host:5000/a:latest', 'busybox@sha256:1')
    """
    _, tag, digest = parts(reference)
    return reference if tag or digest else f"{reference}:latest"
