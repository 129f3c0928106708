"""What the alerts on Locant itself share: their severity, their patience, whom they are about."""

from __future__ import annotations

from locant_alerts.alerting import static_labels
from locant_alerts.model import Alert
from locant_alerts.words import says
from locant_slo import names, promql
from locant_slo.catalogue import Metric, labels
from locant_slo.spec import Spec

RELEASE = promql.grouping((labels.MODEL, labels.MODEL_VERSION))
WINDOW = "10m"
PATIENCE_SECONDS = 300
_KEEP_SECONDS = 300


def rule(
    spec: Spec,
    name: str,
    runbook: str,
    expr: str,
    text: tuple[str, str],
    *,
    hold: int = PATIENCE_SECONDS,
    cause: str = "",
) -> Alert:
    """An alert of the severity that the spec gives to its own health. `text`: summary and description."""
    extra = {names.CAUSE: cause} if cause else {}
    return Alert(
        alert=name,
        expr=expr,
        hold_seconds=hold,
        keep_seconds=_KEEP_SECONDS,
        labels={**static_labels(spec), names.SERVICE: spec.service, names.SEVERITY: spec.health.severity, **extra},
        annotations=says(spec, text[0], text[1], runbook, board="debug"),
    )


def select(spec: Spec, metric: Metric, window: str = "") -> str:
    """A metric of this service."""
    return promql.selector(metric, spec.selector, window=window)
