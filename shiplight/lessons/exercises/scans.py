"""The checks of lesson 07, which scans what was built, and of lesson 08, which checks it."""

from ...builds import Build
from ...checks import read_subject, run, with_build
from ...errors import ScanFailed
from ...scans import ScanReport, scan
from .grading import answering, exercise, refuse

# --- 07 Scan ----------------------------------------------------------------------------------


def _scanned(client, exercise_id: str, made: Build) -> ScanReport:
    """The scan of what was built; CheckFailed where nothing could be read in it.

    Raises ScanFailed where the scan itself could not run: nobody built anything wrong then.
    """
    report = scan(client, made)
    if report.status != "scanned":
        raise ScanFailed(f"{exercise_id} needs a scan, and none could run: {report.why}")
    if not report.covered:
        refuse(
            exercise_id,
            "the scanner finds nothing that it can read, so the scan says nothing.",
            hint="hiding packages fixes nothing: which package list did the scanner read before?",
            found="no package database",
        )
    return report


@exercise("07.1")
def _library_fixed(client, made: Build) -> str:
    report = _scanned(client, "07.1", made)
    left = [finding for finding in report.findings if finding.package == "stdlib"]
    if left:
        refuse(
            "07.1",
            "Go's standard library in the program has known vulnerabilities.",
            hint="which version of Go built it, and does it include every `fixed` version?",
            found=f"stdlib {left[0].installed}: {len({f.id for f in left})} vulnerabilities",
        )
    if report.os_level.covered:
        refuse(
            "07.1",
            "an operating system ships.",
            hint="only the stage that compiles needs a newer Go: what does your last FROM name?",
            found=f"{report.os_level.packages} of its packages",
        )
    answering(client, "07.1", made)
    return f"{report.packages} packages read, and no finding in stdlib"


@exercise("07.2")
def _readable_and_clean(client, made: Build) -> str:
    system = _scanned(client, "07.2", made).os_level
    if not system.covered:
        refuse(
            "07.2",
            "the image has no base that a scanner can read.",
            hint="`scratch` has no list of packages; which of the bases of lesson 05 has one?",
            found="packages of the program only",
        )
    if system.unique:
        refuse(
            "07.2",
            "the base has known vulnerabilities.",
            hint="how much of that does a static program need? Fewer packages mean fewer findings",
            found=f"{system.unique} vulnerabilities in {system.packages} packages",
        )
    answering(client, "07.2", made)
    return f"{system.packages} packages of the base read, no known vulnerability in them"


# --- 08 Check ---------------------------------------------------------------------------------

_MAY_STAY = (
    "supported-bases",
)  # what a learner may accept: it takes another base than the lesson's


@exercise("08.1")
def _nothing_left_of_go(client, path) -> str:
    return _nothing_left(client, "08.1", path)


@exercise("08.2")
def _nothing_left_of_python(client, path) -> str:
    return _nothing_left(client, "08.2", path)


def _nothing_left(client, exercise_id: str, path) -> str:
    subject = read_subject(path)
    found = run(with_build(client, subject))
    accepted = [r.check.id for r in found.results if r.accepted is not None]
    left = [result for result in found.results if result.counts]
    if hidden := [name for name in accepted if name not in _MAY_STAY]:
        refuse(
            exercise_id,
            "something was accepted that can be fixed.",
            hint="a comment tells others why something stays; it does not change what ships",
            found=", ".join(hidden),
        )
    if left:
        place = next(iter(left[0].outcome.places), None)
        refuse(
            exercise_id,
            f"{left[0].outcome.evidence}.",
            hint=f"the check is {left[0].check.id}; lesson {left[0].check.lesson} shows why",
            found="; ".join(filter(None, [place and place.found, place and place.path])),
        )
    image = answering(client, exercise_id, found.subject.built.image.name).image
    return f"{image}: nothing failed that was not accepted, looked at in the built image"
