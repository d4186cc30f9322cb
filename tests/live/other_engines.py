"""Other engines beside the machine's own, for as long as a `with` lasts.

Each comes from a Debian root file system and runs in namespaces of its own (network, mounts,
processes), so that nothing of it is left when it ends. All that it shares with the machine is the
kernel, one pair of network devices, and three rules for packets, which go again. Linux, root.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shiplight import engine

HUB = "-hub"  # ends the name of an engine with registries of its own
EMULATED = "-arm64"  # ends the name of one that builds for another platform
ROOTS = Path("/var/lib/engines")
RUNS = Path("/run/engines")
START_SECONDS, STOP_SECONDS, MAKE_SECONDS = 60, 30, 900
DOCKER = "docker.io,containerd,runc,iptables"
PODMAN = "podman,netavark,aardvark-dns,conmon,runc,containers-storage,iptables,nftables"


@dataclass(frozen=True)
class Other:
    """One engine that can be tried: whose packages it is made of, and how it is started."""

    name: str
    suite: str
    command: str
    packages: str = DOCKER
    registries: Path | None = None  # a folder as hub.py makes it: whom the engine takes for whom

    @property
    def number(self) -> int:
        """Tells this engine's network from the others'."""
        named = self.name.removesuffix(HUB).removesuffix(EMULATED)
        round_of = ["", HUB, EMULATED].index(self.name.removeprefix(named))
        return list(OTHERS).index(named) + 1 + round_of * len(OTHERS)

    @property
    def root(self) -> Path:
        return ROOTS / f"root-{'podman' if self.packages is PODMAN else self.suite}"

    @property
    def data(self) -> Path:
        return ROOTS / f"data-{self.name}"

    @property
    def run(self) -> Path:
        return RUNS / self.name

    @property
    def device(self) -> str:
        """The machine's end of the pair; the engine's is eth0."""
        return f"engine{self.number}"

    @property
    def address(self) -> str:
        """What is reached under {0}.1 (here) and {0}.2 (there)."""
        return f"10.213.{self.number}"

    @property
    def url(self) -> str:
        return f"unix://{self.run / 'docker.sock'}"

    @property
    def environment(self) -> dict[str, str]:
        """For a program that is to use this engine."""
        return {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")} | {
            "DOCKER_HOST": self.url
        }

    @property
    def version(self) -> str:
        """The version of the Docker engine in its root file system, which `make_root` makes."""
        command = ["chroot", self.root, "dockerd", "--version"]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        return re.search(r"version ([^\s,]+)", said.stdout)[1]

    def inside(self, *command: str) -> list[str]:
        """`command` where this engine's 127.0.0.1 is: what it publishes is reached there only."""
        return ["nsenter", f"--net=/run/netns/{self.device}", *command]


_DOCKERD = "dockerd --data-root {data} -H unix:///run/docker.sock"
# Podman asks for higher limits than a process here may set; Docker takes what there is.
_LIMITS = r"default_ulimits = [\"nofile=$(ulimit -n)\", \"nproc=$(ulimit -u)\"]"
_PODMAN = (
    f'echo -e "[containers]\\n{_LIMITS}" > /run/limits.conf\n'
    "CONTAINERS_CONF_OVERRIDE=/run/limits.conf podman --runtime runc "
    "--root {data} --runroot /run/containers system service -t 0 unix:///run/docker.sock"
)
OTHERS = {
    other.name: other
    for other in (
        Other("26.1", "trixie", _DOCKERD),
        Other("28.5", "forky", f"{_DOCKERD} --feature containerd-snapshotter=false"),
        Other("28.5-containerd", "forky", f"{_DOCKERD} --feature containerd-snapshotter=true"),
        Other("podman", "trixie", _PODMAN, PODMAN),
    )
}

# Process 1 of the engine's name spaces: it reaps, and when it ends, all of them end.
INIT = """
set -e
mount --make-rprivate /
mount --bind {root} {root}
cd {root}
mkdir -p old ./{data}
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount --bind {run} run
mount --bind {data} ./{data}
{registries}
pivot_root . old
umount -l /old
{command} &
trap 'kill $!' TERM
wait $! || wait $!
"""


# For an engine whose registries are of this machine: their names, and the certificate they have.
REGISTRIES = """
touch etc/hosts
mount --bind {0}/hosts etc/hosts
mkdir -p etc/docker
mount -t tmpfs tmpfs etc/docker
cp -r {0}/certs.d etc/docker/
cat etc/ssl/certs/ca-certificates.crt {0}/ca.crt > run/bundle.crt
export SSL_CERT_FILE=/run/bundle.crt SSL_CERT_DIR=/none"""


@contextmanager
def running(other: Other, *, keep: bool = False) -> Iterator:
    """A client of this engine, which runs until the block is left; `keep` keeps its data.

    Raises RuntimeError where it does not start, or where the machine's rules are not as before.
    """
    before = _rules()
    make_root(other)
    shutil.rmtree(other.run, ignore_errors=True)  # of a run that was killed: it names processes
    if not keep:  # of such a run too, and so no engine's to rely on
        shutil.rmtree(other.data, ignore_errors=True)
    for path in (other.run, other.data):
        path.mkdir(parents=True, exist_ok=True)
    _unplug(other)
    try:
        _plug(other)
        with _started(other) as client:
            yield client
    finally:
        _unplug(other)
        shutil.rmtree(other.run)
        if not keep:
            shutil.rmtree(other.data)
    if gone := before - _rules():
        raise RuntimeError(f"rules of this machine are gone: {sorted(gone)}")


def make_root(other: Other) -> None:
    """Its root file system, with this machine's resolver and certificates; whole or not at all."""
    ROOTS.mkdir(parents=True, exist_ok=True)
    with open(ROOTS / "lock", "w") as lock:
        os.lockf(lock.fileno(), os.F_LOCK, 0)  # two engines of one suite share its root
        if not other.root.exists():
            part = other.root.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            print(f"making {other.root} (a minute)", flush=True)
            packages = f"ca-certificates,iproute2,git,{other.packages}"
            stale = "--aptopt=Acquire::Check-Valid-Until false"
            made = ["mmdebstrap", stale, "--variant=minbase", f"--include={packages}"]
            _call(*made, other.suite, str(part), seconds=MAKE_SECONDS)
            part.rename(other.root)
    for path in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
        shutil.copy(f"/{path}", other.root / path)


@contextmanager
def _started(other: Other) -> Iterator:
    """The client of the started engine, which is stopped afterwards, and never outlives us."""
    named = {name: getattr(other, name) for name in ("root", "run", "data")}
    registries = REGISTRIES.format(other.registries) if other.registries else ""
    script = INIT.format(**named, registries=registries, command=other.command.format(**named))
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", script]
    command = ["setpriv", "--pdeathsig", "KILL", *other.inside(*own)]
    log = other.data / "engine.log"
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        client = engine.wait_until_answers(other.url, seconds=START_SECONDS)
        if client is None:
            raise RuntimeError(f"{other.name} did not start:\n{log.read_text()[-2000:]}")
        yield client
    finally:
        _stop(process)


def _stop(process: subprocess.Popen) -> None:
    """End the engine in good order, or, when its time is over, with all that it started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with suppress(OSError):
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()  # and with it, by --kill-child, the whole name space
        process.wait(STOP_SECONDS)


# --- its network -----------------------------------------------------------------------------


def _plug(other: Other) -> None:
    """A network namespace whose way out is translated to this machine's address."""
    name, address = other.device, other.address
    _call("ip", "netns", "add", name)
    _call("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
    _call("ip", "addr", "add", f"{address}.1/24", "dev", name)
    _call("ip", "link", "set", name, "up")
    for line in (
        f"addr add {address}.2/24 dev eth0",
        "link set eth0 up",
        "link set lo up",
        f"route add default via {address}.1",
    ):
        _call("ip", "-n", name, *line.split())
    for rule in _own_rules("-I", other):
        _call("iptables", "-w", *rule)


def _unplug(other: Other) -> None:
    """Take away what `_plug` made, or what a run that was killed left of it."""
    for rule in _own_rules("-D", other):
        with suppress(RuntimeError):
            _call("iptables", "-w", *rule)
    for kind, name in (("link", other.device), ("netns", other.device)):
        with suppress(RuntimeError):
            _call("ip", kind, "delete", name)


def _own_rules(do: str, other: Other) -> list[list[str]]:
    """What this machine has to let through: Docker's own policy for forwarding is DROP."""
    subnet = f"{other.address}.0/24"
    return [
        ["-t", "nat", do, "POSTROUTING", "-s", subnet, "-j", "MASQUERADE"],
        [do, "FORWARD", "-i", other.device, "-j", "ACCEPT"],
        [do, "FORWARD", "-o", other.device, "-j", "ACCEPT"],
    ]


def _rules() -> set[str]:
    """The machine's rules for packets, but for those of single containers and of networks."""
    lines = _call("iptables-save").splitlines()
    passing = ("/32", "DNAT", " br-", " engine", " 10.213.")
    return {line for line in lines if line[:2] == "-A" and not any(x in line for x in passing)}


def _call(*command: str, seconds: float = 60) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-1000:]}")
    return done.stdout
