"""Where RUN steps download from: the network, or the proxy of a kit on this engine.

The proxy is a container, so steps reach it on the engine's own bridge, and no port of the machine
is needed. That was tried on Docker 20.10, 26.1 and 28.5 on Linux; rootless engines and Docker
Desktop have that bridge too, and were not tried. Whoever starts it notes it here, in this lab's
folder, and all builds use it from then on. They get its address by the build arguments that
BuildKit predefines for proxies, which are no part of the cache key; the certificate of its CA is in
the images of bases for stages that build. SHIPLIGHT_PACKAGES=network builds without it.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import engine, files
from ..engine import journal
from ..errors import EngineFailed, UsageError
from ..setup import PROGRAM
from ..units import one_line

PORT = 8899
MISSING = "missing"  # begins the line of the proxy's log about what is not in the kit
OVER_THE_NETWORK = "SHIPLIGHT_PACKAGES=network"
FROM_KIT = "what its RUN steps download comes from the kit, and not from the network"
SHIPS_CA = "its last stage builds, so the image ships the certificate of the kit's CA"
_MOST_NAMED, _MOST_BYTES = 3, 100_000
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


@dataclass(frozen=True)
class Proxy:
    """A running proxy: the id of its container, on which engine, and its CA's certificate (PEM).

    `kit` is the digest of the index that it answers from; "" for one that records.
    """

    container: str
    engine: str
    ca: str
    kit: str

    @property
    def records(self) -> bool:
        """Whether it asks the network for what it does not have."""
        return not self.kit

    def build_args(self, client) -> dict[str, str]:
        """Return the build arguments that make RUN steps use it; start it if it is stopped.

        Raises EngineFailed where its container is gone.
        """
        container = self._container(client)
        if container.status != "running":
            with engine.translated("starting the kit's proxy"):
                container.start()
                container.reload()
        address = f"http://{engine.address_of(container)}:{PORT}"
        return dict.fromkeys(_VARIABLES, address)

    def missed(self, client, since: float) -> list[str]:
        """Return the URLs that steps asked for since a time, and that the kit does not have.

        That time is one of the engine's clock, as those of steps are: seconds since 1970.
        """
        with engine.translated("reading the log of the kit's proxy"):
            said = self._container(client).logs(since=float(since)).decode("utf-8", "replace")
        lines = [line.split(" ", 2) for line in said.splitlines()]
        found = [line[2] for line in lines if line[0] == MISSING and len(line) == 3]
        return list(dict.fromkeys(found))

    def is_there(self, client) -> bool:
        """Return whether its container still is on the engine."""
        return engine.find_container(client, self.container) is not None

    def _container(self, client):
        found = engine.find_container(client, self.container)
        if found is None:
            raise EngineFailed(
                "the container of the kit's proxy is no longer on this engine.",
                hint=f"unpack the kit again, or build over the network: {OVER_THE_NETWORK}",
            )
        return found


def proxy_on(client) -> Proxy | None:
    """Return the proxy that builds on this engine use; None where they use the network.

    Raises UsageError for a SHIPLIGHT_PACKAGES that is neither auto nor network.
    """
    asked = os.environ.get("SHIPLIGHT_PACKAGES", "auto")
    if asked not in ("auto", "network"):
        raise UsageError(f"SHIPLIGHT_PACKAGES is {asked!r}.", hint="auto or network")
    if asked == "network" or not _note().is_file():
        return None
    try:
        found = Proxy(**json.loads(files.read(_note(), _MOST_BYTES)))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.engine == engine.identity(client) else None


def use(proxy: Proxy | None) -> None:
    """Let all builds of this lab use this proxy, or none. Raises LabFolderFailed."""
    with journal.writable():
        if proxy is None:
            _note().unlink(missing_ok=True)
        else:
            journal.cache("kit")
            files.write(_note(), json.dumps(asdict(proxy)) + "\n", private=True)


def sentence(missed: list[str]) -> str:
    """Return what a failed step asked for and did not get."""
    named = ", ".join(one_line(url, 300) for url in missed[:_MOST_NAMED])
    more = f" and {len(missed) - _MOST_NAMED} more" if len(missed) > _MOST_NAMED else ""
    return f"This step asked for {named}{more}, which the kit does not have."


HINT = (
    f"ask for a kit that was packed with `{PROGRAM} pack --packages` for this lesson; with a "
    f"network, {OVER_THE_NETWORK} builds without the kit"
)


def _note() -> Path:
    return journal.path("kit", "proxy.json")
