"""A spec as OpenSLO v1 documents."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from locant_slo import burn, names
from locant_slo.catalogue import metrics
from locant_slo.counts import scope_of
from locant_slo.durations import format_duration
from locant_slo.expression import narrowed, the_selector
from locant_slo.indicators.by_id import BuiltIn
from locant_slo.indicators.events import Events
from locant_slo.indicators.gauge import Gauge
from locant_slo.interop.openslo import VERSION
from locant_slo.interop.openslo_alerts import ROUTED, SHORT, TIER
from locant_slo.interop.openslo_threshold import SLICE
from locant_slo.interop.pairs import pair, ratio_of, templated
from locant_slo.interop.place import Note
from locant_slo.spec import Objective, Spec
from locant_slo.tiers import Tier

_SOURCE = "prometheus"
_CALENDARS = {"week": "1w", "month": "1M", "quarter": "1Q"}
_BEGINS = "2024-01-01 00:00:00"
"""A Monday, and the first day of a month and of a quarter."""
_OPERATORS = {"above": "gt", "at_least": "gte", "below": "lt", "at_most": "lte"}


def openslo_documents(spec: Spec, ambiguous: Collection[str] = ()) -> tuple[list[dict[str, object]], list[Note]]:
    """The service, and for each objective its SLI, its policies and itself.

    `ambiguous`: names that other services have too; the standard has one name for one object.
    """
    documents = [_document("Service", spec.service, {}, labels={**spec.labels, names.TEAM: spec.team})]
    notes: list[Note] = []
    for index, objective in enumerate(spec.objectives):
        name = objective.name if objective.name not in ambiguous else f"{spec.service}-{objective.name}"
        documents += _objective(spec, objective, name)
        where = f"{spec.service}: {spec.place(index)}"
        notes += [Note(f"{where}.{field}", "OpenSLO counts in minutes; it is rounded") for field in _rounded(objective)]
        if name != objective.name:
            notes.append(Note(f"{where}.name", f"another service has one of this name, so it is called {name} there"))
    return documents, notes


def _rounded(objective: Objective) -> Iterator[str]:
    """The durations that are no whole minutes."""
    if objective.calendar is None and objective.window % 60:
        yield "window"
    for index, tier in enumerate(objective.alerting.tiers if objective.alerting.enabled else ()):
        yield from (f"alerting.tiers[{index}].{field}" for field in ("long", "hold") if getattr(tier, field) % 60)


def _document(
    kind: str, name: str, body: object, *, labels: object = None, annotations: object = None
) -> dict[str, object]:
    metadata: dict[str, object] = {"name": name}
    metadata |= {"labels": labels} if labels else {}
    metadata |= {"annotations": annotations} if annotations else {}
    return {"apiVersion": VERSION, "kind": kind, "metadata": metadata, "spec": body}


def shared_documents(specs: Iterable[Spec]) -> Iterator[dict[str, object]]:
    """The data source and the targets of all services.

    Where each severity goes is said by Alertmanager's routes, which are made from the spec.
    """
    yield _document("DataSource", _SOURCE, {"type": "Prometheus", "connectionDetails": {}})
    alerting = [one.alerting for spec in specs for one in spec.objectives if one.alerting.enabled]
    for severity in sorted({tier.severity for one in alerting for tier in one.tiers}):
        yield _document("AlertNotificationTarget", severity, {"target": "alertmanager"}, annotations={ROUTED: "true"})


def _objective(spec: Spec, objective: Objective, name: str) -> Iterator[dict[str, object]]:
    indicator = objective.indicator
    yield _document("SLI", name, _sli(spec, objective))
    policies = []
    for tier in objective.alerting.tiers if objective.alerting.enabled else ():
        policy = f"{name}-{tier.name}"
        policies.append({"alertPolicyRef": policy})
        yield _document("AlertCondition", policy, _condition(objective, tier), annotations=_ours(tier))
        yield _document("AlertPolicy", policy, _policy(objective, tier, policy))
    body: dict[str, object] = {
        "description": objective.description,
        "service": spec.service,
        "indicatorRef": name,
        "timeWindow": [_window(objective)],
        "budgetingMethod": "Timeslices" if _is_sliced(objective) else "Occurrences",
        "objectives": [_target(objective)],
        "alertPolicies": policies,
    }
    body = {key: value for key, value in body.items() if value not in ("", [])}
    slices = {SLICE: format_duration(indicator.slice)} if isinstance(indicator, Gauge) else None
    yield _document("SLO", name, body, labels=dict(objective.labels), annotations=slices)


def _is_sliced(objective: Objective) -> bool:
    return isinstance(objective.indicator, Gauge) and objective.indicator.slice != 60


def _target(objective: Objective) -> dict[str, object]:
    content: dict[str, object] = {"target": float(objective.target)}
    if isinstance(objective.indicator, Gauge):
        word = next(name for name in _OPERATORS if getattr(objective.indicator, name) is not None)
        content |= {"op": _OPERATORS[word], "value": float(getattr(objective.indicator, word))}
        if _is_sliced(objective):
            content |= {"timeSliceTarget": 1.0, "timeSliceWindow": _shorthand(objective.indicator.slice)}
    return content


def _window(objective: Objective) -> dict[str, object]:
    if objective.calendar is None:
        return {"duration": _shorthand(objective.window), "isRolling": True}
    zone = {"startTime": _BEGINS, "timeZone": objective.calendar.time_zone}
    return {"duration": _CALENDARS[objective.calendar.period], "isRolling": False, "calendar": zone}


def _shorthand(seconds: int) -> str:
    """OpenSLO has no seconds."""
    return format_duration(max(60, round(seconds / 60) * 60))


def _sli(spec: Spec, objective: Objective) -> dict[str, object]:
    indicator, matchers = objective.indicator, scope_of(spec, objective).matchers
    if isinstance(indicator, Gauge):
        return {"thresholdMetric": _source(narrowed(indicator.value, matchers))}
    if (found := ratio_of(spec, objective)) is not None:
        kind = "failure" if found[0] == "error_ratio" else "success"
        return {"ratioMetric": {"rawType": kind, "raw": _source(found[1])}}
    texts: dict[str, str] = {}
    if isinstance(indicator, BuiltIn):
        texts = {"bad": indicator.counter(metrics.SLI_BAD_EVENTS), "total": indicator.counter(metrics.SLI_EVENTS)}
    elif isinstance(indicator, Events) and indicator.total:
        texts = dict(indicator.texts())
    queries = {name: _counter(objective, narrowed(text, matchers)) for name, text in texts.items()}
    if not queries:
        bad, events = pair(spec, objective)
        queries = {"bad": bad, "total": events}
    return {"ratioMetric": {"counter": True, **{name: _source(text) for name, text in queries.items()}}}


def _counter(objective: Objective, text: str) -> str:
    """A counter as the standard's examples have it: the sum, without a rate; an expression with their template."""
    if the_selector(text) is None:
        return templated(text)
    by = f" by ({', '.join(objective.group)})" if objective.group else ""
    return f"sum{by} ({text})"


def _source(query: str) -> dict[str, object]:
    return {"metricSource": {"metricSourceRef": _SOURCE, "type": "Prometheus", "spec": {"query": query}}}


def _condition(objective: Objective, tier: Tier) -> dict[str, object]:
    condition = {
        "kind": "burnrate",
        "op": "gt",
        "threshold": float(burn.factor(tier, objective.window)),
        "lookbackWindow": _shorthand(tier.long),
        "alertAfter": _shorthand(tier.hold),
    }
    return {"severity": tier.severity, "condition": condition}


def _ours(tier: Tier) -> dict[str, str]:
    """What the standard has no place for."""
    return {TIER: tier.name, SHORT: format_duration(tier.short)}


def _policy(objective: Objective, tier: Tier, name: str) -> dict[str, object]:
    return {
        "alertWhenBreaching": True,
        "alertWhenResolved": True,
        "alertWhenNoData": objective.alerting.no_data.action == "alert",
        "conditions": [{"conditionRef": name}],
        "notificationTargets": [{"targetRef": tier.severity}],
    }
