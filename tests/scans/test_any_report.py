"""What a scanner says, of any kind: it is read, or refused as an error of ours."""

import copy
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from shiplight.charts import readable, scan_frames
from shiplight.cli import report
from shiplight.errors import ScanFailed
from shiplight.scans.findings import ScanReport, read_report
from shiplight.units import as_json

LAYERS = ["sha256:a", "sha256:b"]
ROW = {
    "VulnerabilityID": "CVE-1", "PkgName": "bash", "PkgID": "bash@5", "InstalledVersion": "5",
    "FixedVersion": "6", "Status": "fixed", "Severity": "HIGH", "Layer": {"DiffID": "sha256:a"},
}  # fmt: skip
SAID = {
    "Trivy": {"Version": "0.76"},
    "Metadata": {
        "DiffIDs": LAYERS,
        "ImageConfig": {"history": [{"created_by": "COPY a"}, {"created_by": "RUN b"}]},
    },
    "Results": [
        {
            "Class": "os-pkgs", "Type": "debian", "Target": "x",
            "Packages": [{"ID": "bash@5", "SrcName": "bash"}], "Vulnerabilities": [ROW, ROW],
        }
    ],
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def places(document, so_far=()) -> list[tuple]:
    """Every place in a JSON document, as the keys that lead to it."""
    inside = document.items() if isinstance(document, dict) else ()
    inside = enumerate(document) if isinstance(document, list) else inside
    return [so_far] + [deep for key, inner in inside for deep in places(inner, (*so_far, key))]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(places(SAID)[1:]), JSON)
def test_a_report_is_read_whatever_it_says_or_refused(place, value):
    said = copy.deepcopy(SAID)
    at = said
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    try:
        found = read_report(said, name="x")
    except ScanFailed as refused:
        assert "cannot be read" in refused.message
        return
    report.print_scan(found)
    assert repr(found) and repr(readable(scan_frames.by_severity(found)))
    again = json.loads(as_json(found.to_dict()))
    assert ScanReport.from_dict(again).unique == found.unique


def test_a_report_of_many_layers_is_read_at_once():
    said = copy.deepcopy(SAID)
    said["Metadata"]["DiffIDs"] = [f"sha256:{n}" for n in range(60_000)]
    assert len(read_report(said, name="x").diff_ids) == 60_000
