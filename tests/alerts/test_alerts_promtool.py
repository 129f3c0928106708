"""The generated tests hold on a real promtool, and a rule that is wrong in one place fails them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from alert_support import events, make_spec, only, promtool_test, run_tests

from locant_alerts.model import Alert
from locant_alerts.rule_tests import build_rule_tests
from locant_alerts.rules import build_groups, build_rules
from locant_slo.load import load_specs
from locant_slo.spec import Spec

ROOT = Path(__file__).resolve().parents[2]
LONE = {"name": "integrity", "indicator": "position_integrity", "target": 0.999}
TWO_TIERS = {
    "tiers": [
        {"name": "fast", "severity": "page", "budget": 0.02, "long": "1h", "short": "5m"},
        {"name": "medium", "severity": "page", "budget": 0.05, "long": "6h", "short": "30m", "hold": "5m"},
    ]
}
SECONDS = {
    "window": "1h",
    "alerting": {
        "minimum_bad_events": 1,
        "keep_firing_for": "30s",
        "tiers": [{"name": "fast", "severity": "page", "budget": 0.3, "long": "1m", "short": "15s", "hold": "5s"}],
    },
}


def write(folder: Path, spec: Spec, rules: str | None = None) -> str:
    (folder / "chat.rules.yaml").write_text(rules or build_rules(spec))
    return build_rule_tests(spec, "chat.rules.yaml")


@pytest.mark.slow
def test_two_objectives_on_one_indicator_do_not_mix(program, tmp_path):
    spec = make_spec(
        LONE | {"alerting": TWO_TIERS},
        LONE | {"name": "looser", "target": 0.99, "alerting": TWO_TIERS},
        health={"enabled": False},
    )
    assert run_tests(program("promtool"), tmp_path, write(tmp_path, spec)) == ""


@pytest.mark.slow
def test_windows_of_seconds_hold_too(program, tmp_path):
    spec = make_spec(LONE | SECONDS | {"target": 0.99}, scrape_interval="1s", health={"enabled": False})
    assert run_tests(program("promtool"), tmp_path, write(tmp_path, spec)) == ""


@pytest.mark.slow
def test_a_selector_and_labels_hold_too(program, tmp_path):
    spec = make_spec(LONE, selector={"job": "chat"}, labels={"namespace": "prod"}, health={"enabled": False})
    assert run_tests(program("promtool"), tmp_path, write(tmp_path, spec)) == ""


@pytest.mark.parametrize("target", ["0.9", "0.95", "0.999", "0.99999"])
def test_an_incident_can_be_made_for_any_target(target):
    from decimal import Decimal

    from locant_alerts.burn_scenarios import incident
    from locant_slo import burn

    spec = make_spec(
        LONE
        | {
            "target": target,
            "alerting": {"tiers": [{"name": "t", "severity": "page", "budget": 0.05, "long": "6h", "short": "30m"}]},
        }
    )
    (objective,) = spec.objectives
    (tier,) = objective.alerting.tiers
    story = incident(objective, tier, 60)
    assert burn.threshold(tier, objective.target, objective.window) < story.error_ratio <= 1
    assert story.crossing >= 1
    assert story.error_ratio * story.events_per_step >= Decimal(objective.alerting.minimum_bad_events)


MUTATIONS = {
    "a threshold ten times too high": ("> 0.0144", "> 0.144"),
    "a threshold too low": ("> 0.006\n", "> 0.004\n"),
    "no guard against few events": ("> 4.5", "> 0.5"),
    "the short window forgotten": ("and locant:sli_error:ratio5m{", "or locant:sli_error:ratio5m{"),
    "a hold forgotten": ("        for: 5m", "        for: 0s"),
    "the wrong window": ("_integrity\"}[1h]))'\n", "_integrity\"}[2h]))'\n"),
    "missing bad events not filled": (" or 0 * sum by (model, model_version)", " or sum by (model, model_version)"),
    "division by zero": (" > 0)'\n", " >= 0)'\n"),
    "absence never told": ("absent(locant_sli", "absent(vector(1) or locant_sli"),
    "a counter born at one overlooked": ("unless last_over_time(", "unless ("),
}


@pytest.mark.slow
def test_a_rule_that_is_wrong_in_one_place_fails_them(program, tmp_path):
    spec = make_spec(LONE | {"alerting": TWO_TIERS}, health={"enabled": False})
    good = build_rules(spec)
    survivors = []
    for name, (right, wrong) in MUTATIONS.items():
        assert right in good, name
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        text = good.replace(right, wrong).replace("unless (locant_findings", "unless on () (locant_findings")
        if not run_tests(program("promtool"), folder, write(folder, spec, text)):
            survivors.append(name)
    assert not survivors


def test_every_alert_is_tested_to_fire():
    spec = load_specs(ROOT / "examples" / "slo.yaml")[0]
    tests = yaml.safe_load(build_rule_tests(spec, "chat.rules.yaml"))["tests"]
    proven = {
        check["expr"]
        for test in tests
        for check in test["promql_expr_test"]
        if check["exp_samples"] and "ALERTS" in check["expr"]
    }
    for group in build_groups(spec):
        for rule in group.rules:
            if name := getattr(rule, "alert", ""):
                assert any(name in expr for expr in proven), name


def test_the_order_of_evaluation_is_stated():
    spec = make_spec()
    content = yaml.safe_load(build_rule_tests(spec, "chat.rules.yaml"))
    assert content["group_eval_order"] == [group.name for group in build_groups(spec)]


def test_the_words_of_an_alert_have_its_numbers_and_names(program, tmp_path):
    """Rendered by Prometheus' own templates, to the letter."""
    spec = make_spec(LONE | {"alerting": TWO_TIERS}, health={"enabled": False})
    release = {"model": "gpt2", "model_version": "7"}
    finding = {"failure_mode": "F3", "severity": "page", "check": "mask_missing"} | release
    shown = ", ".join(f'{key}="{value}"' for key, value in finding.items())
    tests = [
        {
            "interval": "1m",
            "input_series": [
                events("position_integrity", "0+100x40", **release),
                events("position_integrity", "0+25x40", bad=True, **release),
                {"series": f"locant_findings_total{{{shown}}}", "values": "0x20 1x20"},
            ],
            "alert_rule_test": [
                rendered(spec, "LocantPositionalFault", "padding_leakage", finding, "", 21),
                rendered(spec, "LocantIntegrityBudgetBurn", "fast", release, "25%", 21),
            ],
        }
    ]
    rules = only(build_rules(spec), "chat/integrity/30s", "chat/integrity/1m", "chat/faults")
    assert promtool_test(program("promtool"), tmp_path, spec, tests, rules=rules) == ""


def rendered(spec: Spec, alert: str, which: str, labels: dict[str, str], value: str, minute: int) -> dict[str, Any]:
    """What promtool must find: the rule's own words, with each template replaced by hand."""
    rules = [rule for group in build_groups(spec) for rule in group.rules if isinstance(rule, Alert)]
    rule = next(rule for rule in rules if rule.alert == alert and which in rule.labels.values())
    identity = {} if value == "" else {"slo": "integrity", "service": "chat", "indicator": "position_integrity"}
    words = {}
    for name, text in rule.annotations.items():
        for label, shown in labels.items():
            text = text.replace("{{ $labels." + label + " }}", shown)
        words[name] = text.replace("{{ $value | humanizePercentage }}", value)
        assert "{{" not in words[name]
    wanted = {"exp_labels": {**labels, **identity, **rule.labels}, "exp_annotations": words}
    others = [rendered(spec, alert, "medium", labels, value, minute)["exp_alerts"][0]] if which == "fast" else []
    return {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": [wanted, *others]}
