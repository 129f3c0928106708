"""Alertmanager configuration: one notification per deployment, and the loudest alert of a cause speaks for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from locant_alerts.text import dump
from locant_slo import burn, names, promql
from locant_slo.catalogue import labels
from locant_slo.findings import Severity
from locant_slo.spec import Objective, Spec

_RELEASE = (labels.MODEL.name, labels.MODEL_VERSION.name)
_DEPLOYMENT = [names.SERVICE, *_RELEASE]
_PROMISE = [names.SERVICE, names.SLO, *_RELEASE]
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
            "group_by": _DEPLOYMENT,
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [_route(spec, severity) for spec in specs for severity in severities],
        },
        "inhibit_rules": [*_faster_over_slower(specs), *_page_over_ticket(), _silence_over_no_data()],
        "receivers": [_receiver(spec, severity) for spec in specs for severity in severities],
    }


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
    }


def _receiver(spec: Spec, severity: Severity) -> dict[str, Any]:
    address = spec.routing.page if severity is Severity.PAGE else spec.routing.ticket
    return {"name": receiver(spec, severity), "webhook_configs": [{"url": address, "send_resolved": True}]}


def _faster_over_slower(specs: Iterable[Spec]) -> list[dict[str, Any]]:
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
            rules.append(_inhibition(source, target, _PROMISE))
    return rules


def _by_speed(objective: Objective) -> tuple[str, ...]:
    fastest_first = sorted(objective.alerting.tiers, key=lambda tier: (-burn.factor(tier, objective.window), tier.long))
    return tuple(tier.name for tier in fastest_first)


def _page_over_ticket() -> list[dict[str, Any]]:
    """Of one SLO, and of one positional fault. A label that both sides lack would count as equal: hence the guards."""
    page, ticket = (promql.matcher(names.SEVERITY, severity.value) for severity in (Severity.PAGE, Severity.TICKET))
    pairs = ((names.SLO, _PROMISE), (names.FAULT, [names.SERVICE, names.FAULT, *_RELEASE]))
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
