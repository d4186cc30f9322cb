"""A private package index: it serves the folder `packages` beside it to who knows the password.

    python index_server.py PORT SHA256

SHA256 is the digest of `user:password`, so that neither is in the container's settings. It runs in
a container and uses the standard library only. It prints `listening`, and then each request with
its status, without who sent it and without the password.
"""

import base64
import hashlib
import hmac
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = "packages"


class Handler(SimpleHTTPRequestHandler):
    """Serve files to those whose basic authentication has this digest; refuse all others."""

    def __init__(self, *arguments, digest: str, **named):
        self.digest = digest
        super().__init__(*arguments, **named)

    def send_head(self):
        """Return the file or the list that is asked for, to who is known; else refuse."""
        if self._is_known():
            return super().send_head()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="private packages"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def _is_known(self) -> bool:
        kind, _, said = self.headers.get("Authorization", "").partition(" ")
        try:
            given = hashlib.sha256(base64.b64decode(said)).hexdigest()
        except ValueError:
            return False
        return kind == "Basic" and hmac.compare_digest(given, self.digest)

    def log_error(self, *values) -> None:
        """Print nothing more: the line of the request has its status."""

    def log_message(self, text: str, *values) -> None:
        """Print one line a request, at once."""
        print(text % values, flush=True)


def serve(port: int, digest: str, folder: Path) -> ThreadingHTTPServer:
    """Return a server of a folder that listens already; `serve_forever` answers."""
    return ThreadingHTTPServer(("", port), partial(Handler, digest=digest, directory=str(folder)))


if __name__ == "__main__":
    server = serve(int(sys.argv[1]), sys.argv[2], Path(__file__).with_name(FOLDER))
    print("listening", flush=True)
    server.serve_forever()
