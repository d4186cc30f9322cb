"""Real scans of real images: before and after, without a network, and with nothing left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import docker
import factories
import pytest

from shiplight import builds, engine, scans, setup
from shiplight.charts import scan_frames
from shiplight.engine import journal
from shiplight.errors import ScannerMissing
from shiplight.scans import ScanReport, asking, findings, trivy
from shiplight.setup import ROOT

PACKAGE = "the pinned Python package"


@pytest.fixture(scope="module")
def scanner(client) -> trivy.Scanner:
    """The scanner, got if need be, with a database; without one nothing here can be tried."""
    try:
        return trivy.provide(client)[0]
    except ScannerMissing as error:
        pytest.skip(error.message)


@pytest.fixture(scope="module")
def single(client, scanner) -> ScanReport:
    return scans.scan(client, builds.build(client, "go/single"))


@pytest.fixture(scope="module")
def multi(client, scanner) -> ScanReport:
    return scans.scan(client, builds.build(client, "go/multi"))


@pytest.fixture(scope="module")
def archive(client, single, tmp_path_factory) -> Path:
    """The single-stage image, saved."""
    path = tmp_path_factory.mktemp("saved") / "single.tar"
    with engine.export_image(client, single.image) as chunks, open(path, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
    return path


def test_fewer_are_known_after_than_before_and_both_scans_are_comparable(single, multi):
    assert single.covered and multi.covered
    assert 0 < multi.unique < single.unique
    table = scan_frames.compared(single, multi)
    assert set(table["fate"]) == {"gone", "kept"}, "what multi ships, single ships too"


def test_no_package_of_the_system_in_the_second_and_the_standard_library_in_both(single, multi):
    """The article's two sentences: one is true, the other is not."""
    assert single.os_level.unique > 0
    assert not multi.os_level.package_databases and not multi.os_level.findings
    standard = [finding for finding in multi.findings if finding.package == "stdlib"]
    assert standard and {finding.type for finding in standard} == {"gobinary"}
    assert {finding.where for finding in standard} == {"server"}
    assert {f.instruction.split()[0] for f in standard} == {"COPY"}


def test_most_of_what_the_first_has_came_with_its_base(client, single):
    base = scans.scan(client, builds.image_name(client, "golang:1.23"))
    table = scan_frames.origins(single, base=base)
    brought = table.groupby("part")["new"].sum()
    assert brought["base"] == base.unique > brought["own"]
    assert table["new"].sum() == single.unique


def test_a_second_scan_is_not_one(client, multi, monkeypatch):
    monkeypatch.setattr(asking, "report_on", lambda *_, **__: pytest.fail("scanned again"))
    again = scans.scan(client, multi.image)
    assert again == multi and again.setting == multi.setting


def test_an_image_without_a_package_database_says_so(client, scanner):
    found = scans.scan(client, builds.image_name(client, "busybox"))
    if not found.covered:  # the official image has none, and neither has its equivalent
        assert found.status == "scanned" and found.unique is None
        assert "no package database" in repr(found)
    else:
        pytest.fail(f"busybox has packages now: {found.package_databases}")


def test_an_archive_gives_what_its_image_gives_and_needs_no_engine(archive, single):
    command = [sys.executable, "-m", "shiplight", "scan", str(archive), "--json"]
    nowhere = os.environ | {"DOCKER_HOST": "unix:///nowhere.sock"}
    done = subprocess.run(command, cwd=ROOT, env=nowhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = ScanReport.from_dict(json.loads(done.stdout))
    assert found.findings == single.findings and found.instructions == single.instructions
    assert found.setting.engine == "a saved archive"


@pytest.mark.parametrize("packing", [("", "gzip"), ("gzip", ""), ("", "zstd")])
def test_layers_packed_and_not_in_one_archive_are_all_read(scanner, tmp_path, packing):
    """So the containerd store saves what was built on a base that had been loaded."""
    system = factories.file("etc/debian_version", b"12.5\n")
    installed = b"Status: install ok installed\nArchitecture: amd64\nVersion: 3.0.1-1\n"
    packages = factories.file("var/lib/dpkg/status", b"Package: openssl\n" + installed)
    path = tmp_path / "mixed.tar"
    path.write_bytes(factories.oci(factories.Image([[system], [packages]]), packing=packing))
    found = scans.scan(None, path)
    assert found.status == "scanned", found.why
    assert found.unique, "a release of openssl with known vulnerabilities"


DEBIAN = [
    factories.file("etc/os-release", b'PRETTY_NAME="Debian 12"\nID=debian\nVERSION_ID="12"\n'),
    factories.file("etc/debian_version", b"12.0\n"),
]


def status(openssl: str) -> factories.Item:
    """The database of three Debian packages, with this version of OpenSSL."""
    packages = {"libssl3": ("openssl", openssl), "zlib1g": ("zlib", "1:1.2.13.dfsg-1"),
                "libexpat1": ("expat", "2.5.0-1")}  # fmt: skip
    text = "\n".join(
        f"Package: {name}\nStatus: install ok installed\nMaintainer: x <x@example.com>\n"
        f"Architecture: amd64\nSource: {source}\nVersion: {version}\nDescription: {name}\n"
        for name, (source, version) in packages.items()
    )
    return factories.file("var/lib/dpkg/status", text.encode())


def scanned(folder, *layers) -> ScanReport:
    """The scan of an archive with these layers."""
    path = folder / "image.tar"
    path.write_bytes(factories.legacy(factories.Image(list(layers))))
    return scans.scan(None, path)


def test_a_later_layer_that_removes_the_package_database_leaves_no_number(scanner, tmp_path):
    found = scanned(
        tmp_path, [*DEBIAN, status("3.0.11-1~deb12u2")], [factories.whiteout("var/lib/dpkg")]
    )
    assert found.status == "scanned" and not found.covered
    assert found.unique is found.vulnerabilities is found.packages is None


def test_findings_of_an_upgraded_package_belong_to_the_layer_that_upgraded_it(scanner, tmp_path):
    """After agent-bom#801: one package of three is upgraded in layer 1."""
    layers = [[*DEBIAN, status("3.0.11-1~deb12u2")], [status("3.0.20-1~deb12u2")]]
    found = scanned(tmp_path, *layers)
    places = {"libssl3": set(), "zlib1g": set(), "libexpat1": set()}
    for finding in found.findings:
        places[finding.package].add(finding.layer)
    assert places["libexpat1"] == {0}, "as it came"
    assert places["zlib1g"] <= {0} and places["libssl3"] <= {1}
    assert places["libssl3"], "its new version has known ones too"


@pytest.mark.skipif(
    not (setup.is_root() and shutil.which("unshare")),
    reason="not for this machine: only root can take a process off the network",
)
def test_a_scan_needs_no_network(archive, single):
    command = [sys.executable, "-m", "shiplight", "scan", str(archive), "--json"]
    away = os.environ | {"LAB_ID": f"away{os.getpid()}"}  # one that remembers no scan
    try:
        done = subprocess.run(
            ["unshare", "--net", *command], cwd=ROOT, env=away, capture_output=True, text=True
        )
    finally:
        shutil.rmtree(ROOT / ".lab" / "labs" / away["LAB_ID"], ignore_errors=True)
    assert done.returncode == 0, done.stderr
    assert ScanReport.from_dict(json.loads(done.stdout)).findings == single.findings


def test_a_database_of_yours_is_only_read(archive, single):
    """Also without the right to write there, it is as it was."""
    database = trivy.database()
    assert single.database_date == database.date
    if os.environ.get("TRIVY_CACHE_DIR"):
        assert "fanal" not in os.listdir(database.folder), "written by a scan of ours"


def test_a_package_list_names_what_was_found(client, multi, tmp_path):
    for name, packages in [("list.json", "components"), ("list.spdx.json", "packages")]:
        scans.write_package_list(client, multi.image, tmp_path / name)
        listed = json.loads((tmp_path / name).read_text(encoding="utf-8"))
        assert "stdlib" in {package["name"] for package in listed[packages]}
        assert str(journal.folder()) not in (tmp_path / name).read_text(encoding="utf-8")


def processes_in(folder: Path) -> list[str]:
    """Processes that work in a folder or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(process / "cwd")).is_relative_to(folder):
                found.append(process.name)
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="not for this machine: it has no /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["exporting", "scanning"])
def test_an_interrupted_scan_leaves_no_process_and_no_file(client, single, how, when):
    lab_id = f"stop{os.getpid()}"
    work = ROOT / ".lab" / "labs" / lab_id / "work"
    process = subprocess.Popen(
        [sys.executable, "-m", "shiplight", "scan", single.image],
        cwd=ROOT, env=os.environ | {"LAB_ID": lab_id}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not (processes_in(work) if when == "scanning" else list(work.glob("*/image.tar"))):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.send_signal(how)
        complaint = process.communicate(timeout=30)[1]
        assert process.returncode == (130 if how is signal.SIGINT else 143)
        assert "Traceback" not in complaint
        assert not processes_in(work) and not [path for path in work.iterdir() if path.is_dir()]
    finally:
        shutil.rmtree(work.parent, ignore_errors=True)


def sees_files_here(client, image: str, folder: Path) -> bool:
    """Whether what it mounts is a folder of this machine; Podman makes one where it has none."""
    (folder / "seen").write_text("here")
    bind = {"Type": "bind", "Source": str(folder), "Target": "/here"}
    how = {"entrypoint": "cat", "mounts": [bind], "labels": journal.made()}
    try:
        container = client.containers.create(image, ["/here/seen"], **how)
    except docker.errors.APIError:
        return False
    try:
        container.start()
        container.wait(timeout=60)  # `run(remove=True)` follows the log, and can miss a short one
        return container.logs() == b"here"
    finally:
        container.remove(force=True)


def test_a_scanner_in_a_container_says_the_same(client, scanner, multi, tmp_path, monkeypatch):
    """An image of our own stands for the published one, which nothing here can pull."""
    if scanner.program is None or sys.platform != "linux" or not engine.is_local(client):
        pytest.skip("not for this machine: no Linux program to put into an image")
    shutil.copy(scanner.program, tmp_path / "trivy")
    (tmp_path / "Dockerfile").write_text(
        'FROM busybox\nCOPY trivy /usr/bin/trivy\nENTRYPOINT ["/usr/bin/trivy"]\n'
    )
    build = builds.build(client, str(tmp_path), name="scanner")
    monkeypatch.setattr(trivy, "IMAGE", build.tag)
    monkeypatch.setattr(trivy.shutil, "which", lambda name: None)
    monkeypatch.setattr(trivy.sys, "executable", str(tmp_path / "nowhere" / "python"))
    contained = trivy.find(client)
    assert contained.program is None
    ours = {"label": f"{journal.MADE}={journal.lab_id()}"}
    before = client.containers.list(all=True, filters=ours)
    found = scans.scan(client, multi.image)
    if not sees_files_here(client, build.tag, tmp_path):
        assert "cannot see this machine's files" in found.why and "PATH" in found.why
        why = "its engine runs in another mount namespace, and cannot mount a file of this machine"
        pytest.skip(f"not for this machine: {why}")
    assert found.status == "scanned", found.why
    assert findings.replace(found, scanner=multi.scanner) == multi
    scans.write_package_list(client, multi.image, tmp_path / "list.json")
    assert "stdlib" in (tmp_path / "list.json").read_text(encoding="utf-8")
    assert set(client.containers.list(all=True, filters=ours)) <= set(before)
