"""The `promtool test rules` file of a service: every alert it has, proven to fire and proven to stay quiet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from locant_alerts.burn_scenarios import calm_scenarios, excluded_scenarios, no_data_scenarios, tier_scenario
from locant_alerts.health_scenarios import fault_scenarios, health_scenarios
from locant_alerts.rules import build_groups
from locant_alerts.scenario import Scenario, as_test, step_seconds
from locant_alerts.text import dump
from locant_slo.durations import format_duration
from locant_slo.spec import Objective, Spec


def build_rule_tests(spec: Spec, rule_file: str) -> str:
    """The test file that stands beside `rule_file`.

    The order of evaluation is stated: promtool's own is random, and an alert may then see its series a step late.
    """
    step = step_seconds(spec)
    return dump(
        {
            "rule_files": [rule_file],
            "evaluation_interval": format_duration(step),
            "group_eval_order": [group.name for group in build_groups(spec)],
            "tests": [as_test(scenario, step) for scenario in scenarios(spec, step)],
        }
    )


def scenarios(spec: Spec, step: int) -> Iterator[Scenario]:
    """All scenarios of a service. Objectives on different indicators do not touch, so they share a stretch of time."""
    for batch in _batches(spec.objectives):
        together: dict[int, list[Scenario]] = defaultdict(list)
        for objective in batch:
            for index, scenario in enumerate(_objective(spec, objective, step)):
                together[index].append(scenario)
        yield from (_merged(parts) for parts in together.values())
    if spec.probe:
        yield from fault_scenarios(spec, step)
        yield from health_scenarios(spec, step)


def _objective(spec: Spec, objective: Objective, step: int) -> Iterator[Scenario]:
    if not objective.alerting.enabled:
        return
    for tier in objective.alerting.tiers:
        yield tier_scenario(spec, objective, tier, step)
    yield from calm_scenarios(spec, objective, step)
    yield from excluded_scenarios(spec, objective, step)
    yield from no_data_scenarios(spec, objective, step)


def _batches(objectives: Iterable[Objective]) -> list[list[Objective]]:
    """Objectives split so that none of a batch counts what another's series tell."""
    batches: list[tuple[list[Objective], set[str]]] = []
    for objective in objectives:
        read = objective.indicator.reads()
        free = (batch for batch in batches if not (batch[1] & read or "" in batch[1] | read))
        batch = next(free, None)
        if batch is None:
            batches.append(([objective], set(read)))
        else:
            batch[0].append(objective)
            batch[1].update(read)
    return [batch for batch, _ in batches]


def _merged(parts: list[Scenario]) -> Scenario:
    return Scenario(
        name="; ".join(part.name for part in parts),
        series=tuple(series for part in parts for series in part.series),
        checks=tuple(check for part in parts for check in part.checks),
    )
