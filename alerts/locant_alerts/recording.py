"""Recording rules: counts first, then their ratio. Averaging ratios is how a month goes wrong by a factor of 140."""

from __future__ import annotations

from locant_alerts.model import Recording
from locant_alerts.series import identity, number, recorded
from locant_slo import burn, names, promql
from locant_slo.counts import counts, scope_of
from locant_slo.durations import format_duration
from locant_slo.spec import Objective, Spec

__all__ = ["budget_rules", "burn_rate_rule", "counts", "prepared_rules", "window_rules"]


def prepared_rules(spec: Spec, objective: Objective) -> tuple[Recording, ...]:
    """What an indicator needs recorded before it can count."""
    who = identity(spec, objective)
    return tuple(Recording(name, expr, who) for name, expr in objective.indicator.prepared(scope_of(spec, objective)))


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


def budget_rules(spec: Spec, objective: Objective) -> tuple[Recording, ...]:
    """Objective, budget remaining and info, each without a window label."""
    who = identity(spec, objective)
    by = promql.grouping((*who, *objective.budget_group))
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
