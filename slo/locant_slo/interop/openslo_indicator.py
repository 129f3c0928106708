"""OpenSLO's ratio and threshold metrics as indicators, by occurrences and by time slices."""

from __future__ import annotations

from decimal import Decimal

from locant_slo.durations import format_duration
from locant_slo.expression import PLACE, ranges, the_selector, tokens
from locant_slo.interop.indicators import events, ratio
from locant_slo.interop.openslo_objects import Objects
from locant_slo.interop.openslo_window import shorthand
from locant_slo.interop.place import Place
from locant_slo.interop.queries import bare, grouped, summed, windowed

SLICE = "locant.dev/slice"
"""An annotation of an SLO: a gauge is looked at once in each slice of this length."""
_OPERATORS = {"gt": "above", "gte": "at_least", "lt": "below", "lte": "at_most"}
_PROMQL = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_MINUTE_SECONDS = 60


def indicator_of(
    sli: Place, objective: Place, method: str, objects: Objects, looked_every: str = ""
) -> dict[str, object] | None:
    """`indicator` and `group_by`; None, with a fault, where the metric is none of Prometheus.

    `looked_every`: the slice that our own export noted.
    """
    if sli.has("thresholdMetric"):
        return _threshold(sli.child("thresholdMetric"), objective, method, objects, looked_every)
    if not sli.has("ratioMetric"):
        sli.fault("", "has neither ratioMetric nor thresholdMetric")
        return None
    metric = sli.child("ratioMetric")
    objective.lost(("op", "value"), "means nothing beside a ratio; left out")
    if metric.has("raw"):
        return _raw(metric, objects)
    part = "bad" if metric.has("bad") else "good"
    if metric.has("bad") and metric.has("good"):
        metric.note("good", "good and bad exclude each other; bad is taken")
    one, total = _query(metric, part, objects), _query(metric, "total", objects)
    if not one or not total:
        return None
    if method == "Occurrences":
        return _occurrences(metric, part, one, total)
    return _slices(metric, objective, part, one, total, method)


def _query(place: Place, key: str, objects: Objects) -> str:
    """The PromQL of a metric source, with `$window` where it has a place for it."""
    source = place.child(key).child("metricSource") if key else place.child("metricSource")
    kind = source.text("type")
    if name := source.text("metricSourceRef"):
        found = objects.find("DataSource", name)
        if found is None and not kind:
            source.fault("metricSourceRef", f"no DataSource of this file is called {name!r}, and no type is given")
            return ""
        kind = kind or (found.child("spec").text("type") if found is not None else "")
    if kind.lower() != "prometheus":
        source.fault("type", f"{kind or 'no type'!r}: only Prometheus can be asked; write the query as PromQL")
        return ""
    return source.child("spec").text("query", needed=True)


def _occurrences(metric: Place, part: str, one: str, total: str) -> dict[str, object] | None:
    """Counters are counted by their increase, single numbers by their sum over a look each minute."""
    counts = _is_counter(metric)
    if not counts:
        metric.note("counter", "the numbers are no counters, so they are looked at once a minute and summed")
    try:
        queries = [_opened(metric, text) if counts else _looked(windowed(text)) for text in (one, total)]
    except ValueError as error:
        metric.fault("", str(error))
        return None
    return events(metric, queries[0], queries[1], field=part)


def _is_counter(metric: Place) -> bool:
    if not metric.has("counter"):
        metric.note("counter", "does not say whether its queries are counters; true is taken")
    return metric.flag("counter", default=True)


def _looked(text: str) -> str:
    return text if _is_windowed(text) else f"sum_over_time(({bare(text)})[{PLACE}:1m])"


def _is_windowed(text: str) -> bool:
    return any(token.kind == "place" for token in tokens(text))


def _opened(place: Place, text: str) -> str:
    """A query over `$window`: a bare counter as it is, `sum(counter)` as its inside, a fixed range with the place."""
    text = bare(windowed(text))
    if _is_windowed(text) or the_selector(text) is not None:
        return text
    group, inside = summed(text)
    if inside is not None and the_selector(inside) is not None:
        by = f" by ({', '.join(group)})" if group else ""
        return f"sum{by} (increase({inside}[{PLACE}]))"
    fixed = list(ranges(text))
    if not fixed:
        raise ValueError(f"{text!r} is neither a counter nor a sum of one, and has no range; write it over [{PLACE}]")
    place.note("", f"its range of {fixed[0].text} became the window of each alert")
    for token in reversed(fixed):
        text = f"{text[: token.start]}{PLACE}{text[token.end :]}"
    return text


def _raw(metric: Place, objects: Objects) -> dict[str, object] | None:
    query = _query(metric, "raw", objects)
    kind = metric.text("rawType")
    if kind not in {"success", "failure"}:
        metric.fault("rawType", f"{kind or 'nothing'!r} is not known; write success or failure")
        return None
    if kind == "success" and bare(query).startswith("1 -"):
        metric.note("rawType", "says success, and its query begins with 1 -, as error ratios do; success is taken")
    return ratio(metric, "success_ratio" if kind == "success" else "error_ratio", query) if query else None


def _slices(metric: Place, objective: Place, part: str, one: str, total: str, method: str) -> dict[str, object] | None:
    """Slices of time that are good while the ratio in them holds; RatioTimeslices takes the mean of their ratios."""
    seconds = _slice_seconds(objective)
    try:
        over = format_duration(seconds)
        share, whole = (_opened(metric, text) for text in (one, total))
        group = grouped(whole)
        share, whole = (_inside(text, over) for text in (share, whole))
    except ValueError as error:
        metric.fault("", str(error))
        return None
    value = f"({share}) / (({whole}) > 0)"
    value = value if part == "good" else f"1 - {value}"
    by = {"group_by": list(group)} if group else {}
    if method == "RatioTimeslices":
        text = f"avg_over_time(({value})[{PLACE}:{over}])"
        return {"indicator": {"kind": "ratio", "success_ratio": text}, **by}
    least = objective.decimal("timeSliceTarget")
    if least is None:
        objective.fault("timeSliceTarget", "missing; Timeslices need the share that makes a slice good")
        return None
    return {
        "indicator": {"kind": "gauge", "value": value, "at_least": float(least), "slice": _look(objective, seconds)},
        **by,
    }


def _inside(text: str, over: str) -> str:
    """A count over a slice: no alert's window belongs into a gauge."""
    if the_selector(text) is not None:
        return f"sum(increase({text}[{over}]))"
    return text.replace(PLACE, over)


def _slice_seconds(objective: Place) -> int:
    """A plain number is minutes, by the standard."""
    value = objective.content.get("timeSliceWindow")
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value * _MINUTE_SECONDS
    if value is None:
        objective.note("timeSliceWindow", "no slice is given; a minute is taken")
    return shorthand(objective, "timeSliceWindow", _MINUTE_SECONDS)


def _threshold(
    metric: Place, objective: Place, method: str, objects: Objects, looked_every: str
) -> dict[str, object] | None:
    query = _query(metric, "", objects)
    operator, value = objective.text("op"), objective.decimal("value")
    if operator not in _OPERATORS:
        objective.fault("op", f"{operator or 'nothing'!r} is not known; write one of {', '.join(_OPERATORS)}")
        return None
    if value is None:
        objective.fault("value", "missing; a threshold metric needs the value that it is compared with")
        return None
    if not query:
        return None
    try:
        query = bare(windowed(query))
        by = grouped(query)
    except ValueError as error:
        metric.fault("", str(error))
        return None
    group = {"group_by": list(by)} if by else {}
    if looked_every:
        return {"indicator": {**_gauge(query, operator, value, _MINUTE_SECONDS), "slice": looked_every}, **group}
    if method == "Occurrences":
        metric.note("", "each look, once a minute, is one occurrence: Prometheus keeps no other count of them")
        return {"indicator": _gauge(query, operator, value, _MINUTE_SECONDS), **group}
    return {"indicator": _sliced(objective, query, operator, value), **group}


def _gauge(query: str, operator: str, value: Decimal, seconds: int) -> dict[str, object]:
    return {"kind": "gauge", "value": query, _OPERATORS[operator]: float(value), "slice": format_duration(seconds)}


def _sliced(objective: Place, query: str, operator: str, value: Decimal) -> dict[str, object]:
    """A slice is good when its share of good looks reaches the slice's target."""
    seconds, least = _slice_seconds(objective), objective.decimal("timeSliceTarget")
    if least is None:
        objective.note("timeSliceTarget", "is not given; each look, once a minute, is a slice of its own")
    if seconds == _MINUTE_SECONDS or least is None:
        return _gauge(query, operator, value, _MINUTE_SECONDS)
    looks = f"avg_over_time((({query}) {_PROMQL[operator]} bool {value})[{format_duration(seconds)}:1m])"
    return {"kind": "gauge", "value": looks, "at_least": float(least), "slice": _look(objective, seconds)}


def _look(objective: Place, seconds: int) -> str:
    """How often a slice is judged. Longer ones overlap: each look sees the whole slice before it."""
    if seconds > _MINUTE_SECONDS:
        objective.note("timeSliceWindow", f"slices of {format_duration(seconds)} are judged every minute, overlapping")
    return format_duration(_MINUTE_SECONDS)
