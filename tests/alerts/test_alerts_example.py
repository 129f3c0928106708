"""Every alert of the example spec is proven on a real promtool, by the tests that are generated with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from alert_support import run_tests

from locant_alerts.rule_tests import build_rule_tests
from locant_alerts.rules import build_rules
from locant_slo.load import load_specs

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_example_holds_on_every_alert(program, tmp_path):
    (spec,) = load_specs(ROOT / "examples" / "slo.yaml")
    (tmp_path / "chat.rules.yaml").write_text(build_rules(spec))
    assert run_tests(program("promtool"), tmp_path, build_rule_tests(spec, "chat.rules.yaml")) == ""
