"""Spec to rule groups to YAML. The same spec gives the same text, byte for byte."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

from locant_alerts.alerting import burn_alert, no_data_alerts
from locant_alerts.faults import fault_alert
from locant_alerts.health import health_alerts
from locant_alerts.model import Alert, Group, Recording
from locant_alerts.recording import budget_rules, burn_rate_rule, calendar_rules, prepared_rules, window_rules
from locant_alerts.series import interval_seconds
from locant_alerts.stretches import time_group
from locant_alerts.text import dump
from locant_slo import burn
from locant_slo.durations import format_duration
from locant_slo.findings import FailureMode
from locant_slo.objections.versions import KEEP_FIRING_FROM, version_of
from locant_slo.spec import Objective, Spec


def build_groups(spec: Spec) -> tuple[Group, ...]:
    """Every rule of a service, grouped by objective and evaluation interval; what feeds stands before what it feeds."""
    groups = [*time_group(spec)]
    groups += [group for objective in spec.objectives for group in _objective_groups(spec, objective)]
    if spec.probe:
        faults = tuple(fault_alert(spec, mode) for mode in FailureMode)
        groups.append(Group(f"{spec.service}/faults", spec.scrape_interval, faults))
    health = health_alerts(spec)
    if health:
        groups.append(Group(f"{spec.service}/health", max(60, spec.scrape_interval), health))
    return tuple(_for_version(spec, group) for group in groups)


def _for_version(spec: Spec, group: Group) -> Group:
    """The group as the oldest Prometheus that reads it understands it."""
    group = replace(group, offset_seconds=spec.query_offset or 0)
    if version_of(spec) >= KEEP_FIRING_FROM:
        return group
    rules = (replace(rule, keep_seconds=0) if isinstance(rule, Alert) else rule for rule in group.rules)
    return replace(group, rules=tuple(rules))


def _objective_groups(spec: Spec, objective: Objective) -> list[Group]:
    by_interval: dict[int, list[Recording | Alert]] = defaultdict(list)
    for window in burn.recorded_windows(objective):
        by_interval[interval_seconds(window, spec)] += window_rules(spec, objective, window)
    by_interval[interval_seconds(burn.burn_rate_window(objective), spec)].append(burn_rate_rule(spec, objective))
    by_interval[interval_seconds(objective.window, spec)] += [
        *calendar_rules(spec, objective),
        *budget_rules(spec, objective),
    ]
    if objective.alerting.enabled:
        for tier in objective.alerting.tiers:
            by_interval[interval_seconds(tier.long, spec)].append(burn_alert(spec, objective, tier))
        by_interval[min(by_interval)] += no_data_alerts(spec, objective)
    prefix = f"{spec.service}/{objective.name}"
    prepared = prepared_rules(spec, objective)
    first = [Group(f"{prefix}/slices", objective.indicator.prepared_every, prepared)] if prepared else []
    return first + [
        Group(f"{prefix}/{format_duration(interval)}", interval, tuple(rules))
        for interval, rules in sorted(by_interval.items())
    ]


def build_rules(spec: Spec) -> str:
    """The Prometheus rule file of a service."""
    return dump({"groups": [group_content(group) for group in build_groups(spec)]})


def group_content(group: Group) -> dict[str, Any]:
    """A group as Prometheus reads it."""
    return {
        "name": group.name,
        "interval": format_duration(group.interval_seconds),
        **({"query_offset": format_duration(group.offset_seconds)} if group.offset_seconds else {}),
        "rules": [_recording(rule) if isinstance(rule, Recording) else _alert(rule) for rule in group.rules],
    }


def _recording(rule: Recording) -> dict[str, Any]:
    labels = {"labels": dict(rule.labels)} if rule.labels else {}
    return {"record": rule.record, "expr": rule.expr, **labels}


def _alert(rule: Alert) -> dict[str, Any]:
    hold = {"for": format_duration(rule.hold_seconds)} if rule.hold_seconds else {}
    keep = {"keep_firing_for": format_duration(rule.keep_seconds)} if rule.keep_seconds else {}
    words = {"labels": dict(rule.labels), "annotations": dict(rule.annotations)}
    return {"alert": rule.alert, "expr": rule.expr, **hold, **keep, **words}
