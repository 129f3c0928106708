"""Everything that Locant says of itself either has a rule or a reason why it needs none."""

from __future__ import annotations

import re
from pathlib import Path

from locant_alerts.health import health_alerts
from locant_slo.catalogue import ALL, Tier, metrics
from locant_slo.load import load_specs

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_A_RULE = {
    metrics.QUEUE_DEPTH: "what waits shows as lag, what no longer fits as dropped",
    metrics.PROBE_DURATION: "its sum over the passes' time is the overhead",
    metrics.PROBE_LOOKS: "looks refused are the budget at work; too few of them show as lost coverage",
    metrics.PROBE_REQUESTS: "a request that is refused or expires leaves a kept pass shallow; nothing goes wrong",
    metrics.SERIES: "full means refused",
    metrics.AGENT_CPU: "too little of it shows as lag; a limit is the container's, and so is the alert on it",
    metrics.AGENT_MEMORY: "bounded by design; a limit is the container's, and so is the alert on it",
    metrics.EXPORT_DURATION: "slow exports delay nothing but themselves; those that fail have a rule",
}


def test_every_metric_of_locants_own_has_a_rule_or_a_reason():
    (spec,) = load_specs(ROOT / "examples" / "slo.yaml")
    named = {name for alert in health_alerts(spec) for name in re.findall(r"\w+", alert.expr)}
    watched = {metric for metric in ALL if metric.tier is Tier.SELF and metric.prometheus_name in named}
    assert watched | set(WITHOUT_A_RULE) == {metric for metric in ALL if metric.tier is Tier.SELF}
    assert not watched & set(WITHOUT_A_RULE)
