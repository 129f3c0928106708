"""What a generated rule test is made of: input series, and what must be true at which step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from locant_slo import promql
from locant_slo.catalogue import labels as la
from locant_slo.durations import format_duration
from locant_slo.spec import Objective, Spec

SUBJECT: Mapping[str, str] = {la.MODEL.name: "tested", la.MODEL_VERSION.name: "1"}
_LONGEST_STEP_SECONDS = 60
_STEPS_PER_WINDOW = 5


def subject(objective: Objective) -> dict[str, str]:
    """Values for the labels that an objective is grouped by."""
    return {name: SUBJECT.get(name, "tested") for name in objective.group}


@dataclass(frozen=True, slots=True)
class Check:
    """`expr` at a step gives exactly these samples: labels and value. None of them: it gives nothing."""

    expr: str
    step: int
    samples: tuple[tuple[Mapping[str, str], float], ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named stretch of time: series in promtool's notation, one value a step, and checks."""

    name: str
    series: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...] = field(default=())


def step_seconds(spec: Spec) -> int:
    """The step of a service's tests: a minute, or less where a tier's short window would not hold five of them."""
    shorts = [tier.short for objective in spec.objectives for tier in objective.alerting.tiers]
    return max(1, min([_LONGEST_STEP_SECONDS, *(short // _STEPS_PER_WINDOW for short in shorts)]))


def steps(seconds: int, step: int) -> int:
    """How many steps span at least `seconds`."""
    return -(-seconds // step)


def firing(step: int, alert: str, labels: Mapping[str, str]) -> Check:
    """One alert with these labels fires at a step."""
    return Check(f"count({_alerts(alert, labels)})", step, (({}, 1),))


def quiet(step: int, alert: str, labels: Mapping[str, str], *, over: str = "") -> Check:
    """No alert with these labels fires at a step, or fired within the duration `over` before it."""
    selector = _alerts(alert, labels, over)
    return Check(f"count(count_over_time({selector}))" if over else f"count({selector})", step)


def _alerts(alert: str, labels: Mapping[str, str], over: str = "") -> str:
    matchers = {"alertname": alert, **labels, "alertstate": "firing"}
    return promql.selector("ALERTS", matchers, window=over)


def as_test(scenario: Scenario, step: int) -> dict[str, Any]:
    """A scenario as promtool reads it."""
    return {
        "name": scenario.name,
        "interval": format_duration(step),
        "input_series": [{"series": series, "values": values} for series, values in scenario.series],
        "promql_expr_test": [
            {
                "expr": check.expr,
                "eval_time": format_duration(check.step * step),
                "exp_samples": [
                    {"labels": promql.selector("", dict(labels)) or "{}", "value": value}
                    for labels, value in check.samples
                ],
            }
            for check in scenario.checks
        ],
    }
