"""Alertmanager configuration: one notification per deployment, and the loudest alert of a cause speaks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from locant_alerts.muting import weekly_intervals
from locant_alerts.text import dump
from locant_slo import burn, names, promql
from locant_slo.catalogue import labels
from locant_slo.findings import Severity
from locant_slo.spec import Objective, Spec
from locant_slo.times import Weekly

_RELEASE = (labels.MODEL.name, labels.MODEL_VERSION.name)
_REPEAT = {Severity.PAGE: "4h", Severity.TICKET: "3d"}
_WAIT = {Severity.PAGE: "10s", Severity.TICKET: "1m"}


def build_alertmanager(specs: Sequence[Spec]) -> str:
    """Alertmanager's configuration file for all services together."""
    return dump(routing(specs))


def routing(specs: Sequence[Spec]) -> dict[str, Any]:
    """What the file says. What no route knows goes to the first service's tickets."""
    severities = (Severity.PAGE, Severity.TICKET)
    return {
        "route": {
            "receiver": receiver(specs[0], Severity.TICKET),
            "group_by": [names.SERVICE, *_told_apart(specs)],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [_route(spec, severity) for spec in specs for severity in severities],
        },
        "inhibit_rules": [*_faster_over_slower(specs), *_page_over_ticket(specs), _silence_over_no_data()],
        **({"time_intervals": intervals} if (intervals := list(_intervals(specs))) else {}),
        "receivers": [_receiver(spec, severity) for spec in specs for severity in severities],
    }


def _told_apart(specs: Iterable[Spec]) -> list[str]:
    """The labels that make another deployment: a release of a model, and whatever else some objective is grouped by."""
    grouped = (label for spec in specs for objective in spec.objectives for label in objective.group)
    similar = {label for spec in specs for objective in spec.objectives for label in objective.similar}
    return [label for label in dict.fromkeys((*_RELEASE, *grouped)) if label in _RELEASE or label not in similar]


def _same_promise(specs: Iterable[Spec]) -> list[str]:
    """What two alerts must share to be about the same promise; a label that neither has is shared."""
    return [names.SERVICE, names.SLO, *_told_apart(specs)]


def receiver(spec: Spec, severity: Severity) -> str:
    """The name of the receiver for a service's alerts of a severity."""
    return f"{spec.team}/{spec.service}/{severity.value}"


def _route(spec: Spec, severity: Severity) -> dict[str, Any]:
    return {
        "receiver": receiver(spec, severity),
        "matchers": [
            promql.matcher(names.TEAM, spec.team),
            promql.matcher(names.SERVICE, spec.service),
            promql.matcher(names.SEVERITY, severity.value),
        ],
        "group_wait": _WAIT[severity],
        "repeat_interval": _REPEAT[severity],
        **({"mute_time_intervals": muted} if (muted := [_interval_name(spec, item) for item in _quiet(spec)]) else {}),
        **_deduplicated(spec, severity),
    }


def _deduplicated(spec: Spec, severity: Severity) -> dict[str, Any]:
    """One notification for all alerts of one similarity key: the same SLO in releases or shards that are alike."""
    if not any(objective.similar for objective in spec.objectives):
        return {}
    muted = [_interval_name(spec, item) for item in _quiet(spec)]
    alike = {
        "receiver": receiver(spec, severity),
        "matchers": [promql.matcher(names.SIMILARITY, "!")],
        "group_by": [names.SERVICE, names.SIMILARITY],
        **({"mute_time_intervals": muted} if muted else {}),
    }
    return {"routes": [alike]}


def _quiet(spec: Spec) -> tuple[Weekly, ...]:
    """The stretches of a week in which nobody is told: maintenance, and what the routing mutes, such as promotions."""
    return (*(item for item in spec.maintenance if isinstance(item, Weekly)), *spec.routing.mute)


def _interval_name(spec: Spec, item: Weekly) -> str:
    return f"{spec.service}/{item.name}"


def _intervals(specs: Iterable[Spec]) -> Iterator[dict[str, Any]]:
    for spec in specs:
        for item in _quiet(spec):
            yield {"name": _interval_name(spec, item), "time_intervals": [*weekly_intervals(item)]}


def _receiver(spec: Spec, severity: Severity) -> dict[str, Any]:
    address = spec.routing.page if severity is Severity.PAGE else spec.routing.ticket
    return {"name": receiver(spec, severity), "webhook_configs": [{"url": address, "send_resolved": True}]}


def _faster_over_slower(specs: Sequence[Spec]) -> list[dict[str, Any]]:
    """While a tier fires, the slower tiers of the same SLO and release add nothing."""
    orders: dict[tuple[str, ...], list[str]] = {}
    for objective in (objective for spec in specs for objective in spec.objectives):
        if objective.alerting.enabled:
            orders.setdefault(_by_speed(objective), []).append(objective.name)
    rules = []
    for order, slos in orders.items():
        which = promql.matcher(names.SLO, "!") if len(orders) == 1 else promql.matcher(names.SLO, "~" + "|".join(slos))
        for index, tier in enumerate(order[:-1]):
            source = [which, promql.matcher(names.TIER, tier)]
            target = [which, promql.matcher(names.TIER, "~" + "|".join(order[index + 1 :]))]
            rules.append(_inhibition(source, target, _same_promise(specs)))
    return rules


def _by_speed(objective: Objective) -> tuple[str, ...]:
    fastest_first = sorted(objective.alerting.tiers, key=lambda tier: (-burn.factor(tier, objective.window), tier.long))
    return tuple(tier.name for tier in fastest_first)


def _page_over_ticket(specs: Iterable[Spec]) -> list[dict[str, Any]]:
    """Of one SLO, and of one positional fault. A label that both sides lack would count as equal: hence the guards."""
    page, ticket = (promql.matcher(names.SEVERITY, severity.value) for severity in (Severity.PAGE, Severity.TICKET))
    pairs = ((names.SLO, _same_promise(specs)), (names.FAULT, [names.SERVICE, names.FAULT, *_RELEASE]))
    return [
        _inhibition([promql.matcher(guard, "!"), page], [promql.matcher(guard, "!"), ticket], same)
        for guard, same in pairs
    ]


def _silence_over_no_data() -> dict[str, Any]:
    """When no process reports at all, one alert says so for every SLO."""
    source = [promql.matcher("alertname", names.SILENT_PROBE_ALERT), promql.matcher(names.CAUSE, "absent")]
    target = [promql.matcher("alertname", "~" + names.NO_DATA_ALERT.format(Slo=".+")), promql.matcher(names.SLO, "!")]
    return _inhibition(source, target, [names.SERVICE])


def _inhibition(source: list[str], target: list[str], equal: list[str]) -> dict[str, Any]:
    return {"source_matchers": source, "target_matchers": target, "equal": equal}
