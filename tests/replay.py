"""An engine made of recorded answers: a real HTTP server on a real socket, for the real SDK."""

import base64
import http.server
import json
import lzma
import queue
import re
import socketserver
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shiplight import engine
from shiplight.buildkit import Trace

FIXTURES = Path(__file__).parent / "fixtures"
ANSWERS = sorted(path.name.split(".jsonl")[0] for path in FIXTURES.glob("answer-*-multi.*"))
VERSION = {"ApiVersion": "1.41", "Version": "20.10.24", "Os": "linux", "Arch": "amd64"}
INFO = {"Driver": "overlay2", "DriverStatus": [], "ServerVersion": "20.10.24", "ID": "replayed"}


def recorded(name: str) -> bytes:
    """The lines of a recorded answer to a build."""
    return lzma.decompress((FIXTURES / f"{name}.jsonl.xz").read_bytes())


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "socket"

    def log_message(self, *_):
        pass

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self):
        path = re.sub(r"^/v1\.\d+", "", self.path)
        self.server.seen.append((self.command, path, self._read_body()))
        if path == "/session" and self.server.sessions is not None:
            self._hand_over()
            return
        for pattern, answer in self.server.answers:
            if re.match(pattern, path):
                answer = answer() if callable(answer) else answer
                answer = next(answer) if hasattr(answer, "__next__") else answer
                status, content, complete = (
                    (*answer, True)[:3] if isinstance(answer, tuple) else (200, answer, True)
                )
                break
        else:
            status, content, complete = 404, {"message": f"no such image: {path}"}, True
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        if self.request_version == "HTTP/1.0":  # answered in kind, as Go does: to the end
            self.protocol_version = "HTTP/1.0"
        self.send_response(status)
        if self.protocol_version == "HTTP/1.1":
            self.send_header("Content-Length", str(len(body) + (0 if complete else 100)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = not complete or self.protocol_version == "HTTP/1.0"

    def _hand_over(self):
        """Let a test have the connection, as an engine does with that of a session."""
        self.wfile.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        self.wfile.flush()
        over = threading.Event()
        self.server.sessions.put((self.connection.dup(), dict(self.headers), over))
        over.wait(30)
        self.close_connection = True

    do_GET = do_POST = do_DELETE = _answer


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up is what some tests are about."""


@contextmanager
def engine_of(folder: Path, *answers, sessions: queue.Queue | None = None):
    """Serve `answers`: pairs of a path pattern and a body, or (status, body[, whole]).

    An iterator of these answers once with each; a function is called for its answer. Into
    `sessions` go the connections of BuildKit sessions: socket, headers, an event that ends them.
    """
    socket = folder / "engine.sock"
    server = _Server(str(socket), _Handler)
    server.answers = [*answers, (r"/version$", VERSION), (r"/info$", INFO), (r"/_ping$", b"OK")]
    server.seen, server.sessions = [], sessions
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"unix://{socket}", server.seen
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def connected(folder: Path, monkeypatch):
    """Give a function that starts an engine of such answers: it returns a client, what was asked.

    The engines end with the block.
    """
    with ExitStack() as opened:

        def start(*answers, **how):
            url, seen = opened.enter_context(engine_of(folder, *answers, **how))
            monkeypatch.setenv("DOCKER_HOST", url)
            return engine.connect(), seen

        yield start


def trace_of(name: str) -> Trace:
    """The trace of a build, out of the recorded answer of an engine."""
    trace = Trace()
    for line in map(json.loads, recorded(name).splitlines()):
        if line.get("id") == "moby.buildkit.trace":
            trace.add(base64.b64decode(line["aux"]))
    return trace
