"""Kustomize parts: the kustomization of a namespace, and components for the sidecar and for network policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from locant.kubernetes.scraping import allow_scrapes, only_scrapes
from locant.kubernetes.sidecar import (
    CONFIG_FILE,
    CONFIG_FOLDER,
    CONFIG_MAP,
    WATCH_LABEL,
    Injection,
    connection,
    sidecar_container,
    volumes,
)

AGENT_CONFIG = f"""\
# The agent's configuration; every setting has a default, docs/agent.md lists them.
latency_target_seconds: 0.1
series_limit: 2000
# What good looked like, as `locant pin` wrote it; add the file to this ConfigMap.
reference_path: {CONFIG_FOLDER}/reference.json
"""
_KUSTOMIZE = "kustomize.config.k8s.io"


class Part(NamedTuple):
    """One YAML file: lines of comment that say what it is for, and the object."""

    comment: str
    document: Mapping[str, Any]

    def text(self, note: str) -> str:
        """The file, `note` first."""
        comment = "".join(f"# {line}\n" for line in (note, *self.comment.splitlines()) if line)
        return comment + yaml.safe_dump(self.document, sort_keys=False, width=120)


def kustomization(
    resources: list[str], config_maps: list[dict[str, Any]], namespace: str | None = None
) -> dict[str, Any]:
    """A Kustomization of these files; the ConfigMaps keep their names, which the sidecar knows."""
    return {
        "apiVersion": f"{_KUSTOMIZE}/v1beta1",
        "kind": "Kustomization",
        **({"namespace": namespace} if namespace else {}),
        "resources": resources,
        "configMapGenerator": config_maps,
        "generatorOptions": {"disableNameSuffixHash": True},
    }


def config_map_entry() -> dict[str, Any]:
    """The ConfigMap with the agent's configuration."""
    return {"name": CONFIG_MAP, "files": [CONFIG_FILE]}


def components(options: Injection) -> dict[str, Part]:
    """The components by path: the sidecar for `options.containers`, and two policies of which one fits a cluster."""
    kinds = ("Deployment", "StatefulSet")
    labelled = f"{WATCH_LABEL}=true"
    patches = [{"path": f"{kind.lower()}.yaml", "target": {"kind": kind, "labelSelector": labelled}} for kind in kinds]
    names = " and ".join(f"`{name}`" for name in options.containers)
    about = (
        f"Adds the agent to every Deployment and StatefulSet labelled {labelled} whose model runs in the container\n"
        f"{names}. For other names, pods, jobs and daemon sets: locant inject -f manifest.yaml --container NAME"
    )
    return {
        "components/sidecar/kustomization.yaml": _component(about, patches=patches),
        **{f"components/sidecar/{kind.lower()}.yaml": Part("", _patch(kind, options)) for kind in kinds},
        **_policies(),
    }


def _policies() -> dict[str, Part]:
    opens = (
        "For namespaces that deny by default: opens the agent's port to the namespace `monitoring`, and nothing else."
    )
    closes = (
        "For namespaces without policies: closes the agent's port to all but the namespace `monitoring`; other ports\n"
        "stay open. Not where traffic is denied by default: policies add up, and this one would open the other ports."
    )
    allow, only = "components/allow-scrapes", "components/only-scrapes"
    return {
        f"{allow}/kustomization.yaml": _component(opens, resources=["networkpolicy.yaml"]),
        f"{allow}/networkpolicy.yaml": Part("", allow_scrapes()),
        f"{only}/kustomization.yaml": _component(closes, resources=["networkpolicy.yaml"]),
        f"{only}/networkpolicy.yaml": Part("", only_scrapes()),
    }


def _component(comment: str, **content: Any) -> Part:
    return Part(comment, {"apiVersion": f"{_KUSTOMIZE}/v1alpha1", "kind": "Component", **content})


def _patch(kind: str, options: Injection) -> dict[str, Any]:
    """A strategic merge patch that adds the agent to a workload with these containers."""
    pod = {
        "initContainers": [sidecar_container(options)],
        "containers": [{"name": name, **connection()} for name in options.containers],
        "volumes": volumes(options),
    }
    template = {"metadata": {"labels": {WATCH_LABEL: "true"}}, "spec": pod}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "any"}, "spec": {"template": template}}
