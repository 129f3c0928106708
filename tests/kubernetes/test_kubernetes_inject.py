"""`locant inject`: valid Kubernetes, idempotent, and the model never waits for its observer."""

from __future__ import annotations

import copy

import kubernetes_validate
import pytest
import yaml

from locant.kubernetes.inject import inject
from locant.kubernetes.sidecar import PORT_NAME, SIDECAR, SOCKET_PATH, VOLUME, Injection
from locant_slo.errors import ConfigError

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: chat}
spec:
  selector: {matchLabels: {app: chat}}
  template:
    metadata: {labels: {app: chat}}
    spec:
      initContainers:
      - {name: download, image: busybox}
      containers:
      - name: model
        image: registry.example/chat:1
        env: [{name: A, value: b}]
      - {name: proxy, image: envoy}
"""
CRONJOB = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: model, image: x}]
"""
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: one}\nspec:\n  containers: [{name: model, image: x}]\n"


def injected(text, **options):
    return list(yaml.safe_load_all(inject(text, Injection(**options))))


def pod_spec(document):
    if document["kind"] == "CronJob":
        return document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return document["spec"]["template"]["spec"] if document["kind"] != "Pod" else document["spec"]


@pytest.mark.parametrize("text", [DEPLOYMENT, CRONJOB, POD])
@pytest.mark.parametrize("version", ["1.28", "1.33"])
def test_the_result_is_valid_kubernetes(text, version):
    for document in injected(text):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("text", [DEPLOYMENT, CRONJOB, POD, DEPLOYMENT + "---\n" + POD])
def test_injecting_twice_changes_nothing(text):
    once = inject(text, Injection())
    assert inject(once, Injection()) == once


def test_the_agent_is_a_native_sidecar_that_starts_first_and_delays_nothing():
    [document] = injected(DEPLOYMENT)
    agent = pod_spec(document)["initContainers"][0]
    assert agent["name"] == SIDECAR
    assert agent["restartPolicy"] == "Always"  # the schema knows no enums: assert the value
    assert "startupProbe" not in agent
    assert "readinessProbe" not in agent
    assert agent["livenessProbe"]["httpGet"]["port"] == agent["ports"][0]["name"] == PORT_NAME


def test_the_agent_has_the_least_privilege():
    [document] = injected(DEPLOYMENT)
    agent = pod_spec(document)["initContainers"][0]
    context = agent["securityContext"]
    assert context["runAsNonRoot"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert agent["resources"]["limits"]["memory"]


def test_the_socket_lives_in_memory_and_is_mounted_where_it_is_needed():
    [document] = injected(DEPLOYMENT, containers=("model",))
    spec = pod_spec(document)
    [volume] = [v for v in spec["volumes"] if v["name"] == VOLUME]
    assert volume["emptyDir"]["medium"] == "Memory"
    model, proxy = spec["containers"]
    assert {"name": "LOCANT_SOCKET", "value": SOCKET_PATH} in model["env"]
    assert {"name": "A", "value": "b"} in model["env"]
    assert "env" not in proxy


def test_everything_else_of_the_manifest_stays():
    before = yaml.safe_load(DEPLOYMENT)
    [after] = injected(DEPLOYMENT)
    stripped = copy.deepcopy(after)
    spec = pod_spec(stripped)
    spec["initContainers"] = spec["initContainers"][1:]
    del spec["volumes"]
    for container in spec["containers"]:
        container["env"] = [e for e in container["env"] if e["name"] != "LOCANT_SOCKET"] or container.pop("env")
        container.pop("volumeMounts")
        if container["name"] == "proxy":
            container.pop("env", None)
    del stripped["spec"]["template"]["metadata"]["labels"]["locant.io/watched"]
    assert stripped == before


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("kind: Service\napiVersion: v1\n", {}, "describes no pod"),
        ("a: [", {}, "is no YAML"),
        ("just text", {}, "describes no pod"),
        (POD, {"containers": ("modle",)}, "has no container modle"),
    ],
)
def test_bad_input_is_one_sentence(text, options, says):
    with pytest.raises(ConfigError, match=says):
        inject(text, Injection(**options))
