"""What the compiled rules are made of."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from alert_support import make_spec

from locant_alerts.burn_scenarios import incident
from locant_alerts.model import Alert, Recording
from locant_alerts.rule_tests import build_rule_tests
from locant_alerts.rules import build_groups, build_rules
from locant_alerts.series import number
from locant_alerts.text import HEADER
from locant_slo import burn, names
from locant_slo.load import load_specs
from locant_slo.spec import Spec

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def example() -> Spec:
    return load_specs(ROOT / "examples" / "slo.yaml")[0]


def recordings(spec: Spec) -> list[Recording]:
    return [rule for group in build_groups(spec) for rule in group.rules if isinstance(rule, Recording)]


def alerts(spec: Spec) -> list[Alert]:
    return [rule for group in build_groups(spec) for rule in group.rules if isinstance(rule, Alert)]


def test_prometheus_accepts_the_example(program, tmp_path, example):
    path = tmp_path / "rules.yaml"
    path.write_text(build_rules(example))
    run = subprocess.run([program("promtool"), "check", "rules", path], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_same_spec_gives_the_same_text(example):
    again = load_specs(ROOT / "examples" / "slo.yaml")[0]
    assert build_rules(example) == build_rules(again)


def test_the_text_says_that_it_is_generated_and_has_no_anchors(example):
    text = build_rules(example)
    assert text.startswith(HEADER)
    assert not re.search(r"[&*]id\d+", text)


def test_every_ratio_divides_by_what_is_above_zero(example):
    divisions = [rule.expr for rule in recordings(example) if " / (" in rule.expr]
    assert len(divisions) > 50
    assert all(re.search(r" / \(.* > 0\)", expr) for expr in divisions)


def test_missing_bad_events_are_filled_by_group_and_never_by_a_vector(example):
    bad = [rule for rule in recordings(example) if rule.record.startswith("locant:sli_bad_events")]
    raw = [rule for rule in bad if "sum_over_time" not in rule.expr]
    assert raw
    assert all(" or 0 * sum by (model, model_version) (" in rule.expr for rule in raw)
    assert "or vector(" not in build_rules(example)


def test_no_average_of_ratios_is_recorded(example):
    assert not re.search(r"(avg|sum|count)_over_time\(locant:sli_error", build_rules(example))


def test_identity_labels_and_no_others_stand_on_counts_and_ratios(example):
    for rule in recordings(example):
        if rule.record != names.SLO_INFO:
            assert set(rule.labels) == {"slo", "service", "indicator"}


def test_the_info_series_carries_what_identity_leaves_out():
    spec = make_spec(
        {"name": "a", "indicator": "position_integrity", "target": 0.999, "labels": {"owner": "ann"}},
        labels={"namespace": "prod"},
        team="search",
    )
    (info,) = [rule for rule in recordings(spec) if rule.record == names.SLO_INFO]
    assert info.labels == {
        "namespace": "prod",
        "owner": "ann",
        "slo": "a",
        "service": "chat",
        "indicator": "position_integrity",
        "team": "search",
        "target": "0.999",
        "window": "30d",
    }


def test_what_a_rule_reads_was_recorded_before_it(example):
    """Across groups: by one that is evaluated at least as often. Within a group: above."""
    interval: dict[tuple[str, str], int] = {}
    for group in build_groups(example):
        for rule in group.rules:
            for name, slo in re.findall(r'(locant:[a-z_:0-9]+)\{slo="([a-z-]+)"', rule.expr):
                assert interval[name, slo] <= group.interval_seconds
            if isinstance(rule, Recording):
                interval[rule.record, rule.labels["slo"]] = group.interval_seconds


def test_no_sample_outlives_the_lookback(example):
    assert max(group.interval_seconds for group in build_groups(example)) < 300


def test_group_names_are_unique(example):
    found = [group.name for group in build_groups(example)]
    assert len(set(found)) == len(found)


def test_thresholds_are_written_in_decimals():
    spec = make_spec({"name": "a", "indicator": "position_integrity", "target": 0.999, "window": "28d"})
    limits = [re.findall(r"ratio\w+\{[^}]*\} > (\S+)", alert.expr) for alert in alerts(spec) if "tier" in alert.labels]
    assert limits == [["0.0144"] * 2, ["0.006"] * 2, ["0.003"] * 2, ["0.001"] * 2]


def test_a_number_survives_as_a_float_would():
    from decimal import Decimal

    assert [number(Decimal(text)) for text in ("0.10", "1E-7", "100", "14.40")] == ["0.1", "0.0000001", "100", "14.4"]


class TestEveryAlert:
    def test_routes_and_explains_itself(self, example):
        for alert in alerts(example):
            assert alert.labels["team"] == "ml-platform"
            assert alert.labels["namespace"] == "chat"
            assert set(alert.annotations) == {"summary", "description", "runbook_url", "dashboard"}
            assert "severity" in alert.labels or alert.alert == names.FINDING_ALERT

    def test_of_a_budget_says_its_tier_windows_and_guard(self, example):
        burns = [alert for alert in alerts(example) if "tier" in alert.labels]
        assert len(burns) == 5 * 4 + 5 * 2
        for alert in burns:
            assert {"long_window", "short_window", "severity"} <= set(alert.labels)
            assert re.search(r"bad_events:increase\w+\{[^}]*\} > 4\.5", alert.expr)
            assert alert.keep_seconds > 0

    def test_is_unlike_every_other_by_name_and_labels(self, example):
        found = [
            (alert.alert, tuple(sorted(alert.labels.items()))) for alert in alerts(example) if "tier" in alert.labels
        ]
        slos = [re.findall(r'slo="([a-z-]+)"', alert.expr)[0] for alert in alerts(example) if "tier" in alert.labels]
        assert len(set(zip(found, slos, strict=True))) == len(found)


class TestSwitches:
    def test_a_silenced_objective_is_recorded_and_never_alerts(self):
        spec = make_spec(
            {"name": "a", "indicator": "padding_ratio", "target": 0.5, "alerting": {"enabled": False}},
            health={"enabled": False},
        )
        assert {alert.alert for alert in alerts(spec)} == {names.FINDING_ALERT}
        assert names.BUDGET_REMAINING in {rule.record for rule in recordings(spec)}

    def test_absence_can_be_ignored(self):
        objective = {"name": "a", "indicator": "position_integrity", "target": 0.999}
        spec = make_spec(objective | {"alerting": {"no_data": {"action": "ignore"}}})
        assert not [alert for alert in alerts(spec) if alert.alert.endswith("NoData")]

    def test_a_selector_stands_in_every_query_of_raw_series(self):
        spec = make_spec(selector={"job": "chat"})
        for group in build_groups(spec):
            for rule in group.rules:
                raw = re.findall(r"locant_[a-z_]+(?:\{[^}]*\})?", rule.expr)
                assert all('job="chat"' in selector for selector in raw), rule.expr


def test_the_file_reads_back_as_it_was_meant(example):
    groups = yaml.safe_load(build_rules(example))["groups"]
    assert [group["name"] for group in groups] == [group.name for group in build_groups(example)]
    written = [rule["expr"] for group in groups for rule in group["rules"]]
    assert written == [rule.expr for group in build_groups(example) for rule in group.rules]


def test_a_service_that_no_probe_watches_has_alerts_on_its_objectives_alone():
    own = {"name": "a", "target": 0.99, "indicator": {"kind": "events", "bad": "b_total", "total": "x_total"}}
    spec = make_spec(own, probe=False)
    assert {alert.alert for alert in alerts(spec)} == {"LocantABudgetBurn", "LocantANoData"}
    text = build_rules(spec) + build_rule_tests(spec, "x.yaml")
    assert "locant_" not in text
    assert "positional fault" not in text


def test_braces_in_somebodys_own_words_begin_no_template(program, tmp_path):
    own = {"name": "a", "target": 0.99, "indicator": {"kind": "events", "bad": 'x{a="{{"}', "total": "x"}}
    spec = make_spec(own | {"description": "All {{ users }}."}, labels={"owner": "{{ us"}, probe=False)
    (burning, *_) = (alert for alert in alerts(spec) if alert.alert == "LocantABudgetBurn")
    assert 'All {{ "{{" }} users }}.' in burning.annotations["description"]
    path = tmp_path / "rules.yaml"
    path.write_text(build_rules(spec))
    run = subprocess.run([program("promtool"), "check", "rules", path], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("target", [0.9999, 0.99999, 0.999999999])
def test_a_promise_of_many_nines_has_its_proofs(target):
    spec = make_spec({"name": "a", "target": target, "indicator": "position_integrity"})
    for tier in spec.objectives[0].alerting.tiers:
        story = incident(spec.objectives[0], tier, 60)
        assert story.error_ratio > burn.threshold(tier, spec.objectives[0].target, spec.objectives[0].window)
        assert story.events_per_step * story.error_ratio >= spec.objectives[0].alerting.minimum_bad_events
