"""Measuring straight from a registry: what is read, who asks, and what is said of a failure."""

import base64
import json
import re
import subprocess
import tracemalloc

import factories
import pytest
import registries
from command import lab
from factories import INDEX_TYPE, as_json, file, sha256, whiteout
from guarded import program, registry
from hub import Images

from shiplight import files, image, inspection
from shiplight.charts import frames, image_charts
from shiplight.cli import commands
from shiplight.errors import ArchiveError, RegistryFailed, UsageError
from shiplight.image import LayerStore
from shiplight.image import registries as client

HISTORY = [
    {"created_by": "ADD rootfs.tar / # buildkit"},
    {"created_by": "ENV A=b", "empty_layer": True},
    {"created_by": "RUN /bin/sh -c rm /big # buildkit"},
]


def described(platform: str = "linux/amd64", **more) -> factories.Image:
    layers = [[file("big", 200_000), file("etc/arch", platform.encode())], [whiteout("big")]]
    return factories.Image(layers, history=HISTORY, platform=platform, **more)


def of_platforms(*platforms: str, packing: str = "gzip") -> dict[str, bytes]:
    """The files of an index of these platforms, with an attestation for the first."""
    images = [described(platform) for platform in platforms]
    files = factories.oci_files(*images, nested=True, packing=packing)
    [top] = json.loads(files["index.json"])["manifests"]
    index = json.loads(files[f"blobs/{top['digest'].replace(':', '/')}"])
    statement = {
        "mediaType": "application/vnd.in-toto+json",
        "digest": f"sha256:{sha256(b'{}')}",
        "size": 2,
        "annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"},
    }
    config = as_json({"os": "unknown"})
    files[f"blobs/sha256/{sha256(config)}"] = config
    entry = {"digest": f"sha256:{sha256(config)}", "size": len(config)}
    manifest = as_json({"schemaVersion": 2, "config": entry, "layers": [statement]})
    files[f"blobs/sha256/{sha256(manifest)}"] = manifest
    attestation = index["manifests"][-1]
    attestation |= {"digest": f"sha256:{sha256(manifest)}", "size": len(manifest)}
    subject = index["manifests"][0]["digest"]
    attestation["annotations"]["vnd.docker.reference.digest"] = subject
    return with_index(files, index)


def with_index(files: dict[str, bytes], index: dict) -> dict[str, bytes]:
    data = as_json(index)
    top = {"mediaType": INDEX_TYPE, "digest": f"sha256:{sha256(data)}", "size": len(data)}
    blob = {f"blobs/sha256/{sha256(data)}": data}
    return {**files, **blob, "index.json": as_json({"manifests": [top]})}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return registries.certificate(tmp_path_factory.mktemp("tls") / "both.pem")


@pytest.fixture
def place(certificate, tmp_path, monkeypatch):
    """A registry with TLS, which this machine trusts; no logins, no mirror, no proxy."""
    for name in ("SHIPLIGHT_MIRROR", "SHIPLIGHT_BASES", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in files.CA_VARIABLES:
        monkeypatch.setenv(name, str(certificate))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with registries.serving(certificate) as place:
        yield place


@pytest.fixture
def store(tmp_path):
    return LayerStore(tmp_path / "layers")


def logged_in(tmp_path, *hosts: str) -> None:
    (tmp_path / "docker").mkdir(exist_ok=True)
    auth = base64.b64encode(f"{registries.USER}:{registries.SECRET}".encode()).decode()
    config = {"auths": {host: {"auth": auth} for host in hosts}}
    (tmp_path / "docker" / "config.json").write_text(json.dumps(config))


# --- what is read --------------------------------------------------------------------------------


def test_every_platform_has_its_packed_bytes_by_instruction_and_no_layer_is_read(place):
    digest = place.put(of_platforms("linux/amd64", "linux/arm64/v8"), "1.23")
    found = inspection.published(f"{place.host}/a/b:1.23")
    assert (found.name, found.digest) == (f"{place.host}/a/b:1.23", digest)
    assert found.platforms == ("linux/amd64", "linux/arm64")
    for one in found.images:
        sizes = [len(place.blobs["blobs/" + x.digest.replace(":", "/")]) for x in one.layers]
        assert [layer.packed_bytes for layer in one.layers] == sizes
        assert [layer.instruction for layer in one.layers] == ["ADD rootfs.tar /", "RUN rm /big"]
        assert one.packed_bytes == sum(sizes)
        assert one.unpacked_bytes is one.reclaimable_bytes is None, "unknown, and not 0"
        assert not {x.digest for x in one.layers} & {
            path.rpartition("/")[2] for path in place.paths
        }
    [attested] = found.attestations
    assert attested.subject == found.manifests[0]
    assert attested.kinds == ("https://slsa.dev/provenance/v0.2",)


def test_one_platform_alone_is_asked_for_by_no_other_manifest(place):
    place.put(of_platforms("linux/amd64", "linux/arm64", "linux/arm/v7"))
    found = inspection.published(f"{place.host}/a/b", platform="linux/arm64")
    assert [one.platform for one in found.images] == ["linux/arm64"]
    assert found.platforms == ("linux/amd64", "linux/arm64", "linux/arm")
    assert len(place.paths) == 3, "the index, a manifest, a configuration"
    with pytest.raises(ArchiveError, match=r"no image for linux/s390x: there is linux/amd64, "):
        inspection.published(f"{place.host}/a/b", platform="linux/s390x")


def test_the_name_of_a_platform_stays_in_its_line(place):
    place.put(of_platforms("li\nnux\x1b/amd64"))
    with pytest.raises(ArchiveError, match="no image for linux/arm64") as failed:
        inspection.published(f"{place.host}/a/b", platform="linux/arm64")
    assert r"li\nnux\x1b/amd64" in failed.value.message


def test_images_are_asked_for_by_platform_and_a_silent_registry_only_once(place):
    place.put(of_platforms("linux/amd64", "linux/arm64"), "1")
    place.put(of_platforms("linux/amd64"), "2")
    names = [f"{place.host}/a/b:{tag}" for tag in ("1", "2", "3")]
    [expected] = inspection.published(names[0], platform="linux/arm64").images
    found = inspection.in_registries(None, *names, platform="linux/arm64")
    assert found == {names[0]: expected.packed_bytes, names[1]: None, names[2]: None}
    before = len(place.paths)
    found = inspection.in_registries(None, *reversed(names), platform="linux/arm64")
    assert found == dict.fromkeys(names)
    assert {path.rpartition("/")[2] for path in place.paths[before:]} == {"3"}


def test_an_image_without_an_index_is_read_too_and_by_its_digest(place):
    digest = place.put(factories.oci_files(described(), packing="gzip"))
    found = inspection.published(f"{place.host}/a/b@{digest}")
    assert found.manifests == (digest,) and found.platforms == ("linux/amd64",)
    other = f"sha512:{'0' * 128}"
    place.tags[other] = digest
    with pytest.raises(ArchiveError, match="damaged: its content is not sha512:0"):
        inspection.published(f"{place.host}/a/b@{other}")


@pytest.mark.parametrize("has_index", [True, False])
def test_the_only_image_is_none_for_another_platform(place, store, has_index):
    files = factories.oci_files(described(), packing="gzip")
    place.put(of_platforms("linux/amd64") if has_index else files)
    with pytest.raises(ArchiveError, match="no image for linux/s390x: there is linux/amd64"):
        inspection.published(f"{place.host}/a/b", platform="linux/s390x")
    with pytest.raises(ArchiveError, match="no image"):
        name = f"docker://{place.host}/a/b"
        inspection.measure(name, store=store, platform="linux/s390x", deep=True)


@pytest.mark.parametrize("asked", ["linux/arm64", "linux/arm64/v8"])
def test_a_variant_that_one_side_leaves_out_is_the_same_platform(place, asked):
    place.put(of_platforms("linux/amd64", "linux/arm64"))
    found = inspection.published(f"{place.host}/a/b", platform=asked)
    assert [one.platform for one in found.images] == ["linux/arm64"]


def test_a_platform_that_an_index_does_not_name_is_taken_from_the_image(place):
    files = of_platforms("linux/amd64")
    [top] = json.loads(files["index.json"])["manifests"]
    index = json.loads(files[f"blobs/{top['digest'].replace(':', '/')}"])
    del index["manifests"][0]["platform"]
    place.put(with_index(files, index))
    assert inspection.published(f"{place.host}/a/b").platforms == ("linux/amd64",)


def test_what_is_no_image_is_said_to_be_that(place):
    config = as_json({"name": "chart"})
    kind = "application/vnd.cncf.helm.config.v1+json"
    entry = {"mediaType": kind, "digest": f"sha256:{sha256(config)}", "size": len(config)}
    manifest = as_json({"schemaVersion": 2, "config": entry, "layers": []})
    top = {"digest": f"sha256:{sha256(manifest)}", "size": len(manifest)}
    blobs = {f"blobs/sha256/{sha256(data)}": data for data in (config, manifest)}
    place.put({**blobs, "index.json": as_json({"manifests": [top]})})
    with pytest.raises(ArchiveError, match="there is no image") as refused:
        inspection.published(f"{place.host}/a/b")
    assert "Helm chart" in refused.value.hint


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_deep_measures_as_an_archive_is_measured(place, store, tmp_path, packing):
    files = of_platforms("linux/amd64", packing=packing)
    place.put(files)
    (tmp_path / "saved.tar").write_bytes(factories.archive(files))
    saved = inspection.measure(None, tmp_path / "saved.tar", store=store)
    name = f"docker://{place.host}/a/b"
    found = inspection.measure(None, name, store=store, platform="linux/amd64", deep=True)
    assert found.layers == saved.layers and found.tree() == saved.tree()
    assert (found.unpacked_bytes, found.reclaimable_bytes) == (200_011, 200_000)
    assert found.engine_id is None and found.setting.engine == "a registry"
    before = len(place.paths)
    again = inspection.measure(None, name, store=store, platform="linux/amd64", deep=True)
    assert again == found and len(place.paths) == before + 3, "its layers are known by now"


def test_without_deep_an_image_is_measured_as_far_as_its_manifest_tells(place, store):
    place.put(of_platforms("linux/amd64", "linux/arm64"))
    name = f"docker://{place.host}/a/b"
    found = inspection.measure(name, store=store, platform="linux/arm64")
    assert found.platform == "linux/arm64" and found.packed_bytes > 0
    assert image.Image.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert "— unpacked" in repr(found) and "— files" in repr(found.layers[0])
    for ask in (
        image.Image.tree,
        inspection.stored_bytes,
        image_charts.before_after,
        image_charts.waterfall,
        lambda one: frames.savings({"x": (one, one)}),
    ):
        with pytest.raises(UsageError, match=r"layers of .* were not read.*\n.*deep=True"):
            ask(found)
    assert list(frames.layers(found)["packed_bytes"]) == [x.packed_bytes for x in found.layers]


def test_what_a_real_registry_has_is_what_was_pushed_into_it(tmp_path, store, monkeypatch):
    """Debian's docker-registry, on plain HTTP as engines take it from 127.0.0.1."""
    try:
        found = program(tmp_path)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"not for this machine: it has no docker-registry ({error})")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with registry(found, tmp_path) as address:
        saved = factories.legacy(described())
        digest = Images(address).put(saved, "team/app", "1")
        seen = inspection.published(f"{address}/team/app:1")
        assert seen.digest == digest and seen.platforms == ("linux/amd64", "linux/arm64")
        assert len(seen.attestations) == 2
        name = f"docker://{address}/team/app:1"
        deep = inspection.measure(None, name, store=store, platform="linux/amd64", deep=True)
    assert (deep.unpacked_bytes, deep.reclaimable_bytes) == (200_011, 200_000)
    assert [x.packed_bytes for x in deep.layers] == [x.packed_bytes for x in seen.images[0].layers]


# --- who asks, and where -------------------------------------------------------------------------


def test_a_public_image_is_read_as_anybody_with_a_token(place):
    place.put(of_platforms("linux/amd64"))
    place.way = "token"
    inspection.published(f"{place.host}/a/b")
    assert place.scopes == ["repository:a/b:pull"], "one token for all"
    assert not [said for _, path, said in place.asked if said.startswith("Basic")]


@pytest.mark.parametrize("way", ["token", "basic"])
def test_a_private_image_is_read_with_the_login_that_docker_kept(place, tmp_path, way):
    place.put(of_platforms("linux/amd64"))
    place.way, place.private = way, True
    with pytest.raises(RegistryFailed, match="does not let this user read it") as refused:
        inspection.published(f"{place.host}/a/b")
    assert f"docker login {place.host}" in str(refused.value)
    assert "pass-word" not in str(refused.value)
    logged_in(tmp_path, place.host)
    assert inspection.published(f"{place.host}/a/b").images


def test_a_login_goes_to_its_own_host_and_to_no_other(place, certificate, tmp_path, store):
    """Not to another registry, nor to where a blob is kept; nor does ~/.netrc go anywhere."""
    place.way, place.private = "basic", True
    with registries.serving(certificate) as other:
        logged_in(tmp_path, place.host)
        for one in (place, other):
            one.put(of_platforms("linux/amd64"))
        inspection.published(f"{other.host}/a/b")
        blobs = [path for path, data in place.blobs.items() if data[:2] == b"\x1f\x8b"]
        place.elsewhere = {p.removeprefix("blobs/").replace("/", ":"): other.url for p in blobs}
        name = f"docker://{place.host}/a/b"
        inspection.measure(None, name, store=store, platform="linux/amd64", deep=True)
        assert len([path for path in other.paths if "/blobs/" in path]) > len(blobs)
        assert {said for _, _, said in other.asked} == {""}


@pytest.mark.parametrize("way", ["token", "basic"])
def test_who_answers_a_redirect_may_ask_for_no_login(place, certificate, tmp_path, store, way):
    place.way, place.private = "basic", True
    logged_in(tmp_path, place.host)
    with registries.serving(certificate) as other:
        for one in (place, other):
            one.put(of_platforms("linux/amd64"))
        other.way, other.private = way, True
        blobs = [path for path, data in place.blobs.items() if data[:2] == b"\x1f\x8b"]
        place.elsewhere = {p.removeprefix("blobs/").replace("/", ":"): other.url for p in blobs}
        with pytest.raises(RegistryFailed, match="does not let this user read it"):
            deep(place, store)
        assert other.paths and {said for _, _, said in other.asked} == {""}
        assert not [path for path in other.paths if "token" in path]


def test_what_netrc_has_for_a_host_goes_to_no_host_that_is_pointed_to(
    place, certificate, tmp_path, store, monkeypatch
):
    monkeypatch.setattr(client, "_LOOPBACK", re.compile("nothing"))  # as for any other host
    monkeypatch.setenv("NO_PROXY", "*")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password of-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with registries.serving(certificate) as other:
        for one in (place, other):
            one.put(of_platforms("linux/amd64"))
        blobs = [path for path, data in place.blobs.items() if data[:2] == b"\x1f\x8b"]
        place.elsewhere = {p.removeprefix("blobs/").replace("/", ":"): other.url for p in blobs}
        deep(place, store)
        assert [path for path in other.paths if "/blobs/" in path]
        assert {said for _, _, said in (*place.asked, *other.asked)} == {""}


def test_no_login_is_sent_without_tls(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with registries.serving(None) as place:
        place.put(of_platforms("linux/amd64"))
        assert inspection.published(f"{place.host}/a/b").images, "plain HTTP of this machine"
        place.way = "basic"
        logged_in(tmp_path, place.host)
        with pytest.raises(RegistryFailed, match="wants a login, and has no TLS"):
            inspection.published(f"{place.host}/a/b")
        assert {said for _, _, said in place.asked} == {""}


def test_the_mirror_is_asked_first_and_then_the_registry_itself(place, certificate, monkeypatch):
    with registries.serving(certificate) as mirror:
        place.put(of_platforms("linux/amd64"))
        monkeypatch.setenv("SHIPLIGHT_MIRROR", f"{place.host}={mirror.host}/team")
        found = inspection.published(f"{place.host}/a/b")
        assert mirror.paths == ["/v2/team/a/b/manifests/latest"] and found.images
        mirror.put(of_platforms("linux/amd64"))
        before = len(place.asked)
        found = inspection.published(f"{place.host}/a/b")
        assert found.name == f"{mirror.host}/team/a/b:latest" and len(place.asked) == before
        place.faults, mirror.tags = {"manifests": (503, {}, b"")}, {}
        with pytest.raises(RegistryFailed, match=r"nothing of that name.*\n.*server error"):
            inspection.published(f"{place.host}/a/b")


def test_mirrored_alone_asks_no_other_registry(place, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "mirrored")
    monkeypatch.setenv("SHIPLIGHT_MIRROR", "gcr.io=mirror.example")
    with pytest.raises(UsageError, match="no mirror is named for 127"):
        inspection.published(f"{place.host}/a/b")
    assert not place.asked


# --- what fails ----------------------------------------------------------------------------------

FAULTS = [
    ((404, {}, b"{}"), "nothing of that name", "spelling"),
    (
        (429, {"Retry-After": "7"}, b"{}"),
        "too many requests from here; it asks to wait 7 s",
        "login",
    ),
    ((403, {}, b"{}"), "does not let this user", "docker login"),
    ((500, {}, b"{}"), r"server error \(HTTP 500\)", "later"),
    ((418, {}, b"{}"), "replies HTTP 418", "name"),
    ((200, {}, b"<html>Welcome to our guest network</html>"), "is not valid JSON", "damaged"),
    ((200, {}, b"[]"), "expected dict, found list", "image"),
    ((200, {}, b'{"manifests": [{"digest": "../../etc"}]}'), "expected int", "image"),
    ((200, {}, b'{"manifests": [{"digest": "../x", "size": 1}]}'), "not a digest", "image"),
    ((200, {}, b" " * (9 << 20)), "document of more than 8 MiB", "registry"),
    ((401, {"WWW-Authenticate": "Nonsense"}, b"{}"), "a/b cannot be read from", ""),
    ((401, {}, b"{}"), "a/b cannot be read from", ""),
    ((401, {"WWW-Authenticate": "Bearer"}, b"{}"), "responds there is not a registry", "login"),
    ((401, {"WWW-Authenticate": "Negotiate"}, b"{}"), "does not let this user", "docker login"),
]


@pytest.mark.parametrize(("fault", "says", "helps"), FAULTS)
def test_what_a_registry_does_wrong_is_said_plainly_with_what_helps(place, fault, says, helps):
    place.put(of_platforms("linux/amd64"))
    place.faults = {"/manifests/": fault}
    with pytest.raises((RegistryFailed, ArchiveError), match=says) as failed:
        inspection.published(f"{place.host}/a/b")
    assert helps in failed.value.hint


def test_a_certificate_of_nobody_is_refused_and_its_login_stays_here(place, tmp_path, monkeypatch):
    for name in files.CA_VARIABLES:
        monkeypatch.setenv(name, "")
    logged_in(tmp_path, place.host)
    with pytest.raises(RegistryFailed):
        inspection.published(f"{place.host}/a/b")
    assert not place.asked


def test_a_host_that_is_not_there_is_said_to_be_that():
    with pytest.raises(RegistryFailed, match="nothing listens there"):
        inspection.published("127.0.0.1:1/a/b")


def test_a_silent_registry_is_not_waited_for_for_ever(place, monkeypatch):
    monkeypatch.setattr(client, "SILENT_SECONDS", 0.2)
    with registries.serving(None) as silent:
        silent.faults = {"/": (200, {}, b"")}
        monkeypatch.setattr(registries.Answers, "send", lambda *_, **__: None)
        with pytest.raises(RegistryFailed, match="did not respond in time"):
            inspection.published(f"{silent.host}/a/b")


def test_a_body_that_stops_coming_is_no_wrong_host(place, store, monkeypatch):
    monkeypatch.setattr(client, "SILENT_SECONDS", 0.2)
    place.put(of_platforms("linux/amd64"))
    place.stalls = {blob_of(place, b"\x1f\x8b")}
    with pytest.raises(RegistryFailed, match="did not respond in time"):
        deep(place, store)


def test_a_file_of_ca_certificates_that_is_not_there_is_named(place, monkeypatch):
    monkeypatch.setattr(client, "_LOOPBACK", re.compile("nothing"))  # as for any other host
    for name in files.CA_VARIABLES:
        monkeypatch.setenv(name, "/nonexistent")
    with pytest.raises(RegistryFailed, match="REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names is not"):
        inspection.published(f"{place.host}/a/b")


def test_a_registry_without_tls_elsewhere_is_said_to_be_that(monkeypatch):
    monkeypatch.setattr(client, "_LOOPBACK", re.compile("nothing"))  # as for any other host
    monkeypatch.setenv("NO_PROXY", "*")
    with registries.serving(None) as plain, pytest.raises(RegistryFailed, match="plain HTTP"):
        inspection.published(f"{plain.host}/a/b")


def test_what_a_redirect_has_as_its_body_is_bounded(place, store):
    place.put(of_platforms("linux/amd64"))
    elsewhere = {"Location": f"{place.url}/v2/a/b/none"}
    place.faults = {"/blobs/": (307, elsewhere, bytes(9 << 20))}
    with pytest.raises((ArchiveError, RegistryFailed), match="more than 8 MiB"):
        deep(place, store)


def blob_of(place, kind: bytes) -> str:
    """The digest of the largest blob that begins so."""
    paths = [path for path, data in place.blobs.items() if data.startswith(kind)]
    largest = max(paths, key=lambda path: len(place.blobs[path]))
    return largest.removeprefix("blobs/").replace("/", ":")


def deep(place, store):
    name = f"docker://{place.host}/a/b"
    return inspection.measure(None, name, store=store, platform="linux/amd64", deep=True)


def test_a_layer_that_is_cut_is_an_error_and_is_not_remembered(place, store):
    place.put(of_platforms("linux/amd64"))
    place.cut = {blob_of(place, b"\x1f\x8b")}
    with pytest.raises((RegistryFailed, ArchiveError), match=r"only a part|bytes fewer"):
        deep(place, store)
    place.cut = set()
    assert deep(place, store).unpacked_bytes == 200_011


@pytest.mark.parametrize("change", [lambda d: d[:-1] + b"x", lambda d: d + b"more", lambda d: b""])
def test_a_layer_that_is_another_is_an_error(place, store, change):
    place.put(of_platforms("linux/amd64"))
    path = "blobs/" + blob_of(place, b"\x1f\x8b").replace(":", "/")
    place.blobs[path] = change(place.blobs[path])
    with pytest.raises((RegistryFailed, ArchiveError), match=r"digest|than the manifest declares"):
        deep(place, store)


@pytest.mark.parametrize("kind", [b'{"schemaVersion"', b'{"created"'])
def test_a_document_that_is_another_is_an_error(place, kind):
    place.put(of_platforms("linux/amd64"))
    for path, data in place.blobs.items():
        if data.startswith(kind):
            place.blobs[path] = data + b" "
    digest = place.tags["latest"]
    with pytest.raises((RegistryFailed, ArchiveError), match=r"damaged|digest|than the manifest"):
        inspection.published(f"{place.host}/a/b@{digest}")


def test_a_layer_that_unpacks_without_end_is_read_in_bounded_memory(place, store, monkeypatch):
    monkeypatch.setattr("shiplight.image.tarstream.MAX_UNPACKED", 30_000_000)
    bomb = factories.Image([[file(name, bytes(10_000_000)) for name in "abcd"]])
    place.put(factories.oci_files(bomb, packing="gzip"))
    tracemalloc.start()
    with pytest.raises(ArchiveError, match="unpacks to more than 30"):
        deep(place, store)
    assert tracemalloc.get_traced_memory()[1] < 200_000_000
    tracemalloc.stop()


def test_an_index_that_names_the_same_again_and_again_is_refused(place):
    files = of_platforms("linux/amd64")
    [top] = json.loads(files["index.json"])["manifests"]
    index = json.loads(files[f"blobs/{top['digest'].replace(':', '/')}"])
    for number in range(400):
        one = as_json({"schemaVersion": 2, "manifests": [], "number": number})
        files[f"blobs/sha256/{sha256(one)}"] = one
        index["manifests"].append({"digest": f"sha256:{sha256(one)}", "size": len(one)})
    place.put(with_index(files, index))
    with pytest.raises(ArchiveError, match="exceed the limit"):
        inspection.published(f"{place.host}/a/b")
    assert len(place.asked) < 400


@pytest.mark.parametrize("name", ["docker://", "a b", "http://x.y/z", "x@sha256:12", "gcr.io/../x"])
def test_what_is_no_name_of_an_image_is_refused_without_asking(name):
    with pytest.raises(UsageError, match="is not the name of an image"):
        inspection.published(name)


# --- ./lab measure --remote ----------------------------------------------------------------------


@pytest.fixture
def measured(capsys, monkeypatch):
    """Call it with words of the command: what it prints."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")

    def run(*words: str) -> str:
        assert commands.main(["measure", *words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


def test_the_command_needs_no_engine_and_prints_every_platform(place, measured):
    place.put(of_platforms("linux/amd64", "linux/arm64"))
    name = f"{place.host}/a/b"
    said = lab("measure", "--remote", name, DOCKER_HOST="unix:///nowhere.sock").stdout
    assert "linux/arm64" in said and "RUN rm /big" in said and "slsa.dev" in said
    found = json.loads(measured("--remote", name, "--json"))
    assert [one["platform"] for one in found["images"]] == ["linux/amd64", "linux/arm64"]
    assert found["images"][0]["unpacked_bytes"] is None
    assert found["images"][0]["digest"].startswith("sha256:")
    one = json.loads(measured(f"docker://{name}", "--json", "--platform", "linux/arm64"))
    assert [image["platform"] for image in one["images"]] == ["linux/arm64"]


def test_the_command_compares_two_tags_and_two_platforms(place, measured):
    place.put(of_platforms("linux/amd64", "linux/arm64"), "1")
    place.put(factories.oci_files(described(name="x"), packing="gzip"), "2")
    name, amd64 = f"{place.host}/a/b", ["--platform", "linux/amd64"]
    found = json.loads(measured("--remote", f"{name}:1", f"{name}:2", *amd64, "--json"))
    assert {layer["where"] for layer in found["layers"]} == {"in both"}
    assert found["first_packed_bytes"] == 0 < found["shared_packed_bytes"]
    both = ["--remote", f"{name}:1", "--platform", "linux/amd64,linux/arm64"]
    found = json.loads(measured(*both, "--json"))
    where = [layer["where"] for layer in found["layers"]]
    assert where == ["in both", "only in the first", "only in the second"]
    assert "total" in measured(*both)
    files = json.loads(measured(*both, "--deep", "--json"))["files"]
    assert [one["path"] for one in files] == ["etc/arch"]
    assert "etc/arch" in measured(*both, "--deep")


def test_the_command_compares_an_archive_with_what_a_registry_has(place, measured, tmp_path):
    files = of_platforms("linux/amd64")
    place.put(files)
    (tmp_path / "saved.tar").write_bytes(factories.archive(files))
    name = f"docker://{place.host}/a/b"
    found = json.loads(measured(str(tmp_path / "saved.tar"), name, "--json"))
    assert found["files"] == [] and found["same_files"] == 1


def test_the_command_reads_layers_where_it_is_told_to(place, measured):
    place.put(of_platforms("linux/amd64"))
    name = f"{place.host}/a/b"
    found = measured("--remote", name, "--deep", "--platform", "linux/amd64", "--json")
    assert json.loads(found)["reclaimable_bytes"] == 200_000


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere", "--deep"], "./lab measure --remote nowhere"),
        (["--remote", "a", "b", "--platform", "linux/amd64,linux/arm64"], "compares two images"),
    ],
)
def test_the_command_says_what_cannot_be_asked_for(words, says, capsys):
    assert commands.main(["measure", *words]) != 0
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said
