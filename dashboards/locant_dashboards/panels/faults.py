"""What fires, and which checks fail."""

from __future__ import annotations

from typing import Any

from locant_dashboards.ask import rows
from locant_dashboards.frame import runbook
from locant_dashboards.grafana import Line, Override, Table
from locant_dashboards.grafana.table import columns
from locant_dashboards.queries import RANGE, RELEASE, Queries, extra_groups
from locant_slo import names, promql
from locant_slo.catalogue import labels as la
from locant_slo.catalogue import metrics
from locant_slo.findings import FailureMode
from locant_slo.spec import Spec

_ALERTS = "ALERTS"
"""The series that Prometheus itself keeps of pending and firing alerts."""


def firing(spec: Spec) -> Line:
    """The alerts of this service that fire now."""
    titles = {
        "alertname": "Alert",
        names.SEVERITY: "Severity",
        names.SLO: "SLO",
        names.TIER: "Tier",
        names.FAULT: "Fault",
        la.MODEL.name: "Model",
        la.MODEL_VERSION.name: "Release",
    } | {label: label.replace("_", " ").capitalize() for label in extra_groups(spec)}
    which = promql.selector(_ALERTS, {"alertstate": "firing", names.SERVICE: spec.service})
    panel = Table(
        title="Alerts that fire",
        description="Alerts of this service that Prometheus has firing now.",
        unit="short",
        no_value="Nothing fires",
        links=[runbook(spec, names.BURN_RUNBOOK), runbook(spec, names.FINDING_RUNBOOK)],
        targets=[rows(f"count {promql.grouping(titles)} ({which})")],
        transformations=[columns(titles, hidden=("Time", "Value"))],
    )
    return Line((panel,), height=6)


def checks(spec: Spec, q: Queries) -> Line:
    """The checks with the most findings."""
    by = (la.CHECK, la.FAILURE_MODE, la.SEVERITY, *RELEASE)
    titles = dict(
        zip((label.name for label in by), ("Check", "Failure mode", "Severity", "Model", "Release"), strict=True)
    )
    found = q.increase(metrics.FINDINGS, by, window=RANGE)
    panel = Table(
        title="Top failing checks",
        description="The ten checks with the most findings over the time range. A failure mode leads to its runbook.",
        unit="short",
        decimals=0,
        no_value="No check failed",
        sort_by="Findings",
        links=[runbook(spec, names.FINDING_RUNBOOK)],
        overrides=(Override("Failure mode", (("mappings", _words()), ("links", _runbooks(spec)))),),
        targets=[rows(f"topk(10, {found} > 0)")],
        transformations=[columns({**titles, "Value": "Findings"})],
    )
    return Line((panel,))


def _words() -> list[dict[str, Any]]:
    """Codes of failure modes to their words, which are also the names of their runbooks."""
    options = {mode.value: {"index": index, "text": mode.word} for index, mode in enumerate(FailureMode)}
    return [{"type": "value", "options": options}]


def _runbooks(spec: Spec) -> list[dict[str, Any]]:
    url = f"{spec.runbook_url.rstrip('/')}/${{__value.text}}.md"
    return [{"title": "Runbook", "url": url, "targetBlank": True}]
