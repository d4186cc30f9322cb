"""A registry on 127.0.0.1, with TLS and a certificate of its own, that does wrong what it is told.

It has what `factories.oci_files` writes, wants a token, a password or nothing, and notes what it
was asked.
"""

import base64
import datetime
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, SECRET = "ann", "pass-word-of-ann"
LOGIN = "Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()).decode()


class Answers(http.server.BaseHTTPRequestHandler):
    """One request of a client."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one piece: in two, a client's system waits 40 ms

    def log_message(self, *_):
        pass

    def do_GET(self):
        place, said = self.server.place, self.headers.get("Authorization", "")
        place.asked.append((self.command, self.path, said))
        if self.path.startswith("/token"):
            wanted = LOGIN if place.private else ""
            if place.private and said != wanted:
                return self.send(401, b"{}")
            return self.send(200, json.dumps({"token": "good"}).encode())
        if place.way == "token" and said != "Bearer good":
            realm = f'Bearer realm="{place.url}/token",service="s",scope="repository:a/b:pull"'
            return self.send(401, b"{}", {"WWW-Authenticate": realm})
        if place.way == "basic" and said != LOGIN:
            return self.send(401, b"{}", {"WWW-Authenticate": 'Basic realm="x"'})
        for part, (status, headers, body) in place.faults.items():
            if part in self.path:
                return self.send(status, body, headers)
        name = self.path.rpartition("/")[2]
        name = place.tags.get(name, name)
        data = place.blobs.get("blobs/" + name.replace(":", "/"))
        if data is None:
            return self.send(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
        if name in place.cut and "/blobs/" in self.path:
            self.close_connection = True
            return self.send(200, data[: len(data) // 2], length=len(data))
        if name in place.stalls and "/blobs/" in self.path:
            self.send(200, data[: len(data) // 2], length=len(data))
            self.wfile.flush()
            place.over.wait(20)
            self.close_connection = True
            return None
        if name in place.elsewhere and "/blobs/" in self.path:
            return self.send(307, b"", {"Location": f"{place.elsewhere[name]}{self.path}"})
        return self.send(200, data)

    do_HEAD = do_GET

    def send(self, status: int, body: bytes, headers=None, length: int | None = None):
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    """It keeps quiet of clients that hang up."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Place:
    """The registry: put blobs and tags in, and see what was `asked`."""

    def __init__(self, server: Server, scheme: str):
        self.host = "{}:{}".format(*server.server_address)
        self.url = f"{scheme}://{self.host}"
        self.way, self.private = "open", False
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.faults: dict[str, tuple] = {}
        self.cut: set[str] = set()
        self.stalls: set[str] = set()
        self.over = threading.Event()
        self.elsewhere: dict[str, str] = {}
        self.asked: list[tuple[str, str, str]] = []

    def put(self, files: dict[str, bytes], tag: str = "latest") -> str:
        """Put an image in the OCI layout under a tag; the digest of its index or manifest."""
        [top] = json.loads(files["index.json"])["manifests"]
        self.blobs |= {path: data for path, data in files.items() if path.startswith("blobs/")}
        self.tags[tag] = top["digest"]
        return top["digest"]

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked if not path.startswith("/token")]

    @property
    def scopes(self) -> list[str]:
        """What tokens were asked for."""
        tokens = [path for _, path, _ in self.asked if path.startswith("/token")]
        return [parse_qs(urlsplit(path).query)["scope"][0] for path in tokens]


@contextmanager
def serving(certificate: Path | None) -> Iterator[Place]:
    """Serve with a certificate, or without TLS."""
    server = Server(("127.0.0.1", 0), Answers)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        how = {"server_side": True, "do_handshake_on_connect": False}
        server.socket = context.wrap_socket(server.socket, **how)
    server.place = Place(server, "https" if certificate else "http")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.place
    finally:
        server.place.over.set()
        server.shutdown()
        server.server_close()


def certificate(file: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry of the tests")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(secret + signed.public_bytes(pem))
    return file
