"""deploy/kubernetes, as far as it can be checked without a cluster and without its chart.

deploy/kubernetes/check.py does the rest; docs/hub.md has its result.
"""

import re
from pathlib import Path

import pytest
import yaml

from shiplight.setup import ROOT

HUB, KUBERNETES = ROOT / "deploy" / "hub", ROOT / "deploy" / "kubernetes"


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture
def singleuser() -> dict:
    return read(KUBERNETES / "values.yaml")["singleuser"]


@pytest.fixture
def engine(singleuser) -> dict:
    [container] = singleuser["extraContainers"]
    return container


def found_in(tree, key: str) -> list:
    """All values of a key, however deep."""
    if isinstance(tree, list):
        return [value for one in tree for value in found_in(one, key)]
    if not isinstance(tree, dict):
        return []
    here = [tree[key]] if key in tree else []
    return here + [value for one in tree.values() for value in found_in(one, key)]


def test_hub_learner_and_chart_have_the_same_jupyterhub():
    pinned = {
        re.search(r"(?m)^jupyterhub==(\S+)", (HUB / name).read_text(encoding="utf-8"))[1]
        for name in ("hub.txt", "learner.txt")
    }
    [version] = pinned
    assert f"JupyterHub {version}." in (KUBERNETES / "values.yaml").read_text(encoding="utf-8")


def test_no_container_is_privileged_and_pods_have_users_of_their_own(singleuser):
    resources = list(yaml.safe_load_all((KUBERNETES / "registry.yaml").read_text("utf-8")))
    assert found_in(singleuser, "privileged") == [False]
    assert found_in(resources, "privileged") == []
    assert found_in([singleuser, resources], "hostUsers") == [False, False]
    assert singleuser["cloudMetadata"]["blockWithIptables"] is False  # a privileged container


def test_no_setting_claims_that_the_teacher_cannot_open_learners_servers():
    """`admin_access` does nothing since JupyterHub 2: an administrator may open every server."""
    assert found_in(read(KUBERNETES / "values.yaml"), "admin_access") == []


def test_a_pods_engine_gets_every_id_of_the_pod(singleuser):
    lines = singleuser["extraFiles"]["subids"]["stringData"].splitlines()
    ranges = [(int(first), int(count)) for _, first, count in (one.split(":") for one in lines)]
    ids = [one for first, count in ranges for one in range(first, first + count)]
    assert {line.split(":")[0] for line in lines} == {"learner"}
    assert sorted([*ids, 0, singleuser["uid"]]) == list(range(65536))  # 0 is the pod's root
    assert len(ids) + 1 > 65534  # with the learner as root: "nobody" has an id, too


def test_server_and_engine_of_a_pod_run_one_image_with_one_home_and_one_socket(singleuser, engine):
    assert engine["image"] == "{name}:{tag}".format(**singleuser["image"])
    mounted = {one["mountPath"]: one["name"] for one in engine["volumeMounts"]}
    assert mounted[singleuser["storage"]["homeMountPath"]].startswith("volume-{")  # the claim
    socket = singleuser["storage"]["extraVolumeMounts"]["socket"]
    assert mounted[socket["mountPath"]] == socket["name"]
    assert f"XDG_RUNTIME_DIR={socket['mountPath']} " in (HUB / "Dockerfile").read_text("utf-8")


def test_a_learners_pod_reaches_the_mirror_that_its_engine_uses(singleuser, engine):
    service, _, deployment, policy = yaml.safe_load_all(
        (KUBERNETES / "registry.yaml").read_text("utf-8")
    )
    [rule] = singleuser["networkPolicy"]["egress"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert rule["to"] == [{"podSelector": {"matchLabels": labels}}]
    assert service["spec"]["selector"] == labels == policy["spec"]["podSelector"]["matchLabels"]
    [port] = [one["port"] for one in service["spec"]["ports"]]
    assert [one["port"] for one in rule["ports"]] == [port]
    [mirror] = [one["value"] for one in engine["env"] if one["name"] == "REGISTRY_MIRROR"]
    assert mirror == f"http://{service['metadata']['name']}:{port}"
