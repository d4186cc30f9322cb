"""Small Dockerfiles after public bug reports, each with the answers that are right.

What stands beside the results is not asked: each case is about what it is called.
"""

import shutil

import pytest
from checking import TODAY, result

from shiplight.checks import checklist, print_checklist
from shiplight.setup import ROOT

CASES = ROOT / "tests" / "fixtures" / "cases"
PASSED, FAILED, NONE, UNSEEN = "passed", "failed", "does not apply", "could not be seen"

# Where the report is, and (check, result, words of its evidence or places).
EXPECTED = {
    "targetarch-stage": ("moby#32487", [("pinned-bases", PASSED, "alpine:3.22"), ("user", PASSED, "10001")]),
    "crlf-heredoc": ("moby/buildkit#3511", [("user", FAILED, "root"), ("secrets", PASSED, "")]),
    "heredoc-forms": ("hadolint#1137", [("reclaimable", FAILED, "apt's"), ("separate-stages", NONE, "nothing being compiled")]),
    "from-typo": ("docker/cli#1559", [("pinned-bases", FAILED, "did you mean builder"), ("supported-bases", PASSED, "")]),
    "secret-mount": ("docker-py#2174", [("secrets", PASSED, "")]),
    "directives": ("acr-builder#249", [("user", PASSED, "10001"), ("production-last", PASSED, "")]),
    "arg-forms": ("kaniko#395", [("pinned-bases", PASSED, "alpine:3.22"), ("production-last", PASSED, "stage_b")]),
    "latin1-comment": ("gluster-containers#33", [("user", PASSED, "10001")]),
    "buildplatform": ("buildah#4061", [("separate-stages", PASSED, "build"), ("pinned-bases", PASSED, "alpine:3.22")]),
    "chmod-after-copy": ("docker/for-linux#964", [("reclaimable", FAILED, "chmod copies what line 7 added")]),
    "move-after-copy": ("actions/runner#4480", [("reclaimable", FAILED, "/tmp/service.jar, moved")]),
    "ssh-key-arg": ("vsupalov.com", [("secrets", FAILED, "ARG SSH_KEY, ARG ssh_prv_key and what is written to /root/.ssh/id_rsa")]),
    "feed-accesstoken": ("dotnet-docker#1701", [("secrets", FAILED, "ARG FEED_ACCESSTOKEN and ENV VSS_NUGET_EXTERNAL_FEED_ENDPOINTS")]),
    "old-toolchains": ("kaniko#1533", [("supported-bases", FAILED, "golang 1.13, python 3.4 and alpine 3.4")]),
    "exclude-flag": ("language-docker#96", [("only-needed", PASSED, ""), ("dockerignore", PASSED, "")]),
    "wheels-newer-glibc": ("jobseek#2791", [("one-suite", FAILED, "glibc 2.41")]),
    "digest-only": ("dependabot-core#7387", [("smallest-base", UNSEEN, ""), ("only-needed", PASSED, "")]),
    "bash-lc": ("docker/cli#3198", [("signals", UNSEEN, "a shell starts it")]),
    "windows-user": ("skopeo#545", [("user", NONE, "Windows"), ("variables", NONE, "Windows")]),
    "ignore-all-but": ("dockerfile-roast#56", [("dockerignore", PASSED, ""), ("only-needed", PASSED, "")]),
    "virtual-later": ("z88dk#1779", [("reclaimable", FAILED, "deleted again in line 5")]),
    "mounted-stage": ("moby/buildkit#3536", [("smallest-base", FAILED, "static"), ("stripped", FAILED, ""), ("one-suite", PASSED, "static")]),
    "composer-image": ("docker-library/composer", [("pinned-bases", FAILED, "composer:latest"), ("dev-dependencies", PASSED, "")]),
    "context-root": ("CI checkouts as /app", [("dockerignore", UNSEEN, "not available"), ("only-needed", UNSEEN, "not available")]),
    "elixir-downgrade": ("mdex#187", [("one-suite", FAILED, "glibc 2.41")]),
    "copy-numbers": ("charliecloud#1396", [("separate-stages", PASSED, "stage-0 and stage-1")]),
    "entrypoint-base-cmd": ("usertour#450", [("signals", PASSED, "exec form")]),
    "harmless-names": ("moby/buildkit#5504", [("secrets", PASSED, "")]),
    "jenkins-psw": ("moby/buildkit#6064", [("secrets", FAILED, "ARG NEXUS_PSW")]),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_a_publicly_reported_case_has_its_right_answers(tmp_path, name, capsys):
    folder = shutil.copytree(CASES / name, tmp_path / "case")
    if name == "exclude-flag":  # a repository cannot hold another one's folder
        (folder / ".git").mkdir()
        (folder / ".git" / "HEAD").write_text("ref")
    found = checklist.run(checklist.read_subject(folder, today=TODAY))
    for check, expected, words in EXPECTED[name][1]:
        outcome = result(found, check).outcome
        assert outcome.result == expected, outcome
        assert words in " ".join([outcome.evidence, *(place.found for place in outcome.places)])
    print_checklist(found)
    assert capsys.readouterr().out


def test_every_case_is_tried():
    assert {path.name for path in CASES.iterdir()} == set(EXPECTED)
