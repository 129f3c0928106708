"""The alerts on positional findings: one rule for each failure mode, so that each says its own causes."""

from __future__ import annotations

from locant_alerts.alerting import static_labels
from locant_alerts.model import Alert
from locant_alerts.news import risen
from locant_alerts.words import FAULTS, SUBJECT, says, shown
from locant_slo import names
from locant_slo.catalogue import labels, metrics
from locant_slo.findings import FailureMode, Severity
from locant_slo.spec import Spec

_WINDOW = "5m"
_KEEP_SECONDS = 600
_ALERTING = f"~{Severity.PAGE.value}|{Severity.TICKET.value}"
_BY = (labels.FAILURE_MODE, labels.CHECK, labels.SEVERITY, labels.MODEL, labels.MODEL_VERSION)


def fault_alert(spec: Spec, mode: FailureMode) -> Alert:
    """The alert that fires at the next evaluation after a finding of a failure mode; its severity is the finding's."""
    matchers = {labels.FAILURE_MODE.name: mode.value, labels.SEVERITY.name: _ALERTING, **spec.selector}
    return Alert(
        alert=names.FINDING_ALERT,
        expr=risen(metrics.FINDINGS, matchers, _BY, _WINDOW),
        hold_seconds=0,
        keep_seconds=_KEEP_SECONDS,
        labels={**static_labels(spec), names.SERVICE: spec.service, names.FAULT: mode.word},
        annotations=_words(spec, mode),
    )


def _words(spec: Spec, mode: FailureMode) -> dict[str, str]:
    advice = FAULTS[mode]
    return says(
        spec,
        f"{mode.value} {mode.word.replace('_', ' ')} in {SUBJECT}: check {shown(labels.CHECK)}",
        f"Usual causes: {advice.causes}. Next: {advice.step}. "
        "`locant findings` and the agent's log hold the numbers of the first occurrence.",
        mode.word,
    )
