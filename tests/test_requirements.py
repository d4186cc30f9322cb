"""What is installed: every version and hash is locked, and the locks are of what people edit."""

import re
from importlib import metadata

import audit
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from shiplight.setup import ROOT

LOCKS = {"requirements.txt": "requirements.in", "requirements-dev.txt": "requirements-dev.in"}
every_lock = pytest.mark.parametrize("lock", LOCKS)


def locked(name: str) -> list[tuple[Requirement, frozenset[str]]]:
    """What a lock pins, and the hashes of each."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split("--hash=") for line in text.splitlines() if not line.startswith("#")]
    return [(Requirement(line[0]), frozenset(map(str.strip, line[1:]))) for line in lines if line]


def asked(name: str) -> list[Requirement]:
    """What a file for people asks for, and the file that it names."""
    found = []
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            found += asked(line.removeprefix("-r "))
        elif line:
            found.append(Requirement(line))
    return found


def applies(requirement: Requirement, extras=("",)) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


def needed(requirements: list[Requirement]) -> set[str]:
    """The names of all that is needed here, by what the installed packages say of themselves."""
    seen, left = set(), list(requirements)
    while left:
        one = left.pop()
        extras = ("", *sorted(one.extras))
        for extra in extras:
            if (key := (canonicalize_name(one.name), extra)) not in seen:
                seen.add(key)
                more = map(Requirement, metadata.requires(one.name) or ())
                left += [want for want in more if applies(want, (extra,))]
    return {name for name, _ in seen}


@every_lock
def test_every_package_is_pinned_by_hash_and_no_registry_is_named(lock):
    pinned = locked(lock)
    assert len(pinned) > 50
    for requirement, hashes in pinned:
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert hashes and all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes)
        assert requirement.url is None
    assert "://" not in (ROOT / lock).read_text(encoding="utf-8")


@every_lock
def test_a_lock_has_what_people_ask_for(lock):
    pins = {}
    for requirement, _ in locked(lock):
        pins.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    for wanted in asked(LOCKS[lock]):
        pin = pins[canonicalize_name(wanted.name)]
        assert all(wanted.specifier.contains(str(one.specifier)[2:]) for one in pin), wanted


@every_lock
def test_a_lock_has_all_that_is_needed_here_and_nothing_else(lock):
    here = {canonicalize_name(one.name) for one, _ in locked(lock) if applies(one)}
    assert here == needed(asked(LOCKS[lock]))


def test_tests_run_with_the_versions_that_learners_get():
    learners, tests = (
        {(one.name, str(one.specifier), hashes) for one, hashes in locked(name)} for name in LOCKS
    )
    assert learners <= tests


def test_the_audit_reads_every_lock():
    written = re.findall(r"--output-file (\S+)", (ROOT / ".ci/lock").read_text(encoding="utf-8"))
    assert sorted(audit.LOCKS) == sorted([*written, "requirements-scan.txt"])


@pytest.mark.parametrize("lock", audit.LOCKS)
def test_security_says_what_every_lock_is_for(lock):
    assert f"`{lock}`" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
