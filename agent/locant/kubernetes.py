"""The agent as a native sidecar: one container definition, and its injection into any pod-bearing manifest."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from locant_slo.errors import ConfigError

SIDECAR = "locant-agent"
VOLUME = "locant-socket"
SOCKET_FOLDER = "/run/locant"
SOCKET_PATH = f"{SOCKET_FOLDER}/agent.sock"
STATE_VOLUME = "locant-state"
STATE_FOLDER = "/var/lib/locant"
CONFIG_VOLUME = "locant-config"
CONFIG_FOLDER = "/etc/locant"
CONFIG_FILE = "locant.yaml"
METRICS_PORT = 9466
PORT_NAME = "locant-metrics"
WATCH_LABEL = "locant.io/watched"
_POD_PATHS: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


@dataclass(frozen=True, slots=True)
class Injection:
    """What to inject. `containers`: names of the model's containers; empty means every container of the pod.

    `config_map`: the ConfigMap with the agent's configuration, key `locant.yaml`; without one the defaults hold.
    """

    image: str = "locant-agent:latest"
    containers: tuple[str, ...] = ()
    memory_request: str = "96Mi"
    memory_limit: str = "256Mi"
    cpu_request: str = "20m"
    config_map: str | None = None


def sidecar_container(options: Injection) -> dict[str, Any]:
    """The agent's container: a native sidecar (Kubernetes 1.28 or newer) that starts before the model and outlives it.

    No startup or readiness probe: the model must never wait for its observer. The socket is open to every user id of
    the pod (mode 0666) because the volume that holds it is mounted in the pod's own containers and nowhere else.
    """
    configured = [f"--config.file={CONFIG_FOLDER}/{CONFIG_FILE}"] if options.config_map else []
    return {
        "name": SIDECAR,
        "image": options.image,
        "restartPolicy": "Always",
        "args": [
            "agent",
            *configured,
            f"--web.listen-address=:{METRICS_PORT}",
            f"--socket.path={SOCKET_PATH}",
            "--socket.mode=0666",
            f"--state.path={STATE_FOLDER}/state",
        ],
        "ports": [{"name": PORT_NAME, "containerPort": METRICS_PORT, "protocol": "TCP"}],
        "livenessProbe": {
            "httpGet": {"path": "/-/healthy", "port": PORT_NAME},
            "periodSeconds": 10,
            "timeoutSeconds": 3,
            "failureThreshold": 3,
        },
        "resources": {
            "requests": {"cpu": options.cpu_request, "memory": options.memory_request},
            "limits": {"memory": options.memory_limit},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": VOLUME, "mountPath": SOCKET_FOLDER},
            {"name": STATE_VOLUME, "mountPath": STATE_FOLDER},
            *([{"name": CONFIG_VOLUME, "mountPath": CONFIG_FOLDER, "readOnly": True}] if configured else []),
        ],
    }


def volumes(options: Injection) -> list[dict[str, Any]]:
    """The volumes: the socket's, in memory and small, which the model shares; the state's, which it does not."""
    # Optional: a ConfigMap that is missing must cost the agent, never the start of the model.
    config = {"name": CONFIG_VOLUME, "configMap": {"name": options.config_map, "optional": True}}
    return [
        {"name": VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": STATE_VOLUME, "emptyDir": {"sizeLimit": "256Mi"}},
        *([config] if options.config_map else []),
    ]


def connection() -> dict[str, Any]:
    """What a model's container gets: the socket's folder, and the variable that says where the socket is."""
    return {
        "env": [{"name": "LOCANT_SOCKET", "value": SOCKET_PATH}],
        "volumeMounts": [{"name": VOLUME, "mountPath": SOCKET_FOLDER}],
    }


def inject(text: str, options: Injection, source: str = "manifest") -> str:
    """The manifest with the agent in every pod that it describes. Injecting twice changes nothing.

    Raises ConfigError when the text is no YAML, describes no pod, or names a container that is not there.
    """
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:  # what PyYAML's values raise
        raise ConfigError(f"{source}: is no YAML ({' '.join(str(error).split())}); correct it") from error
    injected = [_inject_document(document, options) for document in documents]
    if not any(_pods(document) for document in documents):
        kinds = ", ".join(sorted(_POD_PATHS))
        raise ConfigError(f"{source}: describes no pod; give a manifest with one of {kinds}")
    missing = set(options.containers) - {
        container.get("name") for document in documents for pod in _pods(document) for container in _containers(pod)
    }
    if missing:
        raise ConfigError(f"{source}: has no container {', '.join(sorted(missing))}; name the model's container")
    return yaml.safe_dump_all(injected, sort_keys=False, default_flow_style=False, width=120)


def _inject_document(document: Any, options: Injection) -> Any:
    changed = copy.deepcopy(document)
    for pod in _pods(changed):
        _child(_child(pod, "metadata", dict), "labels", dict)[WATCH_LABEL] = "true"
        spec = pod["spec"]
        _put(_child(spec, "initContainers", list), sidecar_container(options))
        for volume in reversed(volumes(options)):
            _put(_child(spec, "volumes", list), volume)
        for container in _containers(pod):
            if not options.containers or container.get("name") in options.containers:
                for field, [wanted] in connection().items():
                    _put(_child(container, field, list), wanted)
    return changed


def _child(parent: dict[str, Any], field: str, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
    """The field, made empty where it is missing. Raises ConfigError where something else stands in its place."""
    if parent.get(field) is None:
        parent[field] = kind()
    child = parent[field]
    if not isinstance(child, kind) or (kind is list and not all(isinstance(item, dict) for item in child)):
        wanted = "a list of mappings" if kind is list else "a mapping"
        raise ConfigError(f"{field}: is not {wanted}; correct the manifest")
    return child


def _put(items: list[Any], wanted: dict[str, Any]) -> None:
    """Replace the item of that name, or put the new one first: a sidecar must start before what it observes."""
    for index, item in enumerate(items):
        if item.get("name") == wanted["name"]:
            items[index] = wanted
            return
    items.insert(0, wanted)


def _pods(document: Any) -> list[dict[str, Any]]:
    return list(_walk(document))


def _walk(document: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(document, dict):
        return
    if document.get("kind") == "List":
        for item in document.get("items") or []:
            yield from _walk(item)
    path = _POD_PATHS.get(str(document.get("kind")))
    if path is None:
        return
    pod: Any = document
    for step in path:
        pod = pod.get(step) if isinstance(pod, dict) else None
    if isinstance(pod, dict) and isinstance(pod.get("spec"), dict):
        yield pod


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    containers = pod["spec"].get("containers")
    return (
        [container for container in containers if isinstance(container, dict)] if isinstance(containers, list) else []
    )
