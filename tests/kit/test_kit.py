"""A kit is whole or refused; what is verified is not read again; wheels are those of a platform."""

import hashlib
import io
import json
import tarfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import factories
import pytest
import zstandard

from shiplight import kit
from shiplight.builds.bases import Base
from shiplight.errors import ScannerMissing, UsageError
from shiplight.kit import packing, readiness, unpacking, wheels
from shiplight.kit.manifest import Manifest, Member
from shiplight.lessons import shelf
from shiplight.setup import ROOT, SetupFailed

FIRST, GO = shelf.lessons()[:2]


def archive(**files: object) -> bytes:
    """An archive of images as an engine exports it: documents by name, and 24 kB of a layer."""
    documents = {name.replace("_", "."): json.dumps(said) for name, said in files.items()}
    named = [factories.file(name, text.encode()) for name, text in documents.items()]
    return factories.tar([factories.file("layer.tar", b"twenty-four bytes of one" * 1000), *named])


def saved(*names: str) -> list[dict]:
    """What manifest.json has of images with these names."""
    return [{"Config": "c.json", "RepoTags": [name], "Layers": []} for name in names]


HELD = ["busybox:latest", "busybox:musl", "golang:1.23"]
ARCHIVE = archive(manifest_json=saved(*HELD[1:], "docker.io/library/busybox:latest"))


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A lab of its own, and an engine that exports ARCHIVE, and keeps what it is given."""
    on = SimpleNamespace(
        images=set(), absent=set(), loaded=b"", exports=0, remembered=[], platform="linux/amd64",
        downloaded=[],
    )  # fmt: skip

    def provide(client, names):
        on.absent.clear()
        return [Base(name, name, "official") for name in names]

    @contextmanager
    def export_images(client, names):
        on.exports += 1
        yield iter([ARCHIVE[:100], ARCHIVE[100:]])

    def load_images(client, chunks):
        on.loaded = b"".join(chunks)
        on.images |= set(HELD)

    monkeypatch.setattr("shiplight.engine.journal.path", tmp_path.joinpath("lab").joinpath)
    monkeypatch.setattr("shiplight.engine.journal.shared", tmp_path.joinpath("lab").joinpath)

    def download(folder, platform, requirements):
        on.downloaded.append((platform, requirements))
        folder.mkdir(parents=True)
        (folder / "package.whl").write_bytes(requirements.encode())

    monkeypatch.setattr(packing, "provide", provide)
    monkeypatch.setattr(packing.wheels, "download", download)
    monkeypatch.setattr(
        packing, "here",
        lambda client, name: None if name in on.absent else Base(name, name, "official"),
    )  # fmt: skip
    engine = packing.engine
    monkeypatch.setattr(engine, "inspect_image", lambda client, name: {"Size": 5, "Id": name})
    monkeypatch.setattr(engine, "described", lambda client: on)
    monkeypatch.setattr(engine, "export_images", export_images)
    monkeypatch.setattr(engine, "load_images", load_images)
    monkeypatch.setattr(engine, "has_image", lambda client, name: name in on.images)
    monkeypatch.setattr(engine, "remember_image", lambda client, name: on.remembered.append(name))
    return on


@pytest.fixture
def packed(lab, tmp_path):
    """A kit for lessons 00 and 01."""
    target = tmp_path / "class.tar"
    kit.pack("client", kit.plan("client", [FIRST, GO]), target)
    return target


def test_a_plan_says_what_a_kit_will_weigh_before_it_is_made(lab):
    planned = kit.plan("client", [FIRST, GO], wheels_for=("linux/amd64",))
    assert planned.sentence.startswith("3 base images, 15 B before compression; recordings, ")
    assert planned.sentence.endswith("; Python packages for linux/amd64") and not lab.exports


def test_a_plan_gets_nothing_and_names_what_is_not_here(lab, tmp_path, monkeypatch):
    def database_folder():
        raise ScannerMissing("no database")

    monkeypatch.setattr(packing, "database_folder", database_folder)
    lab.absent = {"golang:1.23"}
    planned = kit.plan("client", [FIRST, GO, shelf.find(["08"])[0]])
    assert lab.absent and planned.missing == ("golang:1.23",)
    assert "not here yet and not weighed: golang:1.23; no database of the" in planned.sentence
    made = kit.pack("client", planned, tmp_path / "class.tar")
    assert not lab.absent and "golang:1.23" in made.bases


def test_a_kit_has_the_scanners_database_for_every_lesson_that_scans(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "database_folder", lambda: tmp_path)
    with_it = [one.stem for one in shelf.lessons() if kit.plan("client", [one]).scanner]
    assert with_it == ["07-scan", "08-check", "09-scoreboard"]


@pytest.mark.parametrize(
    ("has", "machine", "installs"),
    [(False, "x86_64", True), (True, "x86_64", False), (False, "aarch64", False)],
)
def test_the_scanner_itself_is_in_a_kit_and_is_installed_where_it_lacks(
    lab, tmp_path, monkeypatch, has, machine, installs
):
    target, added = tmp_path / "class.tar", []
    planned = kit.plan("client", shelf.find(["08"]))
    assert "the scanner itself" in planned.sentence
    assert kit.pack("client", planned, target).has("scanner/package.whl")
    assert lab.downloaded == [("linux/amd64", "requirements-scan.txt")]

    def add(requirements, *, folder):
        added.append((requirements, [path.name for path in folder.iterdir()]))

    monkeypatch.setattr(unpacking, "has_scanner", lambda client: has)
    monkeypatch.setattr(unpacking.platform, "machine", lambda: machine)
    monkeypatch.setattr(unpacking.sys, "platform", "linux")
    monkeypatch.setattr(unpacking.setup, "add", add)
    kit.unpack(None, target)
    assert added == ([("requirements-scan.txt", ["package.whl"])] if installs else [])


def test_an_engine_for_which_there_is_no_package_of_the_scanner_gets_none(lab):
    lab.platform = "linux/arm64"
    assert "the scanner itself" not in kit.plan("client", shelf.find(["08"])).sentence


def test_a_scanner_that_cannot_be_installed_leaves_the_rest_of_the_kit(
    lab, tmp_path, monkeypatch, capsys
):
    def add(requirements, *, folder):
        raise SetupFailed("pip could not install it")

    monkeypatch.setattr(unpacking, "has_scanner", lambda client: False)
    monkeypatch.setattr(unpacking.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(unpacking.sys, "platform", "linux")
    monkeypatch.setattr(unpacking.setup, "add", add)
    kit.pack("client", kit.plan("client", shelf.find(["07"])), tmp_path / "class.tar")
    assert kit.unpack(None, tmp_path / "class.tar").lessons == ("07-scan",)
    assert "the scanner could not be installed: pip could not" in capsys.readouterr().err


def test_a_kit_is_unpacked_as_it_was_packed(lab, packed):
    with tarfile.open(packed) as tar:
        assert tar.getnames()[0] == "manifest.json"
    found = kit.unpack("client", packed)
    assert lab.loaded == ARCHIVE and found.lessons == ("00-first", "01-go")
    assert sorted(lab.remembered) == HELD
    recordings = [one for one in found.members if one.name.startswith("recordings/")]
    assert recordings and found.bytes == sum(one.bytes for one in found.members)


def test_packing_again_exports_nothing_again(lab, packed, tmp_path):
    kit.pack("client", kit.plan("client", [FIRST, GO]), tmp_path / "again.tar")
    assert lab.exports == 1
    assert (tmp_path / "again.tar").read_bytes() == packed.read_bytes()


def test_an_export_that_breaks_off_leaves_no_kit_and_no_part(lab, tmp_path, monkeypatch):
    @contextmanager
    def broken(client, names):
        yield iter(lambda: (_ for _ in ()).throw(ConnectionError("gone")), None)

    monkeypatch.setattr(packing.engine, "export_images", broken)
    with pytest.raises(ConnectionError):
        kit.pack("client", kit.plan("client", [FIRST]), tmp_path / "class.tar")
    assert not (tmp_path / "class.tar").exists()
    assert not list((tmp_path / "lab" / "kit" / "packing").iterdir())


def test_what_was_verified_before_is_not_copied_again(lab, packed, monkeypatch):
    kit.unpack(None, packed)
    copied = []
    copy = unpacking._copy
    monkeypatch.setattr(
        unpacking, "_copy", lambda *of: (copied.append(of[2].name), copy(*of))[1]
    )  # fmt: skip
    kit.unpack(None, packed)
    assert copied == []
    whole = unpacking._folder() / packing.BASES
    whole.write_bytes(whole.read_bytes()[:-1] + b"x")
    kit.unpack("client", packed)
    assert copied == [packing.BASES] and lab.loaded == ARCHIVE


def repacked(packed, change) -> bytes:
    """The kit with its members, by name, as `change` leaves them."""
    with tarfile.open(packed) as tar:
        members = {one.name: tar.extractfile(one).read() for one in tar}
    members = change(members) or members
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname, content = tarfile.SYMTYPE, content, b""
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def with_manifest(kept: dict, **changed) -> dict:
    said = json.loads(kept["manifest.json"]) | changed
    return {"manifest.json": json.dumps(said).encode()} | {
        name: content for name, content in kept.items() if name != "manifest.json"
    }


def named(*names: str) -> list[dict]:
    digest = hashlib.sha256(b"x").hexdigest()
    return [{"name": name, "bytes": 1, "sha256": digest} for name in names]


BAD = {
    "a changed byte": (
        lambda m: m | {packing.BASES: m[packing.BASES][:-1] + b"?"}, "bases.tar.zst is damaged"),
    "a shorter file": (
        lambda m: m | {packing.BASES: m[packing.BASES][:-1]}, "does not name"),
    "a file too many": (lambda m: m | {"more": b"x"}, "does not name"),
    "a missing file": (
        lambda m: {k: v for k, v in m.items() if k != packing.BASES}, "1 of its files are missing"),
    "a link": (lambda m: m | {packing.BASES: "/etc/passwd"}, "does not name"),
    "no manifest": (
        lambda m: {k: v for k, v in m.items() if k != "manifest.json"}, "begin with a manifest"),
    "a manifest that is no JSON": (lambda m: m | {"manifest.json": b"{"}, "cannot be read"),
    "a list": (lambda m: m | {"manifest.json": b"[]"}, "cannot be read"),
    "a later version": (lambda m: with_manifest(m, version=2), "another version"),
    "a path that leads out": (lambda m: with_manifest(m, members=named("../x")), "no kit has"),
    "a path from the root": (lambda m: with_manifest(m, members=named("/etc/x")), "no kit has"),
    "a hidden file": (lambda m: with_manifest(m, members=named("a/.x")), "no kit has"),
    "a program among the recordings": (
        lambda m: with_manifest(m, members=named("recordings/x.py")),
        "no kit has",
    ),
    "a name twice": (lambda m: with_manifest(m, members=named("x", "x")), "twice"),
    "a file that is a folder": (lambda m: with_manifest(m, members=named("a", "a/b")), "a folder"),
    "a base with spaces": (lambda m: with_manifest(m, bases=["a b"]), "no image and no lesson"),
}  # fmt: skip


NAMED = {
    "manifest.json": archive(manifest_json=saved("golang:1.23", "mine:latest")),
    "manifest.json of another folder": factories.tar(
        [factories.file("./x/manifest.json", json.dumps(saved("golang:1.23", "mine")).encode())]
    ),
    "a field of another case": archive(
        manifest_json=[{"RepoTags": ["golang:1.23"]}, {"repotag\u017f": ["mine:latest"]}]
    ),
    "repositories": archive(
        manifest_json=saved("golang:1.23"), repositories={"mine": {"latest": "0" * 64}}
    ),
    "index.json": archive(
        index_json={"manifests": [{"annotations": {"io.containerd.image.name": "mine:latest"}}]}
    ),
}


def with_bases(kept: dict, content: bytes, **changed) -> dict:
    """The kit with another archive of bases, whose digest the manifest has."""
    said = json.loads(kept["manifest.json"])
    for one in said["members"]:
        if one["name"] == packing.BASES:
            one |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return with_manifest(kept | {packing.BASES: content}, members=said["members"], **changed)


@pytest.mark.parametrize("where", NAMED)
def test_an_archive_that_would_move_another_name_is_not_loaded(lab, packed, where):
    content = zstandard.compress(NAMED[where])
    packed.write_bytes(repacked(packed, lambda kept: with_bases(kept, content)))
    with pytest.raises(UsageError, match="has another one, mine:latest"):
        kit.unpack("client", packed)
    bases = ["mine", *HELD]  # which no lesson has
    packed.write_bytes(repacked(packed, lambda kept: with_bases(kept, content, bases=bases)))
    with pytest.raises(UsageError, match="has another one, mine:latest"):
        kit.unpack("client", packed)
    assert lab.loaded == b"" and not lab.remembered


def test_bases_from_a_mirror_are_loaded_where_it_is_set_too(lab, packed, monkeypatch):
    monkeypatch.delenv("SHIPLIGHT_MIRROR", raising=False)
    names = (f"mirror.example/library/{name}" for name in HELD)
    content = zstandard.compress(archive(manifest_json=saved(*names)))
    packed.write_bytes(repacked(packed, lambda kept: with_bases(kept, content)))
    with pytest.raises(UsageError, match="has another one, mirror"):
        kit.unpack("client", packed)
    monkeypatch.setenv("SHIPLIGHT_MIRROR", "mirror.example")
    kit.unpack("client", packed)
    assert lab.loaded


UNREADABLE = {
    "no zstd": b"not zstd",
    "zstd that ends early": zstandard.compress(ARCHIVE)[:-40],
    "no archive": zstandard.compress(b"x" * 10240),
    "no names": zstandard.compress(archive()),
    "a field twice": zstandard.compress(
        archive(manifest_json=[{"RepoTags": ["golang:1.23"], "repoTags": ["mine:latest"]}])
    ),
    "a list of numbers": zstandard.compress(archive(manifest_json=[1])),
    "a link": zstandard.compress(factories.tar([factories.symlink("manifest.json", "x.json")])),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_bases_that_are_no_archive_of_images_are_not_loaded(lab, packed, what):
    packed.write_bytes(repacked(packed, lambda kept: with_bases(kept, UNREADABLE[what])))
    with pytest.raises(UsageError, match="not an archive of images"):
        kit.unpack("client", packed)
    assert lab.loaded == b"" and not lab.remembered


def test_a_kit_without_bases_is_refused_though_an_earlier_one_left_its_own(lab, packed):
    kit.unpack(None, packed)
    packed.write_bytes(repacked(packed, lambda kept: with_manifest(
        {name: data for name, data in kept.items() if name != packing.BASES},
        members=[one for one in json.loads(kept["manifest.json"])["members"]
                 if one["name"] != packing.BASES],
    )))  # fmt: skip
    with pytest.raises(UsageError, match="it has no base images"):
        kit.unpack("client", packed)
    assert lab.loaded == b""


def extension(kind: bytes, content: bytes, *, claims: int | None = None) -> bytes:
    """A header that goes before another one, with its content."""
    header = tarfile.TarInfo("extension")
    header.type, header.size = kind, len(content) if claims is None else claims
    return header.tobuf(tarfile.GNU_FORMAT) + content.ljust(512, b"\0")


HEADERS = {
    "no number": extension(tarfile.XHDTYPE, b"20 GNU.sparse.map=x\n"),
    "no end of headers": extension(tarfile.XHDTYPE, b"11 path=xy\n") * 5_000,
    "more than a machine has": extension(tarfile.GNUTYPE_LONGNAME, b"x", claims=2**60),
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_kit_with_a_header_that_python_stumbles_over_is_refused(lab, packed, what):
    whole = packed.read_bytes()
    end = 512 + -(-int(whole[124:135], 8) // 512) * 512  # of the manifest
    packed.write_bytes(whole[:end] + HEADERS[what] + whole[end:])
    with pytest.raises(UsageError, match="not a whole kit"):
        kit.unpack("client", packed)
    assert lab.loaded == b""


@pytest.mark.parametrize("what", BAD)
def test_a_kit_that_is_not_whole_is_refused_and_nothing_of_it_is_used(lab, packed, what):
    change, why = BAD[what]
    packed.write_bytes(repacked(packed, change))
    with pytest.raises(UsageError, match=why):
        kit.unpack("client", packed)
    assert lab.loaded == b"" and not lab.remembered


def sparse(packed, size: int, *, pax: bool) -> bytes:
    """A kit of a few bytes whose only file claims so many, all of them holes."""
    with tarfile.open(packed) as tar:
        said = json.loads(tar.extractfile("manifest.json").read())
    holes = hashlib.sha256(bytes(size)).hexdigest()
    said["members"] = [{"name": packing.BASES, "bytes": size, "sha256": holes}]
    text = json.dumps(said).encode()
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        first = tarfile.TarInfo("manifest.json")
        first.size = len(text)
        tar.addfile(first, io.BytesIO(text))
        entry = tarfile.TarInfo(packing.BASES)
        if pax:
            entry.pax_headers = {"GNU.sparse.map": f"{size},0", "GNU.sparse.size": str(size)}
            tar.addfile(entry)
        else:
            entry.type = tarfile.GNUTYPE_SPARSE
            block = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
            block[386:410] = b"%011o\0" % size + b"%011o\0" % 0  # one extent, at the end
            block[483:495] = b"%011o\0" % size
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
            tar.fileobj.write(block)
    return file.getvalue() + bytes(10240)


@pytest.mark.parametrize("pax", [False, True])
@pytest.mark.parametrize("size", [5_000, 1_000_000])
def test_a_kit_that_claims_more_bytes_than_it_has_writes_none(lab, packed, tmp_path, size, pax):
    packed.write_bytes(sparse(packed, size, pax=pax))
    with pytest.raises(UsageError, match="does not name" if size < 10_000 else "more bytes than"):
        kit.unpack(None, packed)
    assert not [one for one in (tmp_path / "lab" / "kit" / "unpacked").rglob("*") if one.is_file()]


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\0" * 10240])
def test_what_is_not_a_kit_at_all_is_refused(lab, tmp_path, content):
    (tmp_path / "kit.tar").write_bytes(content)
    with pytest.raises(UsageError, match="not a whole kit"):
        kit.unpack("client", tmp_path / "kit.tar")
    with pytest.raises(UsageError, match="there is no file"):
        kit.unpack("client", tmp_path / "nowhere.tar")


def test_a_rehearsal_checks_a_kit_and_writes_nothing(lab, packed, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    found = readiness._kit(packed, [FIRST, GO])
    assert found.state == "ok" and "for linux/amd64" in found.seen
    assert sorted(tmp_path.rglob("*")) == before
    node = shelf.lessons()[2]
    lacks = readiness._kit(packed, [node])
    assert lacks.state == kit.PROBLEM and "node:22-alpine" in lacks.seen
    packed.write_bytes(repacked(packed, BAD["a changed byte"][0]))
    damaged = readiness._kit(packed, [FIRST])
    assert damaged.state == kit.PROBLEM and "bases.tar.zst is damaged" in damaged.seen


def test_a_truncated_kit_is_refused(lab, packed):
    packed.write_bytes(packed.read_bytes()[:-200_000])
    with pytest.raises(UsageError, match="not a whole kit"):
        kit.unpack("client", packed)
    assert lab.loaded == b""


def test_images_of_another_platform_are_refused_before_they_are_copied(lab, packed, tmp_path):
    lab.platform = "linux/arm64"
    with pytest.raises(UsageError, match="are for linux/amd64, and this engine is linux/arm64"):
        kit.unpack("client", packed)
    copied = tmp_path / "lab" / "kit" / "unpacked"
    assert lab.loaded == b"" and not [one for one in copied.rglob("*") if one.is_file()]


def test_a_database_goes_to_its_place_and_to_no_folder_of_somebody_elses(
    lab, tmp_path, monkeypatch
):
    monkeypatch.delenv("TRIVY_CACHE_DIR", raising=False)
    one = Member("trivy/db/trivy.db", 1, "0" * 64)
    assert unpacking._place_of(one).parts[-3:] == ("trivy", "db", "trivy.db")
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path))
    assert unpacking._place_of(one) is None
    assert unpacking._place_of(Member("wheels/linux-amd64/x.whl", 1, "0" * 64)) is None


def test_a_manifest_is_read_as_it_was_written():
    one = Manifest(("00-first",), "linux/amd64", ("busybox:latest",), (Member("a/b", 1, "0" * 64),))
    assert Manifest.from_json(one.to_json().encode()) == one


def test_a_platform_gets_what_its_markers_ask_for_and_every_hash():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    named = {
        platform: {
            line.split("==")[0]: line
            for line in wheels.requirements_of(text, platform, "3.12.1").splitlines()
        }
        for platform in wheels.PLATFORMS
    }
    assert "pywinpty" in named["windows/amd64"] and "pywinpty" not in named["linux/arm64"]
    assert "appnope" in named["macos/arm64"] and "appnope" not in named["windows/amd64"]
    assert "ptyprocess" in named["linux/amd64"]
    for lines in named.values():
        assert len(lines) > 90 and all("--hash=sha256:" in line for line in lines.values())
        assert not [line for line in lines.values() if ";" in line]


@pytest.fixture
def pip(monkeypatch):
    """A pip that has every wheel but those of `lacks`, and notes what it is asked for."""
    has = SimpleNamespace(lacks=set(), asked=[], breaks="")

    def run(command, **_):
        wanted = Path(command[-1]).read_text(encoding="utf-8")
        has.asked.append((command, wanted))
        lacking = [name for name in has.lacks if f"{name}==" in wanted]
        if has.breaks or (lacking and ":all:" in command):
            said = has.breaks or f"ERROR: No matching distribution found for {lacking[0]}==1.0"
            return SimpleNamespace(returncode=1, stderr=said)
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(wheels.subprocess, "run", run)
    monkeypatch.setattr(wheels.machine, "python_version", lambda: "3.11.7")
    return has


def test_pip_is_asked_for_the_python_whose_markers_were_read(tmp_path, pip):
    """A package of ours depends on the patch version: pip, told of 3.11, takes it for 3.11.0."""
    wheels.download(tmp_path, "windows/amd64")
    [(command, _)] = pip.asked
    assert command[command.index("--python-version") + 1] == "3.11.7"
    assert command[command.index("--platform") + 1] == "win_amd64"


def test_what_has_no_wheel_comes_as_its_source_with_what_builds_it(tmp_path, pip):
    pip.lacks = {"www-authenticate"}
    wheels.download(tmp_path, "linux/arm64")
    _, (again, without), (source, alone), (_, builders) = pip.asked
    assert "www-authenticate==" not in without and "--platform" in again
    assert "--require-hashes" in source and "--platform" not in source
    assert alone.startswith("www-authenticate==") and "--hash=sha256:" in alone
    assert builders.split() == ["setuptools", "wheel"]


def test_a_pip_that_fails_is_told_with_its_last_line(tmp_path, pip):
    pip.breaks = "WARNING: retrying\nERROR: no connection"
    with pytest.raises(UsageError, match="ERROR: no connection"):
        wheels.download(tmp_path, "linux/arm64")


def test_an_unknown_platform_is_named_before_anything_is_packed(lab):
    with pytest.raises(UsageError, match="no wheels for 'beos/ppc'"):
        kit.plan("client", [FIRST], wheels_for=("linux/amd64", "beos/ppc"))


def test_the_archive_of_bases_is_whole_and_compressed(lab, packed):
    with tarfile.open(packed) as tar:
        content = tar.extractfile(packing.BASES).read()
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)) as reader:
        assert reader.read() == ARCHIVE
    assert len(content) < len(ARCHIVE) / 10


# --- what RUN steps download ---------------------------------------------------------------------


@pytest.fixture
def downloads(lab, monkeypatch):
    """What is recorded is one answer; and what was recorded for which variants, and replayed."""
    seen = SimpleNamespace(recorded=[], replayed=[], index=None)
    body = b"a package"
    entry = {
        "method": "GET",
        "url": "https://example.com/a",
        "accept": "",
        "status": 200,
        "headers": {},
        "sha256": hashlib.sha256(body).hexdigest(),
        "bytes": len(body),
    }
    seen.entry = entry

    def record(client, variants, target, *, lessons):
        seen.recorded.append((variants, lessons))
        target.mkdir()
        (target / "index.jsonl").write_text(json.dumps(seen.index or entry) + "\n")
        (target / entry["sha256"]).write_bytes(body)

    def replay(client, folder, entries):
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        seen.replayed.append((entries, files[entry["sha256"]]))

    monkeypatch.setattr(packing.packages, "record", record)
    monkeypatch.setattr(packing.packages, "replay", replay)
    return seen


def test_a_kit_with_packages_has_the_image_of_the_proxy_and_what_the_variants_download(
    lab, downloads, tmp_path
):
    planned = kit.plan("client", [GO], with_packages=True)
    assert planned.bases == ("golang:1.23", "busybox:musl", "python:3.13-slim")
    what = "what the builds of 01 and the solutions of their exercises download, not weighed yet"
    assert planned.sentence.endswith(what) and not downloads.recorded
    made = kit.pack("client", planned, tmp_path / "class.tar")
    assert downloads.recorded == [(("go/single", "go/multi", "go/hardened"), (GO,))]
    assert kit.has_packages(made) and f"packages/{downloads.entry['sha256']}" in {
        one.name for one in made.members
    }
    kit.pack("client", planned, tmp_path / "again.tar")
    assert len(downloads.recorded) == 1  # of the same files, on the same day


def test_all_of_a_lesson_is_recorded_once_with_cold_caches(monkeypatch, tmp_path, capsys):
    """Its variants with nothing cached, then the solutions of its exercises, then its cells."""
    did = []

    @contextmanager
    def recording(client):
        yield "container"

    def run(lesson):
        did.append(("run", lesson.stem))
        return SimpleNamespace(failure="a cell failed\nbecause" if lesson == GO else "")

    def answered(client, found, text, name):
        did.append((found.id, name))

    recorder = packing.packages
    monkeypatch.setattr(recorder, "recording", recording)
    monkeypatch.setattr(recorder, "build", lambda _, name, no_cache: did.append((name, no_cache)))
    monkeypatch.setattr(recorder, "answered", answered)
    monkeypatch.setattr(recorder, "run", run)
    monkeypatch.setattr(recorder, "_get", lambda container, target: None)
    recorder.record(
        "client", ["go/multi"], tmp_path / "x", lessons=[GO, GO.with_name("00-first.ipynb")]
    )
    solved = [one for one in did if one[0][:2] in ("00", "01")]
    assert did[0] == ("go/multi", True) and ("run", "00-first") in did
    assert {name for name, _ in solved} == {"00.1", "00.2", "01.1", "01.2"}
    said = capsys.readouterr().err
    assert "01-go did not come to its end: a cell failed" in said and "00-first" not in said


def test_another_solution_or_cell_is_recorded_again(monkeypatch):
    key_of = packing.packages.key_of
    known = key_of(["go/multi"], [GO])
    assert known == key_of(["go/multi"], [GO]) != key_of(["go/multi"])
    monkeypatch.setattr(packing.packages, "solutions_of", lambda lesson: iter([("01.1", "FROM x")]))
    assert key_of(["go/multi"], [GO]) != known


def test_what_was_recorded_on_another_day_is_recorded_again(lab, downloads, tmp_path, monkeypatch):
    planned = kit.plan("client", [GO], with_packages=True)
    for day in ("2026-11-30", "2026-12-01"):
        monkeypatch.setattr(packing.packages.time, "strftime", lambda *_, day=day: day)
        kit.pack("client", planned, tmp_path / "class.tar")
    assert len(downloads.recorded) == 2


def test_a_kit_without_packages_has_no_proxy_and_is_unpacked_without_one(lab, downloads, packed):
    assert not kit.has_packages(kit.unpack("client", packed)) and not downloads.replayed


def test_unpacking_starts_the_proxy_and_leaves_no_second_copy(lab, downloads, tmp_path):
    kit.pack("client", kit.plan("client", [FIRST, GO], with_packages=True), tmp_path / "class.tar")
    lab.images.add("python:3.13-slim")
    kit.unpack("client", tmp_path / "class.tar")
    assert downloads.replayed == [([downloads.entry], b"a package")]
    assert not (unpacking._folder() / "packages").exists()


def test_a_hostile_index_is_refused_before_anything_is_loaded(lab, downloads, tmp_path):
    downloads.index = downloads.entry | {"sha256": "../../../../etc/passwd"}
    kit.pack("client", kit.plan("client", [FIRST, GO], with_packages=True), tmp_path / "class.tar")
    with pytest.raises(UsageError, match="the index of its packages"):
        kit.unpack("client", tmp_path / "class.tar")
    assert not lab.loaded and not downloads.replayed
