"""The same rules as PrometheusRule objects for the Prometheus operator, split below its size limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from locant_alerts.model import Group
from locant_alerts.rules import build_groups, group_content
from locant_alerts.text import dump
from locant_slo.spec import Spec

LARGEST_OBJECT_BYTES = 524_288
"""What the operator accepts in one object; what is larger is refused by its admission webhook."""
_FRAME_BYTES = 1_024
"""Room for what stands around the groups: kind, names and labels."""


def build_custom_resources(spec: Spec, largest_bytes: int = LARGEST_OBJECT_BYTES) -> tuple[str, ...]:
    """One PrometheusRule as YAML for each share of the rules that fits. A group is never split: its order matters."""
    shares: list[list[Group]] = [[]]
    room = largest_bytes - _FRAME_BYTES
    left = room
    for group in build_groups(spec):
        size = len(dump({"spec": {"groups": [group_content(group)]}}).encode())
        if size > left and shares[-1]:
            shares.append([])
            left = room
        shares[-1].append(group)
        left -= size
    return tuple(_text(spec, share, index) for index, share in enumerate(shares))


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
