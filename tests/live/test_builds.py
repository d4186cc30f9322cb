"""On a real engine: what is built, measured, asked and cleaned, and what happens when it fails."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from shiplight import builds, catalogue, engine
from shiplight.builds import provide, solving
from shiplight.dockerfile import read_context
from shiplight.engine import cleaning, disk, journal
from shiplight.errors import BaseNotAvailable, BuildFailed, EngineFailed, ProbeFailed
from shiplight.inspection import copying, measure, probing
from shiplight.setup import ROOT


@pytest.fixture
def folder(tmp_path):
    """A folder to build; call it with a Dockerfile's text and files."""

    def fill(text: str, **files: str) -> str:
        (tmp_path / "Dockerfile").write_text(text)
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        return str(tmp_path)

    return fill


UNTIL_THE_STEP_ENDS = "ends a build that is interrupted only when its step has ended"


def test_a_build_that_had_to_wait_too_long_for_others_is_sent_again(client, folder, monkeypatch):
    """As Docker 20.10 ends builds where thirty at once want the same step."""
    follow, tried = solving._follow, []

    def once_too_many(*arguments):
        tried.append(follow(*arguments))
        return tried[-1] if len(tried) > 1 else (None, f"executor failed: {solving.TOO_MANY}")

    monkeypatch.setattr(solving, "_follow", once_too_many)
    run = f"RUN echo once more {uuid.uuid4().hex}"
    assert builds.build(client, folder(f"FROM busybox\n{run}\n")).engine_id
    assert len(tried) == 2
    ran = [instruction for entry in journal.read("build") for instruction in entry.get("ran", ())]
    assert [instruction for *_, instruction in ran].count(run) == 1


def test_what_is_missing_on_scratch_is_there_when_hardened_and_stays_below_ten_megabytes(client):
    build = builds.build(client, "go/hardened")
    image = measure(client, build.tag)
    assert image.unpacked_bytes <= 10_000_000, image
    assert image.user == "65532:65532" and not image.find("*/go/pkg/mod*")
    check = probing.probe(client, build.tag).self_check
    assert all(value for value in check.values()), check


def test_the_debug_stage_is_the_hardened_image_with_a_shell(client):
    build = builds.build(client, "go/hardened", target="debug", name="go/debug")
    hardened = measure(client, builds.build(client, "go/hardened").tag)
    debug = measure(client, build.tag)
    assert [x.diff_id for x in debug.layers][: len(hardened.layers)] == [
        x.diff_id for x in hardened.layers
    ]
    assert not hardened.find("bin/sh") and debug.find("bin/sh")
    assert probing.probe(client, build.tag).shell


def test_a_brief_probe_does_not_wait_for_a_program_that_heeds_no_signal(client, folder):
    serves = 'mkdir /www && echo "{}" | tee /www/healthz > /www/selfcheck'
    text = f"FROM busybox\nRUN {serves}\nEXPOSE 8080\nCMD httpd -f -p 8080 -h /www\n"
    found = probing.probe(client, builds.build(client, folder(text)), briefly=True)
    assert (found.answered, found.self_check, found.exit_code) == (True, {}, 137)
    assert found.stop_seconds < probing.STOP_SECONDS and found.read_only_root is None


def test_a_helper_beside_an_image_without_a_shell_sees_its_process_port_and_files(client):
    build = builds.build(client, "go/hardened")
    made = {"label": f"{journal.MADE}={journal.lab_id()}"}
    before = {found.id for found in client.containers.list(all=True, filters=made)}
    script = "ps; wget -qO- http://127.0.0.1:8080/healthz; echo; ls /proc/1/root; exit 3"
    said = probing.beside(client, build, script)
    assert any(line.split() == ["1", "65532", "/server"] for line in said), said
    assert '{"ok":true}' in said and "server" in said and "bin" not in said
    assert {found.id for found in client.containers.list(all=True, filters=made)} == before


def test_nobody_helps_beside_what_does_not_start(client):
    text = 'FROM scratch\nCOPY go.mod /x\nEXPOSE 8080\nENTRYPOINT ["/nothing"]\n'
    build = builds.build(client, "go/multi", text=text, name="go/nothing")
    with pytest.raises(ProbeFailed, match="does not start"):
        probing.beside(client, build, "true")


def test_unpacked_bytes_are_the_same_by_name_by_archive_and_by_what_was_known(client, tmp_path):
    tag = builds.build(client, "go/multi").tag
    first = measure(client, tag)
    again = measure(client, tag)
    archive = tmp_path / "saved.tar"
    with engine.export_image(client, tag) as chunks, open(archive, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
    saved = measure(None, str(archive))
    assert first.unpacked_bytes == again.unpacked_bytes == saved.unpacked_bytes > 1_000_000
    assert first.to_dict()["layers"] == again.to_dict()["layers"] == saved.to_dict()["layers"]
    assert {path for path, (entry, _) in first.tree().items() if entry.kind == "file"} == {
        "server",
        "etc/ssl/certs/ca-certificates.crt",
    }


def test_a_program_that_was_to_end_and_does_not_is_told_and_removed(client, folder, monkeypatch):
    build = builds.build(client, folder('FROM busybox\nCMD ["sleep", "600"]\n'))
    monkeypatch.setattr(probing, "ANSWER_SECONDS", 1)
    with pytest.raises(ProbeFailed, match="still runs after 1 s"):
        probing.run_once(client, build)
    assert not ours(client)["containers"]


def test_files_copied_with_their_folder_are_those_that_are_copied_alone(client, folder):
    """A hard link, a space, a name that is no UTF-8; and nothing of what lies beside them."""
    name = "$(printf '\\351')"
    run = f"RUN mkdir /d && cd /d && echo a > a && ln a b && echo c > 'c c' && echo d > {name}"
    run += f" && cp -r /d /d{name} && rm /d{name}/c* /d{name}/{name}"
    image = measure(
        client, builds.build(client, folder(f"FROM busybox\n{run}\nCOPY e d/\n", e="e"))
    )
    *paths, strange = [f"d/{path}" for path in ("a", "b", "c c", "\\xe9")]
    assert copying.together(image, [*paths, strange]) == {"d": [*paths, strange]}
    found = dict(copying.files_in(client, image, [*paths, strange]))
    assert found.pop(strange) == b"d\n" and strange in image.tree()
    assert found == {path: copying.file_in(client, image.name, path) for path in paths}
    assert sorted(found.values()) == [b"a\n", b"a\n", b"c\n"]
    assert dict(copying.files_in(client, image, [strange])) == {}, "its name cannot be asked for"
    hidden = ["d\\xe9/a", "d\\xe9/b"]
    assert copying.together(image, hidden) == {"d\\xe9": hidden} and hidden[0] in image.tree()
    assert dict(copying.files_in(client, image, hidden)) == {}, "nor can that of its folder"
    with pytest.raises(EngineFailed, match="has no /d/f"):
        copying.file_in(client, image.name, "d/f")


def test_on_a_graph_driver_unpacked_bytes_are_what_the_engine_calls_size(client):
    if engine.image_store(client) != "graph" or engine.describe(client).kind != "Docker":
        why = "only Docker's graph drivers report an image's unpacked bytes as its size"
        pytest.skip(f"not for this machine: {why}")
    tag = builds.build(client, "go/multi").tag  # no symbolic links: some engines count those too
    assert measure(client, tag).unpacked_bytes == engine.inspect_image(client, tag)["Size"]


def test_stages_run_in_parallel_and_unused_ones_not_at_all(client, folder, not_on_podman):
    text = """FROM busybox AS one
        RUN sleep 2; echo one > /one
        FROM busybox AS two
        RUN sleep 2; echo two > /two
        FROM busybox AS unused
        RUN sleep 60
        FROM scratch
        COPY --from=one /one /
        COPY --from=two /two /
        """
    build = builds.build(client, folder(text), no_cache=True)
    slept = [step for step in build.numbered_steps if "sleep" in step.instruction]
    assert sorted(step.stage for step in slept) == ["one", "two"]
    not_on_podman("runs stages one after the other")
    first, second = sorted(slept, key=lambda step: step.started)
    assert second.started < first.started + first.seconds


def test_a_second_build_comes_from_the_cache(client, folder):
    where = folder("FROM busybox\nRUN echo a > /a\nCOPY x /x\n", x="1")
    builds.build(client, where)
    again = builds.build(client, where)
    assert {s.state for s in again.numbered_steps if not s.instruction.startswith("FROM")} == {
        "cached"
    }


def test_target_build_arguments_and_cache_mounts_reach_the_engine(client, folder):
    text = """FROM busybox AS first
        ARG WORD=none
        RUN --mount=type=cache,target=/c echo $WORD > /word; echo x >> /c/seen; wc -l < /c/seen
        FROM first
        RUN exit 9
        """
    build = builds.build(client, folder(text), target="first", build_args={"WORD": "given"})
    image = measure(client, build.tag)
    assert list(image.find("word")) and not image.find("c/seen")
    assert client.containers.run(build.tag, ["cat", "/word"], remove=True) == b"given\n"


def test_a_failing_step_says_where_and_what(client, folder):
    text = "FROM busybox\nRUN true\nRUN echo last words; \\\n    exit 7\n"
    with pytest.raises(BuildFailed, match="last words") as failed:
        builds.build(client, folder(text))
    assert failed.value.line == 3 and "exited with 7" in str(failed.value)


def test_a_base_that_nobody_has_is_named(client, folder):
    with pytest.raises(BaseNotAvailable, match="nobody/has:this"):
        builds.build(client, folder("FROM nobody/has:this\n"))


def ours(client) -> dict[str, list]:
    """Everything on the engine that carries the label of the tests' lab."""
    made = {"label": f"{journal.MADE}={journal.lab_id()}"}
    built = {"label": f"{journal.LABEL}={journal.lab_id()}"}
    return {
        "containers": client.containers.list(all=True, filters=made),
        "images": client.api.images(filters=built),
    }


SLOW = (
    "FROM busybox\nRUN echo {mark}; for i in $(seq 1 90); do echo waiting-{mark}; sleep 1; done\n"
)


def runs_on_this_machine(mark: str) -> bool:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"waiting-{mark}".encode() in process.read_bytes() and str(os.getpid()) not in str(
                process
            ):
                return True
        except OSError:
            continue
    return False


def within(seconds: float, condition) -> bool:
    """Whether `condition()` came true in that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_interrupted_leaves_nothing_running(client, folder, how, not_on_podman):
    not_on_podman(UNTIL_THE_STEP_ENDS)
    mark = f"mark{int(how)}x{time.time_ns()}"
    where = folder(SLOW.format(mark=mark))
    process = subprocess.Popen(
        [sys.executable, "-m", "shiplight", "build", where],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert within(60, lambda: runs_on_this_machine(mark)), process.poll()
    process.send_signal(how)
    said = process.communicate(timeout=30)[1]
    assert within(15, lambda: not runs_on_this_machine(mark))
    if how is signal.SIGINT:
        assert process.returncode == 130 and "interrupted" in said and "Traceback" not in said


@pytest.fixture
def strangers(client, folder):
    """An image, a container, a network, a volume and a cache record that are not ours."""
    [base] = provide(client, ["busybox"])
    text = f"FROM {base.used}\nRUN echo {time.time_ns()}\n"
    context = read_context(Path(folder(text)), dockerfile="Dockerfile")
    tag = "stranger/app:1"
    with engine.post_build(client, context.tar(), t=tag) as told:
        assert [line for line in told if "ID" in (line.get("aux") or "")]
    container = client.containers.create(tag, ["true"])
    network, volume = client.networks.create("stranger"), client.volumes.create("stranger")
    yield text.split()[-1], container, network, volume
    container.remove(force=True)
    network.remove()
    volume.remove()
    client.api.remove_image(tag)


def test_interrupting_a_kernel_stops_the_build_that_its_cell_shows(
    client, folder, monkeypatch, not_on_podman
):
    not_on_podman(UNTIL_THE_STEP_ENDS)
    mark = f"kernel{time.time_ns()}"
    where = folder(SLOW.format(mark=mark))
    code = f"from shiplight import build, connect; build(connect(), {where!r})"
    monkeypatch.setenv("SHIPLIGHT_PROGRESS", "on")
    manager, kernel = start_new_kernel(kernel_name="python3")
    try:
        asked = kernel.execute(code)
        assert within(60, lambda: runs_on_this_machine(mark))
        time.sleep(1)
        manager.interrupt_kernel()
        while (reply := kernel.get_shell_msg(timeout=30))["parent_header"]["msg_id"] != asked:
            continue  # a kernel that starts slowly answers twice that it is ready
        assert reply["content"]["ename"] == "BuildCancelled"
        shown = []
        while (message := kernel.get_iopub_msg(timeout=10))["header"]["msg_type"] != "error":
            shown.append(message)
        updates = [m for m in shown if m["header"]["msg_type"] == "update_display_data"]
        assert any(f"waiting-{mark}" in m["content"]["data"]["text/plain"] for m in updates)
        assert within(15, lambda: not runs_on_this_machine(mark))
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


def test_clean_removes_what_the_lab_made_and_nothing_else(client, tmp_path, strangers, monkeypatch):
    monkeypatch.setenv("LAB_ID", f"clean{os.getpid()}")
    mark, *others = strangers
    ours_mark = f"ours{time.time_ns()}"
    text = f"FROM busybox\nARG WORD\nRUN echo $WORD {ours_mark} \\\n  > /x\nRUN echo {ours_mark}\n"
    (tmp_path / "Dockerfile").write_text(text)
    tag = builds.build(client, str(tmp_path), build_args={"WORD": "w"}).tag
    probing.probe(client, tag, port=1)
    client.containers.create(builds.order(str(tmp_path)).tag, labels=journal.made())
    client.networks.create(f"net-{ours_mark}", labels=journal.made())
    client.volumes.create(f"vol-{ours_mark}", labels=journal.made())
    done = cleaning.clean(client)
    assert (done.images, done.containers, done.networks, done.volumes) == (1, 1, 1, 1)
    assert not any(ours(client).values())
    if engine.describe(client).kind != "Podman":  # which does not show its cache
        left = " ".join(record.description for record in disk.cache_records(client))
        assert done.cache_records >= 1 and mark in left and ours_mark not in left
    assert engine.has_image(client, "stranger/app:1")
    for other in others:
        other.reload()
    assert cleaning.clean(client).images == 0, "a second clean finds nothing"


def test_what_somebody_makes_from_an_image_of_ours_stays(client, tmp_path, monkeypatch):
    """It inherits our label, and is not ours."""
    monkeypatch.setenv("LAB_ID", f"heir{os.getpid()}")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo ours > /x\n")
    tag = builds.build(client, str(tmp_path)).tag
    running = client.containers.create(tag, ["true"])
    running.commit("stranger/heir", tag="1")
    try:
        assert journal.LABEL in engine.inspect_image(client, "stranger/heir:1")["Config"]["Labels"]
        done = cleaning.clean(client)
        used = [left.what for left in done.left if left.why == cleaning.USED]
        assert used == [tag], "a stranger's container uses it"
        running.reload()
        assert engine.has_image(client, "stranger/heir:1")
        assert cleaning.clean(client).containers == 0
    finally:
        running.remove(force=True)
        client.api.remove_image("stranger/heir:1")
        assert cleaning.clean(client).images == 1


def test_an_image_that_lost_its_name_to_a_newer_build_goes_too(client, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_ID", f"old{os.getpid()}")
    made = []
    for number in (1, 2):
        (tmp_path / "Dockerfile").write_text(f"FROM busybox\nRUN echo {number} > /x\n")
        made.append(builds.build(client, str(tmp_path)).engine_id)
    kept = engine.has_image(client, made[0])  # a containerd store lets it go at once
    assert kept or engine.image_store(client) == "containerd"
    assert cleaning.clean(client).images == 1 + kept
    assert not any(engine.has_image(client, one) for one in made)
    assert not any(ours(client).values())


def test_the_documented_json_is_there(client):
    command = [sys.executable, "-m", "shiplight", "build", "go", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    known = [row.variant for row in catalogue.rows() if row.app == "go"]
    assert [result["variant"] for result in results] == known
    for result in results:
        assert set(result) == {"app", "variant", "image", "build", "setting"}
        assert {"seconds", "cached_steps", "steps"} <= set(result["build"])
        image = result["image"]
        assert image["unpacked_bytes"] == sum(x["unpacked_bytes"] for x in image["layers"])
        assert {"packed_bytes", "packed_is_estimate", "reclaimable_bytes", "config"} <= set(image)
        assert all(
            {"instruction", "diff_id", "reclaimable_bytes"} <= set(x) for x in image["layers"]
        )


def test_the_doctor_proves_the_engine_by_building_and_running(client):
    done = subprocess.run(
        [sys.executable, "-m", "shiplight", "doctor", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings["build and run"]["state"] == "ok", findings["build and run"]
    assert findings["mode"]["seen"].startswith("live")
