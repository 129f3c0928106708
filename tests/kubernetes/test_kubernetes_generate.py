"""`locant generate kubernetes`: one folder that kustomize builds and that Kubernetes and the operator accept."""

from __future__ import annotations

import copy
import functools
import json
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from operator_objects import validate
from pydantic import ValidationError

from locant.cli import cli
from locant.generate import compile_all
from locant.kubernetes.cluster import cluster_files
from locant.kubernetes.sidecar import SIDECAR, Injection
from locant_alerts.alertmanager import routing
from locant_alerts.alertmanager_resource import alertmanager_config
from locant_alerts.custom_resource import LARGEST_OBJECT_BYTES, applied_bytes
from locant_slo.errors import ConfigError
from locant_slo.load import load_specs, parse_specs

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "slo.yaml"
OPTIONS = Injection(containers=("model",), config_map="locant-config")
OPERATOR = {"PodMonitor", "PrometheusRule", "AlertmanagerConfig"}
OVERLAY = """
resources: [generated, deployment.yaml]
components: [generated/components/sidecar, generated/components/only-scrapes]
labels: [{pairs: {release: prometheus}}]
"""
SPEC = """
version: locant/v1
service: chat
labels: {namespace: chat}
selector: {job: chat}
objectives: [{name: integrity, indicator: position_integrity, target: 0.999}]
"""


class Loader(yaml.SafeLoader):
    """YAML 1.1 as Go reads it: kustomize writes the matcher `=` without quotes, a type of its own to PyYAML."""


Loader.add_constructor("tag:yaml.org,2002:value", yaml.SafeLoader.construct_yaml_str)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    command = ["generate", "kubernetes", "-f", str(EXAMPLE), "-o", str(folder / "generated")]
    run = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert run.exit_code == 0, run.output
    (folder / "deployment.yaml").write_text((ROOT / "deploy" / "example" / "deployment.yaml").read_text())
    (folder / "kustomization.yaml").write_text(OVERLAY)
    return folder


@functools.cache
def kustomize(kubectl, path):
    run = subprocess.run([kubectl, "kustomize", path], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return list(yaml.load_all(run.stdout, Loader))


@pytest.fixture
def build(program):
    return functools.partial(kustomize, program("kubectl"))


def kinds(documents, *wanted):
    return [document for document in documents if document["kind"] in wanted]


def test_the_folder_alone_brings_what_a_namespace_needs_once(build, folder):
    documents = build(folder / "generated")
    assert {document["kind"] for document in documents} == OPERATOR | {"ConfigMap"}
    assert {document["metadata"]["namespace"] for document in documents} == {"chat"}
    assert len({(document["kind"], document["metadata"]["name"]) for document in documents}) == len(documents)


@pytest.mark.parametrize("version", ["1.28", "1.33", "1.37"])
def test_with_a_workload_everything_is_valid_kubernetes(build, folder, version):
    documents = build(folder)
    assert {document["kind"] for document in documents} == OPERATOR | {"ConfigMap", "Deployment", "NetworkPolicy"}
    for document in documents:
        if document["kind"] not in OPERATOR:
            kubernetes_validate.validate(document, version, strict=True)


def test_the_operators_objects_fit_its_definitions(build, folder):
    for document in kinds(build(folder), *OPERATOR):
        validate(document)


@pytest.mark.parametrize(
    ("kind", "break_it"),
    [
        ("PodMonitor", lambda spec: spec["podMetricsEndpoints"][0].update(prot="x")),
        ("PodMonitor", lambda spec: spec["podMetricsEndpoints"][0].update(interval="30 s")),
        ("PrometheusRule", lambda spec: spec["groups"][0]["rules"][0].update(expression="1")),
        ("PrometheusRule", lambda spec: spec["groups"][0].pop("name")),
        ("AlertmanagerConfig", lambda spec: spec["inhibitRules"][0]["sourceMatch"][0].update(matchType="~")),
        ("AlertmanagerConfig", lambda spec: spec["receivers"][0].update(webhook_configs=[])),
    ],
)
def test_and_the_definitions_would_refuse_a_slip(kind, break_it):
    files = cluster_files(load_specs(EXAMPLE), OPTIONS).items()
    documents = [yaml.safe_load(text) for path, text in files if path.endswith(".yaml")]
    [document, *_] = kinds([one for one in documents if "kind" in one], kind)
    validate(copy.deepcopy(document))
    break_it(document["spec"])
    with pytest.raises((ValidationError, AssertionError)):
        validate(document)


def test_values_that_the_schemas_leave_open_are_ones_that_kubernetes_knows(build, folder):
    """Kubernetes' published schemas have no enums."""
    [deployment] = kinds(build(folder), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    [agent] = [container for container in pod["initContainers"] if container["name"] == SIDECAR]
    assert agent["restartPolicy"] == "Always"
    assert {port["protocol"] for port in agent["ports"]} == {"TCP"}
    assert agent["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert [v["emptyDir"]["medium"] for v in pod["volumes"] if "medium" in v.get("emptyDir", {})] == ["Memory"]
    [policy] = kinds(build(folder), "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert {port["protocol"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} <= {"TCP", "UDP"}


def test_kubectl_can_apply_every_object(build, folder):
    """`kubectl apply` keeps a copy of the object in an annotation, and annotations are limited to 256 KiB."""
    assert max(applied_bytes(document) for document in build(folder)) < LARGEST_OBJECT_BYTES


def test_a_users_labels_reach_what_the_operator_selects(build, folder):
    found = kinds(build(folder), *OPERATOR)
    assert {document["metadata"]["labels"]["release"] for document in found} == {"prometheus"}


def test_grafanas_sidecar_finds_the_same_dashboards_as_without_kubernetes(build, folder):
    marked = [m for m in kinds(build(folder), "ConfigMap") if "grafana_dashboard" in m["metadata"].get("labels", {})]
    assert {m["metadata"]["labels"]["grafana_dashboard"] for m in marked} == {"1"}
    plain = {name: text for name, text in compile_all(load_specs(EXAMPLE)).items() if name.startswith("dashboards/")}
    boards = {f"dashboards/{name}": text for one in marked for name, text in one["data"].items()}
    assert {name: json.loads(text) for name, text in boards.items()} == {n: json.loads(t) for n, t in plain.items()}


def test_every_alert_carries_the_namespace_that_the_operator_routes_by(build, folder):
    rules = kinds(build(folder), "PrometheusRule")
    alerts = [r for rule in rules for group in rule["spec"]["groups"] for r in group["rules"] if "alert" in r]
    assert len(alerts) > 20
    assert {alert["labels"]["namespace"] for alert in alerts} == {"chat"}


def test_the_routing_object_says_what_alertmanagers_file_says():
    """The operator's fields, spelled and joined as it does it, give our own configuration back."""
    specs = parse_specs(SPEC + "---\n" + SPEC.replace(": chat", ": search"), "slo.yaml")
    assert _as_alertmanager_reads(alertmanager_config(specs)["spec"]) == routing(specs)


def _as_alertmanager_reads(value):
    if isinstance(value, list):
        return [_as_alertmanager_reads(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"name", "matchType", "value"}:
        return f"{value['name']}{value['matchType']}{json.dumps(value['value'])}"
    spelled = {"sourceMatch": "source_matchers", "targetMatch": "target_matchers"}
    return {spelled.get(key, _snake(key)): _as_alertmanager_reads(inside) for key, inside in value.items()}


def _snake(name):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def test_the_chosen_container_and_image_are_the_sidecars(tmp_path):
    flags = ["--container", "vllm", "--image", "registry.example/agent:1", "-o", str(tmp_path)]
    run = CliRunner().invoke(cli, ["generate", "kubernetes", "-f", str(EXAMPLE), *flags], catch_exceptions=False)
    assert run.exit_code == 0
    patch = yaml.safe_load((tmp_path / "components" / "sidecar" / "deployment.yaml").read_text())
    pod = patch["spec"]["template"]["spec"]
    assert [container["name"] for container in pod["containers"]] == ["vllm"]
    assert pod["initContainers"][0]["image"] == "registry.example/agent:1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SPEC.replace("labels: {namespace: chat}\n", ""), r"labels\.namespace: is missing"),
        (SPEC + "---\n" + SPEC.replace("chat", "search"), r"labels\.namespace: differs \(chat: chat, search: search\)"),
    ],
)
def test_a_namespace_that_is_missing_or_ambiguous_is_one_sentence(text, says):
    with pytest.raises(ConfigError, match=says):
        cluster_files(parse_specs(text, "slo.yaml"), OPTIONS)


def test_hundreds_of_promises_still_fit_through_kubectl():
    objective = "{{name: o{0}, indicator: position_integrity, target: 0.999}}"
    many = ", ".join(objective.format(number) for number in range(100))
    files = cluster_files(
        parse_specs(SPEC[: SPEC.index("objectives")] + f"objectives: [{many}]\n", "slo.yaml"), OPTIONS
    )
    rules = [yaml.load(text, yaml.CSafeLoader) for path, text in files.items() if path.startswith("rules/")]
    boards = [{"data": {path: text}} for path, text in files.items() if path.startswith("dashboards/")]
    assert len(rules) > 1
    assert max(map(applied_bytes, rules + boards)) < LARGEST_OBJECT_BYTES


def test_without_a_target_generate_is_as_it_was(tmp_path):
    run = CliRunner().invoke(cli, ["generate", "-f", str(EXAMPLE), "-o", str(tmp_path)], catch_exceptions=False)
    assert run.exit_code == 0
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(compile_all(load_specs(EXAMPLE)))
