"""Node on a real engine: what ships, what does not, what runs at once, and who hears SIGTERM."""

import json

import pytest

from shiplight import builds, catalogue
from shiplight.engine import journal
from shiplight.inspection import measure, probing

APP = catalogue.APPS / "node"
PACKAGE = json.loads((APP / "package.json").read_text())
NPM_START, NODE = ["npm", "start"], ["node", "dist/index.js"]

# A server without a handler for signals.
DEAF = "require('http').createServer((_, answer) => answer.end('{}')).listen(3000)"


@pytest.fixture(scope="module")
def image(client):
    """Call it with a variant: the image of that variant, measured."""

    def built(variant: str):
        return measure(client, builds.build(client, f"node/{variant}").tag)

    return built


def packages(image) -> set[str]:
    """The names of all packages that are installed in the app's folder."""
    found = image.find("app/node_modules/*/package.json")
    return {path.rpartition("node_modules/")[2].removesuffix("/package.json") for path in found}


def test_the_lock_file_names_no_registry_and_every_package_has_its_digest():
    entries = json.loads((APP / "package-lock.json").read_text())["packages"]
    installed = {path: entry for path, entry in entries.items() if path}
    assert {*PACKAGE["dependencies"], *PACKAGE["devDependencies"]} <= {
        path.removeprefix("node_modules/") for path in installed
    }
    assert [path for path, entry in installed.items() if "resolved" in entry] == []
    assert [path for path, entry in installed.items() if not entry.get("integrity")] == []


def test_its_own_tests_and_its_linter_pass(client):
    text = builds.recipe("node/single") + "RUN npm run lint && npm test\n"
    build = builds.build(client, "node/single", text=text, name="node/tested")
    assert build.numbered_steps[-1].instruction.startswith("RUN npm run lint")


def test_dev_dependencies_ship_with_one_stage_only(image):
    developing, running = set(PACKAGE["devDependencies"]), set(PACKAGE["dependencies"])
    single, multi, bundled = image("single"), image("multi"), image("bundled")
    assert developing | running <= packages(single)
    assert running <= packages(multi) and not developing & packages(multi)
    assert not packages(bundled)
    assert single.find("app/src/*") and single.find("root/.npm/_cacache/*")
    for shipped in (multi, bundled):
        assert not shipped.find("app/src/*") and not shipped.find("root/.npm/*")


def test_bundled_has_one_file_of_its_own_and_nothing_that_installs_or_compiles(image):
    bundled = image("bundled")
    assert set(bundled.find("app/*")) == {"app/server.cjs"}
    for pattern in ["*/npm*", "*/yarn*", "*/corepack*", "*.h", "bin/sh", "usr/bin/*"]:
        assert not bundled.find(pattern), pattern
    assert bundled.user == "65532"


def test_bundled_weighs_little_more_than_node_and_the_libraries_that_it_loads(client, image):
    bundled = image("bundled")
    asked = "process.report.getReport().sharedObjects.join('\\n')"
    how = {"entrypoint": "node", "detach": True, "labels": journal.made()}
    asking = client.containers.run(bundled.name, ["-p", asked], **how)
    asking.wait()
    said = asking.logs().decode()  # Podman's own `run` may come before the first line
    asking.remove()
    loaded = {path.rpartition("/")[2] for path in said.split() if path.startswith("/")}
    assert {"libc.so.6", "libstdc++.so.6"} <= loaded
    by_name = {path.rpartition("/")[2]: entry.size for path, (entry, _) in bundled.tree().items()}
    needed = by_name["node"] + sum(by_name[name] for name in loaded)
    assert bundled.unpacked_bytes <= 1.15 * needed, f"{bundled}, needed {needed}"


def test_no_certificates_of_this_machine_are_in_what_ships(image):
    for variant in ("multi", "bundled"):
        shipped = image(variant)
        assert not shipped.find("usr/local/share/shiplight/*")
        assert "NODE_EXTRA_CA_CERTS" not in shipped.env


def test_dependencies_for_running_and_for_building_are_installed_at_the_same_time(
    client, not_on_podman
):
    not_on_podman("runs stages one after the other")
    build = builds.build(client, "node/multi", name="node/parallel", no_cache=True)
    installs = [step for step in build.numbered_steps if "npm ci" in step.instruction]
    assert {step.stage for step in installs} == {"deps", "builder"}
    first, second = sorted(installs, key=lambda step: step.started)
    assert not first.cached and second.started < first.started + first.seconds


@pytest.mark.parametrize(
    ("variant", "command", "exit_code", "finishes"),
    [
        ("single", NPM_START, 1, False),  # npm tells Debian's shell, which dies and tells nobody
        ("single", NODE, 0, True),
        ("multi", NPM_START, 0, True),  # BusyBox's shell has become node
        ("multi", NODE, 0, True),
        ("multi", ["node", "--eval", DEAF], 137, False),
    ],
    ids=["npm on Debian", "node on Debian", "npm on alpine", "node on alpine", "no handler"],
)
def test_who_is_process_1_decides_whether_the_server_finishes(
    client, variant, command, exit_code, finishes
):
    tag = builds.build(client, f"node/{variant}").tag
    probe = probing.probe(client, tag, port=3000, command=command)
    assert probe.answered and probe.exit_code == exit_code, probe
    assert any('"msg":"stopped"' in line for line in probe.last_words) == finishes
    killed = exit_code == 137
    assert (probe.stop_seconds > probing.STOP_SECONDS - 1) == killed, probe
