"""`%%dockerfile`: a cell that is a Dockerfile, written to a file of the learner's and built.

    %%dockerfile go/mine
    FROM golang:1.23 AS builder
    …

The file is `Dockerfile.mine` in a copy of the app's folder that stays from cell to cell; the build
is in the variable `mine` afterwards. `--target STAGE` builds up to a stage, and
`--secret id=NAME,src=FILE` gives a secret, as with `docker build`. Without an engine, a build of
the lesson itself is replayed, as long as its text is the recorded one.
"""

import keyword
import re
import shlex
import shutil
from contextlib import suppress
from pathlib import Path

from IPython.display import display

from .. import catalogue, dockerfile, files, recordings
from ..builds import Build, DockerfileText, build, offers
from ..engine import journal
from ..errors import NotRecorded, UsageError
from .shown import Shown


def load_ipython_extension(shell) -> None:
    """Make `%%dockerfile` known: `%load_ext shiplight.lessons` does it, or `connect()`."""

    def magic(line: str, cell: str):
        app, name, options = _read(line)
        shell.user_ns[name] = None  # whatever goes wrong, an older build is not taken for this one
        shell.user_ns[name] = written_and_built(app, name, cell, **options)

    magic.__doc__ = __doc__
    shell.register_magic_function(magic, "cell", "dockerfile")


def written_and_built(app: str, name: str, text: str, **options) -> Build | None:
    """Check the text of a Dockerfile, write it to the learner's own copy of an app, and build it.

    `options` are those of `build`.

    Shows the text with its lines' numbers, then the steps. None where nothing is connected, or no
    engine is and this text was not recorded; a sentence then says what is missing.
    Raises DockerfileError before anything is written, and whatever `build` raises.
    """
    dockerfile.parse(text)
    folder = own_copy(app)
    file = folder / f"Dockerfile.{name}"
    with journal.writable():
        files.write(file, text)
    display(DockerfileText(text))
    client = recordings.current()
    if client is None:
        missing = "run `client = connect()`, then this cell again"
    else:
        with suppress(NotRecorded):  # the text is given for its digest: a replay is of this text
            return build(client, folder, file=file.name, text=text, name=f"{app}/{name}", **options)
        missing = "a Docker engine is needed; `./lab doctor` tells you what is missing"
    display(Shown(f"{app}/{name} was written to {file.name}, but not built.", missing, mark="○"))
    return None


def own_copy(app: str) -> Path:
    """Return the learner's own copy of an app's folder, made where it is missing.

    Raises UsageError for an unknown app.
    """
    source, copy = catalogue.APPS / app, journal.folder("mine") / app
    if not source.is_dir():
        known = sorted(path.name for path in catalogue.APPS.iterdir() if path.is_dir())
        raise UsageError(f"there is no app {app!r}.", hint=f"one of {', '.join(known)}")
    if not copy.is_dir():
        with journal.writable(), files.making(copy) as part:
            shutil.copytree(source, part)
    return copy


def _as_name(text: str) -> str:
    """A name that Python takes, as near to this text as can be."""
    name = re.sub(r"\W", "_", text)
    return name if _is_variable(name) else f"mine_{name}"


def _is_variable(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _read(line: str) -> tuple[str, str, dict]:
    """App, name and options out of `go/mine --target builder`. Raises UsageError."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = []
    app, slash, name = words[0].partition("/") if words else ("", "", "")
    options = list(zip(words[1::2], words[2::2], strict=False))
    known = {option for option, _ in options} <= {"--target", "--secret"}
    if slash and app and name and not _is_variable(name):
        raise UsageError(
            f"%%dockerfile cannot name an image {words[0]!r}: the part after the slash also becomes"
            " a variable of Python.",
            hint=f"use letters, digits and underscores: %%dockerfile {app}/{_as_name(name)}",
        )
    if not slash or not app or not name or len(words) % 2 == 0 or not known:
        raise UsageError(
            f"%%dockerfile cannot read {line.strip()!r}.",
            hint="write an app, a slash and a name: %%dockerfile go/mine; only --target STAGE"
            " and --secret id=NAME,src=FILE may follow",
        )
    found = {"target": dict(options).get("--target")}
    if secrets := [value for option, value in options if option == "--secret"]:
        found["secrets"] = offers.secrets_of(secrets)
    return app, name, found
