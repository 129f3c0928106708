"""An objective's traffic as a Prometheus remembers it."""

from __future__ import annotations

from locant_alerts.history.api import Prometheus
from locant_alerts.history.counters import Grid, Series, histories
from locant_alerts.history.excluded import without_all_excluded
from locant_alerts.history.sources import counters, looks
from locant_alerts.history.stretch import History
from locant_slo.errors import ConfigError
from locant_slo.spec import Objective, Spec


def read_prometheus(prometheus: Prometheus, spec: Spec, objective: Objective, grid: Grid) -> tuple[History, ...]:
    """One history for each group that reported the indicator. Raises ConfigError when none did."""
    found = found_in_prometheus(prometheus, spec, objective, grid)
    if not found:
        pair = counters(spec, objective) or looks(spec, objective).pair
        raise ConfigError(f"{prometheus.url}: has no sample of {pair.events} in this time; check the spec's selector")
    return found


def found_in_prometheus(prometheus: Prometheus, spec: Spec, objective: Objective, grid: Grid) -> tuple[History, ...]:
    """The same, and nothing where nobody reported. What the spec excludes counts nothing."""
    return without_all_excluded(_counted(prometheus, spec, objective, grid), prometheus, spec, grid)


def _counted(prometheus: Prometheus, spec: Spec, objective: Objective, grid: Grid) -> tuple[History, ...]:
    pair = counters(spec, objective)
    if pair is not None:
        events, bad = prometheus.range(pair.events, grid), prometheus.range(pair.bad, grid)
        return histories(events, bad, objective.group, grid)
    seen = looks(spec, objective)
    weight = seen.per_step(grid.step_seconds)
    events, bad = (
        [_running(series, weight) for series in prometheus.range(text, grid)]
        for text in (seen.pair.events, seen.pair.bad)
    )
    return histories(events, bad, objective.group, grid)


def _running(series: Series, weight: float) -> Series:
    """Numbers of each look as a counter that grows by them."""
    total, samples = 0.0, []
    for seconds, value in series.samples:
        total += weight * value if value > 0 else 0.0
        samples.append((seconds, total))
    return Series(series.labels, samples)
