"""What scans leave in a recording, and what takes their place where no scan can run."""

import json
from types import SimpleNamespace

import pytest
from test_scan import DEBIAN, GO, SETTING

from shiplight import engine, recordings, scans
from shiplight.errors import ScannerMissing
from shiplight.scans.scanning import Prepared

PREPARED = Prepared("Trivy 1.2.3", "2026-11-21T02:10:46Z", True, SETTING)


@recordings.replayed(type(GO), packed=True)
def looked(client, what):
    if client.missing:
        raise ScannerMissing("there is no scanner here.", hint="get one")
    return {"go": GO, "debian": DEBIAN}[what]


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """The folder of a recording with two scans in it."""
    folder = tmp_path / "equivalent"
    folder.mkdir()
    monkeypatch.setattr(engine, "setting", lambda *_, **__: SETTING)
    monkeypatch.setenv("SHIPLIGHT_RECORD", str(folder / "07-scan.json"))
    live = SimpleNamespace(missing=False)
    assert looked(live, "go") is GO and looked(live, "debian") is DEBIAN
    monkeypatch.delenv("SHIPLIGHT_RECORD")
    monkeypatch.setenv("SHIPLIGHT_RECORDINGS", str(tmp_path))
    monkeypatch.setenv("SHIPLIGHT_MODE", "auto")
    return folder / "07-scan.json"


def test_a_packed_result_comes_back_whole_and_takes_a_fifth_at_most(recorded):
    client = recordings.Recorded("07-scan")
    for name, report in (("go", GO), ("debian", DEBIAN)):
        again = looked(client, name)
        assert again == report and again.findings == report.findings
        assert again.setting.mode == "recorded"
    text = json.dumps(DEBIAN.to_dict(), indent=1)
    assert recorded.stat().st_size < len(text) / 5


@recordings.replayed(type(GO))
def nothing(client):
    return None


def test_a_result_that_is_nothing_stays_nothing(tmp_path, monkeypatch):
    (tmp_path / "equivalent").mkdir()
    monkeypatch.setattr(engine, "setting", lambda *_, **__: SETTING)
    monkeypatch.setenv("SHIPLIGHT_RECORD", str(tmp_path / "equivalent" / "08-check.json"))
    assert nothing(SimpleNamespace()) is None
    monkeypatch.setenv("SHIPLIGHT_RECORDINGS", str(tmp_path))
    assert nothing(recordings.Recorded("08-check")) is None


def test_without_a_scanner_a_live_machine_replays_and_says_so(recorded):
    lacking = SimpleNamespace(missing=True, shiplight_lesson="07-scan")
    assert looked(lacking, "go").setting.mode == "recorded"
    with pytest.raises(ScannerMissing):
        looked(SimpleNamespace(missing=True, shiplight_lesson=None), "go")


def test_nothing_falls_back_where_live_is_demanded(recorded, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_MODE", "live")
    with pytest.raises(ScannerMissing):
        looked(SimpleNamespace(missing=True, shiplight_lesson="07-scan"), "go")


def test_what_is_prepared_says_whether_it_is_used_here():
    assert repr(PREPARED) == "Trivy 1.2.3 · database 2026-11-21 (lab snapshot) · used here"
    again = Prepared.from_dict(json.loads(json.dumps(PREPARED.to_dict())))
    assert again == PREPARED and again.setting == SETTING


def test_without_an_engine_nothing_is_installed_or_downloaded(recorded, monkeypatch):
    monkeypatch.setattr(scans.trivy, "provide", lambda *_, **__: pytest.fail("it was asked"))
    with pytest.raises(recordings.NotRecorded):
        scans.prepare(recordings.Recorded("07-scan"))
