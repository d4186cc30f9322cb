"""Building, with an engine made of recorded answers: what is sent, and what is said of failures."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from replay import ANSWERS, connected, recorded

from shiplight import builds, catalogue, dockerfile
from shiplight.builds import assembling, building, solving
from shiplight.dockerfile import stages
from shiplight.errors import (
    BaseNotAvailable,
    BuildFailed,
    ContextError,
    DockerfileError,
    EngineFailed,
    UsageError,
)

IMAGE = {"Id": "sha256:1", "RootFS": {"Layers": []}, "Config": {}}
HERE = (r"/images/.*/json", IMAGE)
NATIVE = (r"/images/(?!shiplight/base/).*/json", IMAGE)
HERE_FOR_ARM64 = (r"/images/shiplight/base/arm64/.*/json", IMAGE)


@pytest.fixture
def replayed(tmp_path, monkeypatch):
    """Start an engine of recorded answers and connect to it, on a machine without a CA bundle."""
    for variable in assembling.CA_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    with connected(tmp_path, monkeypatch) as start:
        yield start


def folder_with(tmp_path: Path, text: str, **files) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "Dockerfile").write_text(text)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def sent_text(body: bytes, name: str) -> str:
    """The text of one file of a context as it was sent."""
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return tar.extractfile(name).read().decode()


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_build_gives_its_steps_with_their_lines(replayed, answer):
    client, _ = replayed((r"/build", recorded(answer)), HERE)
    build = builds.build(client, "go/multi")
    lines = builds.recipe("go/multi").splitlines()
    for step in build.numbered_steps:
        keyword = step.instruction.split()[0]
        assert lines[step.line - 1].startswith(keyword), step
    assert build.cached_steps == sum(step.cached for step in build.numbered_steps) > 0
    assert build.tag.endswith("/go:multi")


def test_buildkit_is_asked_for_with_label_name_space_and_a_tar_that_it_recognises(replayed):
    client, seen = replayed((r"/build", recorded("answer-20.10-multi")), HERE)
    builds.build(client, "go/multi", build_args={"A": "b"}, target="builder")
    [(_, path, body)] = [item for item in seen if item[1].startswith("/build")]
    assert "version=2" in path and "shiplight.lab" in path and "BUILDKIT_CACHE_MOUNT_NS" in path
    assert "target=builder" in path
    first = tarfile.TarInfo.frombuf(body[:512], "utf-8", "strict")
    assert first.name == "Dockerfile.multi" and first.isreg() and first.uid == 0
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        names = tar.getnames()
    assert "cmd/server/main.go" in names and "Dockerfile.single" not in names


def test_a_base_that_is_here_as_an_equivalent_is_mapped_in_what_is_sent(replayed, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "equivalent")
    client, seen = replayed((r"/build", recorded("answer-20.10-multi")), HERE)
    build = builds.build(client, "go/multi")
    body = next(body for _, path, body in seen if path.startswith("/build"))
    sent = sent_text(body, "Dockerfile.multi")
    assert "FROM shiplight/base/golang:1.23 AS builder" in sent
    assert len(sent.splitlines()) == len(builds.recipe("go/multi").splitlines())
    assert build.setting.bases == "equivalent"
    assert build.bases == {"golang:1.23": "shiplight/base/golang:1.23"}


CA = "certificates"
CA_DIGEST = f"sha256:{hashlib.sha256(CA.encode()).hexdigest()}"


def test_behind_a_proxy_only_stages_that_build_get_the_certificates(
    replayed, monkeypatch, tmp_path
):
    base = {"Id": "sha256:1", "RootFS": {"Layers": ["a"]}, "Config": {}}
    over = {"RootFS": {"Layers": ["a", "ca"]}, "Config": {"Labels": {"shiplight.ca": CA_DIGEST}}}
    with_ca = (r"/images/.*-with-ca/json", base | over)
    here = (r"/images/.*/json", base)
    client, seen = replayed((r"/build", recorded("answer-20.10-multi")), with_ca, here)
    (tmp_path / "ca.crt").write_text(CA)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("SHIPLIGHT_BASES", "equivalent")
    text = "FROM python:3.13-slim AS b\nRUN x\nFROM python:3.13-slim\nCOPY --from=b /x /\n"
    builds.build(client, str(folder_with(tmp_path, text)))
    [body] = [body for _, path, body in seen if path.startswith("/build")]
    froms = [line.split()[1] for line in sent_text(body, "Dockerfile").splitlines()[::2]]
    assert froms == ["shiplight/base/python:3.13-slim-with-ca", "shiplight/base/python:3.13-slim"]


@pytest.mark.parametrize("labels", [{"shiplight.ca": CA_DIGEST}, {}])
def test_a_ca_bundle_that_has_changed_is_taken_up(replayed, monkeypatch, tmp_path, labels):
    """An image of before has the digest of the old one, or of none."""
    over = {"RootFS": {"Layers": ["a", "ca"]}, "Config": {"Labels": labels}}
    base = {"Id": "sha256:1", "RootFS": {"Layers": ["a"]}, "Config": {}}
    with_ca = (r"/images/.*-with-ca/json", base | over)
    built = (r"/build", recorded("answer-20.10-multi"))
    client, seen = replayed(built, with_ca, (r"/images/.*/json", base))
    (tmp_path / "ca.crt").write_text("others")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("SHIPLIGHT_BASES", "equivalent")
    builds.build(client, str(folder_with(tmp_path, "FROM python:3.13-slim AS b\nRUN x\n")))
    first, _ = [(path, body) for _, path, body in seen if path.startswith("/build")]
    digest = hashlib.sha256(b"others").hexdigest()
    assert json.loads(parse_qs(first[0])["labels"][0])["shiplight.ca"] == f"sha256:{digest}"
    assert b"others" in first[1]


def test_a_failing_step_is_named_with_its_line_and_its_last_words(replayed):
    client, _ = replayed((r"/build", recorded("answer-20.10-failed")), HERE)
    text = builds.recipe("go/multi").replace("./cmd/server", "./cmd/missing")
    with pytest.raises(BuildFailed) as failed:
        builds.build(client, "go/multi", text=text)
    said = str(failed.value)
    assert "[builder 6/6] RUN CGO_ENABLED=0" in said and "exited with 1" in said
    assert f"(Dockerfile.multi, line {failed.value.line})" in said
    assert text.splitlines()[failed.value.line - 1].startswith("RUN CGO_ENABLED=0")
    assert "cmd/missing" in said and "Look:" in said


@pytest.mark.parametrize(
    "said",
    [
        "exec /says: exec format error",
        "standard_init_linux.go:228: exec user process caused: exec format error",
        "/bin/sh: 1: /says: Exec format error",
    ],
)
def test_a_program_for_another_processor_is_told_where_to_run(said):
    assert "--platform=$BUILDPLATFORM" in solving._look(f"{said}\nexit code: 1")


def test_a_copied_git_folder_that_is_taken_for_a_repository_gets_a_slash():
    said = "failed to solve: source can't be a git ref for COPY"  # Docker 26.1.5 of Debian 13
    assert "COPY path/name.git/" in solving._look(said)


@pytest.mark.parametrize("flag", ["link", "--link", "exclude", "--exclude"])
@pytest.mark.parametrize("says", ["Unknown", "unknown"])  # Docker 20.10, and later ones
def test_a_flag_that_is_newer_than_the_frontend_is_told_as_that(says, flag):
    said = f"failed to solve: dockerfile parse error line 13: {says} flag: {flag}"
    assert "frontend is too old" in solving._look(said)


@pytest.mark.parametrize("flag", ["frm", "--linked"])
def test_a_flag_that_no_frontend_knows_is_told_by_its_line(flag):
    said = f"failed to solve: dockerfile parse error line 13: unknown flag: {flag}"
    assert solving._look(said) == "the line that the engine names"


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (b"", EngineFailed, "ended before the build did"),
        (b'{"stream":"Step 1/2"}\n', EngineFailed, "ended before the build did"),
        ((200, b'{"stream":"x"}\n', False), EngineFailed, "stopped answering"),
        ((500, {"message": "write /x: no space left on device"}), EngineFailed, "./lab clean"),
        ((502, b"<html>Bad gateway</html>"), EngineFailed, "Bad gateway"),
        (b"<html>hello</html>\n", EngineFailed, "did not come from a Docker engine"),
        (b'{"errorDetail":{"message":"no space left on device"}}\n', BuildFailed, "disk is full"),
        (
            b'{"errorDetail":{"message":"parent snapshot x does not exist: not found"}}\n',
            BuildFailed,
            "build again",
        ),
        (
            b'{"id":"moby.buildkit.trace","aux":"////"}\n',
            EngineFailed,
            "did not come from a Docker engine",
        ),
    ],
)
def test_an_answer_that_is_cut_or_wrong_is_an_error_that_says_what_to_do(
    replayed, answer, error, says
):
    client, _ = replayed((r"/build", answer), HERE)
    with pytest.raises(error, match=says):
        builds.build(client, "go/multi")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("", DockerfileError, "no instructions"),
        ("RUN x\n", DockerfileError, "FROM"),
        ("FROM scratch\nBOGUS x\n", DockerfileError, "line 2"),
        (
            "FROM scratch AS a\nCOPY --from=late / /\nFROM a AS late\n",
            DockerfileError,
            "late",
        ),
    ],
)
def test_a_dockerfile_that_cannot_be_read_is_not_sent(replayed, tmp_path, text, error, says):
    client, seen = replayed(HERE)
    with pytest.raises(error, match=says):
        builds.build(client, str(folder_with(tmp_path, text)))
    assert not [path for _, path, _ in seen if path.startswith("/build")]


def test_an_unknown_target_is_answered_with_the_stages_that_there_are(replayed):
    client, _ = replayed(HERE)
    with pytest.raises(DockerfileError, match="builder"):
        builds.build(client, "go/multi", target="bilder")


def test_a_missing_dockerfile_names_those_that_are_there(replayed):
    client, _ = replayed(HERE)
    with pytest.raises(ContextError, match=r"Dockerfile\.multi"):
        builds.build(client, str(builds.order("go/multi").folder))


def test_a_base_that_nobody_has_says_what_was_tried(replayed, tmp_path):
    nobody = (r"/images/create", (404, {"message": "manifest for nobody/has unknown"}))
    client, _ = replayed(nobody)
    with pytest.raises(BaseNotAvailable, match="nobody/has") as failed:
        builds.build(client, str(folder_with(tmp_path, "FROM nobody/has:this\n")))
    assert "manifest for nobody/has unknown" in str(failed.value)


def test_a_syntax_line_is_sent_blank_where_its_image_cannot_be_had(replayed, tmp_path):
    text = "# syntax=docker/dockerfile:1\nFROM scratch\nCOPY Dockerfile /\n"
    down = (r"/distribution/", (500, {"message": "lookup registry: no such host"}))
    built = (r"/images/shiplight/", HERE[1])
    client, seen = replayed((r"/build", recorded("answer-20.10-multi")), down, built)
    with pytest.warns(UserWarning, match="line 1, .* is sent blank"):
        builds.build(client, str(folder_with(tmp_path, text)))
    body = next(body for _, path, body in seen if path.startswith("/build"))
    sent = sent_text(body, "Dockerfile")
    assert "syntax" not in sent and sent.splitlines()[1:] == text.splitlines()[1:]


def test_a_base_for_another_platform_is_buildkits_to_pull(replayed, tmp_path, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_MIRROR", "mirror.example")
    client, seen = replayed((r"/build", recorded("answer-20.10-multi")), HERE)
    text = "FROM --platform=linux/arm64 debian\nFROM --platform=$BUILDPLATFORM busybox\n"
    text += "COPY --from=0 / /\n"
    build = builds.build(client, str(folder_with(tmp_path, text)))
    assert not [path for _, path, _ in seen if "/images/create" in path]
    assert build.bases["debian"] == "mirror.example/library/debian:latest"
    assert not [path for _, path, _ in seen if "debian" in path and "/images/" in path]


@pytest.mark.parametrize(
    ("kind", "says"),
    [("equivalent", "=equivalent allows"), ("mirrored", "no mirror for docker.io")],
)
def test_a_base_for_another_platform_is_of_the_kind_that_is_asked_for(
    replayed, tmp_path, monkeypatch, kind, says
):
    monkeypatch.setenv("SHIPLIGHT_BASES", kind)
    monkeypatch.setenv("SHIPLIGHT_MIRROR", "gcr.io=mirror.example")
    client, seen = replayed((r"/build", recorded("answer-20.10-multi")), NATIVE)
    folder = folder_with(tmp_path, "FROM --platform=linux/arm64 debian:bookworm-slim\n")
    with pytest.raises(BaseNotAvailable) as refused:
        builds.build(client, str(folder))
    assert says in str(refused.value)
    assert not [path for _, path, _ in seen if path.startswith("/build")]


FOR_ARM64 = "shiplight/base/arm64/debian:bookworm-slim"


@pytest.mark.parametrize(
    ("platform", "used"),
    [("linux/arm64", FOR_ARM64), ("linux/arm64/v8", FOR_ARM64), ("linux/s390x", None)],
)
def test_an_equivalent_for_another_platform_is_used_for_that_one_only(
    replayed, tmp_path, monkeypatch, platform, used
):
    monkeypatch.setenv("SHIPLIGHT_BASES", "auto")
    client, _ = replayed((r"/build", recorded("answer-20.10-multi")), HERE_FOR_ARM64, NATIVE)
    folder = folder_with(tmp_path, "FROM debian:bookworm-slim\n")
    build = builds.build(client, str(folder), platform=platform)
    assert build.bases == {"debian:bookworm-slim": used or "debian:bookworm-slim"}
    own = builds.build(client, str(folder), platform="linux/amd64")
    assert own.bases == {"debian:bookworm-slim": "debian:bookworm-slim"}


def test_official_alone_takes_no_mirror_for_another_platform(replayed, tmp_path, monkeypatch):
    monkeypatch.setenv("SHIPLIGHT_BASES", "official")
    monkeypatch.setenv("SHIPLIGHT_MIRROR", "mirror.example")
    client, _ = replayed((r"/build", recorded("answer-20.10-multi")), HERE)
    build = builds.build(client, str(folder_with(tmp_path, "FROM --platform=linux/arm64 debian\n")))
    assert build.bases["debian"] == "debian:latest" and build.setting.bases == "official"


def test_automatic_platform_arguments_choose_stages(replayed, tmp_path):
    text = "FROM busybox AS tools-amd64\nFROM nobody/has AS tools-arm64\nFROM tools-$TARGETARCH\n"
    client, seen = replayed((r"/build", recorded("answer-20.10-multi")), HERE)
    build = builds.build(client, str(folder_with(tmp_path, text)))
    assert list(build.bases) == ["busybox"]
    assert not [path for _, path, _ in seen if "nobody" in path]


@pytest.mark.parametrize("what", ["nosuch", "go/nosuch", "nosuch/multi", ""])
def test_what_cannot_be_built_is_answered_with_what_can(what):
    with pytest.raises(UsageError, match="go/multi"):
        builds.order(what)


def test_a_mistyped_folder_is_told_from_its_neighbours(tmp_path):
    folder_with(tmp_path, "FROM scratch\n")
    with pytest.raises(UsageError) as told:
        builds.order(str(tmp_path / "apq"))
    assert f"did you mean {tmp_path / 'app'}?" in told.value.hint


@pytest.mark.parametrize("what", [None, 3, b"go/multi", ["go/multi"]])
def test_what_is_no_name_is_answered_with_what_a_name_looks_like(what):
    with pytest.raises(UsageError, match=type(what).__name__) as told:
        builds.order(what)
    assert "go/multi" in told.value.hint


def test_names_of_images_come_from_folder_or_name(tmp_path):
    folder = folder_with(tmp_path, "FROM scratch\n")
    assert builds.order(str(folder)).tag.endswith("/app:latest")
    assert builds.order(str(folder / "Dockerfile"), name="My App/Fast!").tag.endswith(
        "/my-app:fast"
    )
    with pytest.raises(UsageError):
        builds.order(str(folder), name="???")


def test_a_build_as_json_has_the_documented_fields(replayed):
    client, _ = replayed((r"/build", recorded("answer-20.10-multi")), HERE)
    build = builds.build(client, "go/multi")
    data = json.loads(json.dumps(build.to_dict() | {"setting": build.setting.to_dict()}))
    assert {"seconds", "cached_steps", "steps"} <= set(data)
    assert {"engine", "store", "platform", "bases", "when", "mode"} == set(data["setting"])


@pytest.mark.parametrize(
    ("said", "instruction", "advice"),
    [
        ('"/mesage.txt" not found: not found', "COPY mesage.txt /x", "in the folder that is built"),
        ('checksum of ref x: "/nope": not found', "ADD nope /x/", "in the folder that is built"),
        ("lstat /var/lib/e/overlay2/1/merged/x: no such file or directory",
         "COPY --from=builder /x /", "does the stage or image"),
        ('exec: "/bin/sh": stat /bin/sh: no such file or directory', "RUN id", "has no shell"),
        ("error: [Errno 2] No such file or directory: 'gcc'", "RUN pip install .", "no compiler"),
        ("/bin/sh: gcc: not found", "RUN gcc x.c", "no compiler"),
        ('cgo: C compiler "gcc" not found: exec: "gcc"', "RUN go build", "no compiler"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory",
         "RUN pip install .", "no compiler"),
        ("make: cc: No such file or directory", "RUN make", "no compiler"),
        ("gyp ERR! stack Error: not found: make", "RUN npm ci", "no compiler"),
        ("No such file or directory: 'cmake'", "RUN pip install .", "copied or made before"),
        ("/bin/sh: foo: not found", "RUN foo", "copied or installed before"),
        ("parent snapshot sha256:1 does not exist: not found", "COPY a /", "lost a layer"),
    ],
)  # fmt: skip
def test_what_an_instruction_does_not_find_is_looked_for_where_it_should_be(
    said, instruction, advice
):
    assert advice in solving._look(said, instruction)


def test_an_error_of_the_engine_is_told_without_its_own_folders():
    said = "lstat /var/lib/docker/overlay2/ab/merged/nix: no such file or directory"
    assert solving._plain(said) == "/nix: no such file or directory"
    for own in ('"/src/fs/mian.go" not found', '"/merged/data.csv" not found'):
        assert solving._plain(f"{own}: not found") == own


def test_a_misspelt_stage_is_told_from_an_image_that_nobody_has():
    read = dockerfile.parse("FROM a AS builder\nFROM b\nCOPY --from=bilder /x /\n")
    lacks = BaseNotAvailable("the base bilder is not here.")
    found = building._misspelt(read, stages.image_uses(read), lacks)
    assert "no stage is called bilder (line 3)" in found.message and "builder" in found.hint


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("FROM a AS builder\nFROM b\nCOPY --from=busybox /x /\n", "busybox"),
        ("FROM a AS golang\nFROM nosuch:1\nCOPY --from=golang:1.23 /x /\n", "nosuch:1"),
        ("FROM a AS golang\nFROM b\nCOPY --from=golang:1.23 /x /\n", "golang:1.23"),
        ("FROM builde\nFROM a AS builder\n", "builde"),
    ],
)
def test_an_image_that_cannot_be_had_is_not_taken_for_a_stage(text, lacks):
    read, failed = dockerfile.parse(text), BaseNotAvailable(f"the base {lacks} is not here.")
    assert building._misspelt(read, stages.image_uses(read), failed) is None


@pytest.mark.parametrize("text", [..., 5, b"FROM a"])
def test_what_is_no_text_of_a_dockerfile_is_refused(text):
    with pytest.raises(UsageError, match="text is the text of a Dockerfile, not"):
        builds.order("go/multi", text=text)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("first", "the folder of that app is "),
        ("first/mine", "the folder of that app is "),
        (f"{os.path.relpath(catalogue.APPS)}/frist", "did you mean"),
    ],
)
def test_an_app_without_variants_is_answered_with_its_folder(name, says):
    with pytest.raises(UsageError) as refused:
        builds.order(name)
    assert refused.value.hint.startswith(says)
