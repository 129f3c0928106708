"""OpenSLO's threshold metrics as gauges."""

from __future__ import annotations

from decimal import Decimal

from locant_slo.durations import format_duration
from locant_slo.interop.openslo_objects import Objects
from locant_slo.interop.openslo_source import MINUTE_SECONDS, look, query_of, slice_seconds
from locant_slo.interop.place import Place
from locant_slo.interop.queries import bare, grouped, windowed

SLICE = "locant.dev/slice"
"""An annotation of an SLO: a gauge is looked at once in each slice of this length."""
_OPERATORS = {"gt": "above", "gte": "at_least", "lt": "below", "lte": "at_most"}
_PROMQL = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def threshold_indicator(
    metric: Place, objective: Place, method: str, objects: Objects, looked_every: str
) -> dict[str, object] | None:
    """`indicator` and `group_by` of a threshold metric. `looked_every`: the slice that our own export noted."""
    query, compared = query_of(metric, "", objects), _compared(objective)
    if not query or compared is None:
        return None
    try:
        query = bare(windowed(query))
        by = grouped(query)
    except ValueError as error:
        metric.fault("", str(error))
        return None
    group = {"group_by": list(by)} if by else {}
    if looked_every:
        return {"indicator": {**_gauge(query, *compared), "slice": looked_every}, **group}
    if method == "Occurrences":
        metric.note("", "each look, once a minute, is one occurrence: Prometheus keeps no other count of them")
        return {"indicator": _gauge(query, *compared), **group}
    return {"indicator": _sliced(objective, query, *compared), **group}


def _compared(objective: Place) -> tuple[str, Decimal] | None:
    """The operator and the value that the metric is compared with."""
    operator, value = objective.text("op"), objective.decimal("value")
    if operator not in _OPERATORS:
        objective.fault("op", f"{operator or 'nothing'!r} is not known; write one of {', '.join(_OPERATORS)}")
        return None
    if value is None:
        objective.fault("value", "missing; a threshold metric needs the value that it is compared with")
        return None
    return operator, value


def _gauge(query: str, operator: str, value: Decimal) -> dict[str, object]:
    slices = format_duration(MINUTE_SECONDS)
    return {"kind": "gauge", "value": query, _OPERATORS[operator]: float(value), "slice": slices}


def _sliced(objective: Place, query: str, operator: str, value: Decimal) -> dict[str, object]:
    """A slice is good when its share of good looks reaches the slice's target."""
    seconds, least = slice_seconds(objective), objective.decimal("timeSliceTarget")
    if least is None:
        objective.note("timeSliceTarget", "is not given; each look, once a minute, is a slice of its own")
    if seconds == MINUTE_SECONDS or least is None:
        return _gauge(query, operator, value)
    looks = f"avg_over_time((({query}) {_PROMQL[operator]} bool {value})[{format_duration(seconds)}:1m])"
    return {"kind": "gauge", "value": looks, "at_least": float(least), "slice": look(objective, seconds)}
