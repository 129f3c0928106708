"""The recorded series of one objective: selectors for them and the labels that they carry."""

from __future__ import annotations

from locant_slo import burn, names, promql
from locant_slo.catalogue import Label, Metric, labels
from locant_slo.counts import LONGEST_RAW_SECONDS, base_interval_seconds, interval_seconds
from locant_slo.durations import format_duration
from locant_slo.promql import number
from locant_slo.spec import Objective, Spec

__all__ = [
    "GROUP",
    "LONGEST_RAW_SECONDS",
    "base_interval_seconds",
    "identity",
    "interval_seconds",
    "number",
    "raw",
    "recorded",
]

GROUP: tuple[Label, ...] = (labels.MODEL, labels.MODEL_VERSION)
"""What the built-in indicators are grouped by where the spec says nothing else."""


def identity(spec: Spec, objective: Objective) -> dict[str, str]:
    """The labels that every recorded series of an objective carries, and no other: changing one would start anew."""
    return {names.SLO: objective.name, names.SERVICE: spec.service, labels.INDICATOR.name: objective.indicator.id}


def recorded(name: str, spec: Spec, objective: Objective, window: int = 0, *, over: str = "") -> str:
    """A selector of a recorded series, of its variant for `window` seconds if given, as a range if `over` is given."""
    full = name.format(window=format_duration(window)) if window else name
    return promql.selector(full, {names.SLO: objective.name, names.SERVICE: spec.service}, window=over)


def base_events(spec: Spec, objective: Objective, *, over: str = "") -> str:
    """A selector of the events that are always recorded."""
    return recorded(names.EVENTS_INCREASE, spec, objective, burn.BASE_WINDOW_SECONDS, over=over)


def raw(metric: Metric, spec: Spec, objective: Objective, *, window: str = "") -> str:
    """A selector of one of a built-in indicator's two counters."""
    matchers = {labels.INDICATOR.name: objective.indicator.id, **spec.selector, **objective.selector}
    return promql.selector(metric, matchers, window=window)
