"""Against `docker build` itself: the same files and configuration, and the same steps cached.

Docker's own command of 20.10 has BuildKit's client in it; it is Debian's docker.io at
/usr/bin/docker (on PATH there may be a newer one, which wants buildx). Both builders get the same
text, labels and build arguments, on the same engine.
"""

import io
import json
import os
import re
import subprocess
import tarfile
import uuid
from pathlib import Path

import pytest
from contexts import SMALL

from shiplight import builds, catalogue, engine
from shiplight.builds import provide, recipe, sending
from shiplight.engine import journal
from shiplight.errors import BuildFailed

DOCKER = Path("/usr/bin/docker")
NAME_SPACE = "BUILDKIT_CACHE_MOUNT_NS"
KIND = "official"  # of a base that a Dockerfile names as it is on the engine


@pytest.fixture(scope="module")
def base(client):
    """The image that stands for busybox here, where there is a `docker build` to compare with."""
    said = subprocess.run([DOCKER, "--version"], capture_output=True, text=True, check=False)
    if "version 20." not in said.stdout:
        pytest.skip("not for this machine: /usr/bin/docker is no docker with BuildKit inside")
    if engine.describe(client).kind == "Podman":
        pytest.skip("not for this machine: its engine is Podman")
    return provide(client, ["busybox"])[0].used


Built = tuple[str, dict[str, bool]]


def docker_build(client, folder: Path, name: str, *more: str) -> Built:
    """Build as a person would; the tag, and whether each numbered step came from the cache."""
    tag = f"shiplight/{journal.lab_id()}/{name.replace('/', ':')}"
    labels = journal.labels(tag) | {journal.BASES: KIND}
    command = [DOCKER, "--host", client.shiplight_endpoint.url]
    command += ["build", "--progress=plain", "--tag", tag, *more]
    command += [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
    command += ["--build-arg", f"{NAME_SPACE}={journal.cache_namespace()}", str(folder)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"DOCKER_BUILDKIT": "1"},
    )
    if done.returncode:
        raise Refused(done.stderr)
    return tag, _cached_of(done.stderr)


class Refused(Exception):
    """`docker build` failed; what it said."""


def docker_refuses_too(client, folder: Path, ours: BuildFailed) -> None:
    """Fail unless `docker build` says of this folder what our build said."""
    with pytest.raises(Refused) as theirs:
        docker_build(client, folder, "cmp/refused", "--no-cache")
    assert "invalid UTF-8" in ours.message and "invalid UTF-8" in str(theirs.value)
    assert "is not UTF-8" in ours.hint


def _cached_of(said: str) -> dict[str, bool]:
    names = dict(re.findall(r"^#(\d+) (\[[^\]\n]*\d+/\d+\] .*)$", said, re.MULTILINE))
    cached = set(re.findall(r"^#(\d+) CACHED$", said, re.MULTILINE))
    return {" ".join(name.split()): number in cached for number, name in names.items()}


def our_build(client, folder: Path, name: str, **more) -> Built:
    """The same with ours."""
    build = builds.build(client, str(folder), name=name, **more)
    assert build.way == "session" and build.setting.bases == KIND, build.remarks
    return build.tag, {" ".join(s.name.split()): s.cached for s in build.numbered_steps}


def is_from(step: str) -> bool:
    """Whether a step is a FROM, which builders report as they like."""
    return bool(re.match(r"\[[^\]]*\] FROM ", step))


def plain(steps: dict[str, bool], salt: str) -> dict[str, bool]:
    """The steps without what keeps two builders apart."""
    return {re.sub(salt, "SALT", k): v for k, v in sorted(steps.items()) if not is_from(k)}


def contents(client, tag: str, *, below: int = 1) -> dict:
    """What an image has above its base: every entry of every layer, and its configuration.

    `below` is how many layers are the base's.

    Left out are times that the engine makes: of folders, and of what no COPY or ADD brings.
    """
    saved = io.BytesIO(b"".join(client.api.get_image(tag)))
    found = []
    with tarfile.open(fileobj=saved) as outer:
        [image] = json.load(outer.extractfile("manifest.json"))
        config = json.load(outer.extractfile(image["Config"]))
        for name in image["Layers"][below:]:
            with tarfile.open(fileobj=io.BytesIO(outer.extractfile(name).read())) as layer:
                found.append(sorted(_entry(layer, entry) for entry in layer))
    assert config["config"]["Labels"].pop(journal.NAME) == tag
    return {"layers": found, "config": config["config"]}


def _entry(layer: tarfile.TarFile, entry: tarfile.TarInfo) -> tuple:
    content = layer.extractfile(entry).read() if entry.isreg() else b""
    brought = entry.name.startswith(("c", "d")) and not entry.isdir()
    return (
        entry.name, entry.type, oct(entry.mode), entry.uid, entry.gid, entry.linkname,
        sorted((k, v) for k, v in entry.pax_headers.items() if k.startswith("SCHILY.xattr")),
        content, int(entry.mtime) if brought else None,
    )  # fmt: skip


@pytest.mark.parametrize("small", SMALL, ids=lambda small: small.name)
def test_a_small_context_gives_the_same_image_and_the_same_cache(client, base, tmp_path, small):
    folder = small.write(tmp_path, base, "first")
    try:
        ours, _ = our_build(client, folder, f"cmp/{small.name}-ours", no_cache=True)
    except BuildFailed as refused:
        docker_refuses_too(client, folder, refused)
        return
    theirs, _ = docker_build(client, folder, f"cmp/{small.name}-theirs", "--no-cache")
    assert contents(client, ours) == contents(client, theirs)
    for text, first, second in [
        ("second", our_build, docker_build),
        ("third", docker_build, our_build),
    ]:
        (folder / "Dockerfile").write_text(small.dockerfile(base, text))
        first(client, folder, f"cmp/{small.name}-a")
        _, steps = second(client, folder, f"cmp/{small.name}-b")
        assert all(cached for name, cached in steps.items() if not is_from(name)), steps


def edits(text: str) -> list[str]:
    """The text with one line changed, for every line that something can be put behind."""
    lines = text.split("\n")
    found = []
    for number, line in enumerate(lines):
        keyword = line.split(" ")[0]
        changed = {
            "RUN": f"{line} && true" if not line.endswith("\\") else line,
            "COPY": line.replace("COPY ", "COPY --chown=3:4 ") if "--chown" not in line else line,
            "ADD": line.replace("ADD ", "ADD --chown=3:4 "),
            "ENV": f"{line} Z=z",
            "LABEL": f"{line} z=z",
            "WORKDIR": f"{line}z",
        }.get(keyword, line)
        if changed != line:
            found.append("\n".join([*lines[:number], changed, *lines[number + 1 :]]))
    return [*found, text + "# a comment\n"]


@pytest.mark.parametrize("small", SMALL, ids=lambda small: small.name)
def test_after_an_edit_the_same_steps_are_cached(client, base, tmp_path, small):
    seen = []
    for whose, build in (("ours", our_build), ("theirs", docker_build)):
        salt = f"{whose}-{small.name}-{uuid.uuid4().hex[:8]}"
        folder = tmp_path / whose
        folder.mkdir()
        small.write(folder, base, salt)
        try:
            build(client, folder, f"cmp/{small.name}-{whose}")
        except BuildFailed as refused:
            docker_refuses_too(client, folder, refused)
            return
        seen.append([])
        for text in edits(small.dockerfile(base, salt)):
            if "false &&" in text:
                continue
            (folder / "Dockerfile").write_text(text)
            _, steps = build(client, folder, f"cmp/{small.name}-{whose}")
            seen[-1].append(plain(steps, salt))
    assert seen[0] == seen[1]


def late_edits(text: str) -> list[str]:
    """Two one-line edits that cost no compiling: of the last stage's files, and of its settings."""
    lines = text.split("\n")
    froms = [n for n, line in enumerate(lines) if line.startswith("FROM ")]
    copies = [
        n for n, line in enumerate(lines) if n > froms[-1] > froms[0] and line.startswith("COPY ")
    ]
    found = []
    if copies:
        changed = f"{lines[copies[-1]].rstrip('/')}/elsewhere/"
        found.append("\n".join([*lines[: copies[-1]], changed, *lines[copies[-1] + 1 :]]))
    return [*found, text + "EXPOSE 8081\n", text + "# a comment\n"][:2]


@pytest.mark.parametrize("row", catalogue.rows(), ids=lambda row: row.name)
def test_docker_build_and_ours_take_every_step_of_a_variant_from_each_others_cache(
    client, base, row, tmp_path, monkeypatch
):
    seen, sent = {}, sending.sent

    def keep(client, sources, *rest, **parameters):
        seen.update(sources=sources, arguments=parameters["buildargs"])
        return sent(client, sources, *rest, **parameters)

    monkeypatch.setattr(sending, "sent", keep)

    def ours(text: str) -> dict[str, bool]:
        build = builds.build(client, row.name, text=text, name="cmp/variant-ours")
        return {" ".join(s.name.split()): s.cached for s in build.numbered_steps}

    def theirs(text: str) -> dict[str, bool]:
        file = tmp_path / seen["sources"].name
        file.write_text(text)
        told = [f"--build-arg={k}={v}" for k, v in seen["arguments"].items() if k != NAME_SPACE]
        return docker_build(client, row.folder, "cmp/variant", "--file", str(file), *told)[1]

    text = recipe(row.name)
    ours(text)
    mapped = seen["sources"].text.decode()
    assert_cached(theirs(mapped))
    for first, second, number in ((theirs, ours, 0), (ours, theirs, 1)):
        sent_by = {ours: late_edits(text)[number], theirs: late_edits(mapped)[number]}
        ran = [name for name, cached in first(sent_by[first]).items() if not cached]
        assert len([name for name in ran if not is_from(name)]) <= 1, ran
        assert_cached(second(sent_by[second]))


def assert_cached(steps: dict[str, bool]) -> None:
    assert steps and all(cached for name, cached in steps.items() if not is_from(name)), steps
