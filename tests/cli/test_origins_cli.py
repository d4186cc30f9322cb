"""What `./lab origins` prints, for an image that is known."""

import json
from dataclasses import replace

import pytest

from shiplight import inspection
from shiplight.charts import frames
from shiplight.cli import commands, image_commands
from shiplight.inspection import Flow, Origin, Origins
from shiplight.setting import Setting

SETTING = Setting("Docker 1", "graph driver x", "linux/amd64", "official", "2026-11-23T10:00:00")
FOUND = Origins(
    "go/multi",
    9000,
    ("builder", "stage-1"),
    (
        Origin("base", "builder", "FROM golang", 2, 700_000, 1000),
        Origin("instruction", "builder", "RUN go build", 7, 20_000, 8000, mounted=("tools",)),
    ),
    (Flow(0, ("builder", "stage-1"), 1000, True),),
    ran=("line 7: RUN go build",),
    setting=SETTING,
)


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(inspection, "origins", lambda client, what, **named: FOUND)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(image_commands, "connect", lambda given, to_make: None)


def test_a_table_says_what_was_born_what_ships_and_what_stays(known, capsys):
    assert commands.main(["origins", "go/multi"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "builder 7 20.0 kB 8.00 kB 12.0 kB RUN go build (reads tools)" in said
    assert "720 kB 9.00 kB 711 kB total" in said
    assert "not cached: line 7: RUN go build" in said


def test_json_has_the_shipped_bytes_of_each_row(known, capsys):
    assert commands.main(["origins", "go/multi", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["shipped_bytes"] for row in found["rows"]] == [1000, 8000]
    assert [row["left_behind_bytes"] for row in found["rows"]] == [699_000, 12_000]
    assert Origins.from_dict(found) == FOUND


def test_what_cannot_be_built_is_said_before_an_engine_is_looked_for(capsys):
    assert commands.main(["origins", "nowhere/nothing"]) == 1
    assert "nowhere/nothing is neither" in capsys.readouterr().err


def test_the_frame_has_the_same_rows_and_their_setting():
    table = frames.origins(FOUND)
    assert list(table["left_behind_bytes"]) == [699_000, 12_000]
    assert table.attrs["setting"] == SETTING


SCANNED = replace(
    FOUND,
    rows=(
        replace(FOUND.rows[0], vulnerabilities=900, shipped_vulnerabilities=None),
        replace(FOUND.rows[1], vulnerabilities=49, shipped_vulnerabilities=41),
    ),
    vulnerabilities=None,
    shipped_vulnerabilities=41,
    scanned_by="Trivy 1 · database 2026-11-21",
    unscanned=("builder",),
)


def test_a_second_table_says_which_vulnerabilities_ship(known, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(inspection, "origins", lambda *_, **named: asked.append(named) or SCANNED)
    assert commands.main(["origins", "go/multi", "--scan"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert asked[0]["scan"] is True
    assert "builder 7 49 41 8 RUN go build" in said and "builder 2 900 — — FROM golang" in said
    assert "— 41 — total, each counted once" in said
    assert "Trivy 1 · database 2026-11-21" in said
    assert "no packages could be read in builder" in said


def test_the_frame_of_scanned_origins_has_no_number_for_what_is_unknown():
    table = frames.origins(SCANNED)
    assert table["left_behind_vulnerabilities"].isna().tolist() == [True, False]
    assert "Trivy 1" in repr(frames.readable(table))
