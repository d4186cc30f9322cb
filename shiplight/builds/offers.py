"""Read what a build may use besides its files: secrets, ssh agents, and an output folder.

The syntax is that of `docker build`: `--secret id=token,src=FILE`, `--ssh default`, `--output DIR`.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..dockerfile import Instruction, Stage
from ..errors import UsageError

MOST_BYTES = 500 * 1024  # of a secret: BuildKit takes no larger one
SECRET_HINT = "--secret id=NAME,src=FILE or id=NAME,env=VARIABLE"


@dataclass(frozen=True)
class Offer:
    """Secrets, agents and output of one build. Secrets are passed only to BuildKit."""

    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    agents: Mapping[str, str] = field(default_factory=dict)
    output: Path | None = None

    @property
    def needs_session(self) -> tuple[str, ...]:
        """What needs a session, in the words of `build()`."""
        given = {"secrets": self.secrets, "ssh": self.agents, "output": self.output}
        return tuple(name for name, value in given.items() if value)


NOTHING = Offer()


def read(secrets=None, ssh=None, output=None) -> Offer:
    """Return the Offer for these arguments of `build()`. Raises UsageError if one is missing."""
    folder = Path(os.path.expanduser(output)) if output is not None else None
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UsageError(f"the output {folder} is a file.", hint="name a folder")
    return Offer(
        {name: _secret(name, source) for name, source in (secrets or {}).items()},
        _agents(ssh),
        folder,
    )


def _secret(name: str, source: str | os.PathLike) -> bytes:
    """Return the bytes of a secret: from a file, or for `env:NAME` from a variable."""
    if isinstance(source, str) and source.startswith("env:"):
        variable = source.removeprefix("env:")
        if variable not in os.environ:
            raise UsageError(f"secret {name}: the variable {variable} is not set.", hint="set it")
        content = os.environb[os.fsencode(variable)] if os.name != "nt" else os.environ[variable]
        content = content if isinstance(content, bytes) else content.encode()
    else:
        try:
            with open(os.path.expanduser(source), "rb") as file:  # a pipe, too: --secret src=<(…)
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise UsageError(
                f"secret {name}: {os.fspath(source)} cannot be read ({error.strerror}).",
                hint="name a file, or a variable as env:NAME",
            ) from error
    if len(content) > MOST_BYTES:
        raise UsageError(f"secret {name} is larger than BuildKit accepts (500 KiB).")
    return content


def _agents(ssh: str | Mapping[str, str | os.PathLike] | Iterable[str] | None) -> dict[str, str]:
    """Return the sockets of ssh agents by id: `default` is the one in SSH_AUTH_SOCK."""
    if not ssh:
        return {}
    if isinstance(ssh, Mapping):
        pairs = [(name, os.fspath(path)) for name, path in ssh.items()]
    else:
        texts = [ssh] if isinstance(ssh, str) else list(ssh)
        pairs = [text.partition("=")[::2] for text in texts]
    return {name: _agent(name, path) for name, path in pairs}


def _agent(name: str, path: str) -> str:
    path = os.path.expanduser(path) or os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise UsageError(
            f"ssh {name}: no agent, SSH_AUTH_SOCK is not set.",
            hint='start one: eval "$(ssh-agent)" && ssh-add',
        )
    if Path(path).is_file():
        raise UsageError(
            f"ssh {name}: {path} is a file, and only an agent's socket can be forwarded.",
            hint=f"add the key to an agent: ssh-add {path}; then --ssh {name}",
        )
    if not Path(path).is_socket():
        raise UsageError(f"ssh {name}: there is no agent's socket at {path}.", hint="ssh-add -l")
    return path


# --- what a Dockerfile asks for ------------------------------------------------------------------


def refuse_missing(stages: Iterable[Stage], offer: Offer) -> None:
    """Raise UsageError if a step requires a secret or an agent that was not given."""
    for stage in stages:
        for instruction in stage.instructions:
            for kind, name, is_required in asked_for(instruction):
                given = offer.secrets if kind == "secret" else offer.agents
                if is_required and name not in given:
                    give = f"--secret id={name},src=FILE" if kind == "secret" else f"--ssh {name}"
                    raise UsageError(
                        f"line {instruction.line} requires the {kind} {name}, which is not given.",
                        hint=give,
                    )


def asked_for(instruction: Instruction) -> Iterator[tuple[str, str, bool]]:
    """Yield `secret` or `ssh`, the id, and whether it is required, for each such mount of a RUN.

    A mount with a variable in it is left out.
    """
    for mount in instruction.mounts:
        if mount["type"] not in ("secret", "ssh") or "$" in "".join(mount.values()):
            continue
        default = (
            os.path.basename(mount.get("target", "")) if mount["type"] == "secret" else "default"
        )
        is_required = mount.get("required", "false").lower() in ("true", "1")
        yield mount["type"], mount.get("id") or default, is_required


# --- in Docker's words ---------------------------------------------------------------------------


def secrets_of(texts: Iterable[str]) -> dict[str, str | Path]:
    """Return several `--secret` in the form that `build()` takes. Raises UsageError.

    >>> secrets_of(["id=token,env=TOKEN", "type=file,id=key,src=key.pem"])
    {'token': 'env:TOKEN', 'key': PosixPath('key.pem')}
    """
    found = {}
    for text in texts:
        said = dict(part.partition("=")[::2] for part in text.split(","))
        name, kind = said.pop("id", ""), said.pop("type", None)
        sources = [key for key in ("src", "source", "env") if key in said]
        if not name or kind not in (None, "file", "env") or len(said) != len(sources):
            raise UsageError("a --secret is not understood.", hint=SECRET_HINT)
        if len(sources) > 1:
            raise UsageError("a --secret names several sources.", hint=SECRET_HINT)
        value = said[sources[0]] if sources else name
        variable = sources == ["env"] or kind == "env" or (not sources and name in os.environ)
        found[name] = f"env:{value}" if variable else Path(value)
    return found


def output_of(text: str | None) -> str | None:
    """Return the folder of an `--output`. Raises UsageError for other kinds of output.

    >>> output_of("out"), output_of("type=local,dest=out")
    ('out', 'out')
    """
    if text is None or "=" not in text:
        return text
    said = dict(part.partition("=")[::2] for part in text.split(","))
    if said.get("type") != "local" or not said.get("dest"):
        raise UsageError(f"--output {text!r} is not a folder.", hint="--output DIR")
    return said["dest"]
