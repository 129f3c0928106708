"""MetricTemplates for Flagger, and the part of a Canary that uses them."""

from __future__ import annotations

from typing import Any

from locant_alerts.rollouts.comparison import allowed, judged, worse_by
from locant_alerts.text import dump
from locant_slo.durations import format_duration
from locant_slo.spec import Objective, Spec

VERSION = "model_version"
_ADDRESS = "http://prometheus.monitoring:9090"
_INTERVAL_SECONDS = 60
_MOST_FAILED_CHECKS = 5
_PERCENT = 100
"""Flagger's events print two digits."""


def build_metric_templates(spec: Spec) -> dict[str, str]:
    """One template as YAML for each objective that pages, by its name."""
    return {objective.name: dump(_template(spec, objective)) for objective in judged(spec)}


def _template(spec: Spec, objective: Objective) -> dict[str, Any]:
    """A query without a sample fails the check, so the rollout waits, and goes back when it waited too often."""
    query = worse_by(spec, objective, "{{ variables." + VERSION + " }}")
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": _name(spec, objective), "labels": {"app.kubernetes.io/managed-by": "locant"}},
        "spec": {
            "provider": {"type": "prometheus", "address": _ADDRESS},
            "query": f"{_PERCENT} * {query}",
        },
    }


def _name(spec: Spec, objective: Objective) -> str:
    return f"locant-{spec.service}-{objective.name}"


def build_canary_analysis(spec: Spec) -> str:
    """The part of a Canary to merge into yours, the new release filled in; empty where no objective pages."""
    metrics = [
        {
            "name": _name(spec, objective),
            "templateRef": {"name": _name(spec, objective)},
            "templateVariables": {VERSION: "FILL-IN-THE-NEW-RELEASE"},
            "thresholdRange": {"max": float(_PERCENT * allowed(objective))},
            "interval": format_duration(_INTERVAL_SECONDS),
        }
        for objective in judged(spec)
    ]
    analysis = {
        "interval": format_duration(_INTERVAL_SECONDS),
        "threshold": _MOST_FAILED_CHECKS,
        "metrics": metrics,
    }
    return dump({"spec": {"analysis": analysis}}) if metrics else ""
