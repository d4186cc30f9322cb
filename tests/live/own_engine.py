"""A Docker engine for one test module: its own processes, mounts and network, gone as a whole.

It lives in namespaces that one sleeping process holds; when that ends, the kernel ends everything
in them. So it may be stopped, killed and filled up, and neither the engine of this machine nor its
rules for packets can be reached from inside.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import docker.errors
import pytest

from shiplight import engine
from shiplight.builds import provide

OWN = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
INSIDE = """
set -e
mount -t tmpfs tmpfs /run
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
[ -z "$SIZE" ] || mount -t tmpfs -o size=$SIZE tmpfs $FOLDER/data
ip link set lo up
echo ready
sleep infinity & wait  # and so reap what is left over, as an init does
"""


class OwnEngine:
    """One engine in `folder`, its data on a memory disk of `size`; with "", in that folder."""

    def __init__(self, *, size: str = "256m"):
        self.folder = Path(tempfile.mkdtemp(prefix="slengine"))
        (self.folder / "data").mkdir()
        self.url = f"unix://{self.folder}/docker.sock"
        self._holder = subprocess.Popen(
            [*OWN, "bash", "-c", INSIDE],
            env=os.environ | {"FOLDER": str(self.folder), "SIZE": size},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if self._holder.stdout.readline() != "ready\n":
            said = self._holder.communicate()[1].strip()
            self.close()
            pytest.skip(f"not for this machine: no name spaces: {said}")
        self._first = _child_of(self._holder)
        self._daemon: subprocess.Popen | None = None

    def inside(self, *command: str) -> list[str]:
        """The command line that runs a command where the engine's ports can be reached."""
        return ["nsenter", "--target", self._first, "--net", *command]

    def start(self, **environment: str) -> docker.DockerClient:
        """Start it; the client, as soon as it answers."""
        (self.folder / "docker.pid").unlink(missing_ok=True)
        with open(self.folder / "dockerd.log", "ab") as log:
            self._daemon = subprocess.Popen(
                [
                    *("nsenter", "--target", self._first, "--net", "--mount", "--pid"),
                    *("dockerd", "--data-root", str(self.folder / "data")),
                    *("--exec-root", "/run/exec", "--pidfile", str(self.folder / "docker.pid")),
                    *("--host", self.url, "--shutdown-timeout", "3"),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | environment,
            )  # fmt: skip
        client = engine.wait_until_answers(self.url, seconds=60)
        assert client, (self.folder / "dockerd.log").read_text()[-3000:]
        return client

    def stop(self, how: int) -> None:
        """Send it a signal, and wait until it has ended."""
        os.kill(int(_child_of(self._daemon)), how)
        self._daemon.wait(30)

    def listed(self, folder: Path) -> list[str]:
        """What a folder of the engine's disk holds, which only it can see."""
        command = ["nsenter", "--target", self._first, "--mount", "ls", "-A", str(folder)]
        return subprocess.run(command, capture_output=True, text=True).stdout.split()

    def disk_bytes(self) -> int:
        """The bytes that the engine's data take on its disk."""
        command = [
            "nsenter",
            "--target",
            self._first,
            "--mount",
            "du",
            "-sk",
            f"{self.folder}/data",
        ]
        return 1024 * int(subprocess.run(command, capture_output=True, text=True).stdout.split()[0])

    def close(self) -> None:
        """End everything in it, and remove its folder."""
        self._holder.kill()
        self._holder.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


def _child_of(process: subprocess.Popen) -> str:
    """The number, out here, of the one process that this one has started."""
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]


def skip_where_none_can_be() -> None:
    """Skip the test where this machine by its kind has no private engine."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("not for this machine: a private engine needs root on Linux")
    for program in ("dockerd", "unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"not for this machine: {program} is not installed")


def hand_over(name: str, one: docker.DockerClient, other: docker.DockerClient) -> None:
    """Give the other engine an image of the first."""
    with engine.export_image(one, name) as chunks:
        other.api.load_image(b"".join(chunks))


@contextmanager
def with_busybox(client: docker.DockerClient, *, size: str = "256m") -> Iterator[OwnEngine]:
    """Run an engine of a test's own that has busybox, for as long as the block lasts."""
    skip_where_none_can_be()
    [base] = provide(client, ["busybox"])
    own = OwnEngine(size=size)
    try:
        hand_over(base.used, client, own.start())
        yield own
    finally:
        own.close()
