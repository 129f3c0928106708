"""Spec to Grafana dashboards: executive, on-call, debug.

`build` returns Grafana's classic JSON model, schemaVersion 42. What is proven by tests: the boards survive a round trip
through Grafana's own foundation SDK, they type-check against Grafana 13's TypeScript schema, and every query answers on
a real Prometheus. What is not: that a Grafana server draws them, for none was at hand.
"""

from locant_dashboards.boards import build

__all__ = ["build"]
