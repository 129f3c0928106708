"""What the spec promises, in the forms that panels need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from locant_dashboards.grafana import Step
from locant_dashboards.queries import CHOSEN, chosen_groups, extra_groups
from locant_slo import burn, names, promql
from locant_slo.durations import format_duration
from locant_slo.indicators import BY_ID
from locant_slo.spec import Objective, Spec, Tier


def target(spec: Spec, indicator: str) -> float | None:
    """The strictest target that the spec sets for an indicator, else the indicator's default, else None."""
    targets = [objective.target for objective in spec.objectives if objective.indicator.id == indicator]
    default = BY_ID[indicator].objective
    return float(max(targets)) if targets else (float(default) if default is not None else None)


def good_steps(spec: Spec, indicator: str) -> tuple[Step, ...]:
    """Green from the target upwards, red below; blue where nothing is promised."""
    wanted = target(spec, indicator)
    return (Step("blue"),) if wanted is None else (Step("red"), Step("green", wanted))


def bad_steps(spec: Spec, indicator: str) -> tuple[Step, ...]:
    """Red from the error budget upwards, green below; blue where nothing is promised."""
    wanted = target(spec, indicator)
    return (Step("blue"),) if wanted is None else (Step("green"), Step("red", round(1 - wanted, 9)))


@dataclass(frozen=True, slots=True)
class TierReach:
    """A burn-rate tier and the objectives that share it. `expr` reaches 1 when the tier's alert is due."""

    title: str
    factor: float
    expr: str


def tier_reaches(spec: Spec) -> list[TierReach]:
    """How far each objective is towards each tier. Objectives with equal tiers and windows share a query."""
    shared: dict[tuple[str, int, int, float], list[str]] = {}
    for objective, tier in _tiers(spec):
        key = (tier.name, tier.long, tier.short, float(burn.factor(tier, objective.window)))
        shared.setdefault(key, []).append(objective.name)
    return [
        TierReach(f"{name}, {factor:g}×", factor, _reach(spec, slos, long, short, factor))
        for (name, long, short, factor), slos in shared.items()
    ]


def factors(spec: Spec) -> list[float]:
    """Every burn rate at which some tier fires, rising."""
    return sorted({float(burn.factor(tier, objective.window)) for objective, tier in _tiers(spec)})


def _tiers(spec: Spec) -> Iterator[tuple[Objective, Tier]]:
    for objective in spec.objectives:
        if objective.alerting.enabled:
            for tier in objective.alerting.tiers:
                yield objective, tier


def _reach(spec: Spec, slos: list[str], long: int, short: int, factor: float) -> str:
    """The smaller of both windows' burn rates over the tier's factor; absent unless both are there, as the alert is."""
    which = {names.SERVICE: spec.service, names.SLO: "~" + "|".join(slos)}
    budget = f"{promql.matching((names.SLO,))} group_left () (1 - {promql.selector(names.OBJECTIVE, which)})"
    chosen = {**which, **(CHOSEN if spec.probe else {}), **chosen_groups(spec)}
    one = promql.selector(names.ERROR_RATIO.format(window=format_duration(long)), chosen)
    other = promql.selector(names.ERROR_RATIO.format(window=format_duration(short)), chosen)
    smaller = f"(({one} <= {other}) or ({other} < {one}))"
    return f"max {promql.grouping((names.SLO, *extra_groups(spec)))} ({smaller} / {budget}) / {factor:g}"
