"""What a picture of a backtest shows, as numbers: ratios, thresholds, firings, incidents and the budget over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from locant_alerts.history import History
from locant_alerts.replay import Firing, Sums
from locant_slo import burn
from locant_slo.spec import Objective

MOST_COLUMNS = 480
INCIDENT = "incident"


@dataclass(frozen=True, slots=True)
class Column:
    """A part of the time: where it ends, in seconds from the start, and what was counted in it.

    `error_ratio` is None where nothing happened. `budget_remaining` is a share of the window's budget, negative when
    overspent; None before the first event.
    """

    end_seconds: float
    events_per_second: float
    error_ratio: float | None
    budget_remaining: float | None


@dataclass(frozen=True, slots=True)
class Lane:
    """A row of bars: a tier with its firings, or the incidents. Spans are in seconds from the start."""

    name: str
    severity: str
    spans: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """One group's stretch of time, reduced to what a picture can show. `start_seconds` is None where there was none."""

    title: str
    seconds: float
    start_seconds: float | None
    columns: tuple[Column, ...]
    thresholds: tuple[tuple[str, float], ...]
    lanes: tuple[Lane, ...]


def timeline(objective: Objective, history: History, firings: Sequence[Firing], title: str) -> Timeline:
    """The picture of one history."""
    step = history.traffic.step_seconds
    tiers = objective.alerting.tiers
    lanes = [
        Lane(tier.name, tier.severity, tuple((f.start * step, f.end * step) for f in firings if f.tier == tier.name))
        for tier in tiers
    ]
    if history.incidents is not None:
        lanes.insert(0, Lane(INCIDENT, INCIDENT, tuple((a * step, b * step) for a, b in history.incidents)))
    return Timeline(
        title=title,
        seconds=history.seconds,
        start_seconds=history.start_seconds or None,
        columns=_columns(objective, history),
        thresholds=tuple((t.name, float(burn.threshold(t, objective.target, objective.window))) for t in tiers),
        lanes=tuple(lanes),
    )


def _columns(objective: Objective, history: History) -> tuple[Column, ...]:
    sums = Sums(history.traffic)
    steps = len(history.traffic.events)
    count = min(MOST_COLUMNS, steps)
    edges = [steps * n // count for n in range(count + 1)] if count else []
    usual = sums.events[-1] * objective.window / history.seconds if count else 0.0
    return tuple(_column(objective, sums, usual, start, end) for start, end in pairwise(edges))


def _column(objective: Objective, sums: Sums, usual: float, start: int, end: int) -> Column:
    """Its budget is that of a whole window at the usual traffic: two hours of data have not the budget of two hours."""
    events, bad = sums.events[end] - sums.events[start], sums.bad[end] - sums.bad[start]
    spent, seen = sums.window(end, objective.window)
    allowed = max(seen, usual) * float(1 - objective.target)
    return Column(
        end_seconds=end * sums.step_seconds,
        events_per_second=events / ((end - start) * sums.step_seconds),
        error_ratio=bad / events if events else None,
        budget_remaining=1 - spent / allowed if seen else None,
    )
