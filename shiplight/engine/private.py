"""A private engine for a machine that has none: data, socket, containerd namespace and bridge of
its own. Only ever stops an engine that it started itself.
"""

import contextlib
import ipaddress
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .. import files, setup
from ..errors import EngineFailed, EngineNotReachable, UsageError
from . import checkout, connecting, endpoints, journal
from .endpoints import Place, own_place

START_SECONDS = 60
STOP_SECONDS = 30


@dataclass(frozen=True)
class Status:
    """A private engine: `pid` is None where it does not run; `data_bytes` is what it keeps.

    `checkout` is the folder that it was started in; None where its data do not say.
    """

    pid: int | None
    socket: str
    data: str
    data_bytes: int
    checkout: str | None = None


def status() -> Status:
    """Return whether the private engine of this checkout runs, and what its data takes on disk."""
    remember_checkout()
    return _status(own_place())


def _status(place: Place) -> Status:
    kept = 0
    if place.data.exists():
        done = subprocess.run(["du", "-sb", str(place.data)], capture_output=True, text=True)
        kept = int(done.stdout.split()[0]) if done.stdout[:1].isdigit() else 0
    known = _marked(place)
    socket = f"unix://{place.socket}"
    return Status(_pid(place), socket, str(place.data), kept, known and known["path"])


def _marked(place: Place) -> dict | None:
    """What the data of an engine say of its checkout, where they belong to root."""
    try:
        return checkout.read(place.data / checkout.MARK)
    except OSError:
        return None


def gone() -> tuple[Status, ...]:
    """Return the private engines of this machine whose checkout is gone from where it was.

    One of an earlier version does not say where that was, and is not among them.
    """
    return tuple(_status(place) for place in _gone())


def unknown() -> tuple[Status, ...]:
    """Return the private engines of which nothing tells whose they are, but this checkout's."""
    others = [place for place in _all() if place != own_place() and _marked(place) is None]
    return tuple(_status(place) for place in others)


def _gone() -> list[Place]:
    found = []
    for place in _all():
        known = _marked(place)
        is_its_own = known is not None and known["id"] == place.id and place != own_place()
        if is_its_own and not checkout.lives(place.id, Path(known["path"])):
            found.append(place)
    return found


def _all() -> list[Place]:
    """Every private engine of this machine, by its data."""
    try:
        names = sorted(path.name for path in checkout.ENGINES.iterdir() if not path.is_symlink())
    except OSError:
        return []
    return [Place(name) for name in names if re.fullmatch("[0-9a-f]{8}", name)]


def remove_gone() -> tuple[Status, ...]:
    """Stop the private engines whose checkout is gone, and remove their data; which they were."""
    places = _gone()
    found = tuple(_status(place) for place in places)
    for place in places:
        _stop(place)
        _remove_data(place)
    return found


def _pid(place: Place) -> int | None:
    """The process id of a dockerd of ours, if it is alive and really ours."""
    try:
        pid = int((place.run / "docker.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if f"\0--data-root\0{place.data}\0".encode() in command else None


def _answers() -> bool:
    return _pid(own_place()) is not None and bool(
        connecting.wait_until_answers(f"unix://{own_place().socket}", seconds=5)
    )


def start() -> None:
    """Start it and wait until it answers; does nothing where it runs already.

    Raises EngineNotReachable with what to do where this machine does not allow it.
    """
    if _answers():
        return
    _check_rights()
    _install()
    for path in (own_place().run, own_place().data):
        path.mkdir(parents=True, exist_ok=True, mode=0o711)
    remember_checkout()
    with files.alone(own_place().run):
        if not _answers():
            _start()


def remember_checkout() -> None:
    """Keep with the engine's data where its checkout is now, so that others see when it is gone."""
    place = own_place()
    if place.data.is_dir() and (_marked(place) or {}).get("path") != str(journal.ROOT):
        with contextlib.suppress(OSError):  # not root: then nothing is started or removed either
            files.write(place.data / checkout.MARK, checkout.mark(journal.ROOT))


def _start() -> None:
    place = own_place()
    if _pid(place) is None:  # dockerd would take whoever has the number of a crashed one for itself
        (place.run / "docker.pid").unlink(missing_ok=True)
    _make_bridge(place.bridge)
    setup.say(
        f"starting a private engine (data in {place.data}; `{setup.PROGRAM} engine stop` stops it)"
    )
    with open(place.run / "dockerd.log", "wb") as log:
        process = subprocess.Popen(
            _command(place),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if connecting.wait_until_answers(f"unix://{place.socket}", seconds=1):
            return
    stop()
    last = (place.run / "dockerd.log").read_text(errors="replace").strip().splitlines()[-6:]
    raise EngineNotReachable(
        "the private engine did not start.\n  Last lines:\n"
        + "\n".join(f"    {x[:300]}" for x in last),
        hint=f"the whole log is {place.run / 'dockerd.log'}",
    )


def _check_rights() -> None:
    if not setup.is_root() or not Path("/proc").is_dir():
        raise EngineNotReachable(
            "a private engine needs root on Linux.",
            hint=f"install Docker (rootless needs no root); then `{setup.PROGRAM} doctor`",
        )


def _install() -> None:
    """Debian's engine where there is none; never beside docker-ce, which it would remove."""
    try:
        if shutil.which("dockerd") is None:
            for name in ("docker-ce", "containerd.io"):
                if setup.has_package(name):
                    raise EngineNotReachable(
                        f"{name} is installed, but there is no dockerd; Debian's docker.io would "
                        f"remove {name}.",
                        hint="apt-get install docker-ce",
                    )
            setup.install_packages(
                ["docker.io", "iptables", "iproute2"], "no Docker engine is installed"
            )
        missing = [
            p
            for p, tool in (("iptables", "iptables"), ("iproute2", "ip"))
            if not shutil.which(tool)
        ]
        if missing:
            setup.install_packages(missing, "the engine’s network needs them")
    except setup.SetupFailed as error:
        raise EngineNotReachable(str(error)) from error


def _command(place: Place) -> list[str]:
    """dockerd with everything of its own."""
    name = f"shiplight-{place.id}"
    return [
        "dockerd",
        *("--data-root", str(place.data)),
        *("--exec-root", str(place.run / "exec")),
        *("--pidfile", str(place.run / "docker.pid")),
        *("--host", f"unix://{place.socket}"),
        *("--bridge", place.bridge),
        *("--containerd-namespace", name),
        *("--containerd-plugins-namespace", f"{name}-plugins"),
    ]


def _make_bridge(name: str) -> None:
    """A bridge on a subnet that no route of this machine has, with a link address that stays.

    Linux else gives a bridge the lowest address of what is plugged in: when one container ends, the
    others send to an address that is gone, and their connections stand still for minutes.
    """
    if Path(f"/sys/class/net/{name}").exists():
        return
    routes = json.loads(_ip("-j", "route") or "[]")
    taken = [
        ipaddress.ip_network(r["dst"], strict=False)
        for r in routes
        if r.get("dst", "default") != "default"
    ]
    for number in range(16, 32):
        subnet = ipaddress.ip_network(f"172.{number}.213.0/24")
        if not any(subnet.overlaps(other) for other in taken):
            break
    else:
        raise EngineFailed("every subnet from 172.16.213.0/24 to 172.31.213.0/24 is taken.")
    address = "02:42:" + subnet[1].packed.hex(":")
    _ip("link", "add", name, "address", address, "type", "bridge")
    _ip("addr", "add", f"{subnet[1]}/24", "dev", name)
    _ip("link", "set", name, "up")


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise EngineFailed(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def stop(*, remove_data: bool = False) -> bool:
    """Stop the private engine and remove its bridge; whether one was running.

    `remove_data` also removes its images, containers and cache.
    """
    was_running = _stop(own_place())
    if remove_data:
        _remove_data(own_place())
    return was_running


def _stop(place: Place) -> bool:
    pid = _pid(place)
    if pid is not None:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass  # it ended by itself just now
        except PermissionError as error:
            raise UsageError(f"stopping the private engine (PID {pid}) needs root.") from error
        deadline = time.monotonic() + STOP_SECONDS
        while _pid(place) == pid and time.monotonic() < deadline:
            time.sleep(0.1)
        if _pid(place) == pid:
            raise EngineFailed(
                f"the private engine (PID {pid}) has not stopped after {STOP_SECONDS} s.",
                hint=f"wait, then run `{setup.PROGRAM} engine stop` again",
            )
    if Path(f"/sys/class/net/{place.bridge}").exists():
        _ip("link", "delete", place.bridge)
    if setup.is_root():
        _remove_rules(place.bridge)
    return pid is not None


def _remove_rules(bridge: str) -> None:
    """Remove the rules for packets that name a bridge of ours, which dockerd leaves behind."""
    if shutil.which("iptables") is None:
        return
    for table in ("filter", "nat"):
        command = ["iptables", "--wait", "5", "-t", table]
        listed = subprocess.run([*command, "-S"], capture_output=True, text=True).stdout
        for words in map(shlex.split, listed.splitlines()):
            if words[:1] == ["-A"] and bridge in words:
                subprocess.run([*command, "-D", *words[1:]], capture_output=True)


def _remove_data(place: Place) -> None:
    if not setup.is_root():
        raise UsageError("removing the private engine’s data needs root.")
    while mounted := _mounts(place):
        if subprocess.run(["umount", mounted[0]], capture_output=True).returncode:
            raise EngineFailed(  # what is behind it may be somebody's: nothing goes through it
                f"{mounted[0]} is still mounted, so nothing is removed.",
                hint=f"leave that folder, run `umount {mounted[0]}`, then this again",
            )
    for path in (place.data, place.run):
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            raise EngineFailed(
                f"{path} could not be removed whole: something is still mounted in it."
            )


def _mounts(place: Place) -> list[str]:
    """What a killed engine left mounted in its own folders and is in sight, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    ours = tuple(f"{path}/" for path in (place.data, place.run))
    found = [(line.split()[0], _unescaped(line.split()[4])) for line in reversed(lines)]
    return [path for id, path in found if f"{path}/".startswith(ours) and _in_sight(id, path)]


def _unescaped(path: str) -> str:
    """A path as the kernel writes it into its tables: blanks are `\\040`."""
    return re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), path)


def _in_sight(mount_id: str, path: str) -> bool:
    """Whether this mount is what is seen at its path, and no other one covers it."""
    try:
        seen = os.open(path, os.O_PATH)
    except OSError:
        return False
    try:
        return f"mnt_id:\t{mount_id}\n" in Path(f"/proc/self/fdinfo/{seen}").read_text()
    finally:
        os.close(seen)


def has_data() -> bool:
    """Return whether this checkout's private engine was ever started, and kept something."""
    return own_place().data.is_dir()


def connect_or_start(*, may_start: bool):
    """Return a client of a running engine; as root on Debian or Ubuntu, start one if needed.

    Raises EngineNotReachable where none answers and none may be started.
    """
    remember_checkout()
    try:
        return connecting.connect()
    except EngineNotReachable as error:
        chosen = any(endpoint.chosen for endpoint in endpoints.endpoints())
        if chosen or not may_start or not (setup.is_root() and setup.on_debian()):
            raise
        setup.say(error.message.splitlines()[0])
    start()
    return connecting.connect()
