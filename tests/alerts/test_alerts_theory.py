"""Detection times on promtool against the formula, and laws that no change of scale, shape or name may break."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from alert_support import check, events, make_spec, promtool_test

from locant_slo import burn
from locant_slo.durations import format_duration
from locant_slo.spec import SRE_WORKBOOK_TIERS, Tier

RATE = 1_000
# Each tier at its own pace: some hundred steps in its long window, and at least four in the short one.
STEP_SECONDS = {"fast": 60, "medium": 120, "slow": 600, "trickle": 1_800}
ERROR_RATIOS = ("0.0023", "0.01", "0.05", "0.3", "1")


@pytest.mark.slow
@pytest.mark.parametrize("tier", SRE_WORKBOOK_TIERS, ids=lambda tier: tier.name)
def test_every_tier_detects_when_the_formula_says(program, tmp_path, tier: Tier):
    """Five error ratios, one model each; within one evaluation of threshold × long ÷ error ratio + hold."""
    step = STEP_SECONDS[tier.name]
    alone = {"name": "integrity", "indicator": "position_integrity", "target": 0.999}
    written = tier.model_dump(mode="json")
    spec = make_spec(
        alone | {"alerting": {"tiers": [written], "minimum_bad_events": 1, "no_data": {"action": "ignore"}}}
    )
    clean = tier.long // step
    last = 2 * clean + 2 * tier.hold // step + 3
    series, checks = [], []
    for text in ERROR_RATIOS:
        ratio = Decimal(text)
        bad = ratio * RATE
        series.append(events("position_integrity", f"0+{RATE}x{last}", model=text))
        series.append(events("position_integrity", f"0x{clean} {bad}+{bad}x{last - clean}", bad=True, model=text))
        fires = f'count(ALERTS{{tier="{tier.name}", model="{text}", alertstate="firing"}})'
        seconds = burn.detection_seconds(tier, Decimal("0.999"), 30 * 86_400, ratio)
        if seconds is None:
            checks.append(check(f"count_over_time({fires}[{last * step}s:{step}s])", last * step / 60))
            continue
        hold = -(-tier.hold // step) * step
        exact = clean * step + seconds - tier.hold + hold
        checks.append(check(fires, float(exact // step - 1) * step / 60))
        checks.append(check(fires, float(exact // step + 1) * step / 60, ("{}", 1)))
    test = {"interval": f"{step}s", "input_series": series, "promql_expr_test": checks}
    assert promtool_test(program("promtool"), tmp_path, spec, [test], step=format_duration(step)) == ""


LOOSE = {
    "name": "integrity",
    "indicator": "position_integrity",
    "target": 0.99,
    "window": "7d",
    "alerting": {
        "no_data": {"action": "ignore"},
        "tiers": [
            {"name": "fast", "severity": "page", "budget": 0.08, "long": "1h", "short": "5m"},
            {"name": "slow", "severity": "ticket", "budget": 0.2, "long": "6h", "short": "30m", "hold": "5m"},
        ],
    },
}
TRAFFIC = [30] * 500
INCIDENT = [0] * 120 + [24] * 20 + [0] * 180 + [4] * 60 + [0] * 120


def told(increments: list[float], *, start: float = 0, restart: int | None = None) -> str:
    """A counter that grows by one increment a minute; a restart begins anew from zero."""
    value, values = start, [start]
    for minute, increment in enumerate(increments):
        value = increment if minute == restart else value + increment
        values.append(value)
    return " ".join(f"{value:.12g}" for value in values)


FIRED = 'sum by (tier{more}) (count_over_time(ALERTS{{model="{model}", alertstate="firing"}}[500m]))'


def compare(one: str, other: str) -> list[dict[str, Any]]:
    """Both fire, and for the same number of minutes in each tier."""
    left, right = FIRED.format(model=one, more=""), FIRED.format(model=other, more="")
    both = check(f"count({left} == {right})", 500, ("{}", 2))
    return [both, check(f"{left} != {right}", 500)]


@pytest.mark.slow
def test_neither_scale_nor_pods_nor_restarts_nor_names_move_an_alert(program, tmp_path):
    """One incident told in six ways, as six models of one test."""
    variants = {
        "plain": [({}, 1.0, {})],
        "times ten": [({}, 10.0, {})],
        "three pods": [({"pod": pod}, share, {}) for pod, share in (("a", 0.5), ("b", 0.25), ("c", 0.25))],
        "restarted": [({}, 1.0, {"restart": 130})],
        "renamed": [({"model_version": "2", "zone": "x", "cluster": "y"}, 1.0, {})],
        "long lived": [({}, 1.0, {"start": 1_000_000})],
    }
    series = [
        events("position_integrity", told([share * n for n in increments], **how), bad=bad, model=model, **labels)
        for model, parts in variants.items()
        for labels, share, how in parts
        for bad, increments in ((False, TRAFFIC), (True, INCIDENT))
    ]
    checks = [item for other in list(variants)[1:] for item in compare("plain", other)]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    assert promtool_test(program("promtool"), tmp_path, make_spec(LOOSE), [test]) == ""


@pytest.mark.slow
def test_a_tighter_objective_fires_whenever_a_looser_one_does(program, tmp_path):
    spec = make_spec(LOOSE, LOOSE | {"name": "tight", "target": 0.995})
    kind = "position_integrity"
    series = [events(kind, told(TRAFFIC)), events(kind, told(INCIDENT), bad=True)]
    loose = 'ALERTS{slo="integrity", alertstate="firing"}'
    tight = 'ALERTS{slo="tight", alertstate="firing"}'
    extra = f"count_over_time(({loose} unless on (tier, model) {tight})[500m:1m])"
    checks = [check(extra, 500), check(f"count(count_over_time({loose}[500m]))", 500, ("{}", 2))]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    assert promtool_test(program("promtool"), tmp_path, spec, [test]) == ""
