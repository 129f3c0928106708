"""How good a tier would have been over known incidents: detection, reset, precision, recall, budget spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from locant_alerts.history import Incident
from locant_alerts.replay import Firing, Traffic, replay
from locant_slo.durations import format_duration
from locant_slo.spec import Objective, Tier

_WEEK_SECONDS = 604_800


@dataclass(frozen=True, slots=True)
class TierScore:
    """One tier over a stretch of traffic. Times and budgets are of the detected incidents, in their order.

    `precision`: share of firings that touch an incident or its aftermath (the long window); None without firings.
    `recall`: share of incidents during which it fired; None without incidents.
    """

    tier: str
    firings: int
    firings_per_week: float
    precision: float | None
    recall: float | None
    detection_seconds: tuple[int, ...]
    reset_seconds: tuple[int, ...]
    budget_spent: tuple[float, ...]


def score(objective: Objective, traffic: Traffic, incidents: Sequence[Incident]) -> tuple[TierScore, ...]:
    """The score of each tier."""
    firings = replay(objective, traffic)
    return tuple(
        _score(objective, tier, traffic, incidents, [firing for firing in firings if firing.tier == tier.name])
        for tier in objective.alerting.tiers
    )


def _score(
    objective: Objective, tier: Tier, traffic: Traffic, incidents: Sequence[Incident], firings: Sequence[Firing]
) -> TierScore:
    step = traffic.step_seconds
    found = [(incident, firing) for incident in incidents if (firing := _first(incident, firings))]
    aftermath = tier.long // step
    true = sum(any(f.start <= end + aftermath and f.end > start for start, end in incidents) for f in firings)
    weeks = len(traffic.events) * step / _WEEK_SECONDS
    return TierScore(
        tier=tier.name,
        firings=len(firings),
        firings_per_week=len(firings) / weeks if weeks else 0.0,
        precision=true / len(firings) if firings else None,
        recall=len(found) / len(incidents) if incidents else None,
        detection_seconds=tuple(max(0, firing.start - start) * step for (start, _), firing in found),
        reset_seconds=tuple(max(0, firing.end - end) * step for (_, end), firing in found),
        budget_spent=tuple(_spent(objective, traffic, start, firing.start) for (start, _), firing in found),
    )


def _first(incident: Incident, firings: Sequence[Firing]) -> Firing | None:
    start, end = incident
    return next((firing for firing in firings if firing.start <= end and firing.end > start), None)


def _spent(objective: Objective, traffic: Traffic, start: int, end: int) -> float:
    """Share of the window's budget that went between two steps, at the traffic's mean rate."""
    mean = sum(traffic.events) / len(traffic.events)
    allowed = float(1 - objective.target) * mean * objective.window / traffic.step_seconds
    return sum(traffic.bad[start:end]) / allowed if allowed else 0.0


def render(scores: Sequence[TierScore]) -> str:
    """The scores as a Markdown table."""
    head = ("tier", "fired", "a week", "precision", "recall", "detected after", "reset after", "budget spent")
    rows = [head, ("---",) * len(head), *(_row(item) for item in scores)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _row(item: TierScore) -> tuple[str, ...]:
    return (
        item.tier,
        str(item.firings),
        f"{item.firings_per_week:.2g}",
        _share(item.precision),
        _share(item.recall),
        _range([format_duration(seconds) if seconds else "0s" for seconds in sorted(item.detection_seconds)]),
        _range([format_duration(seconds) if seconds else "0s" for seconds in sorted(item.reset_seconds)]),
        _range([f"{spent:.1%}" for spent in sorted(item.budget_spent)]),
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _range(values: Sequence[str]) -> str:
    if not values:
        return "-"
    return values[0] if values[0] == values[-1] else f"{values[0]} to {values[-1]}"
