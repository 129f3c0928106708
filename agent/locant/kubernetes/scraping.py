"""Who scrapes the agent: a PodMonitor for the Prometheus operator, and network policies that let nobody else."""

from __future__ import annotations

from typing import Any

from locant.kubernetes.sidecar import METRICS_PORT, PORT_NAME, WATCH_LABEL

_MONITORING = {"kubernetes.io/metadata.name": "monitoring"}
_SAMPLE_LIMIT = 5000


def pod_monitor() -> dict[str, Any]:
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


def allow_scrapes() -> dict[str, Any]:
    """For namespaces that deny by default: opens the agent's port to the namespace `monitoring`."""
    return _policy("locant-allow-scrapes", [_scrapes()])


def only_scrapes() -> dict[str, Any]:
    """For namespaces without policies: closes the agent's port to everybody else, and no other port."""
    return _policy("locant-only-scrapes", [_scrapes(), _everything_else()])


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
