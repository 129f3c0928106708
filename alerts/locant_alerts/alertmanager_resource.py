"""The same routing as an AlertmanagerConfig object for the Prometheus operator.

The operator adds a matcher on the object's namespace to the route and to every inhibition, unless its Alertmanager says
otherwise: only alerts that carry the label `namespace` with that value are routed. Its time intervals have no zone
(prometheus-operator issue 5512), so promotions in local time are not muted here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from locant_alerts.alertmanager import routing
from locant_slo.spec import Spec
from locant_slo.times import Weekly

NAMESPACE_LABEL = "namespace"
_MATCHER = re.compile(r"(?P<name>\w+)(?P<type>=~|!~|!=|=)(?P<value>\".*\")", re.DOTALL)
_FIELDS = {"source_matchers": "sourceMatch", "target_matchers": "targetMatch", "webhook_configs": "webhookConfigs"}
_MUTED = "muteTimeIntervals"


def alertmanager_config(specs: Sequence[Spec]) -> dict[str, Any]:
    """The object for all services of a namespace together."""
    content = _renamed(routing([_without_zones(spec) for spec in specs]))
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": "locant", "labels": {"app.kubernetes.io/managed-by": "locant"}},
        "spec": {_MUTED if name == "timeIntervals" else name: inside for name, inside in content.items()},
    }


def _without_zones(spec: Spec) -> Spec:
    """The object knows no time zone: a stretch that names one is muted by the alerts' own conditions alone."""
    utc = [item for item in spec.maintenance if not isinstance(item, Weekly) or item.time_zone == "UTC"]
    mute = [item for item in spec.routing.mute if item.time_zone == "UTC"]
    routing_of_utc = spec.routing.model_copy(update={"mute": tuple(mute)})
    return spec.model_copy(update={"maintenance": tuple(utc), "routing": routing_of_utc})


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
