"""An engine that takes registries of this machine for Docker Hub and gcr.io."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from guarded import registry
from hub import Images, prepare
from other_engines import HUB, OTHERS, Other, running

from shiplight.setup import ROOT


@dataclass
class Place:
    """An engine with registries of its own, and what can be done to these."""

    client: object
    other: Other
    images: Images
    folder: Path
    saved: dict[str, bytes] = field(default_factory=dict)

    def put(self, repository: str, tag: str = "latest", **more) -> str:
        """Put another busybox into the registry."""
        return self.images.put(self.saved["busybox:latest"], repository, tag, **more)

    @contextmanager
    def wrong(self, *faults: dict):
        """Let the registries do this wrong while the block lasts."""
        (self.folder / "faults.json").write_text(json.dumps(faults))
        try:
            yield
        finally:
            (self.folder / "faults.json").write_text("[]")

    def asked(self) -> list[tuple[str, str, str]]:
        """Every request to a registry so far: method, host, path."""
        lines = (self.folder / "asked.jsonl").read_text().splitlines()
        return [tuple(json.loads(line)) for line in lines]

    def inside(self, *command: str) -> list[str]:
        """`command` where the names of the registries mean these."""
        hosts = f'mount --bind {self.folder}/hosts /etc/hosts && exec "$0" "$@"'
        return self.other.inside("unshare", "--mount", "sh", "-c", hosts, *command)

    @property
    def environment(self) -> dict[str, str]:
        """For a program that is to use this engine, and to trust its registries."""
        trusted = {"REQUESTS_CA_BUNDLE": f"{self.folder}/ca.crt", "SSL_CERT_FILE": ""}
        return self.other.environment | trusted

    def lab(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        """Run `./lab` there."""
        command = self.inside(sys.executable, "-m", "shiplight", *arguments)
        given = self.environment | environment
        return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True)


@contextmanager
def placed(name: str, program: str, storage: Path, folder: Path) -> Iterator[Place]:
    """Start one of the other engines, and a registry that keeps its images in `storage`.

    `folder`, which must not exist, gets the registries' certificate and what they are asked.
    """
    folder.mkdir()
    prepare(folder)
    other = replace(OTHERS[name], name=f"{name}{HUB}", registries=folder)
    with running(other) as client, registry(program, storage, f"{other.address}.1") as address:
        command = other.inside(sys.executable, str(Path(__file__).with_name("hub.py")))
        hub = subprocess.Popen([*command, str(folder), address], stdout=subprocess.PIPE, text=True)
        try:
            if hub.stdout.readline() != "ready\n":
                raise RuntimeError("the registries of the tests did not start")
            yield Place(client, other, Images(address), folder)
        finally:
            hub.kill()
            hub.communicate()
