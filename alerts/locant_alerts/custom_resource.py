"""The same rules as PrometheusRule objects for the Prometheus operator, split so that `kubectl apply` takes each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from locant_alerts.model import Group
from locant_alerts.rules import build_groups, group_content
from locant_alerts.text import dump
from locant_slo.spec import Spec

LARGEST_OBJECT_BYTES = 262_144
"""What `kubectl apply` takes: it keeps a copy of the object in an annotation, and Kubernetes limits those. The operator
itself would take twice as much."""
_FRAME_BYTES = 1_024
"""Room for what stands around the groups: kind, names and labels."""


def build_custom_resources(spec: Spec, largest_bytes: int = LARGEST_OBJECT_BYTES) -> tuple[str, ...]:
    """One PrometheusRule as YAML for each share of the rules that fits. A group is never split: its order matters."""
    shares: list[list[Group]] = [[]]
    room = largest_bytes - _FRAME_BYTES
    left = room
    for group in build_groups(spec):
        size = applied_bytes({"spec": {"groups": [group_content(group)]}})
        if size > left and shares[-1]:
            shares.append([])
            left = room
        shares[-1].append(group)
        left -= size
    return tuple(_text(spec, share, index) for index, share in enumerate(shares))


def applied_bytes(document: Mapping[str, Any]) -> int:
    """How large kubectl's copy of an object is: JSON without spaces, whose `<`, `>` and `&` take six bytes each."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return len(text.encode()) + 5 * sum(text.count(mark) for mark in "<>&")


def _text(spec: Spec, groups: Sequence[Group], index: int) -> str:
    suffix = f"-{index + 1}" if index else ""
    content: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": f"locant-{spec.service}{suffix}",
            "labels": {"app.kubernetes.io/managed-by": "locant", "app.kubernetes.io/part-of": spec.service},
        },
        "spec": {"groups": [group_content(group) for group in groups]},
    }
    return dump(content)
