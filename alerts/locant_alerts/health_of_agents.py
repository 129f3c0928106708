"""Alerts on the agent: what it loses, refuses, says too late or cannot hand on."""

from __future__ import annotations

from locant_alerts.health_rule import PATIENCE_SECONDS, WINDOW, rule, select
from locant_alerts.model import Alert
from locant_alerts.news import risen
from locant_alerts.series import number
from locant_alerts.words import AGE, COUNT, PERCENT, shown
from locant_slo import names
from locant_slo.catalogue import labels, metrics
from locant_slo.spec import Spec


def dropped(spec: Spec) -> Alert:
    """Observations are lost on the way."""
    lost = f"sum(increase({select(spec, metrics.OBSERVATIONS_DROPPED, WINDOW)}))"
    kept = f"(sum(increase({select(spec, metrics.OBSERVATIONS, WINDOW)})) or 0 * {lost})"
    share = f"{lost} / ({lost} + {kept} > 0)"
    return rule(
        spec,
        names.DROPS_ALERT,
        names.DROPS_RUNBOOK,
        f"{share} > {number(spec.health.dropped_ratio)}",
        (
            f"{spec.service} loses {PERCENT} of its observations",
            "What was lost was not judged. Usual causes: the agent has too little CPU, its queue is too short for the "
            "traffic, or the sidecar's socket is gone. The reason is a label of the counter; lower the sampling rate "
            "or give the agent more CPU.",
        ),
    )


def late(spec: Spec) -> Alert:
    """What probes saw is judged long after they saw it."""
    return rule(
        spec,
        names.LAG_ALERT,
        names.LAG_RUNBOOK,
        f"max({select(spec, metrics.OBSERVATION_LAG)}) > {spec.health.observation_late_after}",
        (
            f"{spec.service}: an agent judges what was seen {AGE} ago",
            "Findings and indicators come that much too late, and soon observations will be dropped. Usual causes: the "
            "agent has too little CPU, or its host is out of memory or suspended.",
        ),
    )


def refused(spec: Spec) -> Alert:
    """The store is full of series."""
    return rule(
        spec,
        names.SERIES_REFUSED_ALERT,
        names.SERIES_REFUSED_RUNBOOK,
        risen(metrics.SERIES_REFUSED, spec.selector, (), WINDOW),
        (
            f"{spec.service}: {COUNT} series refused by the hard cap",
            "New models, releases or layers are not exported. Usual causes: a version label that changes at each start "
            "or debug series left on. Look for the label with the most values, then raise the cap if all are wanted.",
        ),
        hold=0,
    )


def exports(spec: Spec) -> Alert:
    """Snapshots do not reach those who wait for them."""
    failed = {labels.OUTCOME.name: "error", **spec.selector}
    return rule(
        spec,
        names.EXPORT_ERRORS_ALERT,
        names.EXPORT_ERRORS_RUNBOOK,
        risen(metrics.EXPORTS, failed, (labels.EXPORTER,), WINDOW),
        (
            f"{spec.service}: {COUNT} exports to {shown(labels.EXPORTER)} failed in {WINDOW}",
            "Dashboards fed by it are out of date. Usual causes: the collector is down, an address or a token changed.",
        ),
        hold=2 * PATIENCE_SECONDS,
    )
