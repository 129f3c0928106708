"""Recording rules: counts first, then their ratio. Averaging ratios is how a month goes wrong by a factor of 140."""

from __future__ import annotations

from decimal import Decimal

from locant_alerts.model import Recording
from locant_alerts.series import (
    GROUP,
    LONGEST_RAW_SECONDS,
    base_interval_seconds,
    identity,
    number,
    raw,
    recorded,
)
from locant_slo import burn, names, promql
from locant_slo.catalogue import labels, metrics
from locant_slo.durations import format_duration
from locant_slo.spec import Objective, Spec


def window_rules(spec: Spec, objective: Objective, window: int) -> tuple[Recording, ...]:
    """Bad events, all events and their ratio over one window.

    The ratio is absent where nothing happened, never NaN: dividing by `total > 0` drops the idle ones.
    """
    bad, events = counts(spec, objective, window)
    ratio = (
        f"{recorded(names.BAD_INCREASE, spec, objective, window)}"
        f" / ({recorded(names.EVENTS_INCREASE, spec, objective, window)} > 0)"
    )
    rows = ((names.BAD_INCREASE, bad), (names.EVENTS_INCREASE, events), (names.ERROR_RATIO, ratio))
    text = format_duration(window)
    return tuple(Recording(name.format(window=text), expr, identity(spec, objective)) for name, expr in rows)


def counts(spec: Spec, objective: Objective, window: int) -> tuple[str, str]:
    """PromQL for the bad and for all events of a window, by model and release."""
    if window > LONGEST_RAW_SECONDS:
        return _summed(names.BAD_INCREASE, spec, objective, window), _summed(
            names.EVENTS_INCREASE, spec, objective, window
        )
    over = format_duration(window)
    by = promql.grouping(GROUP)
    bad = f"sum {by} (increase({raw(metrics.SLI_BAD_EVENTS, spec, objective, window=over)}))"
    events = f"sum {by} (increase({raw(metrics.SLI_EVENTS, spec, objective, window=over)}))"
    return f"{bad} or 0 * {events}", events


def _summed(name: str, spec: Spec, objective: Objective, window: int) -> str:
    """The sum of the recorded base counts, each weighed with the share of it that the next one does not repeat."""
    over = format_duration(window)
    base = recorded(name, spec, objective, burn.BASE_WINDOW_SECONDS, over=over)
    share = Decimal(base_interval_seconds(spec)) / burn.BASE_WINDOW_SECONDS
    return f"sum_over_time({base}) * {number(share)}"


def budget_rules(spec: Spec, objective: Objective) -> tuple[Recording, ...]:
    """Objective, budget remaining and info, each without a window label."""
    who = identity(spec, objective)
    by = promql.grouping((*who, labels.MODEL))
    bad = f"sum {by} ({recorded(names.BAD_INCREASE, spec, objective, objective.window)})"
    events = f"sum {by} ({recorded(names.EVENTS_INCREASE, spec, objective, objective.window)})"
    about = {
        **spec.labels,
        **objective.labels,
        **who,
        names.TEAM: spec.team,
        names.TARGET: number(objective.target),
        names.WINDOW: format_duration(objective.window),
    }
    return (
        Recording(names.BUDGET_REMAINING, f"1 - {bad} / ({events} > 0) / {number(1 - objective.target)}", who),
        Recording(names.OBJECTIVE, f"vector({number(objective.target)})", who),
        Recording(names.SLO_INFO, "vector(1)", about),
    )


def burn_rate_rule(spec: Spec, objective: Objective) -> Recording:
    """How many times faster than sustainable the budget burns right now."""
    ratio = recorded(names.ERROR_RATIO, spec, objective, burn.burn_rate_window(objective))
    return Recording(names.BURN_RATE, f"{ratio} / {number(1 - objective.target)}", identity(spec, objective))
