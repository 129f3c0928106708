"""The on-call board: what burns, since which release, in which signal, and which check says so."""

from __future__ import annotations

from locant_dashboards.frame import frame
from locant_dashboards.grafana import Dashboard, Section
from locant_dashboards.panels import budget, faults, releases, signals
from locant_dashboards.queries import Queries
from locant_slo.spec import Spec


def oncall(spec: Spec) -> Dashboard:
    """The board for whoever was paged: from the budget that burns to the check that failed, top to bottom."""
    q = Queries(spec)
    burning = budget.burn(spec, q), faults.firing(spec)
    if not spec.probe:
        burns = Section("What burns?", burning)
        return frame(spec, "oncall", "On-call", "Burn rates and the alerts that fire.", (burns,), start="now-3h")
    sections = (
        Section("What burns?", (*burning, faults.checks(spec, q))),
        Section("Was it a release?", (releases.deploys(q),)),
        Section("Latency and streaming", (signals.latency(spec, q),)),
        Section("Positions, padding and lengths", (signals.positions(spec, q), signals.padding(spec, q))),
    )
    text = "Burn rates, failing checks and the signals behind them. Blue marks are releases."
    return frame(spec, "oncall", "On-call", text, sections, start="now-3h")
