"""Burn-rate alerts of an objective, and the alert on its absence."""

from __future__ import annotations

from decimal import Decimal

from locant_alerts.model import Alert
from locant_alerts.series import identity, number, raw, recorded
from locant_alerts.words import PERCENT, SUBJECT, says
from locant_slo import burn, names
from locant_slo.catalogue import metrics
from locant_slo.durations import format_duration
from locant_slo.indicators import BY_ID
from locant_slo.spec import Objective, Spec, Tier


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
        expr=f"{long} > {limit}\nand {short} > {limit}\nand {bad} > {enough}",
        hold_seconds=tier.hold,
        keep_seconds=objective.alerting.keep_firing_for,
        labels={
            **static_labels(spec, objective),
            names.SEVERITY: tier.severity,
            names.TIER: tier.name,
            names.LONG_WINDOW: format_duration(tier.long),
            names.SHORT_WINDOW: format_duration(tier.short),
        },
        annotations=_burn_words(spec, objective, tier),
    )


def _burn_words(spec: Spec, objective: Objective, tier: Tier) -> dict[str, str]:
    indicator = BY_ID[objective.indicator]
    speed = number(burn.factor(tier, objective.window))
    promise = f"Promised: {objective.description} " if objective.description else ""
    allowed = number((1 - objective.target) * 100)
    return says(
        spec,
        (
            f"{SUBJECT}: {PERCENT} of {indicator.title.lower()} events were bad over {format_duration(tier.long)} "
            f"({allowed}% allowed)"
        ),
        (
            f"{promise}An event is {indicator.event}; it is bad when {indicator.bad}. "
            f"At {speed} times the sustainable speed or more the budget of {format_duration(objective.window)} "
            f"is gone in {format_duration(_exhaustion_seconds(objective, tier))} or less. "
            "Look for a positional fault alert of the same model: it names the cause. "
            "Otherwise compare with the last release and roll back."
        ),
        names.BURN_RUNBOOK,
    )


def _exhaustion_seconds(objective: Objective, tier: Tier) -> int:
    minutes = int(objective.window / burn.factor(tier, objective.window)) // 60
    return 60 * max(1, minutes if minutes < 600 else minutes // 60 * 60)


def no_data_alert(spec: Spec, objective: Objective) -> Alert:
    """Nobody counts this indicator any more. Idle is not absent: counters stay while traffic rests."""
    no_data = objective.alerting.no_data
    return Alert(
        alert=names.NO_DATA_ALERT.format(Slo=names.camel(objective.name)),
        expr=f"absent({raw(metrics.SLI_EVENTS, spec, objective)})",
        hold_seconds=no_data.after,
        keep_seconds=0,
        labels={
            **static_labels(spec, objective),
            **identity(spec, objective),
            names.SEVERITY: no_data.severity,
        },
        annotations=says(
            spec,
            f"Nobody reports {objective.indicator} for {spec.service}",
            (
                f"No process has exported the counter for {format_duration(no_data.after)}, so the objective "
                f"{objective.name} is neither kept nor missed: it is unknown. Usual causes: the agent is down, its "
                "scrape fails, or a label of the spec's selector changed. Open the target page of Prometheus first."
            ),
            names.NO_DATA_RUNBOOK,
            board="debug",
        ),
    )


def static_labels(spec: Spec, objective: Objective | None = None) -> dict[str, str]:
    """Labels for routing, which no series carries: team, and what the spec and the objective add."""
    return {**spec.labels, **(objective.labels if objective else {}), names.TEAM: spec.team}
