"""What is imported compiles to rules that pass the proofs generated beside them."""

from __future__ import annotations

import subprocess

import pytest
from interop_support import RATIO, documents, slo, specs_of

from locant_alerts.rule_tests import build_rule_tests
from locant_alerts.rules import build_rules

POLICY = {
    "kind": "AlertPolicy",
    "metadata": {"name": "policy"},
    "spec": {
        "alertWhenNoData": True,
        "conditions": [
            {
                "metadata": {"name": "fast"},
                "spec": {
                    "severity": "page",
                    "condition": {"kind": "burnrate", "threshold": 14.4, "lookbackWindow": "1h", "alertAfter": "2m"},
                },
            }
        ],
        "notificationTargets": [],
    },
}
SLICE = {"target": 0.99, "timeSliceTarget": 0.95, "timeSliceWindow": "5m"}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["Occurrences", "Timeslices", "RatioTimeslices"])
def test_each_budgeting_method_passes_its_own_proofs(program, tmp_path, method):
    text = documents(slo(RATIO, budgetingMethod=method, objectives=[SLICE], alertPolicies=[POLICY]))
    (spec,) = specs_of(text)
    quiet = spec.model_copy(update={"health": spec.health.model_copy(update={"enabled": False})})
    (tmp_path / "shop.rules.yaml").write_text(build_rules(quiet))
    (tmp_path / "shop.test.yaml").write_text(build_rule_tests(quiet, "shop.rules.yaml"))
    run = subprocess.run(
        [program("promtool"), "test", "rules", "shop.test.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-2_000:] + run.stderr[-2_000:]
