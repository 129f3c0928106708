"""An objective's two counts as PromQL, whatever the kind of its indicator."""

from __future__ import annotations

from decimal import Decimal

from locant_slo import burn, names, promql
from locant_slo.durations import format_duration
from locant_slo.exclusions import excludes, without_excluded
from locant_slo.indicators.scope import Scope
from locant_slo.spec import Objective, Spec

LONGEST_RAW_SECONDS = 259_200
"""Up to three days `increase()` reads the raw counters: exact. Beyond, the recorded counts are summed: affordable."""
_SLOWER = ((21_600, 240), (3_599, 60), (299, 30))


def scope_of(spec: Spec, objective: Objective) -> Scope:
    """What the counts of an objective are narrowed to and grouped by."""
    return Scope(objective.name, spec.service, objective.group, {**spec.selector, **objective.selector})


def counts(spec: Spec, objective: Objective, window: int) -> tuple[str, str]:
    """PromQL for the bad and for all events of a window, one sample for each group, without what is excluded.

    The base window is the exception: the excluded events are picked out of it. Alerts are silent meanwhile.
    """
    bad, everything = _counted(spec, objective, window)
    if window <= burn.BASE_WINDOW_SECONDS or not excludes(spec):
        return bad, everything
    which = {names.SLO: objective.name, names.SERVICE: spec.service}
    return without_excluded(objective, which, window, bad, everything)


def _counted(spec: Spec, objective: Objective, window: int) -> tuple[str, str]:
    if window > LONGEST_RAW_SECONDS and not objective.indicator.sums_itself:
        bad, everything = (
            summed(name, spec, objective, window) for name in (names.BAD_INCREASE, names.EVENTS_INCREASE)
        )
        return bad, everything
    scope = scope_of(spec, objective)
    return objective.indicator.count_bad(window, scope), objective.indicator.count_all(window, scope)


def summed(name: str, spec: Spec, objective: Objective, window: int) -> str:
    """The sum of the recorded base counts, each weighed with the share of it that the next one does not repeat."""
    base = name.format(window=format_duration(burn.BASE_WINDOW_SECONDS))
    which = {names.SLO: objective.name, names.SERVICE: spec.service}
    over = promql.selector(base, which, window=format_duration(window))
    return f"sum_over_time({over}) * {promql.number(new_share(spec))}"


def new_share(spec: Spec) -> Decimal:
    """The share of a base count that the one before it does not hold."""
    return Decimal(base_interval_seconds(spec)) / burn.BASE_WINDOW_SECONDS


def interval_seconds(window: int, spec: Spec) -> int:
    """How often the rules of a window are evaluated: long windows move slowly and cost more.

    Four minutes at most, so that a sample never outlives the five minutes for which Prometheus looks back.
    """
    slowest = next((interval for bound, interval in _SLOWER if window > bound), 0)
    return max(slowest, spec.scrape_interval)


def base_interval_seconds(spec: Spec) -> int:
    """How often the base counts are recorded, which is also how much of each of them is new."""
    return interval_seconds(burn.BASE_WINDOW_SECONDS, spec)
