"""Whether a scan passes: severities, fixes, exceptions that end, and what could not be read."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from command import lab
from test_scan import BUSYBOX, DEBIAN, GO, NO_ENGINE, UNKNOWN, archive, fake, row, said, with_rows

from shiplight.cli import report
from shiplight.errors import UsageError
from shiplight.scans import Waiver, judge, read_waivers
from shiplight.scans.findings import read_report

__all__ = ["archive", "fake"]  # fixtures
DAY = date(2026, 11, 29)
FOUND = with_rows(
    row("CVE-1", "openssl", Severity="CRITICAL"),
    row("CVE-2", "libc6", Severity="HIGH", FixedVersion="2.37"),
    row("CVE-2", "libc-bin", Severity="LOW", FixedVersion="2.37"),
    row("CVE-3", "bash", Severity="MEDIUM", FixedVersion="5.3"),
    row("CVE-4", "tar"),
)


def counted(found=FOUND, **how) -> list[str]:
    return [f"{f.id} {f.package}" for f in judge(found, today=DAY, **how).counted]


@pytest.mark.parametrize(
    ("fail_on", "ids"),
    [
        ("critical", ["CVE-1 openssl"]),
        ("high", ["CVE-1 openssl", "CVE-2 libc6"]),
        ("medium", ["CVE-1 openssl", "CVE-2 libc6", "CVE-3 bash"]),
        ("low", ["CVE-1 openssl", "CVE-2 libc6", "CVE-3 bash", "CVE-2 libc-bin"]),
        ("unrated", ["CVE-1 openssl", "CVE-2 libc6", "CVE-3 bash", "CVE-2 libc-bin", "CVE-4 tar"]),
    ],
)
def test_what_is_as_severe_as_asked_for_or_more_counts_worst_first(fail_on, ids):
    found = judge(FOUND, fail_on=fail_on, today=DAY)
    assert [f"{f.id} {f.package}" for f in found.counted] == ids and found.result == "failed"
    assert found.vulnerabilities == len({one.split()[0] for one in ids})
    assert found.unrated == (fail_on != "unrated")


def test_what_has_no_fix_can_be_left_out():
    assert counted(fail_on="high", only_fixed=True) == ["CVE-2 libc6"]
    found = judge(FOUND, fail_on="critical", only_fixed=True)
    assert found.result == "passed" and not found.counted


def test_a_severity_that_there_is_not_is_refused():
    with pytest.raises(UsageError, match="'grave' is not a severity"):
        judge(FOUND, fail_on="grave")


def waiver(id: str, package: str = "", until: date = DAY) -> Waiver:
    return Waiver(id, "we never call it", until, package)


def test_an_exception_holds_through_its_last_day_and_counts_again_on_the_next():
    waivers = [waiver("CVE-1"), waiver("cve-2", "libc6")]
    found = judge(FOUND, fail_on="high", waivers=waivers, today=DAY)
    assert (found.result, found.counted, found.expired) == ("passed", (), ())
    assert [(f.id, w) for f, w in found.waived] == [("CVE-1", waivers[0]), ("CVE-2", waivers[1])]
    later = judge(FOUND, fail_on="high", waivers=waivers, today=DAY + timedelta(days=1))
    assert (later.result, later.vulnerabilities, later.waived) == ("failed", 2, ())
    assert later.expired == tuple(waivers)


def test_an_exception_for_one_package_leaves_the_others_counted():
    found = counted(fail_on="low", waivers=[waiver("CVE-2", "libc6"), waiver("CVE-1", "linux")])
    assert "CVE-2 libc-bin" in found and "CVE-2 libc6" not in found
    assert "CVE-1 openssl" not in found, "the name of the source package does too"


def test_an_exception_that_matches_nothing_is_told():
    unused = [waiver("CVE-9"), waiver("CVE-1", "curl")]
    assert judge(FOUND, waivers=[*unused, waiver("CVE-1")], today=DAY).unused == tuple(unused)


@pytest.mark.parametrize("found", [BUSYBOX, UNKNOWN], ids=lambda found: found.image)
def test_what_could_not_be_read_never_passes(found):
    judged = judge(found, fail_on="critical", waivers=[waiver("CVE-1")], today=DAY)
    assert judged.result == "unknown" and judged.why and not judged.counted


@pytest.mark.parametrize("system", [{"Results": []}, {"Metadata": {"OS": {"Family": "debian"}}}])
def test_a_system_whose_packages_are_gone_does_not_pass_for_the_programs_beside_it(system):
    """/var/lib/dpkg deleted, a program of Go left: its 0 is not that of the system."""
    go = json.loads(json.dumps(said("go-multi")))
    for part in go["Results"]:
        part["Vulnerabilities"] = []
    empty = {"Class": "os-pkgs", "Type": "debian", "Target": "x"}
    whole = read_report(go, name="go")
    if "Results" in system:
        go["Results"].append(empty)
    else:
        go["Metadata"] |= system["Metadata"]
    part = read_report(go, name="go")
    assert (whole.unread, part.unread) == ((), ("debian",))
    assert judge(whole, fail_on="low").result == "passed"
    judged = judge(part, fail_on="low")
    assert judged.result == "unknown" and "debian" in judged.why
    assert part.in_programs.unread == () and type(part).from_dict(part.to_dict()) == part


def test_what_fails_fails_also_where_more_could_not_be_read():
    part = replace(GO, unread=("debian",))
    judged = judge(part, fail_on="low")
    assert judged.result == "failed" and "debian" in judged.why


def test_recorded_scans_have_nothing_unread():
    assert GO.unread == DEBIAN.unread == ()


# The file

GOOD = """
[[exception]]
id = "CVE-2023-4911"
package = "libc6"
reason = "no setuid program here"
until = 2027-01-31

[[exception]]
id = "GHSA-xxxx"
reason = "only on Windows"
until = "2027-02-01"
"""


def test_a_file_of_exceptions(tmp_path):
    path = tmp_path / "exceptions.toml"
    path.write_text(GOOD)
    first, second = read_waivers(path)
    assert first == Waiver("CVE-2023-4911", "no setuid program here", date(2027, 1, 31), "libc6")
    assert (second.package, second.until) == ("", date(2027, 2, 1))
    path.write_text("")
    assert read_waivers(path) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[exception]]\nid = 'CVE-1'\nuntil = 2027-01-31", "exception 1: it has no reason"),
        ("[[exception]]\nid = 'C'\nreason = ' '\nuntil = 2027-01-31", "it has no reason"),
        ("[[exception]]\nreason = 'x'\nuntil = 2027-01-31", "it has no id"),
        ("[[exception]]\nid = 'C'\nreason = 'x'", "`until` is missing"),
        (
            "[[exception]]\nid = 'C'\nreason = 'x'\nuntil = 'soon'",
            "`until` is missing",
        ),
        (
            "[[exception]]\nid = 'C'\nreason = 'x'\nuntil = 20270131",
            "`until` is missing",
        ),
        (
            "[[exception]]\nid = 'C'\nreason = 'x'\nuntil = 2027-01-31\npakage = 'a'",
            "pakage is not",
        ),
        ("[[exception]]\nid = 'C'\nreason = 'x'\nuntil = 2027-01-31\npackage = ''", "no package"),
        ("exception = [1]", "it is not a table"),
        ("exception = 'CVE-1'", "is not a list of tables"),
        ("[[exceptions]]\nid = 'CVE-1'", "more than exceptions: exceptions"),
        ("CVE-2023-4911\n", "is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
    ],
)
def test_an_exception_without_what_it_needs_is_refused_with_its_form(tmp_path, text, says):
    path = tmp_path / "exceptions.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says) as refused:
        read_waivers(path)
    assert "until = 2027-01-31" in refused.value.hint


@pytest.mark.parametrize("name", ["nothing.toml", "."])
def test_a_file_of_exceptions_that_is_not_there_is_an_error(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be read"):
        read_waivers(tmp_path / name)


# The command


def test_findings_end_with_1_and_what_is_unknown_with_2(fake, archive, tmp_path):
    fake()
    exceptions = tmp_path / "exceptions.toml"
    day = (datetime.now(UTC) + timedelta(days=2)).date()
    ids = sorted({f.id for f in GO.findings})
    exceptions.write_text(
        "".join(f"[[exception]]\nid='{one}'\nreason='x'\nuntil={day}\n" for one in ids)
    )

    def ends(*words) -> tuple[int, dict]:
        done = lab("scan", str(archive), "--json", *words, **NO_ENGINE)
        return done.returncode, json.loads(done.stdout)["verdict"]

    assert ends() == (0, None)
    code, verdict = ends("--fail-on", "low")
    assert (code, verdict["result"]) == (1, "failed") and verdict["vulnerabilities"]
    code, verdict = ends("--fail-on", "unrated", "--exceptions", str(exceptions))
    assert (code, verdict["result"], verdict["counted"]) == (0, "passed", [])
    assert {one["until"] for one in verdict["waived"]} == {day.isoformat()}
    exceptions.write_text(exceptions.read_text().replace(str(day), "2020-01-31"))
    code, verdict = ends("--fail-on", "unrated", "--exceptions", str(exceptions))
    assert code == 1 and [one["id"] for one in verdict["expired"]] == ids
    fake("sys.exit('FATAL Fatal error broken')", version="0.77.0")
    code, verdict = ends("--fail-on", "critical")
    assert (code, verdict["result"]) == (2, "unknown") and "broken" in verdict["why"]


@pytest.mark.parametrize(
    "words", [["--only-fixed"], ["--exceptions", "x"], ["--fail-on", "low", "--exceptions", "none"]]
)
def test_what_cannot_be_judged_ends_with_2_before_anything_is_scanned(fake, archive, words):
    log = fake()
    done = lab("scan", str(archive), *words, **NO_ENGINE)
    assert done.returncode == 2 and done.stderr.startswith("lab: ") and not log.read_text()


def printed(capsys, found, **how) -> str:
    report.print_judgement(judge(found, today=DAY, **how))
    return " ".join(capsys.readouterr().out.split())


def test_the_printed_verdict_says_what_counts_and_what_ended(capsys):
    late = [waiver("CVE-1", until=date(2026, 1, 31)), waiver("CVE-2"), waiver("CVE-9")]
    text = printed(capsys, FOUND, fail_on="high", waivers=late)
    assert "CVE-1 critical openssl" in text and "✗ failed: 1 vulnerability, high or above" in text
    assert "expired after 2026-01-31, counts again: CVE-1: we never call it" in text
    assert "excepted until 2026-11-29: CVE-2" in text and "matches nothing here: CVE-9" in text
    assert "1 that nobody rated do not count" in text
    passed = printed(capsys, FOUND, fail_on="critical", only_fixed=True)
    assert "✓ passed" in passed and "critical or above with a fix" in passed
    unknown = printed(capsys, BUSYBOX, fail_on="low")
    assert "? unknown: there was no package database" in unknown and "passed" not in unknown
