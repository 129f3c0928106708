"""The recorded series of one objective: selectors for them, and how often each window is evaluated."""

from __future__ import annotations

from decimal import Context, Decimal

from locant_slo import burn, names, promql
from locant_slo.catalogue import Label, Metric, labels
from locant_slo.durations import format_duration
from locant_slo.spec import Objective, Spec

GROUP: tuple[Label, ...] = (labels.MODEL, labels.MODEL_VERSION)
LONGEST_RAW_SECONDS = 259_200
"""Up to three days `increase()` reads the raw counters: exact. Beyond, the recorded counts are summed: affordable."""
_SLOWER = ((21_600, 240), (3_599, 60), (299, 30))
_DIGITS = Context(prec=15)


def identity(spec: Spec, objective: Objective) -> dict[str, str]:
    """The labels that every recorded series of an objective carries, and no other: changing one would start anew."""
    return {names.SLO: objective.name, names.SERVICE: spec.service, labels.INDICATOR.name: objective.indicator}


def recorded(name: str, spec: Spec, objective: Objective, window: int = 0, *, over: str = "") -> str:
    """A selector of a recorded series, of its variant for `window` seconds if given, as a range if `over` is given."""
    full = name.format(window=format_duration(window)) if window else name
    return promql.selector(full, {names.SLO: objective.name, names.SERVICE: spec.service}, window=over)


def raw(metric: Metric, spec: Spec, objective: Objective, *, window: str = "") -> str:
    """A selector of one of the indicator's two counters."""
    return promql.selector(metric, {labels.INDICATOR.name: objective.indicator, **spec.selector}, window=window)


def interval_seconds(window: int, spec: Spec) -> int:
    """How often the rules of a window are evaluated: long windows move slowly and cost more.

    Four minutes at most, so that a sample never outlives the five minutes for which Prometheus looks back.
    """
    slowest = next((interval for bound, interval in _SLOWER if window > bound), 0)
    return max(slowest, spec.scrape_interval)


def base_interval_seconds(spec: Spec) -> int:
    """How often the base counts are recorded, which is also how much of each of them is new."""
    return interval_seconds(burn.BASE_WINDOW_SECONDS, spec)


def number(value: Decimal) -> str:
    """A decimal as PromQL and YAML read it back: no exponent, no trailing zeros, 15 digits (what a float holds)."""
    return f"{_DIGITS.create_decimal(value).normalize():f}"
