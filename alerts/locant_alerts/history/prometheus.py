"""An objective's traffic as a Prometheus remembers it."""

from __future__ import annotations

from locant_alerts.history.api import Prometheus
from locant_alerts.history.counters import Grid, histories
from locant_alerts.history.stretch import History
from locant_alerts.series import GROUP, raw
from locant_slo.catalogue import metrics
from locant_slo.errors import ConfigError
from locant_slo.spec import Objective, Spec


def read_prometheus(prometheus: Prometheus, spec: Spec, objective: Objective, grid: Grid) -> tuple[History, ...]:
    """One history for each group that reported the indicator. Raises ConfigError when none did."""
    found = found_in_prometheus(prometheus, spec, objective, grid)
    if not found:
        selector = raw(metrics.SLI_EVENTS, spec, objective)
        raise ConfigError(f"{prometheus.url}: has no sample of {selector} in this time; check the spec's selector")
    return found


def found_in_prometheus(prometheus: Prometheus, spec: Spec, objective: Objective, grid: Grid) -> tuple[History, ...]:
    """The same, and nothing where nobody reported."""
    events, bad = (raw(metric, spec, objective) for metric in (metrics.SLI_EVENTS, metrics.SLI_BAD_EVENTS))
    by = [label.name for label in GROUP]
    return histories(prometheus.range(events, grid), prometheus.range(bad, grid), by, grid)
