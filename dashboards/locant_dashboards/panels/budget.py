"""What burns and how much error budget is left."""

from __future__ import annotations

from locant_dashboards.ask import now, over_time
from locant_dashboards.grafana import BarGauge, Line, Step, TimeSeries
from locant_dashboards.objectives import TierReach, factors, tier_reaches
from locant_dashboards.queries import RELEASE, Queries, extra_groups
from locant_slo import names, promql
from locant_slo.spec import Spec


def budgets(spec: Spec, q: Queries) -> Line:
    """What is left of each error budget, now and over time."""
    by = (names.SLO, *extra_groups(spec))
    expr = f"min {promql.grouping(by)} ({q.recorded(names.BUDGET_REMAINING)})"
    steps = (Step("red"), Step("orange", 0.1), Step("green", 0.3))
    left = BarGauge(
        title="Budget left",
        description="Share of each objective's error budget that is left in its window; below 0 it is overspent. "
        "The worst model counts.",
        unit="percentunit",
        minimum=0,
        maximum=1,
        steps=steps,
        data_links=(_to_oncall(spec),),
        targets=[now(expr, *by)],
    )
    trend = TimeSeries(
        title="Budget left over time",
        description="Share of each objective's error budget that is left in its window.",
        unit="percentunit",
        maximum=1,
        steps=(Step("red"), Step("green", 0)),
        threshold_lines=True,
        targets=[over_time(expr, *by)],
    )
    return Line((left, trend), height=9)


def _to_oncall(spec: Spec) -> dict[str, object]:
    chosen = "".join(f"&${{{label.name}:queryparam}}" for label in RELEASE) if spec.probe else ""
    url = f"/d/{names.dashboard_uid('oncall', spec.service)}?${{__url_time_range}}{chosen}"
    return {"title": "What burns? (on-call board)", "url": url, "targetBlank": False}


def burn(spec: Spec, q: Queries) -> Line:
    """How fast each budget burns, and how close that is to each tier."""
    lines, by = factors(spec), (names.SLO, *extra_groups(spec))
    rate = TimeSeries(
        title="Burn rate by SLO",
        description="How many times faster than sustainable the error budget is spent; 1 spends it exactly by the end "
        f"of the window. The lines are the tiers' thresholds: {', '.join(f'{line:g}' for line in lines) or 'none'}.",
        unit="none",
        minimum=0,
        steps=(Step("green"), *(Step("orange" if line < lines[-1] else "red", line) for line in lines)),
        threshold_lines=True,
        targets=[over_time(f"max {promql.grouping(by)} ({q.recorded(names.BURN_RATE)})", *by)],
    )
    tiers = tier_reaches(spec)
    return Line((rate, _reach(tiers, by)) if tiers else (rate,), height=9)


def _reach(tiers: list[TierReach], by: tuple[str, ...]) -> BarGauge:
    return BarGauge(
        title="How close each tier is to firing",
        description="The smaller burn rate of a tier's two windows over its threshold. At 100 % both windows are over "
        "it and the alert is due, once it holds and there are enough bad events.",
        unit="percentunit",
        minimum=0,
        maximum=1,
        steps=(Step("green"), Step("orange", 0.5), Step("red", 1)),
        targets=[now(tier.expr, *by, called=tier.title) for tier in tiers],
    )
