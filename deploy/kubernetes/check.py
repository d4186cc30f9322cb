"""Check deploy/kubernetes without a cluster: python deploy/kubernetes/check.py CHART

CHART is the folder `jupyterhub` of Zero to JupyterHub. It needs `helm` on PATH (the Go module
helm.sh/helm/v3 has it), and the Python packages jupyterhub-kubespawner, pycurl and
kubernetes-validate: all from package registries. What is checked:

- the chart's own schema, and what the chart makes of the values, against Kubernetes' schema;
- the mirror's resources, against the same;
- the learner's pod, as the chart's own hub configuration has KubeSpawner make it;
- that each of these refuses a misspelt value.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

import kubernetes_validate
import yaml
from kubernetes_asyncio.client import ApiClient
from kubespawner import KubeSpawner
from traitlets.config import PyFileConfigLoader

HERE = Path(__file__).resolve().parent
KUBERNETES = "1.33"  # the first whose user namespaces and unmasked /proc are on by default


def refused(do, *arguments) -> str:
    """Return in what words `do` refuses these arguments; ends the script if it takes them."""
    try:
        do(*arguments)
    except (ValueError, kubernetes_validate.ValidationError) as error:
        return next(line.strip(" -") for line in str(error).splitlines() if "not" in line)
    sys.exit(f"{do.__name__} took a misspelt value: it checks nothing")


def rendered(chart: Path, *options: str) -> list[dict]:
    """Return the resources that helm makes of our values. Raises ValueError."""
    ran = subprocess.run(
        [
            *("helm", "template", "shiplight", chart, "--values", HERE / "values.yaml"),
            *("--kube-version", f"{KUBERNETES}.0", *options),
        ],
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        raise ValueError(ran.stderr)
    return [one for one in yaml.safe_load_all(ran.stdout) if one]


def validate(resource: dict) -> None:
    """Raise ValidationError for what is no resource of Kubernetes, or has unknown fields."""
    kubernetes_validate.validate(resource, KUBERNETES, strict=True)


def learners_pod(chart: Path, resources: list[dict]) -> dict:
    """Return the pod of a learner, by the chart's own configuration of the hub."""

    def of(kind: str) -> dict:
        return next(
            one for one in resources if one["kind"] == kind and one["metadata"]["name"] == "hub"
        )

    with tempfile.TemporaryDirectory() as place:
        mounted = Path(place)
        for name, content in of("ConfigMap")["data"].items():
            _write(mounted / "config" / name, content)
        for name, content in of("Secret")["data"].items():
            _write(mounted / "secret" / name, base64.b64decode(content).decode())
        for name in ("jupyterhub_config.py", "z2jh.py"):
            text = (chart / "files/hub" / name).read_text(encoding="utf-8")
            _write(mounted / name, text.replace("/usr/local/etc/jupyterhub", place))
        os.environ |= {"PROXY_API_SERVICE_PORT": "8001", "HUB_SERVICE_PORT": "8081"}
        with redirect_stdout(sys.stderr):  # the chart says what it loads
            config = PyFileConfigLoader("jupyterhub_config.py", place).load_config()

        async def made():
            with mock.patch("kubespawner.spawner.load_config"):  # the address of a cluster
                spawner = KubeSpawner(_mock=True, config=config)
                return ApiClient().sanitize_for_serialization(await spawner.get_pod_manifest())

        return {"apiVersion": "v1", "kind": "Pod"} | asyncio.run(made())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def wrong_in(pod: dict) -> list[str]:
    """Return what the learner's pod must not have, or lacks."""
    spec = pod["spec"]
    containers = spec["containers"] + spec.get("initContainers", [])
    names = {volume["name"] for volume in spec["volumes"]}
    engine = next(one for one in containers if one["name"] == "engine")
    data = next(m["name"] for m in engine["volumeMounts"] if m["mountPath"] == "/home/learner")
    return [
        what
        for what, holds in {
            "it shares the node's user namespace": spec.get("hostUsers") is False,
            "a container is privileged": not any(
                one.get("securityContext", {}).get("privileged") for one in containers
            ),
            "a volume that is mounted does not exist": all(
                mount["name"] in names for one in containers for mount in one["volumeMounts"]
            ),
            "the engine's data are on no claim of the learner's": any(
                "persistentVolumeClaim" in volume
                for volume in spec["volumes"]
                if volume["name"] == data
            ),
            "a container has no limits": all(
                {"cpu", "memory"} <= one["resources"]["limits"].keys() for one in containers
            ),
            "each start would change the group of all files": spec["securityContext"].get(
                "fsGroupChangePolicy"
            )
            == "OnRootMismatch",
        }.items()
        if not holds
    ]


def main(chart: Path) -> int:
    """Check everything, and print it; the exit code."""
    schema = chart / "values.schema.json"
    if not schema.exists():  # the repository has it as YAML; a release of the chart as JSON
        text = (chart / "values.schema.yaml").read_text(encoding="utf-8")
        schema.write_text(json.dumps(yaml.safe_load(text)), encoding="utf-8")

    resources = rendered(chart)
    mirror = list(yaml.safe_load_all((HERE / "registry.yaml").read_text(encoding="utf-8")))
    for resource in resources + mirror:
        validate(resource)
    print(f"helm: {len(resources)} resources of the chart, {len(mirror)} of the mirror: valid")

    pod = learners_pod(chart, resources)
    validate(pod)
    if wrong := wrong_in(pod):
        sys.exit(f"the learner's pod: {'; '.join(wrong)}\n{json.dumps(pod, indent=1)}")
    print(f"KubeSpawner: a pod of {len(pod['spec']['containers'])} containers: valid")

    print("misspelt for the chart:", refused(rendered, chart, "--set", "singleuser.memry.limit=1G"))
    for where, name in ((pod["spec"], "hostUsers"), (_engine(pod), "privileged")):
        where[name + "s"] = where.pop(name)
        print("misspelt for Kubernetes:", refused(validate, pod))
        where[name] = where.pop(name + "s")
    mirror[2]["spec"]["replcas"] = 1
    print("misspelt for the mirror:", refused(validate, mirror[2]))
    return 0


def _engine(pod: dict) -> dict:
    containers = pod["spec"]["containers"]
    return next(one for one in containers if one["name"] == "engine")["securityContext"]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
