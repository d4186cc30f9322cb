"""Finding an engine, and saying why none was found."""

import json
import os
import platform
import socket

import pytest
from replay import FIXTURES, INFO, VERSION, engine_of

from shiplight import engine
from shiplight.engine import answers, connecting, describing, disk, endpoints, journal
from shiplight.errors import (
    EngineFailed,
    EngineNotReachable,
    ImageNotFound,
    ProbeFailed,
    UsageError,
)
from shiplight.inspection import probing


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A home without any engine, and no socket but those that a test makes."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(endpoints, "private_socket", lambda: tmp_path / "private.sock")
    own = [
        (name, path) for name, path in endpoints.well_known_sockets() if str(tmp_path) in str(path)
    ]
    monkeypatch.setattr(endpoints, "well_known_sockets", lambda: own)
    return tmp_path


def test_docker_host_is_the_only_place_looked_at_where_it_is_set(nowhere, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert [place.url for place in endpoints.endpoints()] == ["unix:///nowhere/docker.sock"]
    with pytest.raises(EngineNotReachable, match="DOCKER_HOST"):
        engine.connect()


def test_a_context_that_does_not_exist_is_named(nowhere, monkeypatch):
    monkeypatch.setenv("DOCKER_CONTEXT", "no-such-context")
    with pytest.raises(EngineNotReachable, match="no-such-context"):
        engine.connect()


def test_well_known_sockets_come_before_our_own(nowhere):
    urls = [place.url for place in endpoints.endpoints()]
    assert urls[-1].endswith("private.sock") and any("colima" in url for url in urls[:-1])


def test_the_first_engine_that_answers_is_taken(nowhere):
    folder = nowhere / ".colima" / "default"
    folder.mkdir(parents=True)
    with engine_of(folder) as (_, _):
        (folder / "engine.sock").rename(folder / "docker.sock")
        found = engine.describe(engine.connect())
    assert found.source == "Colima" and found.version == "20.10.24"


def test_no_engine_anywhere_says_how_to_get_one(nowhere):
    with pytest.raises(EngineNotReachable, match="no such socket") as failed:
        engine.connect()
    assert "./lab engine start" in failed.value.hint


def test_a_socket_at_which_nothing_listens_says_so(nowhere):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(nowhere / "private.sock"))
    with pytest.raises(EngineNotReachable, match="nothing listens"):
        engine.connect()


def test_a_socket_without_permission_explains_the_docker_group(nowhere, monkeypatch):
    (nowhere / "private.sock").touch()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(connecting, "_client", refuse)
    with pytest.raises(EngineNotReachable, match="permission denied") as failed:
        engine.connect()
    assert "usermod -aG docker" in failed.value.hint and "root" in failed.value.hint


def test_stores_and_platforms_are_told_apart():
    contained = {
        "Driver": "overlayfs",
        "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    }
    assert describing._store(contained) == "containerd store (overlayfs)"
    assert describing._store({"Driver": "overlay2"}) == "graph driver overlay2"


def test_what_the_engine_refuses_is_an_error_of_ours(nowhere, monkeypatch):
    with engine_of(nowhere, (r"/images/x/json", (500, {"message": "no space left on device"}))) as (
        url,
        _,
    ):
        monkeypatch.setenv("DOCKER_HOST", url)
        client = engine.connect()
        with pytest.raises(ImageNotFound, match="no image y"):
            engine.inspect_image(client, "y")
        with pytest.raises(EngineFailed, match="disk is full"):
            engine.inspect_image(client, "x")


def test_the_short_name_of_a_build_is_answered_with_that_of_its_image(nowhere, monkeypatch):
    own = f"shiplight/{journal.lab_id()}/first:one-stage"
    with engine_of(nowhere, (rf"/images/{own}/json", {"Id": "sha256:1"})) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        client = engine.connect()
        with pytest.raises(ImageNotFound, match=f"its image is {own}") as missing:
            engine.inspect_image(client, "first/one_stage")
        assert "what `build` returned" in missing.value.hint
        with pytest.raises(ImageNotFound, match="no image first/yours"):
            engine.inspect_image(client, "first/yours")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("stat /data/overlay2/13hem6b3: no such file or directory", "the engine lost a layer"),
        ("write /x: No space left on device", "disk is full"),
        ("something else", "lab doctor"),
    ],
)
def test_what_helps_is_told_by_what_the_engine_says(said, says):
    assert says in answers.engine_failed("looking", said).hint


def test_that_an_image_is_empty_is_no_failure_of_the_engine():
    """As Docker 20.10 says it of a `FROM scratch` into which nothing is copied."""
    told = answers.engine_failed("exporting x", "empty export - not implemented")
    assert isinstance(told, UsageError)
    assert "exporting x: the image has no layers" in told.message and "COPY" in told.hint


@pytest.mark.parametrize(
    ("asked", "tag", "has"),
    [
        ("busybox", "busybox:latest", True),
        ("busybox", "docker.io/library/busybox:latest", True),
        ("docker.io/library/busybox:latest", "busybox:latest", True),
        ("a/b:1", "localhost/a/b:1", True),
        ("host:5000/a/b", "host:5000/a/b:latest", True),
        ("busybox", "docker.io/shiplight/base/busybox:latest", False),
        ("0123456789ab", "a/b:1", True),
        ("a/b@sha256:0123", "a/b:1", True),
    ],
)
def test_an_image_is_here_under_its_own_name_only(nowhere, monkeypatch, asked, tag, has):
    found = {"Id": "sha256:0123456789abcdef", "RepoTags": [tag]}
    with engine_of(nowhere, (r"/images/", found)) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        assert engine.has_image(engine.connect(), asked) is has


def test_who_asks_for_disk_usage_while_somebody_else_does_waits(nowhere, monkeypatch):
    busy = (500, {"message": "a disk usage operation is already running"})
    with engine_of(nowhere, (r"/system/df", iter([busy, busy, {"LayersSize": 7}]))) as (url, seen):
        monkeypatch.setenv("DOCKER_HOST", url)
        assert disk.usage(engine.connect()) == 7
    assert [path for _, path, _ in seen].count("/system/df?verbose=1") == 3


def test_what_is_removed_while_it_is_counted_is_counted_again(nowhere, monkeypatch):
    """So says the containerd store, where another lab cleans."""
    gone = (500, {"message": "NotFound: snapshot yq2k does not exist: not found"})
    with engine_of(nowhere, (r"/system/df", iter([gone, {"LayersSize": 7}]))) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        assert disk.usage(engine.connect()) == 7


def test_an_engine_that_goes_away_is_an_error_of_ours(nowhere, monkeypatch):
    with engine_of(nowhere) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        client = engine.connect()
    os.unlink(nowhere / "engine.sock")
    client.api.close()
    with pytest.raises(EngineFailed, match="stopped answering"):
        engine.describe(client)


def test_time_stamps_of_engines_have_up_to_nine_decimals():
    assert disk._timestamp("2026-11-23T19:14:55.596994994Z") == pytest.approx(
        1795461295.597, abs=0.01
    )
    assert disk._timestamp("2026-11-23T19:14:55+00:00") == 1795461295
    assert disk._timestamp("yesterday") == 0.0


DF_29 = json.loads((FIXTURES / "29.7-containerd-system-df.json").read_text(encoding="utf-8"))
BEFORE = ("LayersSize", "Images", "Containers", "Volumes", "BuildCache")
NOW = ("ImageUsage", "ContainerUsage", "VolumeUsage", "BuildCacheUsage")


def asked_for_its_disk(folder, monkeypatch, said: dict):
    """What is read of one answer to /system/df: bytes, ids of cache records, bytes of images."""
    with engine_of(folder, (r"/system/df", said)) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        client = engine.connect()
        images = [image["Id"] for image in DF_29["Images"]]
        found = (
            disk.usage(client),
            [record.id for record in disk.cache_records(client)],
            disk.bytes_of_images(client, images),
        )
    (folder / "engine.sock").unlink()
    return found


def test_disk_usage_is_read_from_its_fields_before_and_since_api_1_52(nowhere, monkeypatch):
    both = asked_for_its_disk(nowhere, monkeypatch, DF_29)
    assert both[0] == DF_29["LayersSize"] + sum(
        record["Size"] for record in DF_29["BuildCache"] if not record["Shared"]
    )
    assert both[1] == [record["ID"] for record in DF_29["BuildCache"]] != []
    assert both[2] > 0
    for left in (BEFORE, NOW):
        said = {key: value for key, value in DF_29.items() if key not in left}
        assert asked_for_its_disk(nowhere, monkeypatch, said) == both


def test_cache_that_is_counted_and_not_listed_is_an_error_and_not_nothing(nowhere, monkeypatch):
    with pytest.raises(EngineFailed, match="counts 131 in BuildCacheUsage"):
        asked_for_its_disk(nowhere, monkeypatch, {"BuildCacheUsage": {"TotalCount": 131}})


def test_only_an_id_is_ever_pruned():
    for wrong in ("", ".*", "abc|def", "a" * 65):
        with pytest.raises(EngineFailed):
            disk.prune_cache_record(None, wrong)


def test_a_login_helper_that_is_gone_does_not_keep_from_public_images(nowhere, monkeypatch):
    (nowhere / "config.json").write_text('{"credsStore": "gone"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(nowhere))
    done = b'{"status": "Status: Downloaded newer image"}\n'
    answers = [(r"/distribution/busybox/json", {}), (r"/images/create", done)]
    with engine_of(nowhere, *answers) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        client = engine.connect()
        assert engine.registry_has(client, "busybox")
        engine.pull(client, "busybox", tell=(told := []).append)
    assert told == [{"status": "Status: Downloaded newer image"}]


def test_what_the_engine_says_against_an_archive_is_an_error_with_what_was_done(
    nowhere, monkeypatch
):
    refused = b'{"status": "Loading"}\n{"error": "unexpected EOF"}\n'
    with engine_of(nowhere, (r"/images/(load|create)\?", refused)) as (url, seen):
        monkeypatch.setenv("DOCKER_HOST", url)
        client = engine.connect()
        with pytest.raises(EngineFailed, match="while loading images: unexpected EOF"):
            engine.load_images(client, iter([b"x"]))
        with pytest.raises(EngineFailed, match="while importing a/b:1: unexpected EOF"):
            engine.import_rootfs(client, iter([b"x"]), "a/b", "1", changes=[], message="made+here")
    assert "message=made%2Bhere" in seen[-1][1]


def test_a_push_tells_how_far_it_is_and_fails_in_the_registrys_words(nowhere, monkeypatch):
    done = b'{"id": "abc", "status": "Pushed"}\n'
    refused = b'{"errorDetail": {"message": "denied"}, "error": "denied: requested access"}\n'
    answers = [(r"/images/host:5000/ci/push", iter([done, done + refused]))]
    with engine_of(nowhere, *answers) as (url, seen):
        monkeypatch.setenv("DOCKER_HOST", url)
        client, told, headers = engine.connect(), [], []
        post = client.api._post
        monkeypatch.setattr(
            client.api, "_post", lambda *a, **k: headers.append(k["headers"]) or post(*a, **k)
        )
        engine.push(client, "host:5000/ci:app", tell=told.append)
        with pytest.raises(EngineFailed, match="pushing host:5000/ci:app: denied"):
            engine.push(client, "host:5000/ci:app")
    assert told == [{"id": "abc", "status": "Pushed"}] and seen[-1][1].endswith("?tag=app")
    assert headers[0] == {"X-Registry-Auth": "e30="}, "without it, 20.10 takes no push"


def test_podman_is_the_same_engine_whenever_it_is_asked(nowhere, monkeypatch):
    version = VERSION | {"Components": [{"Name": "Podman Engine"}]}
    infos = iter([INFO | {"ID": str(n), "Name": "here", "DockerRootDir": "/d"} for n in range(2)])
    with engine_of(nowhere, (r"/version$", version), (r"/info$", infos)) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        assert engine.identity(engine.connect()) == engine.identity(engine.connect()) != ""


@pytest.mark.parametrize(
    ("in_container", "host", "local"),
    [(False, "elsewhere", True), (True, platform.node(), True), (True, "elsewhere", False)],
)
def test_a_container_with_the_outer_socket_does_not_reach_its_ports(
    nowhere, monkeypatch, in_container, host, local
):
    monkeypatch.setattr(describing, "_in_container", lambda: in_container)
    with engine_of(nowhere, (r"/info$", INFO | {"Name": host})) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        assert engine.is_local(engine.connect()) is local


def test_a_limit_of_the_sdk_holds_again_after_a_call_that_needs_patience(nowhere, monkeypatch):
    with engine_of(nowhere, (r"/system/df", (500, {"message": "broken"}))) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        client = engine.connect()
        with pytest.raises(EngineFailed, match="broken"):
            disk.usage(client)
        assert client.api.timeout == engine.ANSWER_TIMEOUT


def test_an_engine_elsewhere_is_not_asked_at_a_port_of_this_machine(nowhere, monkeypatch):
    image = {"Id": "sha256:0", "Config": {"ExposedPorts": {"80/tcp": {}}}}
    monkeypatch.setattr(engine, "is_local", lambda client: False)
    with engine_of(nowhere, (r"/images/", image)) as (url, seen):
        monkeypatch.setenv("DOCKER_HOST", url)
        with pytest.raises(ProbeFailed, match="runs elsewhere"):
            probing.answer_of(engine.connect(), "app:1")
    assert all(method == "GET" for method, *_ in seen), "no container was made"


BLOBS = "containerd/daemon/io.containerd.content.v1.content/blobs/sha256"


@pytest.mark.parametrize(
    ("kept", "listed", "is_below"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a"], ["a", "b"], False),
        ([], ["a"], False),
        ([], [], False),
    ],
)
def test_the_data_of_a_containerd_store_is_known_only_where_its_images_are_below(
    nowhere, monkeypatch, kept, listed, is_below
):
    """A containerd of the system keeps images outside the engine's folder, which is not empty."""
    root = nowhere / "data"
    (root / BLOBS).mkdir(parents=True)
    for name in kept:
        (root / BLOBS / name).touch()
    status = [["driver-type", "io.containerd.snapshotter.v1"]]
    info = INFO | {"Name": platform.node(), "DockerRootDir": str(root), "DriverStatus": status}
    images = [{"Id": f"sha256:{name}"} for name in listed]
    with engine_of(nowhere, (r"/info$", info), (r"/images/json", images)) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        assert engine.data_folder(engine.connect()) == (root if is_below else None)


def test_the_data_of_a_graph_driver_is_the_engines_folder(nowhere, monkeypatch):
    (nowhere / "overlay2").mkdir()
    info = INFO | {"Name": platform.node(), "DockerRootDir": str(nowhere), "DriverStatus": []}
    with engine_of(nowhere, (r"/info$", info)) as (url, _):
        monkeypatch.setenv("DOCKER_HOST", url)
        assert engine.data_folder(engine.connect()) == nowhere
