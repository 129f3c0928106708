"""What happened in a period, as a Prometheus remembers it: alerts that fired, releases, findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from locant_alerts.history.api import Prometheus
from locant_alerts.history.counters import Grid, Series, increments
from locant_alerts.series import GROUP
from locant_slo import names, promql
from locant_slo.catalogue import labels, metrics
from locant_slo.spec import Spec

ALERTS = "ALERTS"
_ABOUT = ("alertname", names.SLO, names.TIER, names.SEVERITY)
_ALERT_STEP_SECONDS, _RELEASE_STEP_SECONDS = 60, 300
_PATIENCE_STEPS = 6
"""A release that is seen within the first half hour of what was read may be older."""


@dataclass(frozen=True, slots=True)
class Fired:
    """One alert that fired from one moment to another."""

    alert: str
    slo: str
    tier: str
    severity: str
    labels: Mapping[str, str]
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Released:
    """A release that was first seen in the period."""

    model: str
    version: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """Occurrences of a failure mode in the period and in the one before."""

    failure_mode: str
    severity: str
    count: int
    count_before: int


def rules_are_loaded(prometheus: Prometheus, spec: Spec, at_seconds: float) -> bool:
    """Whether this Prometheus evaluates the rules of the spec: without them, no alert means nothing."""
    return bool(prometheus.instant(promql.selector(names.OBJECTIVE, {names.SERVICE: spec.service}), at_seconds))


def fired_alerts(prometheus: Prometheus, spec: Spec, start_seconds: float, end_seconds: float) -> list[Fired]:
    """Every alert of the service that fired, in order of time."""
    steps = max(1, round((end_seconds - start_seconds) / _ALERT_STEP_SECONDS))
    grid = Grid(end_seconds - steps * _ALERT_STEP_SECONDS, _ALERT_STEP_SECONDS, steps)
    firing = promql.selector(ALERTS, {"alertstate": "firing", names.SERVICE: spec.service})
    found = [fired for series in prometheus.range(firing, grid) for fired in _fired(series)]
    return sorted(found, key=lambda one: (one.start_seconds, one.alert, one.tier, sorted(one.labels.items())))


def _fired(series: Series) -> Iterator[Fired]:
    about = series.labels
    alert, slo, tier, severity = (about.get(name, "") for name in _ABOUT)
    for start, end in _stretches([seconds for seconds, _ in series.samples], _ALERT_STEP_SECONDS):
        yield Fired(alert, slo, tier, severity, about, start, end)


def _stretches(moments: Sequence[float], step: int) -> Iterator[tuple[float, float]]:
    """Where consecutive moments begin and end."""
    start = before = None
    for moment in moments:
        if start is None or before is None:
            start = moment
        elif moment - before > 1.5 * step:
            yield start, before + step
            start = moment
        before = moment
    if start is not None and before is not None:
        yield start, before + step


def releases(prometheus: Prometheus, spec: Spec, start_seconds: float, grid: Grid) -> list[Released]:
    """Releases whose first report in the grid stands after `start_seconds` and not at its very beginning."""
    query = f"group {promql.grouping(GROUP)} ({promql.selector(metrics.LAST_OBSERVATION, spec.selector)})"
    found = []
    for series in prometheus.range(query, grid):
        first = series.samples[0][0]
        if first >= start_seconds and first > grid.start_seconds + _PATIENCE_STEPS * _RELEASE_STEP_SECONDS:
            model, version = (series.labels.get(label.name, "") for label in GROUP)
            found.append(Released(model, version, first))
    return sorted(found, key=lambda one: (one.seconds, one.model, one.version))


def findings(prometheus: Prometheus, spec: Spec, start_seconds: float, grid: Grid) -> list[Found]:
    """Occurrences by failure mode and severity, worst first.

    A finding's counter is born with its first occurrence: where a series begins in the grid, its first value counts.
    """
    counts: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for series in prometheus.range(promql.selector(metrics.FINDINGS, spec.selector), grid):
        key = _mode(series.labels)
        for seconds, count in _risen(series, grid):
            counts[key][seconds < start_seconds] += count
    rows = [Found(*key, round(now), round(before)) for key, (now, before) in counts.items() if now or before]
    return sorted(rows, key=lambda row: (_URGENCY.get(row.severity, 9), -row.count, row.failure_mode))


_URGENCY = {"page": 0, "ticket": 1, "info": 2}


def _mode(about: Mapping[str, str]) -> tuple[str, str]:
    return about.get(labels.FAILURE_MODE.name, ""), about.get(labels.SEVERITY.name, "")


def _risen(series: Series, grid: Grid) -> Iterator[tuple[float, float]]:
    first, value = series.samples[0]
    if first > grid.start_seconds:
        yield first, value
    yield from increments(series.samples)
