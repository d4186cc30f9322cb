"""Getting bases: which of several names is taken, what is pulled, and what is said of a failure."""

import json
import re
import urllib.parse

import pytest
from replay import connected

from shiplight import engine, setup
from shiplight.builds import assembling, bases, providing, pulling
from shiplight.engine import registries
from shiplight.errors import BaseNotAvailable

BUSYBOX = {"Id": "sha256:a1", "RepoTags": ["busybox:latest", "busybox:1.36"], "RootFS": {}}


@pytest.fixture
def client_of(tmp_path, monkeypatch):
    """Call it with an engine's answers: a client of that engine, and what it was asked."""
    for name in ("SHIPLIGHT_MIRROR", "SHIPLIGHT_BASES"):
        monkeypatch.delenv(name, raising=False)
    with connected(tmp_path, monkeypatch) as start:
        yield start


def test_a_base_that_is_named_without_a_tag_is_latest_and_no_other(client_of):
    client, _ = client_of((r"/images/busybox:latest/json", BUSYBOX))
    assert providing.here(client, "busybox").used == "busybox:latest"


# --- which of several is taken -------------------------------------------------------------------

MIRROR = "mirror.example/hub"
DIGEST = f"sha256:{'1' * 64}"


def pulls(name: str, *lines: dict, then: dict | None = None):
    """The answers to a pull of `name`; after it, `then` is what is there."""
    said = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    asked = []

    def pulled():
        asked.append(name)
        return said

    def there():
        return then if asked and then else (404, {"message": "no such image"})

    image, _, tag = name.rpartition(":")
    found = re.escape(urllib.parse.quote(image, safe=""))
    return (
        (rf"/images/create\?fromImage={found}&tag={tag}$", pulled),
        (rf"/images/{re.escape(name)}/json", there),
    )


def image(name: str) -> dict:
    return {"Id": "sha256:a1", "RepoTags": [name], "Os": "linux", "Architecture": "amd64"}


def refused(said: str) -> dict:
    return {"error": said, "errorDetail": {"message": said}}


def asked_for(seen) -> list[str]:
    """The images that the engine was asked to pull, in order."""
    paths = [urllib.parse.urlsplit(path) for _, path, _ in seen]
    queries = [urllib.parse.parse_qs(p.query) for p in paths if p.path == "/images/create"]
    return [f"{query['fromImage'][0]}:{query['tag'][0]}" for query in queries]


@pytest.mark.parametrize("kind", ["mirrored", "equivalent"])
def test_an_official_image_by_digest_is_not_used_where_another_kind_is_asked_for(
    client_of, monkeypatch, kind
):
    pinned = f"busybox@{DIGEST}"
    client, _ = client_of((r"/images/busybox(@|%40)sha256", BUSYBOX))
    assert providing.here(client, pinned).kind == "official"
    monkeypatch.setenv("SHIPLIGHT_BASES", kind)
    assert providing.here(client, pinned) is None


def test_an_image_of_ones_own_is_a_base_whatever_kind_is_asked_for(client_of, monkeypatch):
    client, _ = client_of((r"/images/my/own:1/json", image("my/own:1")))
    monkeypatch.setenv("SHIPLIGHT_BASES", "equivalent")
    assert providing.here(client, "my/own:1").used == "my/own:1"


def test_where_the_mirror_lacks_a_base_its_own_registry_is_asked(client_of, monkeypatch):
    name = "gcr.io/distroless/static-debian12:latest"
    there = f"{MIRROR}/distroless/static-debian12:latest"
    client, seen = client_of(
        *pulls(there, refused("manifest unknown")), *pulls(name, then=image(name))
    )
    monkeypatch.setenv("SHIPLIGHT_MIRROR", MIRROR)
    [base] = providing.provide(client, ["gcr.io/distroless/static-debian12"])
    assert asked_for(seen) == [there, name]
    assert (base.used, base.kind) == (name, "official")


def test_mirrored_alone_asks_no_other_registry(client_of, monkeypatch):
    client, seen = client_of(*pulls(f"{MIRROR}/nobody/has:this", refused("manifest unknown")))
    monkeypatch.setenv("SHIPLIGHT_MIRROR", f"docker.io={MIRROR}")
    monkeypatch.setenv("SHIPLIGHT_BASES", "mirrored")
    with pytest.raises(BaseNotAvailable):
        providing.provide(client, ["nobody/has:this"])
    with pytest.raises(BaseNotAvailable, match=r"no mirror for gcr\.io"):
        providing.provide(client, ["gcr.io/nobody/has:this"])
    assert asked_for(seen) == [f"{MIRROR}/nobody/has:this"]


# --- what a pull that failed leaves, and what is said of it --------------------------------------

BROKEN = {
    "Id": "sha256:b2",
    "RepoTags": ["busybox:latest"],
    "Os": "",
    "Architecture": "",
    "Size": 41,
}


def test_a_name_without_an_image_behind_it_is_not_there(client_of):
    client, _ = client_of((r"/images/busybox:latest/json", BROKEN))
    assert providing.here(client, "busybox") is None


@pytest.mark.parametrize(
    ("said", "means"),
    [([], "only in part"), ([refused("only manifests may be exported")], "is not a registry")],
)
def test_a_pull_that_met_no_registry_leaves_no_broken_image(client_of, monkeypatch, said, means):
    monkeypatch.setenv("SHIPLIGHT_BASES", "official")
    gone = (r"/images/busybox:latest$", [{"Untagged": "busybox:latest"}])
    client, seen = client_of(*pulls("busybox:latest", *said, then=BROKEN), gone)
    with pytest.raises(BaseNotAvailable, match=means):
        providing.provide(client, ["busybox"])
    removed = [path for how, path, _ in seen if how == "DELETE"]
    assert len(removed) == 1 and removed[0].startswith("/images/busybox:latest")


def test_a_failed_pull_removes_nothing_that_was_there_before(client_of, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "official")
    client, seen = client_of(
        (r"/images/create", json.dumps(refused("HTTP 500")).encode()),
        (r"/images/busybox:latest/json", BROKEN),
    )
    with pytest.raises(BaseNotAvailable):
        providing.provide(client, ["busybox"])
    assert not [path for how, path, _ in seen if how == "DELETE"]


PLAIN = [
    (
        "toomanyrequests: You have reached your pull rate limit.",
        "too many requests",
        "docker login",
    ),
    ("Head https://m.example/v2/: no basic auth credentials", "not let this user", "docker login"),
    ("pull access denied for nobody/has, repository does not exist", "not let this user", "spell"),
    ("error parsing HTTP 403 response body: invalid character '<'", "not let this user", "login"),
    ("http: server gave HTTP response to HTTPS client", "plain HTTP", "insecure-registries"),
    ("tls: failed to verify certificate: x509: unknown authority", "certificate", "certs.d"),
    ("dial tcp: lookup m.example: no such host", "cannot resolve its host name", "DNS"),
    ("dial udp 10.0.0.1:53: connect: network is unreachable", "cannot reach it", "network"),
    ("dial tcp 127.0.0.1:5: connect: connection refused", "nothing listens", "port"),
    ("no matching manifest for linux/amd64 in the manifest list", "platform", "platform"),
    ("filesystem layer verification failed for digest sha256:1", "match its digest", "try again"),
    ("failed to register layer: archive/tar: invalid tar header", "cannot read", "zstd"),
    ("invalid character '<' looking for beginning of value", "is not a registry", "browser"),
    ("received unexpected HTTP status: 503 Service Unavailable", "reports a server error", "later"),
    ("manifest for nobody/has:this not found", "nothing of that name", "spelling"),
    ("net/http: TLS handshake timeout", "did not respond in time", "network"),
    ("read tcp 127.0.0.1:1: read: connection reset by peer", "closed the connection", "proxy"),
]


@pytest.mark.parametrize(("said", "means", "helps"), PLAIN)
def test_why_a_base_cannot_be_pulled_is_said_plainly_with_what_helps(
    client_of, monkeypatch, said, means, helps
):
    monkeypatch.setenv("SHIPLIGHT_MIRROR", "m.example")
    monkeypatch.setenv("SHIPLIGHT_BASES", "mirrored")
    monkeypatch.setattr(engine, "pull_limit", lambda *_: None)
    client, _ = client_of(*pulls("m.example/nobody/has:this", refused(said)))
    with pytest.raises(BaseNotAvailable) as failed:
        providing.provide(client, ["nobody/has:this"])
    message, _, hint = str(failed.value).rpartition("Try: ")
    assert means in message and said in message and helps in hint
    assert "docker login" not in hint or "docker login m.example" in hint


def test_a_word_that_no_sign_tells_is_handed_on(client_of, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "official")
    client, _ = client_of(*pulls("nobody/has:this", refused("some new trouble")))
    with pytest.raises(BaseNotAvailable, match="cannot be pulled: some new trouble"):
        providing.provide(client, ["nobody/has:this"])


def test_the_pulls_that_are_left_are_said_with_too_many_requests(client_of, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "official")
    left = registries.Limit(left=0, most=100, seconds=21600, wait="7")
    monkeypatch.setattr(engine, "pull_limit", lambda *_: left)
    client, _ = client_of(*pulls("nobody/has:this", refused("HTTP 429")))
    with pytest.raises(BaseNotAvailable, match=r"0 of 100 pulls in 6 hours .* wait for 7 s"):
        providing.provide(client, ["nobody/has:this"])


def test_an_equivalent_is_no_way_out_where_none_can_be_assembled(client_of, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "official")
    monkeypatch.setattr(setup, "is_root", lambda: False)
    client, _ = client_of(*pulls("golang:1.23", refused("HTTP 500")))
    with pytest.raises(BaseNotAvailable) as failed:
        providing.provide(client, ["golang:1.23"])
    assert "equivalent" not in str(failed.value)


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("reference", ["golang:1.23", "debian:bookworm-slim"])
def test_what_assembling_needs_is_judged_before_and_when_it_is_tried(
    client_of, monkeypatch, root, reference
):
    """By one predicate: also of what an equivalent is itself based on."""
    monkeypatch.setenv("SHIPLIGHT_BASES", "equivalent")
    monkeypatch.setattr(setup, "is_root", lambda: root)
    monkeypatch.setattr(setup, "on_debian", lambda: True)
    for variable in assembling.CA_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    made = []
    for way in ("_from_rootfs", "_from_dockerfile"):
        monkeypatch.setattr(assembling, way, lambda client, recipe, tasks: made.append(recipe))
    monkeypatch.setattr(assembling, "_has_mmdebstrap", lambda: True)
    client, _ = client_of()
    recipe = bases.recipes()[reference]
    why = assembling.unassembled(client, recipe)
    assert bool(why) is not root
    if root:
        assert providing.provide(client, [reference])[0].kind == "equivalent"
        assert made[-1] == recipe
        return
    with pytest.raises(BaseNotAvailable, match=why):
        providing.provide(client, [reference])
    assert not made


@pytest.mark.parametrize("imported", ["amd64", "arm64"])
def test_an_engine_that_imports_for_its_own_platform_only_keeps_no_wrong_base(client_of, imported):
    recipe = bases.recipes()["debian:bookworm-slim"].on("linux/arm64")
    name = recipe.equivalent
    gone = (rf"/images/{name}$", [{"Untagged": name}])
    there = image(name) | {"Architecture": imported}
    client, seen = client_of((rf"/images/{name}/json", there), gone)
    if imported == "arm64":
        assembling._refuse_mislabelled(client, recipe, name)
    else:
        with pytest.raises(BaseNotAvailable, match="for linux/amd64 only"):
            assembling._refuse_mislabelled(client, recipe, name)
    assert len([how for how, _, _ in seen if how == "DELETE"]) == (imported == "amd64")


@pytest.mark.parametrize("label", ["today", "another", None])
def test_an_equivalent_is_outdated_where_it_says_that_another_recipe_made_it(client_of, label):
    """What was assembled before recipes were labelled does not say, and stays as it is."""
    recipe = bases.recipes()["busybox:latest"]
    made = bases.made_from(recipe) if label == "today" else label
    labels = {"shiplight.recipe": made} if label else {}
    there = image(recipe.equivalent) | {"Config": {"Labels": labels}}
    client, _ = client_of((rf"/images/{recipe.equivalent}/json", there))
    assert assembling.is_outdated(client, recipe) is (label == "another")


def test_what_cannot_be_made_again_is_kept_and_said(client_of, monkeypatch, capsys):
    """In a room without a network, `bases get` takes nothing away."""
    monkeypatch.setenv("SHIPLIGHT_BASES", "equivalent")
    monkeypatch.setenv("SHIPLIGHT_PROGRESS", "on")
    recipe = bases.recipes()["busybox:latest"]
    labels = {"Config": {"Labels": {"shiplight.recipe": "another"}}}
    client, seen = client_of(
        (rf"/images/{recipe.equivalent}/json", image(recipe.equivalent) | labels)
    )

    def fails(*_):
        raise BaseNotAvailable("Debian's packages cannot be reached.\n  Last lines: …")

    for way in ("_from_rootfs", "_from_dockerfile", "_check_machine"):
        monkeypatch.setattr(assembling, way, fails)
    assert providing.provide(client, ["busybox"])[0].used == recipe.equivalent
    assert not capsys.readouterr().err, "a build does not ask"
    assert providing.provide(client, ["busybox"], renew=True)[0].used == recipe.equivalent
    last = capsys.readouterr().err.splitlines()[-1]
    assert "kept, outdated: Debian's packages cannot be reached." in last
    assert not [how for how, _, _ in seen if how == "DELETE"]


def test_the_reason_of_the_first_failure_stays_in_the_line_of_progress(
    client_of, monkeypatch, capsys
):
    monkeypatch.setenv("SHIPLIGHT_PROGRESS", "on")
    monkeypatch.setattr(providing, "assemble", lambda *_: "shiplight/base/busybox:latest")
    monkeypatch.setattr(engine, "pull_limit", lambda *_: None)
    client, _ = client_of(*pulls("busybox:latest", refused("toomanyrequests: wait")))
    assert providing.provide(client, ["busybox"])[0].kind == "equivalent"
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "▸ busybox:latest: pulling: waiting for its registry"
    assert lines[1].startswith("○ busybox:latest: cannot be pulled: too many requests from here")
    assert len(lines) == 2, "without a terminal, a line a step and nothing twice"


# --- progress ------------------------------------------------------------------------------------


def layer(name: str, status: str, current: int = 0, total: int = 0) -> dict:
    detail = {"current": current, "total": total} if total else {}
    return {"id": name, "status": status, "progressDetail": detail}


def test_the_total_of_a_pull_is_that_of_all_its_layers():
    seen = pulling.Layers()
    seen.add({"status": "Pulling from library/golang", "id": "1.23"})
    assert str(seen) == ""
    for name in ("a", "b", "c", "d"):
        seen.add(layer(name, "Pulling fs layer"))
    seen.add(layer("a", "Already exists"))
    seen.add(layer("b", "Downloading", 1_000_000, 10_000_000))
    assert str(seen) == "1.00 MB, 1 of 4 layers", "what c and d have is not known yet"
    seen.add(layer("c", "Downloading", 2_000_000, 20_000_000))
    seen.add(layer("d", "Downloading", 1_000_000, 8_000_000))
    assert str(seen) == "4.00 MB of 38.0 MB"
    for name in ("b", "c", "d"):
        seen.add(layer(name, "Download complete"))
    assert str(seen) == "unpacking: 1 of 4 layers done"
    seen.add(layer("b", "Extracting", 5_000_000, 10_000_000))
    seen.add(layer("b", "Pull complete"))
    assert str(seen) == "unpacking: 2 of 4 layers done"
