"""Try deploy/hub on a bare server: python tests/deploy/try_hub.py BASES [KIT]

The server is a set of namespaces on this machine (Linux, root): processes, mounts, network and an
engine of its own, which all end with it. BASES is an archive of `docker save` with the base images
of deploy/hub/Dockerfile, KIT one of those of go/multi and of busybox, both under their official
names, with the scanner's database beside it, in `db/`; for machines that reach no registry. It
needs dockerd, Docker Compose 2 (`docker compose`, or the program that COMPOSE names), slirp4netns,
loop devices, and 20 GB of free disk.

Everything is done as people do it: signing up and in by the forms of the login page, and cells in
kernels, through the hub's proxy, each with a token that the learner made. It ends with 1 at the
first sentence that is not true.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import requests
import websocket

ROOT = Path(__file__).resolve().parents[2]
HUB = "http://127.0.0.1:8000"
SOCKET = "unix:///run/docker.sock"
DISKS = Path("/srv/shiplight")
DISK = "4G"
SERVER = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
mkdir -p $FOLDER/docker $FOLDER/srv /srv
mount --bind $FOLDER/srv /srv
echo nameserver 10.0.2.3 >/run/resolv.conf
mount --bind /run/resolv.conf /etc/resolv.conf
ip link set lo up
echo ready
read -r network
"$@"
"""


# --- the server ---------------------------------------------------------------------------------


def on_a_bare_server(arguments: list[str]) -> int:
    """Run this script again in namespaces of its own; its exit code."""
    with tempfile.TemporaryDirectory(prefix="slhub", dir="/var/tmp") as folder:
        server = subprocess.Popen(
            [
                *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *("bash", "-c", SERVER, "server"),
                *(sys.executable, __file__, "--inside", *arguments),
            ],
            env=os.environ | {"FOLDER": folder, "DOCKER_HOST": SOCKET, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert server.stdout.readline() == "ready\n", "no namespaces on this machine"
            first = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0]
            return in_its_network(server, first)
        finally:
            server.kill()
            server.wait()


def in_its_network(server: subprocess.Popen, process: str) -> int:
    """Give a process's network namespace a way out, let `server` go on, and print what it says."""
    network = subprocess.Popen(
        [
            *("slirp4netns", "--configure", "--mtu=1400", "--disable-host-loopback"),
            *(process, "tap0"),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        time.sleep(2)
        server.stdin.write("here\n")
        server.stdin.flush()
        for line in server.stdout:
            print(line, end="", flush=True)
        return server.wait()
    finally:
        network.kill()
        network.wait()


class Engine:
    """The server's own dockerd."""

    def __init__(self):
        self.folder = Path(os.environ["FOLDER"])
        self.start()

    def start(self) -> None:
        """Start it; returns as soon as it answers."""
        Path("/run/docker.pid").unlink(missing_ok=True)
        with open(self.folder / "dockerd.log", "ab") as log:
            self.daemon = subprocess.Popen(
                [
                    *("dockerd", "--data-root", self.folder / "docker", "--host", SOCKET),
                    *("--exec-root", "/run/exec", "--pidfile", "/run/docker.pid"),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.client = wait_for(
            lambda: docker.DockerClient(base_url=SOCKET, timeout=600), 60, "the server's engine"
        )

    def restart_the_server(self) -> None:
        """End everything and unmount every disk, as a restart of the server does; then start."""
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(120)
        for disk in mounted_disks():
            subprocess.run(["umount", disk], check=True)
        self.start()


def mounted_disks() -> list[str]:
    """Return the folders that learners' disks are mounted at."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [folder for folder in mounts if folder.startswith(f"{DISKS}/")]


def compose(*arguments: str, **settings: str) -> None:
    """Run Docker Compose with our file."""
    command = os.environ.get("COMPOSE", "docker compose").split()
    subprocess.run(
        [*command, "--progress", "plain", "-f", ROOT / "deploy/hub/compose.yaml", *arguments],
        env=os.environ | {"BUILDX_GIT_INFO": "false", "COMPOSE_BAKE": "false", **settings},
        stdout=sys.stderr,
        check=True,
    )


def wait_for(ask, seconds: float, what: str):
    """Return what `ask` returns, as soon as it is true and raises nothing."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(requests.RequestException, docker.errors.DockerException, KeyError):
            if found := ask():
                return found
        time.sleep(0.5)
    sys.exit(f"{what}: not after {seconds:.0f} s")


def true(sentence: str, is_true, evidence: object = "") -> None:
    """Print a sentence that is true; end here where it is not."""
    shown = f" ({evidence})" if evidence != "" else ""
    print(f"{'✓' if is_true else '✗'} {sentence}{shown}")
    if not is_true:
        sys.exit(1)


# --- people -------------------------------------------------------------------------------------


class Person:
    """Somebody with a browser and a password."""

    def __init__(self, name: str):
        self.name, self.password = name, f"a long password of {name}"
        self.browser = requests.Session()
        self.token = ""

    def form(self, path: str, **fields: str) -> requests.Response:
        """Open a page and send its form, as a browser does."""
        self.browser.get(HUB + path)
        fields["_xsrf"] = self.browser.cookies.get("_xsrf", path="/hub/") or ""
        return self.browser.post(HUB + path, data=fields)

    def sign_up(self) -> str:
        """Choose a password; what the page says then."""
        page = self.form(
            "/hub/signup",
            username=self.name,
            signup_password=self.password,
            signup_password_confirmation=self.password,
        )
        said = re.search(r'(?s)<div class="alert[^>]*>(.*?)</div>', page.text)
        return re.sub(r"\s+", " ", re.sub("<[^>]*>", "", said[1])).strip() if said else page.text

    def log_in(self) -> bool:
        """Log in, and get a token for what follows; whether the hub let this person in."""
        self.form("/hub/login", username=self.name, password=self.password)
        xsrf = self.browser.cookies.get("_xsrf", path="/hub/") or ""
        made = self.browser.post(
            f"{HUB}/hub/api/users/{self.name}/tokens", headers={"X-XSRFToken": xsrf}
        )
        self.token = made.json().get("token", "") if made.ok else ""
        return bool(self.token)

    def ask(self, path: str, method: str = "GET", **more) -> requests.Response:
        """Ask the hub, or somebody's server behind it, with this person's token."""
        headers = {"Authorization": f"token {self.token}"}
        return requests.request(method, HUB + path, headers=headers, timeout=120, **more)

    def start(self) -> float:
        """Start this person's server; the seconds until it is ready."""
        since = time.monotonic()
        self.ask(f"/hub/api/users/{self.name}/server", "POST")
        wait_for(self.is_ready, 300, f"{self.name}'s server")
        return time.monotonic() - since

    def is_ready(self) -> bool:
        """Whether this person's server answers."""
        servers = self.ask(f"/hub/api/users/{self.name}").json()["servers"]
        return bool(servers.get("", {}).get("ready"))

    def stop(self) -> None:
        """Stop this person's server, and wait for it."""
        self.ask(f"/hub/api/users/{self.name}/server", "DELETE")
        wait_for(
            lambda: not self.ask(f"/hub/api/users/{self.name}").json()["servers"],
            120,
            f"the end of {self.name}'s server",
        )

    def run(self, code: str) -> str:
        """Run a cell in a new kernel; what it prints. Errors are printed too."""
        base = f"/user/{self.name}/api/kernels"
        kernel = self.ask(base, "POST", json={"name": "python3"}).json()["id"]
        socket = websocket.create_connection(
            f"{HUB.replace('http', 'ws')}{base}/{kernel}/channels",
            header=[f"Authorization: token {self.token}"],
            timeout=1800,
        )
        me = uuid.uuid4().hex
        header = {"msg_id": me, "msg_type": "execute_request", "session": me, "version": "5.3"}
        socket.send(
            json.dumps(
                {
                    "channel": "shell",
                    "header": header | {"username": "", "date": ""},
                    "parent_header": {},
                    "metadata": {},
                    "content": {"code": code, "silent": False, "allow_stdin": False},
                }
            )
        )
        printed = []
        while True:
            message = json.loads(socket.recv())
            content = message["content"]
            if message["parent_header"].get("msg_id") != me:
                continue
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] == "error":
                printed.append(f"{content['ename']}: {content['evalue']}")
            elif message["msg_type"] == "execute_reply":
                break
        socket.close()
        self.ask(f"{base}/{kernel}", "DELETE")
        return "".join(printed).strip()

    def shell(self, command: str) -> str:
        """Run a shell command in a kernel; what it prints, and its exit code on the last line."""
        return self.run(
            "import subprocess\n"
            f"r = subprocess.run({command!r}, shell=True, text=True, stdout=-1, stderr=-2)\n"
            "print(r.stdout, r.returncode, sep='\\n')"
        )


@contextmanager
def at_once(people: list[Person]):
    """Yield a function that has everybody do the same at the same time; a list of the results."""
    with ThreadPoolExecutor(len(people)) as pool:
        yield lambda do: list(pool.map(do, people))


# --- what is tried ------------------------------------------------------------------------------

BUILD = """
import time, shiplight
client = shiplight.connect()
since = time.monotonic()
made = shiplight.build(client, "go/multi", no_cache=True)
print(round(time.monotonic() - since, 1), shiplight.measure(client, made).unpacked_bytes,
      shiplight.probe(client, made).answered)
"""


def signing_up(teacher: Person, learners: list[Person]) -> None:
    """Sign up, be let in, log in."""
    teacher.sign_up()
    true("the teacher logs in with a password of their own", teacher.log_in())
    ana = learners[0]
    for learner in learners:
        learner.sign_up()
    true("nobody is let in before the teacher says so", not ana.log_in())
    for learner in learners:
        teacher.browser.get(f"{HUB}/hub/authorize/{learner.name}")
    true("learners log in once they are let in", all(learner.log_in() for learner in learners))
    wrong = Person(ana.name)
    wrong.password = "another password"
    true("another password is refused", not wrong.log_in())


def building(learners: list[Person], server: Engine, kit: bool) -> None:
    """Three learners build at the same time."""
    with at_once(learners) as everybody:
        seconds = everybody(Person.start)
        true("learners' servers start at the same time", True, spread(seconds))
        if kit:
            loaded = everybody(lambda one: one.shell("docker load -i /kit/bases.tar"))
            true("base images of the kit are loaded", all(map(succeeded, loaded)))
        built = everybody(lambda one: one.run(BUILD))
    used = [used_by(server, learner) for learner in learners]
    true(
        "learners build go/multi at the same time, and the service answers",
        all(said.endswith("True") for said in built),
        "; ".join(built),
    )
    true("and the bytes are the same for all", len({said.split()[-2] for said in built}) == 1)
    print(f"  memory then, without page cache: {', '.join(f'{b / 1e6:.0f} MB' for b, _ in used)}")
    cores = ", ".join(f"{seconds:.0f} s" for _, seconds in used)
    print(f"  CPU time to start, load and build: {cores}")
    for learner in learners:
        made = learner.shell(
            "echo mine > ~/ship-light/notes.txt && touch ~/of-$JUPYTERHUB_USER"
            " && docker run --rm busybox true && docker tag busybox secret-of-$JUPYTERHUB_USER"
        )
        true(f"{learner.name} has a file and an image of their own", succeeded(made), made)


def spread(seconds: list[float]) -> str:
    return f"{min(seconds):.1f} to {max(seconds):.1f} s"


def used_by(server: Engine, learner: Person) -> tuple[int, float]:
    """Bytes of memory that the kernel cannot take back, and CPU seconds since the start."""
    stats = server.client.containers.get(f"learner-{learner.name}").stats(stream=False)
    memory = stats["memory_stats"]
    cache = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file", 0))
    return memory["usage"] - cache, stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9


def succeeded(said: str) -> bool:
    """Whether a shell command did: its exit code is the last line."""
    return said.split("\n")[-1] == "0"


def last_line(said: str) -> str:
    """Return the last line that a command printed, shortened; its exit code comes after it."""
    lines = [line.strip() for line in said.split("\n")[:-1] if line.strip()]
    return (lines or [""])[-1][-120:]


def looking(ana: Person, kit: bool) -> None:
    """The scanner and the doctor, in an environment that Ana cannot write to."""
    lab = f"cd ~/ship-light && {'TRIVY_CACHE_DIR=/kit' if kit else ''} ./lab"
    seen = ana.shell(f"{lab} scan go/multi")
    true("`./lab scan` looks up what an image contains", succeeded(seen), last_line(seen))
    seen = ana.shell(f"{lab} doctor --json 2>/dev/null")
    found = json.loads(seen.rpartition("\n")[0])["findings"]
    states = {one["name"]: one["state"] for one in found}
    right = [states.get(name) for name in ("engine", "build and run", "scanner")] == ["ok"] * 3
    true("`./lab doctor` finds an engine that builds and runs, and a scanner", right, states)


def attacking(ana: Person, ben: Person, server: Engine) -> None:
    """What Ana can find of Ben, and of the server.

    A server where nothing runs would keep everybody apart, so each sentence needs a sign that what
    was tried did run: something of Ana's own beside it, or the error by its name.
    """
    secret = DISKS.parent / "secret-of-the-server"
    secret.write_text("the server's secret")
    secret.chmod(0o644)
    ip = server.client.containers.get("learner-ben").attrs["NetworkSettings"]["Networks"]
    files_and_processes(ana, ben)
    containers(ana)
    network(ana, ben, ip["shiplight-learners"]["IPAddress"])
    tokens(ana)
    true("and Ben's server still runs", ben.is_ready())


def files_and_processes(ana: Person, ben: Person) -> None:
    seen = ana.shell("docker images --all && docker ps --all && docker volume ls && docker info")
    hers = "secret-of-ana" in seen and succeeded(seen)
    true("Ana's engine has her image and none of Ben's", hers and "ben" not in seen)
    look = "ls -a / /home /srv /mnt; cat /proc/mounts; find / -name 'of-ana' -o -name 'of-ben'"
    true("Ben sees his own files", "of-ben" in ben.shell(look))
    seen = ana.shell(f"({look}) 2>/dev/null")
    his = "/ben" in seen or "of-ben" in seen
    true("Ana's file system has hers and none of his", "of-ana" in seen and not his)
    seen = ana.shell("ls /var/run/docker.sock /run/docker.sock /run/exec")
    absent = seen.count("No such file or directory") == 3
    true("the server's engine has no socket there", absent, seen.split("\n")[0])
    seen = ana.shell("ps -e -o args=")
    hers = "jupyterhub-singleuser" in seen and "dockerd --data-root /home" in seen
    others = "dockerd --data-root /var" in seen or "configurable" in seen
    true("Ana sees her own processes only", hers and not others)
    seen = ana.shell("id -u; grep CapEff /proc/self/status")
    true("Ana is uid 1000 without a capability", seen == f"1000\nCapEff:\t{0:016}\n\n0", seen)
    for path, how in (("sysrq-trigger", "w"), ("sys/kernel/hostname", "w"), ("kcore", "rb")):
        seen = ana.run(f"open('/proc/{path}', {how!r})")  # some kernels do not have them
        refused = seen.startswith(("PermissionError", "FileNotFoundError"))
        true(f"/proc/{path} is not hers", refused, seen)
    seen = ana.shell("touch /usr/bin/mine; touch /mine")
    true("what is written lands on no disk but her own", seen.count("Read-only") == 2)


INNER = "docker run --rm {} busybox sh -c '{}'"


def containers(ana: Person) -> None:
    look = "ls /host/srv /host/home/learner; cat /host/srv/*; cat /host/etc/shadow"
    seen = ana.shell(INNER.format("-v /:/host", look))
    true(
        "`docker run -v /:/host` has her container, not the server",
        "of-ana" in seen and "secret" not in seen and "root:" not in seen,
        last_line(seen),
    )
    for options in ("--privileged", "--privileged --pid host"):
        seen = ana.shell(INNER.format(options, "echo in"))
        refused = "operation not permitted" in seen and "in" not in seen.split("\n")
        true(f"`{options}` is refused", refused, last_line(seen))
    seen = ana.shell(INNER.format("", "mknod /tmp/d b 254 0 && dd if=/tmp/d bs=1 count=1"))
    true("containers have no devices of the server", "mknod: /tmp/d: Op" in seen, last_line(seen))
    seen = ana.shell(INNER.format("-v /proc:/hers", "echo b > /hers/sysrq-trigger"))
    true("nor its kernel", "create /hers/sysrq-trigger" in seen, last_line(seen))
    seen = ana.shell(INNER.format("--pid host --net host", "ps"))
    hers = "jupyterhub-singleuser" in seen
    true("`--pid host` has her processes only", hers and "jupyterhub --config" not in seen)


def network(ana: Person, ben: Person, ip: str) -> None:
    ben.shell("setsid python3 -m http.server 9999 >/dev/null 2>&1 & sleep 2")

    def tries(person: Person, host: str, port: int) -> str:
        there = f"socket.create_connection(({host!r}, {port}), 4)"
        return person.run(f"import socket; {there}; print('in')")

    def tries_in_a_container(host: str, port: int) -> str:
        connect = f"nc -w 4 {host} {port} </dev/null && echo in || echo out"
        return last_line(ana.shell(INNER.format("--net host", connect)))

    unreachable = ("TimeoutError", "ConnectionRefusedError")
    true("Ana reaches the hub's API", tries(ana, "10.213.0.1", 8081) == "in")
    true("also in a container", tries_in_a_container("10.213.0.1", 8081) == "in")
    for what, port in (("server", 8888), ("other ports", 9999)):
        true(f"Ben's {what}: he reaches that himself", tries(ben, ip, port) == "in")
        seen = tries(ana, ip, port)
        true(f"Ben's {what} cannot be reached from Ana's", seen.startswith(unreachable), seen)
        true("nor from a container of Ana's engine", tries_in_a_container(ip, port) == "out")
    seen = tries(ana, "10.213.0.1", 8001)
    true("the proxy's own API cannot be reached", seen.startswith(unreachable), seen)


def tokens(ana: Person) -> None:
    code = ana.ask("/hub/api/users/ana").status_code
    true("Ana's token is good for her own account", code == 200, code)
    for path, method in (
        ("/hub/api/users/ben", "GET"),
        ("/hub/api/users/ben/server", "DELETE"),
        ("/hub/api/users/ben/tokens", "POST"),
        ("/hub/api/users", "GET"),
        ("/user/ben/api/contents", "GET"),
        ("/hub/api/proxy", "GET"),
    ):
        code = ana.ask(path, method).status_code
        true(f"and is refused for {method} {path}", code in (403, 404), code)
    seen = ana.shell("env | cut -d= -f1")
    hers = "JUPYTERHUB_API_TOKEN" in seen
    true("her environment has no token but her own", hers and "CONFIGPROXY" not in seen)


def filling(ana: Person, ben: Person) -> None:
    """One disk is full."""
    free = shutil.disk_usage("/srv").free
    seen = ana.shell("dd if=/dev/zero of=$HOME/fill bs=1M; df -h $HOME | tail -1")
    true("a full disk says so", "No space left on device" in seen, last_line(seen))
    true("the server's own disk did not change", abs(shutil.disk_usage("/srv").free - free) < 1e9)
    seen = ana.run(
        "import shiplight; shiplight.build(shiplight.connect(), 'go/multi', no_cache=True)"
    )
    true("a build says so too", "no space left" in seen.lower(), seen[:150])
    seen = ben.shell("echo fine > ~/more && docker run --rm busybox echo fine")
    true("Ben notices nothing", succeeded(seen), last_line(seen))
    seen = ana.shell("rm ~/fill && docker run --rm busybox echo fine")
    true("and Ana goes on once she has removed it", succeeded(seen), last_line(seen))


def killing(ana: Person, ben: Person, server: Engine) -> None:
    """What is killed comes back, and nobody loses a file."""

    def mine(person: Person) -> bool:
        seen = person.shell("cat ~/ship-light/notes.txt; docker images -q | wc -l")
        return seen.startswith("mine") and int(seen.split()[1]) > 1

    for what in ("dockerd", "rootlesskit"):
        true(f"Ana kills {what}", succeeded(ana.shell(f"pkill -9 -x {what} && sleep 1")))
        wait_for(lambda: succeeded(ana.shell("docker version")), 60, "Ana's engine")
        true("and her engine is back, with its images", mine(ana))

    hub = server.client.containers.list(filters={"name": "hub"})[0]
    processes = hub.top()["Processes"]
    proxies = [int(one[1]) for one in processes if "configurable-http-proxy" in one[-1]]
    true("the hub has a proxy", proxies)
    for process in proxies:
        os.kill(process, signal.SIGKILL)
    wait_for(lambda: requests.get(HUB).ok, 60, "the proxy")
    wait_for(lambda: mine(ben), 60, "Ben's server behind the new proxy")
    true("a killed proxy is back, and learners' servers with it", True)
    hub.kill()
    wait_for(lambda: server.client.containers.get(hub.id).status == "exited", 30, "the hub's end")
    true("a killed hub leaves learners' servers running", ben_runs(server))
    compose("start", "hub")
    wait_for(lambda: requests.get(f"{HUB}/hub/login").ok, 60, "the hub")
    wait_for(lambda: mine(ben), 60, "Ben's server behind the new hub")
    true("and a new hub finds them", ben.is_ready() and ana.is_ready())

    server.restart_the_server()
    wait_for(lambda: requests.get(f"{HUB}/hub/login").ok, 120, "the hub after a restart")
    true("passwords outlive a restart of the server", ana.log_in() and ben.log_in())
    for person in (ana, ben):
        if not person.is_ready():
            person.start()
        wait_for(lambda who=person: succeeded(who.shell("docker version")), 60, "an engine")
        true(f"and so do {person.name}'s files and images", mine(person))


def ben_runs(server: Engine) -> bool:
    return server.client.containers.get("learner-ben").status == "running"


def inside(bases: str, kit: str = "") -> int:
    """Everything, on the server; the exit code."""
    server = Engine()
    with open(bases, "rb") as archive:
        server.client.images.load(archive)
    settings = {"DISK": DISK, "KIT": str(Path(kit).parent) if kit else ""}
    since = time.monotonic()
    compose("up", "--build", "--detach", **settings)
    wait_for(lambda: requests.get(f"{HUB}/hub/login").ok, 120, "the login page")
    true("one command leads to the login page", True, f"{time.monotonic() - since:.0f} s")
    for image in ("shiplight-learner", "shiplight-hub"):
        print(f"  {image}: {server.client.images.get(image).attrs['Size'] / 1e6:.0f} MB")
    teacher, *learners = map(Person, ("teacher", "ana", "ben", "cyd"))
    signing_up(teacher, learners)
    building(learners, server, bool(kit))
    ana, ben, _ = learners
    looking(ana, bool(kit))
    attacking(ana, ben, server)
    filling(ana, ben)
    killing(ana, ben, server)
    return 0


def given_paths() -> list[str]:
    """Return the paths on the command line; ends the script where BASES or KIT is not a file."""
    paths = [Path(name).resolve() for name in sys.argv[1:]]
    for name, path in zip(("BASES", "KIT"), paths, strict=False):
        if not path.is_file():
            sys.exit(f"{name} is an archive of images, and {path} is not a file.")
    return [str(path) for path in paths]


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        sys.exit(inside(*sys.argv[2:]))
    sys.exit(on_a_bare_server(given_paths()))
