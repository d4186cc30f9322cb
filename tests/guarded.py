"""A registry that wants to know who asks: a guard before Debian's docker-registry.

It listens on plain HTTP, which engines take from 127.0.0.1, and wants basic authentication, or a
bearer token as Docker Hub does: its /token gives one to whoever has user and password.
"""

import base64
import http.client
import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD, TOKEN = "ann", "pass-word-of-ann", "bearer-token-of-ann"


class _Guard(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle(self):
        """Tell a client that begins with TLS that this is HTTP, in words that Go knows."""
        if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            return
        super().handle()

    def _answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body, said = self.rfile.read(length), self.headers.get("Authorization", "")
        self.server.asked.append((self.command, self.path, said, body))
        if self.path.startswith("/token"):
            self._token(said, body)
        elif self.server.way != "open" and said not in self.server.takes:
            self._refuse()
        else:
            self._hand_on(body)

    def _token(self, said: str, body: bytes):
        by_form = f"password={PASSWORD}".encode() in body
        if said != basic() and not by_form:
            return self._send(401, b'{"errors": []}')
        answer = {"token": TOKEN, "access_token": TOKEN, "expires_in": 300}
        return self._send(200, json.dumps(answer).encode())

    def _refuse(self):
        here = "{}:{}".format(*self.server.server_address)
        challenge = 'Basic realm="test"'
        if self.server.way == "token":
            scope = "repository:private:pull"
            challenge = f'Bearer realm="http://{here}/token",service="test",scope="{scope}"'
        self._send(401, b'{"errors": []}', {"WWW-Authenticate": challenge})

    def _hand_on(self, body: bytes):
        upstream = http.client.HTTPConnection(self.server.upstream)
        accept = ", ".join(self.headers.get_all("Accept", []))
        headers = {"Host": self.headers["Host"], "Accept": accept}
        headers |= {k: v for k, v in self.headers.items() if k.lower() == "content-type"}
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        kept = ("content-type", "docker-content-digest", "location", "docker-upload-uuid", "range")
        self._send(
            answer.status,
            answer.read(),
            {k: v for k, v in answer.getheaders() if k.lower() in kept},
            answer.getheader("Content-Length"),
        )
        upstream.close()

    def _send(self, status: int, body: bytes, headers=None, length=None):
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", length if length is not None else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _answer


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """An engine that hangs up is none of ours."""


def basic() -> str:
    return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@contextmanager
def guard(upstream: str, way: str) -> Iterator[_Server]:
    """Listen before the registry at `upstream`; `way` is open, basic or token. `asked` fills."""
    server = _Server(("127.0.0.1", 0), _Guard)
    server.upstream, server.way, server.asked = upstream, way, []
    server.takes = {basic()} if way == "basic" else {f"Bearer {TOKEN}"}
    server.host = "{}:{}".format(*server.server_address)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def program(folder: Path) -> str:
    """Debian's docker-registry: that on PATH, else unpacked in `folder`; nothing is installed.

    Raises OSError or CalledProcessError where it is not available.
    """
    if found := shutil.which("docker-registry"):
        return found
    quiet = {"cwd": folder, "check": True, "capture_output": True, "timeout": 120}
    subprocess.run(["apt-get", "download", "docker-registry"], **quiet)
    [package] = folder.glob("docker-registry_*.deb")
    subprocess.run(["dpkg", "-x", package, folder], **quiet)
    return str(folder / "usr" / "bin" / "docker-registry")


@contextmanager
def registry(program: str, folder: Path, host: str = "127.0.0.1") -> Iterator[str]:
    """Run Debian's docker-registry on a free port of this machine; its address."""
    with socket.socket() as free:
        free.bind((host, 0))
        address = "{}:{}".format(*free.getsockname())
    (folder / "config.yml").write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'storage'}}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    with open(folder / "registry.log", "wb") as log:
        command = [program, "serve", str(folder / "config.yml")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                socket.create_connection(address.split(":"), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=10)


def config(folder: Path, *hosts: str) -> Path:
    """Write a Docker configuration that has Ann's credentials for these hosts; its folder."""
    auth = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": dict.fromkeys(hosts, auth)}))
    return folder
