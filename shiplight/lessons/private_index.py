"""The private package index of lesson 10: a container on the engine, where builds reach it.

It serves one wheel, made here, to who knows the token; each start draws another token. The token
opens nothing else and is gone with the container, so lessons show it and recordings have it.
"""

import base64
import csv
import hashlib
import io
import secrets
import tarfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from .. import engine, recordings
from ..builds import provide
from ..engine import journal
from ..errors import EngineFailed, UsageError
from ..setting import Kept, Setting
from . import index_server

BASE, PORT, USER = "python:3.13-slim", 8000, "reader"
PACKAGE, VERSION = "shiplight-greeting", "1.0"
SECRET = "pip"  # the id of the one that the check of an exercise gives
GREETING = "hello from a private package"


@dataclass(frozen=True)
class Index(Kept):
    """A running index: its address as builds see it, and the token that opens it.

    `since` is when it was started, in seconds since 1970.
    """

    host: str
    token: str
    since: float
    setting: Setting | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"Index {self.url}, which has {PACKAGE} {VERSION}"

    @property
    def url(self) -> str:
        """The address with user and token in it, as pip takes it."""
        return f"http://{USER}:{self.token}@{self.host}:{PORT}/simple"

    @property
    def pip_conf(self) -> str:
        """What pip reads from /etc/pip.conf to install from this index."""
        return f"[global]\nindex-url = {self.url}\ntrusted-host = {self.host}\n"

    @property
    def build_args(self) -> dict[str, str]:
        """The same as build arguments, which pip reads as variables."""
        return {"PIP_INDEX_URL": self.url, "PIP_TRUSTED_HOST": self.host}


_started: list[Index] = []  # of this process, for the checks of exercises


def started() -> list[Index]:
    """Return every index that this process has started, the running one last.

    Raises UsageError where there is none: nobody knows then what to search for.
    """
    if not _started:
        raise UsageError(
            "no package index was started since this notebook was restarted.",
            hint="run the cells from the top, and build your image again",
        )
    return _started


def is_running(client) -> bool:
    """Return whether this lab's index has a container on the engine."""
    return bool(_containers(client))


def given(client) -> dict:
    """Return what an exercise builds with, as `build` takes it; start an index if none is running.

    The folder has the pip.conf in it that is the secret, for the wrong ways as well.
    """
    index = _started[-1] if _started and is_running(client) else start_index(client)
    folder = journal.folder("private")
    (folder / "pip.conf").write_text(index.pip_conf, encoding="utf-8")
    return {
        "what": folder,
        "build_args": index.build_args,
        "secrets": {SECRET: folder / "pip.conf"},
    }


@recordings.replayed(Index)
def start_index(client) -> Index:
    """Start the index in a container, with a new token; one that ran before is removed.

    Raises EngineFailed where it does not start or the engine could give a build no secret, and what
    getting its base image raises.
    """
    if engine.described(client).kind == "Podman":
        raise EngineFailed(
            "secrets need a BuildKit session, and Podman has none.",
            hint="set SHIPLIGHT_MODE=recorded and restart the kernel: that replays the lesson",
        )
    stop_index(client)
    [base] = provide(client, [BASE])
    token, since = secrets.token_hex(16), time.time()
    digest = hashlib.sha256(f"{USER}:{token}".encode()).hexdigest()
    with engine.translated("starting the package index"):
        container = client.containers.create(
            base.used,
            ["python", "/index/index_server.py", str(PORT), digest],
            name=_name(),
            labels=journal.made(),
        )
        try:
            container.put_archive("/", _files())
            container.start()
            engine.wait_until_listening(container, "the package index", hint="run the cell again")
            host = engine.address_of(container)
        except BaseException:
            engine.remove_container(container)
            raise
    _started.append(Index(host, token, since, engine.setting(client, bases=base.kind)))
    return _started[-1]


@recordings.replayed(Index)
def renew_token(client) -> Index:
    """Start the index again, with a new token; it refuses the one of before.

    Raises what `start_index` raises.
    """
    return start_index(client)


@recordings.replayed()
def asked_of_index(client) -> list[str]:
    """Return what the running index was asked for, a line a request, with its HTTP status.

    Raises UsageError where none is running.
    """
    found = _containers(client)
    if not found:
        raise UsageError("no package index is running.", hint="start one: `start_index(client)`")
    with engine.translated("reading the log of the package index"):
        return found[0].logs().decode("utf-8", "replace").splitlines()[1:]


@recordings.replayed()
def stop_index(client) -> bool:
    """Stop the index and remove its container; whether there was one."""
    found = _containers(client)
    for container in found:
        engine.remove_container(container)
    return bool(found)


def _name() -> str:
    return f"shiplight-{journal.lab_id()}-index"


def _containers(client) -> list:
    wanted = {"name": f"^/?{_name()}$", "label": journal.label_of_made()}
    with engine.translated("looking for the package index"):
        return client.containers.list(all=True, filters=wanted)


def _files() -> bytes:
    """A tar of the server and of the folder that it serves."""
    module = PACKAGE.replace("-", "_")
    simple = f"index/{index_server.FOLDER}/simple"
    served = {
        "index/index_server.py": Path(index_server.__file__).read_bytes(),
        f"{simple}/{PACKAGE}/{module}-{VERSION}-py3-none-any.whl": _wheel(module),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, data in served.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def _wheel(module: str) -> bytes:
    """A wheel of one module that prints a greeting when it is run."""
    info = f"{module}-{VERSION}.dist-info"
    files = {
        f"{module}.py": f'print("{GREETING}")\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: shiplight\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record, packed = io.StringIO(), io.BytesIO()
    lines = csv.writer(record, lineterminator="\n")
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        lines.writerow([path, f"sha256={digest.rstrip(b'=').decode()}", len(text)])
    lines.writerow([f"{info}/RECORD", "", ""])
    with zipfile.ZipFile(packed, "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record.getvalue()}.items():
            wheel.writestr(path, text)
    return packed.getvalue()
