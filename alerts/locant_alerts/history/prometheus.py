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
    """One history for each model and release that reported the indicator. Raises ConfigError when none did."""
    events, bad = (raw(metric, spec, objective) for metric in (metrics.SLI_EVENTS, metrics.SLI_BAD_EVENTS))
    by = [label.name for label in GROUP]
    found = histories(prometheus.range(events, grid), prometheus.range(bad, grid), by, grid)
    if not found:
        raise ConfigError(f"{prometheus.url}: has no sample of {events} in this time; check the spec's selector")
    return found
