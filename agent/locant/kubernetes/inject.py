"""The agent added to any manifest that describes pods."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import yaml

from locant.kubernetes.sidecar import WATCH_LABEL, Injection, connection, sidecar_container, volumes
from locant_slo.errors import ConfigError

_POD_PATHS: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
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
