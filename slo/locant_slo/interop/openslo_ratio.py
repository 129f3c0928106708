"""OpenSLO's ratio metrics as indicators, by occurrences and by time slices."""

from __future__ import annotations

import re
from collections.abc import Sequence

from locant_slo.durations import format_duration
from locant_slo.expression import PLACE, ranges, the_selector, tokens
from locant_slo.indicators.scope import filled
from locant_slo.interop.indicators import events, ratio
from locant_slo.interop.openslo_objects import Objects
from locant_slo.interop.openslo_source import look, query_of, slice_seconds
from locant_slo.interop.place import Place
from locant_slo.interop.queries import bare, grouped, summed, windowed


def ratio_indicator(metric: Place, objective: Place, method: str, objects: Objects) -> dict[str, object] | None:
    """`indicator` and `group_by` of a ratio metric."""
    objective.lost(("op", "value"), "means nothing beside a ratio; left out")
    if metric.has("raw"):
        return _raw(metric, objects)
    part = "bad" if metric.has("bad") else "good"
    if metric.has("bad") and metric.has("good"):
        metric.note("good", "good and bad exclude each other; bad is taken")
    one, total = query_of(metric, part, objects), query_of(metric, "total", objects)
    if not one or not total:
        return None
    if method == "Occurrences":
        return _occurrences(metric, part, one, total)
    return _slices(metric, objective, part, one, total, method)


def _occurrences(metric: Place, part: str, one: str, total: str) -> dict[str, object] | None:
    try:
        one, total = _over_windows(metric, (one, total))
    except ValueError as error:
        metric.fault("", str(error))
        return None
    return events(metric, one, total, field=part)


def _over_windows(metric: Place, texts: Sequence[str]) -> list[str]:
    """Counters are counted by their increase, single numbers by their sum over a look each minute."""
    counts = _is_counter(metric)
    if not counts:
        metric.note("counter", "the numbers are no counters, so they are looked at once a minute and summed")
    return [_opened(metric, text) if counts else _looked(windowed(text)) for text in texts]


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
    query = query_of(metric, "raw", objects)
    kind = metric.text("rawType")
    if not query:
        return None
    if kind not in {"success", "failure"}:
        metric.fault("rawType", f"{kind or 'nothing'!r} is not known; write success or failure")
        return None
    if kind == "success" and re.match(r"[\s(]*1\s*-", query):
        metric.note("rawType", "says success, and its query begins with 1 -, as error ratios do; success is taken")
    return ratio(metric, "success_ratio" if kind == "success" else "error_ratio", query)


def _slices(metric: Place, objective: Place, part: str, one: str, total: str, method: str) -> dict[str, object] | None:
    """Slices of time that are good while the ratio in them holds; RatioTimeslices takes the mean of their ratios."""
    seconds = slice_seconds(objective)
    try:
        over = format_duration(seconds)
        share, whole = _over_windows(metric, (one, total))
        group = grouped(whole)
        share, whole = (_inside(text, over) for text in (share, whole))
    except ValueError as error:
        metric.fault("", str(error))
        return None
    value = f"({filled(f'({share})', f'({whole})')}) / (({whole}) > 0)"
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
        "indicator": {"kind": "gauge", "value": value, "at_least": float(least), "slice": look(objective, seconds)},
        **by,
    }


def _inside(text: str, over: str) -> str:
    """A count over a slice: no alert's window belongs into a gauge."""
    if the_selector(text) is not None:
        return f"sum(increase({text}[{over}]))"
    return text.replace(PLACE, over)
