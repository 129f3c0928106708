"""The one question that a rollout asks: how much worse than the releases beside it is the new one?

Compared, and not measured against the objective alone: where both are equally bad, going back heals nothing, and the
new release may be the cure. No answer is no evidence: too few events give no sample, and never a NaN, which some
comparisons with a limit let pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from locant_alerts.series import number
from locant_slo import burn
from locant_slo.catalogue import labels
from locant_slo.counts import scope_of
from locant_slo.spec import Objective, Spec, Tier

WINDOW_SECONDS = 1_800
"""A release is at most this old while it is judged: the window holds all that it did, its canary run included."""


def judged(spec: Spec) -> Iterator[Objective]:
    """The objectives that can tell two releases apart and whose breach a user feels: those that page.

    What moves over days cannot judge a rollout, nor can slices of a gauge, which are recorded by group alone.
    """
    for objective in spec.objectives:
        pages = objective.alerting.enabled and any(tier.severity == "page" for tier in objective.alerting.tiers)
        if pages and labels.MODEL_VERSION.name in objective.group and not objective.indicator.sums_itself:
            yield objective


def allowed(objective: Objective) -> Decimal:
    """By how much the error ratio may be worse: by the whole error budget."""
    return 1 - objective.target


def worse_by(spec: Spec, objective: Objective, version: str) -> str:
    """PromQL for the error ratio of the release `version` minus that of the others, one sample without labels.

    There is none while the new release has too few events to tell a bad one from a burn. It is 0 while fewer bad events
    than the objective's minimum were seen. Without another release to compare with, the new one stands alone.
    """
    new_bad, new_events = _counted(spec, objective, version)
    old_bad, old_events = _counted(spec, objective, f"!{version}")
    least = max(burn.minimum_events(_fastest(objective), objective.target, objective.window), 1)
    enough = number(objective.alerting.minimum_bad_events - Decimal("0.5"))
    old = f"({old_bad}\n/ ({old_events} > 0)\nor 0 * {new_events})"
    new = f"{new_bad}\n/ ({new_events} >= {number(least - Decimal('0.5'))})"
    return f"({new}\n- {old})\n* ({new_bad} >= bool {enough})"


def _counted(spec: Spec, objective: Objective, version: str) -> tuple[str, str]:
    """Everything that a release did: the quiet after it, which costs no budget, is what is judged here."""
    chosen = spec.model_copy(update={"selector": {**spec.selector, labels.MODEL_VERSION.name: version}})
    scope, indicator = scope_of(chosen, objective), objective.indicator
    return f"sum({indicator.count_bad(WINDOW_SECONDS, scope)})", f"sum({indicator.count_all(WINDOW_SECONDS, scope)})"


def _fastest(objective: Objective) -> Tier:
    return max(objective.alerting.tiers, key=lambda tier: burn.factor(tier, objective.window))
