"""Alerts on Locant itself: what is not seen must not read as healthy."""

from __future__ import annotations

from locant_alerts import health_of_agents as agents
from locant_alerts import health_of_probes as probes
from locant_alerts.model import Alert
from locant_slo.spec import Spec


def health_alerts(spec: Spec) -> tuple[Alert, ...]:
    """All of them, or none where the spec switches them off or no probe watches."""
    if not spec.health.enabled or not spec.probe:
        return ()
    return (
        *probes.silent(spec),
        agents.dropped(spec),
        agents.late(spec),
        *probes.canary(spec),
        probes.coverage(spec),
        agents.refused(spec),
        probes.errors(spec),
        probes.overhead(spec),
        agents.exports(spec),
    )
