"""Every kind of indicator is proven by the tests generated with its rules, and its counts against arithmetic."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from alert_support import check, make_spec, promtool_test, run_tests

from locant_alerts.rule_tests import build_rule_tests
from locant_alerts.rules import build_groups, build_rules
from locant_alerts.timeline import Run, Timeline, notation
from locant_slo.load import load_specs

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "indicators.yaml"
FAST = {"name": "fast", "severity": "page", "budget": 0.02, "long": "1h", "short": "5m"}
MONTH = {"period": "month", "time_zone": "Europe/Berlin"}
ONE_TIER = {"alerting": {"tiers": [FAST]}}
KINDS: dict[str, dict[str, Any]] = {
    "bad-of-total": {"kind": "events", "bad": 'a_total{code=~"5.."}', "total": "a_total"},
    "good-of-total": {"kind": "events", "good": 'b_total{code="ok"}', "total": "b_total"},
    "good-and-bad": {"kind": "events", "good": "c_good_total", "bad": "c_bad_total"},
    "other-metric": {"kind": "events", "bad": "d_bad_total", "total": 'd_total{path!="/health"}'},
    "own-expression": {"kind": "events", "bad": "increase(e_bad_total[$window])", "total": "e_total"},
    "ratio": {"kind": "ratio", "error_ratio": "sum(rate(f_bad[$window])) / sum(rate(f[$window]))", "weight": "f"},
    "latency": {"kind": "latency", "histogram": 'g_seconds{path="/v1"}', "le": 1},
    "native-latency": {"kind": "native_latency", "histogram": "h_seconds", "threshold": 0.5},
    "gauge": {"kind": "gauge", "value": "i_ratio", "at_most": 0.9},
    "verdict": {"kind": "verdict", "counter": "j_total", "label": "verdict", "bad": ["leak"], "ignore": ["skip"]},
}


def objective(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "indicator": KINDS[name], "target": 0.99, "window": "30d"} | fields


@pytest.mark.slow
@pytest.mark.parametrize("group", [None, ["model", "tenant"]], ids=["one group", "grouped"])
def test_what_is_generated_holds_for_every_kind(program, tmp_path, group):
    grouped = {"group_by": group} if group else {}
    spec = make_spec(*(objective(name, **ONE_TIER, **grouped) for name in KINDS), health={"enabled": False})
    (tmp_path / "chat.rules.yaml").write_text(build_rules(spec))
    assert run_tests(program("promtool"), tmp_path, build_rule_tests(spec, "chat.rules.yaml")) == ""


@pytest.mark.slow
def test_what_is_generated_holds_for_groups_by_process_and_by_what_the_selectors_decide(program, tmp_path):
    tenants = {"kind": "events", "bad": 'l_total{tenant=~"a|b", code="500"}', "total": 'l_total{tenant=~"a|b"}'}
    spec = make_spec(
        objective("bad-of-total", **ONE_TIER, group_by=["instance"]),
        objective("gauge", **ONE_TIER, group_by=["namespace", "instance"]),
        objective("latency", **ONE_TIER, group_by=["tenant"], selector={"tenant": "a"}),
        {"name": "tenants", "indicator": tenants, "target": 0.99, "group_by": ["tenant"]} | ONE_TIER,
        selector={"namespace": "prod"},
        probe=False,
    )
    (tmp_path / "chat.rules.yaml").write_text(build_rules(spec))
    text = build_rule_tests(spec, "chat.rules.yaml")
    assert 'instance="gone"' in text  # where a group can vanish, one does
    assert 'namespace="gone"' not in text
    assert run_tests(program("promtool"), tmp_path, text) == ""


def test_the_example_has_one_of_each_kind_and_is_what_prometheus_reads(program, tmp_path):
    (spec,) = load_specs(EXAMPLE)
    kinds = {item.indicator.id for item in spec.objectives}
    assert kinds == {"events", "ratio", "latency", "native_latency", "gauge", "verdict"}
    path = tmp_path / "rules.yaml"
    path.write_text(build_rules(spec))
    run = subprocess.run([program("promtool"), "check", "rules", path], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


BAD, EVENTS, RATIO = (
    'locant:sli_bad_events:increase1h{slo="%s"}',
    'locant:sli_events:increase1h{slo="%s"}',
    'locant:sli_error:ratio1h{slo="%s"}',
)


@pytest.mark.slow
def test_the_counts_of_every_kind_are_those_of_arithmetic(program, tmp_path):
    """An hour of 100 events a minute, of which 7, then an hour of 10 of which none: within 1 % of counting."""
    bad, good = [0, *[7] * 60, *[0] * 60], [0, *[93] * 60, *[10] * 60]
    told = {
        'a_total{code="503"}': bad,
        'a_total{code="200"}': good,
        'b_total{code="no"}': bad,
        'b_total{code="ok"}': good,
        "c_bad_total": bad,
        "c_good_total": good,
        "d_bad_total": bad,
        'd_total{path="/"}': [b + g for b, g in zip(bad, good, strict=True)],
        'd_total{path="/health"}': [50] * 121,
        "e_bad_total": bad,
        "e_total": [b + g for b, g in zip(bad, good, strict=True)],
        'g_seconds_bucket{path="/v1", le="1.0"}': good,
        'g_seconds_count{path="/v1"}': [b + g for b, g in zip(bad, good, strict=True)],
        'g_seconds_count{path="/v2"}': [9] * 121,
        'j_total{verdict="leak"}': bad,
        'j_total{verdict="fine"}': good,
        'j_total{verdict="skip"}': [500] * 121,
    }
    series = [{"series": name, "values": " ".join(map(str, summed(rises)))} for name, rises in told.items()]
    kinds = [name for name in KINDS if name not in {"ratio", "native-latency", "gauge"}]
    quiet = {"alerting": {"enabled": False}}
    spec = make_spec(*(objective(name, **quiet) for name in kinds), scrape_interval="60s")
    checks = []
    for name in kinds:
        checks += near(BAD % name, 60, 420)
        checks += near(EVENTS % name, 60, 6_000)
        checks += near(RATIO % name, 60, 0.07)
        checks.append(check(f"sum({BAD % name})", 121, ("{}", 0)))
        checks += near(f'locant:sli_error:ratio30d{{slo="{name}"}}', 121, 420 / 6_600)
        checks += near(EVENTS % name, 120, 600)
    test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    assert promtool_test(program("promtool"), tmp_path, spec, [test]) == ""


def summed(rises: list[int]) -> list[int]:
    total, values = 0, []
    for rise in rises:
        total += rise
        values.append(total)
    return values


def near(expr: str, minutes: int, wanted: float) -> list[dict[str, Any]]:
    """There is one sample, and it is within 1 %."""
    return [
        check(f"count({expr})", minutes, ("{}", 1)),
        check(f"abs({expr} / {wanted} - 1) > 0.01", minutes),
    ]


def newer_promtool() -> str:
    """A promtool that reads native histograms (3.0 or newer)."""
    path = os.environ.get("LOCANT_PROMTOOL") or shutil.which("promtool")
    if path is None:
        pytest.skip("NOT PROVEN HERE: no promtool; `make servers` installs it as root on Debian")
    said = subprocess.run([path, "--version"], capture_output=True, text=True)
    major, minor = map(int, (said.stdout + said.stderr).split("version ")[1].split(".")[:2])
    if (major, minor) < (3, 0):
        pytest.skip(f"NOT PROVEN HERE: promtool {major}.{minor} has none in tests; name one in LOCANT_PROMTOOL")
    return path


def test_a_native_histogram_is_counted_up_to_its_threshold(tmp_path):
    """Bounds of schema 0 are powers of two: half of what is observed lies up to 0.5, and idle is no NaN."""
    spec = make_spec(objective("native-latency", alerting={"enabled": False}))
    one = "{{schema:0 sum:%d count:%d buckets:[%d %d] offset:-1}}"
    idle = f"{one % (540, 600, 360, 240)}+{one % (0, 0, 0, 0)}x70"
    series = {"series": "h_seconds", "values": f"{one % (0, 0, 0, 0)}+{one % (9, 10, 6, 4)}x60 {idle}"}
    checks = [
        *near(EVENTS % "native-latency", 60, 600),
        *near(BAD % "native-latency", 60, 240),
        check(f"sum({BAD % 'native-latency'})", 130, ("{}", 0)),
        check(f"count({RATIO % 'native-latency'})", 130),
    ]
    test = {"interval": "1m", "input_series": [series], "promql_expr_test": checks}
    assert promtool_test(newer_promtool(), tmp_path, spec, [test]) == ""


def test_a_gauge_is_counted_by_slices(program, tmp_path):
    """Two series, one broken for a quarter of an hour and then gone: neither NaN nor a gap counts as anything."""
    spec = make_spec(objective("gauge", alerting={"enabled": False}))
    series = [
        {"series": 'i_ratio{pod="a"}', "values": "0.5x29 0.95x14 0.5x15"},
        {"series": 'i_ratio{pod="b"}', "values": "0.5x19 stale _x10 NaN NaN NaN NaN NaN 0.5x24"},
    ]
    slices = 60 + 20 + 24
    checks = [
        check(f"{RATIO % 'gauge'} - {15 / slices} > 1e-3 or {15 / slices} - {RATIO % 'gauge'} > 1e-3", 59),
        check(f"sum({BAD % 'gauge'})", 59, ("{}", 15)),
        check(f"sum({EVENTS % 'gauge'})", 59, ("{}", slices)),
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    assert promtool_test(program("promtool"), tmp_path, spec, [test]) == ""


class TestNotation:
    def test_progressions_and_gaps_are_short(self):
        runs = (Run(3, 10), Run(2, 10, gone=True), Run(2, 5))
        assert notation(Timeline(runs).counter("all")) == "0+10x3 stale _x1 35+5x1"

    def test_a_restart_begins_at_nought(self):
        assert notation(Timeline((Run(2, 4), Run(3, 4, anew=True))).counter("all")) == "0+4x2 0+4x2"

    def test_a_gap_at_the_start_is_no_stale_marker(self):
        assert notation([None, None, None]) == "_x3"


def test_no_group_holds_more_rules_than_mimir_takes():
    """Its default limit is 20 rules in a group."""
    busy = {"maintenance": [{"name": "n", "condition": "frozen"}], "deploys": {"quiet": "10m"}, "retention": "400d"}
    spec = make_spec(*(objective(name, group_by=["model"]) for name in KINDS), **busy)
    monthly = make_spec({"name": "m", "indicator": "position_integrity", "target": 0.99, "calendar": MONTH}, **busy)
    assert max(len(group.rules) for item in (spec, monthly) for group in build_groups(item)) <= 20


def test_one_that_reads_anothers_series_is_told_apart_from_it():
    """Two objectives on one metric never share a scenario: each would count what was meant for the other."""
    spec = make_spec(objective("bad-of-total"), objective("bad-of-total") | {"name": "again"}, objective("verdict"))
    tests = yaml.safe_load(build_rule_tests(spec, "r.yaml"))["tests"]
    together = [test["name"] for test in tests if "bad-of-total:" in test["name"]]
    assert together
    assert not any("again:" in name for name in together)
    assert any("verdict:" in name for name in together)
