"""Recording rules: counts first, then their ratio. Averaging ratios is how a month goes wrong by a factor of 140."""

from __future__ import annotations

from collections.abc import Iterator

from locant_alerts.model import Recording
from locant_alerts.series import identity, number, recorded
from locant_slo import burn, names, promql
from locant_slo.counts import counts, new_share, scope_of
from locant_slo.durations import format_duration
from locant_slo.exclusions import excludes, masked
from locant_slo.spec import Objective, Spec
from locant_slo.times import Calendar

__all__ = ["budget_rules", "burn_rate_rule", "counts", "prepared_rules", "window_rules"]


def prepared_rules(spec: Spec, objective: Objective) -> tuple[Recording, ...]:
    """What an indicator needs recorded before it can count."""
    who = identity(spec, objective)
    return tuple(Recording(name, expr, who) for name, expr in objective.indicator.prepared(scope_of(spec, objective)))


def window_rules(spec: Spec, objective: Objective, window: int) -> tuple[Recording, ...]:
    """Bad events, all events and their ratio over one window.

    The ratio is absent where nothing happened, never NaN: dividing by `total > 0` drops the idle ones.
    """
    rules = _counts_and_ratio(spec, objective, format_duration(window), *counts(spec, objective, window))
    if window != burn.BASE_WINDOW_SECONDS:
        return rules
    return (*rules, *_excluded_rules(spec, objective), *_period_rules(spec, objective))


def _counts_and_ratio(spec: Spec, objective: Objective, text: str, bad: str, events: str) -> tuple[Recording, ...]:
    names_of_window = [name.format(window=text) for name in (names.BAD_INCREASE, names.EVENTS_INCREASE)]
    ratio = "{} / ({} > 0)".format(*(recorded(name, spec, objective) for name in names_of_window))
    rows = (*zip(names_of_window, (bad, events), strict=True), (names.ERROR_RATIO.format(window=text), ratio))
    return tuple(Recording(name, expr, identity(spec, objective)) for name, expr in rows)


def _excluded_rules(spec: Spec, objective: Objective) -> Iterator[Recording]:
    """The base counts while they do not count, and 0 at other times, so that the series is always there."""
    if not excludes(spec):
        return
    for excluded, name in ((names.EXCLUDED_BAD, names.BAD_INCREASE), (names.EXCLUDED_EVENTS, names.EVENTS_INCREASE)):
        base = recorded(name, spec, objective, burn.BASE_WINDOW_SECONDS)
        picked = " or ".join(f"({reason})" for reason in masked(spec, objective, "and", base))
        full = excluded.format(window=format_duration(burn.BASE_WINDOW_SECONDS))
        yield Recording(full, f"{picked} or 0 * {base}", identity(spec, objective))


def _period_rules(spec: Spec, objective: Objective) -> Iterator[Recording]:
    """The base counts with the calendar's period that they belong to."""
    if objective.calendar is None:
        return
    rows = (
        (names.PERIOD_BAD, names.BAD_INCREASE, names.EXCLUDED_BAD),
        (names.PERIOD_EVENTS, names.EVENTS_INCREASE, names.EXCLUDED_EVENTS),
    )
    for period, name, excluded in rows:
        counted = recorded(name, spec, objective, burn.BASE_WINDOW_SECONDS)
        if excludes(spec):
            counted = f"({counted} - {recorded(excluded, spec, objective, burn.BASE_WINDOW_SECONDS)})"
        full = period.format(window=format_duration(burn.BASE_WINDOW_SECONDS))
        expr = f"{counted} * on () group_left ({names.PERIOD}) {_period(spec, objective.calendar)}"
        yield Recording(full, expr, identity(spec, objective))


def _period(spec: Spec, calendar: Calendar) -> str:
    which = {names.SERVICE: spec.service, names.CALENDAR: calendar.period, names.TIME_ZONE: calendar.time_zone}
    return promql.selector(names.PERIOD_INFO, which)


def calendar_rules(spec: Spec, objective: Objective) -> tuple[Recording, ...]:
    """Bad events, all events and their ratio since the period began."""
    if objective.calendar is None:
        return ()
    now = f"on ({names.PERIOD}) {_period(spec, objective.calendar)}"
    over = format_duration(objective.calendar.longest_seconds)
    share = number(new_share(spec))
    sums = []
    for name in (names.PERIOD_BAD, names.PERIOD_EVENTS):
        counted = recorded(name, spec, objective, burn.BASE_WINDOW_SECONDS, over=over)
        sums.append(f"sum without ({names.PERIOD}) (sum_over_time({counted}) and {now}) * {share}")
    bad, events = sums
    return _counts_and_ratio(spec, objective, budget_window(objective), bad, events)


def budget_window(objective: Objective) -> str:
    """How the names of the series over the SLO's own window end."""
    return format_duration(objective.window) if objective.calendar is None else f"_{objective.calendar.period}"


def budget_rules(spec: Spec, objective: Objective) -> tuple[Recording, ...]:
    """Objective, budget remaining and info, each without a window label."""
    who = identity(spec, objective)
    by = promql.grouping((*who, *objective.budget_group))
    bad, events = (
        f"sum {by} ({recorded(name.format(window=budget_window(objective)), spec, objective)})"
        for name in (names.BAD_INCREASE, names.EVENTS_INCREASE)
    )
    about = {
        **spec.labels,
        **objective.labels,
        **who,
        names.TEAM: spec.team,
        names.TARGET: number(objective.target),
        **_promised_over(objective),
    }
    return (
        Recording(names.BUDGET_REMAINING, f"1 - {bad} / ({events} > 0) / {number(1 - objective.target)}", who),
        Recording(names.OBJECTIVE, f"vector({number(objective.target)})", who),
        Recording(names.SLO_INFO, "vector(1)", about),
    )


def _promised_over(objective: Objective) -> dict[str, str]:
    if objective.calendar is None:
        return {names.WINDOW: format_duration(objective.window)}
    return {names.WINDOW: objective.calendar.period, names.TIME_ZONE: objective.calendar.time_zone}


def burn_rate_rule(spec: Spec, objective: Objective) -> Recording:
    """How many times faster than sustainable the budget burns right now."""
    ratio = recorded(names.ERROR_RATIO, spec, objective, burn.burn_rate_window(objective))
    return Recording(names.BURN_RATE, f"{ratio} / {number(1 - objective.target)}", identity(spec, objective))
