"""A private engine: it starts, ends and goes whole, and no other engine is ever touched.

What needs a real dockerd runs in namespaces of its own (network, mounts, processes), with an
empty /run and an empty data folder: what goes wrong there is gone with them, and neither the
engine of this machine nor its rules for packets can be reached from inside.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shiplight.engine import endpoints, journal, private
from shiplight.errors import EngineNotReachable, UsageError
from shiplight.setup import ROOT

ONLY_HERE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]

EMPTY = """
set -e
mkdir -p /var/lib/shiplight
mount -t tmpfs tmpfs /var/lib/shiplight
mount -t tmpfs tmpfs /run
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
RUN=$(dirname $SOCKET) DATA=/var/lib/shiplight/$(basename $(dirname $SOCKET))
lab() { $PYTHON -m shiplight "$@"; }
pid() { lab engine status --json | $PYTHON -c "$PID"; }
left() { ps -eo comm --no-headers; ls /sys/class/net; }
"""


@pytest.fixture
def inside(client, tmp_path):
    """Call it with lines of shell: their output, from namespaces that have no engine yet."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("not for this machine: a private engine needs root on Linux")
    for program in ("dockerd", "unshare", "ip", "ps"):
        if shutil.which(program) is None:
            pytest.skip(f"not for this machine: {program} is not installed")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")
    }
    environment |= {
        "HOME": str(tmp_path),
        "LAB_ID": f"private{os.getpid()}",
        "PYTHON": sys.executable,
        "PID": 'import json, sys; print(json.load(sys.stdin)["pid"])',
        "SOCKET": str(endpoints.private_socket()),
    }

    def run(lines: str) -> str:
        command = [*ONLY_HERE, "bash", "-c", EMPTY + lines]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=120, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    allowed = subprocess.run(
        [*ONLY_HERE, "bash", "-c", EMPTY], cwd=ROOT, env=environment, capture_output=True
    )
    if allowed.returncode:
        pytest.skip(f"not for this machine: no namespaces: {allowed.stderr.decode().strip()}")
    before = here(client)
    yield run
    assert here(client) == before, "the engine of this machine, and its network, are as they were"
    shutil.rmtree(ROOT / ".lab" / "labs" / environment["LAB_ID"], ignore_errors=True)


def here(client) -> tuple:
    """What a private engine that went astray would change outside of its namespaces."""
    devices = [path.name for path in Path("/sys/class/net").glob("sl-*")]
    kept = [path.exists() for path in (endpoints.private_socket(), endpoints.own_place().data)]
    return client.api.info()["ID"], devices, kept


def test_it_starts_builds_and_stops_and_leaves_nothing_running(inside, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    said = inside(f"""
        lab engine start
        test $(pid) = $(cat $RUN/docker.pid)
        lab build {tmp_path} --json > $RUN/built
        $PYTHON -c 'from shiplight import engine; print(engine.connect().shiplight_endpoint.url)'
        lab engine stop
        test $(pid) = None && test -d $DATA && test ! -e $RUN/docker.sock
        left
        echo BUILT; cat $RUN/built
    """)
    before, _, built = said.partition("BUILT")
    assert f"unix://{endpoints.private_socket()}" in before
    assert "stopped the private engine" in before
    left = before.partition("stopped")[2]
    assert "bash" in left and not any(word in left for word in ("dockerd", "containerd", "sl-"))
    [result] = json.loads(built)
    assert result["image"]["unpacked_bytes"] == (tmp_path / "Dockerfile").stat().st_size


def test_its_bridge_keeps_its_address_when_containers_come_and_go(inside):
    """Else a container sends to an address that is gone, and what it downloads stands still."""
    inside("""
        lab engine start
        BRIDGE=/sys/class/net/$(ls /sys/class/net | grep ^sl-)
        BEFORE=$(cat $BRIDGE/address)
        ip link add low address 02:00:00:00:00:01 type veth peer name peer
        ip link set low master $(basename $BRIDGE) up
        test $(cat $BRIDGE/address) = $BEFORE
        ip link delete low
        lab engine stop
    """)


def test_it_starts_although_a_crashed_one_left_its_number_to_somebody_else(inside):
    inside("""
        mkdir -p $RUN
        sleep 100 &
        echo $! > $RUN/docker.pid
        lab engine stop | grep 'no private engine was running'
        kill -0 $!
        lab engine start
        test $(pid) != $!
        lab engine stop
        kill -0 $!
    """)


def test_two_starts_at_once_give_one_engine(inside):
    said = inside("""
        lab engine start &
        lab engine start
        wait $!
        echo; ps -eo args --no-headers | grep -c '^dockerd' | sed 's/^/engines: /'
        lab engine stop
    """)
    assert "engines: 1\n" in said


def test_after_a_kill_it_starts_again_and_its_data_can_be_removed(inside):
    inside("""
        lab engine start
        kill -9 $(pid)
        while test $(pid) != None; do sleep 0.1; done
        lab engine start
        test $(pid) != None
        lab engine stop --remove-data
        test ! -e $DATA && test ! -e $RUN
        test "$(ls /sys/class/net)" = lo
    """)


def test_a_folder_of_somebodys_that_is_mounted_in_the_data_keeps_its_files(inside):
    """As a volume shows one; a shell that stands in it keeps it mounted."""
    inside("""
        lab engine start
        kill -9 $(pid)
        mkdir -p "$HOME/a b" "$DATA/volumes/a b"
        echo mine > "$HOME/a b/precious"
        mount --bind "$HOME/a b" "$DATA/volumes/a b"
        (cd "$DATA/volumes/a b" && exec sleep 60) & stands=$!
        sleep 0.5
        ! lab engine stop --remove-data 2> $HOME/said
        grep "still mounted" $HOME/said
        grep mine "$HOME/a b/precious"
        kill $stands; wait $stands || true
        lab engine stop --remove-data
        test ! -e $DATA && grep mine "$HOME/a b/precious"
    """)


def test_it_leaves_no_rules_for_packets_and_those_of_others_stay(inside):
    if shutil.which("iptables") is None:
        pytest.skip("not for this machine: iptables is not installed")
    inside("""
        iptables -A FORWARD -i theirs -o sl-other -j ACCEPT
        iptables -t nat -A POSTROUTING -s 172.31.9.0/24 ! -o theirs -j MASQUERADE
        lab engine start
        BRIDGE=$(ls /sys/class/net | grep ^sl-)
        iptables -S | grep $BRIDGE && iptables -t nat -S | grep $BRIDGE
        lab engine stop --remove-data
        ! iptables -S | grep $BRIDGE
        ! iptables -t nat -S | grep $BRIDGE
        iptables -S | grep sl-other && iptables -t nat -S | grep theirs
    """)


COPY = """
copy() { mkdir -p $1 && cp -a lab shiplight apps bases $1; }
at() { (cd $1 && shift && PYTHONPATH=$PWD $PYTHON -m shiplight "$@"); }
running() { at $1 engine status --json | $PYTHON -c "$PID"; }
unset LAB_ID
"""


def test_a_checkout_that_is_moved_keeps_its_engine_and_its_images(inside, tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    inside(f"""{COPY}
        copy $HOME/one
        at $HOME/one engine start
        at $HOME/one build {tmp_path}/app
        BEFORE=$(running $HOME/one)
        test $BEFORE != None
        mv $HOME/one $HOME/two
        test $(running $HOME/two) = $BEFORE
        at $HOME/two measure $(at $HOME/two build {tmp_path}/app --json | \
            $PYTHON -c 'import json, sys; print(json.load(sys.stdin)[0]["image"]["name"])')
        at $HOME/two engine status --json | grep '"gone": \\[\\]'
        at $HOME/two clean --json | grep '"images": 1'
        at $HOME/two engine stop --remove-data
    """)


def test_clean_leaves_nothing_on_it_not_even_cache_of_other_labs(inside, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text("FROM scratch\nCOPY . /\nWORKDIR /a\n")
        (tmp_path / name / "big").write_bytes(os.urandom(20_000_000))
    said = inside(f"""{COPY}
        copy $HOME/checkout
        at $HOME/checkout engine start
        data() {{ du -sm /var/lib/shiplight/* | cut -f1; }}
        EMPTY=$(data)
        at $HOME/checkout build {tmp_path}/one > /dev/null
        LAB_ID=beside at $HOME/checkout build {tmp_path}/two > /dev/null
        LAB_ID=beside at $HOME/checkout clean > /dev/null
        BUILT=$(data)
        at $HOME/checkout clean --json
        echo "EMPTY $EMPTY BUILT $BUILT CLEAN $(data)"
        at $HOME/checkout engine stop --remove-data
    """)
    _, empty, _, built, _, clean = said[said.index("EMPTY") :].split()[:6]
    assert int(built) >= int(empty) + 37 and int(clean) <= int(empty) + 1
    done = json.loads(said[said.index("{") : said.index("EMPTY")])
    assert done["left"] == [] and done["freed_bytes"] >= 38_000_000


def test_an_engine_whose_checkout_is_gone_is_listed_with_its_bytes_and_can_be_removed(inside):
    said = inside(f"""{COPY}
        copy $HOME/one; copy $HOME/other
        at $HOME/one engine start
        DATA=$(ls -d /var/lib/shiplight/*)
        at $HOME/other engine status | grep -c gone | grep 0 || true
        rm -r $HOME/one
        mkdir -p /var/lib/shiplight/11111111 /var/lib/shiplight/somebody
        at $HOME/other engine status
        at $HOME/other engine stop --remove-gone
        test ! -e $DATA
        test -d /var/lib/shiplight/11111111 && test -d /var/lib/shiplight/somebody
        at $HOME/other engine status --json | grep '"gone": \\[\\]'
        left
    """)
    said = " ".join(said.split())
    assert "which no longer exists" in said and "--remove-gone" in said
    assert "removed /var/lib/shiplight/" in said
    assert not any(word in said.split("removed /var")[1] for word in ("dockerd", "sl-"))


# --- without an engine -----------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """This lab's private engine would be in `tmp_path`; nothing is there."""
    monkeypatch.setattr(journal, "checkout_id", lambda: "test0000")
    monkeypatch.setattr(endpoints, "RUN", tmp_path)
    (tmp_path / "test0000").mkdir()
    return tmp_path / "test0000"


@pytest.fixture
def signalled(monkeypatch):
    """The processes that were sent a signal; none really is."""
    sent = []
    monkeypatch.setattr(os, "kill", lambda pid, _: sent.append(pid))
    return sent


OWN = pytest.param(str(os.getpid()), id="own")


@pytest.mark.parametrize("content", [OWN, "1", "999999999", "-1", "0", "", "x", "\0"])
def test_a_process_that_is_not_ours_is_never_signalled(elsewhere, signalled, content):
    (elsewhere / "docker.pid").write_text(content)
    assert private.status().pid is None
    assert private.stop() is False and signalled == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="not for this machine: no /proc")
def test_a_process_that_only_names_our_data_is_not_our_engine(elsewhere, signalled):
    command = [sys.executable, "-c", "input()", str(endpoints.own_place().data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as other:
        (elsewhere / "docker.pid").write_text(str(other.pid))
        assert private.stop() is False and signalled == []
        other.communicate(b"\n")


def test_starting_without_rights_says_what_to_do(elsewhere, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(EngineNotReachable, match="needs root on Linux") as refused:
        private.start()
    assert "rootless" in refused.value.hint and not any(elsewhere.iterdir())


def test_stopping_without_rights_says_so(elsewhere, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(private, "_pid", lambda place: 4711)
    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(UsageError, match=r"4711\) needs root"):
        private.stop()
