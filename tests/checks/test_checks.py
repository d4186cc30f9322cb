"""Each check on right Dockerfiles and on named wrong ones."""

from dataclasses import replace
from pathlib import Path

import checking
import pytest
from check_cases import CASES, FAILED, NONE, PASSED, UNSEEN
from checking import check, failed, result
from factories import Image, directory, file, hard_link, legacy, symlink, whiteout

from shiplight.checks import checklist
from shiplight.checks.questions.image import tools_in
from shiplight.checks.questions.weighing import weigh
from shiplight.checks.reading import secretfiles
from shiplight.checks.reading.folder import find_context
from shiplight.checks.reading.layers import instructions_of_layers
from shiplight.checks.reading.masking import mask
from shiplight.checks.reading.subject import Built
from shiplight.errors import UsageError
from shiplight.image import Program, read_image

GO_CROSS = "FROM --platform=$BUILDPLATFORM golang:1.26 AS build\nRUN go build -o /server .\n"


@pytest.mark.parametrize(
    ("name", "text", "files", "expected", "words"),
    [(name, text, files, expected, words) for name, _, text, files, expected, words in CASES],
    ids=[f"{name}: {shows}" for name, shows, *_ in CASES],
)
def test_a_check_tells_right_from_wrong(tmp_path, name, text, files, expected, words):
    outcome = result(check(tmp_path, text, files), name).outcome
    assert outcome.result == expected, outcome
    assert words in outcome.evidence
    if expected == FAILED:
        assert outcome.advice and outcome.places and all(place.line for place in outcome.places)


@pytest.mark.parametrize("one", checklist.CHECKS, ids=lambda one: one.id)
def test_every_check_is_tried_on_a_right_and_on_two_wrong_dockerfiles(one):
    results = [expected for name, _, _, _, expected, _ in CASES if name == one.id]
    if one.id == "buildkit":  # only a build has what it asks for: test_linting.py
        return
    assert {PASSED, NONE} & set(results)
    assert one.id == "scanned" or results.count(FAILED) >= 2, "it can fail, and does"


def test_no_evidence_repeats_a_secret(tmp_path):
    lines = [
        "ENV DB_PASSWORD=hunter2secret A=1",
        "ENV API_KEY hunter2secret",
        "ARG TOKEN='hunter2secret'",
        "RUN PASSWORD=hunter2secret npm ci && git clone https://me:hunter2secret@host/x",
        "RUN curl -u me:hunter2secret https://x && mysql --password=hunter2secret",
        "CMD mysql --password hunter2secret -H 'Authorization: Bearer hunter2secret'",
        'ENV A_TOKEN=a\\ hunter2secret B_TOKEN="a\\"hunter2secret b" C_TOKEN=a\'b hunter2secret\'c',
        "RUN env \"TOKEN=a hunter2secret\" x && A='x TOKEN=hunter2secret' y",
        'ENV JAVA_OPTS="-Xmx1g -Dpassword=hunter2secret"',
        'RUN echo \'{"token": "hunter2secret"}\' "{\\"token\\": \\"a hunter2secret\\"}" > x',
        'RUN x --password "a hunter2secret" && curl --user "me:a hunter2secret" https://x',
        "RUN docker login -u me -p hunter2secret host; sshpass -p 'a hunter2secret' x",
        'CMD ["mysql", "--password", "hunter2secret", "--user=me:hunter2secret"]',
        'RUN sh -c "NPM_TOKEN=hunter2secret npm ci --registry https://npm.example.com"',
        """RUN curl -d '{"token":"hunter2secret","to":"me@example.com"}' --insecure https://x""",
        "RUN curl -u admin:2hunter2secret x; mysql -u root -phunter2secret -P 3306 -h db",
        "RUN sshpass -p hunter2secret ssh -p 22 h; app -DEPLOY_KEY=hunter2secret",
        'CMD ["docker","login","-u","me","-p","hunter2secret"]',
        "RUN x && " + " " * 940 + "git clone https://me:hunter2secret@host/x",
        "ADD https://me:hunter2secret@host/.env /app/.env",
        "ENV DB_PASSWORD=${WORD:-hunter2secret} MYSQL_PWD=hunter2secret",
        "RUN PGPASSWORD='a hunter2secret' psql -c \"select 1\"",
    ]
    found = check(tmp_path, "FROM alpine\n" + "\n".join(lines))
    assert result(found, "secrets").outcome.result == FAILED
    assert "hunter2secret" not in str(found.to_list())
    plain = "RUN mkdir -p /a && docker run -u 1000:1000 x --token=$TOKEN && useradd --user-group a"
    other = "RUN adduser --disabled-password --gecos '' app && x --no-password y --secret-file z"
    assert all("hunter2secret" not in mask(line) for line in lines)
    json = 'CMD ["gunicorn","--user","app","main:app"]'
    more = "RUN pip install --user git+https://x/y && bash --login -c 'mkdir -p /x'; mysql -p < a"
    assert all(mask(text) == text for text in (plain, other, json, more))


def test_images_of_windows_are_not_judged(tmp_path):
    found = check(tmp_path, "FROM mcr.microsoft.com/windows/servercore:ltsc2025\nCMD app.exe")
    assert {each.outcome.result for each in found.results} == {NONE}


DEVELOPERS = """FROM debian:trixie-slim AS base
FROM base AS app-dev
RUN apt-get update && apt-get install -y vim gcc sudo && gcc -o /a a.c
RUN echo 'app ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/app
USER app
"""
WANTED = {"only-needed", "production-last", "separate-stages", "user"}


def test_a_dev_container_is_judged_by_what_it_is_for(tmp_path):
    (tmp_path / ".devcontainer").mkdir()
    assert not WANTED - failed(check(tmp_path, DEVELOPERS))
    found = check(tmp_path / ".devcontainer", DEVELOPERS)
    assert not WANTED & failed(found) and {"recommends", "cache-mounts"} <= failed(found)
    assert "right in a dev container" in result(found, "production-last").outcome.evidence
    root = check(tmp_path / ".devcontainer", "FROM debian:trixie-slim")
    assert "user" in failed(root)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('{"build": {"dockerfile": "Dockerfile"}, // who\n "remoteUser": "vscode", }', PASSED),
        ('{"dockerComposeFile": "a.yml", "remoteUser": "1000" /* a number */}', PASSED),
        ('{"build": {"dockerfile": "./Dockerfile"}, "remoteUser": "root"}', FAILED),
        ('{"build": {"dockerfile": "Dockerfile"}, "remoteUser": "${localEnv:USER}"}', FAILED),
        ('{"build": {"dockerfile": "Dockerfile"}, // "remoteUser": "vscode"\n}', FAILED),
        ('{"build": {"dockerfile": "../Dockerfile"}, "remoteUser": "vscode"}', FAILED),
        ('{"image": "debian", "remoteUser": "vscode"}', FAILED),
        ('{"build": ', FAILED),
        ("[" * 19_000, FAILED),
    ],
)
def test_a_dev_container_may_start_as_root_for_another_user(tmp_path, settings, expected):
    (tmp_path / ".devcontainer").mkdir()
    files, text = {"devcontainer.json": settings}, "FROM debian:trixie-slim\nUSER root"
    found = check(tmp_path / ".devcontainer", text, files)
    assert result(found, "user").outcome.result == expected
    assert "user" in failed(check(tmp_path, text, files)), "not in the folder of a dev container"


def test_a_base_for_dev_containers_does_not_say_that_nothing_ships(tmp_path):
    text = DEVELOPERS.replace("debian:trixie-slim", "mcr.microsoft.com/devcontainers/base:1-trixie")
    found = check(tmp_path, text)
    for name in (*WANTED, "smallest-base"):
        outcome = result(found, name).outcome
        assert outcome.result == UNSEEN and "if this is a dev container" in outcome.evidence


def test_what_is_said_of_support_depends_on_the_day(tmp_path):
    path = checking.write(tmp_path, "FROM node:22-alpine3.22")
    for day, expected in (("2026-11-25", PASSED), ("2027-05-02", FAILED)):
        subject = checklist.read_subject(path, today=checking.TODAY.fromisoformat(day))
        assert result(checklist.run(subject), "supported-bases").outcome.result == expected


def test_what_nuget_restored_by_a_layer_is_not_downloaded_again(tmp_path):
    text = "FROM mcr.microsoft.com/dotnet/sdk:10.0 AS b\nRUN dotnet restore\n"
    text += "FROM b\nRUN dotnet build"
    places = result(check(tmp_path, text), "cache-mounts").outcome.places
    assert [place.line for place in places] == [2]


def test_places_of_sources_are_in_the_order_of_the_file(tmp_path):
    copies = "".join(f"COPY {n}.go /src/\n" for n in range(30))
    text = f"FROM golang:1.26\n{copies}RUN go build -o /x /src\n"
    places = result(check(tmp_path, text), "only-needed").outcome.places
    assert [place.line for place in places] == list(range(1, 32))


def test_another_target_is_judged_by_itself(tmp_path):
    text = "FROM alpine:3.22 AS a\nUSER 5\nFROM alpine:3.22 AS b\nUSER root"
    assert "user" in failed(check(tmp_path, text))
    found = check(tmp_path, text, target="A")
    assert "user" not in failed(found)
    assert result(found, "production-last").outcome.result == NONE


def test_a_build_argument_decides(tmp_path):
    text = 'ARG BASE\nFROM ${BASE}\nUSER ${WHO}\nCMD ["a"]'
    assert result(check(tmp_path, text), "user").outcome.result == UNSEEN
    found = check(tmp_path, "ARG BASE\nFROM ${BASE}", build_args={"BASE": "alpine"})
    assert {"user", "pinned-bases"} <= failed(found)


def test_an_onbuild_of_a_stage_counts_where_it_runs(tmp_path):
    text = 'FROM alpine:3.22 AS a\nONBUILD USER 7\nFROM a\nCMD ["x"]'
    assert result(check(tmp_path, text), "user").outcome.result == PASSED
    assert result(check(tmp_path, text, target="a"), "user").outcome.result == FAILED


def test_a_dockerfile_in_a_folder_of_its_own_finds_its_context_above(tmp_path):
    (tmp_path / "docker").mkdir()
    (tmp_path / "app.py").write_text("")
    (tmp_path / ".dockerignore").write_text(".git")
    path = checking.write(tmp_path / "docker", "FROM alpine:3.22\nCOPY app.py /\nCOPY . /all")
    subject = checklist.read_subject(path)
    assert subject.context.resolve() == tmp_path.resolve()
    assert result(checklist.run(subject), "dockerignore").outcome.result == PASSED


def test_a_context_is_not_the_root_of_the_disk_though_it_has_such_names(tmp_path):
    path = checking.write(tmp_path, "FROM alpine:3.22\nCOPY bin bin\nCOPY lib lib\nCOPY . .")
    assert find_context(path, checklist.read_subject(path).all_steps) is None
    root = Path(tmp_path.anchor) / "Dockerfile"
    assert (
        find_context(root.parent / "a" / root.name, checklist.read_subject(path).all_steps) is None
    )


def test_a_folder_above_has_to_hold_most_of_what_is_copied(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "src").mkdir()
    text = "FROM alpine:3.22\nCOPY src go.mod go.sum /x/"
    path = checking.write(tmp_path / "app", text)
    assert checklist.read_subject(path).context is None
    (tmp_path / "go.mod").write_text("")
    assert checklist.read_subject(path).context.resolve() == tmp_path.resolve()


def test_a_context_that_is_named_is_taken(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / ".dockerignore").write_text(".git")
    path = checking.write(tmp_path / "web", "FROM alpine:3.22\nCOPY . .", {"a": ""})
    assert result(checklist.run(checklist.read_subject(path)), "dockerignore").counts
    found = checklist.run(checklist.read_subject(path, context=tmp_path))
    assert result(found, "dockerignore").outcome.result == PASSED
    with pytest.raises(UsageError, match="not a folder"):
        checklist.read_subject(path, context=tmp_path / "nowhere")


# --- comments that accept -----------------------------------------------------------------------

ROOT = "FROM alpine:3.22\n{}RUN apk update && apk add git\n{}USER root\n"


def test_a_comment_at_the_top_accepts_for_the_whole_file(tmp_path):
    found = check(
        tmp_path, "# shiplight: accept user because it needs port 80\n" + ROOT.format("", "")
    )
    assert result(found, "user").accepted == "it needs port 80" and not found.remarks
    assert failed(found) == {"apk-cache"}


def test_a_comment_above_an_instruction_accepts_it_there(tmp_path):
    text = ROOT.format("", "# shiplight: accept user because it needs port 80\n")
    assert "user" not in failed(check(tmp_path, text))
    misplaced = ROOT.format("# shiplight: accept user because it needs port 80\n", "")
    found = check(tmp_path, misplaced)
    assert "user" in failed(found) and "did not fail" in found.remarks[0]


def test_a_comment_within_an_instruction_accepts_it(tmp_path):
    comment = "# shiplight: accept apk-cache, pipes because it is small"
    text = f"FROM alpine:3.22\nUSER 5\nRUN apk update && \\\n  {comment}\n  a | b\n"
    assert failed(check(tmp_path, text)) == set()


def test_one_place_may_be_accepted_and_another_not(tmp_path):
    text = (
        "FROM alpine:3.22\nUSER 5\n# shiplight: accept apk-cache because it is small\n"
        "RUN apk update\nRUN apk update && apk add git\n"
    )
    found = result(check(tmp_path, text), "apk-cache")
    assert found.counts and [bool(p.accepted) for p in found.outcome.places] == [True, False]


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("# shiplight: accept usr because I say so", "no check usr; did you mean user?"),
        ("# shiplight: accept user", "because REASON"),
        ("# shiplight: ignore user", "because REASON"),
        ("# shiplight: accept user, nonsense because I say so", "no check nonsense"),
    ],
)
def test_a_comment_that_does_not_work_is_told(tmp_path, comment, said):
    assert any(said in remark for remark in check(tmp_path, f"{comment}\nFROM alpine:3.22").remarks)


def test_a_here_document_is_no_comment(tmp_path):
    text = "FROM alpine:3.22\nCOPY <<EOF /a\n# shiplight: accept user because no\nEOF\nUSER root\n"
    found = check(tmp_path, text)
    assert "user" in failed(found) and not found.remarks


def test_no_default_is_advised_for_a_platform(tmp_path):
    found = result(check(tmp_path, "FROM alpine:3.22\nCOPY app-$TARGETARCH /\n"), "variables")
    assert "ARG TARGETARCH" in found.outcome.advice and ":-" not in found.outcome.advice


@pytest.mark.parametrize(
    ("base", "shell"),
    [
        ("alpine:3.22", "/bin/ash"),
        ("node:22-alpine", "/bin/ash"),
        ("busybox:1.37", "/bin/ash"),
        ("debian:trixie-slim", "/bin/bash"),
        ("registry.example.com/base:1", "/bin/bash"),
    ],
)
def test_a_pipe_is_advised_a_shell_that_its_base_has(tmp_path, base, shell):
    found = check(tmp_path, f"FROM {base}\nRUN curl https://h.example | sh")
    assert shell in result(found, "pipes").outcome.advice


def test_a_result_says_where(tmp_path):
    found = check(tmp_path, "FROM alpine:3.22\nRUN apk update && \\\n    apk add git\n")
    place = result(found, "apk-cache").outcome.places[0]
    assert (place.line, place.end_line) == (2, 3) and place.instruction.startswith("RUN apk update")
    assert replace(place, found="").to_dict("Dockerfile")["file"] == "Dockerfile"


LABELS = {"created_by": '/bin/sh -c #(nop) LABEL "shiplight.lab"="x"', "empty_layer": True}
PODMAN = [
    {"created_by": "/bin/sh -c #(nop) ARG WHO", "empty_layer": True},
    {"created_by": "|1 WHO=1 /bin/sh -c head -c 2000000 /dev/urandom > /big"},
    {"created_by": "/bin/sh -c #(nop) COPY file:df0c in /d "},
    {"created_by": "|1 WHO=1 /bin/sh -c rm /big"},
]


@pytest.mark.parametrize(
    ("history", "lines"),
    [
        (PODMAN, {1: 3, 2: 4, 3: 5}),
        ([*PODMAN, LABELS], {1: 3, 2: 4, 3: 5}),
        ([*PODMAN, LABELS, LABELS], {}),
        ([*PODMAN[:2], PODMAN[3], PODMAN[2], LABELS], {}),
    ],
    ids=["as it is written", "labels of the build", "more than those", "another order"],
)
def test_a_layer_is_led_back_to_its_line_unless_the_history_is_another(tmp_path, history, lines):
    text = "FROM busybox\nARG WHO\nRUN head -c 2000000 /dev/zero > /big\nCOPY f /d\nRUN rm /big\n"
    base = {"created_by": "COPY /rootfs/ / # buildkit"}
    layers = [[file("bin")], [file("big", 2_000_000)], [file("d")], [whiteout("big")]]
    image = read_image([legacy(Image(layers, history=[base, *history]))])
    subject = check(tmp_path, text, {"f": ""}).subject
    subject = replace(subject, built=Built(image))
    assert {n: step.line for n, step in instructions_of_layers(subject).items()} == lines
    assert [row.place.line for row in weigh(subject).rows] == ([3] if lines else [None])


def test_a_tool_is_its_own_folder_and_not_a_name_for_it_or_all_that_stands_beside_it(tmp_path):
    layer = [
        *(file("usr/bin/ls", 10), symlink("usr/bin/javac", "../lib/jvm/java-17/bin/javac")),
        *(file("usr/lib/jvm/java-17/bin/javac", 3), file("usr/lib/jvm/java-17/lib/modules", 700)),
        *(file("usr/local/cargo/bin/rustup", 20), file("usr/local/cargo/bin/cargo", 1)),
        hard_link("usr/local/cargo/bin/rustc", "usr/local/cargo/bin/rustup"),
        *(file("opt/conda/bin/python3", 70), file("opt/conda/bin/rustc", 7)),
        file("usr/local/rustup/toolchains/1.82/bin/rustc", 5),
        file("usr/local/rustup/toolchains/1.82/lib/librustc_driver.so", 900),
        *(file("usr/bin/rustc", 4), file("root/go/pkg/mod/cache/download/x/y/@v/v1.zip", 6)),
        directory("root/go/pkg/mod/cache/download/x"),
    ]
    subject = check(tmp_path, "FROM busybox\nCOPY f /d\n", {"f": ""}).subject
    subject = replace(subject, built=Built(read_image([legacy(Image([layer]))])))
    assert {place.path: (place.found, place.bytes) for place in tools_in(subject)} == {
        "/usr/bin/rustc": ("the Rust toolchain", 4),
        "/opt/conda/bin/rustc": ("the Rust toolchain", 7),
        "/usr/local/cargo/bin/rustc": ("the Rust toolchain", 21),
        "/usr/local/rustup/toolchains/1.82/bin/rustc": ("the Rust toolchain", 905),
        "/usr/lib/jvm/java-17/bin/javac": ("a JDK", 703),
        "/root/go/pkg/mod/cache/download/x": ("the Go module cache", 6),
    }


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("root/.cache/go-build/0a/x", "Go's caches"),
        ("home/app/.m2/repository/a/b.jar", "Maven's repository"),
        ("usr/local/share/.cache/yarn/v6/x", "yarn's cache"),
        ("opt/conda/pkgs/numpy.conda", "conda's packages"),
        ("usr/local/bundle/cache/rails.gem", "Bundler's cache"),
        ("app/web/.next/cache/x", "Next.js's cache"),
        ("var/cache/apt/archives/git.deb", "apt's packages"),
        ("home/node/.npm/_cacache/x", "npm's cache"),
        ("usr/local/bundle/gems/rails/x", None),
        ("app/go/pkg/mod/x", None),
    ],
)
def test_a_cache_that_is_left_in_the_image_is_known_by_its_path(tmp_path, path, what):
    found = read_image([legacy(Image([[file(path, 1_200_000)]]))])
    subject = check(tmp_path, "FROM scratch\nCOPY a /").subject
    rows = weigh(replace(subject, built=Built(found))).rows
    assert [row.place.found for row in rows] == ([what] if what else [])


@pytest.mark.parametrize(
    ("platform", "architecture", "fails"),
    [
        ("linux/arm64", "amd64", True),
        ("linux/amd64", "arm64", True),
        ("linux/arm/v7", "amd64", True),
        ("linux/amd64", "386", False),
        ("linux/arm64/v8", "arm64", False),
        ("linux/arm/v7", "arm", False),
        ("linux/riscv64", "", False),
    ],
)
def test_a_program_for_another_processor_than_its_image_does_not_run(
    tmp_path, platform, architecture, fails
):
    text = GO_CROSS + 'FROM scratch\nCOPY --from=build /server /\nENTRYPOINT ["/server"]\n'
    subject = check(tmp_path, text).subject
    image = read_image([legacy(Image([[file("server", 900)]], platform=platform))])
    built = Built(image, Program("server", "", (), 0, 0, architecture))
    outcome = result(checklist.run(replace(subject, built=built)), "one-suite").outcome
    assert outcome.result == (FAILED if fails else PASSED)
    if fails:
        assert outcome.evidence == (
            f"/server is compiled for {architecture}, but the image is for {platform}"
        )
        assert "TARGETARCH" in outcome.advice


SECRET = "API_TOKEN=q7Zk21Lp9dYw3Xb0\n"


def of_secrets(folder, files):
    found = check(folder, "FROM alpine:3.22\nCOPY . /app\n", files | {".dockerignore": ".git\n"})
    return [result(found, name).outcome for name in ("secrets", "dockerignore")]


def test_the_last_of_many_files_with_a_likely_name_is_read_too(tmp_path):
    files = {f"d{number:03}/.env": "A=1\n" for number in range(300)}
    files["d300/secrets.env"] = SECRET
    secrets, dockerignore = of_secrets(tmp_path, files)
    assert "d300/secrets.env" in secrets.evidence and secrets.result == "failed"
    assert "d300/secrets.env" in dockerignore.advice


def test_the_beginning_of_a_large_file_is_read_and_the_rest_is_said_to_be_unread(tmp_path):
    rest = "# more\n" * 200_000
    early, late = (of_secrets(tmp_path, {"secrets.env": t}) for t in (SECRET + rest, rest + SECRET))
    assert [each.result for each in early] == ["failed", "failed"]
    assert [each.result for each in late] == ["could not be seen", "could not be seen"]
    assert all("secrets.env" in each.evidence for each in late)
    assert [place.line for each in late for place in each.places] == [2, 2]


def test_files_beyond_what_is_read_of_a_context_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(secretfiles, "MOST_BYTES", 40_000)
    files = {f"{letter}/secrets.env": "# more\n" * 1_400 for letter in "abcdef"}
    secrets, dockerignore = of_secrets(tmp_path, files | {"g/secrets.env": SECRET})
    assert "g/secrets.env" in secrets.evidence and secrets.result == "failed", "a small one is read"
    (tmp_path / "g/secrets.env").unlink()
    secrets, dockerignore = of_secrets(tmp_path, {})
    for outcome in (secrets, dockerignore):
        assert outcome.result == "could not be seen"
        assert "e/secrets.env and f/secrets.env" in outcome.evidence


# Taken apart, so that no scanner of repositories finds one here.
TOKENS = {"AKIA": "Q7ZK21LP9DYW3XB0", "ghp_": "q7Zk21Lp9dYw3Xb0" * 3, "sk-": "6678b3438d024f27" * 2}


@pytest.mark.parametrize(("begin", "rest"), TOKENS.items())
def test_a_token_in_sources_is_found_where_they_ship(tmp_path, begin, rest):
    files = {"src/settings.py": f'key = "{begin}{rest}"\n'}
    secrets, dockerignore = of_secrets(tmp_path, files)
    assert secrets.result == "failed" and "a token in src/settings.py" in secrets.evidence
    assert rest not in repr(secrets)
    assert dockerignore.result == "passed", "sources are meant to be sent"
    two = "FROM alpine:3.22 AS build\nCOPY . /app\nFROM alpine:3.22\nCOPY --from=build /app/x /x\n"
    assert result(check(tmp_path, two, {}), "secrets").outcome.result == "passed"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "src/settings.py",
            'key = os.environ["AKIA_TOKEN"]\nrisk-taking-is-what-somebody-does\n',
        ),
        ("src/settings.py", f"# such as {'AKIA'}IOSFODNN7EXAMPLE\n"),
        ("tests/settings.py", f'key = "{"AKIA"}{TOKENS["AKIA"]}"\n'),
        ("web/map.js", f'key = "{"AIza"}{"q7Zk21Lp9dYw3Xb0"}{"q7Zk21Lp9dYw3Xb0abc"}"\n'),
        ("package-lock.json", f'{{"integrity": "{"sk-"}{TOKENS["sk-"]}"}}\n'),
    ],
    ids=["names", "an example", "of tests", "a map's, which is public", "a lock file"],
)
def test_what_is_no_token_of_a_service_stays_unsaid(tmp_path, name, text):
    assert of_secrets(tmp_path, {name: text})[0].result == "passed"


def test_of_large_sources_not_even_the_beginning_is_read(tmp_path, monkeypatch):
    """A context may hold gigabytes of JSON."""
    read, begin = [], secretfiles.start_of
    monkeypatch.setattr(
        secretfiles, "start_of", lambda subject, name: read.append(name) or begin(subject, name)
    )
    token = "ghp_" + TOKENS["ghp_"]
    files = {"large.json": token + " " * 300_000, "small.json": "{}", "empty.json": ""}
    assert of_secrets(tmp_path, files)[0].result == "passed"
    assert read == ["small.json"]


def test_a_file_of_secrets_that_stays_out_of_the_image_need_not_be_read(tmp_path):
    files = {"secrets.env": "# more\n" * 200_000, ".dockerignore": ".git\nsecrets.env\n"}
    found = check(tmp_path, "FROM alpine:3.22\nCOPY . /app\n", files)
    assert result(found, "secrets").outcome.result == "passed"
