"""The agent as a native sidecar: one definition of its container, its volumes, and what the model's container gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

IMAGE = "locant-agent:latest"
SIDECAR = "locant-agent"
VOLUME = "locant-socket"
SOCKET_FOLDER = "/run/locant"
SOCKET_PATH = f"{SOCKET_FOLDER}/agent.sock"
STATE_VOLUME = "locant-state"
STATE_FOLDER = "/var/lib/locant"
STATE_FILE = f"{STATE_FOLDER}/state"
CONFIG_MAP = "locant-config"
CONFIG_VOLUME = "locant-config"
CONFIG_FOLDER = "/etc/locant"
CONFIG_FILE = "locant.yaml"
METRICS_PORT = 9466
PORT_NAME = "locant-metrics"
WATCH_LABEL = "locant.io/watched"


@dataclass(frozen=True, slots=True)
class Injection:
    """What to inject. `containers`: names of the model's containers; empty means every container of the pod.

    `config_map`: the ConfigMap with the agent's configuration, key `locant.yaml`; without one the defaults hold.
    """

    image: str = IMAGE
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
            f"--state.path={STATE_FILE}",
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
