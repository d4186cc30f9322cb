"""The proxy through which RUN steps download: it records answers, or replays them with no way out.

    python proxy.py record|replay PORT

It runs in a container of the kit's own Python image, beside `index.jsonl` and `answers/`, and uses
the standard library and that image's `openssl`. It is our own, and not mitmproxy, because it has to
run on a learner's machine that has no network: mitmproxy and what it needs are 100 MB on disk and
300 MB of memory, and its recordings have the format of its version.

`record` asks the origin for what it has not recorded yet, so one recording has one answer for one
URL. `replay` refuses what it does not have, with 403: pip, npm, apt and cargo try again for a
minute after a 5xx, and Go looks elsewhere after a 404. It sends nothing to any address outside the
machine's own networks. In both, requests for addresses in those go through and are not kept, as for
the package index of lesson 10.

Keys. A CA is made when the container first starts. When it records, that CA's key signs a
certificate for each host, and is in memory only. When it replays, the hosts are known: the key
signs one certificate for all of them and is deleted before the first request, so nothing can be
signed in the name of that CA again, and an image that ships its certificate trusts nobody by it.
The key of the one certificate stays in the container, so the CA is the same when the container
starts again, and what was built with the CA's certificate stays in the build cache. Every machine
has its own.

It prints `listening`, and then a line for each request: what it did, the method and the URL.
"""

import hashlib
import http.client
import ipaddress
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import urllib.parse
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

INDEX, ANSWERS, CA, UPSTREAM = "index.jsonl", "answers", "ca.crt", "upstream.crt"
MISSING = "missing"  # begins the line of what is not in the kit
KEPT_HEADERS = (
    "cache-control", "content-encoding", "content-type", "etag", "last-modified", "location",
)  # fmt: skip
KEPT_STATUS = (200, 301, 302, 303, 307, 308, 404, 410)
_NOT_SENT = (  # those that concern one connection, and those that ask for a part of an answer
    "accept-encoding", "connection", "host", "if-modified-since", "if-none-match", "if-range",
    "keep-alive", "proxy-authorization", "proxy-connection", "range", "te", "trailer",
    "transfer-encoding", "upgrade",
)  # fmt: skip
_KEYS = {"method", "url", "accept", "status", "headers", "sha256", "bytes"}
_URL = re.compile(r"https?://[a-z0-9.-]{1,253}(?::\d{1,5})?/[!-~]{0,4000}", re.ASCII)
_TEXT = re.compile(r"[ -~]{0,4000}", re.ASCII)
_BLOCK, _SECONDS, _DAYS, _MOST_ASKED = 1 << 16, 60, 397, 8_000_000


class Store:
    """Answers as files that are named by their SHA-256, and an index with one answer a line."""

    def __init__(self, folder: Path):
        self.folder, self._lock = folder, threading.Lock()
        self._found: dict[tuple[str, str], dict[str, dict]] = {}
        (folder / ANSWERS).mkdir(exist_ok=True)
        index = folder / INDEX
        for line in index.read_text("utf-8").splitlines() if index.exists() else []:
            self._know(json.loads(line))

    def _know(self, entry: dict) -> None:
        self._found.setdefault((entry["method"], entry["url"]), {})[entry["accept"]] = entry

    @property
    def hosts(self) -> list[str]:
        """The hosts that were asked over TLS, sorted."""
        found = {urllib.parse.urlsplit(url) for _, url in self._found}
        return sorted({one.hostname for one in found if one.scheme == "https"})

    def find(self, method: str, url: str, accept: str, *, exactly: bool = False) -> dict | None:
        """Return the entry for a request: for its `Accept`, or else, unless `exactly`, for any."""
        found = self._found.get((method, url)) or {}
        other = None if exactly else next(iter(found.values()), None)
        return found.get(accept, other)

    def path(self, entry: dict) -> Path:
        """Return the file with the bytes of an answer."""
        return self.folder / ANSWERS / entry["sha256"]

    def add(self, part: Path, entry: dict) -> None:
        """Keep an answer, whose bytes are in `part`."""
        with self._lock:
            part.rename(self.path(entry))
            self._know(entry)
            with open(self.folder / INDEX, "a", encoding="utf-8") as index:
                index.write(json.dumps(entry, sort_keys=True) + "\n")


class Certificates:
    """What the proxy proves with that it is a host, to who trusts `ca.crt`."""

    def __init__(self, folder: Path, keys: Path):
        self._folder, self._keys, self._lock = folder, keys, threading.Lock()
        self._contexts: dict[str, ssl.SSLContext] = {}

    def for_host(self, host: str) -> ssl.SSLContext:
        """Return the context of one host, signed with the CA's key when it is first asked for."""
        with self._lock:
            if host not in self._contexts:
                place = self._keys / f"host{len(self._contexts)}.pem"
                self.sign([host], place)
                self._contexts[host] = self._context(place)
        return self._contexts[host]

    def for_all(self, hosts: list[str]) -> None:
        """Have one certificate for all hosts, and delete the CA's key."""
        place = self._folder / "hosts.pem"
        if not place.exists():
            self.make_ca()
            self.sign(hosts, place)
            (self._keys / "ca.key").unlink()
        self._contexts = dict.fromkeys(hosts, self._context(place))

    def make_ca(self) -> None:
        """Make the CA: its certificate beside the answers, its key where keys are."""
        settings = self._keys / "ca.cnf"
        settings.write_text(
            "[req]\nprompt=no\ndistinguished_name=name\nx509_extensions=ca\n"
            f"[name]\nCN=Ship Light kit {os.urandom(4).hex()}\n"
            "[ca]\nbasicConstraints=critical,CA:TRUE,pathlen:0\n"
            "keyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n"
        )
        new = ["-x509", "-config", settings, "-keyout", self._keys / "ca.key"]
        self._openssl("req", *new, *_NEW_KEY, "-days", _DAYS, "-out", self._folder / CA)

    def sign(self, hosts: list[str], place: Path) -> None:
        """Write the key and the certificate for these hosts to one file."""
        names = ",".join(f"DNS:{host}" for host in hosts or ["none.invalid"])
        wanted, key, signed = (self._keys / f"new.{end}" for end in ("csr", "key", "crt"))
        extensions = self._keys / "new.cnf"
        extensions.write_text(
            f"basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n"
            f"keyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\n"
            f"authorityKeyIdentifier=keyid\nsubjectAltName={names}\n"
        )
        subject = ["-subj", "/CN=Ship Light kit", "-keyout", key, "-out", wanted]
        self._openssl("req", "-new", *_NEW_KEY, *subject)
        by = ["-CA", self._folder / CA, "-CAkey", self._keys / "ca.key", "-extfile", extensions]
        self._openssl("x509", "-req", "-in", wanted, *by, "-days", _DAYS, "-out", signed)
        part = place.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_bytes(key.read_bytes() + signed.read_bytes())
        part.rename(place)
        key.unlink()

    def _openssl(self, *command) -> None:
        words = ["openssl", *map(str, command)]
        done = subprocess.run(words, capture_output=True, text=True, cwd=self._keys)
        if done.returncode:
            raise SystemExit(f"openssl failed: {done.stderr.strip()}")

    def _context(self, place: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place)
        context.set_alpn_protocols(["http/1.1"])
        return context


_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Proxy(ThreadingHTTPServer):
    """A server that answers from a store; `record` also asks the origin."""

    daemon_threads = True

    def __init__(self, folder: Path, keys: Path, *, record: bool, port: int):
        self.store, self.certificates = Store(folder), Certificates(folder, keys)
        self.is_recording, self.hosts = record, frozenset(self.store.hosts)
        trusted = folder / UPSTREAM
        self.upstream = ssl.create_default_context(cafile=trusted if trusted.exists() else None)
        self.upstream.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as a company's CA may need
        if record:
            self.certificates.make_ca()
        else:
            self.certificates.for_all(self.store.hosts)
        super().__init__(("", port), Handler)

    def handle_error(self, request, client_address) -> None:
        """Print one line: a client that hangs up, or does not trust the CA, is nothing more."""
        print("failed", repr(sys.exc_info()[1]), flush=True)


class Handler(BaseHTTPRequestHandler):
    """One connection of a client, which CONNECT may turn into one over TLS."""

    protocol_version, wbufsize, timeout = "HTTP/1.1", -1, 10 * _SECONDS
    server: Proxy
    origin = ""  # of what is asked on this connection, once there was a CONNECT

    def finish(self) -> None:
        """End the connection over TLS too, if it became one."""
        super().finish()
        self.connection.close()

    def do_CONNECT(self) -> None:
        """Become the host that the client wants to speak to."""
        host, _, port = self.path.rpartition(":")
        host = host.lower()
        origin = f"https://{host}" if port == "443" else f"https://{host}:{port}"
        if not self.server.is_recording and host not in self.server.hosts:
            self._refuse(f"{origin}/")
            return
        self.send_response(200, "Connection established")
        self.end_headers()
        self.wfile.flush()
        context = self.server.certificates.for_host(host)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.origin, self.close_connection = origin, False  # in HTTP/1.0 too: it begins here

    def do_GET(self) -> None:
        """Answer from the store; otherwise ask the origin, or refuse."""
        url, body = self._url(), self._body()
        if url is None or body is None:
            self.send_error(400)
            return
        accept, exactly = self.headers.get("Accept", ""), self.server.is_recording
        entry = self.server.store.find(self.command, url, accept, exactly=exactly)
        if entry:
            self._say("kit", url)
            self._answer(entry, self.server.store.path(entry))
        elif self.server.is_recording or is_near(urllib.parse.urlsplit(url).hostname):
            self._pass_on(url, body)
        else:
            self._refuse(url)

    do_HEAD = do_POST = do_GET

    def _url(self) -> str | None:
        """What is asked for, as a whole URL; None for what no proxy is asked."""
        if self.origin and self.path.startswith("/"):
            return self.origin + self.path
        host, _, path = self.path.removeprefix("http://").partition("/")
        return f"http://{host.lower()}/{path}" if self.path.startswith("http://") else None

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        chunked = "Transfer-Encoding" in self.headers
        if chunked or not length.isdecimal() or int(length) > _MOST_ASKED:
            return None
        return self.rfile.read(int(length))

    def _say(self, did: str, url: str) -> None:
        print(did, self.command, urllib.parse.quote(url, safe=":/?&=%#@+,;~!$'()*[]"), flush=True)

    def _refuse(self, url: str) -> None:
        self._say(MISSING, url)
        said = f"This step asked for {url}, which the kit does not have.\n".encode()
        self.send_response(403, "Not in the kit")
        self._headers({"content-type": "text/plain; charset=utf-8"}, len(said))
        if self.command != "HEAD":
            self.wfile.write(said)

    def _headers(self, headers: dict[str, str], length: int) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _answer(self, entry: dict, path: Path) -> None:
        self.send_response(entry["status"])
        self._headers(entry["headers"], entry.get("length", entry["bytes"]))
        if self.command != "HEAD":
            with open(path, "rb") as file:
                shutil.copyfileobj(file, self.wfile)

    def _pass_on(self, url: str, body: bytes) -> None:
        """Ask the origin, hand its answer on, and keep it if it is one that can be replayed."""
        part = self.server.store.folder / ANSWERS / f"{threading.get_ident()}.part"
        try:
            entry = self._ask(url, body, part)
            why_not = self._why_not_kept(entry)
            if not why_not:
                kept = self.server.store.path(entry)
                self.server.store.add(part, entry)
                self._say("kept", url)
            else:
                kept = part
                self._say(why_not, url)
            self._answer(entry, kept)
        except (OSError, http.client.HTTPException) as error:
            self._say(f"failed ({error})", url)
            self.close_connection = True
            with suppress(OSError):
                self.send_error(502, "The origin did not answer")
        finally:
            part.unlink(missing_ok=True)

    def _why_not_kept(self, entry: dict) -> str:
        if is_near(urllib.parse.urlsplit(entry["url"]).hostname):
            return "near"
        if self.command == "POST" or entry["status"] not in KEPT_STATUS:
            return f"passed-{entry['status']}"
        if {"Authorization", "Cookie"} & {*map(str.title, self.headers)}:
            return "private"
        return "" if is_entry(entry) else "odd"

    def _ask(self, url: str, body: bytes, part: Path) -> dict:
        """Write the body of the origin's answer to `part`, whole; return its entry."""
        asked = urllib.parse.urlsplit(url)
        place = asked.hostname, asked.port
        if asked.scheme == "https":
            connection = http.client.HTTPSConnection(
                *place, timeout=_SECONDS, context=self.server.upstream
            )
        else:
            connection = http.client.HTTPConnection(*place, timeout=_SECONDS)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_SENT}
        path = asked.path + (f"?{asked.query}" if asked.query else "")
        try:
            connection.request(
                self.command, path or "/", body or None, headers | {"Accept-Encoding": "identity"}
            )
            answer = connection.getresponse()
            digest, size = hashlib.sha256(), 0
            with open(part, "wb") as file:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    digest.update(block)
                    size += len(block)
            said = answer.headers.get("Content-Length")
            if self.command != "HEAD" and said is not None and size != int(said):
                raise http.client.IncompleteRead(b"", int(said) - size)
        finally:
            connection.close()
        length = {"length": int(said)} if self.command == "HEAD" and said else {}
        return {
            "method": self.command,
            "url": url,
            "accept": self.headers.get("Accept", ""),
            "status": answer.status,
            "headers": {k: v for k in KEPT_HEADERS if (v := answer.headers.get(k)) is not None},
            "sha256": digest.hexdigest(),
            "bytes": size,
        } | length

    def log_message(self, text: str, *values) -> None:
        """Print nothing more: each request has its line."""


def is_entry(entry) -> bool:
    """Return whether this is a line of an index as `record` writes it, and as a kit may have it."""
    if not isinstance(entry, dict) or not _KEYS <= entry.keys() <= _KEYS | {"length"}:
        return False
    texts, headers = ("method", "url", "accept", "sha256"), entry["headers"]
    numbers = ("status", "bytes", *({"length"} & entry.keys()))
    return (
        all(isinstance(entry[one], str) for one in texts)
        and all(type(entry[one]) is int and entry[one] >= 0 for one in numbers)
        and entry["method"] in ("GET", "HEAD")
        and _URL.fullmatch(entry["url"]) is not None
        and _TEXT.fullmatch(entry["accept"]) is not None
        and entry["status"] in KEPT_STATUS
        and isinstance(headers, dict)
        and headers.keys() <= set(KEPT_HEADERS)
        and all(isinstance(one, str) and _TEXT.fullmatch(one) for one in headers.values())
    )


def is_near(host: str | None) -> bool:
    """Return whether a host is an address of this machine's own networks, and not a name."""
    with suppress(ValueError):
        return ipaddress.ip_address(host or "").is_private
    return False


def main(mode: str, port: str) -> None:
    """Serve what is beside this file, until the container is stopped."""
    folder, keys = Path(__file__).resolve().parent, Path("/keys")
    server = Proxy(folder, keys, record=mode == "record", port=int(port))
    print("listening", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    os.umask(0o077)
    main(*sys.argv[1:])
