"""Send the files of a build to the engine: by a BuildKit session, or as a tar without one.

In a session the engine requests only the files that it lacks, as with `docker build`. Podman has no
sessions.
"""

import base64
import functools
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .. import engine
from ..buildkit import BuildKitError, NotUpgraded, SourceChanged
from ..dockerfile import Sources
from ..errors import ContextError, EngineFailed, UsageError
from ..setup import PROGRAM
from .caches import Cache
from .offers import Offer

NO_SESSION = (400, 404, 405, 501)  # what an engine says that knows no such call


@dataclass(frozen=True)
class Sent:
    """A running build: the lines of the engine's answer, and how its files were sent (`way`).

    `why` says why there was no session.
    """

    lines: Iterator[dict] = field(repr=False)
    way: str
    why: str = ""
    session: object | None = None
    exported: object | None = None

    def refuse_changed(self) -> None:
        """Raise ContextError if files changed after they were listed: the build is not valid."""
        failure = self.session.failure if self.session is not None else None
        if failure is None:
            return
        kind = ContextError if isinstance(failure, SourceChanged) else EngineFailed
        raise kind(failure.message, hint=failure.hint)


@dataclass(frozen=True)
class Wider:
    """Options that Docker Engine's /build lacks; BuildKit's own Solve has them, as with buildx.

    Of these, /build can only use the cache of an image.
    """

    cache_to: tuple[Cache, ...] = ()
    cache_from: tuple[Cache, ...] = ()
    platforms: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.needs)

    @property
    def needs(self) -> list[str]:
        """The options that are set, in the words of `build()`."""
        needed = ["cache_to"] if self.cache_to else ["a local cache"] if self.stores else []
        return needed + (["several platforms"] if len(self.platforms) > 1 else [])

    @property
    def images(self) -> list[str]:
        """The images whose cache is used."""
        return [one.attributes["ref"] for one in self.cache_from if one.kind == "registry"]

    @property
    def stores(self) -> dict:
        """The stores of all local caches, for writing and for reading."""
        return {k: v for c in (*self.cache_to, *self.cache_from) for k, v in c.service().items()}

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks on local caches that do not exist yet."""
        lacking = [one.folder for one in self.cache_from if one.entry() is None]
        return tuple(f"{folder} holds no build cache yet, so none was used" for folder in lacking)


NOTHING_WIDER = Wider()


@contextmanager
def sent(
    client, sources: Sources, offer: Offer, wider: Wider = NOTHING_WIDER, **parameters
) -> Iterator[Sent]:
    """Start a build of `sources`, which ends when the block is left. `parameters` go to /build.

    Raises UsageError if the offer needs a session and the engine does not support sessions.
    """
    session, sync = _session(client, sources, offer, wider)
    sock, why = _hijacked(client, session)
    if sock is None:
        _refuse_offer(offer, wider, why)
        context = sources.context()
        parameters["dockerfile"] = context.dockerfile
        with engine.post_build(client, context.tar(), **parameters) as lines:
            yield Sent(lines, "tar", why)
        return
    if offer.output is not None:
        parameters["outputs"] = [{"Type": "local", "Attrs": {}}]
    parameters |= {"remote": "client-session", "session": session.id, "dockerfile": sources.name}
    control = None
    if wider or engine.image_store(client) == "containerd":
        control = _control(client, wider)
    if control is not None:
        with session.serving(sock), _solved(control, wider, parameters) as lines:
            yield Sent(lines, "session", "", session, sync)
        return
    with session.serving(sock), engine.post_build(client, None, **parameters) as lines:
        yield Sent(lines, "session", "", session, sync)


def _session(client, sources: Sources, offer: Offer, wider: Wider):
    """Return the session of one build, and the receiver of its output."""
    from ..buildkit import content, services, session, tree  # grpclib takes 50 ms to load

    folder = os.path.realpath(sources.folder)
    # The time tells BuildKit that the text may be another one than it has.
    definition = tree.Files(sources.definition(), time.time_ns())
    offered = [
        services.FileSync({"context": tree.Folder(folder), "dockerfile": definition}),
        services.Auth(functools.partial(engine.credentials, client)),
        services.Secrets(offer.secrets),
    ]
    if offer.agents:
        offered.append(services.SSH(offer.agents))
    if stores := wider.stores:
        offered.append(content.Content(stores))
    exported = None
    if offer.output is not None:
        exported = services.FileSend(os.path.abspath(offer.output))
        offered.append(exported)
    key = session.shared_key("shiplight", platform.node(), folder)
    return session.Session(offered, shared_key=key, name="shiplight"), exported


def _hijacked(client, session) -> tuple[object | None, str]:
    """Return a socket for this session, or None with the reason."""
    from ..buildkit import transport

    if engine.described(client).kind == "Podman":
        return None, "Podman has no BuildKit session"
    path = engine.session_path(client, "/session")
    try:
        connection = engine.open_connection(client)
        return transport.upgrade(connection, path, session.headers()), ""
    except NotUpgraded as refused:
        if refused.status in NO_SESSION:
            return None, "this engine has no BuildKit session"
        raise _not_opened("a session", refused) from refused
    except (BuildKitError, OSError) as error:
        raise _not_opened("a session", error) from error


def _not_opened(what: str, error: Exception) -> EngineFailed:
    return EngineFailed(
        f"the engine did not open {what} for the build: {error}",
        hint=f"`{PROGRAM} doctor` tells you whether it is still running; then build again",
    )


def _control(client, wider: Wider):
    """Return a socket for BuildKit's own API; None if the engine has none and none is needed.

    Raises UsageError if one is needed, and EngineFailed.
    """
    from ..buildkit import transport

    try:
        connection = engine.open_connection(client)
        return transport.upgrade(connection, engine.session_path(client, "/grpc"))
    except (BuildKitError, OSError) as error:
        if not isinstance(error, NotUpgraded) or error.status not in NO_SESSION:
            raise _not_opened("BuildKit's own calls", error) from error
        if wider:
            why = "this engine does not expose the BuildKit API"
            raise _cannot_be_given(wider.needs, why) from error
        return None


@contextmanager
def _solved(sock, wider: Wider, parameters: dict) -> Iterator[Iterator[dict]]:
    """Start a build by Solve; its status has the form of an answer to /build."""
    from ..buildkit import control

    exports = [("moby", {"name": parameters["t"]})] if parameters.get("t") else [("local", {})]
    build = control.Solve(
        session=parameters["session"],
        attributes=_attributes(wider, parameters),
        exports=exports,
        cache_exports=[cache.export() for cache in wider.cache_to],
    )
    with control.solving(sock, build) as news:
        yield _as_lines(news, wider)


def _as_lines(news, wider: Wider) -> Iterator[dict]:
    try:
        for one in news:
            if isinstance(one, bytes):
                aux = base64.b64encode(one).decode()
                yield {"id": "moby.buildkit.trace", "aux": aux}
                continue
            for cache in wider.cache_to:
                cache.done(one)
            if digest := one.get("containerimage.digest"):
                yield {"aux": {"ID": digest}}
    except BuildKitError as error:
        yield {"errorDetail": {"message": error.message}}


def _attributes(wider: Wider, parameters: dict) -> dict[str, str]:
    """Return the attributes of the Dockerfile frontend, as buildx writes them.

    An image that is on the engine is used without asking its registry. Otherwise a containerd store
    resolves the tag in every build, which may give another image, and takes minutes if the registry
    does not answer. `/build` has no such option; graph drivers never ask.
    """
    found = {"filename": parameters["dockerfile"], "image-resolve-mode": "local"}
    if platform := ",".join(wider.platforms) or parameters.get("platform"):
        found["platform"] = platform
    if parameters.get("target"):
        found["target"] = parameters["target"]
    if parameters.get("nocache"):
        found["no-cache"] = ""
    if imports := [entry for cache in wider.cache_from if (entry := cache.entry())]:
        found["cache-imports"] = json.dumps(imports)
    for name, key in (("build-arg", "buildargs"), ("label", "labels")):
        found |= {f"{name}:{k}": v for k, v in (parameters.get(key) or {}).items()}
    return found


def _refuse_offer(offer: Offer, wider: Wider, why: str) -> None:
    if needed := [*offer.needs_session, *wider.needs]:
        raise _cannot_be_given(needed, why)


def _cannot_be_given(needed: list[str], why: str) -> UsageError:
    return UsageError(
        f"{' and '.join(needed)} cannot be given to this build: {why}.",
        hint="build without it, or on Docker Engine",
    )
