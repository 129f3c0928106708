"""`deploy/`: one definition of the container, valid Kubernetes after kustomize, policies that mean what they say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from locant.deployment import MODEL_CONTAINER, deployment_files
from locant.kubernetes.inject import inject
from locant.kubernetes.sidecar import (
    CONFIG_FILE,
    CONFIG_FOLDER,
    CONFIG_MAP,
    METRICS_PORT,
    PORT_NAME,
    SIDECAR,
    WATCH_LABEL,
    Injection,
)
from support.documents import blocks

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
CUSTOM = {"PodMonitor"}


@pytest.fixture(scope="module")
def built():
    run = subprocess.run(["kubectl", "kustomize", DEPLOY / "example"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return {document["kind"]: document for document in yaml.safe_load_all(run.stdout)}


@pytest.fixture(autouse=True)
def _kubectl(program):
    program("kubectl")


@pytest.mark.parametrize(("path", "text"), deployment_files().items())
def test_what_is_checked_in_is_what_the_code_renders(path, text):
    assert (DEPLOY / path).read_text() == text, "run tools/deploy.py"


@pytest.mark.parametrize("version", ["1.28", "1.33"])
def test_kustomize_builds_valid_kubernetes(built, version):
    assert set(built) == {"ConfigMap", "Deployment", "NetworkPolicy", "PodMonitor"}
    for kind, document in built.items():
        if kind not in CUSTOM:
            kubernetes_validate.validate(document, version, strict=True)


def test_the_component_and_inject_make_the_same_pod(built):
    source = (DEPLOY / "example" / "deployment.yaml").read_text()
    options = Injection(
        image="registry.example/locant-agent:0.1.0", containers=(MODEL_CONTAINER,), config_map=CONFIG_MAP
    )
    injected = yaml.safe_load(inject(source, options))["spec"]["template"]
    component = built["Deployment"]["spec"]["template"]
    assert component["metadata"] == injected["metadata"]

    def order(pod):
        return {
            "agent": pod["initContainers"],
            "volumes": sorted(pod["volumes"], key=lambda volume: volume["name"]),
            "env": sorted(pod["containers"][0]["env"], key=lambda one: one["name"]),
            "mounts": pod["containers"][0]["volumeMounts"],
        }

    assert order(component["spec"]) == order(injected["spec"])


def test_the_agent_is_a_native_sidecar_with_its_configuration(built):
    [agent] = built["Deployment"]["spec"]["template"]["spec"]["initContainers"]
    assert agent["name"] == SIDECAR
    assert agent["restartPolicy"] == "Always"
    assert "startupProbe" not in agent
    assert "--config.file=/etc/locant/locant.yaml" in agent["args"]
    assert "locant.yaml" in built["ConfigMap"]["data"]


def test_the_configuration_in_the_base_holds():
    from locant.sidecar.config import load_config

    load_config(DEPLOY / "base" / "locant.yaml", environment={})


def test_the_model_cannot_reach_the_agents_state(built):
    spec = built["Deployment"]["spec"]["template"]["spec"]
    shared = {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert shared == {"locant-socket"}


def test_the_pod_monitor_finds_the_pods_and_the_port(built):
    spec, pod = built["PodMonitor"]["spec"], built["Deployment"]["spec"]["template"]
    assert spec["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    [port] = [port for one in pod["spec"]["initContainers"] for port in one["ports"]]
    assert spec["podMetricsEndpoints"][0]["port"] == port["name"] == PORT_NAME


def test_the_policies_close_the_agents_port_and_no_other():
    """A policy that selects a pod closes everything it does not name: each other port must be named."""
    rules = yaml.safe_load((DEPLOY / "components/only-scrapes/networkpolicy.yaml").read_text())["spec"]["ingress"]
    anywhere = [rule for rule in rules if "from" not in rule]
    open_to_all = {
        number
        for rule in anywhere
        for port in rule["ports"]
        if port["protocol"] == "TCP"
        for number in range(port["port"], port["endPort"] + 1)
    }
    assert open_to_all == set(range(1, 65536)) - {METRICS_PORT}
    [narrow] = yaml.safe_load((DEPLOY / "components/allow-scrapes/networkpolicy.yaml").read_text())["spec"]["ingress"]
    assert narrow["from"]
    assert [port["port"] for port in narrow["ports"]] == [METRICS_PORT]


def test_unlabelled_workloads_stay_as_they_are(tmp_path):
    text = (DEPLOY / "example" / "deployment.yaml").read_text().replace(f'  labels:\n    {WATCH_LABEL}: "true"\n', "")
    (tmp_path / "deployment.yaml").write_text(text)
    (tmp_path / "component").symlink_to(DEPLOY / "components" / "sidecar")
    for name in ("deployment", "statefulset", "kustomization"):
        folder = tmp_path / "copy"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text((DEPLOY / "components" / "sidecar" / f"{name}.yaml").read_text())
    (tmp_path / "kustomization.yaml").write_text("resources: [deployment.yaml]\ncomponents: [copy]\n")
    run = subprocess.run(["kubectl", "kustomize", tmp_path], capture_output=True, text=True, timeout=60)
    assert SIDECAR not in run.stdout
    assert yaml.safe_load(run.stdout) == yaml.safe_load(text)


def test_the_containerfile_copies_what_exists_and_runs_without_privilege():
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    assert all((DEPLOY.parent / name).exists() for name in copied)
    assert "USER 65532:65532" in lines
    assert not [line for line in lines if "torch" in line and not line.startswith("#")]


def test_a_reference_in_the_config_map_is_where_the_agents_configuration_says(tmp_path):
    shutil.copytree(DEPLOY / "base", tmp_path / "base")
    (tmp_path / "reference.json").write_text("{}")
    [shown] = [
        block for block in blocks("production.md", "2. Choose where the agent lives", "yaml") if "merge" in block
    ]
    (tmp_path / "kustomization.yaml").write_text(f"resources: [base]\n{shown}")
    run = subprocess.run(["kubectl", "kustomize", tmp_path], capture_output=True, text=True, timeout=60)
    [config] = [one for one in yaml.safe_load_all(run.stdout) if one["kind"] == "ConfigMap"]
    assert config["metadata"]["name"] == CONFIG_MAP
    path = yaml.safe_load(config["data"][CONFIG_FILE])["reference_path"]
    assert path.removeprefix(f"{CONFIG_FOLDER}/") in config["data"]
