"""Read manifests and blobs from a registry with python-dxf; failures become our own errors.

No engine is needed. The size of every answer and the time without one are limited.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

import dxf
import requests

from .. import files, refused
from ..errors import ArchiveError, RegistryFailed
from ..references import HUB, Reference
from .archive import MAX_JSON

CONNECT_SECONDS, SILENT_SECONDS = 10, 60
CHUNK = 1 << 18
TOO_MANY = 429
_SCHEMES = re.compile(r"\b(?:basic|bearer)\b", re.IGNORECASE)
_LOOPBACK = re.compile(r"(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?")

Login = tuple[str, str] | None  # user and secret


class Registry:
    """A repository of a registry on one connection, which closes when the block is left."""

    def __init__(self, reference: Reference, login: Login = None, *, silent: float | None = None):
        self.reference, self._login = reference, login
        self._silent = silent or SILENT_SECONDS
        self._client = self._connected(insecure=False)
        self._tried = not _LOOPBACK.fullmatch(reference.host)  # whether the protocol is settled

    def __enter__(self) -> "Registry":
        self._client.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._client.__exit__(*error)

    def manifest(self, version: str) -> bytes:
        """Return the manifest or index of that tag or digest."""
        return self._asked(lambda client: client.get_manifest_and_response(version)[1].content)

    def head(self, version: str) -> Mapping[str, str]:
        """Return the headers of a manifest, even with a refusal. This does not count as a pull."""
        try:
            return self._asked(lambda client: client.head_manifest_and_response(version)[1].headers)
        except RegistryFailed as error:
            response = getattr(error.__cause__, "response", None)
            if response is not None and response.status_code == TOO_MANY:
                return response.headers
            raise

    def blob(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes of a blob as they arrive; check its digest at the end."""
        chunks = self._asked(lambda client: client.pull_blob(digest, chunk_size=CHUNK))
        with self._translated():
            yield from chunks

    def _asked(self, ask: Callable):
        """Send a request; retry without TLS if a registry on this machine does not support it."""
        with self._translated():
            try:
                return ask(self._client)
            except requests.exceptions.SSLError:
                if self._tried:
                    raise
            finally:
                self._tried = True
            self._client.__exit__(None, None, None)
            self._client = self._connected(insecure=True).__enter__()
            return ask(self._client)

    def _connected(self, *, insecure: bool) -> "_Client":
        return _Client(
            self.reference.host,
            self.reference.repository,
            auth=self._authenticate,
            insecure=insecure,
            tlsverify=str(files.named_in(*files.CA_VARIABLES) or "") or True,
            timeout=(min(CONNECT_SECONDS, self._silent), self._silent),
        )

    def _authenticate(self, client: dxf.DXFBase, response: requests.Response) -> None:
        """Get a token for pulling, with the user's login for this host, or anonymously.

        A host that a redirect leads to gets neither, nor may it name who does.
        """
        asked = urlsplit(response.history[0].url if response.history else response.url)
        offered = response.headers.get("WWW-Authenticate", "")
        if urlsplit(response.url)[:2] != asked[:2] or not _SCHEMES.search(offered):
            return
        user, secret = self._login or (None, None)
        try:
            client.authenticate(user or None, secret, response=response)
        except (AttributeError, TypeError) as error:  # a challenge without what it has to have
            raise ValueError(f"its challenge is {offered!r}") from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except dxf.exceptions.DXFError as error:
            raise self._failed(*self._of_client(error)) from error
        except requests.exceptions.HTTPError as error:
            raise self._failed(*self._of_status(error.response)) from error
        except (requests.exceptions.RequestException, OSError, KeyError, ValueError) as error:
            raise self._failed(*self._of_connection(error)) from error

    def _failed(self, what: str, hint: str) -> RegistryFailed:
        name, host = self.reference.name, self.reference.host
        return RegistryFailed(f"{name} cannot be read from {host}: {what}.", hint=hint)

    def _of_client(self, error: dxf.exceptions.DXFError) -> tuple[str, str]:
        if isinstance(error, dxf.exceptions.DXFUnauthorizedError):
            return self._denied()
        if isinstance(error, dxf.exceptions.DXFAuthInsecureError):
            return (
                "it wants a login, and has no TLS",
                "no login is sent without TLS: give the registry a certificate",
            )
        if isinstance(error, dxf.exceptions.DXFDigestMismatchError):
            return refused.CHANGED
        return str(error) or type(error).__name__, "check the name and the registry"

    def _of_status(self, response: requests.Response) -> tuple[str, str]:
        status = response.status_code
        if status in (401, 403):
            return self._denied()
        if status == 404:
            return refused.NOTHING
        if status == TOO_MANY:
            return self._too_many(response)
        if status >= 500:
            meaning, hint = refused.BROKEN
            return f"{meaning} (HTTP {status})", hint
        return f"it replies HTTP {status}", "check the name and the registry"

    def _denied(self) -> tuple[str, str]:
        return "it does not let this user read it", refused.LOGIN.format(host=self._host)

    def _too_many(self, response: requests.Response) -> tuple[str, str]:
        wait = response.headers.get("Retry-After", "")
        until = f"{wait} s" if wait.isdigit() else f"until {wait}"
        said = f"; it asks to wait {until}" if wait else ""
        meaning, hint = refused.TOO_MANY
        return f"{meaning}{said}", hint.format(host=self._host)

    @property
    def _host(self) -> str:
        return "" if self.reference.registry == HUB else f" {self.reference.registry}"

    def _of_connection(self, error: Exception) -> tuple[str, str]:
        network = "check the host's name, and whether this machine's network reaches it"
        said = str(error)
        if isinstance(error, requests.exceptions.SSLError):
            if "WRONG_VERSION_NUMBER" in said:
                return refused.NO_TLS, "without TLS, only a registry of this machine is read"
            return (
                refused.UNKNOWN_CERTIFICATE.format(who="this machine"),
                "name a file with its CA certificate in SSL_CERT_FILE",
            )
        # A body that stops coming is a ConnectionError: only its words tell.
        if isinstance(error, requests.exceptions.Timeout) or "Read timed out" in said:
            return refused.SILENT, network
        if isinstance(error, requests.exceptions.ChunkedEncodingError):
            return "it sent only a part", refused.CLOSED[1]
        if isinstance(error, requests.exceptions.ConnectionError):
            return f"no connection ({_why(said)})", network
        if "CA certificate bundle" in said:
            return (
                "the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names is not there",
                "correct the variable, or unset it",
            )
        return refused.NO_REGISTRY


class _Client(dxf.DXF):
    """dxf's client, with a session that has no logins of its own and limits what it reads."""

    def __enter__(self):
        super().__enter__()
        session = self._sessions[0]
        session.auth = lambda request: request  # else requests sends what ~/.netrc has
        session.rebuild_auth = partial(_without_login, session)
        session.trust_env = not _LOOPBACK.fullmatch(self._host)  # no proxy to this machine
        for scheme in ("https://", "http://"):
            session.mount(scheme, _Bounding())
        return self


def _without_login(session: requests.Session, request, response: requests.Response) -> None:
    """Send no login to the host of a redirect; requests would send the one in ~/.netrc."""
    if session.should_strip_auth(response.request.url, request.url):
        request.headers.pop("Authorization", None)


class _Bounding(requests.adapters.HTTPAdapter):
    """Stops reading an answer that is longer than any document may be."""

    def send(self, request, stream=False, **how):
        """Send a request, and limit its answer."""
        response = super().send(request, stream=stream, **how)
        if not stream or response.is_redirect:  # whose body requests reads, too
            response.raw = _Bounded(response.raw)
        return response


class _Bounded:
    """urllib3's response, with a body of at most MAX_JSON bytes."""

    def __init__(self, raw):
        self._raw = raw

    def stream(self, *arguments, **named) -> Iterator[bytes]:
        """Yield the bytes. Raises ArchiveError if there are too many."""
        left = MAX_JSON
        for chunk in self._raw.stream(*arguments, **named):
            left -= len(chunk)
            if left < 0:
                raise ArchiveError(
                    f"the registry sent a document of more than {MAX_JSON >> 20} MiB.",
                    hint="check the name and the registry",
                )
            yield chunk

    def __getattr__(self, name: str):
        return getattr(self._raw, name)


def _why(said: str) -> str:
    """The reason inside what requests and urllib3 wrap around an OSError."""
    for sign, reason in (
        (r"refused", refused.NOBODY[0]),
        (r"NameResolution|getaddrinfo|Name or service|name resolution", "no such host"),
        (r"[Pp]roxy", "the proxy of this machine refuses it"),
        (r"reset|aborted|RemoteDisconnected", refused.CLOSED[0]),
        (r"unreachable|No route", "the network is unreachable"),
    ):
        if re.search(sign, said):
            return reason
    return said
