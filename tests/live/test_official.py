"""Official and mirrored bases, from registries of this machine that play Docker Hub and gcr.io.

An engine of its own, once with a graph driver and once with a containerd store, takes them for
those: with TLS and tokens, indexes for several platforms and attestations. Nothing leaves this
machine.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from guarded import program
from hub import MIRROR, PREFIX
from places import placed
from test_registry import frontend  # noqa: F401
from typing_commands import DOCKER, STAND_INS, environment, in_a_terminal, saved_stand_in

from shiplight import builds, engine
from shiplight.builds import provide
from shiplight.engine import cleaning, journal
from shiplight.errors import BaseNotAvailable
from shiplight.inspection import look, measure
from shiplight.lessons.typed_commands import commands
from shiplight.setup import ROOT

STATIC = "gcr.io/distroless/static-debian12"
SMALL_SET = {
    "busybox:latest": "library/busybox",
    "alpine:3.22": "library/alpine",
    "debian:bookworm-slim": "library/debian",
    f"{STATIC}:latest": "distroless/static-debian12",
    f"{STATIC}:nonroot": "distroless/static-debian12",
}


@pytest.fixture(scope="module")
def stored(client, tmp_path_factory):
    """A folder for a registry's storage, and the small set as this machine has it."""
    needed = ("openssl", "nsenter", "unshare", "setpriv", "ip", "iptables", "mmdebstrap")
    missing = [name for name in needed if not shutil.which(name)]
    if sys.platform != "linux" or os.geteuid() != 0 or missing:
        pytest.skip(f"not for this machine: root on Linux, with {', '.join(needed)}")
    folder = tmp_path_factory.mktemp("hub")
    try:
        found = program(folder)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"not for this machine: it has no docker-registry ({error})")
    saved = {}
    for base in provide(client, list(SMALL_SET)):
        with engine.export_image(client, base.used) as chunks:
            saved[base.reference] = b"".join(chunks)
    return found, folder, saved


@pytest.fixture(scope="module", params=["28.5", "28.5-containerd"])
def place(request, stored):
    """Start the engine and its registries, with the small set in them."""
    found, folder, saved = stored
    with placed(request.param, found, folder, folder / request.param) as place:
        place.saved = saved
        if not (folder / "filled").exists():  # by the engine before: the storage is the same
            for reference, repository in SMALL_SET.items():
                place.images.put(saved[reference], repository, reference.rpartition(":")[2])
            (folder / "filled").touch()
        yield place


@pytest.fixture
def lab(place, monkeypatch):
    """A lab of the test's own that asks for official bases; its images go afterwards."""
    monkeypatch.setenv("LAB_ID", f"hub{os.getpid()}")
    monkeypatch.setenv("SHIPLIGHT_BASES", "official")
    monkeypatch.delenv("SHIPLIGHT_MIRROR", raising=False)
    yield
    cleaning.clean(place.client)
    shutil.rmtree(journal.folder(), ignore_errors=True)


def folder_with(tmp_path: Path, text: str) -> Path:
    (tmp_path / "app").mkdir(exist_ok=True)
    (tmp_path / "app" / "Dockerfile").write_text(text)
    (tmp_path / "app" / "salt").write_text(uuid.uuid4().hex)
    return tmp_path / "app"


def test_official_bases_are_pulled_measured_and_named_as_such(place, lab, tmp_path):
    bases = provide(place.client, [name.removesuffix(":latest") for name in SMALL_SET])
    assert {base.kind for base in bases} == {"official"}
    assert [base.used for base in bases] == list(SMALL_SET)
    runtime = look(place.client, STATIC)
    assert runtime.setting.bases == "official" and runtime.users, "two tags of it are here"
    image = measure(place.client, STATIC)
    assert image.setting.bases == "official" and image.platform == "linux/amd64"
    build = builds.build(place.client, folder_with(tmp_path, "FROM alpine:3.22\nRUN ls /\n"))
    assert build.setting.bases == measure(place.client, build).setting.bases == "official"


def test_what_was_pulled_goes_with_clean_and_what_is_somebodys_stays(place, lab):
    place.client.images.pull("alpine", "3.22")
    provide(place.client, ["busybox", "alpine:3.22"])
    cleaning.clean(place.client)
    left = [tag for image in place.client.images.list() for tag in image.tags]
    assert left == ["alpine:3.22"]
    place.client.images.remove("alpine:3.22")


def test_a_base_for_another_platform_is_pulled_by_buildkit_with_a_token(place, lab, tmp_path):
    provide(place.client, ["busybox"])
    text = "FROM --platform=linux/arm64 busybox AS arm\nFROM busybox\nCOPY --from=arm /arm64 /\n"
    build = builds.build(place.client, folder_with(tmp_path, text))
    assert "arm64" in measure(place.client, build).tree()


def test_a_syntax_line_is_honoured_with_docker_hubs_token(place, lab, tmp_path, client, frontend):  # noqa: F811
    with engine.export_image(client, frontend) as chunks:
        place.images.put(b"".join(chunks), "docker/dockerfile", "1")
    text = "# syntax=docker/dockerfile:1\nFROM busybox\nCOPY <<E /x\na heredoc\nE\nRUN cat /x\n"
    build = builds.build(place.client, folder_with(tmp_path, text))
    assert build.remarks == () and build.numbered_steps[-1].log == ("a heredoc",)
    assert ("GET", "auth.docker.io") in {asked[:2] for asked in place.asked()}


def test_a_tag_that_moves_after_the_pull_does_not_move_what_is_built(place, lab, tmp_path):
    place.put("library/moving", "1", WHEN="before")
    [base] = provide(place.client, ["library/moving:1"])
    before = measure(place.client, base.used)
    place.put("library/moving", "1", WHEN="after")
    text = "FROM library/moving:1\nRUN echo $WHEN > /when; cat /when\n"
    build = builds.build(place.client, folder_with(tmp_path, text))
    assert build.numbered_steps[-1].log == ("before",)
    assert measure(place.client, build).layers[0] == before.layers[0]


def test_a_registry_that_is_silent_delays_no_build_whose_base_is_here(place, lab, tmp_path):
    provide(place.client, ["busybox"])
    asked = len(place.asked())
    with place.wrong({"match": "", "do": "silent", "seconds": 30}):
        builds.build(place.client, folder_with(tmp_path, "FROM busybox\nCOPY salt /\nRUN ls\n"))
    assert place.asked()[asked:] == []


def test_nobody_is_asked_for_an_offline_equivalent(place, lab, tmp_path, monkeypatch):
    """Least of all Docker Hub, where its name could be somebody's."""
    monkeypatch.setenv("SHIPLIGHT_BASES", "equivalent")
    place.client.api.load_image(place.saved["busybox:latest"])
    asked = len(place.asked())
    build = builds.build(place.client, folder_with(tmp_path, "FROM busybox\nCOPY salt /\nRUN ls\n"))
    assert build.bases == {"busybox": "shiplight/base/busybox:latest"}
    assert place.asked()[asked:] == []
    engine.remove_image(place.client, "shiplight/base/busybox:latest")


def test_a_page_in_place_of_a_registry_leaves_nothing_and_the_next_pull_is_good(place, lab):
    with (
        place.wrong({"match": "/manifests/|/blobs/", "do": "html"}),
        pytest.raises(BaseNotAvailable, match="is not a registry"),
    ):
        provide(place.client, ["busybox"])
    assert place.client.images.list() == [] and builds.here(place.client, "busybox") is None
    [base] = provide(place.client, ["busybox"])
    assert measure(place.client, base.used).layers


WRONG = {
    "forbidden": ({"status": 403, "code": "DENIED"}, "not let this user pull", "docker login"),
    "gone": ({"status": 404, "code": "MANIFEST_UNKNOWN"}, "nothing of that name", "spelling"),
    "broken": ({"status": 503}, "reports a server error", "later"),
}


@pytest.mark.parametrize(("fault", "means", "helps"), WRONG.values(), ids=WRONG)
def test_why_docker_hub_does_not_give_a_base_is_said_plainly(place, lab, fault, means, helps):
    fault = {"match": "/manifests/", "do": "status", **fault}
    with place.wrong(fault), pytest.raises(BaseNotAvailable, match=means) as failed:
        provide(place.client, ["busybox"])
    assert helps in failed.value.hint and place.client.images.list() == []


def test_a_base_that_came_damaged_is_not_used(place, lab):
    place.images.put_made("library/damaged", "1", uuid.uuid4().hex)
    with (
        place.wrong({"match": "/blobs/", "do": "corrupt"}),
        pytest.raises(BaseNotAvailable, match="not match its digest"),
    ):
        provide(place.client, ["library/damaged:1"])
    assert place.client.images.list() == []


def test_a_base_for_other_platforms_only_says_so(place, lab):
    place.images.put_made("library/other", "1", "x", architecture="arm64")
    with pytest.raises(BaseNotAvailable, match="not there for this engine's platform"):
        provide(place.client, ["library/other:1"])


def test_layers_in_zstd_are_read(place, lab):
    place.images.put_made("library/zstd", "1", uuid.uuid4().hex * 1000, packing="zstd")
    [base] = provide(place.client, ["library/zstd:1"])
    assert measure(place.client, base.used).unpacked_bytes == 32_000


def test_an_image_that_is_here_only_in_part_is_no_base(place, lab):
    """A containerd store fetches no layer that it has in another compression."""
    text = uuid.uuid4().hex * 1000
    for packing in ("gzip", "zstd"):
        place.images.put_made(f"library/in-{packing}", "1", text, packing=packing)
    provide(place.client, ["library/in-gzip:1"])
    try:
        [base] = provide(place.client, ["library/in-zstd:1"])
    except BaseNotAvailable as error:
        assert place.other.name.startswith("28.5-containerd")
        assert "only in part" in error.message and "docker rmi" in error.hint
    else:
        assert measure(place.client, base.used).unpacked_bytes == 32_000


def test_an_image_is_measured_straight_from_docker_hub_without_an_engine(place, lab):
    nowhere = {"DOCKER_HOST": "unix:///nowhere.sock"}
    done = place.lab("measure", "--remote", "busybox", "--json", **nowhere)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["platforms"] == ["linux/amd64", "linux/arm64"]
    assert len(found["attestations"]) == 2
    asked = "measure", "--remote", "busybox", "--deep", "--platform", "linux/amd64", "--json"
    deep = json.loads(place.lab(*asked, **nowhere).stdout)
    [base] = provide(place.client, ["busybox"])
    pulled = measure(place.client, base.used)
    assert deep["unpacked_bytes"] == pulled.unpacked_bytes
    assert [x["diff_id"] for x in deep["layers"]] == [x.diff_id for x in pulled.layers]


def test_too_many_requests_say_what_is_left_as_a_head_tells_it(place, lab):
    """As the command prints it, where the name of the registry means this one."""
    limited = {"match": "busybox/manifests", "do": "status", "status": 429}
    limited |= {"code": "TOOMANYREQUESTS", "headers": {"Retry-After": "7"}}
    with place.wrong(limited):
        done = place.lab("bases", "get", "busybox", LAB_ID=journal.lab_id())
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "too many requests from here" in done.stderr
    assert "wait for 7 s" in done.stderr and "docker login" in done.stderr


def test_the_doctor_finds_the_registries_and_costs_no_pull(place, lab):
    asked = len(place.asked())
    done = place.lab("doctor", "--json", SHIPLIGHT_BASES="official", LAB_ID=journal.lab_id())
    found = {one["name"]: one["state"] for one in json.loads(done.stdout)["findings"]}
    assert found["Docker Hub"] == found["gcr.io"] == "ok"
    assert not [path for _, _, path in place.asked()[asked:] if "/manifests/" in path]


def test_a_mirror_has_what_it_has_and_the_registry_itself_the_rest(
    place, lab, tmp_path, monkeypatch
):
    monkeypatch.setenv("SHIPLIGHT_BASES", "auto")
    monkeypatch.setenv("SHIPLIGHT_MIRROR", f"{MIRROR}/{PREFIX}")
    lacking = {"match": r"^127.*distroless", "do": "status", "status": 404}
    with place.wrong(lacking | {"code": "NAME_UNKNOWN"}):
        mirrored, official = provide(place.client, ["busybox", f"{STATIC}:nonroot"])
    assert (mirrored.kind, mirrored.used) == (
        "mirrored",
        f"{MIRROR}/{PREFIX}/library/busybox:latest",
    )
    assert (official.kind, official.used) == ("official", f"{STATIC}:nonroot")
    build = builds.build(place.client, folder_with(tmp_path, "FROM busybox\nRUN ls /\n"))
    assert measure(place.client, build).setting.bases == "mirrored"
    hosts = {host for _, host, path in place.asked() if re.search("static.*manifests", path)}
    assert {"127.0.0.1", "gcr.io"} <= hosts


def test_each_registry_has_its_mirror(place, lab, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "auto")
    monkeypatch.setenv("SHIPLIGHT_MIRROR", f"docker.io={MIRROR}/{PREFIX}")
    asked = len(place.asked())
    kinds = [base.kind for base in provide(place.client, ["busybox", STATIC])]
    assert kinds == ["mirrored", "official"]
    hosts = {host for _, host, _ in place.asked()[asked:]}
    assert hosts == {"127.0.0.1", "gcr.io"}


@pytest.fixture(scope="module")
def stand_in(client, tmp_path_factory) -> bytes:
    """What plays golang, node and rust for the commands of lessons, saved."""
    if not DOCKER.exists() or not shutil.which("curl"):
        pytest.skip("not for this machine: it has no /usr/bin/docker, or no curl")
    return saved_stand_in(client, tmp_path_factory.mktemp("stand-in"))


@pytest.fixture(scope="module")
def saved_registry(client) -> bytes:
    """What is registry:2 here, saved."""
    [base] = provide(client, ["registry:2"])
    with engine.export_image(client, base.used) as chunks:
        return b"".join(chunks)


@pytest.mark.parametrize("place", ["28.5"], indirect=True)  # one engine tells enough of a command
def test_every_command_beside_a_function_works_as_it_stands(
    client, stand_in, saved_registry, place, lab, tmp_path
):
    for repository, tag in STAND_INS.items():
        place.images.put(stand_in, repository, tag)
    place.images.put(place.saved[f"{STATIC}:latest"], "distroless/cc-debian12", "latest")
    place.images.put(saved_registry, "library/registry", "2")
    given, left = environment(client, place, tmp_path), []
    top = tmp_path / "top"  # as the top folder of a checkout whose learner has a pip.conf
    shutil.copytree(ROOT / "apps", top / "apps")
    (top / "pip.conf").write_text("[global]\n")
    for command in commands().values():
        for line in command.typed:
            if line.startswith("trivy ") and "TRIVY_SKIP_DB_UPDATE" not in given:
                left.append(line)
                continue
            line = line.replace("./lab", f"{sys.executable} -m shiplight")  # which it hands over to
            typed = place.inside("bash", "-o", "pipefail", "-c", line)
            code, said = in_a_terminal(typed, given, top)
            # 1: a check found something, or grep not the word that stands for a learner's own
            expected = (0, 1) if "shiplight check" in line or "WORD" in line else (0,)
            assert code in expected, f"{command.function}: {line}\n{said[-2000:]}"
    for image in place.client.images.list():
        place.client.images.remove(image.id, force=True)
    if left:
        pytest.skip(f"not for this machine: without a scanner, all but {', '.join(left)} ran")
