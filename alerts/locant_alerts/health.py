"""Alerts on Locant itself: what is not seen must not read as healthy."""

from __future__ import annotations

from collections.abc import Iterator

from locant_alerts.alerting import static_labels
from locant_alerts.model import Alert
from locant_alerts.news import risen
from locant_alerts.series import number
from locant_alerts.words import AGE, COUNT, PERCENT, SUBJECT, says, shown
from locant_slo import names, promql
from locant_slo.catalogue import Metric, labels, metrics
from locant_slo.durations import format_duration
from locant_slo.spec import Spec

_RELEASE = promql.grouping((labels.MODEL, labels.MODEL_VERSION))
_WINDOW = "10m"
_MEMORY = "1h"
_PATIENCE_SECONDS = 300
_KEEP_SECONDS = 300


def health_alerts(spec: Spec) -> tuple[Alert, ...]:
    """All of them, or none where the spec switches them off."""
    if not spec.health.enabled:
        return ()
    return (
        *_silent(spec),
        _dropped(spec),
        _canary(spec),
        _coverage(spec),
        _refused(spec),
        _errors(spec),
        _exports(spec),
    )


def _alert(
    spec: Spec,
    name: str,
    runbook: str,
    expr: str,
    text: tuple[str, str],
    *,
    hold: int = _PATIENCE_SECONDS,
    cause: str = "",
) -> Alert:
    extra = {names.CAUSE: cause} if cause else {}
    return Alert(
        alert=name,
        expr=expr,
        hold_seconds=hold,
        keep_seconds=_KEEP_SECONDS,
        labels={**static_labels(spec), names.SERVICE: spec.service, names.SEVERITY: spec.health.severity, **extra},
        annotations=says(spec, text[0], text[1], runbook, board="debug"),
    )


def _select(spec: Spec, metric: Metric, window: str = "") -> str:
    return promql.selector(metric, spec.selector, window=window)


def _silent(spec: Spec) -> Iterator[Alert]:
    last = _select(spec, metrics.LAST_OBSERVATION)
    limit = spec.health.probe_silent_after
    by = promql.grouping((labels.MODEL,))
    yield _alert(
        spec,
        names.SILENT_PROBE_ALERT,
        names.SILENT_PROBE_RUNBOOK,
        f"time() - max {_RELEASE} ({last}) > {limit}",
        (
            f"{SUBJECT}: nothing observed for {AGE}",
            "The agent runs and hears nothing from this model, though a probe reports every few seconds even without "
            "traffic. Usual causes: a hanging process, a lost socket, a thread that died. Read its log, then restart.",
        ),
        cause="stale",
    )
    yield _alert(
        spec,
        names.SILENT_PROBE_ALERT,
        names.SILENT_PROBE_RUNBOOK,
        f"count {by} (last_over_time({_select(spec, metrics.LAST_OBSERVATION, _MEMORY)})) unless count {by} ({last})",
        (
            f"{shown(labels.MODEL)}: watched within the last hour, and no process reports it now",
            "Its process or its agent is gone, or the scrape fails. After a planned shutdown this ends by itself.",
        ),
        cause="vanished",
    )
    yield _alert(
        spec,
        names.SILENT_PROBE_ALERT,
        names.SILENT_PROBE_RUNBOOK,
        f"absent({last})",
        (
            f"No process of {spec.service} reports a watched model",
            "Prometheus finds no agent of this service. Usual causes: it is not deployed, its scrape fails, or a label "
            "of the spec's selector changed. Open the target page of Prometheus first.",
        ),
        hold=3 * _PATIENCE_SECONDS,
        cause="absent",
    )


def _dropped(spec: Spec) -> Alert:
    lost = f"sum(increase({_select(spec, metrics.OBSERVATIONS_DROPPED, _WINDOW)}))"
    kept = f"(sum(increase({_select(spec, metrics.OBSERVATIONS, _WINDOW)})) or 0 * {lost})"
    share = f"{lost} / ({lost} + {kept} > 0)"
    return _alert(
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


def _canary(spec: Spec) -> Alert:
    last = f"max {_RELEASE} ({_select(spec, metrics.CANARY_LAST_RUN)} > 0)"
    limit = spec.health.canary_stale_after
    return _alert(
        spec,
        names.STALE_CANARY_ALERT,
        names.STALE_CANARY_RUNBOOK,
        f"time() - {last} > {limit}",
        (
            f"{SUBJECT}: the last complete canary run ended {AGE} ago",
            f"It should run at least every {format_duration(limit)}; until it does, correctness is unknown. Usual "
            "causes: the model is busy, a case raises, or the schedule is off. Run `locant canary` by hand.",
        ),
    )


def _coverage(spec: Spec) -> Alert:
    # the day's mean, not its best: a sampled signal begins at 1 and settles at its sampling rate
    kind = (labels.SIGNAL, labels.MODEL)
    now = f"max {promql.grouping((*kind, labels.MODEL_VERSION))} ({_select(spec, metrics.WATCH_COVERAGE)})"
    usual = f"max {promql.grouping(kind)} (avg_over_time({_select(spec, metrics.WATCH_COVERAGE, '1d')}))"
    kept = number(spec.health.coverage_kept_ratio)
    return _alert(
        spec,
        names.COVERAGE_ALERT,
        names.COVERAGE_RUNBOOK,
        f"{now} < {promql.matching(kind)} group_left () {kept} * {usual}",
        (
            f"{SUBJECT}: the probe sees {shown(labels.SIGNAL)} in only {PERCENT} of the passes",
            "Over the last day it saw far more, so faults of this kind may now pass unseen. Usual causes: a new "
            "release of the model code or of transformers, another attention back end, compilation.",
        ),
        hold=2 * _PATIENCE_SECONDS,
    )


def _refused(spec: Spec) -> Alert:
    return _alert(
        spec,
        names.SERIES_REFUSED_ALERT,
        names.SERIES_REFUSED_RUNBOOK,
        risen(metrics.SERIES_REFUSED, spec.selector, (), _WINDOW),
        (
            f"{spec.service}: {COUNT} series refused by the hard cap",
            "New models, releases or layers are not exported. Usual causes: a version label that changes at each start "
            "or debug series left on. Look for the label with the most values, then raise the cap if all are wanted.",
        ),
        hold=0,
    )


def _errors(spec: Spec) -> Alert:
    by = (labels.SIGNAL, labels.MODEL, labels.MODEL_VERSION)
    return _alert(
        spec,
        names.PROBE_ERRORS_ALERT,
        names.PROBE_ERRORS_RUNBOOK,
        risen(metrics.PROBE_ERRORS, spec.selector, by, _WINDOW),
        (
            f"{SUBJECT}: the probe switched {shown(labels.SIGNAL)} off after {COUNT} errors of its own",
            "The model is not affected; this signal is not watched until the process restarts. The process log has the "
            "trace. Report it with the versions of torch, transformers and Locant.",
        ),
        hold=0,
    )


def _exports(spec: Spec) -> Alert:
    failed = {labels.OUTCOME.name: "error", **spec.selector}
    return _alert(
        spec,
        names.EXPORT_ERRORS_ALERT,
        names.EXPORT_ERRORS_RUNBOOK,
        risen(metrics.EXPORTS, failed, (labels.EXPORTER,), _WINDOW),
        (
            f"{spec.service}: {COUNT} exports to {shown(labels.EXPORTER)} failed in {_WINDOW}",
            "Dashboards fed by it are out of date. Usual causes: the collector is down, an address or a token changed.",
        ),
        hold=2 * _PATIENCE_SECONDS,
    )
