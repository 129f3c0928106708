"""Synthetic incidents for the burn-rate alerts, with the step at which each tier must fire by arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from locant_alerts.scenario import SUBJECT, Check, Scenario, firing, quiet, steps
from locant_alerts.series import number, recorded
from locant_slo import burn, names, promql
from locant_slo.catalogue import labels, metrics
from locant_slo.durations import format_duration
from locant_slo.spec import Objective, Spec, Tier

_CLEAN_STEPS = 40
_CALM_STEPS = 50
_LONGEST_CLEARING_STEPS = 90
_MARGIN = Decimal("0.005")
_SPEEDS = tuple(Decimal(text) for text in ("2.3", "2.7", "1.9", "1.7", "1.5", "1.3", "1.1", "1.05"))


@dataclass(frozen=True, slots=True)
class Incident:
    """After a clean stretch, `error_ratio` of the events go bad; `crossing` steps on, the windows are over."""

    error_ratio: Decimal
    crossing: int
    events_per_step: int


def incident(objective: Objective, tier: Tier, step: int) -> Incident:
    """An incident that crosses a tier's threshold clearly between two steps, so that rounding cannot move it."""
    limit = burn.threshold(tier, objective.target, objective.window)
    ratios = [(limit * speed).quantize(Decimal("0.000001")) for speed in _SPEEDS if limit * speed < 1] + [Decimal(1)]
    crossings = [(ratio, _crossing(limit, ratio, steps(tier.long, step))) for ratio in ratios]
    ratio, crossing = next(((r, found) for r, found in crossings if found), (Decimal(1), steps(tier.long, step)))
    enough = 10 * objective.alerting.minimum_bad_events
    return Incident(ratio, crossing, int(enough / ratio) + 1)


def _crossing(limit: Decimal, ratio: Decimal, long: int) -> int | None:
    """Steps until the long window is over the limit, and so the short one; None when that is a near thing."""
    for after in range(1, long + 1):
        reached = ratio * after / min(long, _CLEAN_STEPS + after)
        if abs(reached / limit - 1) < _MARGIN:
            return None
        if reached > limit:
            return after
    return None


def tier_scenario(spec: Spec, objective: Objective, tier: Tier, step: int) -> Scenario:
    """The tier fires at the step that the arithmetic says, not one before, and ends after the incident."""
    story = incident(objective, tier, step)
    fires = _CLEAN_STEPS + story.crossing + steps(tier.hold, step)
    over = fires + 5
    clears = over + steps(tier.short, step) + steps(objective.alerting.keep_firing_for, step) + 2
    last = clears if clears - over <= _LONGEST_CLEARING_STEPS else over
    bad = number(story.error_ratio * story.events_per_step)
    alert, who = _alert(objective), {**_who(spec, objective), names.TIER: tier.name}
    checks = (quiet(fires - 1, alert, who), firing(fires, alert, who), firing(over, alert, who))
    ended = (quiet(clears, alert, who),) if last == clears else ()
    series = (
        counter(spec, objective, f"0+{story.events_per_step}x{last}"),
        bad_counter(
            spec, objective, f"0x{_CLEAN_STEPS} {bad}+{bad}x{over - _CLEAN_STEPS - 1} {_rest(bad, over, last)}"
        ),
    )
    return Scenario(f"{objective.name}: tier {tier.name}", series, (*checks, *ended))


def _rest(bad: str, over: int, last: int) -> str:
    total = number(Decimal(bad) * (over - _CLEAN_STEPS))
    return f"{total}x{last - over}" if last > over else ""


def calm_scenarios(spec: Spec, objective: Objective, step: int) -> Iterator[Scenario]:
    """Life as it is, in which no burn-rate alert may fire."""
    last = _CALM_STEPS
    calm = quiet(last, _alert(objective), _who(spec, objective), over=format_duration(last * step))
    if objective.alerting.minimum_bad_events > 1:
        series = (counter(spec, objective, "0x20 2x30"), bad_counter(spec, objective, "0x20 1x30"))
        yield Scenario(f"{objective.name}: one bad event of two", series, (calm,))
    base = recorded(names.ERROR_RATIO, spec, objective, burn.BASE_WINDOW_SECONDS)
    budget = recorded(names.BUDGET_REMAINING, spec, objective)
    never_nan = (Check(f"count({budget} != {budget})", last), Check(f"count({budget})", last, (({}, 1),)))
    rest = steps(burn.BASE_WINDOW_SECONDS, step) + 10
    flat = counter(spec, objective, f"0+10x10 100x{rest} 110+10x{last}")
    absent = Check(f"count({base})", 10 + rest)
    series = (flat, bad_counter(spec, objective, f"0x{last}"))
    yield Scenario(f"{objective.name}: idle, and never NaN", series, (calm, *never_nan, absent))
    pods = (
        counter(spec, objective, "0+10x25 0+10x25", pod="restarted"),
        counter(spec, objective, "0+10x50", pod="steady"),
        bad_counter(spec, objective, "0x25 0x25", pod="restarted"),
        bad_counter(spec, objective, "3x50", pod="steady"),
    )
    yield Scenario(f"{objective.name}: a pod restarts and its counters begin anew", pods, (calm,))
    only = (counter(spec, objective, f"0+10x{last}"),)
    no_errors = Check(f"sum({base})", last, (({}, 0),))
    yield Scenario(f"{objective.name}: no bad event was ever counted", only, (calm, no_errors))


def no_data_scenario(spec: Spec, objective: Objective, step: int) -> Scenario:
    """Nobody reports the indicator."""
    alert = names.NO_DATA_ALERT.format(Slo=names.camel(objective.name))
    after = steps(objective.alerting.no_data.after, step)
    who = _who(spec, objective)
    return Scenario(f"{objective.name}: no data", (), (quiet(after - 1, alert, who), firing(after, alert, who)))


def counter(spec: Spec, objective: Objective, values: str, pod: str = "one") -> tuple[str, str]:
    """The input series of the indicator's events."""
    return _series(metrics.SLI_EVENTS.prometheus_name, spec, objective, pod), values


def bad_counter(spec: Spec, objective: Objective, values: str, pod: str = "one") -> tuple[str, str]:
    """The input series of the indicator's bad events."""
    return _series(metrics.SLI_BAD_EVENTS.prometheus_name, spec, objective, pod), values.strip()


def _series(name: str, spec: Spec, objective: Objective, pod: str) -> str:
    matchers = {labels.INDICATOR.name: objective.indicator, **SUBJECT, "instance": pod, **spec.selector}
    return promql.selector(name, matchers)


def _alert(objective: Objective) -> str:
    return names.BURN_ALERT.format(Slo=names.camel(objective.name))


def _who(spec: Spec, objective: Objective) -> dict[str, str]:
    return {names.SLO: objective.name, names.SERVICE: spec.service}
