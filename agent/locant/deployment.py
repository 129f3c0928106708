"""The files below `deploy/` that say what the agent's container is: rendered from the definition that `inject` uses."""

from __future__ import annotations

from typing import Any

import yaml

from locant.kubernetes import (
    CONFIG_FILE,
    METRICS_PORT,
    PORT_NAME,
    WATCH_LABEL,
    Injection,
    connection,
    sidecar_container,
    volumes,
)

CONFIG_MAP = "locant-config"
MODEL_CONTAINER = "model"
_MONITORING = {"kubernetes.io/metadata.name": "monitoring"}
_NOTE = "# Rendered from locant.kubernetes by `python tools/deploy.py`; a test refuses a difference.\n"
_SAMPLE_LIMIT = 5000


def deployment_files() -> dict[str, str]:
    """Every rendered file by its path below `deploy/`."""
    documents = {
        "base/podmonitor.yaml": _pod_monitor(),
        "components/sidecar/deployment.yaml": _patch("Deployment"),
        "components/sidecar/statefulset.yaml": _patch("StatefulSet"),
        "components/allow-scrapes/networkpolicy.yaml": _policy("locant-allow-scrapes", [_scrapes()]),
        "components/only-scrapes/networkpolicy.yaml": _policy("locant-only-scrapes", [_scrapes(), _everything_else()]),
    }
    return {path: _NOTE + yaml.safe_dump(document, sort_keys=False, width=120) for path, document in documents.items()}


def _patch(kind: str) -> dict[str, Any]:
    """A strategic merge patch that adds the agent to a workload whose model runs in the container `model`."""
    options = Injection(config_map=CONFIG_MAP)
    pod = {
        "initContainers": [sidecar_container(options)],
        "containers": [{"name": MODEL_CONTAINER, **connection()}],
        "volumes": volumes(options),
    }
    template = {"metadata": {"labels": {WATCH_LABEL: "true"}}, "spec": pod}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "any"}, "spec": {"template": template}}


def _pod_monitor() -> dict[str, Any]:
    """A PodMonitor: a sidecar has no Service. The limits keep a bug of ours from flooding somebody's Prometheus."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "locant"},
        "spec": {
            "selector": {"matchLabels": {WATCH_LABEL: "true"}},
            "podMetricsEndpoints": [{"port": PORT_NAME, "path": "/metrics", "interval": "30s", "scrapeTimeout": "10s"}],
            "sampleLimit": _SAMPLE_LIMIT,
            "labelLimit": 32,
        },
    }


def _policy(name: str, ingress: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {WATCH_LABEL: "true"}},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


def _scrapes() -> dict[str, Any]:
    return {
        "from": [{"namespaceSelector": {"matchLabels": _MONITORING}}],
        "ports": [{"protocol": "TCP", "port": METRICS_PORT}],
    }


def _everything_else() -> dict[str, Any]:
    """Every port but the agent's: a policy that selects a pod closes whatever it does not name."""
    below, above = {"port": 1, "endPort": METRICS_PORT - 1}, {"port": METRICS_PORT + 1, "endPort": 65535}
    return {"ports": [{"protocol": protocol, **ports} for protocol in ("TCP", "UDP") for ports in (below, above)]}


__all__ = ["CONFIG_FILE", "CONFIG_MAP", "MODEL_CONTAINER", "deployment_files"]
