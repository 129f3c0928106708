"""Where an objective's events are counted: in the series of two counters, or only by asking Prometheus for numbers."""

from __future__ import annotations

from dataclasses import dataclass

from locant_slo import burn
from locant_slo.catalogue import metrics
from locant_slo.counts import scope_of
from locant_slo.expression import narrowed, the_selector
from locant_slo.indicators.by_id import BuiltIn
from locant_slo.indicators.events import Events
from locant_slo.spec import Objective, Spec


@dataclass(frozen=True, slots=True)
class Pair:
    """Two PromQL texts: all events, and the bad ones."""

    events: str
    bad: str


@dataclass(frozen=True, slots=True)
class Looks:
    """Expressions that give a number of events of `window_seconds` at each look."""

    pair: Pair
    window_seconds: int

    def per_step(self, step_seconds: int) -> float:
        """What a look's number counts for in one step."""
        return step_seconds / self.window_seconds


def counters(spec: Spec, objective: Objective) -> Pair | None:
    """Selectors of the two counters, so that every increment is seen; None where the indicator is more than that."""
    indicator = objective.indicator
    if isinstance(indicator, BuiltIn):
        pair = indicator.counter(metrics.SLI_EVENTS), indicator.counter(metrics.SLI_BAD_EVENTS)
    elif isinstance(indicator, Events) and indicator.total and indicator.bad:
        pair = indicator.total, indicator.bad
    else:
        return None
    if any(the_selector(text) is None for text in pair):
        return None
    matchers = scope_of(spec, objective).matchers
    return Pair(*(narrowed(text, matchers) for text in pair))


def looks(spec: Spec, objective: Objective) -> Looks:
    """The counts of the rules' base window, or of a gauge's slices, at each look: counted to within that window."""
    scope = scope_of(spec, objective)
    prepared = objective.indicator.prepared(scope)
    if prepared:
        (_, bad), (_, events) = prepared
        return Looks(Pair(events, bad), objective.indicator.prepared_every)
    window = burn.BASE_WINDOW_SECONDS
    return Looks(
        Pair(objective.indicator.count_all(window, scope), objective.indicator.count_bad(window, scope)), window
    )
