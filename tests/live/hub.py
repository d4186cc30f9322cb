"""Docker Hub and gcr.io on this machine: images in the shape of official ones, and what fails.

A real registry has the images; in front of it, in an engine's own network, stands this program. It
speaks TLS as registry-1.docker.io, auth.docker.io and gcr.io, and HTTP as a mirror; as Docker Hub
it wants a token, which anybody gets. What it does wrong, the file `faults.json` says:

    [{"match": "library/busybox/manifests", "do": "status", "status": 429, "headers": {…}}]
    do: status | html | silent | corrupt; `method` and `times` narrow it

    python tests/live/hub.py FOLDER UPSTREAM    (as hub.serving() starts it)
"""

import gzip
import hashlib
import http.client
import http.server
import io
import json
import re
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import ClassVar

NAMES = ("registry-1.docker.io", "auth.docker.io", "docker.io", "index.docker.io", "gcr.io")
HUB = ("registry-1.docker.io", "docker.io", "index.docker.io")
MIRROR, PREFIX = "127.0.0.1:5001", "team/hub"
LIMIT = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "76;w=21600"}
OCI = "application/vnd.oci.image."
INDEX, MANIFEST, CONFIG = f"{OCI}index.v1+json", f"{OCI}manifest.v1+json", f"{OCI}config.v1+json"


# --- images, as official ones are ----------------------------------------------------------------


class Images:
    """Puts images into the plain registry at `address`."""

    def __init__(self, address: str):
        self.base = f"http://{address}/v2"

    def put(self, saved: bytes, repository: str, tag: str, *, packing: str = "gzip", **more) -> str:
        """Put a saved image as an index: for amd64, another for arm64, an attestation for each.

        The digest of the index. `more` goes into the image's environment, so that it is another.
        """
        config, layers = contents(saved, more)
        tiny = {"architecture": "arm64", "os": "linux", "config": {"Cmd": ["/none"]}}
        found = []
        for description, tars in ((config, layers), (tiny, [tar_of("arm64", repository)])):
            found += self._manifests(repository, description, tars, packing)
        return self._index(repository, tag, found)

    def put_made(
        self, repository: str, tag: str, text: str, *, architecture="amd64", packing="gzip"
    ) -> str:
        """Put an image for one platform, with a file of this text in its one layer."""
        config = {"architecture": architecture, "os": "linux", "config": {"Cmd": ["/file"]}}
        found = self._manifests(repository, config, [tar_of("file", text)], packing)
        return self._index(repository, tag, list(found))

    def _manifests(self, repository: str, config: dict, tars: list[bytes], packing: str):
        """Yield the entries of an index: the image, and what attests it."""
        ids = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]
        config = config | {"rootfs": {"type": "layers", "diff_ids": ids}}
        image = self._manifest(repository, config, [packed(tar, packing) for tar in tars], packing)
        yield image | {"platform": {"os": "linux", "architecture": config["architecture"]}}
        unknown = {"os": "unknown", "architecture": "unknown"}
        notes = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image["digest"],
        }
        statement = self._manifest(repository, unknown, [b'{"_type": "statement"}'], "gzip")
        yield statement | {"platform": unknown, "annotations": notes}

    def _manifest(self, repository: str, config: dict, layers: list[bytes], packing: str) -> dict:
        kind = f"{OCI}layer.v1.tar+{packing}"
        body = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(repository, json.dumps(config).encode(), CONFIG),
            "layers": [self._blob(repository, layer, kind) for layer in layers],
        }
        return self._put_manifest(repository, None, body)

    def _index(self, repository: str, tag: str, manifests: list[dict]) -> str:
        body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        return self._put_manifest(repository, tag, body)["digest"]

    def _put_manifest(self, repository: str, tag: str | None, body: dict) -> dict:
        data, kind = json.dumps(body).encode(), body["mediaType"]
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._call("PUT", f"{self.base}/{repository}/manifests/{tag or digest}", data, kind)
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def _blob(self, repository: str, data: bytes, kind: str) -> dict:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        where = self._call("POST", f"{self.base}/{repository}/blobs/uploads/", b"").headers[
            "Location"
        ]
        self._call("PUT", f"{where}{'&' if '?' in where else '?'}digest={digest}", data)
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def _call(self, method: str, url: str, data: bytes, kind: str = "application/octet-stream"):
        headers = {"Content-Type": kind}
        asked = urllib.request.Request(url, data, headers, method=method)
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=60)


def contents(saved: bytes, more: dict[str, str]) -> tuple[dict, list[bytes]]:
    """Return the configuration of a saved image, without labels of ours, and its layers' tars."""
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        [image] = json.load(archive.extractfile("manifest.json"))
        said = json.load(archive.extractfile(image["Config"]))
        layers = [archive.extractfile(path).read() for path in image["Layers"]]
    layers = [gzip.decompress(one) if one[:2] == b"\x1f\x8b" else one for one in layers]
    config, labels = dict(said["config"]), said["config"].get("Labels") or {}
    config["Labels"] = {k: v for k, v in labels.items() if not k.startswith("shiplight.")}
    config["Env"] = [*(config.get("Env") or []), *(f"{k}={v}" for k, v in more.items())]
    history = [{"created_by": f"layer {number}"} for number in range(len(layers))]
    kept = {"architecture": "amd64", "os": "linux", "config": config, "history": history}
    return kept, layers


def tar_of(name: str, text: str) -> bytes:
    """Return a tar of one file."""
    out, data = io.BytesIO(), text.encode()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def packed(data: bytes, packing: str) -> bytes:
    """Return a layer as a registry keeps it."""
    if packing == "zstd":
        import zstandard

        return zstandard.compress(data)
    return gzip.compress(data, compresslevel=1, mtime=0)


# --- whom an engine takes for whom ---------------------------------------------------------------


def prepare(folder: Path) -> None:
    """Write a certificate for all these names, and the files with which an engine trusts it."""
    alternatives = ",".join(f"DNS:{name}" for name in NAMES)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=registries of the tests"]
    command += ["-addext", f"subjectAltName={alternatives}"]
    command += ["-keyout", folder / "tls.key", "-out", folder / "ca.crt"]
    subprocess.run(command, check=True, capture_output=True)
    for name in NAMES:
        (folder / "certs.d" / name).mkdir(parents=True)
        (folder / "certs.d" / name / "ca.crt").write_bytes((folder / "ca.crt").read_bytes())
    (folder / "hosts").write_text(f"127.0.0.1 localhost {' '.join(NAMES)}\n")
    (folder / "faults.json").write_text("[]")
    (folder / "asked.jsonl").touch()


# --- the program ---------------------------------------------------------------------------------


class Hub(http.server.BaseHTTPRequestHandler):
    """One request: something is wrong with it, or a token is wanted, or it is handed on."""

    protocol_version = "HTTP/1.1"
    folder: Path
    upstream: str
    lock = threading.Lock()
    used: ClassVar[dict[str, int]] = {}

    def log_message(self, *_):
        pass

    def do_GET(self):
        host = (self.headers.get("Host") or "").partition(":")[0]
        self.note(host)
        fault = self.fault(host)
        if fault and fault["do"] != "corrupt":
            return self.fail(fault)
        if host == "auth.docker.io":
            return self.answer(200, b'{"token": "good", "expires_in": 300}')
        if host in HUB and self.headers.get("Authorization") != "Bearer good":
            repository = re.match(r"/v2/(.+)/(manifests|blobs)/", self.path)
            scope = f',scope="repository:{repository[1]}:pull"' if repository else ""
            realm = (
                f'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"{scope}'
            )
            return self.answer(401, b'{"errors": []}', {"WWW-Authenticate": realm})
        path = self.path
        if host not in NAMES:
            if path.startswith("/v2/") and path != "/v2/" and f"/v2/{PREFIX}/" not in path:
                return self.answer(404, b'{"errors": [{"code": "NAME_UNKNOWN"}]}')
            path = path.replace(f"/v2/{PREFIX}/", "/v2/", 1)
        return self.hand_on(path, LIMIT if host in HUB else {}, corrupt=bool(fault))

    do_HEAD = do_POST = do_GET

    def note(self, host: str) -> None:
        line = json.dumps([self.command, host, self.path])
        with self.lock, open(self.folder / "asked.jsonl", "a") as file:
            file.write(f"{line}\n")

    def fault(self, host: str) -> dict | None:
        for fault in json.loads((self.folder / "faults.json").read_text()):
            if fault.get("method", self.command) != self.command:
                continue
            if re.search(fault["match"], f"{host}{self.path}"):
                key = json.dumps(fault)
                with self.lock:
                    self.used[key] = self.used.get(key, 0) + 1
                    if self.used[key] <= fault.get("times", 1000):
                        return fault
        return None

    def fail(self, fault: dict) -> None:
        if fault["do"] == "silent":
            time.sleep(fault.get("seconds", 300))
            self.close_connection = True
        elif fault["do"] == "html":
            page = b"<html>Welcome to our guest network</html>"
            self.answer(200, page, {"Content-Type": "text/html"})
        else:
            said = {"errors": [{"code": fault.get("code", "UNKNOWN"), "message": "as told"}]}
            self.answer(fault["status"], json.dumps(said).encode(), fault.get("headers"))

    def hand_on(self, path: str, more: dict[str, str], *, corrupt: bool) -> None:
        upstream = http.client.HTTPConnection(self.upstream, timeout=60)
        accept = ", ".join(self.headers.get_all("Accept", []))
        upstream.request(self.command, path, headers={"Accept": accept})
        found = upstream.getresponse()
        body = found.read()
        if corrupt and self.command == "GET":
            body = body[:-1] + bytes([body[-1] ^ 1])
        kept = ("content-type", "docker-content-digest", "docker-distribution-api-version")
        headers = {key: value for key, value in found.getheaders() if key.lower() in kept}
        self.answer(found.status, body, headers | more, found.getheader("Content-Length"))
        upstream.close()

    def answer(self, status: int, body: bytes, headers=None, length: str | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def parse_request(self):
        if self.raw_requestline[:1] == b"\x16":  # TLS, where this is HTTP: as Go and nginx say it
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            self.close_connection = True
            return False
        return super().parse_request()

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True


def main(folder: Path, upstream: str) -> None:
    """Serve until somebody ends this program; it says `ready` when it listens."""
    Hub.folder, Hub.upstream = folder, upstream
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.crt", folder / "tls.key")
    for port, with_tls in ((443, True), (int(MIRROR.partition(":")[2]), False)):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Hub)
        server.daemon_threads = True
        if with_tls:
            handshake = {"server_side": True, "do_handshake_on_connect": False}
            server.socket = context.wrap_socket(server.socket, **handshake)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
