"""The files below `deploy/`, rendered from the definitions that `inject` and `generate kubernetes` use."""

from __future__ import annotations

from locant.kubernetes.components import AGENT_CONFIG, Part, components, config_map_entry, kustomization
from locant.kubernetes.scraping import pod_monitor
from locant.kubernetes.sidecar import CONFIG_FILE, CONFIG_MAP, Injection

MODEL_CONTAINER = "model"
_NOTE = "Rendered by `python tools/deploy.py`; a test refuses a difference."
_BASE = "What a namespace needs once: the agents' configuration, and the scrape job of the Prometheus operator."


def deployment_files() -> dict[str, str]:
    """Every rendered file by its path below `deploy/`."""
    parts = {
        "base/kustomization.yaml": Part(_BASE, kustomization(["podmonitor.yaml"], [config_map_entry()])),
        "base/podmonitor.yaml": Part("", pod_monitor()),
        **components(Injection(config_map=CONFIG_MAP, containers=(MODEL_CONTAINER,))),
    }
    return {path: part.text(_NOTE) for path, part in parts.items()} | {f"base/{CONFIG_FILE}": AGENT_CONFIG}
