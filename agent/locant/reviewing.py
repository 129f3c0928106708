"""Gathers what the weekly review needs, from a Prometheus or from a file of counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from locant.backtesting import read_known
from locant_alerts.history.api import Prometheus
from locant_alerts.history.counters import Grid
from locant_alerts.history.prometheus import found_in_prometheus
from locant_alerts.review.events import findings, fired_alerts, releases, rules_are_loaded
from locant_alerts.review.report import Review
from locant_slo.spec import Objective, Spec

STEP_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Period:
    """The time under review."""

    seconds: int
    end_seconds: float

    def grid(self, objectives: Sequence[Objective]) -> Grid:
        """Back over the longest window and the period before, in steps that count well and cost little."""
        longest = max(2 * self.seconds, *(objective.longest_window for objective in objectives))
        steps = math.ceil(longest / STEP_SECONDS)
        return Grid(self.end_seconds - steps * STEP_SECONDS, STEP_SECONDS, steps)


def review_prometheus(url: str, headers: Mapping[str, str], spec: Spec, period: Period) -> Review:
    """The review of a service by what its Prometheus remembers."""
    start, end = period.end_seconds - period.seconds, period.end_seconds
    grid = period.grid(spec.objectives)
    twice = math.ceil(2 * period.seconds / STEP_SECONDS)
    recent = Grid(end - twice * STEP_SECONDS, STEP_SECONDS, twice)
    with Prometheus(url, headers) as prometheus:
        return Review(
            spec,
            period.seconds,
            end,
            [(one, found_in_prometheus(prometheus, spec, one, grid)) for one in spec.objectives],
            fired_alerts(prometheus, spec, start, end) if rules_are_loaded(prometheus, spec, end) else None,
            releases(prometheus, spec, start, recent),
            findings(prometheus, spec, start, recent),
        )


def review_csv(path: Path, spec: Spec, objective: Objective, seconds: int) -> Review:
    """The review of one objective by a file of counts, which knows neither alerts nor releases nor findings."""
    (history,) = read_known(path, spec)
    return Review(spec, seconds, history.start_seconds + history.seconds, [(objective, (history,))])
