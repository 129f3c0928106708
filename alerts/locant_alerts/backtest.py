"""How good a tier would have been over known incidents: detection, reset, precision, recall, budget spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from locant_alerts.history import History, Incident
from locant_alerts.replay import Firing, Traffic, replay
from locant_slo.durations import format_duration, spoken_duration
from locant_slo.errors import ConfigError
from locant_slo.spec import Objective, Tier

_WEEK_SECONDS = 604_800


@dataclass(frozen=True, slots=True)
class TierScore:
    """One tier over a stretch of traffic. Times are of the detected incidents, in their order.

    `precision`: share of firings that touch an incident or its aftermath (the long window); None without firings.
    `recall`: share of incidents during which it fired; None without incidents. Both are None where nobody knows the
    incidents. `budget_spent`: share of the window's budget gone from an incident's start until it was detected; where
    nobody knows the incidents, in the long window before each firing.
    """

    tier: str
    firings: int
    firings_per_week: float
    precision: float | None
    recall: float | None
    detection_seconds: tuple[int, ...]
    reset_seconds: tuple[int, ...]
    budget_spent: tuple[float, ...]


def check_step(objective: Objective, step_seconds: int) -> None:
    """Raise ConfigError when a window of the alerts is no whole number of steps: the replay would cut it short."""
    for tier in objective.alerting.tiers:
        for window in (tier.short, tier.long):
            if window % step_seconds:
                raise ConfigError(
                    f"steps of {format_duration(step_seconds)}: tier {tier.name} of {objective.name} looks at "
                    f"{format_duration(window)}, which is no whole number of them; choose a step that divides it"
                )


def score(objective: Objective, histories: Sequence[History]) -> tuple[TierScore, ...]:
    """The score of each tier over groups of the same time and the same incidents: what one team is told."""
    fired = [(history, firing) for history in histories for firing in replay(objective, history.traffic)]
    return tuple(
        _score(objective, tier, histories, sorted(_of(tier, fired), key=lambda pair: pair[1].start))
        for tier in objective.alerting.tiers
    )


_Fired = tuple[History, Firing]


def _of(tier: Tier, fired: Sequence[_Fired]) -> list[_Fired]:
    return [(history, firing) for history, firing in fired if firing.tier == tier.name]


def _score(objective: Objective, tier: Tier, histories: Sequence[History], fired: Sequence[_Fired]) -> TierScore:
    step = histories[0].traffic.step_seconds
    incidents = histories[0].incidents
    found = [(incident, *pair) for incident in incidents or () if (pair := _first(incident, fired))]
    aftermath = tier.long // step
    true = sum(any(f.start <= end + aftermath and f.end > start for start, end in incidents or ()) for _, f in fired)
    weeks = histories[0].seconds / _WEEK_SECONDS
    spans = [(history, start, firing.start) for (start, _), history, firing in found]
    if incidents is None:
        spans = [(history, max(0, firing.start - aftermath), firing.start) for history, firing in fired]
    return TierScore(
        tier=tier.name,
        firings=len(fired),
        firings_per_week=len(fired) / weeks if weeks else 0.0,
        precision=true / len(fired) if fired and incidents is not None else None,
        recall=len(found) / len(incidents) if incidents else None,
        detection_seconds=tuple(max(0, firing.start - start) * step for (start, _), _, firing in found),
        reset_seconds=tuple(max(0, firing.end - end) * step for (_, end), _, firing in found),
        budget_spent=tuple(_spent(objective, history.traffic, start, end) for history, start, end in spans),
    )


def _first(incident: Incident, fired: Sequence[_Fired]) -> _Fired | None:
    start, end = incident
    return next((pair for pair in fired if pair[1].start <= end and pair[1].end > start), None)


def _spent(objective: Objective, traffic: Traffic, start: int, end: int) -> float:
    """Share of the window's budget that went between two steps, at the traffic's mean rate."""
    mean = sum(traffic.events) / len(traffic.events)
    allowed = float(1 - objective.target) * mean * objective.window / traffic.step_seconds
    return sum(traffic.bad[start:end]) / allowed if allowed else 0.0


HEAD = ("tier", "fired", "a week", "precision", "recall", "detected after", "reset after", "budget spent")


def cells(item: TierScore) -> tuple[str, ...]:
    """One score as the words below `HEAD`."""
    return (
        item.tier,
        str(item.firings),
        f"{item.firings_per_week:.2g}",
        _share(item.precision),
        _share(item.recall),
        _range([spoken_duration(seconds) for seconds in sorted(item.detection_seconds)]),
        _range([spoken_duration(seconds) for seconds in sorted(item.reset_seconds)]),
        _range([f"{spent:.1%}" for spent in sorted(item.budget_spent)]),
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _range(values: Sequence[str]) -> str:
    if not values:
        return "-"
    return values[0] if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def incident_rows(objective: Objective, histories: Sequence[History]) -> list[tuple[str, ...]]:
    """Each known incident: when, how long, and after what time each tier fired."""
    first = histories[0]
    step = first.traffic.step_seconds
    fired = [(history, firing) for history in histories for firing in replay(objective, history.traffic)]
    fired.sort(key=lambda pair: pair[1].start)
    rows = []
    for index, (start, end) in enumerate(first.incidents or ()):
        after = [_after((start, end), tier.long // step, step, _of(tier, fired)) for tier in objective.alerting.tiers]
        name = first.incident_names[index] if first.incident_names else first.moment(start)
        rows.append((name, spoken_duration((end - start) * step), *after))
    return rows


def _after(incident: Incident, aftermath: int, step: int, fired: Sequence[_Fired]) -> str:
    """After what time it fired; `late` says that the incident was over by then, but still in the long window."""
    start, end = incident
    if pair := _first(incident, fired):
        return spoken_duration(max(0, pair[1].start - start) * step)
    late = next((firing for _, firing in fired if end < firing.start <= end + aftermath), None)
    return f"{spoken_duration((late.start - start) * step)} (late)" if late else "missed"
