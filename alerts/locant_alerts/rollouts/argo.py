"""An AnalysisTemplate for Argo Rollouts: one metric for each objective that pages."""

from __future__ import annotations

from typing import Any

from locant_alerts.rollouts.comparison import WINDOW_SECONDS, allowed, judged, worse_by
from locant_alerts.series import number
from locant_alerts.text import dump
from locant_slo.durations import format_duration
from locant_slo.spec import Objective, Spec

VERSION = "model-version"
ADDRESS = "prometheus"
_DEFAULT_ADDRESS = "http://prometheus.monitoring:9090"
_MEASUREMENTS = 10
_MOST_INCONCLUSIVE = 3
_INTERVAL_SECONDS = 60
_INITIAL_DELAY_SECONDS = WINDOW_SECONDS - 2 * _MEASUREMENTS * _INTERVAL_SECONDS


def build_argo(spec: Spec) -> str:
    """The template as YAML; empty where no objective pages."""
    metrics = [_metric(spec, objective) for objective in judged(spec)]
    content: dict[str, Any] = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": f"locant-{spec.service}", "labels": {"app.kubernetes.io/managed-by": "locant"}},
        "spec": {
            "args": [{"name": VERSION}, {"name": ADDRESS, "value": _DEFAULT_ADDRESS}],
            "metrics": metrics,
        },
    }
    return dump(content) if metrics else ""


def _metric(spec: Spec, objective: Objective) -> dict[str, Any]:
    """Both conditions are stated: with one alone, the controller takes "no sample" or NaN for its opposite.

    What is neither is inconclusive, and an inconclusive run pauses the rollout for a person: promoting blind would be
    unsafe, and rolling back on a quiet night would be noise.
    """
    limit = number(allowed(objective))
    return {
        "name": objective.name,
        "initialDelay": format_duration(_INITIAL_DELAY_SECONDS),
        "interval": format_duration(_INTERVAL_SECONDS),
        "count": _MEASUREMENTS,
        "failureLimit": 0,
        "inconclusiveLimit": _MOST_INCONCLUSIVE,
        "successCondition": f"len(result) == 1 && result[0] <= {limit}",
        "failureCondition": f"len(result) == 1 && result[0] > {limit}",
        "provider": {
            "prometheus": {
                "address": "{{args." + ADDRESS + "}}",
                "query": worse_by(spec, objective, "{{args." + VERSION + "}}"),
            }
        },
    }
