"""Looks for known vulnerabilities in what we install, and for secrets in this repository.

    python tests/audit.py             prints one line for each question; 1 where something was found

Vulnerabilities: Trivy with the database in TRIVY_CACHE_DIR, and `pip-audit` where it is on PATH and
its advisories can be reached. Secrets: Trivy, in every file of every commit. docs/audits.md has the
last result.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRIVY = shutil.which("trivy") or str(Path(sys.executable).with_name("trivy"))
LOCKS = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-scan.txt",
    "deploy/hub/hub.txt",
    "deploy/hub/learner.txt",
)
# What tests show to the check on purpose: each is made up, and none opens anything.
MADE_UP = (
    "tests/checks/",
    "tests/check_cases.py",
    "tests/contexts.py",
    "tests/exercises/",
    "apps/",
)


def trivy(*words: str) -> list[dict]:
    """Return the results of a scan."""
    done = subprocess.run(
        [TRIVY, "fs", "--quiet", "--format", "json", *words], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"Trivy failed: {done.stderr[-1000:]}")
    return json.loads(done.stdout).get("Results") or []


def vulnerabilities() -> list[str]:
    """Return what Trivy's database has of the packages that the locks pin."""
    given = os.environ.get("TRIVY_CACHE_DIR")
    if not given:
        raise SystemExit("TRIVY_CACHE_DIR has to name a folder with a database in db/.")
    pattern = f"pip:({'|'.join(map(re.escape, LOCKS))})$"
    with tempfile.TemporaryDirectory() as cache:  # Trivy writes into it
        shutil.copytree(Path(given) / "db", Path(cache) / "db")
        results = trivy(
            *("--scanners", "vuln", "--offline-scan", "--skip-db-update", "--cache-dir", cache),
            *("--file-patterns", pattern, "--list-all-pkgs"),
            *("--skip-dirs", "apps", str(ROOT)),
        )
    made = json.loads((Path(given) / "db" / "metadata.json").read_text())["UpdatedAt"][:10]
    packages = {one["Name"] for result in results for one in result.get("Packages", ())}
    print(f"Trivy, database of {made}: {len(packages)} packages of the locks looked up")
    if unread := set(LOCKS) - {result["Target"] for result in results}:
        raise SystemExit(f"Trivy did not read {', '.join(sorted(unread))}.")
    return sorted(
        f"{one['PkgName']} {one['InstalledVersion']}: {one['VulnerabilityID']}"
        for result in results
        for one in result.get("Vulnerabilities", ())
    )


def advisories() -> list[str]:
    """Return what pip-audit says of the locks; what it cannot look up is told."""
    program = shutil.which("pip-audit")
    if program is None:
        print("pip-audit: not on PATH, so not asked")
        return []
    words = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    said = []
    for lock in LOCKS:  # one by one: two of them may pin different versions of a package
        done = subprocess.run(
            [program, "-r", str(ROOT / lock), *words], capture_output=True, text=True
        )
        said += json.loads(done.stdout)["dependencies"]
    skipped = [one for one in said if "skip_reason" in one]
    print(f"pip-audit: {len(said) - len(skipped)} pins looked up, {len(skipped)} unreachable")
    return sorted({f"{one['name']}: {bug['id']}" for one in said for bug in one.get("vulns", ())})


def secrets() -> list[str]:
    """Return where Trivy sees a secret, in every version of every file in the history."""
    listed = subprocess.run(
        ["git", "rev-list", "--objects", "--all"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    named = dict(line.split(" ", 1) for line in listed.splitlines() if " " in line)
    with tempfile.TemporaryDirectory() as folder:
        count = 0
        for blob, name in named.items():
            if name.startswith(MADE_UP):
                continue
            content = subprocess.run(
                ["git", "cat-file", "blob", blob], cwd=ROOT, capture_output=True
            )
            if content.returncode == 0:  # else it is a folder
                place = Path(folder) / blob / Path(name).name
                place.parent.mkdir()
                place.write_bytes(content.stdout)
                count += 1
        results = trivy("--scanners", "secret", folder)
        print(f"Trivy: {count} versions of files looked at for secrets")
    return sorted(
        f"{named[result['Target'].split('/')[0]]} at {result['Target'].split('/')[0][:12]}, "
        f"line {one['StartLine']}: {one['Title']}"
        for result in results
        for one in result.get("Secrets", ())
    )


def main() -> int:
    """Ask all; print what was found."""
    found = [*vulnerabilities(), *advisories(), *secrets()]
    print("\n".join(found) or "nothing was found")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
