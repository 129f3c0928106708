"""Synthetic trouble for the fault and health alerts."""

from __future__ import annotations

from collections.abc import Iterator

from locant_alerts.scenario import SUBJECT, Check, Scenario, firing, quiet, steps
from locant_slo import names, promql
from locant_slo.catalogue import Metric, labels, metrics
from locant_slo.findings import FailureMode, Severity
from locant_slo.indicators import FROM_CANARY
from locant_slo.spec import Spec

_LONGEST_STEPS = 400
_SETTLED_SECONDS = 1_500
"""After this long an old count is no news any more: window, keep-firing time and some slack."""


def fault_scenarios(spec: Spec, step: int) -> Iterator[Scenario]:
    """Each failure mode names itself at once, as page or ticket, also when it was there from the first scrape."""
    settled = steps(_SETTLED_SECONDS, step)
    histories = {
        "a first finding": ("0x9 1x5", Severity.PAGE, 10),
        "a first finding for a ticket": ("0x9 1x5", Severity.TICKET, 10),
        "a finding before the first scrape": ("_x10 1x5", Severity.PAGE, 10),
        "one more finding after a restart": (f"5x{settled} 0x1 1x5", Severity.PAGE, settled + 3),
    }
    for name, (values, severity, at) in histories.items():
        series = tuple((_finding(spec, mode, severity), values) for mode in FailureMode)
        fires = tuple(({names.FAULT: mode.word, names.SEVERITY: severity.value}, 1.0) for mode in FailureMode)
        yield Scenario(f"faults: {name}", series, (_by_fault(spec, at - 1), _by_fault(spec, at, fires)))
    info = tuple((_finding(spec, mode, Severity.INFO), "0x9 1x5") for mode in FailureMode)
    yield Scenario("faults: findings that only inform", info, (_by_fault(spec, 15),))


def _finding(spec: Spec, mode: FailureMode, severity: Severity) -> str:
    what = {labels.FAILURE_MODE.name: mode.value, labels.SEVERITY.name: severity.value, labels.CHECK.name: "tested"}
    return promql.selector(metrics.FINDINGS, {**what, **SUBJECT, **spec.selector})


def _by_fault(spec: Spec, step: int, samples: tuple[tuple[dict[str, str], float], ...] = ()) -> Check:
    which = {"alertname": names.FINDING_ALERT, names.SERVICE: spec.service, "alertstate": "firing"}
    by = promql.grouping((names.FAULT, names.SEVERITY))
    return Check(f"count {by} ({promql.selector('ALERTS', which)})", step, samples)


def health_scenarios(spec: Spec, step: int) -> Iterator[Scenario]:
    """Each alert on Locant itself fires on its trouble; none does while all is well."""
    if not spec.health.enabled:
        return
    hold = steps(300, step)
    window = steps(600, step)
    yield from _silence(spec, step, hold)
    dropped = _series(spec, metrics.OBSERVATIONS_DROPPED, {labels.REASON.name: "queue_full"})
    fires = 10 + window + hold
    lost = ((dropped, f"0x9 5+5x{fires}"), (_series(spec, metrics.OBSERVATIONS), f"0+10x{10 + fires}"))
    yield _trouble(spec, names.DROPS_ALERT, lost, fires)
    late = spec.health.observation_late_after
    lag = _series(spec, metrics.OBSERVATION_LAG)
    yield _trouble(spec, names.LAG_ALERT, ((lag, f"{late}x9 {late + 1}x{hold}"),), 10 + hold)
    coverage = _series(spec, metrics.WATCH_COVERAGE, {labels.SIGNAL.name: "mask"})
    low = float(spec.health.coverage_kept_ratio) * 0.1
    yield _trouble(spec, names.COVERAGE_ALERT, ((coverage, f"1x9 {low:g}x{2 * hold}"),), 10 + 2 * hold)
    refused = _series(spec, metrics.SERIES_REFUSED)
    yield _trouble(spec, names.SERIES_REFUSED_ALERT, ((refused, "0x9 1x5"),), 10)
    errors = _series(spec, metrics.PROBE_ERRORS, {labels.SIGNAL.name: "attention"})
    yield _trouble(spec, names.PROBE_ERRORS_ALERT, ((errors, "_x10 1x5"),), 10)
    yield from _overhead(spec, step)
    exports = _series(spec, metrics.EXPORTS, {labels.EXPORTER.name: "otlp", labels.OUTCOME.name: "error"})
    yield _trouble(spec, names.EXPORT_ERRORS_ALERT, ((exports, f"0x9 1+1x{2 * hold}"),), 10 + 2 * hold)
    stale = steps(spec.health.canary_stale_after, step) + hold + 2
    if stale <= _LONGEST_STEPS:
        ran = _series(spec, metrics.CANARY_LAST_RUN)
        yield _trouble(spec, names.STALE_CANARY_ALERT, ((ran, f"1x{stale}"),), stale)
        if any(objective.indicator.id in FROM_CANARY for objective in spec.objectives):
            heard = _series(spec, metrics.LAST_OBSERVATION), f"0+{step}x{stale}"
            yield _trouble(spec, names.STALE_CANARY_ALERT, (heard,), stale, "never")
            ran_once = ran, f"_x5 1x{stale}"
            quiet_then = (quiet(stale, names.STALE_CANARY_ALERT, {**_who(spec), names.CAUSE: "never"}),)
            yield Scenario(f"{names.STALE_CANARY_ALERT}, never, and then it ran", (heard, ran_once), quiet_then)


def _silence(spec: Spec, step: int, hold: int) -> Iterator[Scenario]:
    last = _series(spec, metrics.LAST_OBSERVATION)
    stale = steps(spec.health.probe_silent_after, step) + hold + 1
    if stale <= _LONGEST_STEPS:
        yield _trouble(spec, names.SILENT_PROBE_ALERT, ((last, f"0x{stale}"),), stale, "stale")
    heard = f"0+{step}x9 stale"
    yield _trouble(spec, names.SILENT_PROBE_ALERT, ((last, heard),), 10 + hold, "vanished")
    yield _trouble(spec, names.SILENT_PROBE_ALERT, (), 3 * hold, "absent")


def _overhead(spec: Spec, step: int) -> Iterator[Scenario]:
    """A probe above its share tells, once passes come; an idle model keeps its last ratio, and is left alone."""
    hold, window = steps(600, step), steps(600, step)
    limit = float(spec.health.overhead_ratio)
    fires = 10 + window + hold
    ratio = _series(spec, metrics.PROBE_OVERHEAD), f"{limit / 2:g}x9 {1.01 * limit:g}x{fires}"
    passes = _series(spec, metrics.FORWARD_PASSES, {labels.PHASE.name: "decode", labels.OUTCOME.name: "ok"})
    yield _trouble(spec, names.OVERHEAD_ALERT, (ratio, (passes, f"0+10x{fires}")), fires)
    who = _who(spec)
    idle = (quiet(fires, names.OVERHEAD_ALERT, who),)
    yield Scenario(f"{names.OVERHEAD_ALERT}, idle", (ratio, (passes, f"10x{fires}")), idle)


def _trouble(spec: Spec, alert: str, series: tuple[tuple[str, str], ...], fires: int, cause: str = "") -> Scenario:
    who = _who(spec) | ({names.CAUSE: cause} if cause else {})
    return Scenario(
        f"{alert}{f', {cause}' if cause else ''}", series, (quiet(8, alert, who), firing(fires, alert, who))
    )


def _who(spec: Spec) -> dict[str, str]:
    return {names.SERVICE: spec.service}


def _series(spec: Spec, metric: Metric, more: dict[str, str] | None = None) -> str:
    subject = SUBJECT if labels.MODEL in metric.labels else {}
    return promql.selector(metric, {**(more or {}), **subject, **spec.selector})
