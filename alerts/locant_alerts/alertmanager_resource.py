"""The same routing as an AlertmanagerConfig object for the Prometheus operator.

The operator adds a matcher on the object's namespace to the route and to every inhibition, unless its Alertmanager says
otherwise: only alerts that carry the label `namespace` with that value are routed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from locant_alerts.alertmanager import routing
from locant_slo.spec import Spec

NAMESPACE_LABEL = "namespace"
_MATCHER = re.compile(r"(?P<name>\w+)(?P<type>=~|!~|!=|=)(?P<value>\".*\")", re.DOTALL)
_FIELDS = {"source_matchers": "sourceMatch", "target_matchers": "targetMatch", "webhook_configs": "webhookConfigs"}


def alertmanager_config(specs: Sequence[Spec]) -> dict[str, Any]:
    """The object for all services of a namespace together."""
    content = _renamed(routing(specs))
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": "locant", "labels": {"app.kubernetes.io/managed-by": "locant"}},
        "spec": content,
    }


def _renamed(value: Any) -> Any:
    """Alertmanager's names in the operator's spelling, and its matchers taken apart."""
    if isinstance(value, Mapping):
        return {_FIELDS.get(name, _camel(name)): _field(name, inside) for name, inside in value.items()}
    return [_renamed(item) for item in value] if isinstance(value, list) else value


def _field(name: str, inside: Any) -> Any:
    return [_matcher(text) for text in inside] if name.endswith("matchers") else _renamed(inside)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _matcher(text: str) -> dict[str, str]:
    parts = _MATCHER.fullmatch(text)
    assert parts is not None, text  # our own notation, from `promql.matcher`
    return {"name": parts["name"], "matchType": parts["type"], "value": json.loads(parts["value"])}
