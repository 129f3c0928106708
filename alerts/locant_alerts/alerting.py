"""Burn-rate alerts of an objective, and the alert on its absence."""

from __future__ import annotations

from decimal import Decimal

from locant_alerts.model import Alert
from locant_alerts.objective_runbooks import has_own_page, objective_runbook
from locant_alerts.series import base_events, identity, number, recorded
from locant_alerts.words import PERCENT, literal, says, shown, subject
from locant_slo import burn, names, promql
from locant_slo.counts import scope_of
from locant_slo.durations import format_duration
from locant_slo.exclusions import unless_excluded, unless_maintained
from locant_slo.spec import Objective, Spec, Tier

_FAULT = "Look for a positional fault alert of the same model: it names the cause. Otherwise compare"
_MEMORY_SECONDS = 3_600
"""For how long a group that vanished is remembered."""


def burn_alert(spec: Spec, objective: Objective, tier: Tier) -> Alert:
    """The alert of one tier: long and short window above the threshold, and enough bad events to mean it.

    Its value is the error ratio of the long window.
    """
    limit = number(burn.threshold(tier, objective.target, objective.window))
    long = recorded(names.ERROR_RATIO, spec, objective, tier.long)
    short = recorded(names.ERROR_RATIO, spec, objective, tier.short)
    bad = recorded(names.BAD_INCREASE, spec, objective, tier.long)
    # `increase` extrapolates: five events may read as 4.98
    enough = number(objective.alerting.minimum_bad_events - Decimal("0.5"))
    return Alert(
        alert=names.BURN_ALERT.format(Slo=names.camel(objective.name)),
        expr=unless_excluded(spec, objective, f"{long} > {limit}\nand {short} > {limit}\nand {bad} > {enough}"),
        hold_seconds=tier.hold,
        keep_seconds=objective.alerting.keep_firing_for,
        labels={
            **static_labels(spec, objective),
            **similarity(spec, objective),
            names.SEVERITY: tier.severity,
            names.TIER: tier.name,
            names.LONG_WINDOW: format_duration(tier.long),
            names.SHORT_WINDOW: format_duration(tier.short),
        },
        annotations=_burn_words(spec, objective, tier),
    )


def _burn_words(spec: Spec, objective: Objective, tier: Tier) -> dict[str, str]:
    event, bad = map(literal, objective.indicator.event())
    called = objective.indicator.titled(objective.name)
    speed = number(burn.factor(tier, objective.window))
    promise = f"Promised: {literal(objective.description)} " if objective.description else ""
    allowed = number((1 - objective.target) * 100)
    return says(
        spec,
        (
            f"{subject(spec, objective)}: {PERCENT} of {called} events were bad over {format_duration(tier.long)} "
            f"({allowed}% allowed)"
        ),
        (
            f"{promise}An event is {event}; it is bad when {bad}. "
            f"At {speed} times the sustainable speed or more the budget of {_budget_time(objective)} "
            f"is gone in {format_duration(_exhaustion_seconds(objective, tier))} or less. "
            f"{_FAULT if spec.probe else 'Compare'} with the last release and roll back."
        ),
        objective_runbook(spec, objective) if has_own_page(spec) else names.BURN_RUNBOOK,
    )


def _budget_time(objective: Objective) -> str:
    return f"a {objective.calendar.period}" if objective.calendar else format_duration(objective.window)


def _exhaustion_seconds(objective: Objective, tier: Tier) -> int:
    minutes = int(objective.window / burn.factor(tier, objective.window)) // 60
    return 60 * max(1, minutes if minutes < 600 else minutes // 60 * 60)


def no_data_alerts(spec: Spec, objective: Objective) -> tuple[Alert, ...]:
    """Nobody counts this indicator any more, or one of the groups that the spec asked for is gone.

    Idle is not absent: counters stay while traffic rests.
    """
    if objective.alerting.no_data.action == "ignore":
        return ()
    counted = objective.indicator.raw_events(scope_of(spec, objective)) or base_events(spec, objective)
    nobody = _no_data(spec, objective, f"absent({counted})", identity(spec, objective), spec.service)
    if not objective.group_by or not objective.budget_group:
        return (nobody,)
    by = promql.grouping(objective.budget_group)
    memory = format_duration(max(_MEMORY_SECONDS, 4 * objective.alerting.no_data.after))
    gone = (
        f"count {by} (last_over_time({base_events(spec, objective, over=memory)}))"
        f" unless count {by} ({base_events(spec, objective)})"
    )
    who = " ".join(shown(label) for label in objective.budget_group)
    vanished = identity(spec, objective) | {names.CAUSE: "vanished"}
    return nobody, _no_data(spec, objective, gone, vanished, f"{who} of {spec.service}")


def _no_data(spec: Spec, objective: Objective, expr: str, labels: dict[str, str], whom: str) -> Alert:
    no_data = objective.alerting.no_data
    return Alert(
        alert=names.NO_DATA_ALERT.format(Slo=names.camel(objective.name)),
        expr=unless_maintained(spec, expr),
        hold_seconds=no_data.after,
        keep_seconds=0,
        labels={**static_labels(spec, objective), **labels, names.SEVERITY: no_data.severity},
        annotations=says(
            spec,
            f"Nobody reports {objective.indicator.called(objective.name)} for {whom}",
            (
                f"No process has exported the counter for {format_duration(no_data.after)}, so the objective "
                f"{objective.name} is neither kept nor missed: it is unknown. Usual causes: the agent is down, its "
                "scrape fails, or a label of the spec's selector changed. Open the target page of Prometheus first."
            ),
            names.NO_DATA_RUNBOOK,
            board="debug" if spec.probe else "oncall",
        ),
    )


def similarity(spec: Spec, objective: Objective) -> dict[str, str]:
    """The key of alerts that are one incident: the same for releases and shards that the spec calls similar."""
    if not objective.similar:
        return {}
    apart = (shown(label) for label in objective.group if label not in objective.similar)
    return {names.SIMILARITY: "/".join((spec.service, objective.name, *apart))}


def static_labels(spec: Spec, objective: Objective | None = None) -> dict[str, str]:
    """Labels for routing, which no series carries: team, and what the spec and the objective add."""
    own = {**spec.labels, **(objective.labels if objective else {})}
    return {**{name: literal(value) for name, value in own.items()}, names.TEAM: spec.team}
