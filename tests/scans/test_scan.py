"""Scanning without an engine: reading what Trivy says, and what happens when it says nothing."""

import io
import json
import lzma
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import factories
import pytest
from command import lab
from factories import tar_with_right_checksum
from replay import FIXTURES
from results import texts, title_of

from shiplight import engine, scans, setup
from shiplight.charts import frames, scan_charts, scan_frames
from shiplight.cli import doctor, report
from shiplight.engine import journal
from shiplight.errors import ImageNotFound, ImageUnclear, ScanFailed, ScannerMissing, UsageError
from shiplight.image import files_of
from shiplight.scans import ScanReport, asking, findings, trivy
from shiplight.scans.findings import read_report
from shiplight.setting import Setting
from shiplight.setup import ROOT

SETTING = Setting("Docker 1", "graph driver x", "linux/amd64", "equivalent", "2026-11-23T10:00:00")
PYTHON = sys.executable
NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere.sock"}
METADATA = {"UpdatedAt": "2026-11-21T02:10:46Z", "NextUpdate": "2026-11-22T02:10:46Z"}


def said(name: str) -> dict:
    """What Trivy 0.76 said of an image, recorded."""
    return json.loads(lzma.decompress((FIXTURES / f"trivy-0.76-{name}.json.xz").read_bytes()))


def recorded(name: str, **more) -> ScanReport:
    date = {"database_date": "2026-11-21T02:10:46Z", "snapshot": True, "setting": SETTING}
    return replace(read_report(said(name), name=name), **date, **more)


GO, DEBIAN, BUSYBOX = recorded("go-multi"), recorded("debian-slim"), recorded("busybox")
UNKNOWN = findings.unknown("lost", ScanFailed("the scanner was killed (signal 9).", hint="memory?"))


# --- reading ---------------------------------------------------------------------------------


def rows_of(name: str) -> list[dict]:
    return [row for part in said(name)["Results"] for row in part.get("Vulnerabilities") or ()]


@pytest.mark.parametrize("found", [GO, DEBIAN], ids=lambda found: found.image)
def test_findings_are_rows_and_vulnerabilities_are_counted_once(found):
    rows = rows_of(found.image)
    assert found.finding_count == len(rows) > 0
    assert found.unique == len({row["VulnerabilityID"] for row in rows})
    assert found.unique == sum(found.vulnerabilities.values())
    assert found.fixable == len({r["VulnerabilityID"] for r in rows if r.get("FixedVersion")})
    assert found.packages == sum(len(part["Packages"]) for part in said(found.image)["Results"])
    assert list(found.vulnerabilities) == list(findings.SEVERITIES)


def test_the_two_sentences_of_the_article_are_two():
    """Nothing at the level of the operating system; the standard library in the program."""
    assert not GO.os_level.package_databases and GO.os_level.unique is None
    assert GO.in_programs.unique == GO.unique > 0
    assert "stdlib" in {finding.package for finding in GO.in_programs.findings}
    assert DEBIAN.os_level.unique == DEBIAN.unique and not DEBIAN.in_programs.covered


def test_an_image_without_a_package_database_has_no_number():
    assert BUSYBOX.status == "scanned" and not BUSYBOX.covered
    numbers = ("vulnerabilities", "unique", "fixable", "finding_count", "packages")
    assert [getattr(BUSYBOX, name) for name in numbers] == [None] * 5
    assert "no package database" in repr(BUSYBOX)


def test_a_system_that_is_known_by_name_and_has_no_packages_has_no_number():
    """Trivy says `debian` and no vulnerabilities where somebody deleted /var/lib/dpkg."""
    made = {"Class": "os-pkgs", "Type": "debian", "Target": "x"}
    empty = read_report({"Trivy": {"Version": "1.2.3"}, "Results": [made]}, name="made")
    assert not empty.covered and empty.unique is None and "no package database" in repr(empty)


def test_what_is_unknown_has_no_number_and_says_why():
    assert UNKNOWN.unique is UNKNOWN.vulnerabilities is UNKNOWN.fixable is None
    assert "unknown: the scanner was killed" in repr(UNKNOWN)
    assert UNKNOWN.os_level.unique is None and UNKNOWN.without_kernel_headers().unique is None


def test_a_layer_and_its_instruction_are_those_of_the_history():
    assert {f.instruction for f in GO.findings} == {"COPY /app/server /server"}
    assert {f.layer for f in GO.findings} == {0} and len(GO.instructions) == 2
    assert {f.where for f in GO.findings} == {"server"}
    assert {f.where for f in DEBIAN.findings} == {""}


def test_a_source_package_is_told_from_its_binary_packages():
    by_name = {finding.package: finding.source_package for finding in DEBIAN.findings}
    assert by_name["libc6"] == "glibc" and by_name["apt"] == "apt"


def with_rows(*rows: dict) -> ScanReport:
    packages = [{"ID": row["PkgName"], "SrcName": "linux"} for row in rows]
    result = {"Class": "os-pkgs", "Type": "debian", "Target": "x", "Packages": packages}
    one = {"Trivy": {"Version": "1.2.3"}, "Results": [result | {"Vulnerabilities": list(rows)}]}
    return read_report(one, name="made")


def row(vulnerability: str, package: str, **more) -> dict:
    return {"VulnerabilityID": vulnerability, "PkgID": package, "PkgName": package, **more}


def test_a_vulnerability_has_its_worst_severity_and_unrated_is_the_least():
    found = with_rows(
        row("CVE-1", "a"), row("CVE-1", "b", Severity="LOW"), row("CVE-1", "c", Severity="HIGH"),
        row("CVE-2", "a", Severity="UNKNOWN"), row("CVE-3", "a", Severity="odd"),
    )  # fmt: skip
    assert found.severities == {"CVE-1": "HIGH", "CVE-2": "UNKNOWN", "CVE-3": "UNKNOWN"}
    assert found.vulnerabilities["UNKNOWN"] == 2 and found.vulnerabilities["LOW"] == 0


def test_kernel_headers_can_be_left_out():
    found = with_rows(row("CVE-1", "linux-libc-dev"), row("CVE-2", "libc6"), row("CVE-1", "perf"))
    assert (found.finding_count, found.without_kernel_headers().finding_count) == (3, 2)
    assert found.without_kernel_headers().unique == 2, "what is elsewhere too stays"
    assert found.findings[0].source_package == "linux"


@pytest.mark.parametrize("found", [GO, DEBIAN, BUSYBOX, UNKNOWN], ids=lambda found: found.image)
def test_a_report_survives_json_whole(found):
    again = ScanReport.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found and again.setting == found.setting
    assert again.to_dict() == found.to_dict()


@pytest.mark.parametrize(
    "broken",
    [
        {"Results": [{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "x"}]}]},
        {"Trivy": {"Version": "1"}, "Results": [{"Vulnerabilities": [{}]}]},
        {"Trivy": {"Version": "1"}, "Results": "none"},
        {"Trivy": {"Version": "1"}, "Metadata": {"DiffIDs": 5}},
        {"Trivy": None},
    ],
)
def test_a_report_of_another_form_is_refused(broken):
    with pytest.raises(ScanFailed, match="cannot be read"):
        read_report(broken, name="x")


# --- running ---------------------------------------------------------------------------------

FAKE = """#!{python}
import os, sys, time
if "--version" in sys.argv:
    print("Version: {version}")
    sys.exit()
open({log!r}, "a").write(repr((os.getpid(), sys.argv[1:], os.getcwd(), dict(os.environ))) + "\\n")
{does}
"""
RECORDED = "sys.stdout.write(open({path!r}).read())"


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """`fake(does)` puts a program named trivy that does that on PATH; gives its log."""
    monkeypatch.setattr(journal, "ROOT", tmp_path / "checkout")
    data = tmp_path / "database" / "db"
    data.mkdir(parents=True)
    (data / "trivy.db").touch()
    (data / "metadata.json").write_text(json.dumps(METADATA))
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(data.parent))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    (tmp_path / "bin").mkdir()
    (tmp_path / "said.json").write_text(json.dumps(said("go-multi")))
    log = tmp_path / "log"
    log.touch()

    def put(does: str = "", *, version: str = "0.76.0") -> Path:
        does = does or RECORDED.format(path=str(tmp_path / "said.json"))
        program = tmp_path / "bin" / "trivy"
        program.write_text(FAKE.format(python=PYTHON, version=version, log=str(log), does=does))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        trivy._version.cache_clear()
        return log

    return put


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "image.tar"
    new = str(time.time_ns()).encode()  # another one for each test: what was scanned is remembered
    path.write_bytes(factories.legacy(factories.Image([[factories.file("a", new)]])))
    return path


def calls(log: Path) -> list[tuple]:
    return [eval(line) for line in log.read_text().splitlines()]


def left_behind() -> list[Path]:
    return [path for path in journal.cache("work").iterdir() if path.is_dir()]


def test_an_archive_is_scanned_without_an_engine_and_not_twice(fake, archive):
    log = fake()
    first, again = scans.scan(None, archive), scans.scan(None, str(archive))
    assert first == again and first.findings == GO.findings and first.setting is not None
    assert first.scanner == "Trivy 0.76.0" and first.database_date == METADATA["UpdatedAt"]
    assert not first.snapshot and first.image == str(archive)
    assert len(calls(log)) == 1 and not left_behind()


def test_another_database_scanner_or_content_is_scanned_anew(fake, archive):
    log = fake()
    scans.scan(None, archive)
    newer = METADATA | {"UpdatedAt": "2026-11-22T00:00:00Z"}
    metadata = Path(os.environ["TRIVY_CACHE_DIR"]) / "db" / "metadata.json"
    metadata.write_text(json.dumps(newer))
    scans.scan(None, archive)
    fake(version="0.77.0")
    scans.scan(None, archive)
    archive.write_bytes(archive.read_bytes() + bytes(512))
    scans.scan(None, archive)
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")  # as many bytes as before
    scans.scan(None, archive)
    scans.scan(None, archive)
    assert len(calls(log)) == 5


def test_the_scanner_is_kept_from_the_network_and_from_what_others_configured(
    fake, archive, monkeypatch
):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("TRIVY_SEVERITY", "LOW")
    log = fake()
    scans.scan(None, archive)
    [(_, words, folder, environment)] = calls(log)
    assert {"--offline-scan", "--skip-db-update", "--skip-java-db-update"} <= set(words)
    assert {"--skip-version-check", "--disable-telemetry"} <= set(words)
    assert not [key for key in environment if key.startswith("TRIVY_") or "proxy" in key.lower()]
    assert folder != str(ROOT) and environment["TMPDIR"] == folder
    assert words[words.index("--cache-dir") + 1] == os.environ["TRIVY_CACHE_DIR"]


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("sys.exit('FATAL Fatal error run error: no way')", "exited with 1: no way"),
        ("sys.exit(3)", "exited with 3: it printed nothing"),
        ("print('<html>')", "not JSON"),
        ("print('[]')", "not in its second format"),
        ("print('{}')", "not in its second format"),
        ("print('{\"SchemaVersion\": 2}')", "cannot be read"),
        ("pass", "not JSON"),
        ("os.kill(os.getpid(), 9)", "killed (signal 9)"),
        ("sys.exit('file manifest.json not found in tar')", "manifest.json not found"),
        ("sys.exit('x Unable to initialize the Java DB: y')", "Java database"),
    ],
)
def test_a_scan_that_fails_is_unknown_and_says_why(fake, archive, does, why):
    fake(does)
    found = scans.scan(None, archive)
    assert found.status == "unknown" and why in found.why and found.unique is None
    assert not left_behind()


def test_a_failure_is_not_remembered(fake, archive):
    fake("sys.exit(1)")
    assert scans.scan(None, archive).status == "unknown"
    fake()
    assert scans.scan(None, archive).status == "scanned"


@pytest.mark.parametrize(
    ("how", "unpacked"),
    [
        ({}, False),
        ({"packing": "gzip"}, False),
        ({"packing": ("gzip", "")}, False),
        ({"packing": ("", "gzip")}, True),
        ({"packing": ("", "zstd")}, True),
        ({"manifest_json": False}, True),
    ],
)
def test_what_trivy_reads_as_a_layout_only_is_unpacked_for_it(fake, tmp_path, how, unpacked):
    log = fake()
    path = tmp_path / "oci.tar"
    image = factories.Image([[factories.file("a", 100)], [factories.file("b", 100)]])
    path.write_bytes(factories.oci(image, **how))
    assert scans.scan(None, path).status == "scanned"
    [(_, words, *_)] = calls(log)
    given = Path(words[words.index("--input") + 1])
    assert (given != path) is unpacked and not left_behind()


def test_a_sparse_file_of_an_archive_is_not_written_out(fake, tmp_path):
    """It would fill the disk with the zeros that its header claims."""
    block = bytearray(factories.tar([factories.file("blobs/sha256/ab", 512)])[:512])
    block[156:157], block[257:265] = b"S", b"ustar  \0"
    block[483:495] = b"77777777777\0"  # 8 GiB
    files = factories.oci_files(factories.Image([[factories.file("a", 9)]]), manifest_json=False)
    whole = factories.archive({path: data for path, data in files.items() if "index" in path})
    path = tmp_path / "bomb.tar"
    path.write_bytes(whole[:1024] + tar_with_right_checksum(bytes(block)) + bytes(512 + 1024))
    log = fake()
    scans.scan(None, path)
    [(_, words, *_)] = calls(log)
    assert words[words.index("--input") + 1] == str(path), "nothing of it is written"
    with files_of(path) as files:
        assert files.get("index.json") and files.get("blobs/sha256/ab") is None


@pytest.mark.parametrize("packing", ["", "gzip", "zstd"])
def test_an_archive_is_not_unpacked_onto_a_disk_without_room_for_it(
    fake, tmp_path, monkeypatch, packing
):
    log = fake()
    path = tmp_path / "oci.tar"
    data = factories.oci(factories.Image([[factories.file("a", 100)]]), manifest_json=False)
    path.write_bytes(factories.pack(data, packing))
    monkeypatch.setattr(
        trivy.shutil, "disk_usage", lambda _: SimpleNamespace(free=asking.SPARE_BYTES)
    )
    found = scans.scan(None, path)
    assert found.status == "unknown" and "are free in" in found.why
    assert not calls(log) and not left_behind()


LAYOUT = """
import json
folder = sys.argv[sys.argv.index("--input") + 1]
read = lambda digest: open(folder + "/blobs/" + digest.replace(":", "/"), "rb").read()
[item] = json.load(open(folder + "/index.json"))["manifests"]
manifest = json.loads(read(item["digest"]))
config = json.loads(read(manifest["config"]["digest"]))
layers = [(layer["mediaType"], len(read(layer["digest"]))) for layer in manifest["layers"]]
open({log!r}, "w").write(repr((config["config"], config["architecture"], layers)))
"""


@pytest.fixture
def chosen(fake, tmp_path):
    """`chosen(path, …)`: configuration, machine and layers of the image that Trivy is given."""
    told = tmp_path / "told"

    def ask(path: str, **how) -> tuple:
        fake(LAYOUT.format(log=str(told)) + RECORDED.format(path=str(tmp_path / "said.json")))
        found = scans.scan(None, path, **how)
        assert found.status == "scanned", found.why
        assert not left_behind()
        return eval(told.read_text())

    return ask


FIRST = factories.Image([[factories.file("a", 9000)]], name="busy:1.31", config={"User": "1"})
SECOND = factories.Image(
    [[factories.file("a", 9000)], [factories.file("b", 9000)]],
    name="busy:1.32", config={"User": "2"},
)  # fmt: skip
ARM = replace(FIRST, config={"User": "3"}, platform="linux/arm64")
PLAIN, TAR_BYTES = "application/vnd.oci.image.layer.v1.tar", 20480


@pytest.mark.parametrize("packing", ["", "gzip", "zstd"])
@pytest.mark.parametrize("save", [factories.legacy, factories.oci])
def test_the_image_that_is_named_behind_the_path_is_the_one_that_is_scanned(
    chosen, tmp_path, save, packing
):
    path = tmp_path / "two.tar"
    path.write_bytes(factories.pack(save(FIRST, SECOND), packing))
    assert chosen(f"{path}:busy:1.31") == ({"User": "1"}, "amd64", [(PLAIN, TAR_BYTES)])
    assert chosen(f"{path}:1.32") == ({"User": "2"}, "amd64", [(PLAIN, TAR_BYTES)] * 2)


def test_the_platform_that_is_asked_for_is_the_one_that_is_scanned(chosen, tmp_path):
    path = tmp_path / "two.tar"
    data = factories.oci(SECOND, ARM, nested=True, manifest_json=False, packing="gzip")
    path.write_bytes(data)
    for platform, user in (("linux/amd64", "2"), ("linux/arm64", "3")):
        config, _, layers = chosen(str(path), platform=platform)
        assert config == {"User": user} and {kind for kind, _ in layers} == {f"{PLAIN}+gzip"}


def test_a_layout_in_a_folder_is_scanned(chosen, tmp_path):
    with tarfile.open(fileobj=io.BytesIO(factories.oci(FIRST, SECOND))) as tar:
        tar.extractall(tmp_path / "layout", filter="data")
    assert chosen(f"{tmp_path / 'layout'}:1.31")[0] == {"User": "1"}
    assert chosen(f"{tmp_path / 'layout'}:1.32")[0] == {"User": "2"}, "not what was scanned before"


def test_an_archive_of_several_images_is_not_scanned_before_one_is_chosen(fake, tmp_path):
    log = fake()
    path = tmp_path / "two.tar"
    path.write_bytes(factories.legacy(FIRST, SECOND))
    with pytest.raises(ImageUnclear, match=r"busy:1\.31; busy:1\.32"):
        scans.scan(None, path)
    done = lab("scan", str(path), **NO_ENGINE)
    assert done.returncode == 2 and f"./lab scan {path}:busy:1.32" in done.stderr
    done = lab("scan", str(path) + ":busy:1.31", "--platform", "linux/s390x", **NO_ENGINE)
    assert done.returncode == 2 and "none for linux/s390x" in done.stderr
    assert not calls(log)


def test_a_layout_whose_layer_is_missing_is_unknown(fake, tmp_path):
    fake()
    files = factories.oci_files(FIRST)
    layer = f"blobs/sha256/{factories.sha256(FIRST.tars[0])}"
    for name, data in files.items():
        if name != layer:
            (tmp_path / "layout" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "layout" / name).write_bytes(data)
    found = scans.scan(None, tmp_path / "layout")
    assert found.status == "unknown" and "is missing" in found.why


@pytest.mark.parametrize(
    "manifest", [b"[", b"[[]]", b"3", b'[{"Layers": ["x"]}]', b'[{"Layers": [3]}]', b"[" * 99_999]
)
def test_an_archive_that_lies_about_its_layers_is_left_to_the_scanner(fake, tmp_path, manifest):
    log = fake()
    path = tmp_path / "lies.tar"
    path.write_bytes(factories.archive({"index.json": b"{}", "manifest.json": manifest}))
    scans.scan(None, path)
    [(_, words, *_)] = calls(log)
    assert words[words.index("--input") + 1] == str(path)


@pytest.fixture
def nowhere(fake, tmp_path, monkeypatch):
    """No scanner on PATH, and none beside this Python."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(trivy.sys, "executable", str(tmp_path / "bin" / "python"))
    return fake


def test_no_scanner_is_unknown_and_nothing_is_installed_by_a_scan(nowhere, archive, monkeypatch):
    monkeypatch.setattr(setup, "add", lambda name: pytest.fail("a scan installed something"))
    found = scans.scan(None, archive)
    assert found.status == "unknown" and "no scanner" in found.why and "./lab scan" in found.why


def test_the_one_beside_this_python_will_do(nowhere):
    nowhere()
    assert trivy.find().source == "the pinned Python package"


@pytest.mark.parametrize(
    ("version", "why"),
    [("0.69.5", "malicious"), ("0.50.1", "at least 0.63"), ("x", "does not say")],
)
def test_a_version_that_will_not_do_is_passed_over(nowhere, version, why):
    nowhere(version=version)
    with pytest.raises(ScannerMissing, match=why):
        trivy.find()


def test_the_scanner_is_installed_by_provide_and_said_so(nowhere, monkeypatch):
    monkeypatch.setattr(setup, "add", lambda name: nowhere() if name.endswith("scan.txt") else 0)
    scanner, database = trivy.provide()
    assert str(scanner) == "Trivy 0.76.0" and str(database) == "database 2026-11-21"


def test_an_installation_that_fails_is_a_missing_scanner(nowhere, monkeypatch):
    def fails(name):
        raise setup.SetupFailed("pip could not")

    monkeypatch.setattr(setup, "add", fails)
    with pytest.raises(ScannerMissing, match="pip could not"):
        trivy.provide()


def test_what_is_installed_is_pinned_by_hash(monkeypatch):
    asked, start = [], subprocess.Popen

    def nothing(command, **options):
        asked.append(command)
        return start([sys.executable, "-c", ""], **options)

    monkeypatch.setattr(setup.subprocess, "Popen", nothing)
    setup.add(trivy.REQUIREMENTS)
    [command] = asked
    assert "--require-hashes" in command and str(ROOT / trivy.REQUIREMENTS) in command
    assert "--hash=sha256:" in (ROOT / trivy.REQUIREMENTS).read_text(encoding="utf-8")


@pytest.mark.parametrize("metadata", [None, "", "{}", "[]", '{"UpdatedAt": "2026"}'], ids=str)
def test_a_database_that_is_not_whole_is_missing(fake, archive, metadata):
    fake()
    folder = Path(os.environ["TRIVY_CACHE_DIR"]) / "db"
    (folder / "metadata.json").unlink()
    if metadata is not None:
        (folder / "metadata.json").write_text(metadata)
        if "2026" in metadata:
            (folder / "trivy.db").unlink()
    found = scans.scan(None, archive)
    assert found.status == "unknown" and "TRIVY_CACHE_DIR" in found.why
    with pytest.raises(ScannerMissing, match="TRIVY_CACHE_DIR"):
        trivy.provide()


def test_a_frozen_database_says_that_it_is_a_snapshot(fake):
    metadata = Path(os.environ["TRIVY_CACHE_DIR"]) / "db" / "metadata.json"
    assert not trivy.database().snapshot
    metadata.write_text(json.dumps(METADATA | {"NextUpdate": "2099-01-01T00:00:00Z"}))
    assert "lab snapshot" in str(trivy.database())


DOWNLOADS = """
folder = sys.argv[sys.argv.index("--cache-dir") + 1] + "/db"
os.makedirs(folder)
open(folder + "/trivy.db", "w").close()
open(folder + "/metadata.json", "w").write('{"UpdatedAt": "2026-12-01T00:00:00Z"}')
"""


def test_a_database_is_downloaded_once_into_our_own_folder(fake, monkeypatch, capsys):
    monkeypatch.delenv("TRIVY_CACHE_DIR")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    log = fake(DOWNLOADS)
    _, database = trivy.provide()
    assert database.folder == journal.folder("trivy") and database.date.startswith("2026-12-01")
    assert trivy.provide()[1] == database and len(calls(log)) == 1
    assert "downloading" in capsys.readouterr().err
    assert calls(log)[0][3]["HTTPS_PROXY"], "only the download may use the network"


def test_a_download_that_fails_leaves_no_database_and_says_why(fake, monkeypatch):
    monkeypatch.delenv("TRIVY_CACHE_DIR")
    fake("sys.exit('FATAL Fatal error no such host')")
    with pytest.raises(ScannerMissing, match="no such host"):
        trivy.provide()
    with pytest.raises(ScannerMissing, match="no vulnerability database"):
        trivy.database()


def test_a_database_of_yours_is_never_updated(fake):
    fake()
    with pytest.raises(ScannerMissing, match="yours"):
        trivy.provide(update=True)


def test_a_wrong_path_names_no_image(fake, tmp_path):
    fake()
    for what in (tmp_path / "nothing.tar", tmp_path):
        with pytest.raises(ImageNotFound):
            scans.scan(None, what)


# --- from an engine, which exports -----------------------------------------------------------


@pytest.fixture
def exports(monkeypatch):
    """An engine with one image, whose export is `chunks`."""
    state = SimpleNamespace(chunks=[b"x" * 1000] * 3, size=3000, closed=0)

    @contextmanager
    def export_image(client, name):
        try:
            yield (part() if callable(part) else part for part in state.chunks)
        finally:
            state.closed += 1

    described = {"Id": "sha256:1"}
    monkeypatch.setattr(engine, "export_image", export_image)
    monkeypatch.setattr(engine, "inspect_image", lambda *_: described | {"Size": state.size})
    monkeypatch.setattr(engine, "setting", lambda client, bases: SETTING)
    return state


def test_an_image_is_exported_given_to_the_scanner_and_removed(fake, exports):
    log = fake()
    found = scans.scan(object(), "app:1")
    [(_, words, folder, _)] = calls(log)
    assert found.status == "scanned" and words[-2:] == ["--input", f"{folder}/image.tar"]
    assert exports.closed == 1 and not left_behind()
    assert scans.scan(object(), SimpleNamespace(tag="other/name")).image == "other/name"
    assert exports.closed == 1, "the same image by another name is not exported again"


def test_an_interrupted_export_leaves_no_file(fake, exports):
    fake()

    def interrupt():
        assert left_behind()
        raise KeyboardInterrupt

    exports.chunks.append(interrupt)
    with pytest.raises(KeyboardInterrupt):
        scans.scan(object(), "app:1")
    assert exports.closed == 1 and not left_behind()


def test_a_full_disk_is_told_before_anything_is_exported(fake, exports):
    fake()
    exports.size = 10**18
    found = scans.scan(object(), "app:1")
    assert found.status == "unknown" and "has to be exported" in found.why
    assert exports.closed == 0


def test_a_disk_that_fills_up_meanwhile_is_told_too(fake, exports):
    fake()

    def full():
        raise OSError(28, "No space left on device")

    exports.chunks.append(full)
    found = scans.scan(object(), "app:1")
    assert found.status == "unknown" and "No space left" in found.why and not left_behind()


@pytest.mark.skipif(sys.platform == "win32", reason="not for this machine: it has no such signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ctrl_c_leaves_no_process_and_no_file(fake, archive, how):
    log = fake("open('big', 'w').write('x'); time.sleep(60)")
    lab_id = f"stop{int(how)}"
    environment = os.environ | {"LAB_ID": lab_id}
    process = subprocess.Popen(
        [sys.executable, "-m", "shiplight", "scan", str(archive)],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while not log.read_text().endswith("\n"):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        pid, folder = calls(log)[0][0], Path(calls(log)[0][2])
        process.send_signal(how)
        complaint = process.communicate(timeout=30)[1]
        if how is signal.SIGKILL:
            os.kill(pid, signal.SIGKILL)  # nobody could end it; what it left goes with the next
            fake()
            assert folder.exists() and lab("scan", str(archive), LAB_ID=lab_id).returncode == 0
        else:
            assert "Traceback" not in complaint
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        assert not folder.exists()
    finally:
        shutil.rmtree(ROOT / ".lab" / "labs" / lab_id, ignore_errors=True)


# --- the command -----------------------------------------------------------------------------

DOCUMENTED = {
    "image", "status", "why", "vulnerabilities", "unique", "fixable", "without_kernel_headers",
    "findings", "packages", "package_databases", "scanner", "database_date", "snapshot", "unread",
    "layers", "rows", "setting", "verdict",
}  # fmt: skip


def test_the_documented_json_is_printed_and_findings_are_no_failure(fake, archive):
    fake()
    done = lab("scan", str(archive), "--json", **NO_ENGINE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    assert set(found) == DOCUMENTED and all(f"`{field}`" in text for field in DOCUMENTED)
    assert found["findings"] == len(found["rows"]) == GO.finding_count
    assert {found["layers"][row["layer"]]["instruction"] for row in found["rows"]} == {
        "COPY /app/server /server"
    }


def test_a_scan_that_could_not_run_ends_with_2_and_says_unknown(fake, archive):
    fake("sys.exit('FATAL Fatal error broken')")
    done = lab("scan", str(archive), "--json", **NO_ENGINE)
    found = json.loads(done.stdout)
    assert done.returncode == 2 and found["status"] == "unknown" and "broken" in found["why"]
    assert found["vulnerabilities"] is found["findings"] is found["packages"] is None
    assert "broken" in lab("scan", str(archive), **NO_ENGINE).stdout


def test_a_package_list_is_written_in_the_form_that_its_name_asks_for(fake, archive, tmp_path):
    log = fake()
    for name in ("a.json", "a.spdx.json"):
        done = lab("scan", str(archive), "--sbom", str(tmp_path / name), **NO_ENGINE)
        assert done.returncode == 0 and (tmp_path / name).stat().st_size
    forms = [words[words.index("--format") + 1] for _, words, _, _ in calls(log)]
    assert forms == ["json", "cyclonedx", "spdx-json"], "what was scanned is not scanned again"
    done = lab("scan", str(archive), "--sbom", str(tmp_path / "no" / "b.json"), **NO_ENGINE)
    assert done.returncode == 2 and "cannot be written" in done.stderr


@pytest.mark.parametrize("found", [GO, DEBIAN, BUSYBOX, UNKNOWN], ids=lambda found: found.image)
def test_what_is_printed_has_scanner_date_and_snapshot_or_why(found, capsys):
    report.print_scan(found)
    printed = " ".join(capsys.readouterr().out.split())
    if found.status == "scanned":
        assert "Trivy 0.76.0 · database 2026-11-21 (lab snapshot)" in printed
    if found.covered:
        for severity, count in found.vulnerabilities.items():
            assert f"{findings.WORDS[severity]} {count} " in printed
    else:
        assert "no package database" in printed or "was killed" in printed


def test_kernel_headers_are_told_apart_in_print(capsys):
    report.print_scan(with_rows(row("CVE-1", "linux-libc-dev"), row("CVE-2", "libc6")))
    assert "1 of the 2 affect only kernel headers" in capsys.readouterr().out


def test_the_doctor_says_which_scanner_and_database(fake, monkeypatch):
    fake()
    assert "Trivy 0.76.0" in doctor._scanner().seen and "2026-11-21" in doctor._scanner().seen
    monkeypatch.setenv("TRIVY_CACHE_DIR", "/nowhere")
    assert doctor._scanner().state == "note" and doctor._scanner().advice


# --- tables and charts -----------------------------------------------------------------------


def test_a_table_by_severity_has_no_number_for_what_is_unknown():
    table = scan_frames.vulnerabilities(GO, BUSYBOX, UNKNOWN).set_index("image")
    assert table.loc["go-multi", "vulnerabilities"].sum() == GO.unique
    assert table.loc["go-multi", "findings"].sum() == GO.finding_count
    assert table.loc["go-multi", "fixable"].sum() == GO.fixable
    for name in ("busybox", "lost"):
        assert table.loc[name, "vulnerabilities"].isna().all()
    assert "—" in repr(frames.readable(scan_frames.vulnerabilities(UNKNOWN)))


def test_a_table_of_findings_has_the_worst_first():
    table = scan_frames.findings(DEBIAN)
    assert len(table) == DEBIAN.finding_count and table["severity"].iloc[0] == "CRITICAL"
    assert scan_frames.findings(UNKNOWN).empty


def test_a_table_of_origins_adds_up_and_knows_the_base():
    table = scan_frames.origins(DEBIAN, base=DEBIAN)
    assert table["new"].sum() == DEBIAN.unique and set(table["part"]) == {"base"}
    assert set(scan_frames.origins(GO)["part"]) == {"own"}
    assert scan_frames.origins(BUSYBOX)["new"].isna().all()


def test_gone_kept_and_new():
    before = with_rows(row("CVE-1", "a", Severity="LOW"), row("CVE-2", "a", Severity="LOW"))
    after = with_rows(row("CVE-2", "b", Severity="HIGH"), row("CVE-3", "c"))
    table = scan_frames.compared(before, after).set_index("id")
    assert dict(table["fate"]) == {"CVE-1": "gone", "CVE-2": "kept", "CVE-3": "new"}
    assert table.loc["CVE-2", "packages"] == "a, b"
    assert list(scan_frames.compared(before, after)["fate"]) == ["kept", "gone", "new"]


def test_two_scans_say_which_stage_and_instruction_brought_what_is_gone_and_what_is_new():
    before = with_rows(row("CVE-1", "a"), row("CVE-2", "a"))
    old = replace(before, findings=tuple(
        replace(one, layer=0, instruction="RUN apt-get install a") for one in before.findings
    ))  # fmt: skip
    after = with_rows(row("CVE-2", "a"), row("CVE-3", "c"))
    new = replace(after, findings=tuple(
        replace(one, layer=0, instruction="COPY --chown=1 --from=deps /a /a")
        for one in after.findings
    ))  # fmt: skip
    found = scans.compare_scans(old, new)
    assert found.brought("gone") == {("", "RUN apt-get install a"): 1}
    copied = {("deps", "COPY --chown=1 --from=deps /a /a"): 1}
    assert found.brought("kept") == found.brought("new") == copied
    assert [row["stage"] for row in found.to_dict()["rows"]].count("deps") == 2
    assert [sum(found.severities(fate).values()) for fate in scans.FATES] == [1, 1, 1]
    assert json.loads(json.dumps(found.to_dict()))["rows"][0]["id"] == "CVE-1"


def test_two_images_are_compared_on_the_command_line(fake, archive, tmp_path):
    fake()
    other = tmp_path / "other.tar"
    shutil.copy(archive, other)
    done = lab("scan", str(archive), str(other), "--json", **NO_ENGINE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sum(found["counts"]["kept"].values()) == len(GO.severities)
    assert not sum(found["counts"]["gone"].values()) + sum(found["counts"]["new"].values())
    printed = " ".join(lab("scan", str(archive), str(other), **NO_ENGINE).stdout.split())
    assert f"kept {len(GO.severities)} the last COPY /app/server /server" in printed
    done = lab("scan", str(archive), str(other), "--fail-on", "low", **NO_ENGINE)
    assert done.returncode == 2 and "for one image" in done.stderr
    fake("sys.exit('FATAL Fatal error broken')", version="0.77.0")
    done = lab("scan", str(archive), str(other), **NO_ENGINE)
    assert done.returncode == 2 and "is unknown" in done.stderr


def test_what_cannot_be_compared_is_not():
    with pytest.raises(UsageError, match="is unknown"):
        scan_frames.compared(GO, UNKNOWN)
    with pytest.raises(UsageError, match="is unknown") as failed:
        scan_frames.compared(GO, replace(GO, package_databases=()))
    assert "no package database" in failed.value.hint
    with pytest.raises(UsageError, match="2026-01-01"):
        scan_frames.compared(GO, replace(DEBIAN, database_date="2026-01-01T00:00:00Z"))


def test_the_chart_of_severities_says_its_finding_and_where_it_comes_from():
    names = ["before", "after", "tiny", "lost"]
    figure = scan_charts.vulnerabilities(DEBIAN, GO, BUSYBOX, UNKNOWN, names=names)
    assert title_of(figure) == (
        f"before has {DEBIAN.unique} known vulnerabilities in {DEBIAN.packages} packages; "
        f"after has {GO.unique} in the {GO.packages} that could be read"
    )
    shown = texts(figure)
    assert "database 2026-11-21 (lab snapshot)" in shown.replace("<br>", " ")
    assert "<b>—</b>" in shown and "the scanner was killed" in shown and "<b>0</b>" not in shown
    assert sum(sum(bar.x) for bar in figure.data) == GO.unique + DEBIAN.unique
    assert "unrated" in shown


def test_the_chart_of_severities_of_nothing_known():
    assert title_of(scan_charts.vulnerabilities(UNKNOWN)) == "No packages could be read in lost"


def test_the_chart_of_origins():
    figure = scan_charts.origins(DEBIAN, base=DEBIAN)
    assert f"{DEBIAN.unique} of {DEBIAN.unique}" in title_of(figure)
    assert "come from its base" in title_of(figure)
    assert "“COPY /app/server /server”" in title_of(scan_charts.origins(GO, name="go/multi"))
    assert title_of(scan_charts.origins(BUSYBOX)) == "busybox: — known vulnerabilities"


def test_the_chart_of_gone_kept_and_new():
    figure = scan_charts.compared(DEBIAN, GO, names=["before", "after"])
    gone = len(set(DEBIAN.severities) - set(GO.severities))
    assert title_of(figure).startswith(f"{gone} of the {DEBIAN.unique} known")
    assert sum(figure.data[0].x) == len(set(DEBIAN.severities) | set(GO.severities))


# --- tables as lessons print them ------------------------------------------------------------


def test_a_table_by_severity_has_a_row_an_image_and_unknown_is_no_number():
    table = scan_frames.by_severity(GO, BUSYBOX, UNKNOWN, names=["go", "busybox", "lost"])
    assert list(table.index) == ["go", "busybox", "lost"]
    assert table.loc["go", "total"] == GO.unique == table.loc["go"].iloc[:5].sum()
    assert table.loc[["busybox", "lost"]].isna().all(axis=None)
    shown = repr(frames.readable(table))
    assert "—" in shown and "Trivy 0.76.0 · database 2026-11-21 (lab snapshot)" in shown


def test_a_table_by_package_counts_each_vulnerability_of_a_package_once():
    table = scan_frames.by_package(GO)
    assert table["package"].is_unique and set(table["where"]) == {"server"}
    [stdlib] = table[table["package"] == "stdlib"]["vulnerabilities"]
    assert stdlib == len({f.id for f in GO.findings if f.package == "stdlib"})
    assert list(table["vulnerabilities"]) == sorted(table["vulnerabilities"], reverse=True)


def test_fates_add_up_to_both_images():
    table = scan_frames.fates(DEBIAN, GO)["total"]
    assert table["gone"] + table["kept"] == DEBIAN.unique
    assert table["new"] + table["kept"] == GO.unique
