"""Pairs of queries, and ratios, as an indicator with the labels that it groups by."""

from __future__ import annotations

from locant_slo.catalogue import labels, metrics
from locant_slo.expression import PLACE, the_selector, tokens
from locant_slo.indicators import BY_ID
from locant_slo.indicators.counting import counter, ranged
from locant_slo.interop.place import Place
from locant_slo.interop.queries import Query, bare, counting, grouped, unfilled, unguarded, windowed

_PAIR = (metrics.SLI_BAD_EVENTS.prometheus_name, metrics.SLI_EVENTS.prometheus_name)
_RELEASE = (labels.MODEL.name, labels.MODEL_VERSION.name)


def events(place: Place, bad: str, total: str, *, field: str = "bad") -> dict[str, object] | None:
    """`indicator` and `group_by` of two queries that count; `field` says whether the first counts bad or good events.

    The two counters of Locant's own agent become the built-in indicator again.
    """
    try:
        whole = unguarded(windowed(total))
        one, other = counting(unfilled(windowed(bad), whole)), counting(whole)
        counter(one.text), counter(other.text)
    except ValueError as error:
        place.fault("", str(error))
        return None
    for query in (one, other):
        for sentence in query.notes:
            place.note("", sentence)
    if one.group is not None and other.group is not None and one.group != other.group:
        place.note("", f"its queries group by {_shown(one)} and by {_shown(other)}; the second one's is kept")
    group = other.group if other.group is not None else one.group or ()
    if field == "bad" and (found := _built_in(one.text, other.text)):
        return {**found, **({"group_by": list(group)} if group != _RELEASE else {})}
    indicator = {"kind": "events", field: one.text, "total": other.text}
    return {"indicator": indicator, **({"group_by": list(group)} if group else {})}


def ratio(place: Place, field: str, text: str, *, weight: str = "") -> dict[str, object] | None:
    """`indicator` and `group_by` of a query that is a ratio already: `error_ratio` or `success_ratio`."""
    try:
        query = bare(windowed(text))
        group = grouped(query)
        if not any(token.kind == "place" for token in tokens(query)):
            query = f"avg_over_time(({query})[{PLACE}:1m])"
            place.note(
                "", "it has no window, so its mean over a look each minute is taken: quiet minutes weigh as much"
            )
        query = ranged(query)
    except ValueError as error:
        place.fault("", str(error))
        return None
    indicator = {"kind": "ratio", field: query, **({"weight": weight} if weight else {})}
    return {"indicator": indicator, **({"group_by": list(group)} if group else {})}


def _shown(query: Query) -> str:
    return ", ".join(query.group) if query.group else "nothing"


def _built_in(bad: str, total: str) -> dict[str, object] | None:
    """A built-in indicator with its selector, if these are its two counters and nothing else."""
    one, other = the_selector(bad), the_selector(total)
    if one is None or other is None or (one.name, other.name) != _PAIR or one.matchers != other.matchers:
        return None
    if any(matcher.operator != "=" for matcher in one.matchers):
        return None
    matchers = {matcher.label: matcher.value for matcher in one.matchers}
    name = matchers.pop(labels.INDICATOR.name, "")
    return {"indicator": name, **({"selector": matchers} if matchers else {})} if name in BY_ID else None
